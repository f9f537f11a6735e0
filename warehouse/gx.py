"""Great Expectations, kept quiet and quick: an ephemeral context, one suite a table, no telemetry, no progress bars.

Importing it costs seconds, so only ``open_batches`` does, and without what no rule of ours uses.
"""

from __future__ import annotations

import gc
import importlib
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from warehouse.rules import RowRule, TableRule

if TYPE_CHECKING:
    import pandas as pd
    from great_expectations.core.batch_definition import BatchDefinition
    from great_expectations.datasource.fluent.interfaces import Batch
    from great_expectations.expectations.expectation import Expectation
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

Rule = RowRule | TableRule
ResultFormat = Literal["BOOLEAN_ONLY", "COMPLETE"]

# Great Expectations imports these for distributions and their pictures: a third of its import.
_FOR_OTHER_RULES = ("scipy.stats", "altair")


class RuleCouldNotRun(Exception):
    """Great Expectations failed at a rule: neither the data nor the rule is known to be wrong."""

    def __init__(self, table: str, rule: str, problem: str) -> None:
        self.table, self.rule, self.problem = table, rule, problem
        super().__init__(
            f"Rule {rule} of table {table} could not be run: {problem}. Nothing was published. This is a fault of "
            "cptflow or of its great-expectations version (see cptflow doctor), not of the pages."
        )


@dataclass(frozen=True, slots=True)
class Broken:
    """A rule that does not hold. ``rows``: places of the rows that break it, for a row rule, in rising order.
    ``observed``: what a table rule found."""

    rule: Rule
    rows: list[int]
    observed: float


def import_great_expectations() -> None:
    """The import by itself: the seconds that it takes are a large part of a small run."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    with warnings.catch_warnings(), _on_demand(_FOR_OTHER_RULES), _no_collections():
        warnings.simplefilter("ignore")
        importlib.import_module("great_expectations")


def open_batches() -> BatchDefinition[Any]:
    """The batch definition that ``run_suite`` fills with one table after another."""
    import_great_expectations()
    import great_expectations
    from great_expectations.data_context.types import base
    from great_expectations.execution_engine import pandas_execution_engine

    # Frames of up to so many bytes are hashed, twice, for a fingerprint that nobody reads: a third of a large run.
    pandas_execution_engine.HASH_THRESHOLD = 0
    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    config = base.DataContextConfig(
        store_backend_defaults=base.InMemoryStoreBackendDefaults(),
        progress_bars=base.ProgressBarsConfig(globally=False),
        analytics_enabled=False,
    )
    context = great_expectations.get_context(project_config=config, mode="ephemeral")
    asset = context.data_sources.add_pandas("tables").add_dataframe_asset("table")
    return asset.add_batch_definition_whole_dataframe("rows")


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


@contextmanager
def _no_collections() -> Iterator[None]:
    """Modules are no garbage; looking for some costs a tenth of the import."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def run_suite(batches: BatchDefinition[Any], table: str, frame: pd.DataFrame, rules: Sequence[Rule]) -> list[Broken]:
    """Run ``rules`` over ``frame``; the broken ones, in their order. Raises RuleCouldNotRun.

    All rules are asked for yes or no only, which is quick; those that fail are asked again for the rows.
    """
    batch = batches.get_batch(batch_parameters={"dataframe": frame})
    by_name = {rule.name: rule for rule in rules}
    failed = [by_name[name] for name, _ in _failing(batch, table, rules, "BOOLEAN_ONLY")]
    if not failed:
        return []
    found = dict(_failing(batch, table, failed, "COMPLETE"))
    return [Broken(rule, *_evidence(found[rule.name])) for rule in failed]


def _failing(
    batch: Batch, table: str, rules: Sequence[Rule], result_format: ResultFormat
) -> list[tuple[str, dict[str, Any]]]:
    from great_expectations import ExpectationSuite

    suite = ExpectationSuite(
        name=table,
        expectations=[_quick(rule.expectation)(**rule.arguments, meta={"rule": rule.name}) for rule in rules],
    )
    failing = []
    for result in batch.validate(suite, result_format=result_format).results:
        name = result.expectation_config.meta["rule"]  # type: ignore[union-attr]
        if result.exception_info.get("raised_exception") is not False:
            raise RuleCouldNotRun(table, name, _problem(result.exception_info))
        if not result.success:
            failing.append((name, result.result))
    return failing


@cache
def _quick(name: str) -> Callable[..., Expectation]:
    """The expectation class ``name``, made to work out its configuration once and not some eighty times a rule: a
    third of the time that a small run spends here. Our expectations never change after they are made."""
    from great_expectations import expectations
    from great_expectations.compatibility.pydantic import PrivateAttr

    base = getattr(expectations, name)

    def configuration(expectation: Expectation) -> ExpectationConfiguration:
        if expectation._known is None:  # type: ignore[attr-defined]
            expectation._known = base.configuration.fget(expectation)  # type: ignore[attr-defined]
        return expectation._known  # type: ignore[attr-defined, no-any-return]

    members = {"__module__": __name__, "_known": PrivateAttr(None), "configuration": property(configuration)}
    return type(base)(name, (base,), members)  # type: ignore[no-any-return]  # under its own name: GX looks it up


def _evidence(result: dict[str, Any]) -> tuple[list[int], float]:
    rows = sorted(int(place) for place in result.get("unexpected_index_list") or ())
    return rows, result.get("observed_value", len(rows))


def _problem(exception_info: dict[str, Any]) -> str:
    """Great Expectations keys its exceptions by metric, or has one at the top."""
    inner = [info for info in exception_info.values() if isinstance(info, dict)] or [exception_info]
    return "; ".join(str(info.get("exception_message")) for info in inner)
