"""The pandas frame that the rules of a table look at.

Great Expectations passes over nulls, and pandas turns integers with nulls into floats and dates into objects. So, row
for row: dates are days since 1970 and timestamps microseconds, booleans are words, and a missing value in a required
column is one that no rule allows. Values that people are shown come from the table, never from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from parsers import vocabulary
from parsers.records import GOOD_OUTCOMES
from warehouse.columnar import joined
from warehouse.tables import (
    BOOL,
    CODES,
    DATE,
    DOCUMENTS,
    FACTS,
    INDICATORS,
    INDICATORS_TABLE,
    INT32,
    INT64,
    RELATED_CODES,
    SNAPSHOT,
    STRING,
    UNMAPPED,
    Column,
    Table,
)

if TYPE_CHECKING:
    import pandas as pd

_MISSING_NUMBER = -(2**62)
_MISSING_TEXT = "\0"
_MISSING_FREE_TEXT = ""  # whose rule is a length

_Made = dict[str, pa.ChunkedArray]


def frame(table: Table, rows: pa.Table, beside: Mapping[str, pa.Table]) -> pd.DataFrame:
    """``rows`` of ``table``, in order, with a RangeIndex, and the columns that its own rules need beside.

    ``beside``: the tables that they refer to, as far as validated.
    """
    columns = {column.name: _plain(column, rows[column.name]) for column in table.columns}
    made: pd.DataFrame = pa.table(columns | _made(table, rows, beside)).to_pandas()
    return made


def _plain(column: Column, values: pa.ChunkedArray) -> pa.ChunkedArray:
    if column.type in (STRING, BOOL):
        missing = _MISSING_FREE_TEXT if column.max_length is not None else _MISSING_TEXT
        texts = pc.cast(values, STRING)
        return texts if column.nullable else pc.fill_null(texts, missing)
    numbers = pc.cast(pc.cast(values, INT32) if column.type == DATE else values, INT64)
    return numbers if column.nullable else pc.fill_null(numbers, _MISSING_NUMBER)


def _made(table: Table, rows: pa.Table, beside: Mapping[str, pa.Table]) -> _Made:
    if table in FACTS:
        page = ("document_id", "source", "code")
        return {
            "document_known": _known(rows, page, beside[DOCUMENTS.name]),
            "code_known": _known(rows, ("code",), beside[CODES.name]),
            **_made_of_fact(table, rows),
        }
    if table is UNMAPPED:
        return {"document_known": _known(rows, ("document_id",), beside[DOCUMENTS.name])}
    if table is CODES:
        return {"form": joined(rows, ("code_system", "category", "code"), " ")}
    if table is DOCUMENTS:
        return _made_of_documents(rows)
    if table is SNAPSHOT:
        counted = ("codes", "documents", "changes")
        return {f"{name}_counted": pa.repeat(beside[name].num_rows, rows.num_rows) for name in counted}
    return {}


def _known(rows: pa.Table, columns: tuple[str, ...], other: pa.Table) -> pa.ChunkedArray:
    """The first of ``columns`` where ``other`` has a row with the same values, else null."""
    known = pc.is_in(joined(rows, columns), value_set=joined(other, columns).combine_chunks())
    return pc.if_else(known, rows[columns[0]], pa.scalar(None, STRING))


def _made_of_fact(table: Table, rows: pa.Table) -> _Made:
    if table is INDICATORS_TABLE:
        closed = pa.array([name for name in INDICATORS if vocabulary.values(name)], STRING)
        told = pc.and_(pc.is_in(rows["indicator"], value_set=closed), pc.is_valid(rows["value_code"]))
        return {"setting": pc.if_else(told, joined(rows, ("indicator", "value_code"), "="), pa.scalar(None, STRING))}
    if table is RELATED_CODES:
        cms = pc.fill_null(pc.is_in(rows["related_system"], value_set=pa.array(("CPT", "HCPCS"))), False)
        nothing = pa.scalar(None, STRING)
        return {
            "cms_code": pc.if_else(cms, rows["related_code"], nothing),
            "other_code": pc.if_else(cms, nothing, rows["related_code"]),
        }
    return {}


def _made_of_documents(rows: pa.Table) -> _Made:
    named = pc.and_(pc.is_valid(rows["source"]), pc.is_valid(rows["code"]))
    read = pc.is_in(rows["outcome"], value_set=pa.array(GOOD_OUTCOMES, STRING))
    nameless = pc.and_(read, pc.invert(named))
    told = pc.add(pc.add(rows["claimed"], rows["set_aside"]), rows["unmapped"])
    return {
        "read_page_named": pc.if_else(nameless, pa.scalar(None, STRING), rows["document_id"]),
        "blocks_told": pc.cast(told, INT64),
    }
