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


def test_arrow_keeps_what_is_freed_where_it_can(monkeypatch, chosen):
    monkeypatch.setattr(pa, "supported_memory_backends", lambda: ["mimalloc", "jemalloc", "system"])
    monkeypatch.setattr(pa, "jemalloc_memory_pool", pa.system_memory_pool)  # which not every Arrow has
    keep_what_is_freed()
    assert chosen == ["system"]


def test_an_arrow_without_that_allocator_stays_as_it_is(monkeypatch, chosen):
    monkeypatch.setattr(pa, "supported_memory_backends", lambda: ["mimalloc", "system"])
    keep_what_is_freed()
    assert chosen == []


def test_an_allocator_that_the_environment_names_stays(monkeypatch, chosen):
    monkeypatch.setenv("ARROW_DEFAULT_MEMORY_POOL", "mimalloc")
    keep_what_is_freed()
    assert chosen == []
