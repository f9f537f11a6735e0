"""What Great Expectations is spared, and that it is all there for whoever asks."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import pytest

from warehouse import gx_import
from warehouse.gx_import import _not_installed, _on_demand

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


def test_a_package_that_is_left_out_is_taken_for_not_installed(heavy):
    with _not_installed([heavy]), pytest.raises(ModuleNotFoundError, match=f"{heavy} is left out on purpose"):
        importlib.import_module(heavy)
    assert importlib.import_module(heavy).weight == 7


def test_a_package_that_is_imported_already_is_not_left_out(heavy):
    there = importlib.import_module(heavy)
    with _not_installed([heavy]):
        assert importlib.import_module(heavy) is there


def test_another_thread_finds_what_is_left_out_here(heavy):
    with _not_installed([heavy]), ThreadPoolExecutor(1) as pool:
        assert pool.submit(importlib.import_module, heavy).result().weight == 7


MODELS = """
import sys
from warehouse import gx_import
if sys.argv[1] == "deep":
    from pydantic.v1.utils import smart_deepcopy
    gx_import._copied = smart_deepcopy
gx_import.import_great_expectations()
from pydantic.v1 import BaseModel

def told(field):
    names = [[getattr(v, "__qualname__", str(type(v))) for v in vs or ()]
             for vs in (field.validators, field.pre_validators, field.post_validators)]
    inner = [told(f) for f in (*(field.sub_fields or ()), *([field.key_field] if field.key_field else ()))]
    return (field.name, field.alias, repr(field), str(field.outer_type_), sorted(field.class_validators), names,
            repr(field.field_info), repr(field.model_config.__mro__[:3]), inner)

def below(model):
    for one in model.__subclasses__():
        yield one
        yield from below(one)

def line(model):
    return f"{model.__module__}.{model.__qualname__} {[told(field) for field in model.__fields__.values()]}"

models = sorted({line(model) for model in below(BaseModel)})
print(len(models))
print(*models, sep="\\n")
"""


@pytest.mark.full
def test_models_are_the_same_whichever_way_their_fields_are_copied():
    quick, deep = (
        re.sub(
            r" at 0x[0-9a-f]+",
            "",
            subprocess.run([sys.executable, "-c", MODELS, way], check=True, capture_output=True, text=True).stdout,
        )
        for way in ("quick", "deep")
    )
    assert int(quick.splitlines()[0]) > 100
    assert quick.splitlines() == deep.splitlines()


@pytest.fixture
def not_imported(monkeypatch) -> None:
    monkeypatch.delitem(sys.modules, "great_expectations", raising=False)
    yield
    sys.modules.pop("great_expectations", None)  # the stand-in of a test; monkeypatch puts back what was there


def test_work_goes_on_while_great_expectations_is_imported_and_whoever_needs_it_waits(monkeypatch, not_imported):
    worked, imported = threading.Event(), []

    def slow_import() -> None:
        assert worked.wait(60)
        imported.append(threading.current_thread())
        sys.modules["great_expectations"] = ModuleType("great_expectations")

    monkeypatch.setattr(gx_import, "_import", slow_import)
    with gx_import.importing_meanwhile(), ThreadPoolExecutor(1) as pool:
        needed = pool.submit(gx_import.import_great_expectations)
        assert not needed.done()
        assert not imported
        worked.set()
        needed.result(60)
    assert len(imported) == 1
    assert imported[0] is not threading.current_thread()


def test_an_import_that_fails_meanwhile_fails_where_it_is_needed(monkeypatch, not_imported):
    def broken() -> None:
        raise ImportError("Synthetic")

    monkeypatch.setattr(gx_import, "_import", broken)
    with gx_import.importing_meanwhile():
        pass
    with pytest.raises(ImportError, match="Synthetic"):
        gx_import.import_great_expectations()


def test_what_is_imported_already_is_not_imported_meanwhile(monkeypatch):
    monkeypatch.setitem(sys.modules, "great_expectations", ModuleType("great_expectations"))
    before = threading.active_count()
    with gx_import.importing_meanwhile():
        assert threading.active_count() == before
