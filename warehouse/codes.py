"""The table ``codes``: one row for each code, each value from the most trusted source that has it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from warehouse.columnar import first_of_each, joined, look_up
from warehouse.evidence import lost_everywhere
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


def derive_codes(base: pa.Table, tables: Mapping[str, pa.Table], trust: Sequence[str], as_of: dt.datetime) -> pa.Table:
    """``codes`` for the codes in ``base`` (code, first_seen_at, source_count), from the facts and ``documents``.

    ``trust``: sources, most trusted first; sources that it leaves out come after, by name. A deletion counts from
    ``as_of`` on; one that is dated later is only announced. A code whose pages are gone is deleted on a day that nobody
    told.
    """
    base = base.select(["code", "first_seen_at", "source_count"]).sort_by("code")
    code = base["code"]
    columns = {name: base[name] for name in base.column_names}
    columns |= _form(code)
    columns |= _values(code, _ranked(tables["descriptors"], trust), "kind", "text", _DESCRIPTORS)
    indicator_of = {f"{name}_code": name for name in INDICATORS}
    columns |= _values(code, _ranked(tables["indicators"], trust), "indicator", "value_code", indicator_of)
    columns |= _history(
        code, _ranked(tables["history_events"], trust), tables["attributes"], tables["documents"], as_of
    )
    lost = lost_everywhere(tables["attributes"], base).combine_chunks()
    columns["status"] = pc.if_else(pc.is_in(code, value_set=lost), "deleted", columns["status"])
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
    code: pa.ChunkedArray, events: pa.Table, attributes: pa.Table, documents: pa.Table, as_of: dt.datetime
) -> dict[str, pa.ChunkedArray]:
    """Status and dates, from the events of the best-ranked source that has any."""
    best = events.group_by(["code"]).aggregate([("rank", "min")])
    events = events.filter(pc.equal(events["rank"], look_up(events["code"], best, "code", "rank_min")))
    days = pc.if_else(pc.equal(events["action"], "deleted"), _first_day_gone(events["event_on"]), events["event_on"])
    ahead = pc.greater(days, pa.scalar(as_of.date(), DATE))
    events = events.append_column("day", days).append_column("ahead", ahead)

    def day(action: str, which: str, ahead: bool | None = None) -> pa.ChunkedArray:
        """The first (min) or last (max) day of an action: up to now, ahead, or whenever."""
        wanted = pc.equal(events["action"], action)
        if ahead is not None:
            wanted = pc.and_(wanted, pc.equal(events["ahead"], ahead))
        found = events.filter(wanted).group_by(["code"]).aggregate([("day", which)])
        return look_up(code, found, "code", f"day_{which}")

    added, added_last = day("added", "min"), day("added", "max", ahead=False)
    gone_on, going_on = day("deleted", "max", ahead=False), day("deleted", "min", ahead=True)
    gone = pc.and_(pc.is_valid(gone_on), pc.invert(pc.fill_null(pc.greater(added_last, gone_on), False)))
    # A change, or a deletion to come, tells that there is a code, unless it is itself to be added only before that.
    sign = pc.min_element_wise(day("changed", "min"), going_on)
    known = pc.and_(pc.is_valid(sign), pc.fill_null(pc.less(sign, added), True))
    told = pc.or_(pc.is_valid(added_last), known)
    gone_or_noticed = pc.or_(gone, pc.is_in(code, value_set=_noticed(attributes, events, documents)))
    return {
        "status": pc.if_else(gone_or_noticed, "deleted", pc.if_else(told, "active", "unknown")),
        "added_on": added,
        "changed_on": day("changed", "max"),
        "deleted_on": pc.if_else(gone, gone_on, going_on),
    }


def _noticed(attributes: pa.Table, events: pa.Table, documents: pa.Table) -> pa.Array:
    """Codes with a banner that counts: where no history speaks, or on a newer page whose history was cut off.

    Newer than the page of the history is one that covers no history, where the page of the history covers attributes
    too: for each table the latest page that covers it is read.
    """
    notices = attributes.filter(pc.equal(attributes["attribute"], "deletion_notice"))
    silent = pc.invert(pc.is_in(notices["code"], value_set=events["code"].combine_chunks()))
    cut = pc.invert(_on_page_covering(notices, "history_events", documents))
    passed_over = events.filter(_on_page_covering(events, "attributes", documents))
    of_site = joined(passed_over, ("source", "code")).combine_chunks()
    newer = pc.and_(cut, pc.is_in(joined(notices, ("source", "code")), value_set=of_site))
    return notices.filter(pc.or_(silent, newer))["code"].combine_chunks()


def _on_page_covering(rows: pa.Table, table: str, documents: pa.Table) -> pa.ChunkedArray:
    """For each of ``rows``, whether the page that it came from saw ``table`` whole."""
    lists = pc.binary_join_element_wise("", documents["covered_tables"], "", ",")
    page = ("document_id", "source", "code")
    covering = joined(documents.filter(pc.match_substring(lists, f",{table},")), page)
    return pc.is_in(joined(rows, page), value_set=covering.combine_chunks())


def _first_day_gone(days: pa.ChunkedArray) -> pa.ChunkedArray:
    """31 December stands for the next day: sites write the last day of a code or the first day without it."""
    last_of_year = pc.and_(pc.equal(pc.month(days), 12), pc.equal(pc.day(days), 31))
    number = pc.cast(days, pa.int32())
    return pc.cast(pc.if_else(last_of_year, pc.add(number, pa.scalar(1, pa.int32())), number), DATE)
