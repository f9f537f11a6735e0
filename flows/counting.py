"""Which captures count: not those of unfinished crawls, nor of landings in which a source fared too badly."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from flows import acceptance
from flows.acceptance import Accepted
from flows.report import Report
from flows.settings import Settings
from raw.crawl.records import CrawlRecord, read_crawls
from warehouse.health import Health, counted, health


@dataclass(frozen=True, slots=True)
class Terms:
    """What decides, beside the captures, which of them count."""

    crawls: tuple[CrawlRecord, ...]
    floors: dict[str, float]
    accepted: tuple[Accepted, ...]

    def key(self) -> list[object]:
        """For a hash: the same terms give the same."""
        crawls = [(crawl.crawl_id, str(crawl.finished_at), crawl.complete) for crawl in self.crawls]
        return [crawls, self.floors, [asdict(accepted) for accepted in self.accepted]]


def read_terms(home: Path, settings: Settings) -> Terms:
    """Raises AcceptedUnreadable, and what read_crawls raises."""
    floors = {name: source.floor for name, source in sorted(settings.sources.items())}
    return Terms(tuple(read_crawls(home)), floors, tuple(acceptance.read(home)))


def captures_of(index: pa.Table, crawls: Sequence[CrawlRecord]) -> pa.Table:
    """The capture index as the warehouse takes it: document_id without its prefix, sizes as byte_size; ``landing``, in
    the order of time; ``crawl``, where it is complete. Captures of crawls that are not finished are left out.
    """
    run_ids = pc.unique(index["run_id"])
    owners = [_crawl_of(run_id, crawls) for run_id in run_ids.to_pylist()]
    landings = [_landing(run_id, crawl) for run_id, crawl in zip(run_ids.to_pylist(), owners, strict=True)]
    complete = [crawl.crawl_id if crawl and crawl.complete else None for crawl in owners]
    place = pc.index_in(index["run_id"], value_set=run_ids)
    captures = pa.table(
        {
            "document_id": pc.replace_substring(index["digest"], "sha256:", "", max_replacements=1),
            "url": index["url"],
            "requested_url": index["requested_url"],
            "source": index["source"],
            "fetched_at": index["fetched_at"],
            "status": index["status"],
            "media_type": index["media_type"],
            "byte_size": index["payload_bytes"],
            "run_id": index["run_id"],
            "landing": pc.take(pa.array(landings, pa.string()), place),
            "crawl": pc.take(pa.array(complete, pa.string()), place),
        }
    )
    return captures.filter(pc.is_valid(captures["landing"]))


def count(
    report: Report,
    captures: pa.Table,
    results: pa.Table,
    terms: Terms,
    let_pass: Sequence[str],
    new_runs: Collection[str],
) -> tuple[pa.Table, Terms]:
    """The captures that count, and the terms with what was let pass just now; the report tells of ``new_runs``."""
    found = _health(captures, results, terms)
    if let_pass:
        accepted = acceptance.accept(Path(report.home), let_pass, found, report.run_id)
        terms = replace(terms, accepted=tuple(accepted))
        found = _health(captures, results, terms)
    is_new = pc.is_in(captures["run_id"], value_set=pa.array(sorted(new_runs), pa.string()))
    new = set(pc.unique(captures.filter(is_new)["landing"]).to_pylist())
    report.sources = [asdict(one) | {"share": one.share} for one in found if one.landing in new]
    return counted(captures, results, found), terms


def waiting(index: pa.Table, crawls: Sequence[CrawlRecord]) -> dict[str, int]:
    """By source, the captures of crawls that are not finished."""
    counts: Counter[str] = Counter()
    for run_id, number in Counter(index["run_id"].to_pylist()).items():
        crawl = _crawl_of(run_id, crawls)
        if crawl and crawl.finished_at is None:
            counts[crawl.source] += number
    return dict(counts)


def _health(captures: pa.Table, results: pa.Table, terms: Terms) -> list[Health]:
    passed = {(accepted.source, accepted.landing) for accepted in terms.accepted}
    return health(captures, results, terms.floors, passed)


def _crawl_of(run_id: str, crawls: Sequence[CrawlRecord]) -> CrawlRecord | None:
    """A crawl lands in parts, each a run of its own. Ex: "20260105T060000Z-ab12.0001" """
    crawl_id = run_id.partition(".")[0]
    return next((crawl for crawl in crawls if crawl.crawl_id == crawl_id), None)


def _landing(run_id: str, crawl: CrawlRecord | None) -> str | None:
    """What the captures of a run came with, named in the order of time: a crawl counts from its end on, and the id of
    a run begins with its time already. None: a crawl that goes on, or waits to be taken up again.
    """
    if crawl is None:
        return run_id
    if crawl.finished_at is None:
        return None
    return f"{crawl.finished_at.astimezone(dt.UTC):%Y%m%dT%H%M%SZ}-{crawl.crawl_id}"
