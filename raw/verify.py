"""Verifying a home: every record against its digests and its row of the capture index, every file to its end.

Nothing is changed. What a crawl under way or a killed run left is told apart from damage.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from raw.captures import index_folder, read_index
from raw.errors import IndexUnreadable
from raw.held_records import Damaged, Members, Record, read_record
from raw.lock import zone_lock
from raw.warc import in_header

MAX_FAULTS = 1000
"""Faults that are told one by one; all are counted."""
_ROWS_AT_A_TIME = 1024
_KEY = ["url", "digest"]
_JOURNAL = ".crawling.jsonl"
_RESTORE = "restore the file from a copy of the home"
_Row = dict[str, Any]


class Fault(NamedTuple):
    """Something that is not as it was written. ``file`` is relative to the home; ``mend`` says what to do."""

    file: str
    offset: int | None
    kind: str
    found: str
    mend: str


@dataclass(slots=True)
class Verified:
    """What a verification read and found."""

    files: int = 0
    """WARC files read"""
    records: int = 0
    """whole records in them, but for those that describe the file (warcinfo)"""
    captures: int = 0
    """rows of the capture index that a whole record bears out"""
    faults: list[Fault] = field(default_factory=list)
    """at most MAX_FAULTS"""
    kinds: Counter[str] = field(default_factory=Counter)
    """how many faults there are of each kind"""
    waiting: tuple[str, ...] = ()
    """what a crawl holds that is under way or was stopped: the next crawl goes on with it"""
    leftovers: tuple[str, ...] = ()
    """unfinished files of a run under way, or of a killed one: the next run sweeps them"""

    def add(self, fault: Fault) -> None:
        """Count the fault, and keep it to be told."""
        self.kinds[fault.kind] += 1
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(fault)


class _Pass(NamedTuple):
    """What the reading of one file has in common with that of the next."""

    home: Path
    report: Verified
    rows: int
    on_progress: Callable[[int, int], None] | None


class _Zone(NamedTuple):
    """The names in a landing zone at one moment. ``warcs`` goes by run, its files relative to the home."""

    indexes: list[Path]
    warcs: dict[str, set[str]]
    waiting: tuple[str, ...]
    leftovers: tuple[str, ...]


def verify(home: Path, on_progress: Callable[[int, int], None] | None = None) -> Verified:
    """Read all that the landing zone of ``home`` holds, and compare. Crawls and runs may go on meanwhile.

    ``on_progress`` is told how many records were read so far, and how many rows the index has. Memory does not grow
    with files and pages, but for a few columns of the index. Damage never raises: it is a fault in the result.
    """
    zone = _names(home)
    report = Verified(waiting=zone.waiting, leftovers=zone.leftovers)
    reading = _Pass(home, report, sum(map(_row_count, zone.indexes)), on_progress)
    tables = []
    for index in zone.indexes:
        files = zone.warcs.pop(index.stem, set())
        try:
            table = _read_index(index)
        except IndexUnreadable as error:
            report.add(_index_unreadable(index.relative_to(home).as_posix(), error.found))
            for file in sorted(files):
                _read_file(file, None, reading)
            continue
        tables.append(table.select([*_KEY, "record_type", "file", "offset"]))
        for file, rows in groupby(_rows(table), key=lambda row: row["file"]):
            _read_file(file, rows, reading)
            files.discard(file)
        for file in sorted(files):
            _read_file(file, iter(()), reading)
    for run_id, files in sorted(zone.warcs.items()):
        for file in sorted(files):
            before = report.records
            _read_file(file, None, reading)
            report.add(_no_index(run_id, file, report.records - before))
    for fault in _without_original(tables):
        report.add(fault)
    return report


def _names(home: Path) -> _Zone:
    """All names at one moment: under the zone's lock no run is halfway through its renamings."""
    raw = home / "raw"
    if not raw.is_dir():
        return _Zone([], {}, (), ())
    with _lock(home):
        indexes = sorted(index_folder(home).glob("*.parquet"))
        unfinished = sorted([*raw.glob("captures/*.partial"), *raw.glob("warc/*/*.partial")])
        crawling = sorted([*raw.glob("captures/*.crawling*"), *raw.glob("warc/*/*.crawling")])
        warcs = sorted(raw.glob("warc/*/*.warc.gz"))
    committed = {index.stem for index in indexes}
    resumed = {file.name.removesuffix(_JOURNAL) for file in crawling} - committed
    swept = {file.name.removesuffix(".parquet.partial") for file in unfinished} - committed - resumed
    by_run: dict[str, set[str]] = {}
    for warc in warcs:
        run_id = warc.name.removesuffix(".warc.gz")
        if run_id in resumed:
            crawling.append(warc)
        elif run_id in swept:
            unfinished.append(warc)
        else:
            by_run.setdefault(run_id, set()).add(warc.relative_to(home).as_posix())
    waiting, leftovers = (tuple(f.relative_to(home).as_posix() for f in some) for some in (crawling, unfinished))
    return _Zone(indexes, by_run, waiting, leftovers)


def _lock(home: Path) -> AbstractContextManager[Any]:
    try:
        return zone_lock(home).acquire()
    except OSError:  # a copy that nobody may write: no run goes on there
        return nullcontext()


def _read_index(index: Path) -> pa.Table:
    """The file's rows by WARC file and offset, the order in which they are read. Raises IndexUnreadable."""
    return read_index(index).sort_by([("file", "ascending"), ("offset", "ascending")])


def _row_count(index: Path) -> int:
    with suppress(Exception):  # whatever damage raises: it is told when the index is read
        rows: int = pq.read_metadata(index).num_rows
        return rows
    return 0


def _rows(table: pa.Table) -> Iterator[_Row]:
    for batch in table.to_batches(max_chunksize=_ROWS_AT_A_TIME):
        yield from batch.to_pylist()


def _read_file(file: str, rows: Iterator[_Row] | None, reading: _Pass) -> None:
    """Read a WARC file to its end. ``rows`` of the index name all of its captures; None: no index is there to tell."""
    try:
        with (reading.home / file).open("rb") as stream:
            reading.report.files += 1
            _walk(Members(stream), file, rows, reading)
    except FileNotFoundError:
        lost = sum(1 for _ in rows or ())
        reading.report.add(Fault(file, None, "missing_file", f"is gone, and {_captures(lost)} with it", _RESTORE))
    except OSError as error:
        mend = "see whether its disk is healthy and whether this user may read it"
        reading.report.add(Fault(file, None, "unreadable", f"cannot be read: {error.strerror or error}", mend))


def _walk(members: Members, file: str, rows: Iterator[_Row] | None, reading: _Pass) -> None:
    """Record after record beside row after row, both in the order of their offsets."""
    named = rows or iter(())
    row = next(named, None)
    cut: int | None = None
    unnamed: list[int] = []
    while not members.at_end():
        at = members.offset
        row = _passed_over(file, row, named, at, reading.report)
        its = row if row and row["offset"] == at else None
        row = next(named, None) if its else row
        try:
            record = read_record(members)
        except Damaged as damage:
            if damage.cut and not (row and row["offset"] < members.offset):
                cut = at
                break
            reading.report.add(Fault(file, at, "damaged", _of(its, damage.found), _RESTORE))
            if row is None:
                break  # nothing tells where the next record would begin
            members.seek(row["offset"])
            continue
        if record.type != "warcinfo":
            reading.report.records += 1
            if reading.on_progress:
                reading.on_progress(reading.report.records, reading.rows)
        if fault := _compared(file, record, its):
            reading.report.add(fault)
        elif its:
            reading.report.captures += 1
        elif rows is not None and record.type != "warcinfo":
            unnamed.append(at)
    row = _passed_over(file, row, named, members.size(), reading.report)
    if cut is not None or row:
        reading.report.add(_truncated(file, members.size(), cut, row, (row is not None) + sum(1 for _ in named)))
    if unnamed:
        reading.report.add(_unnamed(file, unnamed))


def _passed_over(file: str, row: _Row | None, named: Iterator[_Row], at: int, report: Verified) -> _Row | None:
    """The first row that is not of a place before ``at``; those before name places where no record begins."""
    while row and row["offset"] < at:
        report.add(
            Fault(
                file,
                row["offset"],
                "misindexed",
                f"no record begins here, and the index says that {row['url']} does",
                f"restore {_index_name(file)} from a copy of the home",
            )
        )
        row = next(named, None)
    return row


def _compared(file: str, record: Record, row: _Row | None) -> Fault | None:
    """What is wrong with a whole record, by itself or beside its row."""
    if record.wrong_digest:
        return Fault(file, record.offset, "damaged", _of(row, record.wrong_digest), _RESTORE)
    if row is None:
        return None
    found = {
        "run_id": Path(file).name.removesuffix(".warc.gz"),
        "source": Path(file).parent.name,
        "record_type": record.type,
        "url": record.url,
        "fetched_at": _moment(record.date),
        "digest": record.digest,
        "length": record.length,
        "media_type": record.media_type,
    }
    # A revisit has no payload, and records of earlier versions do not tell all that the index does.
    told = {
        "payload_bytes": record.payload_bytes,
        "status": record.status,
        "requested_url": record.requested_url,
        "etag": record.etag,
        "last_modified": record.last_modified,
    }
    found |= {name: value for name, value in told.items() if value is not None}
    says = row | {name: in_header(row[name]) for name in ("etag", "last_modified") if row[name]}
    wrong = [f"{name} is {value}, the index says {row[name]}" for name, value in found.items() if value != says[name]]
    if not wrong:
        return None
    mend = f"restore this file and {_index_name(file)} from a copy of the home, both of the same day"
    return Fault(file, record.offset, "misindexed", f"the record is not the one of the index: {'; '.join(wrong)}", mend)


def _truncated(file: str, size: int, cut: int | None, row: _Row | None, gone: int) -> Fault:
    where = f", inside the record that begins at {cut}" if cut is not None else ""
    later = f"; {_captures(gone)} that should follow are gone" if gone else ""
    offset = cut if cut is not None else (row or {"offset": size})["offset"]
    mend = f"{_RESTORE}; all before this offset can be read"
    return Fault(file, offset, "truncated", f"the file ends at byte {size}{where}{later}", mend)


def _unnamed(file: str, places: list[int]) -> Fault:
    found = f"{len(places)} records from here on are in no index: no run uses them"
    mend = f"restore {_index_name(file)} from a copy of the home, if it was longer once; else they do no harm"
    return Fault(file, places[0], "unindexed", found, mend)


def _no_index(run_id: str, file: str, records: int) -> Fault:
    mend = (
        f"restore raw/captures/{run_id}.parquet from a copy of the home; or move this file out of the home and land it"
    )
    return Fault(file, None, "no_index", f"its run has no index file, so that its {records} records are not used", mend)


def _index_unreadable(index: str, found: str) -> Fault:
    mend = f"{_RESTORE}; or move it and the WARC files of its run out of the home, and land those"
    return Fault(index, None, "index_unreadable", f"cannot be read: {' '.join(found.split())}", mend)


def _without_original(tables: list[pa.Table]) -> Iterator[Fault]:
    """Revisits of bytes that no capture of their address holds."""
    if not tables:
        return
    table = pa.concat_tables(tables)
    revisit = pc.equal(table["record_type"], "revisit")
    originals = table.filter(pc.invert(revisit)).select(_KEY)
    lost = table.filter(revisit).join(originals, _KEY, join_type="left anti")
    mend = "restore the run that landed them first: its index in raw/captures, its WARC files in raw/warc"
    for row in _rows(lost.sort_by([("file", "ascending"), ("offset", "ascending")])):
        found = f"a revisit of {row['url']}: no index names the record that holds its bytes ({row['digest']})"
        yield Fault(row["file"], row["offset"], "without_original", found, mend)


def _of(row: _Row | None, found: str) -> str:
    return f"{row['url']}: {found}" if row else found


def _index_name(file: str) -> str:
    return f"raw/captures/{Path(file).name.removesuffix('.warc.gz')}.parquet"


def _captures(count: int) -> str:
    return f"{count} capture{'s' if count != 1 else ''}"


def _moment(date: str) -> datetime | None:
    try:
        return datetime.fromisoformat(date)
    except ValueError:
        return None
