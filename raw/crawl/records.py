"""What each crawl was, in <home>/raw/crawls: ``<crawl_id>.json``, and beside it the list that it goes through."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from raw.captures import index_folder
from raw.crawl.errors import CrawlUnreadable

MOST_PROBLEMS = 200
_PARTIAL = ".partial"


class PageProblem(NamedTuple):
    """A page that was not answered well, and why."""

    url: str
    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class CrawlRecord:
    """How a crawl went, or goes. Counts are of the whole crawl, over all calls that went on with it."""

    crawl_id: str
    source: str
    started_at: datetime
    finished_at: datetime | None = None
    """None: it stopped before the end of its list, and the next call goes on"""
    complete: bool = False
    """it went through its list, and a page, a 304, a 404 or a 410 answered for every address"""
    asked: int = 0
    """addresses that were asked for, with whatever result"""
    captured: int = 0
    """captures that were kept, of any status"""
    unchanged: int = 0
    """captures among them that confirm bytes held already: 304, or the same bytes again"""
    not_found: int = 0
    """captures among them with status 404 or 410"""
    errors: Mapping[str, int] = field(default_factory=dict)
    """addresses (and sitemaps) that got no good answer, by kind"""
    problems: tuple[PageProblem, ...] = ()
    """the first MOST_PROBLEMS of them"""
    run_ids: tuple[str, ...] = ()
    """the runs that its captures were landed as, in order"""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a crawl is. ``rate``: addresses a second, in this call. ``left``: None while its list is made."""

    done: int
    left: int | None
    rate: float
    errors: Mapping[str, int]


def read_crawls(home: Path) -> list[CrawlRecord]:
    """All crawls of the home, oldest first. Raises CrawlUnreadable."""
    crawls = [read_crawl(home, path.stem) for path in crawls_folder(home).glob("*.json")]
    return sorted(crawls, key=lambda crawl: (crawl.started_at, crawl.crawl_id))


def read_crawl(home: Path, crawl_id: str) -> CrawlRecord:
    """Raises CrawlUnreadable."""
    path = record_file(home, crawl_id)
    try:
        told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        told["problems"] = tuple(PageProblem(*problem) for problem in told["problems"])
        for name in ("started_at", "finished_at"):
            told[name] = told[name] and datetime.fromisoformat(told[name]).astimezone(UTC)
        return CrawlRecord(**told, run_ids=committed_runs(home, crawl_id))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise CrawlUnreadable(path, str(error) or type(error).__name__) from error


def write_crawl(home: Path, crawl: CrawlRecord) -> None:
    told = asdict(replace(crawl, problems=crawl.problems[:MOST_PROBLEMS]))
    del told["run_ids"]  # the index files are the truth of these
    for name in ("started_at", "finished_at"):
        told[name] = told[name] and told[name].isoformat()
    write_whole(record_file(home, crawl.crawl_id), json.dumps(told, ensure_ascii=False, indent=1) + "\n")


def committed_runs(home: Path, crawl_id: str) -> tuple[str, ...]:
    return tuple(sorted(index.stem for index in index_folder(home).glob(f"{crawl_id}.*.parquet")))


def crawls_folder(home: Path) -> Path:
    return home / "raw" / "crawls"


def record_file(home: Path, crawl_id: str) -> Path:
    return crawls_folder(home) / f"{crawl_id}.json"


def write_whole(path: Path, text: str) -> None:
    """Whoever reads the file sees the old text or the new one, also after a power cut."""
    partial = path.with_name(path.name + _PARTIAL)
    with partial.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(path)
    sync(path.parent)


def sync(folder: Path) -> None:
    """Have the names in a folder on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
