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
from datetime import datetime
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
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_PARTIAL = ".partial"
_WARC = ".warc.gz"


@dataclass(frozen=True, slots=True)
class LandReport:
    """What a landing did. Captures seen: ``landed`` + ``revisits`` + ``already_held``."""

    landed: int
    """captures whose bytes are new at their URL"""
    revisits: int
    """captures of bytes that were held for their URL, fetched at another time"""
    already_held: int
    """captures with the URL, bytes and time of one that was held: nothing was written"""
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
) -> LandReport:
    """Land the pages of ``inputs`` (folders, searched through; page files) as the run ``run_id``.

    ``source_of`` gives the source of a URL, a name fit for a folder. ``on_progress`` is told how many
    captures and problems were seen so far. Whatever is wrong with a page is a problem in the report, and
    stops no other. The caller holds the home's lock. Raises UnusableInput and RunExists before anything is
    written, IndexUnreadable, and OSError where the home cannot be written.
    """
    for path in inputs:
        check_input(path)
    if index_file(home, run_id).exists():
        raise RunExists(run_id, index_file(home, run_id))
    swept, problems = sweep(home)
    held = _held(home)
    already_held = 0
    with closing(_Run(home, run_id)) as run:
        for seen, item in enumerate(_pages(inputs, home), 1):
            if isinstance(item, Problem):
                problems.append(item)
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
    """Remove what a killed run left: files under temporary names, and WARC files whose run has no index.

    A kill leaves such WARC files of one run at most. More than one run without an index means that index
    files were lost: the WARC files may be the only copy then, so they stay, and the problem is told.
    """
    raw = home / "raw"
    leftovers = [*raw.glob(f"captures/*{_PARTIAL}"), *raw.glob(f"warc/*/*{_PARTIAL}")]
    committed = {index.stem for index in raw.glob("captures/*.parquet")}
    orphans: dict[str, list[Path]] = {}
    for file in raw.glob(f"warc/*/*{_WARC}"):
        run_id = file.name.removesuffix(_WARC)
        if run_id not in committed:
            orphans.setdefault(run_id, []).append(file)
    problems = []
    if len(orphans) > 1:
        message = "has no index file, and so have other runs: restore raw/captures, or remove these WARC files"
        problems = [
            Problem(file.relative_to(home).as_posix(), None, f"run {run_id} {message}")
            for run_id, files in sorted(orphans.items())
            for file in sorted(files)
        ]
    else:
        leftovers += [file for files in orphans.values() for file in files]
    for file in leftovers:
        file.unlink()
    return tuple(sorted(file.relative_to(home).as_posix() for file in leftovers)), problems


@dataclass(slots=True)
class _Held:
    """What the home holds: all captures, and by (url, digest) the date of the one that holds the bytes.

    Dates are microseconds since 1970: a million of them as objects take seconds to make.
    """

    captures: set[tuple[str, str, int]] = field(default_factory=set)
    originals: dict[tuple[str, str], int] = field(default_factory=dict)


def _held(home: Path) -> _Held:
    table = read_captures(home, ("url", "digest", "fetched_at", "record_type"))
    urls, digests, dates = (
        column.to_pylist() for column in (table["url"], table["digest"], table["fetched_at"].cast(pa.int64()))
    )
    held = _Held(captures=set(zip(urls, digests, dates, strict=True)))
    for url, digest, date, kind in zip(urls, digests, dates, table["record_type"].to_pylist(), strict=True):
        if kind != "revisit":
            held.originals.setdefault((url, digest), date)
    return held


def _pages(inputs: Sequence[Path], home: Path) -> Iterator[Page | Problem]:
    manifests: dict[Path, Manifest] = {}
    for path in inputs:
        yield from read_folder(path, home) if path.is_dir() else read_page(path, manifests)


def _land_page(run: _Run, held: _Held, page: Page, source_of: Callable[[str], str]) -> bool:
    """True where the page was written. Raises _Unreadable."""
    with tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES, dir=str(run.spool)) as payload:
        digest, size = _spool(page, payload)
        key = (page.url, digest)
        date = microseconds(page.fetched_at)
        if (*key, date) in held.captures:
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
    held.captures.add((*key, date))
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
            path.parent.mkdir(parents=True, exist_ok=True)
            self._warcs[file] = WarcFile(_partial(path), path.name)
        self.captures.append(self._warcs[file].append(replace(capture, file=file), payload, original))

    def commit(self) -> None:
        """Make the run's files appear, the index last; without captures there are none."""
        if not self.captures:
            return
        index = index_file(self._home, self.run_id)
        index.parent.mkdir(exist_ok=True)
        write_captures(_partial(index), self.captures)
        _sync(_partial(index))
        for warc in self._warcs.values():
            warc.close()
        for path in (*(self._home / file for file in self._warcs), index):
            _partial(path).replace(path)
            for folder in path.parents[: path.parents.index(self._home) + 1]:
                _sync(folder)

    def close(self) -> None:
        """Remove what was not committed."""
        for path in (*(self._home / file for file in self._warcs), index_file(self._home, self.run_id)):
            _partial(path).unlink(missing_ok=True)
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
