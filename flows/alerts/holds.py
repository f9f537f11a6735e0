"""What rows in quarantine explain: which changes may come of a row being held back, and are no news of a code.

A held row explains no more than it could have told: a row of its own that goes, and what ``codes`` took from it. A
deletion that the source tells beside it is told.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from warehouse import snapshots
from warehouse.apply import key_values
from warehouse.tables import ACTIONS, BY_NAME, CODES, HISTORY_EVENTS, RELATIONS, STRING

Unit = tuple[str, str]
"""table and row_key"""
Owner = tuple[str | None, str | None]
"""source and code"""

# Their keys hold what a page says: a bad one comes under another key than the good one that it replaced.
_BY_CODE = ("history_events", "modifiers", "related_codes")
_FROM_HISTORY = ("status", "added_on", "changed_on", "deleted_on")
_NOTICES = ("deletion_notice", "page_gone")
_NOTICE, _WHOLE_HISTORY = "notice", "history"
_REASONS = (*ACTIONS, _NOTICE, _WHOLE_HISTORY)


class Held(NamedTuple):
    """A row in quarantine that is not in its table."""

    table: str
    row_key: str
    source: str | None
    code: str | None


@dataclass(frozen=True, slots=True)
class Histories:
    """Whose history tells the state of each code. ``best``: by code, the most trusted source that has one."""

    trust: tuple[str, ...] = ()
    best: Mapping[str | None, str] = field(default_factory=dict)

    def reasons(self, row: Held, went: Collection[Owner] | None) -> tuple[str, ...]:
        """What a held event may have changed in ``codes``: what its action tells; all, where its source is silent for
        it; nothing, where a more trusted one speaks. ``went``: owners that lost an event, if that is asked."""
        best = self.best.get(row.code)
        if best == row.source:
            action = _part(row.table, row.row_key)
            return (action,) if action else (_WHOLE_HISTORY,)
        silenced = best is None or self.rank(row.source) < self.rank(best)
        return (_WHOLE_HISTORY,) if silenced and (went is None or (row.source, row.code) in went) else ()

    def rank(self, source: str | None) -> tuple[int, str]:
        return (self.trust.index(source) if source in self.trust else len(self.trust), source or "")


class Holds:
    """What rows in quarantine explain. ``went``: owners that lost an event of their history with them, where only
    what begins with them is asked for."""

    def __init__(self, rows: Iterable[Held], histories: Histories, went: Collection[Owner] | None = None) -> None:
        self.rows: set[Unit] = set()
        self.groups: set[tuple[str, str | None, str | None, str | None]] = set()
        self.columns: set[tuple[str | None, str]] = set()
        self.reasons: set[tuple[str | None, str]] = set()
        self.codes: set[str | None] = set()
        for row in rows:
            self.rows.add((row.table, row.row_key))
            if row.table == CODES.name:
                self.codes.add(row.code)
            if row.table in _BY_CODE:
                self.groups.add((row.table, row.source, row.code, _part(row.table, row.row_key)))
            if row.table == HISTORY_EVENTS.name:
                self.reasons |= {(row.code, reason) for reason in histories.reasons(row, went)}
            elif row.table == "attributes" and _key(row.table, row.row_key).get("attribute") in _NOTICES:
                self.reasons.add((row.code, _NOTICE))
            self.columns |= {(row.code, column) for column in _columns_from(row)}

    def row(self, unit: Unit, source: str | None, code: str, *, came: bool) -> bool:
        """Whether a row as a whole is held back. One that came is there, whatever else is not."""
        table, key = unit
        if code in self.codes:
            return True
        if table == CODES.name:
            return False
        parts = {None, _part(table, key)}
        return unit in self.rows or (not came and any((table, source, code, part) in self.groups for part in parts))

    def cell(
        self, unit: Unit, source: str | None, code: str, column: str, before: str | None, after: str | None
    ) -> bool:
        """Whether a value may differ so because of them."""
        if unit[0] != CODES.name:
            return self.row(unit, source, code, came=False)
        if code in self.codes or (code, column) in self.columns:
            return True
        return any((code, reason) in self.reasons and _explains(reason, column, before, after) for reason in _REASONS)


def held_back(home: Path, snapshot_id: str) -> set[Held]:
    """The rows that critical rules hold back in a snapshot. Raises SnapshotError."""
    columns = ["table_name", "row_key", "source", "code", "severity"]
    rows = snapshots.read_table(home, snapshot_id, "quarantine", columns)
    held = rows.filter(pc.equal(rows["severity"], "critical"))
    return {Held(*(row[name] for name in columns[:4])) for row in held.to_pylist()}


def histories_of(home: Path, manifest: Mapping[str, Any], held: Iterable[Held]) -> Histories:
    """Whose histories tell the state of the codes of which an event is held back. Raises SnapshotError."""
    codes = {row.code for row in held if row.table == HISTORY_EVENTS.name}
    trust = Histories(tuple(manifest.get("trust") or ()))
    if not codes:
        return trust
    events = snapshots.read_table(home, manifest["snapshot_id"], HISTORY_EVENTS.name, ["source", "code"])
    events = events.filter(pc.is_in(events["code"], value_set=pa.array(sorted(filter(None, codes)), STRING)))
    return best_of(trust.trust, ((row["source"], row["code"]) for row in events.to_pylist()))


def best_of(trust: tuple[str, ...], owners: Iterable[tuple[str, str]]) -> Histories:
    """``owners``: source and code of events."""
    histories = Histories(trust)
    best: dict[str | None, str] = {}
    for source, code in owners:
        best[code] = min(best.get(code, source), source, key=histories.rank)
    return Histories(trust, best)


def _explains(reason: str, column: str, before: str | None, after: str | None) -> bool:
    """Whether ``codes`` may differ so because rows of a kind are not there, as warehouse/codes.py reads a history."""
    if reason == _WHOLE_HISTORY:
        return column in _FROM_HISTORY
    if column == "status":
        # Without an "added", a code that is valid again is deleted; without any sign, nobody knows that it is valid.
        return {
            "added": before != "deleted",
            "changed": before != "deleted" and after == "unknown",
            "deleted": before == "deleted" or after == "unknown",
            _NOTICE: before == "deleted",
        }.get(reason, False)
    if column == f"{reason}_on":
        return before is not None
    return (reason, column) == ("added", "deleted_on")


def _part(table: str, row_key: str) -> str | None:
    """What of a key no page misspells: a word of ours."""
    key = _key(table, row_key)
    part = key.get("action", key.get("relation"))
    return part if part in (*ACTIONS, *RELATIONS) else None


def _columns_from(row: Held) -> Iterator[str]:
    """The columns of ``codes`` that are the value of a row of this key."""
    key = _key(row.table, row.row_key)
    if row.table == "indicators":
        yield f"{key.get('indicator')}_code"
    elif row.table == "descriptors":
        yield "title" if key.get("kind") == "title" else f"{key.get('kind')}_descriptor"


def _key(table: str, row_key: str) -> dict[str, str]:
    if table not in BY_NAME:
        return {}
    return dict(zip(BY_NAME[table].key, key_values(BY_NAME[table], row_key), strict=False))
