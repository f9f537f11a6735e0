"""What there is to do: which pages are not parsed yet, and whether anything differs from what was looked at last."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from flows.parsing import Batch, PageRef
from flows.report import write_json
from warehouse.staging import staged_keys
from warehouse.tables import TABLES, fingerprint

# Batches per worker, so that no worker waits long for the last one; and the fewest pages that are worth one.
BATCHES_PER_WORKER = 4
MIN_BATCH_PAGES = 25

Key = tuple[str, str]
"""(document_id, url)"""


def warehouse_captures(index: pa.Table) -> pa.Table:
    """The capture index as the warehouse takes it: document_id without its prefix, sizes as byte_size."""
    return pa.table(
        {
            "document_id": pc.replace_substring(index["digest"], "sha256:", "", max_replacements=1),
            "url": index["url"],
            "fetched_at": index["fetched_at"],
            "status": index["status"],
            "media_type": index["media_type"],
            "byte_size": index["payload_bytes"],
            "run_id": index["run_id"],
        }
    )


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
        if status is None or 200 <= status < 300:
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


def rests_on(index: pa.Table, live: Sequence[str], trust: Sequence[str], not_staged: Collection[Key]) -> str:
    """Hash of all that a snapshot is made from: equal where a run can add nothing to what the last one looked at."""
    parts: list[Any] = [
        sorted(pc.unique(index["run_id"]).to_pylist()),
        sorted(live),
        list(trust),
        sorted(not_staged),
        {table.name: fingerprint(table) for table in TABLES},
        version("cptflow"),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def was_seen(home: Path, snapshot_id: str | None, looked_at: str) -> bool:
    """Whether a run went through to its end over the same things, with the same snapshot as the outcome."""
    try:
        seen = json.loads(_seen_file(home).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(seen == {"snapshot_id": snapshot_id, "rests_on": looked_at})


def mark_seen(home: Path, snapshot_id: str | None, looked_at: str) -> None:
    """Remember, as the last thing of a run. Losing this file costs one needless assembly, and nothing else."""
    write_json(_seen_file(home), {"snapshot_id": snapshot_id, "rests_on": looked_at})


def _seen_file(home: Path) -> Path:
    return home / "runs" / ".seen.json"
