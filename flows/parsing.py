"""Work on one batch of pages: read each from the landing zone, parse it, stage the results.

Worker processes import this module and little else.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import parsers
from parsers.limits import MAX_BYTES
from parsers.records import ParseResult
from raw.errors import PayloadTooLarge, RawError
from raw.warc import read_payload
from warehouse.staging import StagedResult, stage


@dataclass(frozen=True, slots=True)
class PageRef:
    """A page to be parsed. ``status`` is None where it was fetched well; ``file`` and ``offset`` name its record."""

    document_id: str
    url: str
    status: int | None
    file: str
    offset: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Pages that are handed out together; ``number`` counts from 1."""

    home: Path
    number: int
    of: int
    pages: tuple[PageRef, ...]

    def __str__(self) -> str:
        return f"batch {self.number} of {self.of} ({len(self.pages)} pages from {self.pages[0].url} on)"


@dataclass(frozen=True, slots=True)
class BatchDone:
    """What became of a batch. ``not_staged`` holds results that another try may better."""

    pages: int
    seconds: float
    peak_memory_bytes: int | None
    not_staged: tuple[StagedResult, ...]


def parse_batch(batch: Batch) -> BatchDone:
    """Parse and stage a batch. A page that cannot be read or parsed is a result like any other."""
    begun = time.perf_counter()
    results = [StagedResult(page.document_id, _result(batch.home, page)) for page in batch.pages]
    stage(batch.home, [staged for staged in results if not staged.result.retry])
    return BatchDone(
        pages=len(results),
        seconds=time.perf_counter() - begun,
        peak_memory_bytes=peak_memory_bytes(),
        not_staged=tuple(staged for staged in results if staged.result.retry),
    )


def peak_memory_bytes() -> int | None:
    """The most memory that this process has held; None where the system does not tell."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _result(home: Path, page: PageRef) -> ParseResult:
    by_status = parsers.result_for_status(page.url, page.status)
    if by_status is not None:
        return by_status
    try:
        payload = read_payload(home, page.file, page.offset, MAX_BYTES)
        return parsers.parse(payload, page.url)
    except PayloadTooLarge as error:
        return parsers.result_too_large(page.url, error.size)
    except RawError as error:
        return _unread(page.url, str(error))
    except MemoryError:
        return _unread(page.url, "memory ran out; fewer workers or more memory may help")


def _unread(url: str, reason: str) -> ParseResult:
    """Not staged: the page is tried again at the next run."""
    return ParseResult(
        url=url, source=None, code=None, parser="none", parser_version=0, outcome="failed", reason=reason, retry=True
    )
