"""Changes, applied: the tables of one snapshot and what changed since give the tables of the next."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from warehouse.columnar import as_text, joined, sort_rows
from warehouse.compare import as_declared_today
from warehouse.tables import CAUSES, COMPARED, STRING, Table

Texts = dict[str, str | None]


class DoesNotApply(Exception):
    """A change is not one of these tables. ``change``: its row of ``changes``."""

    def __init__(self, change: Mapping[str, Any], found: str) -> None:
        self.change, self.found = change, found
        what = f"{change['table_name']} {change['row_key']!a} {change['column_name'] or '(the whole row)'}"
        super().__init__(
            f"{what} cannot be changed from {change['before']!a} to {change['after']!a}: {found}. Changes apply to the "
            f"tables of their parent snapshot ({change['parent_snapshot_id']}), and to no others."
        )


def apply(changes: pa.Table, tables: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
    """The compared tables after ``changes``, a snapshot's, were made to those of its parent.

    Each has its key and the columns that are compared, as declared today, sorted by key. Raises DoesNotApply.
    """
    made = {table.name: _by_key(table, tables) for table in COMPARED}
    # Within one cause no two changes touch the same value.
    for change in sorted(changes.to_pylist(), key=lambda change: CAUSES.index(change["cause"])):
        _make(change, made[change["table_name"]])
    return {table.name: _as_table(table, made[table.name]) for table in COMPARED}


def content(table: Table, tables: Mapping[str, pa.Table]) -> pa.Table:
    """What ``apply`` tells of a table: its key and its compared columns, sorted by key."""
    return sort_rows(as_declared_today(table, tables), table.key)


def key_values(table: Table, row_key: str) -> list[str]:
    """The values of a row's key. Only the last of them may hold the | that joins them."""
    return row_key.split("|", len(table.key) - 1)


def _by_key(table: Table, tables: Mapping[str, pa.Table]) -> dict[str, Texts]:
    rows = as_declared_today(table, tables)
    texts = pa.table({name: as_text(rows[name]) for name in table.compared})
    return dict(zip(joined(rows, table.key).to_pylist(), texts.to_pylist(), strict=True))


def _make(change: Mapping[str, Any], rows: dict[str, Texts]) -> None:
    key, column, before, after = (change[name] for name in ("row_key", "column_name", "before", "after"))
    row = rows.get(key)
    if column is not None:
        if row is None or row.get(column, before) != before:
            raise DoesNotApply(change, "there is no such row" if row is None else f"it holds {row[column]!a}")
        row[column] = after
    elif after is None:
        if row != _row(before):
            raise DoesNotApply(change, f"the row is {row!a}")
        del rows[key]
    else:
        if row is not None:
            raise DoesNotApply(change, "there is such a row")
        rows[key] = _row(after)


def _row(told: str) -> Texts:
    return {name: None if value is None else str(value) for name, value in json.loads(told).items()}


def _as_table(table: Table, rows: Mapping[str, Texts]) -> pa.Table:
    keys = [key_values(table, key) for key in rows]
    columns: dict[str, list[str | None]] = {name: [key[place] for key in keys] for place, name in enumerate(table.key)}
    columns |= {name: [row[name] for row in rows.values()] for name in table.compared}
    typed = {name: pa.array(values, STRING).cast(table.column(name).type) for name, values in columns.items()}
    return sort_rows(pa.table(typed), table.key)
