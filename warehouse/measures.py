"""What is measured of a snapshot and of its parent, to be held against the bands: see ``bands.py``.

By source: its codes, the rows of each fact table, the share of nulls in each column that may be null, the share of each
value in each column with a closed list of them (and in the two that hold names), and the share of its codes that the
site added, deleted or changed. The table ``codes``, which the sources share, is measured under the name ``all``.

What nobody claimed (``unmapped``), rows held back (``quarantine``) and pages that are no content (``documents``) are
not measured: the rows that are missing then are, and rules and floors watch over them already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from parsers import vocabulary
from parsers.records import GOOD_OUTCOMES
from warehouse.limits import ALL, Bands
from warehouse.rules import allowed_values
from warehouse.tables import BOOL, CODES, DOCUMENTS, FACTS, INDICATORS, INDICATORS_TABLE, STRING, Table

Read = Callable[[str, Sequence[str]], pa.Table]
"""(table, columns) -> the table with those of the columns that it has."""

_NAMING = {"narratives": "section", "attributes": "attribute"}
"""Columns without a closed list of values, but with few: names that the parsers give."""
_OWNER = ("source", "code")


@dataclass(frozen=True, slots=True)
class Measure:
    """One number, and what it is held against.

    ``band``: rows, codes, nulls, mix, added, deleted or changed. ``what``: of which table, column and value. ``unit``:
    rows, codes or share. ``deviation``: how far ``value`` is from what the parent (``before``) lets expect
    (``expected``): a share of it for rows and codes, else the difference. None: too few to say anything.
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
    before, after = _count(parent), _count(lambda name, columns: _select(child[name], columns))
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
    """The sources with enough codes on both sides; and ``all``, unless its sources are others, or one of them got so
    many codes, or lost so many, that it says so itself."""
    of_before, of_after = (
        {source for source, codes in counts.codes.items() if source != ALL and codes >= limits.fewest}
        for counts in (before, after)
    )
    both = sorted(of_before & of_after)
    steady = all(_is_steady(before.codes[source], after.codes[source], limits) for source in both)
    return [*both, ALL] if both and of_before == of_after and steady else both


def _is_steady(had: int, has: int, limits: Bands) -> bool:
    few = abs(has - had) < limits.fewest_changed
    return few or -limits.codes_lost <= _relative(has, had) <= limits.codes_gained


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
        if source in large and min(of_before, of_after) >= limits.fewest:
            had, has = before.parts.get(part, 0) / of_before, after.parts.get(part, 0) / of_after
            what = f"{column} is null" if band == "nulls" else f"{column} = {value[:40]!a}"  # law 10
            yield Measure(band, source, what, "share", has, had, had, round(has - had, 9), of_after)


def _mass(before: _Counts, after: _Counts, changes: pa.Table, limits: Bands) -> Iterator[Measure]:
    """What the sources did themselves: what a parser does to their codes alerts nobody (law 7)."""
    own = changes.filter(pc.equal(changes["cause"], "source"))
    ended = own.filter(pc.equal(own["change_type"], "code_deleted"))["code"].combine_chunks()
    touched = own.filter(pc.is_valid(own["source"])).group_by(list(_OWNER)).aggregate([])
    known = touched.join(before.pairs, list(_OWNER), join_type="left semi")
    is_ended = pc.is_in(known["code"], value_set=ended)
    # Days pass, too: a deletion that was announced comes true, and nobody touched the code.
    untold = pc.invert(pc.is_in(pc.unique(ended), value_set=touched["code"].combine_chunks()))
    found = {
        "added": dict(_grouped(touched.join(before.pairs, list(_OWNER), join_type="left anti"), ("source",))),
        "deleted": dict(_grouped(known.filter(is_ended), ("source",))) | {ALL: pc.sum(untold).as_py() or 0},
        "changed": dict(_grouped(known.filter(pc.invert(is_ended)), ("source",))),
    }
    for source, had in sorted(before.codes.items()):
        if had < limits.fewest:
            continue
        for band in ("deleted",) if source == ALL else tuple(found):
            number = found[band].get(source, 0)
            share = round(number / had, 9)
            deviation = None if number < limits.fewest_changed else share
            yield Measure(band, source, f"codes {band}", "share", share, 0.0, 0.0, deviation, had)


def _relative(value: float, expected: float) -> float:
    return round(value / expected - 1, 9)
