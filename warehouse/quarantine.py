"""Rows of ``quarantine``: who broke which rule, with what."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from warehouse.columnar import as_text, joined, same_as_before, shortened, sort_rows
from warehouse.rules import RowRule
from warehouse.tables import QUARANTINE, STRING, Table

_KEY_CHARACTERS = 8000
_NAME_CHARACTERS = 900


def told(table: Table, rule: RowRule, rows: pa.Table) -> pa.Table:
    """``rows`` of ``table``, which broke ``rule``, as ``quarantine`` tells them."""
    whole_row = rule.name == "key_unique"
    columns = {
        "table_name": _same(table.name, rows),
        "row_key": shortened(joined(rows, table.key), _KEY_CHARACTERS),
        "rule": _same(rule.name, rows),
        **{name: _owner(name, rows) for name in ("source", "code", "document_id")},
        "column_name": _same(None if whole_row else rule.columns[0], rows),
        "value": _contents(table, rows) if whole_row else as_text(rows[rule.columns[0]]),
        "message": _same(rule.message, rows),
        "severity": _same(rule.severity, rows),
    }
    columns["value"] = shortened(columns["value"])
    return pa.table([columns[name] for name in QUARANTINE.names], names=QUARANTINE.names)


def merged(parts: Iterable[pa.Table]) -> pa.Table:
    """One table ``quarantine``, unique by key. Rows that share table, key and rule are one, with all their values."""
    rows = pa.concat_tables([part.cast(QUARANTINE.schema) for part in parts])
    rows = sort_rows(rows, QUARANTINE.key)
    repeated = same_as_before(rows, QUARANTINE.key)
    if pc.any(repeated).as_py():
        again = rows.filter(repeated).select(list(QUARANTINE.key))
        of_many = rows.join(again, list(QUARANTINE.key), join_type="left semi")
        single = rows.join(again, list(QUARANTINE.key), join_type="left anti")
        rows = pa.concat_tables([single, _one_for_each_key(of_many)])
    return sort_rows(rows, QUARANTINE.key).cast(QUARANTINE.schema).combine_chunks()


def _one_for_each_key(rows: pa.Table) -> pa.Table:
    key = itemgetter(*QUARANTINE.key)
    merged_rows: list[dict[str, Any]] = []
    for _, same in groupby(sort_rows(rows, QUARANTINE.key).to_pylist(), key):
        group = list(same)
        values = sorted({row["value"] for row in group if row["value"] is not None})
        merged_rows.append(group[0] | {"value": " / ".join(values) or None})
    made = pa.Table.from_pylist(merged_rows, schema=rows.schema)
    return made.set_column(made.column_names.index("value"), "value", shortened(made["value"]))


def _same(value: str | None, rows: pa.Table) -> pa.Array:
    return pa.repeat(pa.scalar(value, STRING), rows.num_rows)


def _owner(name: str, rows: pa.Table) -> pa.ChunkedArray | pa.Array:
    return shortened(rows[name], _NAME_CHARACTERS) if name in rows.column_names else _same(None, rows)


def _contents(table: Table, rows: pa.Table) -> pa.ChunkedArray:
    """The rows' other columns as JSON, to show in what rows of the same key differ."""
    contents = rows.select(table.compared).to_pylist()
    texts = [json.dumps(row, ensure_ascii=False, sort_keys=True, default=str) for row in contents]
    return pa.chunked_array([pa.array(texts, STRING)])
