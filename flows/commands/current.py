"""Where the reading commands read."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Place:
    """A snapshot of a home, and the folder of its files. ``shown``: the home, as people give it to a command."""

    home: Path
    snapshot_id: str
    shown: str

    @property
    def folder(self) -> Path:
        return self.home / "warehouse" / "snapshots" / self.snapshot_id


def current_snapshot(home: str | None, *, afresh: bool = False) -> Place:
    """The home's current snapshot. Raises UsageError, saying what to type, where there is none.

    ``afresh``: of a home at an address all that is kept is fetched again.
    """
    from flows import settings
    from flows.errors import UsageError
    from flows.home import reading
    from warehouse import snapshots

    chosen = settings.load(home=home).home
    folder = reading(chosen, afresh=afresh)
    snapshot_id = snapshots.current_id(folder) if folder.is_dir() else None
    if snapshot_id is None:
        raise UsageError(f"There is no snapshot in {chosen} yet. Make one: cptflow run FOLDER --home {chosen}")
    return Place(folder, snapshot_id, str(chosen))


def named_snapshot(home: str | None, snapshot_id: str) -> Place:
    """The snapshot of that name. Raises UnknownSnapshot where the home has none."""
    from warehouse import snapshots

    place = replace(current_snapshot(home), snapshot_id=snapshot_id)
    snapshots.read_manifest(place.home, snapshot_id)
    return place


def snapshot_at(home: str | None, at: str | None) -> Place:
    """The snapshot that held at ``at``; without it the current one. Raises UsageError, BeforeTheFirst, Expired."""
    from warehouse.history import in_force

    place = current_snapshot(home)
    return place if at is None else replace(place, snapshot_id=in_force(place.home, _moment(at))["snapshot_id"])


def _moment(at: str) -> dt.datetime:
    """The last microsecond of a day, or a time as it is written; where no time zone stands with it, in UTC."""
    from flows.errors import UsageError

    try:
        if len(at) <= len("2026-01-31"):
            day = dt.date.fromisoformat(at)
            return dt.datetime.combine(day, dt.time.max, dt.UTC)
        moment = dt.datetime.fromisoformat(at)
    except ValueError:
        raise UsageError(f"--at {at!a} is no day and no time. Write it as 2026-01-31 or 2026-01-31T12:00Z.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
