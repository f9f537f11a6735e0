"""What Great Expectations is spared, and that it is all there for whoever asks."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

import pytest

from warehouse.gx import _on_demand

NAME = "synthetic_heavy_module"


@pytest.fixture
def heavy(tmp_path, monkeypatch) -> str:
    """A module that can be imported, and is not yet."""
    (tmp_path / f"{NAME}.py").write_text("weight = 7\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, NAME, raising=False)
    yield NAME
    sys.modules.pop(NAME, None)


def file_of(module: ModuleType) -> str | None:
    return vars(module).get("__file__")


def test_a_module_that_nobody_uses_is_not_imported(heavy):
    with _on_demand([heavy]):
        module = importlib.import_module(heavy)
    assert file_of(module) is None
    assert heavy not in sys.modules


def test_what_was_imported_for_later_is_there_when_it_is_asked_for(heavy):
    with _on_demand([heavy]):
        module = importlib.import_module(heavy)
    assert module.weight == 7
    assert importlib.import_module(heavy).__file__.endswith(f"{heavy}.py")


def test_what_is_asked_for_at_once_is_imported_at_once(heavy):
    with _on_demand([heavy]):
        assert importlib.import_module(heavy).weight == 7
        assert file_of(importlib.import_module(heavy)).endswith(f"{heavy}.py")
    assert sys.modules[heavy].weight == 7


def test_a_module_that_is_there_already_stays(heavy):
    there = importlib.import_module(heavy)
    with _on_demand([heavy]):
        assert importlib.import_module(heavy) is there
    assert sys.modules[heavy] is there
