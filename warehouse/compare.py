"""What differs between two snapshots, row by row and column by column: the table ``changes``.

Only what is news is compared (law 7): the tables in ``COMPARED``, and of them no volatile columns.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from warehouse.columnar import as_text, equal, joined
from warehouse.tables import CHANGES, CODES, COMPARED, DATE, HISTORY_EVENTS, STRING, Table

_TYPE_BY_TABLE = {
    "descriptors": "descriptor_changed",
    "indicators": "indicator_changed",
    "history_events": "history_event_added",
    "narratives": "narrative_changed",
    "attributes": "attribute_changed",
    "modifiers": "modifier_changed",
    "related_codes": "relation_changed",
    "notices": "attribute_changed",
}
_NO_TEXT = pa.scalar(None, STRING)
_NO_DAY = pa.scalar(None, DATE)
# What an event is the hash of, beside the parent snapshot: a run that is done again gives the same event, and a value
# that goes there, back and there again gives three.
_HASHED = ("change_type", "cause", "source", "code", "table_name", "row_key", "column_name", "before", "after")


@dataclass(frozen=True, slots=True)
class Stage:
    """Tables that lie between two snapshots. ``cause``: whose doing it is that they differ from those before; in tables
    of ``changed_schemas`` it is our schema's."""

    tables: Mapping[str, pa.Table]
    cause: str
    changed_schemas: Collection[str] = ()


def compare(
    parent: Mapping[str, pa.Table],
    child: Mapping[str, pa.Table],
    parent_snapshot_id: str,
    between: Sequence[Stage] = (),
) -> pa.Table:
    """``changes`` from ``parent`` to ``child``: validated tables by name, unique by key.

    ``between``: what people and our own code made of the parent's tables, one after the other; Ex: the parent's
    captures, read by today's parsers into today's tables, with the cause ``parser``. What differs between the last of
    them (without any: the parent) and the child was caused by the source. Applied in the order of ``CAUSES``, which is
    that of the stages, the changes give the child (``apply.py``).
    """
    parts = []
    for table in COMPARED:
        before = as_declared_today(table, parent)
        for stage in (*between, Stage(child, "source")):
            after = as_declared_today(table, stage.tables)
            cause = "schema" if table.name in stage.changed_schemas else stage.cause
            parts.append(_differences(table, before, after, cause))
            before = after
    found = pa.concat_tables(parts)
    told = {
        "event_id": pa.array(_event_ids(found, parent_snapshot_id), STRING),
        "parent_snapshot_id": pa.repeat(parent_snapshot_id, found.num_rows),
    }
    changes = pa.table([told[n] if n in told else found[n] for n in CHANGES.names], names=CHANGES.names)
    return changes.cast(CHANGES.schema).sort_by("event_id").combine_chunks()


def no_changes() -> pa.Table:
    """``changes`` of a first snapshot."""
    return CHANGES.schema.empty_table()


def change_type(table: str, column: str | None, before: str | None, after: str | None) -> str:
    """The type of one change, as `compare` tells it. ``column``: None for a whole row; ``before``, ``after``: texts."""
    if table != CODES.name:
        return _TYPE_BY_TABLE[table]
    if column is None:
        return "code_added" if before is None else "attribute_changed"
    if column != "status":
        return _type_of_column(column)
    if after == "deleted":
        return "code_deleted"
    return "code_reinstated" if (before, after) == ("deleted", "active") else "attribute_changed"


def as_declared_today(table: Table, tables: Mapping[str, pa.Table]) -> pa.Table:
    """The key and the compared columns, as declared today: an older snapshot lacks newer columns."""
    rows = tables.get(table.name, table.schema.empty_table())
    columns = [table.column(name) for name in (*table.key, *table.compared)]
    return pa.table(
        {
            c.name: rows[c.name].cast(c.type) if c.name in rows.column_names else pa.nulls(rows.num_rows, c.type)
            for c in columns
        }
    )


def _differences(table: Table, before: pa.Table, after: pa.Table, cause: str) -> pa.Table:
    """The columns of ``changes``, without event_id and parent_snapshot_id."""
    parts = [_FOUND.empty_table()]
    if not before.equals(after):
        went, came, both_before, both_after = _matched(table, before, after)
        parts.append(_rows_told(table, came, cause, came=True))
        parts.append(_rows_told(table, went, cause, came=False))
        for column in table.compared:
            differs = pc.invert(equal(both_before[column], both_after[column]))
            if pc.any(differs).as_py():
                parts.append(_cells_told(table, column, both_before.filter(differs), both_after.filter(differs), cause))
    return pa.concat_tables(parts)


def _matched(table: Table, before: pa.Table, after: pa.Table) -> tuple[pa.Table, pa.Table, pa.Table, pa.Table]:
    """Rows that are only in ``before``, only in ``after``, and in both: as before, as after, in the same order."""
    key = list(table.key)
    if before.select(key).equals(after.select(key)):  # of most tables only values change, if anything
        return before.slice(0, 0), after.slice(0, 0), before, after
    left = before.select(key).append_column("_before", pa.array(range(before.num_rows), pa.int64()))
    right = after.select(key).append_column("_after", pa.array(range(after.num_rows), pa.int64()))
    pairs = left.join(right, key, join_type="full outer").select(["_before", "_after"])
    in_before, in_after = pc.is_valid(pairs["_before"]), pc.is_valid(pairs["_after"])
    both = pairs.filter(pc.and_(in_before, in_after))
    return (
        before.take(pairs.filter(pc.invert(in_after))["_before"]),
        after.take(pairs.filter(pc.invert(in_before))["_after"]),
        before.take(both["_before"]),
        after.take(both["_after"]),
    )


def _rows_told(table: Table, rows: pa.Table, cause: str, *, came: bool) -> pa.Table:
    """A whole row came or went: one change, with the row as JSON."""
    content = pa.array(
        [
            json.dumps(row, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=_iso)
            for row in rows.select(table.compared).to_pylist()
        ],
        STRING,
    )
    nothing = pa.nulls(rows.num_rows, STRING)
    before, after = (nothing, content) if came else (content, nothing)
    if table is CODES:
        # A code that is no longer there was held back or its pages were lost; only a status tells a deletion (law 3).
        nothing_told = pa.nulls(rows.num_rows, DATE)
        kind, effective = ("code_added", rows["added_on"]) if came else ("attribute_changed", nothing_told)
    else:
        kind, effective = _TYPE_BY_TABLE[table.name], _event_day(table, rows)
    return _told(table, rows, kind, cause, None, before, after, effective)


def _cells_told(table: Table, column: str, before: pa.Table, after: pa.Table, cause: str) -> pa.Table:
    """One column's value changed in each of these rows."""
    kind: str | pa.ChunkedArray
    if table is CODES and column == "status":
        # An older snapshot may have no status: null is neither.
        now, then = (pc.fill_null(rows["status"], "") for rows in (after, before))
        gone, back = pc.equal(now, "deleted"), pc.and_(pc.equal(then, "deleted"), pc.equal(now, "active"))
        kind = pc.if_else(gone, "code_deleted", pc.if_else(back, "code_reinstated", "attribute_changed"))
        effective = pc.if_else(gone, after["deleted_on"], _NO_DAY)
    elif table is CODES:
        kind, effective = _type_of_column(column), pa.nulls(after.num_rows, DATE)
    else:
        kind, effective = _TYPE_BY_TABLE[table.name], _event_day(table, after)
    return _told(table, after, kind, cause, column, as_text(before[column]), as_text(after[column]), effective)


def _type_of_column(column: str) -> str:
    if column == "title" or column.endswith("_descriptor"):
        return "descriptor_changed"
    if column.endswith("_code"):
        return "indicator_changed"
    return "history_event_added" if column.endswith("_on") else "attribute_changed"


def _event_day(table: Table, rows: pa.Table) -> pa.Array | pa.ChunkedArray:
    return rows["event_on"] if table is HISTORY_EVENTS else pa.nulls(rows.num_rows, DATE)


_FOUND = pa.schema([CHANGES.schema.field(n).with_nullable(True) for n in CHANGES.names[1:-1]]).remove_metadata()


def _told(
    table: Table,
    rows: pa.Table,
    kind: str | pa.ChunkedArray,
    cause: str,
    column: str | None,
    before: pa.ChunkedArray,
    after: pa.ChunkedArray,
    effective: pa.ChunkedArray,
) -> pa.Table:
    def same(value: str | None) -> pa.Array:
        return pa.repeat(pa.scalar(value, STRING), rows.num_rows)

    columns = {
        "change_type": same(kind) if isinstance(kind, str) else kind,
        "cause": same(cause),
        "source": rows["source"] if "source" in rows.column_names else same(None),
        "code": rows["code"],
        "table_name": same(table.name),
        "row_key": joined(rows, table.key),
        "column_name": same(column),
        "before": before,
        "after": after,
        "effective_on": effective,
    }
    return pa.table([columns[name] for name in _FOUND.names], names=_FOUND.names).cast(_FOUND)


def _event_ids(found: pa.Table, parent_snapshot_id: str) -> list[str]:
    columns = [found[name].to_pylist() for name in _HASHED]
    texts = (json.dumps([parent_snapshot_id, *values], ensure_ascii=False) for values in zip(*columns, strict=True))
    return [hashlib.sha256(text.encode()).hexdigest()[:32] for text in texts]


def _iso(value: object) -> str:
    if isinstance(value, dt.date):
        return value.isoformat()
    raise TypeError(f"a compared column holds a {type(value).__name__}; compare.py does not know how to write it")
