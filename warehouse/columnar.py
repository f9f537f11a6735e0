"""Verbs on whole columns, for tables with too many rows to walk through one by one."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc


def sort_rows(table: pa.Table, by: Sequence[str]) -> pa.Table:
    """``table`` sorted by ``by`` (``-name``: largest first), then by all its other columns; nulls come last.

    So one set of rows has one order.
    """
    named = [(name[1:], "descending") if name.startswith("-") else (name, "ascending") for name in by]
    first = {name for name, _ in named}
    table = table.combine_chunks()  # sorting a hundred chunks takes twice as long
    return table.sort_by(named + [(name, "ascending") for name in table.column_names if name not in first])


def first_of_each(table: pa.Table, key: Sequence[str], by: Sequence[str] = ()) -> pa.Table:
    """The first row of each ``key``, in the order of ``by`` and then of all other columns; sorted by ``key``."""
    ordered = sort_rows(table, [*key, *by])
    return ordered.filter(pc.invert(same_as_before(ordered, key)))


def same_as_before(table: pa.Table, columns: Sequence[str]) -> pa.ChunkedArray:
    """For each row, whether the row before it has the same values in ``columns`` (null equals null)."""
    if not table.num_rows:
        return pa.chunked_array([pa.array([], pa.bool_())])
    same = pa.chunked_array([pa.repeat(True, table.num_rows - 1)])
    for name in columns:
        column = table[name]
        same = pc.and_(same, equal(column.slice(1), column.slice(0, table.num_rows - 1)))
    return pa.chunked_array([pa.array([False]), *same.chunks])


def equal(left: pa.ChunkedArray, right: pa.ChunkedArray) -> pa.ChunkedArray:
    """Whether two columns hold the same, row by row; null equals null."""
    both_null = pc.and_(pc.is_null(left), pc.is_null(right))
    return pc.or_(pc.fill_null(pc.equal(left, right), False), both_null)


def look_up(keys: pa.ChunkedArray, table: pa.Table, key: str, value: str) -> pa.ChunkedArray:
    """``value`` in ``table``'s row with each of ``keys``; null where it has none. ``key`` is unique in ``table``."""
    places = pc.index_in(keys, value_set=table[key])
    return pc.take(table[value], places)


def as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Values as people write them: ISO dates, decimal numbers, true and false. Nulls stay null."""
    if pa.types.is_timestamp(column.type):
        return pc.strftime(column, format="%Y-%m-%dT%H:%M:%SZ")
    return pc.cast(column, pa.string())


def joined(table: pa.Table, columns: Sequence[str], between: str = "|") -> pa.ChunkedArray:
    """The texts of ``columns`` in one, as in ``row_key``; nulls are empty."""
    texts = [pc.fill_null(as_text(table[name]), "") for name in columns]
    return pc.binary_join_element_wise(*texts, between)


def shortened(column: pa.ChunkedArray, characters: int = 1000) -> pa.ChunkedArray:
    """Texts cut after ``characters``, with a mark where something was cut."""
    cut = pc.binary_join_element_wise(pc.utf8_slice_codeunits(column, 0, characters), "…", "")
    return pc.if_else(pc.greater(pc.utf8_length(column), characters), cut, column)
