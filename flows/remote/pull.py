"""Bring the working copy up to date with the store.

``warehouse`` and the mark of the last run become what the store holds. ``raw`` and ``parsed`` are only ever added to:
what a run of this machine could not send yet stays, and is sent by the next one.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from flows.errors import CptflowError
from flows.remote.copy import Copy, belongs, remove_empty
from flows.remote.lease import POINTER, Pointer
from flows.remote.store import Listed, Store
from warehouse.files import sync_folder
from warehouse.snapshots import MANIFEST, sha256, snapshots_folder

SNAPSHOTS = "warehouse/snapshots"
CURRENT = "warehouse/current"
SEEN = "runs/.seen.json"
WARCS = "raw/warc/"
_AT_ONCE = 64

Listing = Mapping[str, Listed]


class DamagedAtStore(CptflowError):
    """A snapshot's files at the store are missing, or not what was written. Trying again does not help."""

    def __init__(self, address: str, snapshot_id: str, problem: str) -> None:
        self.address, self.snapshot_id, self.problem = address, snapshot_id, problem
        super().__init__(
            f"Snapshot {snapshot_id} in {address} is damaged: {problem}. Take {SNAPSHOTS}/{snapshot_id} there from a "
            "backup or an older version of the object."
        )


def pull_warehouse(store: Store, copy: Copy, listing: Listing, pointer: Pointer) -> None:
    """The current snapshot and those before it, whole and by hash; and what lies beside them.

    Raises DamagedAtStore, StoreFailed, OSError.
    """
    beside = {name for name in listing if _is_beside(name)}
    for name in [name for name in copy.files("warehouse") if _is_beside(name) and name not in beside]:
        (copy.folder / name).unlink()  # of a publication that did not come to its end, or removed elsewhere
        copy.known.pop(name, None)
    if SEEN in listing:
        beside.add(SEEN)
    else:
        (copy.folder / SEEN).unlink(missing_ok=True)
    _fetch(store, copy, [name for name in sorted(beside) if not copy.is_same(name, listing[name])], listing)
    snapshots_folder(copy.folder).mkdir(parents=True, exist_ok=True)
    _pull_snapshots(store, copy, listing, pointer)
    _point(copy.folder, pointer.snapshot_id)


def pull_pages(store: Store, copy: Copy, listing: Listing, *, warcs: bool = False) -> None:
    """The capture index, crawls and parse results; WARC files with ``warcs`` only. Raises StoreFailed, OSError."""
    theirs = {name for name in listing if name.startswith(("raw/", "parsed/")) and belongs(name)}
    for name in [name for name in copy.known if name.startswith(("raw/", "parsed/")) and name not in theirs]:
        (copy.folder / name).unlink(missing_ok=True)  # removed by another machine
        del copy.known[name]
    for tables in (copy.folder / "parsed").glob("*@*"):
        remove_empty([*tables.glob("*"), tables])
    wanted = [name for name in sorted(theirs) if not name.startswith(WARCS) and _is_news(copy, name, listing[name])]
    _fetch(store, copy, wanted, listing)
    if warcs:
        indexed = {Path(name).stem for name in theirs if name.startswith("raw/captures/")}
        # A WARC file without an index is of a run that was killed while it sent; the next one of that machine goes on.
        files = [name for name in theirs if name.startswith(WARCS) and warc_run(name) in indexed]
        fetch_warcs(store, copy, listing, files)


def forget_snapshots(copy: Copy) -> None:
    """Let the next pull fetch every snapshot again."""
    shutil.rmtree(snapshots_folder(copy.folder), ignore_errors=True)


def fetch_warcs(store: Store, copy: Copy, listing: Listing, names: Iterable[str]) -> None:
    """Have these files of ``raw/warc`` in the copy: those that are at the store. Raises StoreFailed, OSError."""
    missing = sorted(name for name in {*names} if not (copy.folder / name).exists() and name in listing)
    _fetch(store, copy, missing, listing)


def _is_news(copy: Copy, name: str, listed: Listed) -> bool:
    """Whether the object is another one than the file was when they were last the same, or there is no file."""
    known = copy.known.get(name)
    return known is None or known.etag != listed.etag or not (copy.folder / name).exists()


def _is_beside(name: str) -> bool:
    inside = (f"{SNAPSHOTS}/", f"{CURRENT}/")
    return name.startswith("warehouse/") and not name.startswith(inside) and name != POINTER and belongs(name)


def warc_run(warc: str) -> str:
    """Ex: raw/warc/openpayer/20260301T120000000000Z-0001.warc.gz"""
    return warc.rpartition("/")[2].removesuffix(".warc.gz")


def _fetch(store: Store, copy: Copy, names: Sequence[str], listing: Listing) -> None:
    """Whole or not at all: a file has its name once all of it is there."""
    for start in range(0, len(names), _AT_ONCE):
        some = names[start : start + _AT_ONCE]
        temporary = [(copy.folder / name).with_name(f".{Path(name).name}.fetched") for name in some]
        store.fetch(some, temporary)
        for name, file in zip(some, temporary, strict=True):
            file.replace(copy.folder / name)
            copy.note(name, listing[name].etag)
        copy.save()


def _pull_snapshots(store: Store, copy: Copy, listing: Listing, pointer: Pointer) -> None:
    manifests = _manifests(store, copy, listing)
    if (current := pointer.snapshot_id) and (current not in manifests or not _is_pointed_to(manifests, pointer)):
        raise DamagedAtStore(
            str(store.address), current, f"its {MANIFEST} is missing or not the one that was published"
        )
    line = _line(copy, manifests, pointer)
    # A snapshot that would follow the current one is of a run that was killed before it moved the pointer: the next
    # one makes the same, and uses it if it is whole.
    ahead = [name for name, data in manifests.items() if name not in line and _parent(data) == pointer.snapshot_id]
    kept = {*line}
    for snapshot_id in [*reversed(line), *ahead]:
        try:
            _pull_snapshot(store, copy, listing, snapshot_id, manifests[snapshot_id])
            kept.add(snapshot_id)
        except DamagedAtStore:
            if snapshot_id in line:
                raise
    for leftover in snapshots_folder(copy.folder).glob("*"):
        if leftover.name not in kept:
            shutil.rmtree(leftover)
            copy.known.pop(f"{SNAPSHOTS}/{leftover.name}/{MANIFEST}", None)
    copy.save()


def _manifests(store: Store, copy: Copy, listing: Listing) -> dict[str, bytes]:
    """By snapshot. One without a manifest is no snapshot yet, or no longer."""
    manifests: dict[str, bytes] = {}
    for name, listed in listing.items():
        if name.startswith(f"{SNAPSHOTS}/") and name.endswith(f"/{MANIFEST}"):
            if copy.is_same(name, listed):
                data: bytes | None = (copy.folder / name).read_bytes()
            else:
                data = found.data if (found := store.read(name)) else None
            if data is not None:
                manifests[name.split("/")[2]] = data
    return manifests


def _is_pointed_to(manifests: Mapping[str, bytes], pointer: Pointer) -> bool:
    return sha256(manifests[str(pointer.snapshot_id)]) == pointer.manifest_sha256


def _line(copy: Copy, manifests: Mapping[str, bytes], pointer: Pointer) -> list[str]:
    """The current snapshot and those before it that are kept, newest first: expired ones only lead on to others."""
    line: list[str] = []
    at = pointer.snapshot_id
    while at is not None and at not in line:
        expired = copy.folder / "warehouse" / "expired" / f"{at}.json"
        if at in manifests:
            line.append(at)
            at = _parent(manifests[at])
        else:
            at = _parent(expired.read_bytes()) if expired.exists() else None
    return line


def _parent(manifest: bytes) -> str | None:
    try:
        parent: str | None = json.loads(manifest)["parent"]
    except (ValueError, KeyError, TypeError):
        return None
    return parent


def _pull_snapshot(store: Store, copy: Copy, listing: Listing, snapshot_id: str, manifest: bytes) -> None:
    """Have the snapshot's folder, whole. Raises DamagedAtStore."""
    target, name = snapshots_folder(copy.folder) / snapshot_id, f"{SNAPSHOTS}/{snapshot_id}/{MANIFEST}"
    files: dict[str, dict[str, Any]] = json.loads(manifest)["files"]
    if copy.is_same(name, listing[name]) and all(_has_size(target / told["file"], told) for told in files.values()):
        return
    staging = target.with_name(f".staging-{snapshot_id}")
    for leftover in (staging, target):
        if leftover.exists():
            shutil.rmtree(leftover)
    staging.mkdir(parents=True)
    wanted: list[tuple[str, Path]] = []
    for told in files.values():
        older = snapshots_folder(copy.folder) / told.get("stored_in", snapshot_id) / told["file"]
        if not _is_linked(older, staging / told["file"], told):
            wanted.append((place_of(snapshot_id, told), staging / told["file"]))
    if missing := [place for place, _ in wanted if place not in listing]:
        raise DamagedAtStore(str(store.address), snapshot_id, f"{missing[0]} is missing")
    if wanted:
        store.fetch([place for place, _ in wanted], [file for _, file in wanted])
    for told in files.values():
        if sha256((staging / told["file"]).read_bytes()) != told["sha256"]:
            problem = f"{told['file']} is not the file that was written (its sha256 differs)"
            raise DamagedAtStore(str(store.address), snapshot_id, problem)
    (staging / MANIFEST).write_bytes(manifest)
    staging.rename(target)
    copy.note(name, listing[name].etag)


def place_of(snapshot_id: str, told: Mapping[str, Any]) -> str:
    """Where the store has a table: with the snapshot, or with the older one that had the same. ``told``: of the
    manifest's ``files``."""
    return f"{SNAPSHOTS}/{told.get('stored_in', snapshot_id)}/{told['file']}"


def _has_size(file: Path, told: Mapping[str, Any]) -> bool:
    return file.is_file() and file.stat().st_size == told["bytes"]


def _is_linked(older: Path, file: Path, told: Mapping[str, Any]) -> bool:
    """Link an older snapshot's file where it is the same, so that the copy does not hold it twice."""
    if not _has_size(older, told) or sha256(older.read_bytes()) != told["sha256"]:
        return False
    try:
        os.link(older, file)
    except OSError:
        return False
    return True


def _point(folder: Path, snapshot_id: str | None) -> None:
    """Let the copy's ``current`` say what the store's pointer says, whatever a failed publication left."""
    link = folder / CURRENT
    if snapshot_id is None:
        link.unlink(missing_ok=True)
        return
    temporary = link.with_name(".current-pulled")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(Path("snapshots") / snapshot_id, target_is_directory=True)
    temporary.replace(link)
    sync_folder(link.parent)
