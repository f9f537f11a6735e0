"""Which captures count: not those of unfinished crawls, nor of landings in which a source fared too badly."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from flows.acceptance import FLOOR
from flows.errors import CptflowError
from flows.report import Report
from flows.settings import Settings
from raw.crawl.records import CrawlRecord, read_crawls, record_file
from warehouse import snapshots
from warehouse.health import counts, health, let_pass

Landing = tuple[str, str]
"""(source, landing)"""


class CrawlLost(CptflowError):
    """The record of a crawl is gone, so nobody knows whether what it brought counts."""

    def __init__(self, home: Path, crawl_id: str) -> None:
        self.home, self.crawl_id = home, crawl_id
        super().__init__(
            f"{record_file(home, crawl_id)} is gone, which tells whether the crawl {crawl_id} was complete. Restore "
            "raw/crawls from a backup, and run again; nothing was published."
        )


@dataclass(frozen=True, slots=True)
class Terms:
    """What decides, beside the captures, which of them count. ``held_back``: by the snapshot that is current."""

    crawls: Mapping[str, CrawlRecord]
    floors: Mapping[str, float]
    published_runs: frozenset[str]
    held_back: frozenset[Landing]

    def key(self) -> list[object]:
        """For a hash: the same terms give the same."""
        crawls = [(crawl_id, str(crawl.finished_at), crawl.complete) for crawl_id, crawl in self.crawls.items()]
        return [sorted(crawls), sorted(self.floors.items())]


@dataclass(frozen=True, slots=True)
class Counted:
    """``captures``: all, with ``counts``. ``held_back``: what does not count because its source fared badly."""

    captures: pa.Table
    held_back: tuple[Landing, ...]
    accepted: tuple[dict[str, str], ...]

    @property
    def run_ids(self) -> list[str]:
        """The runs of captures that count."""
        run_ids: list[str] = pc.unique(self.captures.filter(self.captures["counts"])["run_id"]).to_pylist()
        return sorted(run_ids)


def read_terms(home: Path, parent: str | None, settings: Settings) -> Terms:
    """Raises what read_crawls raises."""
    manifest: Mapping[str, Any] = snapshots.made_by_run(home, parent) if parent else {}
    return Terms(
        crawls={crawl.crawl_id: crawl for crawl in read_crawls(home)},
        floors={name: source.floor for name, source in settings.sources.items()},
        published_runs=frozenset(manifest.get("run_ids", ())),
        held_back=_pairs(manifest),
    )


def captures_of(home: Path, index: pa.Table, terms: Terms) -> pa.Table:
    """The capture index as the warehouse takes it: document_id without its prefix, sizes as byte_size; ``landing``, in
    the order of time, null for crawls that are not finished; ``crawl``, where it is complete. Raises CrawlLost.
    """
    run_ids = pc.unique(index["run_id"])
    crawls = [_crawl_of(home, run_id, terms.crawls) for run_id in run_ids.to_pylist()]
    landings = [_landing(run_id, crawl) for run_id, crawl in zip(run_ids.to_pylist(), crawls, strict=True)]
    complete = [crawl.crawl_id if crawl and crawl.complete else None for crawl in crawls]
    place = pc.index_in(index["run_id"], value_set=run_ids)
    return pa.table(
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


def count(
    report: Report,
    captures: pa.Table,
    results: pa.Table,
    terms: Terms,
    pass_for: Sequence[str],
    new_runs: Collection[str],
) -> Counted:
    """Which of ``captures`` count; the report tells how sources fared in ``new_runs``.

    ``pass_for``: sources whose latest landing a person lets pass. What a snapshot rests on stays.
    """
    published = of_runs(captures, terms.published_runs)
    landings = set(pc.unique(published["landing"]).to_pylist())
    judged = health(captures, results, terms.floors, _Settled(landings, terms.held_back))
    found = let_pass(judged, pass_for)
    new = set(pc.unique(of_runs(captures, new_runs)["landing"]).to_pylist())
    report.sources = [asdict(one) | {"share": one.share} for one in found if one.landing in new or one.accepted]
    held_back = tuple((one.source, one.landing) for one in found if one.suspect)
    accepted = tuple({"rule": FLOOR, "source": one.source, "landing": one.landing} for one in found if one.accepted)
    return Counted(captures.append_column("counts", counts(captures, results, held_back)), held_back, accepted)


def as_counted_by(manifest: Mapping[str, Any], captures: pa.Table, results: pa.Table) -> pa.Table:
    """``captures`` with ``counts`` as it was for the snapshot of ``manifest``."""
    of_it = pc.is_in(captures["run_id"], value_set=_strings(manifest["run_ids"]))
    kept = pc.and_(of_it, counts(captures, results, _pairs(manifest)))
    return captures.set_column(captures.column_names.index("counts"), "counts", kept)


def of_runs(index: pa.Table, run_ids: Collection[str]) -> pa.Table:
    """The captures that those runs landed."""
    return index.filter(pc.is_in(index["run_id"], value_set=_strings(run_ids)))


def waiting(index: pa.Table, terms: Terms) -> dict[str, int]:
    """By source, the captures of crawls that are not finished."""
    found: Counter[str] = Counter()
    for run_id, number in Counter(index["run_id"].to_pylist()).items():
        crawl = terms.crawls.get(run_id.partition(".")[0])
        if crawl and crawl.finished_at is None:
            found[crawl.source] += number
    return dict(found)


@dataclass(frozen=True, slots=True)
class _Settled:
    """The (source, landing) that the current snapshot rests on."""

    landings: Collection[str]
    held_back: Collection[Landing]

    def __contains__(self, pair: object) -> bool:
        return isinstance(pair, tuple) and pair[1] in self.landings and pair not in self.held_back


def _pairs(manifest: Mapping[str, Any]) -> frozenset[Landing]:
    return frozenset((source, landing) for source, landing in manifest.get("held_back", ()))


def _crawl_of(home: Path, run_id: str, crawls: Mapping[str, CrawlRecord]) -> CrawlRecord | None:
    """A crawl lands in parts, each a run of its own. Ex: "20260105T060000Z-ab12.0001" """
    crawl_id, _, part = run_id.partition(".")
    if part and crawl_id not in crawls:
        raise CrawlLost(home, crawl_id)
    return crawls.get(crawl_id)


def _landing(run_id: str, crawl: CrawlRecord | None) -> str | None:
    """What the captures of a run came with, named in the order of time: a crawl counts from its end on, and the id of
    a run begins with its time already. None: a crawl that goes on, or waits to be taken up again.
    """
    if crawl is None:
        return run_id
    if crawl.finished_at is None:
        return None
    return f"{crawl.finished_at.astimezone(dt.UTC):%Y%m%dT%H%M%S%fZ}-{crawl.crawl_id}"


def _strings(values: Collection[str]) -> pa.Array:
    return pa.array(sorted(values), pa.string())
