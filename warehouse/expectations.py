"""Run the rules: which rows are held back, and whether the tables may be published at all."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from parsers.records import GOOD_OUTCOMES
from warehouse import quarantine
from warehouse.codes import VALUE_TABLES, derive_codes
from warehouse.columnar import as_text, joined
from warehouse.frames import frame
from warehouse.gx import Broken, Rule, open_batches, run_suite
from warehouse.rules import RowRule, TableRule, row_rules, table_rules
from warehouse.tables import (
    CHANGES,
    CODE_VERSIONS,
    CODES,
    DOCUMENTS,
    FACTS,
    QUARANTINE,
    SNAPSHOT,
    STRING,
    UNMAPPED,
    Table,
)

_EXAMPLES = 3
_ADVICE = "Look at their pages with `cptflow parse`: when so many break it, a site has changed or a parser is wrong."
_OUR_FAULT = (
    "These are conclusions of cptflow's own: it is at fault, not the pages. Nothing was lost; please report it."
)
# A table of another shape never gets as far as a suite: see `_misshapen`.
_AS_DECLARED = {
    "rule": "schema",
    "expectation": "pyarrow.Schema",
    "severity": "critical",
    "success": True,
    "broken_rows": 0,
    "allowed_rows": 0,
}


@dataclass(frozen=True, slots=True)
class Codes:
    """Codes that a mass change is about. ``kind``: added, deleted or changed. ``codes``: the first of ``number``."""

    kind: str
    number: int
    codes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stop:
    """A reason not to publish. ``observed`` and ``limit`` count rows. ``accept``: the name by which a person lets it
    pass, where one may."""

    rule: str
    table: str
    observed: float
    limit: float
    message: str
    accept: str | None = None
    codes: tuple[Codes, ...] = ()


@dataclass(frozen=True, slots=True)
class Validation:
    """``tables``: without the rows that were held back; ``quarantine`` says which, and why. ``suites``: one summary a
    table, ready for JSON. ``stopped``: empty where the tables may be published."""

    tables: dict[str, pa.Table]
    suites: list[dict[str, Any]]
    stopped: list[Stop]


def validate(tables: Mapping[str, pa.Table], as_of: dt.datetime, trust: Sequence[str]) -> Validation:
    """Check assembled ``tables`` (all but changes and snapshot) and hold back the rows that break a critical rule.

    Values in ``codes`` that came from rows held back are taken again from what is left, in the order of ``trust``.
    Raises RuleCouldNotRun.
    """
    checked = (CODES, *FACTS, DOCUMENTS, UNMAPPED, QUARANTINE)
    if misshapen := _misshapen(checked, tables):
        return Validation(dict(tables), [], misshapen)
    run = _Run(open_batches(), as_of, dict(tables))
    _check(run, DOCUMENTS)
    _check(run, CODES, _holds_back)  # which codes there are; what they hold comes from the facts
    for table in (*FACTS, UNMAPPED):
        _check(run, table)
    if any(run.suites[name]["held_back"] for name in VALUE_TABLES):
        run.tables[CODES.name] = derive_codes(run.tables[CODES.name], run.tables, trust, as_of)
    _check(run, CODES, lambda rule: not _holds_back(rule))
    run.tables[QUARANTINE.name] = quarantine.merged([tables[QUARANTINE.name], *run.told])
    _check(run, QUARANTINE)
    return Validation(run.tables, [run.suites[table.name] for table in checked], run.stopped)


def validate_run_tables(tables: Mapping[str, pa.Table], valid_from: dt.datetime) -> Validation:
    """Check the tables that are made after ``validate``, since they depend on the parent: no row may break a rule.

    ``tables``: all tables of the snapshot that is to be. ``valid_from``: its own, not its as-of time: they tell of the
    parent's values too, whose pages may be younger. Raises RuleCouldNotRun.
    """
    checked = (CHANGES, CODE_VERSIONS, SNAPSHOT)
    if misshapen := _misshapen(checked, tables):
        return Validation(dict(tables), [], misshapen)
    run = _Run(open_batches(), valid_from, dict(tables))
    for table in checked:
        _check(run, table)
    return Validation(run.tables, [run.suites[table.name] for table in checked], run.stopped)


@dataclass(slots=True)
class _Run:
    """``tables`` lose their held-back rows one after the other, so that each is checked against what is left."""

    batches: Any
    as_of: dt.datetime
    tables: dict[str, pa.Table]
    suites: dict[str, dict[str, Any]] = field(default_factory=dict)
    told: list[pa.Table] = field(default_factory=list)
    stopped: list[Stop] = field(default_factory=list)


def _holds_back(rule: Rule) -> bool:
    return isinstance(rule, TableRule) or rule.holds_back


def _check(run: _Run, table: Table, wanted: Callable[[Rule], bool] = lambda rule: True) -> None:
    """Run the ``wanted`` rules of ``table``; hold back rows, tell of them, and note reasons to stop."""
    rows = run.tables[table.name]
    pages, codes = _readable_pages(run.tables), run.tables[CODES.name].num_rows
    all_rules: list[Rule] = [*row_rules(table, run.as_of), *table_rules(table, pages, codes)]
    rules = [rule for rule in all_rules if wanted(rule)]
    broken = run_suite(run.batches, table.name, frame(table, rows, run.tables, run.as_of), rules)
    held: set[int] = set()
    for one in broken:
        if isinstance(one.rule, TableRule):
            run.stopped.append(_stop_of_table(one.rule, one))
            continue
        if stop := _stop_of_rows(table, one.rule, one, rows):
            run.stopped.append(stop)
        run.told.append(quarantine.told(table, one.rule, rows.take(pa.array(one.rows, pa.int64()))))
        if one.rule.holds_back:
            held.update(one.rows)
    if held:
        run.tables[table.name] = _without(rows, held)
    summary = _summary(table, rules, broken, rows.num_rows, len(held))
    if before := run.suites.get(table.name):
        summary = before | {
            "success": before["success"] and summary["success"],
            "rules": before["rules"] + summary["rules"],
        }
    else:
        summary["rules"].insert(0, _AS_DECLARED)
    run.suites[table.name] = summary


def _readable_pages(tables: Mapping[str, pa.Table]) -> int:
    documents = tables[DOCUMENTS.name]
    read = pc.is_in(documents["outcome"], value_set=pa.array(GOOD_OUTCOMES, STRING))
    count: int = pc.sum(pc.and_(read, pc.not_equal(documents["covered_tables"], ""))).as_py() or 0
    return count


def _without(rows: pa.Table, places: set[int]) -> pa.Table:
    all_places = pa.array(range(rows.num_rows), pa.int64())
    held = pc.is_in(all_places, value_set=pa.array(sorted(places), pa.int64()))
    return rows.filter(pc.invert(held)).combine_chunks()


def _stop_of_rows(table: Table, rule: RowRule, broken: Broken, rows: pa.Table) -> Stop | None:
    count, allowed = len(broken.rows), rule.allowed(rows.num_rows)
    if allowed is None or count <= allowed:
        return None
    first = rows.take(pa.array(broken.rows[:_EXAMPLES], pa.int64()))
    keys = joined(first, table.key).to_pylist()
    values = as_text(first[rule.columns[0]]).to_pylist()
    examples = "; ".join(f"{key[:100]!a}: {(value or '')[:100]!a}" for key, value in zip(keys, values, strict=True))
    share = f"{count / rows.num_rows:.1%}"
    limit = f"{allowed} ({rule.limit_in_force})" if allowed else "none"
    message = (
        f"{table.name}.{rule.name}: {count} of {rows.num_rows} rows ({share}) break the rule, {limit} may. "
        f"The rule: {rule.message}. First of them: {examples}. {_ADVICE if allowed else _OUR_FAULT}"
    )
    return Stop(rule.name, table.name, count, allowed, message)


def _stop_of_table(rule: TableRule, broken: Broken) -> Stop:
    message = f"{rule.table}.{rule.name}: {rule.message}. Rows expected: {rule.limit}; found: {broken.observed:g}."
    return Stop(rule.name, rule.table, broken.observed, rule.limit, message)


def _misshapen(checked: Sequence[Table], tables: Mapping[str, pa.Table]) -> list[Stop]:
    """Tables that are not as declared. Great Expectations sees pandas types, so this is asked of Arrow."""
    stops = []
    for table in checked:
        found = {field.name: field for field in tables.get(table.name, pa.table({})).schema}
        declared = {field.name: field for field in table.schema}
        wrong = [f"{name} is missing" for name in declared if name not in found]
        wrong += [f"{name} is not declared" for name in found if name not in declared]
        wrong += [
            f"{name} is {_shape(field)}, declared {_shape(declared[name])}"
            for name, field in found.items()
            if name in declared and not field.equals(declared[name])
        ]
        if not wrong and list(found) != list(declared):
            wrong = [f"columns stand in the order {', '.join(found)}"]
        if wrong:
            message = f"{table.name}.schema: the table is not as declared in warehouse/tables.py: {'; '.join(wrong)}."
            stops.append(Stop("schema", table.name, len(wrong), 0, message))
    return stops


def _shape(field: pa.Field) -> str:
    return f"{field.type}{'' if field.nullable else ', required'}"


def _summary(
    table: Table, rules: Sequence[Rule], broken: Sequence[Broken], rows: int, held_back: int
) -> dict[str, Any]:
    found = {one.rule.name: one for one in broken}
    return {
        "table": table.name,
        "rows": rows,
        "held_back": held_back,
        "success": not broken,
        "rules": [
            {
                "rule": rule.name,
                "expectation": rule.expectation,
                "severity": rule.severity,
                "success": rule.name not in found,
                "broken_rows": len(found[rule.name].rows) if rule.name in found else 0,
                "allowed_rows": rule.allowed(rows) if isinstance(rule, RowRule) else 0,
            }
            for rule in rules
        ],
    }
