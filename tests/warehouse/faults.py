"""One planted fault for every row rule, each in a row of its own, with a value just inside beside it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from warehouse.rules import row_rules
from warehouse.tables import (
    BOOL,
    CODE_OR_RANGE_PATTERN,
    CODE_PATTERN,
    CODES,
    DATE,
    DOCUMENTS,
    EVENT_ID_PATTERN,
    FACTS,
    INDICATORS_TABLE,
    INT32,
    INT64,
    MODIFIER_PATTERN,
    NAME_PATTERN,
    RELATED_CODES,
    SHA256_PATTERN,
    SNAPSHOT_ID_PATTERN,
    STRING,
    TABLE_LIST_PATTERN,
    TIMESTAMP,
    UNMAPPED,
    Column,
    Table,
)

AS_OF = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
FIRST = dt.date(1966, 1, 1)
LAST = dt.date(2028, 3, 1)
# For each pattern: what does not match and what does, both as near to the line as may be.
NEAR = {
    CODE_PATTERN: ("W0001", "V0001"),
    CODE_OR_RANGE_PATTERN: ("0748T-", "0748T-0750T"),
    SHA256_PATTERN: ("0" * 63, "0" * 64),
    MODIFIER_PATTERN: ("tc", "TC"),
    NAME_PATTERN: ("1st", "first_1"),
    TABLE_LIST_PATTERN: ("codes,", ""),
    EVENT_ID_PATTERN: ("0" * 31, "0" * 32),
    SNAPSHOT_ID_PATTERN: ("20260301T120000Z-0123abc", "20260301T120000Z-0123abcd"),
}
# Columns that other rules tie to other columns.
TIED = ("code", "source", "code_system", "category", "blocks", "claimed", "set_aside", "unmapped")


@dataclass(frozen=True)
class Fault:
    """``bad`` and ``good``: values that break ``rule`` of ``table`` and that just do not; ``row``: where they go."""

    table: Table
    rule: str
    row: int
    bad: dict[str, Any]
    good: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.table.name}.{self.rule}" + ("" if all(v is not None for v in self.bad.values()) else ".missing")


def faults(tables: dict[str, pa.Table]) -> list[Fault]:
    """A fault for each row rule of each table that has rows to hold back, and one for each missing required value."""
    found = []
    for table in (CODES, *FACTS, DOCUMENTS, UNMAPPED):
        rows = iter(range(tables[table.name].num_rows))
        for rule, bad, good in [*_forms(table), *_missing(table), *_own(table)]:
            found.append(Fault(table, rule, next(rows), bad, good))
    return found


def planted(tables: dict[str, pa.Table], faults: Sequence[Fault], which: str) -> dict[str, pa.Table]:
    """``tables`` with the ``bad`` or the ``good`` values of ``faults``."""
    made = dict(tables)
    for table in (CODES, *FACTS, DOCUMENTS, UNMAPPED):
        rows = tables[table.name].to_pylist()
        for fault in faults:
            if fault.table is table:
                rows[fault.row] |= getattr(fault, which)
        made[table.name] = pa.Table.from_pylist(rows, schema=table.schema)
    return made


def _forms(table: Table) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    by_column = _form_rules(table)
    for column in table.columns:
        if column.name not in by_column or column.type == BOOL:
            continue  # a boolean can only be missing
        bad, good = _near(table, column)
        good_values = {column.name: good}
        if column.name in (*table.key, *TIED):
            good_values = {}  # other rules tie it to other columns: the row as it is stands for what passes
        if table is INDICATORS_TABLE and column.name == "value_code":
            good_values |= {"indicator": "betos"}  # an indicator without a closed list of values
        if table is CODES and column.name == "deleted_on":
            good_values |= {"added_on": None}
        yield by_column[column.name], {column.name: bad}, good_values


def _form_rules(table: Table) -> dict[str, str]:
    """Column -> the rule of its form."""
    forms = ("form", "known", "length", "plausible")
    by_name = {rule.name: rule for rule in row_rules(table, AS_OF)}
    names = ((c.name, f"{c.name}_{form}") for c in table.columns for form in forms)
    own = ("document_known", "code_known")
    return {column: name for column, name in names if name in by_name and name not in own}


def _near(table: Table, column: Column) -> tuple[Any, Any]:
    if table is CODES and column.name == "pctc_code":
        return "10", "9"
    if column.values is not None:
        return column.values[0] + "x", column.values[-1]
    if column.pattern is not None:
        return NEAR[column.pattern]
    if table is CODES and column.name.endswith("_code"):
        return "x" * 9, None
    if column.type == STRING:
        assert column.max_length is not None
        return "x" * (column.max_length + 1), "x" * column.max_length
    if column.type == DATE:
        return FIRST - dt.timedelta(1), FIRST
    if column.type == TIMESTAMP:
        noon = dt.datetime(1966, 1, 1, tzinfo=dt.UTC)
        return noon - dt.timedelta(microseconds=1), noon
    if column.name == "year":
        return 2029, 2028
    assert column.type in (INT32, INT64)
    return (column.minimum or 0) - 1, column.minimum or 0


def _missing(table: Table) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    by_column = _form_rules(table)
    for column in table.columns:
        if not column.nullable and column.name in by_column:
            yield by_column[column.name], {column.name: None}, {}


def _own(table: Table) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    if table in FACTS or table is UNMAPPED:
        yield "document_known", {"document_id": "f" * 64}, {}
    if table in FACTS:
        yield "document_known", {"source": "elsewhere"}, {}
        yield "code_known", {"code": "99999"}, {}
    if table is CODES:
        yield "category_agrees", {"category": "II"}, {"category": "I"}
        yield "category_agrees", {"code_system": "HCPCS"}, {"code_system": "CPT"}
        dates = {"added_on": dt.date(2020, 1, 2), "deleted_on": dt.date(2020, 1, 2)}
        yield "dates_in_order", dates | {"deleted_on": dt.date(2020, 1, 1)}, dates
        yield "deleted_on_plausible", {"deleted_on": LAST + dt.timedelta(2)}, {"deleted_on": LAST + dt.timedelta(1)}
    if table.name == "history_events":
        yield "event_on_plausible", {"event_on": LAST + dt.timedelta(1)}, {"event_on": LAST}
        yield "event_on_plausible", {"event_on": FIRST - dt.timedelta(1)}, {"event_on": FIRST}
    if table is INDICATORS_TABLE:
        yield "setting_known", {"indicator": "pctc", "value_code": "Z"}, {"indicator": "pctc", "value_code": "9"}
    if table is RELATED_CODES:
        cpt = {"related_system": "CPT"}
        yield "related_code_form", cpt | {"related_code": "9921"}, cpt | {"related_code": "99213-99215"}
        icd = {"related_system": "ICD-10-CM"}
        yield "foreign_code_form", icd | {"related_code": "fever"}, icd | {"related_code": "A00.0"}
    if table is DOCUMENTS:
        # Just inside are pages that were not read: the clean tables have one without source and code.
        yield "read_page_named", {"code": None, "outcome": "parsed"}, {}
        yield "read_page_named", {"source": None, "outcome": "partial"}, {}
        yield "blocks_add_up", {"blocks": 7, "claimed": 4, "set_aside": 1, "unmapped": 1}, {
            "blocks": 6, "claimed": 4, "set_aside": 1, "unmapped": 1
        }  # fmt: skip
