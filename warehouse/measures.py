"""What is measured of a snapshot and of its parent, to be held against the bands: see ``bands.py``.

By source: its codes, the rows of each fact table, the share of nulls in each column that may be null, the share of each
value in each column with a closed list of them (and in the two that hold names), and the share of its codes that the
site added, deleted or changed. The table ``codes``, which the sources share, is measured under the name ``all``.

What nobody claimed (``unmapped``), rows held back (``quarantine``) and pages that are no content (``documents``) are
not measured: the rows that are missing then are, and rules and floors watch over them already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from parsers import vocabulary
from parsers.records import GOOD_OUTCOMES
from warehouse.limits import ALL, Bands
from warehouse.rules import allowed_values
from warehouse.tables import (
    ATTRIBUTES,
    BOOL,
    CODES,
    DOCUMENTS,
    FACTS,
    HISTORY_EVENTS,
    INDICATORS,
    INDICATORS_TABLE,
    STRING,
    Table,
)

Read = Callable[[str, Sequence[str]], pa.Table]
"""(table, columns) -> the table with those of the columns that it has."""

_NAMING = {"narratives": "section", "attributes": "attribute"}
"""Columns without a closed list of values, but with few: names that the parsers give."""
_OWNER = ("source", "code")
_CODES_NAMED = 20
# Ex: codingahead|00150|2026-01-01|deleted|1, openpayer|00150|deletion_notice|1, openpayer|00150|page_gone|1
_END = r"\|(deleted|deletion_notice|page_gone)\|[0-9]+$"


@dataclass(frozen=True, slots=True)
class Measure:
    """One number, and what it is held against.

    ``band``: rows, codes, nulls, mix, added, deleted or changed. ``what``: of which table, column and value. ``unit``:
    rows, codes or share. ``deviation``: how far ``value`` is from what the parent (``before``) lets expect
    (``expected``): a share of it for rows and codes, else the difference. None: too few to say anything. ``codes``: of
    a mass, the first of them.
    """

    band: str
    source: str
    what: str
    unit: str
    value: float
    before: float
    expected: float
    deviation: float | None
    of: int
    codes: tuple[str, ...] = ()


@dataclass(slots=True)
class _Counts:
    """``pairs``: source, code, each once. ``codes``: by source. ``rows``: by (source, table). ``parts``: by (band,
    source, column, value), ``wholes`` by (band, source, column)."""

    pairs: pa.Table
    codes: dict[str, int] = field(default_factory=dict)
    rows: dict[tuple[str, str], int] = field(default_factory=dict)
    parts: dict[tuple[str, str, str, str], int] = field(default_factory=dict)
    wholes: dict[tuple[str, str, str], int] = field(default_factory=dict)


def measure(parent: Read, child: Mapping[str, pa.Table], changes: pa.Table, limits: Bands) -> list[Measure]:
    """All measures of ``child``, the validated tables, beside its ``parent``; ``changes`` lead from this to that."""
    with ThreadPoolExecutor(2) as pool:
        before, after = pool.map(_count, (parent, lambda name, columns: _select(child[name], columns)))
    measures = [*_codes(before, after, limits), *_rows(before, after, limits), *_shares(before, after, limits)]
    return measures + list(_mass(before, after, changes, limits))


def _select(rows: pa.Table, columns: Sequence[str]) -> pa.Table:
    return rows.select([name for name in columns if name in rows.column_names])


def _count(read: Read) -> _Counts:
    documents = read(DOCUMENTS.name, (*_OWNER, "outcome"))
    readable = documents.filter(pc.is_in(documents["outcome"], value_set=pa.array(GOOD_OUTCOMES, STRING)))
    counts = _Counts(readable.group_by(list(_OWNER)).aggregate([]))
    counts.codes = dict(_grouped(counts.pairs, ("source",)))
    for table in (CODES, *FACTS):
        nullable = [column.name for column in table.columns if column.nullable]
        mixed = _mixed(table)
        rows = read(table.name, ("source", *dict.fromkeys(nullable + mixed)))
        if table is CODES:
            rows = rows.append_column("source", pa.repeat(pa.scalar(ALL, STRING), rows.num_rows))
            counts.codes[ALL] = rows.num_rows
        else:
            counts.rows |= {(source, table.name): number for source, number in _grouped(rows, ("source",))}
        _count_nulls(counts, table, rows, [name for name in nullable if name in rows.column_names])
        for name in mixed:
            _count_values(counts, table, rows, name)
    return counts


def _mixed(table: Table) -> list[str]:
    closed = [c.name for c in table.columns if c.type != BOOL and allowed_values(table, c) is not None]
    return [*closed, *([_NAMING[table.name]] if table.name in _NAMING else [])] + (
        ["value_code"] if table is INDICATORS_TABLE else []
    )


def _count_nulls(counts: _Counts, table: Table, rows: pa.Table, columns: Sequence[str]) -> None:
    missing = [(name, "count", pc.CountOptions(mode="only_null")) for name in columns]
    for row in rows.group_by(["source"]).aggregate([*missing, ([], "count_all")]).to_pylist():
        for name in columns:
            counts.wholes["nulls", row["source"], f"{table.name}.{name}"] = row["count_all"]
            counts.parts["nulls", row["source"], f"{table.name}.{name}", "null"] = row[f"{name}_count"]


def _count_values(counts: _Counts, table: Table, rows: pa.Table, name: str) -> None:
    """The values of ``name``; those of an indicator for each indicator with a closed list of them."""
    if name not in rows.column_names:
        return
    rows, by = rows.filter(pc.is_valid(rows[name])), ["source", name]
    if name == "value_code":
        closed = pa.array([indicator for indicator in INDICATORS if vocabulary.values(indicator)], STRING)
        rows, by = rows.filter(pc.is_in(rows["indicator"], value_set=closed)), ["source", "indicator", name]
    for row in rows.group_by(by).aggregate([([], "count_all")]).to_pylist():
        column = f"{table.name}.{name}" + (f" of {row['indicator']}" if name == "value_code" else "")
        whole = ("mix", row["source"], column)
        counts.parts[*whole, row[name]] = row["count_all"]
        counts.wholes[whole] = counts.wholes.get(whole, 0) + row["count_all"]


def _grouped(rows: pa.Table, by: Sequence[str]) -> Iterator[tuple[str, int]]:
    counted = rows.group_by(list(by)).aggregate([([], "count_all")])
    yield from zip(counted[by[0]].to_pylist(), counted["count_all"].to_pylist(), strict=True)


def _large(before: _Counts, after: _Counts, limits: Bands) -> list[str]:
    """The sources that had enough codes and are still there; and ``all``, unless a source is new, or got or lost so
    many codes that the shared table differs for it alone."""
    large = sorted(
        source
        for source, had in before.codes.items()
        if source != ALL and had >= limits.fewest and after.codes.get(source, 0)
    )
    sources = (before.codes.keys() | after.codes.keys()) - {ALL}
    steady = all(_is_steady(before.codes.get(one, 0), after.codes.get(one, 0), limits) for one in sources)
    return [*large, ALL] if large and steady else large


def _is_steady(had: int, has: int, limits: Bands) -> bool:
    if not had:
        return False
    few = abs(has - had) < limits.fewest_changed
    # A small source has no band of its own: nothing but that of `all` tells that it lost codes.
    lost = had >= limits.fewest and _relative(has, had) < -limits.codes_lost
    return few or not (lost or _relative(has, had) > limits.codes_gained)


def _codes(before: _Counts, after: _Counts, limits: Bands) -> Iterator[Measure]:
    large = _large(before, after, limits)
    for source, had in sorted(before.codes.items()):
        if had < limits.fewest or (source == ALL and ALL not in large):
            continue
        has = after.codes.get(source, 0)
        few = abs(has - had) < limits.fewest_changed
        yield Measure("codes", source, "codes", "codes", has, had, had, None if few else _relative(has, had), had)


def _rows(before: _Counts, after: _Counts, limits: Bands) -> Iterator[Measure]:
    """For each code as many rows as before: that codes come or go is another band."""
    for source in _large(before, after, limits):
        for table in FACTS:
            had, has = before.rows.get((source, table.name), 0), after.rows.get((source, table.name), 0)
            if had >= limits.fewest:
                expected = had * after.codes[source] / before.codes[source]
                deviation = _relative(has, expected)
                yield Measure("rows", source, f"rows of {table.name}", "rows", has, had, expected, deviation, had)


def _shares(before: _Counts, after: _Counts, limits: Bands) -> Iterator[Measure]:
    large = _large(before, after, limits)
    for part in sorted(before.parts.keys() | after.parts.keys()):
        band, source, column, value = part
        of_before, of_after = (counts.wholes.get((band, source, column), 0) for counts in (before, after))
        if source in large and of_before >= limits.fewest and of_after:
            had, has = before.parts.get(part, 0) / of_before, after.parts.get(part, 0) / of_after
            what = f"{column} is null" if band == "nulls" else f"{column} = {value[:40]!a}"  # law 10
            yield Measure(band, source, what, "share", has, had, had, round(has - had, 9), of_after)


def _mass(before: _Counts, after: _Counts, changes: pa.Table, limits: Bands) -> Iterator[Measure]:
    """What the sources did themselves: what a parser does to their codes alerts nobody (law 7)."""
    own = changes.filter(pc.equal(changes["cause"], "source"))
    touched = own.filter(pc.is_valid(own["source"])).group_by(list(_OWNER)).aggregate([])
    fresh = _pairs(touched.join(before.pairs, list(_OWNER), join_type="left anti"))
    known = _pairs(touched.join(before.pairs, list(_OWNER), join_type="left semi"))
    ended = set(own.filter(pc.equal(own["change_type"], "code_deleted"))["code"].to_pylist())
    telling = _pairs(own.filter(_tells_of_an_end(own)))
    told = {code for _, code in telling}
    # Where no row says who ended it, all that touched it did.
    of_ended = {pair for pair in known if pair[1] in ended and (pair in telling or pair[1] not in told)}
    # Days pass, too: a deletion that was announced comes true, and nobody touched the code.
    untold = ended - set(touched["code"].to_pylist())
    found = {
        "added": fresh,
        "deleted": of_ended | {(ALL, code) for code in untold},
        "changed": known - of_ended,
    }
    for source, had in sorted(before.codes.items()):
        if had < limits.fewest:
            continue
        for band in ("deleted",) if source == ALL else tuple(found):
            codes = sorted(code for owner, code in found[band] if owner == source)
            share = round(len(codes) / had, 9)
            deviation = None if len(codes) < limits.fewest_changed else share
            some = tuple(codes[:_CODES_NAMED])
            yield Measure(band, source, f"codes {band}", "share", share, 0.0, 0.0, deviation, had, some)


def _pairs(rows: pa.Table) -> set[tuple[str, str]]:
    return set(zip(rows["source"].to_pylist(), rows["code"].to_pylist(), strict=True))


def _tells_of_an_end(rows: pa.Table) -> pa.ChunkedArray:
    """Which rows of ``changes`` are a source's word, or its silence, that a code is no more."""
    tables = pc.is_in(rows["table_name"], value_set=pa.array([HISTORY_EVENTS.name, ATTRIBUTES.name], STRING))
    came = pc.is_valid(rows["after"])
    return pc.and_(pc.and_(tables, came), pc.match_substring_regex(rows["row_key"], _END))


def _relative(value: float, expected: float) -> float:
    return round(value / expected - 1, 9)
