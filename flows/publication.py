"""The last steps of the pipeline: compare with the parent snapshot, and publish where there is news."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
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
from warehouse.bands import within_bands
from warehouse.compare import Stage, compare, no_changes
from warehouse.expectations import validate, validate_run_tables
from warehouse.limits import Bands
from warehouse.tables import COMPARED
from warehouse.versions import stands_after, versions_after


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
    still_held: Callable[[], None] | None = None
    """raises where the home's lock was lost"""


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


def check_bands(
    parent: str | None,
    made: Assembled,
    changes: pa.Table,
    basis: Basis,
    limits: Bands,
    accept: Collection[str],
    report: Report,
) -> Basis:
    """Hold the validated tables ``made`` against the snapshot ``parent``; the report tells which bands stop the run.

    Where a person restored ``parent``, it is held against the last one that a run made: what comes back was let
    through before. Returns ``basis`` with what a person let pass: names in ``accept``, as far as they would have
    stopped it.
    """
    if parent is None or not is_news(changes):
        return basis

    last_made: str = snapshots.made_by_run(basis.home, parent)["snapshot_id"]

    def read(name: str, columns: Sequence[str]) -> pa.Table:
        return snapshots.read_table(basis.home, last_made, name, columns)

    since = changes.filter(pc.not_equal(changes["cause"], "restore"))
    judged = within_bands(last_made, read, made.tables, since, limits, accept)
    report.suites.append(judged.suite)
    report.stopped += [asdict(stop) for stop in judged.stopped]
    return replace(basis, counted=replace(basis.counted, accepted=(*basis.counted.accepted, *judged.accepted)))


def check_captures(parent: str | None, home: Path, index: pa.Table) -> None:
    """Raises CapturesLost where the snapshot ``parent`` rests on captures that are gone: all of theirs would be too."""
    if parent is None:
        return
    there = pc.unique(index["run_id"]).to_pylist()
    if lost := sorted(set(snapshots.made_by_run(home, parent)["run_ids"]) - set(there)):
        raise CapturesLost(home, parent, lost)


def changes_since(parent: str | None, made: Assembled, basis: Basis) -> pa.Table:
    """The table ``changes``, from the snapshot ``parent`` to the validated tables ``made``."""
    if parent is None:
        return no_changes()
    manifest = snapshots.made_by_run(basis.home, parent)
    last_made = manifest["snapshot_id"]
    stages = []
    if last_made != parent:
        stages.append(Stage(_compared(basis.home, last_made), "restore"))
    if _made_otherwise(manifest, made.tables["documents"], basis):
        stages.append(Stage(_rebased(manifest, basis), "parser", snapshots.changed_schemas(manifest)))
    return compare(_compared(basis.home, parent), made.tables, parent, stages)


def is_news(changes: pa.Table) -> bool:
    """Whether there is anything to publish. What a person put back stays so until something else changes."""
    return bool(pc.any(pc.not_equal(changes["cause"], "restore")).as_py())


def publish(parent: str | None, made: Assembled, changes: pa.Table, basis: Basis, report: Report) -> None:
    """Publish ``made`` with its ``changes``. The report tells the snapshot, or the rules that stopped it."""
    draft = draft_of(basis.home, parent, made.tables, changes, made.as_of, report.run_id)
    checked = validate_run_tables(draft.tables, draft.stands.valid_from)
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
        untold=report.alerts_problem is not None,
        still_held=basis.still_held,
    )
    report.snapshot_id, report.parent_snapshot_id = published.snapshot_id, parent
    report.rows = {name: file["rows"] for name, file in published.manifest["files"].items()}
    report.changes = {f"by_{column}": _counted(changes[column]) for column in ("change_type", "cause")}


def draft_of(
    home: Path, parent: str | None, tables: Mapping[str, pa.Table], changes: pa.Table, as_of: dt.datetime, run_id: str
) -> publishing.Draft:
    """The snapshot of ``tables`` that follows the current one, ``parent``, and differs from it by ``changes``."""
    stands = stands_after(home, parent, as_of)
    versions = versions_after(home, parent, tables["codes"], stands)
    return publishing.draft(
        {**tables, "changes": changes, "code_versions": versions},
        as_of=as_of,
        stands=stands,
        parent=parent,
        run_id=run_id,
        published_at=dt.datetime.now(dt.UTC),
        cptflow_version=version("cptflow"),
    )


def _compared(home: Path, snapshot_id: str) -> dict[str, pa.Table]:
    """What is compared of a snapshot: half of its bytes are digests and dates that are not."""
    there = snapshots.read_manifest(home, snapshot_id)["files"]
    return {
        table.name: snapshots.read_table(home, snapshot_id, table.name, (*table.key, *table.compared))
        for table in COMPARED
        if table.name in there
    }


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
