"""Changes add up: made to the tables of one snapshot, they give the other's, in every table and column."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.warehouse.generated import FULL, texts
from warehouse.apply import DoesNotApply, apply, content, key_values
from warehouse.compare import Stage, compare
from warehouse.tables import (
    BOOL,
    CAUSES,
    CODE_PATTERN,
    COMPARED,
    DATE,
    INT32,
    MODIFIER_PATTERN,
    NAME_PATTERN,
    STRING,
    TABLES,
    Column,
    Table,
)

PARENT = "20260301T120000Z-0123abcd"
Tables = dict[str, pa.Table]

_BY_PATTERN = {
    CODE_PATTERN: ["00100", "0748T", "A0021"],
    NAME_PATTERN: ["codingahead", "summary"],
    MODIFIER_PATTERN: ["26", "TC"],
}


def values(column: Column) -> st.SearchStrategy[Any]:
    """What a page or our own code may put into a column; few values where it stands in a key, so that keys meet."""
    some: st.SearchStrategy[Any]
    if column.values is not None:
        some = st.sampled_from(column.values[:3])
    elif column.pattern is not None:
        some = st.sampled_from(_BY_PATTERN.get(column.pattern, ["0" * 64]))
    elif column.type == INT32:
        some = st.integers(1, 3) | st.sampled_from([2**31 - 1])
    elif column.type == DATE:
        some = st.dates(dt.date(1966, 1, 1), dt.date(2028, 12, 31)) | st.just(dt.date(2026, 1, 1))
    elif column.type == STRING:
        some = texts | st.sampled_from(["", "A", "A|B", "|", "\n", "é", "e\u0301", "1", "2026-01-01", "None", "true"])
    else:
        some = st.just(dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    return st.none() | some if column.nullable else some


def rows_of(table: Table) -> st.SearchStrategy[pa.Table]:
    row = st.fixed_dictionaries({column.name: values(column) for column in table.columns})
    unique = st.lists(row, max_size=3, unique_by=lambda row: tuple(row[name] for name in table.key))
    return unique.map(lambda rows: pa.Table.from_pylist(rows, schema=table.schema))


compared_tables = st.fixed_dictionaries({table.name: rows_of(table) for table in COMPARED})
"""Tables of a snapshot that owe nothing to each other or to a parser."""


def drop_some(draw: st.DrawFn, tables: Tables) -> Tables:
    """As an older snapshot: without columns that are declared today, and with one that no longer is."""
    older = {}
    for name, rows in tables.items():
        gone = draw(st.sets(st.sampled_from(_own_columns(name)), max_size=2))
        older[name] = rows.drop_columns(sorted(gone)).append_column("of_old", pa.array(["x"] * rows.num_rows, STRING))
    return older


def _own_columns(name: str) -> list[str]:
    (table,) = (table for table in COMPARED if table.name == name)
    return list(table.compared)


@st.composite
def histories(draw: st.DrawFn) -> tuple[Tables, list[Stage], Tables]:
    """Tables of a parent, what was made of them in between, and of the child."""
    states = [draw(compared_tables)]
    for _ in range(3):  # each takes some tables over as they were
        states.append({name: draw(st.just(states[-1][name]) | rows_of(_table(name))) for name in states[-1]})
    stages = [
        stage
        for stage in (
            Stage(states[1], "restore"),
            Stage(states[2], "parser", draw(st.sets(st.sampled_from([table.name for table in COMPARED])))),
        )
        if draw(st.booleans())
    ]
    parent = drop_some(draw, states[0]) if draw(st.booleans()) else states[0]
    return parent, stages, states[3]


def _table(name: str) -> Table:
    return next(table for table in COMPARED if table.name == name)


@settings(max_examples=80 if FULL else 15, deadline=None)
@given(histories())
def test_changes_add_up(history: tuple[Tables, list[Stage], Tables]) -> None:
    """Between any two snapshots, whatever lies between them, and whatever their columns were."""
    parent, stages, child = history
    changes = compare(parent, child, PARENT, stages)
    made = apply(changes, parent)
    for table in COMPARED:
        assert made[table.name].equals(content(table, child)), table.name
    assert len(set(changes["event_id"].to_pylist())) == changes.num_rows
    assert set(changes["cause"].to_pylist()) <= {"schema", "source", *(stage.cause for stage in stages)}


@settings(max_examples=20 if FULL else 5, deadline=None)
@given(compared_tables, compared_tables)
def test_there_and_back_adds_up_to_nothing(one: Tables, other: Tables) -> None:
    there = apply(compare(one, other, PARENT), one)
    back = apply(compare(other, one, PARENT), there)
    assert all(back[table.name].equals(content(table, one)) for table in COMPARED)


NOT_COMPARED = {
    "documents": "log: pages are captured again, and moved by counters, without any news of a code",
    "unmapped": "log: what no parser claimed; chrome and counters among it",
    "quarantine": "log: rows that were held back; what they say is in no table",
    "changes": "run: it is what the comparison makes",
    "code_versions": "run: `codes` through time; what is new in it stands in `codes`",
    "snapshot": "run: who published what, and when",
}
VOLATILE = {
    "document_id": "moves when a page's counters do",
    "first_seen_at": "an older page that is found later moves it",
    "year": "copyright years roll over each January",
    "notices.text": "the same line, with that year in it",
}


def test_law_7_every_table_and_column_is_compared_or_says_why_not() -> None:
    """A new one needs a decision: news, or a reason why it is none."""
    assert {table.name for table in TABLES} - {table.name for table in COMPARED} == set(NOT_COMPARED)
    volatile = {
        column.name if column.name in VOLATILE else f"{table.name}.{column.name}"
        for table in COMPARED
        for column in table.columns
        if column.name not in table.key and column.name not in table.compared
    }
    assert volatile == set(VOLATILE)


def whole(table: Table) -> Tables:
    """One row of a table with a value in every column; the others are empty."""
    row = {column.name: _value(column) for column in table.columns}
    return {t.name: t.schema.empty_table() for t in COMPARED} | {
        table.name: pa.Table.from_pylist([row], schema=table.schema)
    }


def _value(column: Column, other: bool = False) -> Any:
    if column.type == INT32:
        return 2 if other else 1
    if column.type == DATE:
        return dt.date(2026, 1, 2 if other else 1)
    if column.type == BOOL:
        return other
    if column.type == STRING:
        known = column.values or _BY_PATTERN.get(column.pattern or "", ["Synthetic", "Other"])
        return known[-1] if other else known[0]
    return dt.datetime(2026, 1, 2 if other else 1, tzinfo=dt.UTC)


COLUMNS = [(table, column) for table in COMPARED for column in table.columns if column.name not in table.key]


@pytest.mark.parametrize(("table", "column"), COLUMNS, ids=lambda of: of.name)
def test_a_difference_in_any_compared_column_is_told_and_in_a_volatile_one_is_not(table: Table, column: Column) -> None:
    before = whole(table)
    rows = before[table.name]
    place = rows.column_names.index(column.name)
    others = [_value(column, other=True), *([None] if column.nullable else [])]
    for other in others:
        field = rows.schema.field(place)
        after = before | {table.name: rows.set_column(place, field, pa.array([other], column.type))}
        told = compare(before, after, PARENT)
        assert told["column_name"].to_pylist() == ([] if column.volatile else [column.name])
        assert apply(told, before)[table.name].equals(content(table, after))


@pytest.mark.parametrize("table", COMPARED, ids=lambda table: table.name)
def test_a_row_key_has_one_meaning(table: Table) -> None:
    """Joined by |, so only the last value may hold one: the forms of all others, which validation asks, exclude it."""
    for name in table.key[:-1]:
        column = table.column(name)
        if column.values is not None:
            assert not any("|" in value for value in column.values)
        elif column.pattern is not None:
            assert not [text for text in ("a|b", "1234|", "|") if re.match(column.pattern, text)]
        else:
            assert column.type in (INT32, DATE)
    parts = [*(str(_value(table.column(name))) for name in table.key[:-1]), "a|b|"]
    assert key_values(table, "|".join(parts)) == parts


def test_changes_apply_to_the_tables_of_their_parent_and_to_no_others() -> None:
    table = _table("descriptors")
    before = whole(table)
    after = before | {"descriptors": before["descriptors"].slice(0, 0)}
    went, came = compare(before, after, PARENT), compare(after, before, PARENT)
    rows = before["descriptors"].to_pylist()
    reworded = before | {"descriptors": pa.Table.from_pylist([rows[0] | {"text": "Reworded"}], schema=table.schema)}
    reworded_again = compare(reworded, before, PARENT)
    for changes, tables in (
        (went, after),
        (came, before),
        (went, reworded),
        (reworded_again, before),
        (reworded_again, after),
    ):
        with pytest.raises(DoesNotApply, match=f"of their parent snapshot .{PARENT}.") as told:
            apply(changes, tables)
        assert told.value.change["table_name"] == "descriptors"


def test_the_order_of_causes_is_that_of_what_happened() -> None:
    assert CAUSES == ("restore", "parser", "schema", "source")
