"""The table ``codes``: one row for each code, each value from the most trusted source that has it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from warehouse.columnar import first_of_each, look_up
from warehouse.tables import CODES, DATE, INDICATORS, STRING

# Where the values come from, beside the pages themselves.
VALUE_TABLES = ("descriptors", "indicators", "history_events", "attributes")

_DESCRIPTORS = {
    "title": "title",
    "short_descriptor": "short",
    "medium_descriptor": "medium",
    "long_descriptor": "long",
}
# The code's form tells its category: NNNNF, NNNNT, NNNNU, NNNNM, NNNNN (by the last character), ANNNN.
_CATEGORY_BY_ENDING = {"F": "II", "T": "III", "U": "PLA", "M": "MAAA", **dict.fromkeys("0123456789", "I")}


def bases(good: pa.Table) -> pa.Table:
    """code, first_seen_at and source_count from readable pages (source, code, fetched_at), one row for each code."""
    seen = good.group_by(["code"]).aggregate([("fetched_at", "min"), ("source", "count_distinct")])
    return seen.rename_columns(["code", "first_seen_at", "source_count"])


def derive_codes(base: pa.Table, facts: Mapping[str, pa.Table], trust: Sequence[str], as_of: dt.datetime) -> pa.Table:
    """``codes`` for the codes in ``base`` (code, first_seen_at, source_count).

    ``trust``: sources, most trusted first; sources that it leaves out come after, by name. A deletion counts from
    ``as_of`` on; one that is dated later is only announced.
    """
    base = base.select(["code", "first_seen_at", "source_count"]).sort_by("code")
    code = base["code"]
    columns = {name: base[name] for name in base.column_names}
    columns |= _form(code)
    columns |= _values(code, _ranked(facts["descriptors"], trust), "kind", "text", _DESCRIPTORS)
    indicator_of = {f"{name}_code": name for name in INDICATORS}
    columns |= _values(code, _ranked(facts["indicators"], trust), "indicator", "value_code", indicator_of)
    columns |= _history(code, _ranked(facts["history_events"], trust), facts["attributes"], as_of)
    typed = [columns[column.name].cast(column.type) for column in CODES.columns]
    # Not cast as a whole: a code of no known form has no category, and it is validation that tells of it.
    return pa.table(typed, schema=CODES.schema).combine_chunks()


def _form(code: pa.ChunkedArray) -> dict[str, pa.ChunkedArray]:
    level_2 = pc.match_substring_regex(code, "^[A-V]")
    endings, categories = zip(*_CATEGORY_BY_ENDING.items(), strict=True)
    places = pc.index_in(pc.utf8_slice_codeunits(code, -1), value_set=pa.array(endings, STRING))
    by_ending = pc.take(pa.array(categories, STRING), places)
    return {
        "code_system": pc.if_else(level_2, "HCPCS", "CPT"),
        "category": pc.if_else(level_2, "HCPCS-II", by_ending),
    }


def _ranked(rows: pa.Table, trust: Sequence[str]) -> pa.Table:
    """``rows`` with a column ``rank``: 0 for the most trusted source."""
    others = sorted(set(pc.unique(rows["source"]).to_pylist()) - {*trust, None})
    order = pa.array(list(dict.fromkeys([*trust, *others])), STRING)
    return rows.append_column("rank", pc.index_in(rows["source"], value_set=order))


def _values(
    code: pa.ChunkedArray, rows: pa.Table, kind: str, value: str, kind_of: Mapping[str, str]
) -> dict[str, pa.ChunkedArray]:
    """For each column in ``kind_of``, the best-ranked ``value`` of each code's rows of that ``kind``."""
    known = rows.select(["code", kind, "rank", value]).filter(pc.is_valid(rows[value]))
    best = first_of_each(known, ("code", kind), by=("rank",))
    return {
        column: look_up(code, best.filter(pc.equal(best[kind], name)), "code", value)
        for column, name in kind_of.items()
    }


def _history(
    code: pa.ChunkedArray, events: pa.Table, attributes: pa.Table, as_of: dt.datetime
) -> dict[str, pa.ChunkedArray]:
    """Status and dates, from the events of the best-ranked source that has any."""
    best = events.group_by(["code"]).aggregate([("rank", "min")])
    events = events.filter(pc.equal(events["rank"], look_up(events["code"], best, "code", "rank_min")))

    def day(action: str, which: str) -> pa.ChunkedArray:
        of_action = events.filter(pc.equal(events["action"], action))
        days = of_action.group_by(["code"]).aggregate([("event_on", which)])
        return look_up(code, days, "code", f"event_on_{which}")

    added, changed, deleted, added_last = (
        day("added", "min"),
        day("changed", "max"),
        day("deleted", "max"),
        day("added", "max"),
    )
    reinstated = pc.fill_null(pc.greater(added_last, deleted), False)
    deleted_on = _first_day_gone(pc.if_else(reinstated, pa.scalar(None, DATE), deleted))
    gone = pc.fill_null(pc.less_equal(deleted_on, pa.scalar(as_of.date(), DATE)), False)
    told = pc.or_(pc.or_(pc.is_valid(added), pc.is_valid(changed)), pc.is_valid(deleted_on))
    notices = attributes.filter(pc.equal(attributes["attribute"], "deletion_notice"))
    # A banner alone tells that a code is gone only where no history speaks.
    noticed = pc.and_(
        pc.is_in(code, value_set=notices["code"].combine_chunks()),
        pc.invert(pc.is_in(code, value_set=best["code"].combine_chunks())),
    )
    status = pc.if_else(pc.or_(gone, noticed), "deleted", pc.if_else(told, "active", "unknown"))
    return {"status": status, "added_on": added, "changed_on": changed, "deleted_on": deleted_on}


def _first_day_gone(days: pa.ChunkedArray) -> pa.ChunkedArray:
    """31 December stands for the next day: sites write the last day of a code or the first day without it."""
    last_of_year = pc.and_(pc.equal(pc.month(days), 12), pc.equal(pc.day(days), 31))
    number = pc.cast(days, pa.int32())
    return pc.cast(pc.if_else(last_of_year, pc.add(number, pa.scalar(1, pa.int32())), number), DATE)
