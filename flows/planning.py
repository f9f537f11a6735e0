"""What there is to do: which pages are not parsed yet, and whether anything differs from what was looked at last."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

import parsers
from flows.parsing import Batch, PageRef
from flows.report import write_json
from warehouse.staging import staged_keys
from warehouse.tables import TABLES, fingerprint

# Batches per worker, so that no worker waits long for the last one; and the fewest pages that are worth one.
BATCHES_PER_WORKER = 4
MIN_BATCH_PAGES = 25

Key = tuple[str, str]
"""(document_id, url)"""


@dataclass(frozen=True, slots=True)
class Pages:
    """Every page of a home. ``recovered``: fetched well, and refused with the same bytes at another time."""

    by_key: dict[Key, PageRef]
    recovered: frozenset[Key]


def pages_of(index: pa.Table) -> Pages:
    """The pages of the capture index, in whatever order, with the place of their payloads: the first capture of their
    bytes that is no revisit. A page that was fetched well at least once has no status, others that of the first fetch.
    """
    columns = ("digest", "url", "status", "record_type", "file", "offset")
    dates = index["fetched_at"].cast(pa.int64()).to_pylist()
    places: dict[Key, tuple[str, int]] = {}
    refused: dict[Key, tuple[int, int]] = {}
    well: set[Key] = set()
    for date, digest, url, status, record_type, file, offset in zip(
        dates, *(index[name].to_pylist() for name in columns), strict=True
    ):
        key = (digest.removeprefix("sha256:"), url)
        if record_type != "revisit":
            places[key] = min((file, offset), places.get(key, (file, offset)))
        if parsers.is_answer(status):
            well.add(key)
        else:
            refused[key] = min((date, status), refused.get(key, (date, status)))
    pages = {key: PageRef(*key, None if key in well else refused[key][1], *place) for key, place in places.items()}
    return Pages(pages, frozenset(pages.keys() & refused.keys() & well))


def unparsed(home: Path, pages: Pages, live: Sequence[str]) -> list[PageRef]:
    """The pages that no live parser version has read."""
    done = staged_keys(home, live)
    if pages.recovered:
        # What is staged of these may only tell their status; it counts when a parser staged it.
        by_parsers = staged_keys(home, [name for name in live if not name.startswith("none@")])
        done -= pages.recovered - by_parsers
    return [page for key, page in pages.by_key.items() if key not in done]


def batches_of(home: Path, pages: Iterable[PageRef], most: int, workers: int) -> list[Batch]:
    """Batches of at most ``most`` pages, in the order of the landing zone's files."""
    ordered = sorted(pages, key=lambda page: (page.file, page.offset, page.url))
    fair = -(-len(ordered) // (workers * BATCHES_PER_WORKER)) if workers > 1 else most
    size = min(most, max(fair, MIN_BATCH_PAGES))
    groups = [tuple(ordered[start : start + size]) for start in range(0, len(ordered), size)]
    return [Batch(home, number, len(groups), group) for number, group in enumerate(groups, 1)]


def rests_on(
    index: pa.Table, live: Sequence[str], trust: Sequence[str], not_staged: Collection[Key], terms: Sequence[object]
) -> str:
    """Hash of all that a snapshot is made from: equal where a run can add nothing to what the last one looked at.

    ``terms``: what decides, beside the captures, which of them count.
    """
    parts: list[Any] = [
        sorted(pc.unique(index["run_id"]).to_pylist()),
        sorted(live),
        list(trust),
        sorted(not_staged),
        list(terms),
        {table.name: fingerprint(table) for table in TABLES},
        version("cptflow"),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Seen:
    """What the last run that went through to its end looked at, and what came of it."""

    snapshot_id: str | None = None
    rests_on: str = ""
    run_ids: tuple[str, ...] = ()

    def is_of(self, snapshot_id: str | None, looked_at: str) -> bool:
        """Whether the run looked at the same things, with the same snapshot as the outcome."""
        return (self.snapshot_id, self.rests_on) == (snapshot_id, looked_at)


def read_seen(home: Path) -> Seen:
    try:
        seen = json.loads(_seen_file(home).read_text(encoding="utf-8"))
        return Seen(seen["snapshot_id"], seen["rests_on"], tuple(seen["run_ids"]))
    except (OSError, ValueError, TypeError, KeyError):
        return Seen()


def mark_seen(home: Path, seen: Seen) -> None:
    """Remember, as the last thing of a run. Losing this file costs one needless assembly, and nothing else."""
    write_json(_seen_file(home), asdict(seen))


def _seen_file(home: Path) -> Path:
    return home / "runs" / ".seen.json"
