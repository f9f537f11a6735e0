"""Writing captures out again: as one WARC file, or as a folder of pages with their ``manifest.jsonl``.

Landed into an empty home, either gives the same captures: all that the index tells, but for the run and the place.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from raw.captures import CAPTURES_SCHEMA, Capture, read_captures
from raw.errors import NothingToExport, TargetUnusable
from raw.held import IN_MEMORY_BYTES
from raw.held_records import Damaged, Members, read_record
from raw.manifest import MANIFEST
from raw.pages import MEDIA_TYPES, Problem
from raw.warc import WarcFile, record_type

WARC = ".warc.gz"
_ROWS_AT_A_TIME = 1024
_KEY = ["url", "digest"]
_MOMENT = pa.timestamp("us", tz="UTC")
_DIGITS_OF_A_DIGEST = 16
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]")
_SUFFIXES = {"text/plain": ".txt", "text/markdown": ".md"}  # all others are read as HTML


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which captures are written out: those that fit all that is given."""

    source: str | None = None
    since: datetime | None = None
    """fetched then or later"""
    before: datetime | None = None
    """fetched earlier"""
    url: str | None = None
    """addresses that begin with this"""


@dataclass(slots=True)
class Exported:
    """What was written. Captures chosen: ``captures`` - ``companions`` + problems."""

    captures: int = 0
    bodies: int = 0
    """captures written with their bytes; the others refer to one of these"""
    bytes: int = 0
    """payload bytes of ``bodies``"""
    companions: int = 0
    """captures that were not chosen: a 304 that was chosen confirms their bytes, and cannot land without them"""
    problems: list[Problem] = field(default_factory=list)
    """captures that were left out, and why"""


class _Target(Protocol):
    """Where captures go. ``spool``: a folder for temporary files."""

    spool: Path

    def whole(self, capture: Capture, payload: IO[bytes]) -> None:
        """Write the first capture of these bytes at this address."""

    def again(self, capture: Capture) -> None:
        """Write a capture of bytes that were written at this address."""

    def close(self) -> None: ...


def export(
    home: Path, target: Path, chosen: Chosen | None = None, on_progress: Callable[[int, int], None] | None = None
) -> Exported:
    """Write captures of ``home`` to ``target``: one WARC file if its name ends in .warc.gz, a new folder otherwise.

    The target appears when it is whole. ``on_progress`` is told how many captures are done, and of how many.
    A record that is damaged is a problem in the result, and stops no other. Raises TargetUnusable,
    NothingToExport, IndexUnreadable, and OSError where the target cannot be written.
    """
    _check(home, target)
    held = read_captures(home)
    table, companions = _in_order(held, chosen or Chosen())
    if not table.num_rows:
        raise NothingToExport(home, held.num_rows)
    aside = target.with_name(f"{target.name}.{uuid.uuid4().hex[:8]}.partial")
    aside.mkdir()
    try:
        made = aside / target.name
        writing: _Target = _Warc(made) if target.name.endswith(WARC) else _Folder(made, len(str(table.num_rows)))
        result = Exported(companions=companions)
        try:
            _write(home, table, writing, result, on_progress)
        finally:
            writing.close()
        if os.path.lexists(target):
            raise TargetUnusable(target, "something of that name appeared meanwhile")
        made.rename(target)
    finally:
        shutil.rmtree(aside)
    return result


def _check(home: Path, target: Path) -> None:
    if os.path.lexists(target):
        raise TargetUnusable(target, "it is there already, and nothing is written over")
    if not target.parent.is_dir():
        raise TargetUnusable(target, f"there is no folder {str(target.parent)!r} to write it in")
    if target.suffix in (".warc", ".gz") and not target.name.endswith(WARC):
        raise TargetUnusable(target, "the name of a WARC file must end in .warc.gz; any other is that of a folder")
    if target.resolve().is_relative_to((home / "raw").resolve()):
        raise TargetUnusable(target, "it lies in the landing zone that is written out")


def _in_order(table: pa.Table, chosen: Chosen) -> tuple[pa.Table, int]:
    """Captures in the order in which they land again, with the place of their bytes; and how many are companions.

    That is the order in which they landed, and a revisit after its original, wherever that one's run stands.
    """
    table = table.append_column("at", pa.array(range(table.num_rows), pa.int64()))
    bodies = table.filter(pc.not_equal(table["record_type"], "revisit")).select([*_KEY, "file", "offset", "at"])
    bodies = bodies.group_by(_KEY, use_threads=False).aggregate([(name, "first") for name in ("file", "offset", "at")])
    table = table.join(bodies, _KEY, join_type="left outer")
    table = table.append_column("place", pc.max_element_wise(table["at"], table["at_first"]))
    table = table.append_column("moved", pc.less(table["at"], table["at_first"]).cast(pa.int8()))
    table = table.sort_by([(name, "ascending") for name in ("place", "moved", "at")])
    fits = _fits(table, chosen)
    companions = [] if all(fits) else _companions(table, fits)
    for row in companions:
        fits[row] = True
    return table.filter(pa.array(fits, pa.bool_())), len(companions)


def _fits(table: pa.Table, chosen: Chosen) -> list[bool]:
    fits = pc.is_valid(table["url"])
    if chosen.source is not None:
        fits = pc.and_(fits, pc.equal(table["source"], chosen.source))
    if chosen.since is not None:
        fits = pc.and_(fits, pc.greater_equal(table["fetched_at"], pa.scalar(chosen.since, _MOMENT)))
    if chosen.before is not None:
        fits = pc.and_(fits, pc.less(table["fetched_at"], pa.scalar(chosen.before, _MOMENT)))
    if chosen.url is not None:
        fits = pc.and_(fits, pc.starts_with(table["url"], chosen.url))
    found: list[bool] = fits.to_pylist()
    return found


def _companions(table: pa.Table, fits: list[bool]) -> list[int]:
    """Rows that are not chosen, and hold the answer that a chosen 304 confirms."""
    latest: dict[tuple[str, str], tuple[datetime, int]] = {}
    companions = set()
    columns = (table[name].to_pylist() for name in (*_KEY, "status", "fetched_at"))
    for row, (url, digest, status, date) in enumerate(zip(*columns, strict=True)):
        key = (url, digest)
        if status == HTTPStatus.NOT_MODIFIED and fits[row] and key in latest:
            companions.add(latest[key][1])
        elif (status is None or 200 <= status < 300) and (key not in latest or date > latest[key][0]):
            latest[key] = (date, row)
    return sorted(row for row in companions if not fits[row])


def _write(
    home: Path, table: pa.Table, target: _Target, result: Exported, on_progress: Callable[[int, int], None] | None
) -> None:
    written: set[tuple[str, str]] = set()
    for done, row in enumerate(_rows(table), 1):
        capture = Capture(**{name: row[name] for name in CAPTURES_SCHEMA.names})
        key = (capture.url, capture.digest)
        try:
            if key in written:
                target.again(capture._replace(record_type="revisit"))
            elif capture.status == HTTPStatus.NOT_MODIFIED:
                raise Damaged("its status is 304, and the page that it confirms could not be written")
            else:
                with tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES, dir=str(target.spool)) as payload:
                    _read_body(home, row, payload)
                    payload.seek(0)
                    target.whole(capture._replace(record_type=record_type(*key[:1], capture.status)), payload)
                written.add(key)
                result.bodies += 1
                result.bytes += capture.payload_bytes
            result.captures += 1
        except Damaged as damage:
            message = f"{capture.url}, fetched {capture.fetched_at:%Y-%m-%d %H:%M:%S}: {damage.found}"
            result.problems.append(Problem(row["file_first"] or capture.file, row["offset_first"], message))
        if on_progress:
            on_progress(done, table.num_rows)


def _rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    for batch in table.to_batches(max_chunksize=_ROWS_AT_A_TIME):
        yield from batch.to_pylist()


def _read_body(home: Path, row: dict[str, Any], payload: IO[bytes]) -> None:
    """Copy the bytes of the capture's (url, digest), and verify them. Raises Damaged."""
    if row["file_first"] is None:
        raise Damaged("no index names the record that holds its bytes")
    try:
        file = (home / row["file_first"]).open("rb")
    except OSError as error:
        raise Damaged(f"the file cannot be read: {error.strerror}") from None
    with file:
        members = Members(file)
        members.seek(row["offset_first"])
        record = read_record(members, payload.write)
    if record.type == "revisit" or record.digest != row["digest"]:
        raise Damaged(f"the record there has the digest {record.digest}, and not {row['digest']}")


class _Warc:
    """One WARC file."""

    def __init__(self, path: Path) -> None:
        self.spool = path.parent
        self._file = WarcFile(path, path.name)
        self._originals: dict[tuple[str, str], datetime] = {}

    def whole(self, capture: Capture, payload: IO[bytes]) -> None:
        self._file.append(capture, payload)
        self._originals[capture.url, capture.digest] = capture.fetched_at

    def again(self, capture: Capture) -> None:
        self._file.append(capture, io.BytesIO(), self._originals[capture.url, capture.digest])

    def close(self) -> None:
        self._file.close()


class _Folder:
    """A folder of pages. A file begins when the bytes at an address change, so that also a page that went back to
    what it was lands in the order of the captures: folders are read by file name, then by line.
    """

    def __init__(self, path: Path, digits: int) -> None:
        path.mkdir()
        self.spool = path.parent
        self._path, self._digits, self._files = path, digits, 0
        self._manifest = (path / MANIFEST).open("w", encoding="utf-8")
        self._current: dict[str, tuple[str, str]] = {}
        self._first: dict[tuple[str, str], str] = {}

    def whole(self, capture: Capture, payload: IO[bytes]) -> None:
        name = self._next(capture)
        with (self._path / name).open("xb") as file:
            shutil.copyfileobj(payload, file)
        self._first[capture.url, capture.digest] = name
        self._line(capture, name)

    def again(self, capture: Capture) -> None:
        digest, name = self._current[capture.url]
        if digest != capture.digest:
            name = self._next(capture)
            shutil.copyfile(self._path / self._first[capture.url, capture.digest], self._path / name)
        self._line(capture, name)

    def close(self) -> None:
        self._manifest.close()

    def _next(self, capture: Capture) -> str:
        """A file name of source, number and digest: neither addresses nor pages have a say in it. An address stays
        in the folder of the source that it had first."""
        self._files += 1
        _, before = self._current.get(capture.url, ("", capture.source + "/"))
        source = _NOT_IN_NAMES.sub("_", before.partition("/")[0]).lstrip(".") or "_"
        (self._path / source).mkdir(exist_ok=True)
        digest = _NOT_IN_NAMES.sub("_", capture.digest.removeprefix("sha256:"))[:_DIGITS_OF_A_DIGEST]
        suffix = _SUFFIXES.get(capture.media_type, ".html")
        return f"{source}/{self._files:0{self._digits}}-{digest}{suffix}"

    def _line(self, capture: Capture, name: str) -> None:
        self._current[capture.url] = (capture.digest, name)
        line: dict[str, object] = {"file": name, "url": capture.url, "fetched_at": capture.fetched_at.isoformat()}
        if capture.status is not None:
            line["status"] = capture.status
        told = {name: getattr(capture, name) for name in ("requested_url", "etag", "last_modified")}
        line |= {name: value for name, value in told.items() if value is not None}
        if capture.media_type != MEDIA_TYPES[Path(name).suffix]:
            line["media_type"] = capture.media_type
        self._manifest.write(json.dumps(line) + "\n")
