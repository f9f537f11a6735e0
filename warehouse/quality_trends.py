"""The last snapshots in numbers, for the charts of the quality report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from warehouse.snapshots import snapshots_folder
from warehouse.tables import BY_NAME

SNAPSHOTS = 12


@dataclass(frozen=True, slots=True)
class Point:
    """One snapshot. What only its tables tell is None once they are gone; ``held_back`` and ``rows`` remain.

    ``codes`` and ``changes``: by status and by type. ``warnings``: rows of quarantine that are in their table too.
    """

    snapshot_id: str
    as_of: str
    rows: int
    held_back: int
    codes: Mapping[str, int] | None
    changes: Mapping[str, int] | None
    warnings: int | None
    unmapped: float | None


def trend(home: Path, manifests: Sequence[Mapping[str, Any]]) -> tuple[Point, ...]:
    """The last SNAPSHOTS of ``manifests`` (oldest first)."""
    return tuple(_point(home, manifest) for manifest in manifests[-SNAPSHOTS:])


def read_columns(home: Path, snapshot_id: str, table: str, columns: Sequence[str] | None) -> pa.Table | None:
    """Columns of a snapshot's table, all for None; None where it is not there, cannot be read, or has them not."""
    path = snapshots_folder(home) / snapshot_id / f"{table}.parquet"
    try:
        return pq.read_table(path, columns=list(columns or BY_NAME[table].names), partitioning=None)
    except (OSError, pa.ArrowException):
        return None


def _point(home: Path, manifest: Mapping[str, Any]) -> Point:
    snapshot_id = manifest["snapshot_id"]
    severities = _counts(home, snapshot_id, "quarantine", "severity")
    return Point(
        snapshot_id,
        manifest["as_of"],
        rows=sum(file["rows"] for name, file in manifest["files"].items() if _is_content(name)),
        held_back=sum(suite["held_back"] for suite in manifest.get("suites", ()) if "held_back" in suite),
        codes=_counts(home, snapshot_id, "codes", "status"),
        changes=_counts(home, snapshot_id, "changes", "change_type"),
        warnings=severities.get("warning", 0) if severities is not None else None,
        unmapped=_unmapped(home, snapshot_id),
    )


def _is_content(table: str) -> bool:
    return table in BY_NAME and BY_NAME[table].kind in ("fact", "derived")


def _counts(home: Path, snapshot_id: str, table: str, column: str) -> dict[str, int] | None:
    rows = read_columns(home, snapshot_id, table, (column,))
    if rows is None or rows.column_names != [column]:
        return None
    return {one["values"].as_py(): one["counts"].as_py() for one in pc.value_counts(rows[column])}


def _unmapped(home: Path, snapshot_id: str) -> float | None:
    """The share of the text blocks of all pages in use that no parser claimed."""
    rows = read_columns(home, snapshot_id, "documents", ("blocks", "unmapped"))
    if rows is None or len(rows.column_names) != 2:
        return None
    blocks = pc.sum(rows["blocks"]).as_py()
    return float(pc.sum(rows["unmapped"]).as_py() / blocks) if blocks else None
