"""What is not told for now: changes that come of a row being held back in quarantine, until the quarantine clears.

A row that breaks a critical rule leaves its table. ``changes`` tells it as gone, and as new when it comes back; cells
of ``codes`` that were taken from it change with it. Nothing of that is news of a code. Such changes are kept here, row
by row, as the first value before against the last value after. When nothing holds the row back any more, what is left
of them is told: once, and nothing where both are equal.

What a person restored, and what a run undoes of it, passes by: the state is that of the line of runs.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from flows.alerts.holds import Held, Histories, Holds, Unit, held_back, histories_of
from flows.alerts.pages import seen_first
from flows.things import Change
from warehouse import snapshots
from warehouse.apply import key_values
from warehouse.compare import change_type
from warehouse.tables import BY_NAME, CAUSES, CODES, HISTORY_EVENTS

Texts = dict[str, str | None]
State = dict[str, Any]
"""what `Kept` is as JSON, and the last snapshot that it knows of"""


@dataclass(slots=True)
class KeptRow:
    """Changes of one row so far: texts by column, all of a whole row or those that differ; None where it is not there.

    ``event_ids`` and ``causes``: of the last change of each column, under "" of the whole row. ``cause``: "source" if
    any was caused by it; ``reader``: the last cause that was our own.
    """

    source: str | None
    code: str
    before: Texts | None
    after: Texts | None
    cause: str
    event_ids: dict[str, str] = field(default_factory=dict)
    causes: dict[str, str] = field(default_factory=dict)
    reader: str | None = None


Kept = dict[Unit, KeptRow]


@dataclass(frozen=True, slots=True)
class Passed:
    """``changes``: those that may be told. ``seen_first``: (source, code) of which there was no row before, and none
    that was only held back."""

    changes: list[Change]
    seen_first: frozenset[tuple[str, str]]


def let_through(home: Path, manifest: Mapping[str, Any], state: State) -> tuple[Passed, State]:
    """The changes of a snapshot that may be told, and the state after it.

    ``manifest``: of a snapshot that is kept and that a run made. ``state``: after the last such one before it. Raises
    SnapshotError.
    """
    kept, now = _kept(state), held_back(home, manifest["snapshot_id"])
    passed = all_passed(home, manifest)
    if not kept and not now:
        return passed, _state(manifest, kept)
    new = now - _held_before(home, manifest["parent"])
    first = passed.seen_first - {(row.source, row.code) for row in kept.values()}
    told, kept = step(passed.changes, now, new, kept, histories_of(home, manifest, now))
    return Passed(told, first), _state(manifest, kept)


def all_passed(home: Path, manifest: Mapping[str, Any]) -> Passed:
    """All changes of a snapshot but those of a restore. Raises SnapshotError."""
    if not manifest["files"].get("changes", {}).get("rows"):
        return Passed([], frozenset())
    rows = snapshots.read_table(home, manifest["snapshot_id"], "changes")
    changes: list[Change] = rows.filter(pc.not_equal(rows["cause"], "restore")).to_pylist()
    return Passed(changes, seen_first(home, manifest, changes))


def state_before(home: Path, line: Sequence[Mapping[str, Any]], place: int, stored: State) -> State:
    """The state before the snapshot at ``place`` of the lineage: ``stored`` if it is that, else read from those kept.

    Raises SnapshotError.
    """
    made = [manifest for manifest in line[:place] if not manifest.get("restored")]
    ids = [manifest["snapshot_id"] for manifest in made]
    start = ids.index(stored["snapshot_id"]) + 1 if stored.get("snapshot_id") in ids else 0
    state = stored if start else {}
    for manifest in made[start:]:
        if not snapshots.is_kept(home, manifest["snapshot_id"]):
            continue
        if state.get("rows") or held_back(home, manifest["snapshot_id"]):
            state = let_through(home, manifest, state)[1]
    return state


def state_unmoved(home: Path, manifest: Mapping[str, Any], state: State) -> State | None:
    """The state after a snapshot whose changes cannot be read: none is kept where it holds nothing back that was not
    held back before. None where its changes are needed. Raises SnapshotError."""
    if state.get("rows") or held_back(home, manifest["snapshot_id"]) - _held_before(home, manifest["parent"]):
        return None
    return _state(manifest, {})


def step(
    rows: Sequence[Change], now: set[Held], new: set[Held], kept: Kept, histories: Histories
) -> tuple[list[Change], Kept]:
    """What may be told of a snapshot's ``rows``, and what is kept after it.

    ``now``: what its quarantine holds back; ``new``: what of that its parent's did not: only that explains a change.
    ``histories``: of its tables.
    """
    went = {(row["source"], row["code"]) for row in rows if row["table_name"] == HISTORY_EVENTS.name and _is_gone(row)}
    kept, holds, begun = dict(kept), Holds(now, histories), Holds(new, histories, went)
    told: list[Change] = []
    for change in sorted(rows, key=lambda change: CAUSES.index(change["cause"])):
        unit = change["table_name"], change["row_key"]
        if not _is_touched(change, kept.get(unit), begun):
            told.append(change)
        else:
            kept[unit] = _with(kept.get(unit), change)
    parent = rows[0]["parent_snapshot_id"] if rows else ""
    for unit, row in list(kept.items()):
        told += [_as_change(unit, row, *what, parent) for what in _released(unit, row, holds)]
        if left := _left(unit, row, holds):
            kept[unit] = left
        else:
            del kept[unit]
    return told, kept


def _is_touched(change: Change, kept: KeptRow | None, begun: Holds) -> bool:
    unit, owner = (change["table_name"], change["row_key"]), (change["source"], change["code"])
    column = change["column_name"]
    if column is None:
        return kept is not None or begun.row(unit, *owner, came=not _is_gone(change))
    there = kept is not None and (kept.before is None or kept.after is None or column in kept.after)
    if unit[0] != CODES.name:
        there = kept is not None
    return there or begun.cell(unit, *owner, column, change["before"], change["after"])


def _is_gone(change: Change) -> bool:
    return change["column_name"] is None and change["after"] is None


def _with(kept: KeptRow | None, change: Change) -> KeptRow:
    """What is kept of a row, after one more change of it."""
    column = change["column_name"]
    if column is None:
        before, after = _texts(change["before"]), _texts(change["after"])
    else:
        before, after = {column: change["before"]}, {column: change["after"]}
    cause, event_ids, causes = change["cause"], {column or "": change["event_id"]}, {column or "": change["cause"]}
    reader = None if cause == "source" else cause
    if kept is None:
        return KeptRow(change["source"], change["code"], before, after, cause, event_ids, causes, reader)
    first = kept.before
    if first is not None and before is not None and kept.after is not None:
        first = before | first  # columns that did not differ until now
    last = after if column is None else {**(kept.after or {}), **(after or {})}
    if column is not None:
        event_ids, causes = kept.event_ids | event_ids, kept.causes | causes
    cause = "source" if "source" in (kept.cause, cause) else cause
    return KeptRow(kept.source, kept.code, first, last, cause, event_ids, causes, reader or kept.reader)


def _released(unit: Unit, row: KeptRow, holds: Holds) -> Iterator[tuple[str | None, str | None, str | None, str]]:
    """What of a row may be told now, and differs: column, before, after, event_id."""
    if row.before is None or row.after is None:
        if row.before != row.after and not holds.row(unit, row.source, row.code, came=row.before is None):
            yield None, _as_json(row.before), _as_json(row.after), _event_id(row, None, first=True)
        return
    first = True
    for column in _free(unit, row, holds):
        before, after = row.before.get(column), row.after.get(column)
        if before != after:
            yield column, before, after, _event_id(row, column, first=first)
            first = first and column in row.event_ids


def _left(unit: Unit, row: KeptRow, holds: Holds) -> KeptRow | None:
    """What is kept of a row further on."""
    if row.before is None or row.after is None:
        is_held = holds.row(unit, row.source, row.code, came=row.before is None)
        return row if row.before != row.after and is_held else None
    free = _free(unit, row, holds)
    before, after = ({c: v for c, v in texts.items() if c not in free} for texts in (row.before, row.after))
    return replace(row, before=before, after=after) if after else None


def _free(unit: Unit, row: KeptRow, holds: Holds) -> list[str]:
    before, after = row.before or {}, row.after or {}
    return [c for c in sorted(after) if not holds.cell(unit, row.source, row.code, c, before.get(c), after[c])]


def _event_id(row: KeptRow, column: str | None, *, first: bool) -> str:
    """That of the last change behind it; of several cells that a whole row brought, only the first has its own."""
    if (column or "") in row.event_ids:
        return row.event_ids[column or ""]
    whole = row.event_ids.get("") or min(row.event_ids.values())
    return whole if first else hashlib.sha256(f"{whole}|{column}".encode()).hexdigest()[:32]


def _as_change(
    unit: Unit, row: KeptRow, column: str | None, before: str | None, after: str | None, event_id: str, parent: str
) -> Change:
    kind = change_type(unit[0], column, before, after)
    return {
        "event_id": event_id,
        "change_type": kind,
        "cause": _cause(unit, row, column),
        "source": row.source,
        "code": row.code,
        "table_name": unit[0],
        "row_key": unit[1],
        "column_name": column,
        "before": before,
        "after": after,
        "effective_on": _effective_on(unit, row, kind),
        "parent_snapshot_id": parent,
    }


def _cause(unit: Unit, row: KeptRow, column: str | None) -> str:
    """Who brought the difference: who made the last change. Where a source and a new parser had a part in it each,
    nobody knows what the new one would have read before; but another code in CMS terms is no matter of reading."""
    last = row.causes.get(column or "") or row.causes.get("") or row.cause
    if row.cause != "source" or row.reader is None:
        return last
    coded = "value_code" if unit[0] == "indicators" else column or ""
    if not coded.endswith("_code"):
        return last
    before, after = (row.before or {}).get(coded), (row.after or {}).get(coded)
    return "source" if before is not None and after is not None and before != after else row.reader


def _effective_on(unit: Unit, row: KeptRow, kind: str) -> dt.date | None:
    day = None
    if unit[0] == "history_events":
        day = key_values(BY_NAME[unit[0]], unit[1])[2]
    elif kind in ("code_added", "code_deleted"):
        day = (row.after or {}).get("added_on" if kind == "code_added" else "deleted_on")
    return dt.date.fromisoformat(day) if day else None


def _held_before(home: Path, parent: str | None) -> set[Held]:
    """What the last snapshot by a run held back; nothing where its tables are gone."""
    try:
        return held_back(home, snapshots.made_by_run(home, parent)["snapshot_id"]) if parent else set()
    except snapshots.SnapshotError:
        return set()


def _texts(row: str | None) -> Texts | None:
    return None if row is None else {n: None if v is None else str(v) for n, v in json.loads(row).items()}


def _as_json(row: Texts | None) -> str | None:
    return None if row is None else json.dumps(row, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _state(manifest: Mapping[str, Any], kept: Kept) -> State:
    return {
        "snapshot_id": manifest["snapshot_id"],
        "rows": [[*unit, asdict(row)] for unit, row in sorted(kept.items())],
    }


def _kept(state: State) -> Kept:
    return {(table, key): KeptRow(**row) for table, key, row in state.get("rows", ())}
