"""The pandas frame that the rules of a table look at.

Great Expectations passes over nulls, and pandas turns integers with nulls into floats and dates into objects. So, row
for row: dates are days since 1970 and timestamps microseconds, booleans are words, and a missing value in a required
column is one that no rule allows. Values that people are shown come from the table, never from here.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from parsers import vocabulary
from parsers.records import GOOD_OUTCOMES
from warehouse.columnar import equal, joined
from warehouse.evidence import PAGE_GONE
from warehouse.tables import (
    ATTRIBUTES,
    BOOL,
    CHANGES,
    CODE_PATTERN,
    CODE_VERSIONS,
    CODES,
    DATE,
    DOCUMENTS,
    FACTS,
    HISTORY_EVENTS,
    INDICATORS,
    INDICATORS_TABLE,
    INT32,
    INT64,
    RELATED_CODES,
    SNAPSHOT,
    STRING,
    TIMESTAMP,
    UNMAPPED,
    Column,
    Table,
)

if TYPE_CHECKING:
    import pandas as pd

_MISSING_NUMBER = -(2**62)
_MISSING_TEXT = "\0"
_MISSING_FREE_TEXT = ""  # whose rule is a length

_NOTHING = pa.scalar(None, STRING)

_Made = dict[str, pa.ChunkedArray]


def frame(table: Table, rows: pa.Table, beside: Mapping[str, pa.Table], as_of: dt.datetime) -> pd.DataFrame:
    """``rows`` of ``table``, in order, with a RangeIndex, and the columns that its own rules need beside.

    ``beside``: the tables that they refer to, as far as validated. ``as_of``: the snapshot's.
    """
    columns = {column.name: _plain(column, rows[column.name]) for column in table.columns}
    made: pd.DataFrame = pa.table(columns | _made(table, rows, beside, as_of)).to_pandas()
    return made


def _plain(column: Column, values: pa.ChunkedArray) -> pa.ChunkedArray:
    if column.type in (STRING, BOOL):
        missing = _MISSING_FREE_TEXT if column.max_length is not None else _MISSING_TEXT
        texts = pc.cast(values, STRING)
        return texts if column.nullable else pc.fill_null(texts, missing)
    numbers = pc.cast(pc.cast(values, INT32) if column.type == DATE else values, INT64)
    return numbers if column.nullable else pc.fill_null(numbers, _MISSING_NUMBER)


def _made(table: Table, rows: pa.Table, beside: Mapping[str, pa.Table], as_of: dt.datetime) -> _Made:
    if table in FACTS:
        page = ("document_id", "source", "code")
        return {
            "document_known": _known(rows, page, beside[DOCUMENTS.name]),
            "code_known": _known(rows, ("code",), beside[CODES.name]),
            **_made_of_fact(table, rows, beside),
        }
    if table is UNMAPPED:
        return {"document_known": _known(rows, ("document_id",), beside[DOCUMENTS.name])}
    if table is CODES:
        form = joined(rows, ("code_system", "category", "code"), " ")
        return {"form": form, "deleted_has_evidence": _with_evidence(rows, beside, pa.scalar(as_of.date(), DATE))}
    if table is DOCUMENTS:
        return _made_of_documents(rows)
    if table is CHANGES:
        return _made_of_changes(rows, beside[SNAPSHOT.name])
    if table is CODE_VERSIONS:
        return _made_of_versions(rows, beside[CODES.name])
    if table is SNAPSHOT:
        counted = ("codes", "documents", "changes")
        return {f"{name}_counted": pa.repeat(beside[name].num_rows, rows.num_rows) for name in counted}
    return {}


def _known(rows: pa.Table, columns: tuple[str, ...], other: pa.Table) -> pa.ChunkedArray:
    """The first of ``columns`` where ``other`` has a row with the same values, else null."""
    known = pc.is_in(joined(rows, columns), value_set=joined(other, columns).combine_chunks())
    return pc.if_else(known, rows[columns[0]], _NOTHING)


def _with_evidence(codes: pa.Table, beside: Mapping[str, pa.Table], today: pa.Scalar) -> pa.ChunkedArray:
    """Each code, but null for one that is deleted and nothing shows why (law 3)."""
    attributes, events = beside[ATTRIBUTES.name], beside[HISTORY_EVENTS.name]
    told = pc.is_in(attributes["attribute"], value_set=pa.array(["deletion_notice", PAGE_GONE], STRING))
    ended = pc.and_(pc.equal(events["action"], "deleted"), pc.less_equal(events["event_on"], today))
    shown = [rows.filter(pc.fill_null(of_it, False))["code"] for rows, of_it in ((attributes, told), (events, ended))]
    by_day = pc.fill_null(pc.less_equal(codes["deleted_on"], today), False)
    known = [pc.is_in(codes["code"], value_set=some.combine_chunks()) for some in shown]
    evident = pc.or_(by_day, pc.or_(*known))
    return pc.if_else(pc.or_(evident, pc.not_equal(codes["status"], "deleted")), codes["code"], _NOTHING)


def _made_of_changes(rows: pa.Table, snapshot: pa.Table) -> _Made:
    parent = pc.is_in(rows["parent_snapshot_id"], value_set=snapshot["parent_snapshot_id"].combine_chunks())
    return {
        "values_differ": pc.if_else(equal(rows["before"], rows["after"]), _NOTHING, rows["event_id"]),
        "parent_agrees": pc.if_else(parent, rows["event_id"], _NOTHING),
    }


def _made_of_versions(rows: pa.Table, codes: pa.Table) -> _Made:
    """``open_code``: the code, in rows of states that go on. ``next_from``: when the code's next state begins."""
    open_code = pc.if_else(pc.is_null(rows["valid_to"]), rows["code"], _NOTHING)
    gone = pc.invert(pc.is_in(open_code, value_set=codes["code"].combine_chunks(), skip_nulls=True))
    unknown = pc.and_(pc.is_valid(open_code), gone)
    # Rows stand in the order of their key; the last one has no next.
    next_code = pa.chunked_array([*rows["code"].slice(1).chunks, pa.nulls(min(1, rows.num_rows), STRING)], STRING)
    next_from = pa.chunked_array(
        [*rows["valid_from"].slice(1).chunks, pa.nulls(min(1, rows.num_rows), TIMESTAMP)], TIMESTAMP
    )
    same = pc.fill_null(pc.equal(next_code, rows["code"]), False)
    return {
        "open_code": open_code,
        "open_code_known": pc.if_else(unknown, _NOTHING, rows["code"]),
        "next_from": pc.if_else(same, pc.cast(next_from, INT64), pa.scalar(None, INT64)),
    }


def _made_of_fact(table: Table, rows: pa.Table, beside: Mapping[str, pa.Table]) -> _Made:
    if table is INDICATORS_TABLE:
        closed = pa.array([name for name in INDICATORS if vocabulary.values(name)], STRING)
        told = pc.and_(pc.is_in(rows["indicator"], value_set=closed), pc.is_valid(rows["value_code"]))
        return {"setting": pc.if_else(told, joined(rows, ("indicator", "value_code"), "="), _NOTHING)}
    if table is RELATED_CODES:
        cms = pc.fill_null(pc.is_in(rows["related_system"], value_set=pa.array(("CPT", "HCPCS"))), False)
        return {
            "cms_code": pc.if_else(cms, rows["related_code"], _NOTHING),
            "other_code": pc.if_else(cms, _NOTHING, rows["related_code"]),
            **_replacements(rows, cms, beside[CODES.name]),
        }
    return {}


def _replacements(rows: pa.Table, cms: pa.ChunkedArray, codes: pa.Table) -> _Made:
    """A word, but null where the row names a replacement that breaks the rule."""
    replaced = pc.fill_null(pc.equal(rows["relation"], "replaced_by"), False)
    one_code = pc.fill_null(pc.match_substring_regex(rows["related_code"], CODE_PATTERN), False)
    held = pc.is_in(rows["related_code"], value_set=codes["code"].combine_chunks())
    broken = {
        "replacement_system": pc.invert(cms),
        "replacement_other": pc.fill_null(pc.equal(rows["related_code"], rows["code"]), False),
        "replacement_known": pc.and_(pc.and_(cms, one_code), pc.invert(held)),
    }
    return {name: pc.if_else(pc.and_(replaced, wrong), _NOTHING, "") for name, wrong in broken.items()}


def _made_of_documents(rows: pa.Table) -> _Made:
    named = pc.and_(pc.is_valid(rows["source"]), pc.is_valid(rows["code"]))
    read = pc.is_in(rows["outcome"], value_set=pa.array(GOOD_OUTCOMES, STRING))
    nameless = pc.and_(read, pc.invert(named))
    told = pc.add(pc.add(rows["claimed"], rows["set_aside"]), rows["unmapped"])
    return {
        "read_page_named": pc.if_else(nameless, _NOTHING, rows["document_id"]),
        "blocks_told": pc.cast(told, INT64),
    }
