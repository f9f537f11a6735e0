"""Where the reading commands read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Place:
    """A snapshot of a home, and the folder of its files."""

    home: Path
    snapshot_id: str

    @property
    def folder(self) -> Path:
        return self.home / "warehouse" / "snapshots" / self.snapshot_id


def current_snapshot(home: str | None) -> Place:
    """The home's current snapshot. Raises UsageError, saying what to type, where there is none."""
    from flows import settings
    from flows.errors import UsageError
    from warehouse import snapshots

    folder = settings.load(home=home).home
    snapshot_id = snapshots.current_id(folder) if folder.is_dir() else None
    if snapshot_id is None:
        raise UsageError(f"There is no snapshot in {folder} yet. Make one: cptflow run FOLDER --home {folder}")
    return Place(folder, snapshot_id)


def named_snapshot(home: str | None, snapshot_id: str) -> Place:
    """The snapshot of that name. Raises UnknownSnapshot where the home has none."""
    from warehouse import snapshots

    place = Place(current_snapshot(home).home, snapshot_id)
    snapshots.read_manifest(place.home, snapshot_id)
    return place
