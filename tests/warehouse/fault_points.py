"""A publication and an expiry, cut off at each of their writes. For a process of their own: they fork."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.faulty_disk import KILL, KILLED, REFUSED, Outcome, each_point, run_on
from tests.warehouse.drafts import published
from warehouse.expire import Plan, remove
from warehouse.publishing import Draft
from warehouse.snapshots import current_id, expired_manifest, is_kept, lineage, snapshots_folder, verify


def ended_as_it_should(outcome: Outcome, fault: str) -> str | None:
    """A call may be one that the work can do without: then it went through."""
    if fault == KILL:
        return None if outcome.status == KILLED else "it did not end"
    if outcome.status not in (0, REFUSED) or (outcome.status == REFUSED and fault not in outcome.told):
        return "the error is not the disk's"
    return None


def files_of(home: Path, snapshot_id: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (snapshots_folder(home) / snapshot_id).iterdir()}


def line(home: Path) -> list[tuple[str, int]]:
    return [(manifest["snapshot_id"], manifest["number"]) for manifest in lineage(home)]


def leftovers(home: Path) -> list[str]:
    expected = {"current", "snapshots", "expired", "pins.json"}
    found = [path.name for path in (home / "warehouse").iterdir() if path.name not in expected]
    return found + [path.name for path in snapshots_folder(home).iterdir() if path.name.startswith(".")]


def publication(home: Path, scratch: Path, second: Draft, fault: str) -> tuple[int, list[str]]:
    """``second`` is published; the current snapshot is its parent."""
    parent = str(second.parent)
    undisturbed = scratch / "undisturbed"
    shutil.copytree(home, undisturbed, symlinks=True)
    assert run_on(undisturbed, lambda: published(undisturbed, second) and None).status == 0
    new, old = files_of(undisturbed, second.snapshot_id), files_of(home, parent)

    def check(place: Path, outcome: Outcome) -> str | None:
        if found := ended_as_it_should(outcome, fault):
            return found
        now = current_id(place)
        if now not in (parent, second.snapshot_id) or (outcome.status == 0 and now != second.snapshot_id):
            return f"current is {now}"
        if verify(place, str(now)) or files_of(place, parent) != old:
            return "a snapshot is not whole"
        if fault == "EIO" and leftovers(place) and now == parent:
            return f"a disk that works again is left with {leftovers(place)}"
        if now == parent:
            run_on(place, lambda: published(place, second) and None)
            if leftovers(place):
                return f"left over: {leftovers(place)}"
        if current_id(place) != second.snapshot_id or files_of(place, second.snapshot_id) != new:
            return "the next run did not end as if nothing had happened"
        return None

    return each_point(home, scratch, fault, lambda place: published(place, second) and None, check)


def expiry(home: Path, scratch: Path, goes: tuple[str, ...], fault: str) -> tuple[int, list[str]]:
    """``goes`` go; the parse results ``a@1`` too."""
    planned = Plan({}, goes, ("a@1",))
    before = {path.name: files_of(home, path.name) for path in snapshots_folder(home).iterdir()}
    history, now = line(home), current_id(home)

    def check(place: Path, outcome: Outcome) -> str | None:
        if found := ended_as_it_should(outcome, fault):
            return found
        if current_id(place) != now or line(place) != history:
            return "current or history is another"
        for name, files in before.items():
            if is_kept(place, name) and files_of(place, name) != files:
                return f"{name} is not whole"
            if not is_kept(place, name) and json.loads(expired_manifest(place, name).read_bytes())["files"].keys() != {
                file.removesuffix(".parquet") for file in files if file.endswith(".parquet")
            }:
                return f"{name} is lost"
        left = Plan({}, tuple(name for name in goes if is_kept(place, name)), tuple(_there(place, planned.parsed)))
        run_on(place, lambda: remove(place, left))
        kept = {path.name for path in snapshots_folder(place).iterdir()}
        if kept != set(before) - set(goes) or list((place / "parsed").iterdir()) or line(place) != history:
            return "the next expiry did not end as if nothing had happened"
        return None

    return each_point(home, scratch, fault, lambda place: remove(place, planned), check)


def _there(home: Path, parsed: tuple[str, ...]) -> list[str]:
    return [name for name in parsed if (home / "parsed" / name).is_dir()]
