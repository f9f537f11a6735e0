"""Great Expectations, kept quiet and quick: an ephemeral context, one suite a table, no telemetry, no progress bars.

Importing it costs seconds (``warehouse/gx_import.py``), so only ``open_batches`` does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from warehouse.gx_import import import_great_expectations
from warehouse.rules import RowRule, TableRule

if TYPE_CHECKING:
    import pandas as pd
    from great_expectations.core.batch_definition import BatchDefinition
    from great_expectations.data_context.data_context.ephemeral_data_context import EphemeralDataContext
    from great_expectations.datasource.fluent.interfaces import Batch
    from great_expectations.expectations.expectation import Expectation
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

Rule = RowRule | TableRule
ResultFormat = Literal["BOOLEAN_ONLY", "COMPLETE"]
Results = dict[str, dict[str, Any]]
"""Great Expectations' own result of each rule, by table and rule; of a broken one, that with its rows."""

_KEPT: ContextVar[Results | None] = ContextVar("kept_results", default=None)


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


def open_batches() -> BatchDefinition[Any]:
    """The batch definition that ``run_suite`` fills with one table after another."""
    asset = open_context().data_sources.add_pandas("tables").add_dataframe_asset("table")
    return asset.add_batch_definition_whole_dataframe("rows")


def open_context(data_docs_sites: dict[str, Any] | None = None) -> EphemeralDataContext:
    """An ephemeral context: it keeps nothing, but for the Data Docs that it is told to build."""
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
        data_docs_sites=data_docs_sites or {},
        analytics_enabled=False,
    )
    return great_expectations.get_context(project_config=config, mode="ephemeral")


@contextmanager
def keeping(kept: Results | None) -> Iterator[None]:
    """What ``run_suite`` finds in here is added to ``kept``, as Great Expectations gives it; None: nothing is kept."""
    token = _KEPT.set(kept)
    try:
        yield
    finally:
        _KEPT.reset(token)


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
        if (kept := _KEPT.get()) is not None:
            kept.setdefault(table, {})[name] = result
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
