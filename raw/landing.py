"""Landing: every page that is not held yet becomes a WARC record and a row of the capture index.

A run writes under temporary names, then renames its WARC files, then its index file; that last step commits
all of it. What a killed run left is swept by the next one.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

import pyarrow as pa

from raw.captures import Capture, index_file, read_captures, write_captures
from raw.errors import RunExists
from raw.folder import check_input, read_folder, read_page
from raw.manifest import Manifest
from raw.pages import Page, Problem, from_microseconds, microseconds
from raw.warc import CHUNK, WarcFile, record_type

# Pages up to this size are hashed and written from memory, larger ones from a temporary file in the home.
IN_MEMORY_BYTES = 1 << 20
# A fetch before the web, or later than a clock in another time zone can tell, is a mistake; and raw keeps it for ever.
EARLIEST_FETCH = datetime(1990, 1, 1, tzinfo=UTC)
FETCH_AHEAD_OF_CLOCK = timedelta(days=1)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_PARTIAL = ".partial"
_WARC = ".warc.gz"


@dataclass(frozen=True, slots=True)
class LandReport:
    """What a landing did. Captures seen: ``landed`` + ``revisits`` + ``already_held``."""

    landed: int
    """captures whose bytes are new at their URL"""
    revisits: int
    """captures of bytes that were held for their URL, fetched at another time or with another status"""
    already_held: int
    """captures with the URL, bytes, time and status of one that was held: nothing was written"""
    bytes: int
    """payload bytes of ``landed``"""
    problems: tuple[Problem, ...]
    """what was left out, and why"""
    swept: tuple[str, ...]
    """files of killed runs that were removed, relative to the home"""


def land(
    home: Path,
    run_id: str,
    inputs: Sequence[Path],
    source_of: Callable[[str], str],
    on_progress: Callable[[int], None] | None = None,
    now: datetime | None = None,
) -> LandReport:
    """Land the pages of ``inputs`` (folders, searched through; page files) as the run ``run_id``.

    ``source_of`` gives the source of a URL, a name fit for a folder. ``on_progress`` is told how many
    captures and problems were seen so far. ``now``: the time that no fetch can be much later than; the clock's,
    where it is not given. Whatever is wrong with a page is a problem in the report, and stops no other. The
    caller holds the home's lock. Raises UnusableInput and RunExists before anything of the run is committed,
    IndexUnreadable, and OSError where the home cannot be written.
    """
    for path in inputs:
        check_input(path)
    if index_file(home, run_id).exists():
        raise RunExists(run_id, index_file(home, run_id))
    latest = (now or datetime.now(UTC)) + FETCH_AHEAD_OF_CLOCK
    swept, problems = sweep(home)
    held = _held(home)
    already_held = 0
    with closing(_Run(home, run_id)) as run:
        for seen, item in enumerate(_pages(inputs, home), 1):
            if isinstance(item, Problem):
                problems.append(item)
            elif not EARLIEST_FETCH <= item.fetched_at <= latest:
                problems.append(_wrong_date(item, latest))
            else:
                try:
                    already_held += not _land_page(run, held, item, source_of)
                except _Unreadable as error:
                    problems.append(Problem(item.file, item.where, f"cannot be read: {error}"))
            if on_progress:
                on_progress(seen)
        run.commit()
    new = [capture for capture in run.captures if capture.record_type != "revisit"]
    return LandReport(
        landed=len(new),
        revisits=len(run.captures) - len(new),
        already_held=already_held,
        bytes=sum(capture.payload_bytes for capture in new),
        problems=tuple(dict.fromkeys(problems)),
        swept=swept,
    )


def sweep(home: Path) -> tuple[tuple[str, ...], list[Problem]]:
    """Remove what a killed run left: files under temporary names, and the WARC files that it had renamed already.

    Such a run has an unfinished index file. WARC files whose run has none at all may be the only copy of their
    pages, their index being lost: they stay, and the problem is told.
    """
    raw = home / "raw"
    committed = {index.stem for index in raw.glob("captures/*.parquet")}
    unfinished = {index.name.removesuffix(f".parquet{_PARTIAL}") for index in raw.glob(f"captures/*{_PARTIAL}")}
    leftovers, problems = [*raw.glob(f"warc/*/*{_PARTIAL}")], []
    for file in sorted(raw.glob(f"warc/*/*{_WARC}")):
        run_id = file.name.removesuffix(_WARC)
        if run_id in unfinished - committed:
            leftovers.append(file)
        elif run_id not in committed:
            index = index_file(home, run_id).relative_to(home).as_posix()
            message = f"run {run_id} has no index file: restore {index}, or remove this WARC file"
            problems.append(Problem(file.relative_to(home).as_posix(), None, message))
    leftovers += raw.glob(f"captures/*{_PARTIAL}")  # the last to go: it tells that the others may
    for file in leftovers:
        file.unlink()
    return tuple(sorted(file.relative_to(home).as_posix() for file in leftovers)), problems


@dataclass(slots=True)
class _Held:
    """What the home holds: all captures, and by (url, digest) the date of the one that holds the bytes.

    Dates are microseconds since 1970: a million of them as objects take seconds to make.
    """

    captures: set[tuple[str, str, int, int | None]] = field(default_factory=set)
    originals: dict[tuple[str, str], int] = field(default_factory=dict)


def _held(home: Path) -> _Held:
    table = read_captures(home, ("url", "digest", "fetched_at", "status", "record_type"))
    urls, digests, statuses = (table[name].to_pylist() for name in ("url", "digest", "status"))
    dates = table["fetched_at"].cast(pa.int64()).to_pylist()
    held = _Held(captures=set(zip(urls, digests, dates, statuses, strict=True)))
    for url, digest, date, kind in zip(urls, digests, dates, table["record_type"].to_pylist(), strict=True):
        if kind != "revisit":
            held.originals.setdefault((url, digest), date)
    return held


def _pages(inputs: Sequence[Path], home: Path) -> Iterator[Page | Problem]:
    manifests: dict[Path, Manifest] = {}
    for path in inputs:
        yield from read_folder(path, home) if path.is_dir() else read_page(path, manifests)


def _wrong_date(page: Page, latest: datetime) -> Problem:
    given = f"line {page.where} of its manifest, or the file's" if page.where else "the file's"
    message = (
        f"fetched_at is {page.fetched_at.isoformat()} ({given} modification time), and must lie between "
        f"{EARLIEST_FETCH.isoformat()} and {latest.isoformat(timespec='seconds')}: mend it and land again"
    )
    return Problem(page.file, page.where, message)


def _land_page(run: _Run, held: _Held, page: Page, source_of: Callable[[str], str]) -> bool:
    """True where the page was written. Raises _Unreadable."""
    with tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES, dir=str(run.spool)) as payload:
        digest, size = _spool(page, payload)
        key = (page.url, digest)
        date = microseconds(page.fetched_at)
        if (*key, date, page.status) in held.captures:
            return False
        original = held.originals.get(key)
        capture = Capture(
            run_id=run.run_id,
            url=page.url,
            source=source_of(page.url),
            fetched_at=page.fetched_at,
            status=page.status,
            media_type=page.media_type,
            digest=digest,
            payload_bytes=size,
            record_type="revisit" if original is not None else record_type(page.url, page.status),
        )
        run.write(capture, payload, None if original is None else from_microseconds(original))
    held.captures.add((*key, date, page.status))
    held.originals.setdefault(key, date)
    return True


def _spool(page: Page, payload: IO[bytes]) -> tuple[str, int]:
    """Copy the page's bytes: what is hashed is what is written then, even if the page changes meanwhile."""
    digester = hashlib.sha256()
    size = 0
    for chunk in _chunks(page):
        digester.update(chunk)
        size += payload.write(chunk)
    return f"sha256:{digester.hexdigest()}", size


class _Unreadable(Exception):
    """The page cannot be read: its own fault, where an OSError in writing is the home's."""


def _chunks(page: Page) -> Iterator[bytes]:
    try:
        with page.open() as source:
            while chunk := source.read(CHUNK):
                yield chunk
    except OSError as error:
        raise _Unreadable(error.strerror or str(error)) from error


class _Run:
    """The files of one run: one WARC file a source, begun when its first page comes, and the index."""

    def __init__(self, home: Path, run_id: str) -> None:
        self.run_id = _fit_for_a_path(run_id)
        self.captures: list[Capture] = []
        self.spool = home / "raw"
        self.spool.mkdir(parents=True, exist_ok=True)
        self._home = home
        self._warcs: dict[str, WarcFile] = {}

    def write(self, capture: Capture, payload: IO[bytes], original: datetime | None) -> None:
        file = f"raw/warc/{_fit_for_a_path(capture.source)}/{self.run_id}{_WARC}"
        if file not in self._warcs:
            path = self._home / file
            if path.exists():
                raise RunExists(self.run_id, path)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._warcs[file] = WarcFile(_partial(path), path.name)
        self.captures.append(self._warcs[file].append(replace(capture, file=file), payload, original))

    def commit(self) -> None:
        """Make the run's files appear, the index last; without captures there are none.

        The unfinished index is on the disk before any WARC file has its name: by it a sweep knows that they are new.
        """
        if not self.captures:
            return
        index = index_file(self._home, self.run_id)
        index.parent.mkdir(exist_ok=True)
        write_captures(_partial(index), self.captures)
        _sync(_partial(index))
        _sync(index.parent)
        for warc in self._warcs.values():
            warc.close()
        for path in (*(self._home / file for file in self._warcs), index):
            _partial(path).replace(path)
            for folder in path.parents[: path.parents.index(self._home) + 1]:
                _sync(folder)

    def close(self) -> None:
        """Remove what was not committed, the unfinished index last."""
        index = index_file(self._home, self.run_id)
        for path in (self._home / file for file in self._warcs):
            _partial(path).unlink(missing_ok=True)
            if not index.exists():
                path.unlink(missing_ok=True)
        _partial(index).unlink(missing_ok=True)
        for warc in self._warcs.values():
            warc.close()  # on a full disk this fails as the landing did; nothing is left behind then


def _fit_for_a_path(name: str) -> str:
    """Run ids and sources become file names."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot be a file name here: use letters, digits, dots, dashes and underscores")
    return name


def _partial(path: Path) -> Path:
    return path.with_name(path.name + _PARTIAL)


def _sync(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
