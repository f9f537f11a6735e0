"""The table ``code_versions``: every state that a code was in, over the snapshots that are kept.

A state begins with the snapshot that first shows it and ends with the first that no longer does. Time is data time: a
snapshot holds from its as-of time on, and never from before its parent, so that what is read anew from old pages does
not reach back.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from functools import reduce
from itertools import accumulate
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from warehouse.columnar import equal, look_up, sort_rows
from warehouse.snapshots import is_kept, lineage, read_manifest, read_table
from warehouse.tables import CODE_VERSIONS, CODES, INT32, TIMESTAMP

_STATE = CODES.compared


@dataclass(frozen=True, slots=True)
class Standing:
    """A snapshot's place in its home's history. ``number``: from 1; ``valid_from``: since when it holds."""

    number: int
    valid_from: dt.datetime


def stands_after(home: Path, parent: str | None, as_of: dt.datetime) -> Standing:
    """Where a child of ``parent`` stands, the current snapshot, if it rests on data until ``as_of``."""
    if parent is None:
        return Standing(1, as_of)
    last = read_manifest(home, parent)
    if not {"number", "valid_from"} <= last.keys():  # by an older version, which counted from the first one
        last = lineage(home)[-1]
    return Standing(last["number"] + 1, max(as_of, dt.datetime.fromisoformat(last["valid_from"])))


def versions_after(home: Path, parent: str | None, codes: pa.Table, stands: Standing) -> pa.Table:
    """``code_versions`` of a child of ``parent``, the current snapshot, with these ``codes``.

    States go only with snapshots that their manifests show as expired: what is missing for another reason is damage,
    and costs no state. Raises BrokenSnapshot.
    """
    if parent is None:
        return follow(None, codes, stands, {stands.number})
    line = lineage(home)
    kept = [manifest for manifest in line if is_kept(home, manifest["snapshot_id"])]
    expired = {manifest["number"] for manifest in line} - {manifest["number"] for manifest in kept}
    numbers = {*range(1, stands.number + 1)} - expired
    if CODE_VERSIONS.name in kept[-1]["files"]:
        return follow(read_table(home, parent, CODE_VERSIONS.name), codes, stands, numbers)
    versions = None  # the parent is older than this table
    for manifest in kept:
        stood = Standing(manifest["number"], dt.datetime.fromisoformat(manifest["valid_from"]))
        versions = follow(versions, read_table(home, manifest["snapshot_id"], CODES.name), stood, numbers)
    return follow(versions, codes, stands, numbers)


def follow(versions: pa.Table | None, codes: pa.Table, stands: Standing, kept: Collection[int]) -> pa.Table:
    """``versions`` (None: there are none yet) and what a next snapshot with these ``codes`` adds to them.

    ``kept``: the numbers of the snapshots that are there; states of no other stay.
    """
    before = _as_declared(versions if versions is not None else CODE_VERSIONS.schema.empty_table())
    codes = _as_declared(codes)
    is_open = pc.is_null(before["last_snapshot"])
    last = before.filter(is_open)
    place = pc.index_in(codes["code"], value_set=last["code"])
    same = reduce(pc.and_, (equal(codes[n], pc.take(last[n], place)) for n in _STATE), pc.is_valid(place))
    goes_on = pc.is_in(last["code"], value_set=codes.filter(same)["code"])
    closed = _with(last.filter(pc.invert(goes_on)), valid_to=stands.valid_from, last_snapshot=stands.number - 1)
    opened = _opened(codes.filter(pc.invert(same)), before, stands)
    rows = pa.concat_tables([before.filter(pc.invert(is_open)), closed, last.filter(goes_on), opened])
    rows = rows.filter(_in_some(rows, stands.number, kept))
    return sort_rows(rows, CODE_VERSIONS.key).cast(CODE_VERSIONS.schema).combine_chunks()


def _opened(codes: pa.Table, before: pa.Table, stands: Standing) -> pa.Table:
    latest = before.group_by(["code"]).aggregate([("version", "max")])
    version = pc.add(pc.fill_null(look_up(codes["code"], latest, "code", "version_max"), 0), 1)
    opened = codes.set_column(codes.column_names.index("version"), "version", pc.cast(version, INT32))
    return _with(opened, valid_from=stands.valid_from, first_snapshot=stands.number)


def _in_some(rows: pa.Table, number: int, kept: Collection[int]) -> pa.ChunkedArray:
    """For each row, whether one of the snapshots from its first to its last is ``kept``."""
    so_far = pa.array(accumulate(int(n in kept) for n in range(number + 1)), INT32)
    until = pc.take(so_far, pc.fill_null(rows["last_snapshot"], number))
    return pc.greater(until, pc.take(so_far, pc.subtract(rows["first_snapshot"], 1)))


def _as_declared(rows: pa.Table) -> pa.Table:
    """``rows`` with the columns of the table, null where an older one, or ``codes``, has none."""
    columns = {
        c.name: rows[c.name].cast(c.type) if c.name in rows.column_names else pa.nulls(rows.num_rows, c.type)
        for c in CODE_VERSIONS.columns
    }
    return pa.table(columns)


def _with(rows: pa.Table, **values: dt.datetime | int) -> pa.Table:
    """``rows`` with one value in all of a column."""
    for name, value in values.items():
        kind = TIMESTAMP if isinstance(value, dt.datetime) else INT32
        column = pa.repeat(pa.scalar(value, kind), rows.num_rows)
        rows = rows.set_column(rows.column_names.index(name), name, column)
    return rows
