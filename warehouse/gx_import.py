"""Importing Great Expectations, which costs seconds: in a third of its time, and only where something is validated.

Left out is what no rule of ours uses. What goes on demand is imported when something asks for it; what Great
Expectations takes for not installed stays so in this process, unless somebody imported it before.
"""

from __future__ import annotations

import copy
import gc
import importlib
import importlib.abc
import os
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic.v1.fields import ModelField

# Great Expectations imports these for distributions and their pictures: a third of its import.
_FOR_OTHER_RULES = ("scipy.stats", "altair")
# It does without these where they are not installed: databases and stores that no table of ours is in. A third, too.
_FOR_OTHER_STORES = ("azure", "boto3", "botocore", "google", "pyspark", "snowflake", "sqlalchemy")
_IMPORTING = threading.Lock()


def import_great_expectations() -> None:
    """The import by itself: the seconds that it takes are a large part of a small run."""
    with _IMPORTING:  # another thread may be at it
        if "great_expectations" not in sys.modules:
            _import()


@contextmanager
def importing_meanwhile() -> Iterator[None]:
    """Import it in another thread, beside work that leaves the interpreter idle; it is there at the end.

    What that import raises is raised where Great Expectations is needed, by the next one.
    """
    if "great_expectations" in sys.modules:
        yield
        return
    thread = threading.Thread(target=_tried, name="import-great-expectations")
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _tried() -> None:
    with suppress(Exception):
        import_great_expectations()


def _import() -> None:
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.enter_context(_on_demand(_FOR_OTHER_RULES))
        stack.enter_context(_not_installed(_FOR_OTHER_STORES))
        stack.enter_context(_fields_copied_quickly())
        stack.enter_context(_no_collections())
        importlib.import_module("great_expectations")


@contextmanager
def _no_collections() -> Iterator[None]:
    """Modules are no garbage: looking for some costs a tenth of the import, and as much again after it."""
    enabled = gc.isenabled()
    gc.collect()  # what is there in the end is looked at no more
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()


class _OnDemand(ModuleType):
    """Stands in for a module, and imports it when something of it is asked for."""

    def __getattr__(self, name: str) -> object:
        _withdraw(self)
        return getattr(importlib.import_module(self.__name__), name)


def _withdraw(stand_in: ModuleType) -> None:
    if sys.modules.get(stand_in.__name__) is stand_in:
        del sys.modules[stand_in.__name__]


@contextmanager
def _on_demand(names: Sequence[str]) -> Iterator[None]:
    """What is imported in here imports modules of these ``names`` only when it uses them."""
    absent = [_OnDemand(name) for name in names if name not in sys.modules]
    sys.modules.update((stand_in.__name__, stand_in) for stand_in in absent)
    try:
        yield
    finally:
        for stand_in in absent:
            _withdraw(stand_in)


class _NotInstalled(importlib.abc.MetaPathFinder):
    """Finds nothing of these ``names``, for the thread that made it."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names, self._thread = frozenset(names), threading.get_ident()

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        if fullname in self._names and threading.get_ident() == self._thread:
            raise ModuleNotFoundError(f"{fullname} is left out on purpose", name=fullname)


@contextmanager
def _not_installed(names: Sequence[str]) -> Iterator[None]:
    """What is imported in here, in this thread, finds none of these packages, but those that are imported already."""
    finder = _NotInstalled([name for name in names if name not in sys.modules])
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


@contextmanager
def _fields_copied_quickly() -> Iterator[None]:
    """Great Expectations makes hundreds of pydantic models, and pydantic a deep copy of all the fields of the base of
    each: a third of the import. In here it copies what a model may change of a field, and no more."""
    main: Any = importlib.import_module("pydantic.v1.main")
    deep = main.smart_deepcopy
    main.smart_deepcopy = _copied
    try:
        yield
    finally:
        main.smart_deepcopy = deep


def _copied(value: object) -> object:
    """A copy of the fields of a pydantic model, by name; of anything else a deep copy."""
    from pydantic.v1.fields import ModelField
    from pydantic.v1.utils import smart_deepcopy

    if type(value) is dict and all(
        type(field) is ModelField and not field.sub_fields_mapping for field in value.values()
    ):
        return {name: _twin(field) for name, field in value.items()}
    return smart_deepcopy(value)


def _twin(field: ModelField) -> ModelField:
    twin = copy.copy(field)
    twin.class_validators = dict(field.class_validators)
    twin.field_info = copy.copy(field.field_info)
    twin.field_info.extra = dict(field.field_info.extra)
    twin.default = copy.deepcopy(field.default)
    twin.sub_fields = field.sub_fields and [_twin(inner) for inner in field.sub_fields]
    twin.key_field = field.key_field and _twin(field.key_field)
    return twin
