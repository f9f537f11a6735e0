"""Which snapshot held at a time: data time, as a snapshot's ``valid_from`` tells it."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

from warehouse.snapshots import NoSnapshot, SnapshotError, is_kept, lineage


class BeforeTheFirst(SnapshotError):
    """No snapshot held yet at ``moment``. ``first``: the manifest of the first one."""

    def __init__(self, home: Path, moment: dt.datetime, first: dict[str, Any]) -> None:
        self.moment, self.first = moment, first
        found = f"At {moment:%Y-%m-%d %H:%M} UTC there was no snapshot in {home} yet."
        since = dt.datetime.fromisoformat(first["valid_from"])
        advice = f"The first one is {first['snapshot_id']}, which holds from {since:%Y-%m-%d %H:%M} UTC on."
        super().__init__(home, None, found, advice)


class Expired(SnapshotError):
    """The snapshot that held at ``moment`` was let go. ``before`` and ``after``: ids of those kept next to it."""

    def __init__(
        self, home: Path, moment: dt.datetime, snapshot_id: str, before: str | None, after: str | None
    ) -> None:
        self.moment, self.before, self.after = moment, before, after
        found = f"What held at {moment:%Y-%m-%d %H:%M} UTC in {home}, snapshot {snapshot_id}, has expired."
        kept = [f"the last before it is {before}" if before else "none before it", f"the next is {after}"]
        super().__init__(home, snapshot_id, found, f"Of those that are kept, {' and '.join(kept)}.")


def in_force(home: Path, moment: dt.datetime) -> dict[str, Any]:
    """The manifest of the last snapshot that holds from ``moment`` (with a time zone) or from before it.

    Raises NoSnapshot, BeforeTheFirst, Expired, BrokenSnapshot.
    """
    line = lineage(home)
    if not line:
        raise NoSnapshot(home)
    held = [manifest for manifest in line if dt.datetime.fromisoformat(manifest["valid_from"]) <= moment]
    if not held:
        raise BeforeTheFirst(home, moment, line[0])
    found = held[-1]
    if is_kept(home, found["snapshot_id"]):
        return found
    before = [m["snapshot_id"] for m in held if is_kept(home, m["snapshot_id"])]
    after = [m["snapshot_id"] for m in line[len(held) :] if is_kept(home, m["snapshot_id"])]
    raise Expired(home, moment, found["snapshot_id"], before[-1] if before else None, after[0] if after else None)
