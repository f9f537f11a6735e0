"""Planted faults for every rule of a table, each with something just inside beside it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from tests.warehouse.invented import day
from warehouse.rules import LONGEST, row_rules
from warehouse.tables import (
    BOOL,
    BY_NAME,
    CHANGES,
    CODE_OR_RANGE_PATTERN,
    CODE_PATTERN,
    CODE_VERSIONS,
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
    QUARANTINE,
    RELATED_CODES,
    SHA256_PATTERN,
    SNAPSHOT,
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
OWN_CODE = "the code of the row"
# Columns that other rules tie to other columns.
COUNTED = ("codes", "documents", "changes")
TIED = ("code", "source", "code_system", "category", "blocks", "claimed", "set_aside", "unmapped")


@dataclass(frozen=True)
class Fault:
    """``bad`` and ``good``: values that break ``rule`` of ``table`` and that just do not; ``row``: where they go.

    ``added``: they go in a copy of the row, at the end.
    """

    table: Table
    rule: str
    row: int
    bad: dict[str, Any]
    good: dict[str, Any]
    added: bool = False

    def __str__(self) -> str:
        return f"{self.table.name}.{self.rule}" + ("" if all(v is not None for v in self.bad.values()) else ".missing")


def faults(tables: dict[str, pa.Table]) -> list[Fault]:
    """A fault for each row rule of each table that has rows to hold back, and one for each missing required value."""
    found = []
    for table in (CODES, *FACTS, DOCUMENTS, UNMAPPED):
        for row, (rule, bad, good) in enumerate([*_forms(table), *_missing(table), *_own(table)]):
            if bad.get("related_code") == OWN_CODE:
                bad = bad | {"related_code": tables[table.name]["code"][row].as_py()}
            found.append(Fault(table, rule, row, bad, good))
    return found


def faults_of_our_tables() -> list[Fault]:
    """The same for the tables that we make, no row of which may break a rule; all in their first row."""
    return [
        Fault(table, rule, 0, bad, good)
        for table in (QUARANTINE, CHANGES, CODE_VERSIONS, SNAPSHOT)
        for rule, bad, good in [*_forms(table), *_missing(table), *_own(table)]
    ]


# What is another row, by a single column of the key.
APART = {
    "codes": {"code": "99999"},
    "descriptors": {"kind": "overview"},
    "indicators": {"indicator": "betos"},
    "history_events": {"ordinal": 2},
    "narratives": {"ordinal": 3},
    "attributes": {"ordinal": 3},
    "modifiers": {"modifier": "59"},
    "related_codes": {"related_code": "A00.1"},
    "notices": {"ordinal": 2},
    "documents": {"url": "https://other.example"},
    "unmapped": {"block": 1},
    "quarantine": {"rule": "other"},
    "changes": {"event_id": "f" * 32},
    "code_versions": {"version": 9},
    "snapshot": {"snapshot_id": "20260301T120000Z-ffffffff"},
}


def faults_of_keys() -> list[Fault]:
    """For each table, a row that stands twice."""
    return [Fault(BY_NAME[name], "key_unique", 0, {}, apart, added=True) for name, apart in APART.items()]


def planted_alone(tables: dict[str, pa.Table], fault: Fault, which: str) -> dict[str, pa.Table]:
    """``tables`` with the ``bad`` or the ``good`` values of one fault."""
    rows = tables[fault.table.name]
    changed = rows.slice(fault.row, 1).to_pylist()[0] | getattr(fault, which)
    row = pa.Table.from_pylist([changed], schema=fault.table.schema)
    kept = rows if fault.added else pa.concat_tables([rows.slice(0, fault.row), rows.slice(fault.row + 1)])
    parts = [kept, row] if fault.added else [kept.slice(0, fault.row), row, kept.slice(fault.row)]
    return {**tables, fault.table.name: pa.concat_tables(parts).combine_chunks()}


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
        if table is CHANGES and column.name == "parent_snapshot_id":
            good_values = {}  # it must be the snapshot's
        if table is CHANGES and column.name == "before":
            good_values |= {"after": None}
        if table is SNAPSHOT and column.name in COUNTED:
            good_values = {}  # it must be the number of rows
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
        longest = column.max_length or LONGEST
        return "x" * (longest + 1), "x" * longest
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
        ended = {"status": "deleted", "deleted_on": dt.date(2026, 3, 2)}
        yield "deleted_has_evidence", ended, ended | {"deleted_on": dt.date(2026, 3, 1)}
        yield "deleted_has_evidence", {"status": "deleted", "deleted_on": None}, {"status": "unknown"}
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
        replaced = {"relation": "replaced_by", "related_code": "00059"}
        other = {"related_code": "00058"}  # no two rows of one code become the same
        yield "replacement_system", icd | replaced | {"related_code": "A00.1"}, cpt | replaced
        yield "replacement_other", cpt | replaced | {"related_code": OWN_CODE}, cpt | replaced | other
        unknown = {"related_code": "99999"}
        yield "replacement_known", cpt | replaced | unknown, cpt | replaced | {"related_code": "00057"}
        yield "foreign_code_form", icd | {"related_code": "fever"}, icd | {"related_code": "A00.0"}
    if table is DOCUMENTS:
        # Just inside are pages that were not read: the clean tables have one without source and code.
        yield "read_page_named", {"code": None, "outcome": "parsed"}, {}
        yield "read_page_named", {"source": None, "outcome": "partial"}, {}
        yield "blocks_add_up", {"blocks": 7, "claimed": 4, "set_aside": 1, "unmapped": 1}, {
            "blocks": 6, "claimed": 4, "set_aside": 1, "unmapped": 1
        }  # fmt: skip
    if table is CHANGES:
        yield "values_differ", {"before": "x", "after": "x"}, {"before": "x", "after": "y"}
        yield "values_differ", {"before": None, "after": None}, {"before": None, "after": "x"}
        yield "parent_agrees", {"parent_snapshot_id": "20260101T120000Z-ffffffff"}, {}
    if table is CODE_VERSIONS:  # the first row is a state from day 1 to day 2, the second what came after it
        moment = dt.timedelta(microseconds=1)
        yield "validity_in_order", {"valid_to": day(1) - moment}, {"valid_to": day(1)}
        yield "no_overlap", {"valid_to": day(2) + moment}, {"valid_to": day(2)}
        yield "one_open", {"valid_to": None}, {}
        yield "open_code_known", {"code": "99999", "valid_to": None}, {"code": "99999"}
    if table is SNAPSHOT:
        for name in COUNTED:
            yield f"{name}_counted", {name: 10**6}, {}
