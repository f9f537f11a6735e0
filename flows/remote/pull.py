"""Bring the working copy up to date with the store.

``warehouse`` and the mark of the last run become what the store holds. ``raw`` and ``parsed`` are only ever added to:
what a run of this machine could not send yet stays, and is sent by the next one.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from flows.remote.copy import Copy, belongs, remove_empty
from flows.remote.lease import POINTER, Pointer
from flows.remote.manifests import SNAPSHOTS, DamagedAtStore, parent_of, problem_of, replaced_by, snapshot_of
from flows.remote.store import Found, Listed, Store
from flows.terminal import tell
from warehouse.files import sync_folder
from warehouse.snapshots import MANIFEST, expired_manifest, sha256, snapshots_folder

CURRENT = "warehouse/current"
SEEN = "runs/.seen.json"
WARCS = "raw/warc/"
CRAWLS = "raw/crawls/"
ALERTS = "alerts"
_AT_ONCE = 64

Listing = Mapping[str, Listed]


def pull_warehouse(store: Store, copy: Copy, listing: Listing, pointer: Pointer, *, afresh: bool = False) -> None:
    """The current snapshot and those before it, whole and by hash; and what lies beside them.

    ``afresh``: every snapshot is fetched again. Raises DamagedAtStore where work cannot rest on what is there, and
    afresh for any damage; else damage is told. Raises StoreFailed, OSError.
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
    _pull_snapshots(store, copy, listing, pointer, afresh=afresh)
    _point(copy.folder, pointer.snapshot_id)


def pull_pages(store: Store, copy: Copy, listing: Listing, *, warcs: bool = False) -> None:
    """The capture index, crawls and parse results; WARC files with ``warcs`` only. Raises StoreFailed, OSError."""
    theirs = {name for name in listing if name.startswith(("raw/", "parsed/")) and belongs(name)}
    for name in [name for name in copy.known if name.startswith(("raw/", "parsed/")) and name not in theirs]:
        (copy.folder / name).unlink(missing_ok=True)  # removed by another machine
        del copy.known[name]
    for tables in (copy.folder / "parsed").glob("*@*"):
        remove_empty([*tables.glob("*"), tables])
    wanted = [name for name in sorted(theirs) if not name.startswith(WARCS) and _is_news(store, copy, name, listing)]
    _fetch(store, copy, wanted, listing)
    if warcs:
        indexed = {Path(name).stem for name in theirs if name.startswith("raw/captures/")}
        # A WARC file without an index is of a run that was killed while it sent; the next one of that machine goes on.
        files = [name for name in theirs if name.startswith(WARCS) and warc_run(name) in indexed]
        fetch_warcs(store, copy, listing, files)


def pull_alerts(store: Store, copy: Copy, listing: Listing) -> None:
    """The outbox and what is made of it become what the store holds: what this machine could not send of them tells of
    snapshots or deliveries that nobody else has heard of, and is made again. Raises StoreFailed, OSError."""
    theirs = {name for name in listing if name.startswith(f"{ALERTS}/") and belongs(name)}
    for name in [name for name in copy.files(ALERTS) if name not in theirs]:
        (copy.folder / name).unlink()
        copy.known.pop(name, None)
    changed = [name for name in sorted(theirs) if not copy.is_same(name, listing[name])]
    for name in changed:  # of a process that was killed; it belongs to the file that is replaced
        (copy.folder / f"{name}-journal").unlink(missing_ok=True)
    _fetch(store, copy, changed, listing)


def fetch_warcs(store: Store, copy: Copy, listing: Listing, names: Iterable[str]) -> None:
    """Have these files of ``raw/warc`` in the copy: those that are at the store. Raises StoreFailed, OSError."""
    missing = sorted(name for name in {*names} if name in listing and not _is_there(copy, name, listing[name]))
    _fetch(store, copy, missing, listing)


def _is_there(copy: Copy, name: str, listed: Listed) -> bool:
    """Whether the file is there and has not lost anything since. It may have been made here, and not be known."""
    if name in copy.known:
        return copy.is_as_known(name)
    file = copy.folder / name
    return file.exists() and file.stat().st_size == listed.size


def _is_news(store: Store, copy: Copy, name: str, listing: Listing) -> bool:
    """Whether the object is to be fetched: the file is not as it was when they were last the same, or the object.

    Files never change, so one that did lost something (power, disk); but those of a crawl that goes on.
    """
    known = copy.known.get(name)
    if known is None or known.etag != listing[name].etag:
        return True
    if copy.is_as_known(name):
        return False
    file = copy.folder / name
    if not name.startswith(CRAWLS) or not file.exists() or is_finished(store.read(crawl_record(name))):
        return True
    return not is_record(file.read_bytes()) if name.endswith(".json") else file.stat().st_size < known.size


def crawl_record(name: str) -> str:
    """Ex: raw/crawls/codingahead-20260101T060000Z.json, of the same with .same.jsonl"""
    return f"{CRAWLS}{name.removeprefix(CRAWLS).partition('.')[0]}.json"


def is_finished(record: Found | None) -> bool:
    """Whether a crawl's record at the store is its last."""
    return record is not None and is_record(record.data) and json.loads(record.data).get("finished_at") is not None


def is_record(data: bytes) -> bool:
    """Whether a crawl's record is whole."""
    try:
        return isinstance(json.loads(data), dict)
    except ValueError:
        return False


def _is_beside(name: str) -> bool:
    inside = (f"{SNAPSHOTS}/", f"{CURRENT}/")
    return name.startswith("warehouse/") and not name.startswith(inside) and name != POINTER and belongs(name)


def warc_run(warc: str) -> str:
    """Ex: raw/warc/openpayer/20260301T120000000000Z-0001.warc.gz"""
    return warc.rpartition("/")[2].removesuffix(".warc.gz")


def _sync(file: Path) -> None:
    """Have it on the disk before it is noted as the same as its object."""
    with file.open("rb") as opened:
        os.fsync(opened.fileno())


def _fetch(store: Store, copy: Copy, names: Sequence[str], listing: Listing) -> None:
    """Whole or not at all: a file has its name once all of it is there."""
    for start in range(0, len(names), _AT_ONCE):
        some = names[start : start + _AT_ONCE]
        temporary = [(copy.folder / name).with_name(f".{Path(name).name}.fetched") for name in some]
        store.fetch(some, temporary)
        for name, file in zip(some, temporary, strict=True):
            _sync(file)
            file.replace(copy.folder / name)
            copy.note(name, listing[name].etag)
            if copy.known[name].size != listing[name].size:  # not what was listed: the next pull fetches it again
                del copy.known[name]
        copy.save()


def _pull_snapshots(store: Store, copy: Copy, listing: Listing, pointer: Pointer, *, afresh: bool) -> None:
    manifests = _manifests(store, copy, listing, afresh=afresh)
    if (current := pointer.snapshot_id) and (current not in manifests or not _is_pointed_to(manifests, pointer)):
        lost = f"its {MANIFEST} is missing or not the one that was published"
        raise DamagedAtStore(str(store.address), {current: lost})
    unread = {name: told for name, data in manifests.items() if (told := problem_of(data))}
    # Of one that expired nothing is needed any more: its removal may have been cut off.
    damaged = {name: told for name, told in unread.items() if name == current or not _expired(copy, name).exists()}
    if current in damaged:
        raise DamagedAtStore(str(store.address), damaged)
    needed = {current, replaced_by(manifests[current])} if current else set()
    manifests = {name: data for name, data in manifests.items() if name not in unread}
    line, gap = _line(copy, manifests, pointer)
    # A snapshot that would follow the current one is of a run that was killed before it moved the pointer: the next
    # one makes the same, and uses it if it is whole. What may stand behind a gap is here for people to be told of it.
    others = [name for name in manifests if name not in line]
    ahead = others if gap else [name for name in others if parent_of(manifests[name]) == pointer.snapshot_id]
    kept: set[str] = set()
    for snapshot_id in [*reversed(line), *ahead]:
        again = kept if afresh else None
        problem = _pull_snapshot(store, copy, listing, snapshot_id, manifests[snapshot_id], again)
        if problem is None:
            kept.add(snapshot_id)
        elif (gap or snapshot_id in line) and not _expired(copy, snapshot_id).exists():
            damaged[snapshot_id] = problem
    if damaged and (afresh or not needed.isdisjoint(damaged)):
        raise DamagedAtStore(str(store.address), damaged)
    if damaged:
        tell(str(DamagedAtStore(str(store.address), damaged)))
    kept |= damaged.keys()
    for leftover in snapshots_folder(copy.folder).glob("*"):
        if leftover.name not in kept:
            shutil.rmtree(leftover)
            copy.known.pop(f"{SNAPSHOTS}/{leftover.name}/{MANIFEST}", None)
    copy.save()


def _manifests(store: Store, copy: Copy, listing: Listing, *, afresh: bool) -> dict[str, bytes]:
    """By snapshot. One without a manifest is no snapshot yet, or no longer."""
    manifests: dict[str, bytes] = {}
    for name, listed in listing.items():
        if snapshot_id := snapshot_of(name):
            if copy.is_same(name, listed) and not afresh:
                data: bytes | None = (copy.folder / name).read_bytes()
            else:
                data = found.data if (found := store.read(name)) else None
            if data is not None:
                manifests[snapshot_id] = data
    return manifests


def _is_pointed_to(manifests: Mapping[str, bytes], pointer: Pointer) -> bool:
    return sha256(manifests[str(pointer.snapshot_id)]) == pointer.manifest_sha256


def _line(copy: Copy, manifests: Mapping[str, bytes], pointer: Pointer) -> tuple[list[str], bool]:
    """The current snapshot and those before it that are kept, newest first: expired ones only lead on to others. And
    whether one that is named as a parent is neither."""
    line: list[str] = []
    at = pointer.snapshot_id
    while at is not None and at not in line:
        expired = _expired(copy, at)
        if at in manifests:
            line.append(at)
            at = parent_of(manifests[at])
        elif expired.exists():
            at = parent_of(expired.read_bytes())
        else:
            return line, True
    return line, False


def _expired(copy: Copy, snapshot_id: str) -> Path:
    return expired_manifest(copy.folder, snapshot_id)


def _pull_snapshot(
    store: Store, copy: Copy, listing: Listing, snapshot_id: str, manifest: bytes, again: Collection[str] | None
) -> str | None:
    """Have the snapshot's folder, whole. Returns what is wrong with it at the store, in words.

    Of a damaged one the copy has what is whole, unless it had more before. ``again``: where each is to be fetched
    again, those that were; nothing but these is taken from the copy.
    """
    target, name = snapshots_folder(copy.folder) / snapshot_id, f"{SNAPSHOTS}/{snapshot_id}/{MANIFEST}"
    files: dict[str, dict[str, Any]] = json.loads(manifest)["files"]
    whole_here = copy.is_same(name, listing[name]) and all(_has_size(target / f["file"], f) for f in files.values())
    if whole_here and again is None:
        return None
    staging = target.with_name(f".staging-{snapshot_id}")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    problem = _stage(store, listing, snapshot_id, list(files.values()), staging, again)
    if problem is not None and whole_here:
        shutil.rmtree(staging)
        return problem
    (staging / MANIFEST).write_bytes(manifest)
    _became(staging, manifest)
    if target.exists():
        shutil.rmtree(target)
    staging.rename(target)
    if problem is None:
        copy.note(name, listing[name].etag)
    return problem


def _stage(
    store: Store,
    listing: Listing,
    snapshot_id: str,
    files: Sequence[Mapping[str, Any]],
    staging: Path,
    again: Collection[str] | None,
) -> str | None:
    """Have the tables in ``staging``, each of them as it was written or not at all. Returns what is wrong."""
    wanted: list[tuple[str, Path]] = []
    for told in files:
        places = {told.get("stored_in", snapshot_id), snapshot_id}
        olders = sorted(places if again is None else places.intersection(again))
        folder, file = staging.parent, staging / told["file"]
        if not any(_is_linked(folder / older / told["file"], file, told) for older in olders):
            wanted.append((place_of(snapshot_id, told), file))
    missing = [place for place, _ in wanted if place not in listing]
    if there := [(place, file) for place, file in wanted if place in listing]:
        store.fetch([place for place, _ in there], [file for _, file in there])
        for _, file in there:
            _sync(file)
    problem = f"{missing[0]} is missing" if missing else None
    for told in files:
        file = staging / told["file"]
        if file.exists() and sha256(file.read_bytes()) != told["sha256"]:
            problem = f"{told['file']} is not the file that was written (its sha256 differs)"
            file.unlink()
    return problem


def _became(path: Path, manifest: bytes) -> None:
    """Give a folder or link the time of the snapshot's publication: `expire` counts the time of grace from there, and
    fetching it begins no new one."""
    published = dt.datetime.fromisoformat(json.loads(manifest)["published_at"]).timestamp()
    if not path.is_symlink() or os.utime in os.supports_follow_symlinks:
        os.utime(path, (published, published), follow_symlinks=False)


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
    _became(temporary, (snapshots_folder(folder) / snapshot_id / MANIFEST).read_bytes())
    temporary.replace(link)
    sync_folder(link.parent)
