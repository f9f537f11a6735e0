"""Landing: every page that is not held yet becomes a WARC record and a row of the capture index.

A run writes under temporary names, then renames its WARC files, then its index file; that last step commits
all of it. What a killed run left is swept by the next one.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import IO

from raw.ahead import read_ahead
from raw.captures import Capture, index_file, write_captures
from raw.crawl.journal import runs_under_way
from raw.errors import RunExists
from raw.held import Held, Unreadable, land_page, read_held
from raw.inputs import check_input, read_inputs
from raw.lock import zone_lock
from raw.pages import MAX_PAGE_BYTES, Page, PassedOver, Problem, trouble
from raw.revisits import Originals
from raw.warc import WarcFile, read_payload

# A fetch before the web, or later than a clock in another time zone can tell, is a mistake; and raw keeps it for ever.
EARLIEST_FETCH = datetime(1990, 1, 1, tzinfo=UTC)
FETCH_AHEAD_OF_CLOCK = timedelta(days=1)
# A file of another kind may be wrong in every line.
PROBLEMS_KEPT = 1000
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
    """what was left out, and why: the first `PROBLEMS_KEPT`"""
    swept: tuple[str, ...]
    """files of killed runs that were removed, relative to the home"""
    passed_over: dict[str, int] = field(default_factory=dict)
    """records of containers that are no pages, by kind in words"""
    problems_not_kept: int = 0
    """problems beyond those"""


def land(
    home: Path,
    run_id: str,
    inputs: Sequence[str],
    source_of: Callable[[str], str],
    on_progress: Callable[[int], None] | None = None,
    now: datetime | None = None,
    fetch: Callable[[str], None] | None = None,
) -> LandReport:
    """Land the pages of ``inputs`` (folders, searched through; page files; containers) as the run ``run_id``.

    ``source_of`` gives the source of a URL, a name fit for a folder. ``on_progress`` is told how many
    captures and problems were seen so far. ``now``: the time that no fetch can be much later than; the clock's,
    where it is not given. ``fetch``: called with a WARC file of the home before it is read, which may not be there
    yet. Whatever is wrong with a page is a problem in the report, and stops no other. The caller holds the home's
    lock. Raises UnusableInput and RunExists before anything of the run is committed, IndexUnreadable, and OSError
    where the home cannot be written.
    """
    for name in inputs:
        check_input(name)
    if index_file(home, run_id).exists():
        raise RunExists(run_id, index_file(home, run_id))
    latest = (now or datetime.now(UTC)) + FETCH_AHEAD_OF_CLOCK
    with zone_lock(home):
        swept, unswept = sweep(home)
    problems = _Problems(unswept)
    held = read_held(home)
    already_held = 0
    passed_over: Counter[str] = Counter()
    items = read_ahead(read_inputs(inputs, home), partial(_likely_held, held))
    with closing(_Run(home, run_id)) as run, closing(items):
        originals = Originals(home, run.captures, run.read, fetch)
        for seen, (item, measured) in enumerate(items, 1):
            if isinstance(item, Problem):
                problems.add(item)
            elif isinstance(item, PassedOver):
                passed_over[item.kind] += 1
            elif not EARLIEST_FETCH <= item.fetched_at <= latest:
                problems.add(_wrong_date(item, latest))
            else:
                try:
                    page = _resolved(item, originals)
                    already_held += land_page(run, held, page, source_of, measured) is None
                except Unreadable as error:
                    problems.add(trouble(item, f"cannot be read: {error}"))
            if on_progress:
                on_progress(seen)
        run.commit()
    new = [capture for capture in run.captures if capture.record_type != "revisit"]
    return LandReport(
        landed=len(new),
        revisits=len(run.captures) - len(new),
        already_held=already_held,
        bytes=sum(capture.payload_bytes for capture in new),
        problems=tuple(problems.kept),
        swept=swept,
        passed_over=dict(sorted(passed_over.items())),
        problems_not_kept=problems.others,
    )


def sweep(home: Path) -> tuple[tuple[str, ...], list[Problem]]:
    """Remove what a killed run left: files under temporary names, and the WARC files that it had renamed already.

    Such a run has an unfinished index file. WARC files whose run has none at all may be the only copy of their
    pages, their index being lost: they stay, and the problem is told. What a crawl left is the next crawl's to mend.
    """
    raw = home / "raw"
    committed = {index.stem for index in raw.glob("captures/*.parquet")} | runs_under_way(home)
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


class _Problems:
    """The first of them, each once. ``others``: how many came when there was no room."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.kept: dict[Problem, None] = {}
        self.others = 0
        for problem in problems:
            self.add(problem)

    def add(self, problem: Problem) -> None:
        if len(self.kept) < PROBLEMS_KEPT:
            self.kept[problem] = None
        elif problem not in self.kept:
            self.others += 1


def _likely_held(held: Held, page: Page) -> bool:
    """Whether it comes with bytes of its own, and some are held of its address: they are mostly the same."""
    return page.url in held.answers and page.status != HTTPStatus.NOT_MODIFIED


def _resolved(page: Page, originals: Originals) -> Page:
    """The page with its bytes, or with those that it confirms. Raises Unreadable."""
    if page.refers_to:
        return originals.resolve(page, page.refers_to)
    return originals.confirmed(page) if page.status == HTTPStatus.NOT_MODIFIED else page


def _wrong_date(page: Page, latest: datetime) -> Problem:
    given = f" (line {page.where} of its manifest, or the file's modification time)"
    if page.place:
        given = ""
    elif page.where is None:
        given = " (the file's modification time)"
    message = (
        f"fetched_at is {page.fetched_at.isoformat()}{given}, and must lie between "
        f"{EARLIEST_FETCH.isoformat()} and {latest.isoformat(timespec='seconds')}: mend it and land again"
    )
    return trouble(page, message)


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
        self.captures.append(self._warcs[file].append(capture._replace(file=file), payload, original))

    def read(self, capture: Capture) -> bytes:
        """The payload of a capture of this run."""
        self._warcs[capture.file].flush()
        partial = _partial(Path(capture.file)).as_posix()
        return read_payload(self._home, partial, capture.offset, MAX_PAGE_BYTES)

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
        with zone_lock(self._home):
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
