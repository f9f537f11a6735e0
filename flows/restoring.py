"""Going back: the tables of an earlier snapshot, published anew. History stays; a later run may go on from it."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from flows import planning, quality
from flows.errors import CptflowError
from flows.publication import draft_of
from warehouse import publishing, snapshots
from warehouse.compare import Stage, compare
from warehouse.expectations import validate_run_tables
from warehouse.tables import TABLES, Table


class CannotRestore(CptflowError):
    """An earlier snapshot's tables cannot become today's. ``problem``: what is in the way."""

    def __init__(self, home: Path, snapshot_id: str, problem: str) -> None:
        self.home, self.snapshot_id, self.problem = home, snapshot_id, problem
        super().__init__(
            f"Snapshot {snapshot_id} in {home} cannot be published anew: {problem}. Nothing was changed. Its files can "
            f"still be read as they are, in warehouse/snapshots/{snapshot_id}."
        )


@dataclass(frozen=True, slots=True)
class Restored:
    """``snapshot_id``: the new one, None where there was nothing to do. ``replaced``: what was current. ``rows``: rows
    of ``changes`` by table. ``quality_problem``: why the quality report could not be written, if it could not."""

    snapshot_id: str | None
    restored: str
    replaced: str
    rows: dict[str, int]
    quality_problem: str | None = None


def restore(home: Path, snapshot_id: str, run_id: str, still_held: Callable[[], None] | None = None) -> Restored:
    """Publish the tables of ``snapshot_id`` as a child of the current snapshot. The home is held by the caller.

    They stay until a run finds news: what the last run looked at counts as seen. Raises NoSnapshot, UnknownSnapshot,
    BrokenSnapshot, CannotRestore, ParentMoved, OSError; ``current`` is as it was then.
    """
    current = snapshots.require_current(home)
    manifest = snapshots.read_manifest(home, snapshot_id)
    if problems := snapshots.verify(home, snapshot_id):
        raise snapshots.BrokenSnapshot(home, snapshot_id, "; ".join(problems))
    tables = _as_today(home, snapshot_id)
    changes = compare(snapshots.read_tables(home, current), tables, current, [Stage(tables, "restore")])
    if not changes.num_rows:
        return Restored(None, snapshot_id, current, {})
    as_of = dt.datetime.fromisoformat(manifest["as_of"])
    made = draft_of(home, current, tables, changes, as_of, run_id)
    checked = validate_run_tables(made.tables, made.stands.valid_from)
    if checked.stopped:
        raise CannotRestore(home, snapshot_id, "; ".join(stop.message for stop in checked.stopped))
    run_tables = [suite["table"] for suite in checked.suites]
    published = publishing.publish(
        home,
        made,
        run_ids=manifest["run_ids"],
        suites=[suite for suite in manifest["suites"] if suite["table"] not in run_tables] + checked.suites,
        trust=manifest.get("trust", ()),
        accepted=manifest.get("accepted", ()),
        held_back=[(source, landing) for source, landing in manifest.get("held_back", ())],
        restored={"snapshot_id": snapshot_id, "replaced": snapshots.made_by_run(home, current)["snapshot_id"]},
        still_held=still_held,
    )
    seen = planning.read_seen(home)
    if seen.snapshot_id == current:
        planning.mark_seen(home, replace(seen, snapshot_id=published.snapshot_id))
    rows = dict(Counter(changes["table_name"].to_pylist()))
    return Restored(published.snapshot_id, snapshot_id, current, rows, _tell_quality(home))


def _tell_quality(home: Path) -> str | None:
    """Write the quality report; what was published stays so where that fails. Returns why it did."""
    try:
        quality.bring_up_to_date(home)
    except Exception as error:
        return str(error) or type(error).__name__
    return None


def _as_today(home: Path, snapshot_id: str) -> dict[str, pa.Table]:
    """The snapshot's tables as they are declared today, but for those that depend on the parent."""
    found = snapshots.read_tables(home, snapshot_id)
    made = {table.name: found.get(table.name, table.schema.empty_table()) for table in TABLES if table.kind != "run"}
    for table in TABLES:
        if table.kind != "run":
            made[table.name] = _as_declared(home, snapshot_id, table, made[table.name])
    return made


def _as_declared(home: Path, snapshot_id: str, table: Table, rows: pa.Table) -> pa.Table:
    columns = []
    for column in table.columns:
        if column.name in rows.column_names:
            try:
                columns.append(rows[column.name].cast(column.type))
            except pa.ArrowException as error:
                problem = f"{table.name}.{column.name} is {column.type} today, and its values are not ({error})"
                raise CannotRestore(home, snapshot_id, problem) from None
        else:
            columns.append(pa.chunked_array([pa.nulls(rows.num_rows, column.type)]))
        if columns[-1].null_count and not column.nullable:
            raise CannotRestore(home, snapshot_id, f"it has no {table.name}.{column.name}, which is required today")
    return pa.table(columns, schema=table.schema).combine_chunks()
