"""How the captures of a crawl come to stay: each is on its file at once, some hundred of them become a run.

A capture is appended to ``warc/<source>/<run_id>.warc.gz.crawling``, then one line tells of it in
``captures/<run_id>.crawling.jsonl``. A commit gives WARC and index their names and removes the journal last: as
long as that is there, the run is this module's to finish, and no sweep's to remove.
"""

from __future__ import annotations

import json
import os
import zlib
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from raw.captures import Capture, index_file, index_folder, write_captures
from raw.crawl.records import sync
from raw.errors import PayloadTooLarge, RecordCorrupt
from raw.lock import zone_lock
from raw.warc import WarcFile, read_payload

CAPTURES_PER_RUN = 500
_CRAWLING = ".crawling"
_JOURNAL = f"{_CRAWLING}.jsonl"


class Journal:
    """The captures of one crawl, as they come. A ``Writer`` of raw.held."""

    def __init__(self, home: Path, source: str, crawl_id: str) -> None:
        self.spool = home / "raw"
        self._home, self._source, self._crawl_id = home, source, crawl_id
        self._number = max((_number(run) for run in _runs(home, crawl_id)), default=0)
        self._captures: list[Capture] = []
        self._warc: WarcFile | None = None
        self._lines: IO[str] | None = None
        self._next_run()

    def write(self, capture: Capture, payload: IO[bytes], original: datetime | None) -> None:
        if self._warc is None or self._lines is None:
            self._lines, self._warc = self._open()
        kept = self._warc.append(capture._replace(file=_warc_name(self._source, self.run_id)), payload, original)
        self._warc.flush()
        self._captures.append(kept)
        self._lines.write(_line(kept))
        self._lines.flush()

    def full(self) -> bool:
        return len(self._captures) >= CAPTURES_PER_RUN

    def commit(self) -> None:
        """Make a run of what came since the last one."""
        if self._warc is None or self._lines is None:
            return
        self._warc.close()
        self._lines.close()
        _commit(self._home, self._source, self.run_id, self._captures)
        self._captures, self._warc, self._lines = [], None, None
        self._next_run()

    def _next_run(self) -> None:
        self._number += 1
        self.run_id = f"{self._crawl_id}.{self._number:04}"

    def _open(self) -> tuple[IO[str], WarcFile]:
        """The journal first: what it does not tell of does not exist."""
        index_folder(self._home).mkdir(parents=True, exist_ok=True)
        lines = _journal(self._home, self.run_id).open("x", encoding="utf-8")
        sync(index_folder(self._home))
        path = self._home / _warc_name(self._source, self.run_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        return lines, WarcFile(_unnamed(path), path.name)


def recover(home: Path, source: str, crawl_id: str) -> None:
    """Commit what a killed crawl left: the captures whose records are whole. A torn tail is cut off."""
    for journal in sorted(index_folder(home).glob(f"{crawl_id}.*{_JOURNAL}")):
        run_id = journal.name.removesuffix(_JOURNAL)
        named = home / _warc_name(source, run_id)
        if index_file(home, run_id).exists():
            journal.unlink()
            continue
        path = named if named.exists() else _unnamed(named)
        captures = _whole_captures(home, path, journal)
        if captures:
            with path.open("r+b") as stream:
                stream.truncate(captures[-1].offset + captures[-1].length)
                os.fsync(stream.fileno())
            _commit(home, source, run_id, captures)
        else:
            path.unlink(missing_ok=True)
            _unnamed(index_file(home, run_id)).unlink(missing_ok=True)
            journal.unlink()


def runs_under_way(home: Path) -> set[str]:
    """Runs of crawls that are not committed yet, or were not when their process was killed."""
    return {journal.name.removesuffix(_JOURNAL) for journal in index_folder(home).glob(f"*{_JOURNAL}")}


def _commit(home: Path, source: str, run_id: str, captures: list[Capture]) -> None:
    warc, index = home / _warc_name(source, run_id), index_file(home, run_id)
    write_captures(_unnamed(index), captures)
    with _unnamed(index).open("rb") as stream:
        os.fsync(stream.fileno())
    with zone_lock(home):
        for path in (warc, index):
            if _unnamed(path).exists():
                _unnamed(path).replace(path)
            for folder in path.parents[: path.parents.index(home) + 1]:
                sync(folder)
    _journal(home, run_id).unlink()


def _whole_captures(home: Path, warc: Path, journal: Path) -> list[Capture]:
    """The captures of a journal up to the first whose line or record is torn."""
    whole: list[Capture] = []
    for line in journal.read_bytes().splitlines(keepends=True):
        try:
            capture = _capture(line)
            if not line.endswith(b"\n") or not _is_whole(home, warc, capture):
                break
        except (ValueError, KeyError, TypeError):
            break
        whole.append(capture)
    return whole


def _is_whole(home: Path, warc: Path, capture: Capture) -> bool:
    try:
        with warc.open("rb") as stream:
            stream.seek(capture.offset)
            member = stream.read(capture.length)
        inflater = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        rest = member
        while rest and not inflater.eof:
            inflater.decompress(rest, 1 << 20)
            rest = inflater.unconsumed_tail
        if len(member) != capture.length or not inflater.eof or inflater.unused_data:
            return False
        if capture.record_type != "revisit":
            read_payload(home, warc.relative_to(home).as_posix(), capture.offset, capture.payload_bytes)
    except (OSError, zlib.error, RecordCorrupt, PayloadTooLarge):
        return False
    return True


def _line(capture: Capture) -> str:
    return json.dumps(capture._asdict() | {"fetched_at": capture.fetched_at.isoformat()}, ensure_ascii=False) + "\n"


def _capture(line: bytes) -> Capture:
    told: dict[str, Any] = json.loads(line)
    return Capture(**told | {"fetched_at": datetime.fromisoformat(told["fetched_at"])})


def _runs(home: Path, crawl_id: str) -> list[str]:
    names = [path.name for path in index_folder(home).glob(f"{crawl_id}.*")]
    return [name.split(_CRAWLING)[0].removesuffix(".parquet") for name in names]


def _number(run_id: str) -> int:
    with suppress(ValueError):
        return int(run_id.rpartition(".")[2])
    return 0


def _warc_name(source: str, run_id: str) -> str:
    return f"raw/warc/{source}/{run_id}.warc.gz"


def _journal(home: Path, run_id: str) -> Path:
    return index_folder(home) / f"{run_id}{_JOURNAL}"


def _unnamed(path: Path) -> Path:
    return path.with_name(path.name + _CRAWLING)
