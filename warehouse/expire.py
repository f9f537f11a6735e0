"""Keeping snapshots, and letting old ones go.

    <home>/warehouse/pins.json                    ids of snapshots that a person wants kept
    <home>/warehouse/expired/<snapshot_id>.json   manifests of those that went: history stays readable

`plan` decides, over data alone; `remove` does it. A snapshot that goes has its manifest in ``expired`` first, then its
folder leaves its place in one step, and only then are its files removed: whenever that is cut off, each snapshot is
either whole or gone, and the next `remove` or publication sweeps what is left.
"""

from __future__ import annotations

import datetime as dt
import json
import shutil
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from warehouse.files import replace_file, sync_folder
from warehouse.publishing import DOOMED
from warehouse.snapshots import (
    BrokenSnapshot,
    SnapshotError,
    current_id,
    expired_manifest,
    history,
    outside_history,
    read_manifest,
    snapshots_folder,
    stored_ids,
)

PINS = "pins.json"


class PinsUnreadable(SnapshotError):
    """The list of pinned snapshots is none. Nothing expires without it. ``path``: its file."""

    def __init__(self, home: Path, path: Path, found: str) -> None:
        self.path = path
        advice = 'Take it from a backup, or write the ids of the snapshots to be kept: ["ID", ...]'
        super().__init__(home, None, f"{path} cannot be read ({found}).", advice)


class HistoryBroken(SnapshotError):
    """History has a gap, and older snapshots may stand behind it: nothing expires. ``gap``: the id that is missing.
    ``outside``: ids of the snapshots that nothing leads to, pinned ones apart."""

    def __init__(self, home: Path, gap: str, follows: str, outside: Sequence[str]) -> None:
        self.gap, self.outside = gap, tuple(outside)
        found = f"History in {home} has a gap: {follows} follows {gap}, whose manifest is gone or cannot be read."
        advice = (
            f"Nothing expires, since these may stand before it: {', '.join(outside)}. Take warehouse/snapshots/{gap} "
            f"(or warehouse/expired/{gap}.json) from a backup. Without one, pin each of these that is to stay "
            "(cptflow snapshots pin ID), and remove the folders of the others."
        )
        super().__init__(home, gap, found, advice)


@dataclass(frozen=True, slots=True)
class Keep:
    """What is kept: the newest ``count``, those whose data is younger than ``age``, and all that readers may still
    have open: those that stopped being current less than ``grace`` ago."""

    count: int
    age: dt.timedelta
    grace: dt.timedelta


@dataclass(frozen=True, slots=True)
class Stored:
    """A snapshot whose folder is there. ``left_at``: when it stopped being current, None for the one that is current.

    ``in_history``: whether it is current or before it. ``refers_to``: snapshots that it cannot be without.
    ``parsers``: folders of parse results that it rests on. Ex: ``codingahead@1``
    """

    snapshot_id: str
    as_of: dt.datetime
    left_at: dt.datetime | None
    in_history: bool = True
    refers_to: frozenset[str] = frozenset()
    parsers: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Plan:
    """``stays``: why each one stays, oldest first. ``goes``: the others. ``parsed``: parse results that may go."""

    stays: Mapping[str, tuple[str, ...]]
    goes: tuple[str, ...]
    parsed: tuple[str, ...] = ()


def survey(home: Path) -> list[Stored]:
    """The snapshots of a home whose folders are there, oldest first.

    A folder outside history (no longer current since a person let ``current`` point back, or never, since a run was
    killed) counts as left when ``current`` moved last. Raises BrokenSnapshot, PinsUnreadable, and HistoryBroken where
    a folder that is not pinned may have been history: a gap is in the way to it.
    """
    if (current := current_id(home)) is None:
        return []
    known = history(home)
    chain, outside = known.manifests, outside_history(home, known)
    pins = read_pins(home)
    if known.gap and (doubtful := [name for name in outside if name not in pins]):
        raise HistoryBroken(home, known.gap, chain[0]["snapshot_id"], doubtful)
    successors = {manifest["parent"]: manifest for manifest in chain}
    folders = {*stored_ids(home)}
    stored = [_stored(home, m, current, successors.get(m["snapshot_id"])) for m in chain if m["snapshot_id"] in folders]
    return [*(_outside(home, name) for name in outside), *stored]


def plan(
    stored: Sequence[Stored],
    pins: Collection[str],
    keep: Keep,
    now: dt.datetime,
    parsed: Collection[str] = (),
    live: Collection[str] = (),
) -> Plan:
    """What goes, and why the others stay. ``stored`` as `survey` gives it, oldest first.

    ``parsed``: folders of parse results, of which those go that are not ``live`` and that no snapshot rests on which
    stays.
    """
    newest = {one.snapshot_id for one in [one for one in stored if one.in_history][-keep.count :]}
    reasons = {one.snapshot_id: _reasons(one, newest, pins, keep, now) for one in stored}
    _keep_what_is_referred_to(stored, reasons)
    needed = {*live} | {name for one in stored if reasons[one.snapshot_id] for name in one.parsers}
    return Plan(
        stays={name: tuple(why) for name, why in reasons.items() if why},
        goes=tuple(name for name, why in reasons.items() if not why),
        parsed=tuple(sorted({*parsed} - needed)),
    )


def remove(home: Path, planned: Plan) -> None:
    """Let go what `plan` says. The caller holds the home's lock. Raises OSError: each one is whole or gone then."""
    sweep(home)
    for snapshot_id in planned.goes:
        folder = snapshots_folder(home) / snapshot_id
        kept_manifest = expired_manifest(home, snapshot_id)
        replace_file(kept_manifest, _in_short(read_manifest(home, snapshot_id)))
        sync_folder(kept_manifest.parent)
        sync_folder(home / "warehouse")
        _remove_folder(folder)
    for name in planned.parsed:
        _remove_folder(home / "parsed" / name)


def _in_short(manifest: Mapping[str, Any]) -> bytes:
    """What history and trends need of a snapshot that goes. Every later run reads all of these."""
    suites = [
        {"table": suite["table"], "held_back": suite["held_back"]}
        for suite in manifest.get("suites", ())
        if suite.get("held_back")
    ]
    told = {name: value for name, value in manifest.items() if name not in ("run_ids", "held_back")}
    return json.dumps(told | {"suites": suites}, indent=1, ensure_ascii=False).encode()


def sweep(home: Path) -> None:
    """Remove what a removal that was cut off has left."""
    for place in (snapshots_folder(home), home / "parsed"):
        for leftover in place.glob(f"{DOOMED}*"):
            shutil.rmtree(leftover)


def bytes_freed(home: Path, planned: Plan) -> int:
    """Bytes on the disk that `remove` would free: a file that a snapshot which stays has too frees none."""
    folders = [snapshots_folder(home) / name for name in planned.goes] + [home / "parsed" / n for n in planned.parsed]
    files = [path.stat() for folder in folders for path in folder.rglob("*") if path.is_file()]
    names = Counter((file.st_dev, file.st_ino) for file in files)
    sizes = {
        (file.st_dev, file.st_ino): file.st_size for file in files if file.st_nlink <= names[file.st_dev, file.st_ino]
    }
    return sum(sizes.values())


def parsed_folders(home: Path) -> list[str]:
    """Names of the folders of parse results. Ex: ``codingahead@1``"""
    return sorted(path.name for path in (home / "parsed").glob("[!.]*@*") if path.is_dir())


def read_pins(home: Path) -> list[str]:
    """Ids of the snapshots that a person wants kept. Raises PinsUnreadable."""
    path = home / "warehouse" / PINS
    try:
        pins = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except ValueError as error:
        raise PinsUnreadable(home, path, str(error)) from None
    if not isinstance(pins, list) or not all(isinstance(name, str) for name in pins):
        raise PinsUnreadable(home, path, "it is no list of ids")
    return pins


def write_pins(home: Path, pins: Iterable[str]) -> None:
    """The caller holds the home's lock."""
    replace_file(home / "warehouse" / PINS, (json.dumps(sorted({*pins}), indent=1) + "\n").encode())
    sync_folder(home / "warehouse")


def _stored(
    home: Path, manifest: Mapping[str, Any], current: str | None, successor: Mapping[str, Any] | None
) -> Stored:
    snapshot_id = manifest["snapshot_id"]
    refers_to: set[str] = set()  # a table that lies with an older one at a store is kept there by itself
    if snapshot_id == current and manifest.get("restored"):
        refers_to.add(manifest["restored"]["replaced"])  # the next run compares with it
    return Stored(
        snapshot_id,
        dt.datetime.fromisoformat(manifest["as_of"]),
        _became_current(home, successor) if successor else None,
        refers_to=frozenset(refers_to - {snapshot_id}),
        parsers=frozenset(f"{name}@{version}" for name, version in manifest["parsers"].items()),
    )


def _became_current(home: Path, manifest: Mapping[str, Any]) -> dt.datetime:
    """Its folder may be younger than its manifest says: a killed run wrote it, and a later one let `current` move."""
    published = dt.datetime.fromisoformat(manifest["published_at"])
    try:
        touched = (snapshots_folder(home) / manifest["snapshot_id"]).stat().st_mtime
    except FileNotFoundError:  # expired: the one before it stopped being current longer ago still
        return published
    return max(published, dt.datetime.fromtimestamp(touched, dt.UTC))


def _outside(home: Path, snapshot_id: str) -> Stored:
    """A snapshot that is neither current nor before it. One that cannot be read is left to a person."""
    try:
        manifest = read_manifest(home, snapshot_id)
    except BrokenSnapshot:
        return Stored(snapshot_id, dt.datetime.max.replace(tzinfo=dt.UTC), None, in_history=False)
    one = _stored(home, manifest, None, manifest)
    moved = dt.datetime.fromtimestamp((home / "warehouse" / "current").lstat().st_mtime, dt.UTC)
    left_at = max(one.left_at or moved, moved)  # it may have been current until then
    return replace(one, left_at=left_at, in_history=False)


def _reasons(one: Stored, newest: Collection[str], pins: Collection[str], keep: Keep, now: dt.datetime) -> list[str]:
    reasons = []
    if one.left_at is None:
        reasons.append("it is current" if one.in_history else "its manifest cannot be read")
    elif now - one.left_at < keep.grace:
        reasons.append(f"it was current less than {_hours(keep.grace)} ago: readers may have it open")
    if one.snapshot_id in newest:
        reasons.append(f"one of the newest {keep.count}" if keep.count > 1 else "the newest one")
    if one.left_at is not None and now - one.as_of < keep.age:
        reasons.append(f"its data is less than {keep.age.days} days old")
    if one.snapshot_id in pins:
        reasons.append("it is pinned")
    return reasons


def _keep_what_is_referred_to(stored: Sequence[Stored], reasons: Mapping[str, list[str]]) -> None:
    """Add the reasons of those that others cannot be without, and of those that these need in turn."""
    by_id = {one.snapshot_id: one for one in stored}
    waiting = [one for one in stored if reasons[one.snapshot_id]]
    done: set[str] = set()
    while waiting:
        one = waiting.pop()
        if one.snapshot_id in done:
            continue
        done.add(one.snapshot_id)
        for name in sorted(one.refers_to & by_id.keys()):
            reasons[name].append(f"{one.snapshot_id} needs it")
            waiting.append(by_id[name])


def _hours(time: dt.timedelta) -> str:
    return f"{time.total_seconds() / 3600:g} hours"


def _remove_folder(folder: Path) -> None:
    """It leaves its place in one step."""
    doomed = folder.with_name(f"{DOOMED}{folder.name}")
    folder.rename(doomed)
    sync_folder(folder.parent)
    shutil.rmtree(doomed)
