"""The last steps of the pipeline: compare with the parent snapshot, and publish where there is news."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from flows.counting import Counted, as_counted_by
from flows.errors import CptflowError
from flows.report import Report
from warehouse import publishing, snapshots, staging
from warehouse.assemble import Assembled, assemble
from warehouse.compare import compare, no_changes
from warehouse.expectations import validate, validate_run_tables


class CapturesLost(CptflowError):
    """Captures that the parent snapshot rests on are no longer there. ``run_ids``: the runs that landed them."""

    def __init__(self, home: Path, snapshot_id: str, run_ids: Sequence[str]) -> None:
        self.home, self.snapshot_id, self.run_ids = home, snapshot_id, list(run_ids)
        super().__init__(
            f"Snapshot {snapshot_id} rests on pages that are no longer in {home}/raw: those landed by "
            f"{', '.join(run_ids)}. Restore raw/captures and raw/warc from a backup, and run again; nothing was "
            "published."
        )


@dataclass(frozen=True, slots=True)
class Basis:
    """What tables are made from."""

    home: Path
    counted: Counted
    live: tuple[str, ...]
    trust: tuple[str, ...]


def check(assembled: Assembled, trust: Sequence[str], report: Report) -> Assembled:
    """The tables without the rows that were held back; the report tells which rules broke, and which stop the run."""
    checked = validate(assembled.tables, assembled.as_of, trust)
    report.as_of = assembled.as_of.isoformat()
    report.rows = {name: table.num_rows for name, table in checked.tables.items()}
    report.quarantine = {
        f"by_{column}": _counted(checked.tables["quarantine"][column]) for column in ("severity", "rule")
    }
    report.suites, report.stopped = checked.suites, [asdict(stop) for stop in checked.stopped]
    return Assembled(checked.tables, assembled.as_of)


def check_captures(parent: str | None, home: Path, index: pa.Table) -> None:
    """Raises CapturesLost where the snapshot ``parent`` rests on captures that are gone: all of theirs would be too."""
    if parent is None:
        return
    there = pc.unique(index["run_id"]).to_pylist()
    if lost := sorted(set(snapshots.read_manifest(home, parent)["run_ids"]) - set(there)):
        raise CapturesLost(home, parent, lost)


def changes_since(parent: str | None, made: Assembled, basis: Basis) -> pa.Table:
    """The table ``changes``, from the snapshot ``parent`` to the validated tables ``made``."""
    if parent is None:
        return no_changes()
    manifest = snapshots.read_manifest(basis.home, parent)
    before = snapshots.read_tables(basis.home, parent)
    if not _made_otherwise(manifest, made.tables["documents"], basis):
        return compare(before, made.tables, parent)
    rebased = _rebased(manifest, basis)
    return compare(before, made.tables, parent, rebased, snapshots.changed_schemas(manifest))


def publish(parent: str | None, made: Assembled, changes: pa.Table, basis: Basis, report: Report) -> None:
    """Publish ``made`` with its ``changes``. The report tells the snapshot, or the rules that stopped it."""
    draft = publishing.draft(
        {**made.tables, "changes": changes},
        as_of=made.as_of,
        parent=parent,
        run_id=report.run_id,
        published_at=dt.datetime.now(dt.UTC),
        cptflow_version=version("cptflow"),
    )
    checked = validate_run_tables(draft.tables, made.as_of)
    report.suites += checked.suites
    report.stopped += [asdict(stop) for stop in checked.stopped]
    if checked.stopped:
        return
    published = publishing.publish(
        basis.home,
        draft,
        run_ids=basis.counted.run_ids,
        suites=report.suites,
        trust=basis.trust,
        accepted=basis.counted.accepted,
        held_back=basis.counted.held_back,
    )
    report.snapshot_id, report.parent_snapshot_id = published.snapshot_id, parent
    report.rows = {name: file["rows"] for name, file in published.manifest["files"].items()}
    report.changes = {f"by_{column}": _counted(changes[column]) for column in ("change_type", "cause")}


def _made_otherwise(manifest: Mapping[str, Any], documents: pa.Table, basis: Basis) -> bool:
    """Whether the same captures may give other tables today: new parsers, schemas, code, or order of trust (law 7)."""
    if snapshots.needs_rebase(manifest, documents) or manifest["cptflow_version"] != version("cptflow"):
        return True
    return bool(manifest.get("trust") != list(basis.trust))


def _rebased(manifest: Mapping[str, Any], basis: Basis) -> dict[str, pa.Table]:
    """The tables that the captures which the snapshot rests on give today."""
    results = staging.read_results(basis.home, basis.live)
    captures = as_counted_by(manifest, basis.counted.captures, results)
    assembled = assemble(captures, basis.home, basis.live, basis.trust)
    return validate(assembled.tables, assembled.as_of, basis.trust).tables


def _counted(values: pa.ChunkedArray) -> dict[str, int]:
    return dict(Counter(values.to_pylist()).most_common())
