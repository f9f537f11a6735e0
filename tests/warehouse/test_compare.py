"""What differs between two snapshots: law 7, and that changes add up."""

import dataclasses
import datetime as dt
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parsers.records import Descriptor, HistoryEvent, Indicator, Modifier, Narrative, Notice, Record, RelatedCode
from tests.warehouse.generated import FULL
from tests.warehouse.generated import records as any_record
from tests.warehouse.invented import TRUST, assembled, day, everything, page
from warehouse.codes import derive_codes
from warehouse.compare import Stage, change_type, compare, no_changes
from warehouse.tables import BY_NAME, CHANGES, CODES, COMPARED, DOCUMENTS, FACTS, Table

PARENT = "20260301T120000Z-0123abcd"
Tables = dict[str, pa.Table]


def tables_of(home: Path, *records: Record, content: str | None = None) -> Tables:
    return assembled(home, [(page(records=records, content=content), day(1))]).tables


def changes(before: Tables, after: Tables, **more: Any) -> list[dict[str, Any]]:
    return compare(before, after, PARENT, **more).to_pylist()


def brief(rows: list[dict[str, Any]]) -> set[tuple[Any, ...]]:
    return {(r["change_type"], r["table_name"], r["row_key"], r["column_name"], r["before"], r["after"]) for r in rows}


def test_nothing_differs_from_itself(tmp_path: Path) -> None:
    tables = tables_of(tmp_path, *everything())
    assert compare(tables, tables, PARENT).equals(no_changes())
    assert compare(tables, tables, PARENT).schema.equals(CHANGES.schema, check_metadata=True)


def test_law_7_volatile_columns_are_no_news(tmp_path: Path) -> None:
    """A counter moved: other bytes, the same records; and an older page was found."""
    one = tables_of(tmp_path / "1", *everything(), content="10 views left")
    other = tables_of(tmp_path / "2", *everything(), content="9 views left")
    assert one["notices"]["document_id"] != other["notices"]["document_id"]
    assert changes(one, other) == []
    earlier = [(page(records=everything(), content="10 views left"), day(n)) for n in (1, 3)]
    later = assembled(tmp_path / "3", earlier[1:]).tables
    assert later["codes"]["first_seen_at"] != assembled(tmp_path / "4", earlier).tables["codes"]["first_seen_at"]
    assert changes(later, assembled(tmp_path / "4", earlier).tables) == []


def test_a_new_code_and_its_rows(tmp_path: Path) -> None:
    old = page("0748T", [Descriptor("short", "Synthetic")])
    new = page("1001T", [Descriptor("short", "Synthetic new"), HistoryEvent(dt.date(2026, 1, 1), "added", 1, None)])
    before = assembled(tmp_path, [(old, day(1))]).tables
    after = assembled(tmp_path, [(old, day(1)), (new, day(2))]).tables
    rows = {row["table_name"]: row for row in changes(before, after)}
    assert set(rows) == {"codes", "descriptors", "history_events"}
    added = rows["codes"]
    assert (added["change_type"], added["code"], added["source"]) == ("code_added", "1001T", None)
    assert {row["cause"] for row in rows.values()} == {"source"}
    assert (added["effective_on"], added["before"], added["column_name"]) == (dt.date(2026, 1, 1), None, None)
    assert json.loads(added["after"])["short_descriptor"] == "Synthetic new"
    assert json.loads(added["after"])["added_on"] == "2026-01-01"
    assert rows["descriptors"]["after"] == '{"text":"Synthetic new"}'
    assert rows["history_events"]["row_key"] == "codingahead|1001T|2026-01-01|added|1"
    assert rows["history_events"]["effective_on"] == dt.date(2026, 1, 1)
    went = {row["table_name"]: row for row in changes(after, before)}
    assert (went["codes"]["change_type"], went["codes"]["effective_on"]) == ("attribute_changed", None)
    assert (went["descriptors"]["before"], went["descriptors"]["after"]) == ('{"text":"Synthetic new"}', None)


ADDED = HistoryEvent(dt.date(2020, 1, 1), "added", 1, None)
DELETED = HistoryEvent(dt.date(2025, 12, 31), "deleted", 1, None)
AGAIN = HistoryEvent(dt.date(2026, 2, 1), "added", 1, None)


def no_rows(tables: Tables) -> Tables:
    return {name: rows.slice(0, 0) for name, rows in tables.items()}


def test_law_3_a_code_that_is_no_longer_there_is_not_told_as_deleted(tmp_path: Path) -> None:
    """Its rows were held back, or its page was lost: neither says that the code is gone."""
    gone = tables_of(tmp_path, ADDED, DELETED)
    told = {(r["change_type"], r["after"]) for r in changes(gone, no_rows(gone)) if r["table_name"] == "codes"}
    assert told == {("attribute_changed", None)}


def test_deleted_and_reinstated(tmp_path: Path) -> None:
    active = tables_of(tmp_path / "1", ADDED)
    gone = tables_of(tmp_path / "2", ADDED, DELETED)
    back = tables_of(tmp_path / "3", ADDED, DELETED, AGAIN)
    status = [row for row in changes(active, gone) if row["column_name"] == "status"]
    assert [(r["change_type"], r["before"], r["after"], r["effective_on"]) for r in status] == [
        ("code_deleted", "active", "deleted", dt.date(2026, 1, 1))
    ]
    status = [row for row in changes(gone, back) if row["column_name"] == "status"]
    assert [(r["change_type"], r["before"], r["after"]) for r in status] == [("code_reinstated", "deleted", "active")]
    unknown = tables_of(tmp_path / "4", Descriptor("short", "Synthetic"))
    status = [row for row in changes(gone, unknown) if row["column_name"] == "status"]
    assert [row["change_type"] for row in status] == ["attribute_changed"]
    for now, told in ((active, "attribute_changed"), (gone, "code_deleted")):
        without = {**active, "codes": active["codes"].drop_columns("status")}  # as of a version before that column
        (status,) = (row for row in changes(without, now) if row["column_name"] == "status")
        assert (status["change_type"], status["before"]) == (told, None)
    (came,) = [row for row in changes(no_rows(gone), gone) if row["table_name"] == "codes"]
    assert (came["change_type"], json.loads(came["after"])["status"]) == ("code_added", "deleted")
    status = [row for row in changes(unknown, active) if row["column_name"] == "status"]
    assert [row["change_type"] for row in status] == ["attribute_changed"]


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (Descriptor("short", "Old"), Descriptor("short", "New"), {
            ("descriptor_changed", "descriptors", "codingahead|0748T|short", "text", "Old", "New"),
            ("descriptor_changed", "codes", "0748T", "short_descriptor", "Old", "New"),
        }),
        (Descriptor("title", "Old"), Descriptor("title", "New"), {
            ("descriptor_changed", "descriptors", "codingahead|0748T|title", "text", "Old", "New"),
            ("descriptor_changed", "codes", "0748T", "title", "Old", "New"),
        }),
        (Indicator("pctc", "0", "a", "0 - a"), Indicator("pctc", None, "a", "a"), {
            ("indicator_changed", "indicators", "codingahead|0748T|pctc", "value_code", "0", None),
            ("indicator_changed", "indicators", "codingahead|0748T|pctc", "raw_text", "0 - a", "a"),
            ("indicator_changed", "codes", "0748T", "pctc_code", "0", None),
        }),
        (HistoryEvent(dt.date(2024, 1, 1), "other", 1, None), HistoryEvent(dt.date(2024, 1, 1), "other", 1, "Note"), {
            ("history_event_added", "history_events", "codingahead|0748T|2024-01-01|other|1", "notes", None, "Note"),
        }),
        (Narrative("summary", 1, "Old."), Narrative("summary", 1, "New."), {
            ("narrative_changed", "narratives", "codingahead|0748T|summary|1", "text", "Old.", "New."),
        }),
        (Modifier("26", "Old", None), Modifier("26", "New", None), {
            ("modifier_changed", "modifiers", "codingahead|0748T|26", "description", "Old", "New"),
        }),
        (RelatedCode("related", "CPT", "99213", "Old"), RelatedCode("related", "CPT", "99213", None), {
            ("relation_changed", "related_codes", "codingahead|0748T|related|CPT|99213", "description", "Old", None),
        }),
        (Notice(1, "A", 2025, "Line"), Notice(1, "B", 2025, "Line"), {
            ("attribute_changed", "notices", "codingahead|0748T|1", "holder", "A", "B"),
        }),
        (Notice(1, "A", 2025, "Copyright 2025 A"), Notice(1, "A", 2026, "Copyright 2026 A"), set()),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_each_kind_of_change(tmp_path: Path, before: Record, after: Record, told: set[tuple[Any, ...]]) -> None:
    assert brief(changes(tables_of(tmp_path / "1", before), tables_of(tmp_path / "2", after))) == told


def test_event_ids_are_a_hash_of_what_changed(tmp_path: Path) -> None:
    one, two = (tables_of(tmp_path / text, Descriptor("short", text)) for text in ("1", "2"))
    first, again = compare(one, two, PARENT), compare(one, two, PARENT)
    assert first["event_id"].equals(again["event_id"])
    assert first.equals(first.sort_by("event_id"))
    back = compare(two, one, PARENT)
    parser = compare(one, two, PARENT, [Stage(two, "parser")])
    once_more = compare(one, two, "20260401T120000Z-0123abcd")  # there, back and there again: two events, not one
    ids = [row["event_id"] for made in (first, back, parser, once_more) for row in made.to_pylist()]
    assert len(set(ids)) == len(ids)


def test_law_7_the_cause_is_told(tmp_path: Path) -> None:
    """The parser now reads A as B; the site also wrote C in place of another."""
    parent = tables_of(tmp_path / "1", Descriptor("short", "A"), Descriptor("long", "Old"))
    rebased = tables_of(tmp_path / "2", Descriptor("short", "B"), Descriptor("long", "Old"))
    child = tables_of(tmp_path / "3", Descriptor("short", "B"), Descriptor("long", "New"))
    told = {
        (r["cause"], r["table_name"], r["before"], r["after"])
        for r in changes(parent, child, between=[Stage(rebased, "parser")])
    }
    assert told == {
        ("parser", "descriptors", "A", "B"),
        ("parser", "codes", "A", "B"),
        ("source", "descriptors", "Old", "New"),
        ("source", "codes", "Old", "New"),
    }
    read_anew = Stage(rebased, "parser", {"codes"})
    told = {(r["cause"], r["table_name"]) for r in changes(parent, child, between=[read_anew])}
    assert told == {("parser", "descriptors"), ("schema", "codes"), ("source", "descriptors"), ("source", "codes")}


def test_an_older_snapshot_with_other_columns_can_be_compared(tmp_path: Path) -> None:
    today = tables_of(tmp_path, *everything())
    wider = today["notices"].append_column("gone", today["notices"]["text"])
    older = {**today, "codes": today["codes"].drop_columns("title"), "notices": wider}
    del older["modifiers"]
    told = changes(older, today, between=[Stage(today, "parser", {"codes", "notices", "modifiers"})])
    assert {(row["cause"], row["table_name"], row["column_name"]) for row in told} == {
        ("schema", "codes", "title"),
        ("schema", "modifiers", None),
    }


def applied(table: Table, before: pa.Table, told: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The compared content of ``before``, by row key, with the changes made to it."""
    rows = {key(table, row): content(table, row) for row in before.to_pylist()}
    for change in told:
        if change["table_name"] != table.name:
            continue
        if change["column_name"] is not None:
            assert rows[change["row_key"]][change["column_name"]] == change["before"]
            rows[change["row_key"]][change["column_name"]] = change["after"]
        elif change["after"] is None:
            assert rows.pop(change["row_key"]) == as_texts(json.loads(change["before"]))
        else:
            assert change["row_key"] not in rows
            rows[change["row_key"]] = as_texts(json.loads(change["after"]))
    return rows


def key(table: Table, row: dict[str, Any]) -> str:
    return "|".join(str(row[name]) for name in table.key)


def content(table: Table, row: dict[str, Any]) -> dict[str, Any]:
    return as_texts({name: row[name] for name in table.compared})


def as_texts(row: dict[str, Any]) -> dict[str, Any]:
    return {name: None if value is None else str(value) for name, value in row.items()}


def in_memory(pages: dict[tuple[str, str], list[Record]]) -> Tables:
    """Fact tables and codes of these records by (source, code), each key once."""
    rows: dict[str, dict[str, dict[str, Any]]] = {table.name: {} for table in FACTS}
    for (source, code), found in pages.items():
        for record in found:
            row = {"source": source, "code": code, "document_id": "0" * 64, **dataclasses.asdict(record)}
            rows[record.table][key(BY_NAME[record.table], row)] = row
    facts = {t.name: pa.Table.from_pylist(list(rows[t.name].values()), schema=t.schema) for t in FACTS}
    codes = sorted({code for _, code in pages})
    base = pa.Table.from_pylist(
        [{"code": code, "first_seen_at": day(1), "source_count": 1} for code in codes],
        schema=pa.schema([CODES.schema.field(name) for name in ("code", "first_seen_at", "source_count")]),
    )
    documents = DOCUMENTS.schema.empty_table()
    return {"codes": derive_codes(base, {**facts, "documents": documents}, TRUST, day(1)), **facts}


snapshots = st.dictionaries(
    st.tuples(st.sampled_from(["codingahead", "openpayer"]), st.sampled_from(["00100", "0748T"])),
    st.lists(any_record, max_size=6),
).map(in_memory)


@settings(max_examples=150 if FULL else 30, deadline=None)
@given(snapshots, snapshots)
def test_changes_add_up(before: Tables, after: Tables) -> None:
    """Applied to the one snapshot's tables, they give the other's, in every compared column."""
    told = changes(before, after)
    assert len({row["event_id"] for row in told}) == len(told)
    for table in COMPARED:
        wanted = {key(table, row): content(table, row) for row in after[table.name].to_pylist()}
        assert applied(table, before[table.name], told) == wanted


@settings(max_examples=50 if FULL else 10, deadline=None)
@given(snapshots, snapshots)
def test_the_type_of_a_change_can_be_told_from_it_alone(before: Tables, after: Tables) -> None:
    for row in changes(before, after):
        told = change_type(row["table_name"], row["column_name"], row["before"], row["after"])
        assert told == row["change_type"]


@settings(max_examples=50 if FULL else 10, deadline=None)
@given(snapshots, snapshots, snapshots)
def test_law_7_causes_add_up(parent: Tables, rebased: Tables, child: Tables) -> None:
    """What the parser changed and what the source changed, one after the other, give the child."""
    told = changes(parent, child, between=[Stage(rebased, "parser")])
    for table in COMPARED:
        by_cause = {cause: [row for row in told if row["cause"] == cause] for cause in ("parser", "source")}
        between = {key(table, row): content(table, row) for row in rebased[table.name].to_pylist()}
        assert applied(table, parent[table.name], by_cause["parser"]) == between
        wanted = {key(table, row): content(table, row) for row in child[table.name].to_pylist()}
        assert applied(table, rebased[table.name], by_cause["source"]) == wanted
