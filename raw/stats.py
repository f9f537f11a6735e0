"""What a home holds: captures by source and by day, counted over the columns of the capture index."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from raw.captures import read_captures

_COUNTED = ("source", "url", "fetched_at", "status", "record_type", "payload_bytes", "length")


class Count(NamedTuple):
    """Captures of one group. ``source`` and ``day`` (of ``fetched_at``, UTC) are None where the group has all."""

    source: str | None
    day: date | None
    captures: int
    pages: int
    """addresses"""
    bodies: int
    """captures with bytes that were new at their address"""
    revisits: int
    """captures of bytes that were held for their address"""
    payload_bytes: int
    """size of ``bodies``, unpacked"""
    disk_bytes: int
    """size of all records, packed"""


@dataclass(frozen=True, slots=True)
class Stats:
    """Everything in the capture index of a home."""

    total: Count
    by_source: tuple[Count, ...]
    by_day: tuple[Count, ...]
    """by source, then day"""
    by_status: dict[int | None, int]
    """captures by HTTP status; None where it is not known"""
    runs: int
    """landing runs and crawls that brought anything"""
    warc_files: int
    first_day: date | None
    last_day: date | None


def stats(home: Path) -> Stats:
    """Count what the index of ``home`` names. A million captures take seconds. Raises IndexUnreadable."""
    runs = read_captures(home, ("run_id", "file"))
    table = read_captures(home, _COUNTED)
    day = pc.cast(pc.floor_temporal(table["fetched_at"], unit="day").cast(pa.timestamp("us")), pa.date32())
    body = pc.not_equal(table["record_type"], "revisit")
    counted = pa.table(
        {
            "source": table["source"].cast(pa.string()),
            "day": day,
            "status": table["status"],
            "url": table["url"],
            "body": body.cast(pa.int64()),
            "payload": pc.if_else(body, table["payload_bytes"], 0),
            "length": table["length"],
        }
    )
    days = pc.min_max(day).as_py()
    statuses = counted.group_by("status").aggregate([([], "count_all")]).sort_by("status").to_pydict()
    return Stats(
        total=_counts(counted, [])[0],
        by_source=tuple(_counts(counted, ["source"])),
        by_day=tuple(_counts(counted, ["source", "day"])),
        by_status=dict(zip(statuses["status"], statuses["count_all"], strict=True)),
        runs=pc.count_distinct(runs["run_id"]).as_py(),
        warc_files=pc.count_distinct(runs["file"]).as_py(),
        first_day=days["min"],
        last_day=days["max"],
    )


def _counts(table: pa.Table, keys: list[str]) -> list[Count]:
    sums: list[tuple[Any, ...]] = [(name, "sum") for name in ("body", "payload", "length")]
    grouped = table.group_by(keys).aggregate([([], "count_all"), ("url", "count_distinct"), *sums])
    if keys:
        grouped = grouped.sort_by([(key, "ascending") for key in keys])
    return [
        Count(
            source=row.get("source"),
            day=row.get("day"),
            captures=row["count_all"],
            pages=row["url_count_distinct"],
            bodies=row["body_sum"] or 0,
            revisits=row["count_all"] - (row["body_sum"] or 0),
            payload_bytes=row["payload_sum"] or 0,
            disk_bytes=row["length_sum"] or 0,
        )
        for row in grouped.to_pylist()
    ]
