"""The rules of a snapshot as its quality report tells them: what was checked, what broke, with examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from warehouse.limits import BANDS
from warehouse.tables import SEVERITIES, STRING

EXAMPLES = 5
RULES_WITH_EXAMPLES = 20
"""Of more, the rest is told without: a page that nobody can open tells nothing."""


@dataclass(frozen=True, slots=True)
class Example:
    """A row that breaks a rule. ``column``: None where the row as a whole is at fault."""

    row_key: str
    column: str | None
    value: str | None
    url: str | None


@dataclass(frozen=True, slots=True)
class Broken:
    """A rule that does not hold. ``rows`` break it; ``allowed`` may before publication stops, None: any number.

    ``of_parser``: a parser's warning, which no suite declares.
    """

    table: str
    rule: str
    severity: str
    rows: int
    allowed: int | None
    message: str
    of_parser: bool
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class Check:
    """A rule that was checked."""

    table: str
    rule: str
    severity: str
    success: bool
    broken_rows: int
    allowed: int | None


@dataclass(frozen=True, slots=True)
class Band:
    """A comparison with the parent snapshot. ``what`` is the measure that is furthest out, or nearest to an edge where
    all of the ``measures`` are inside; ``unit``: rows, codes or share (0 to 1)."""

    rule: str
    source: str
    severity: str
    success: bool
    accepted: bool
    measures: int
    what: str
    unit: str
    value: float
    before: float | None
    low: float | None
    high: float | None
    message: str


def bands(suites: Sequence[Mapping[str, Any]], parent: str | None) -> tuple[Band, ...]:
    """The comparisons with ``parent``, those outside their band first; a restored snapshot brings older ones along."""
    names = Band.__dataclass_fields__
    rules = [
        rule
        for suite in suites
        if suite["table"] == BANDS and suite.get("parent", parent) == parent
        for rule in suite["rules"]
    ]
    found = [Band(**{name: rule.get(name) for name in names}) for rule in rules if rule.get("value") is not None]
    return tuple(sorted(found, key=lambda band: (band.success, band.severity != "critical")))


def checks(suites: Sequence[Mapping[str, Any]]) -> tuple[Check, ...]:
    """All rules of tables, in their order."""
    return tuple(
        Check(
            suite["table"],
            rule["rule"],
            rule["severity"],
            rule["success"],
            rule.get("broken_rows", 0),
            rule.get("allowed_rows"),
        )
        for suite in suites
        if suite["table"] != BANDS
        for rule in suite["rules"]
    )


def broken_rules(quarantine: pa.Table, documents: pa.Table, suites: Sequence[Mapping[str, Any]]) -> tuple[Broken, ...]:
    """Rules that broke, the gravest and most frequent first, with rows of ``quarantine`` and their pages' addresses."""
    declared = {(check.table, check.rule): check for check in checks(suites)}
    quarantine = quarantine.combine_chunks()  # else each take copies it all
    rows = _rows_by_rule(quarantine)
    counted = [(*place, len(places)) for place, places in rows.items()]
    told = {place[:2] for place in rows}
    counted += [
        (*place, check.severity, check.broken_rows)
        for place, check in declared.items()
        if not check.success and place not in told
    ]
    found: list[Broken] = []
    for table, rule, severity, count in sorted(counted, key=_gravity):
        shown = EXAMPLES if len(found) < RULES_WITH_EXAMPLES else 0
        first = rows.get((table, rule, severity), [])[: shown or 1]
        broken = quarantine.take(pa.array(first, pa.int64())).to_pylist()
        check = declared.get((table, rule))
        found.append(
            Broken(
                table,
                rule,
                severity,
                count,
                allowed=check.allowed if check else None,
                message=broken[0]["message"] if broken else "",
                of_parser=check is None,
                examples=_examples(broken[:shown], documents),
            )
        )
    return tuple(found)


def _gravity(counted: tuple[str, str, str, int]) -> tuple[int, int, str, str]:
    table, rule, severity, rows = counted
    return SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES), -rows, table, rule


def _rows_by_rule(quarantine: pa.Table) -> dict[tuple[str, str, str], list[int]]:
    """The places of the rows of each table, rule and severity, in rising order."""
    names = ["table_name", "rule", "severity"]
    numbered = quarantine.select(names).append_column("_row", pa.array(range(quarantine.num_rows), pa.int64()))
    grouped = numbered.group_by(names).aggregate([("_row", "list")])
    return {tuple(row[name] for name in names): sorted(row["_row_list"]) for row in grouped.to_pylist()}


def _examples(rows: Sequence[Mapping[str, Any]], documents: pa.Table) -> tuple[Example, ...]:
    ids = pa.array([row["document_id"] for row in rows], STRING)
    pages = documents.filter(pc.is_in(documents["document_id"], value_set=ids))
    urls: dict[str, str] = {}
    for document_id, url in zip(pages["document_id"].to_pylist(), pages["url"].to_pylist(), strict=True):
        urls[document_id] = min(url, urls.get(document_id, url))
    return tuple(
        Example(row["row_key"], row["column_name"], row["value"], urls.get(row["document_id"] or "")) for row in rows
    )
