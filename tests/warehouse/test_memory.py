"""Which allocator Arrow uses."""

from __future__ import annotations

import pyarrow as pa
import pytest

from warehouse.memory import keep_what_is_freed


@pytest.fixture
def chosen(monkeypatch) -> list[str]:
    pools: list[str] = []
    monkeypatch.setattr(pa, "set_memory_pool", lambda pool: pools.append(pool.backend_name))
    monkeypatch.delenv("ARROW_DEFAULT_MEMORY_POOL", raising=False)
    return pools


def test_arrow_takes_its_memory_from_the_c_library(chosen):
    keep_what_is_freed()
    assert chosen == ["system"]


def test_an_allocator_that_the_environment_names_stays(monkeypatch, chosen):
    monkeypatch.setenv("ARROW_DEFAULT_MEMORY_POOL", "mimalloc")
    keep_what_is_freed()
    assert chosen == []
