"""Which snapshot held at a time: data time, as a snapshot's ``valid_from`` tells it."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

from warehouse.snapshots import BrokenSnapshot, NoSnapshot, SnapshotError, history, is_kept


class BeforeTheFirst(SnapshotError):
    """No snapshot held yet at ``moment``. ``first``: the manifest of the first one."""

    def __init__(self, home: Path, moment: dt.datetime, first: dict[str, Any]) -> None:
        self.moment, self.first = moment, first
        found = f"At {_utc(moment)} there was no snapshot in {home} yet."
        since = _utc(dt.datetime.fromisoformat(first["valid_from"]))
        advice = f"The first one is {first['snapshot_id']}, which holds from {since} on."
        super().__init__(home, None, found, advice)


class Expired(SnapshotError):
    """The snapshot that held at ``moment`` was let go. ``before`` and ``after``: ids of those kept next to it."""

    def __init__(
        self, home: Path, moment: dt.datetime, snapshot_id: str, before: str | None, after: str | None
    ) -> None:
        self.moment, self.before, self.after = moment, before, after
        found = f"What held at {_utc(moment)} in {home}, snapshot {snapshot_id}, has expired."
        kept = [f"the last before it is {before}" if before else "none before it", f"the next is {after}"]
        super().__init__(home, snapshot_id, found, f"Of those that are kept, {' and '.join(kept)}.")


def in_force(home: Path, moment: dt.datetime) -> dict[str, Any]:
    """The manifest of the last snapshot that holds from ``moment`` (with a time zone) or from before it.

    Raises NoSnapshot, BeforeTheFirst, Expired, BrokenSnapshot.
    """
    known = history(home)
    line = known.manifests
    if not line:
        raise NoSnapshot(home)
    held = [manifest for manifest in line if dt.datetime.fromisoformat(manifest["valid_from"]) <= moment]
    if not held and known.gap:
        problem = f"its manifest is gone or cannot be read, and {line[0]['snapshot_id']}, which holds later, follows it"
        raise BrokenSnapshot(home, known.gap, problem)
    if not held:
        raise BeforeTheFirst(home, moment, line[0])
    found = held[-1]
    if is_kept(home, found["snapshot_id"]):
        return found
    before = [m["snapshot_id"] for m in held if is_kept(home, m["snapshot_id"])]
    after = [m["snapshot_id"] for m in line[len(held) :] if is_kept(home, m["snapshot_id"])]
    raise Expired(home, moment, found["snapshot_id"], before[-1] if before else None, after[0] if after else None)


def _utc(moment: dt.datetime) -> str:
    return f"{moment.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"
