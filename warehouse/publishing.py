"""Publishing: all tables of one run become a snapshot, in one step.

Whoever opens ``current`` sees one whole snapshot: everything is on the disk before the link moves (law 4). The home's
lock keeps other writers away, and a writer that lost it is refused before the link moves. What a killed run left behind
is in nobody's way, and the next publication sweeps it. A table that is as it was in the parent is not stored twice: it
is a hard link of the parent's file, where the disk knows such links.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from warehouse.files import encode, link_same, replace_file, sync_folder, write_durably
from warehouse.snapshots import (
    MANIFEST,
    ParentMoved,
    current_id,
    parsers_used,
    read_manifest,
    sha256,
    snapshots_folder,
    verify,
)
from warehouse.tables import BY_NAME, SNAPSHOT, TABLES, fingerprint
from warehouse.versions import Standing

_STAGING, _LINK = ".staging-", ".current-"
DOOMED = ".expired-"
"""Begins the name of a folder that is being removed; whoever finds one may go on with it."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A snapshot that is ready to be published. ``tables``: all of them; ``files``: their Parquet bytes, by table."""

    snapshot_id: str
    parent: str | None
    run_id: str
    as_of: dt.datetime
    stands: Standing
    published_at: dt.datetime
    cptflow_version: str
    tables: Mapping[str, pa.Table]
    files: Mapping[str, pa.Buffer]


@dataclass(frozen=True, slots=True)
class Published:
    snapshot_id: str
    path: Path
    manifest: dict[str, Any]


def draft(
    tables: Mapping[str, pa.Table],
    *,
    as_of: dt.datetime,
    stands: Standing,
    parent: str | None,
    run_id: str,
    published_at: dt.datetime,
    cptflow_version: str,
) -> Draft:
    """The snapshot of ``tables`` (all but ``snapshot``). Its id tells the data's time and a hash of parent and content.

    The same tables after the same parent have the same id, whichever run publishes them.
    """
    names = [table.name for table in TABLES if table is not SNAPSHOT]
    with ThreadPoolExecutor(2) as pool:  # Arrow leaves the interpreter alone meanwhile
        files = dict(zip(names, pool.map(lambda name: encode(tables[name]), names), strict=True))
    content = json.dumps([parent, {name: sha256(data) for name, data in sorted(files.items())}])
    snapshot_id = f"{as_of:%Y%m%dT%H%M%SZ}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"
    row = {
        "snapshot_id": snapshot_id,
        "parent_snapshot_id": parent,
        "published_at": published_at,
        "run_id": run_id,
        "cptflow_version": cptflow_version,
        **{name: tables[name].num_rows for name in ("codes", "documents", "changes")},
    }
    own = pa.Table.from_pylist([row], schema=SNAPSHOT.schema)
    return Draft(
        snapshot_id,
        parent,
        run_id,
        as_of,
        stands,
        published_at,
        cptflow_version,
        {**tables, SNAPSHOT.name: own},
        {**files, SNAPSHOT.name: encode(own)},
    )


def publish(
    home: Path,
    made: Draft,
    *,
    run_ids: Sequence[str],
    suites: Sequence[Mapping[str, Any]],
    trust: Sequence[str],
    accepted: Sequence[Mapping[str, str]] = (),
    held_back: Sequence[tuple[str, str]] = (),
    restored: Mapping[str, str] | None = None,
    untold: bool = False,
    still_held: Callable[[], None] | None = None,
) -> Published:
    """Put ``made`` on the disk and let ``current`` point to it, in one step.

    ``run_ids``: the landing runs that it rests on. ``suites``: summaries of its validation. ``trust``: the order of
    sources that it was made with. ``accepted``: what a person let pass. ``held_back``: (source, landing) that did not
    count. ``restored``: whose tables these are, where a person went back to them. ``untold``: that alerts could not
    be begun before it, so that they do not take it for old. ``still_held``: asked right before ``current`` moves; it
    raises where the home's lock is no longer the caller's, and so does this function then.
    Raises ParentMoved, BrokenSnapshot (of the current one), OSError; until the last step ``current`` is as it was. A
    snapshot with this id that a killed run left is used if it is whole, with the manifest of this run.
    """
    _check_parent(home, made)
    told = {
        "run_ids": sorted(run_ids),
        "trust": list(trust),
        "accepted": list(accepted),
        "held_back": [list(pair) for pair in held_back],
        "suites": list(suites),
        **({"restored": dict(restored)} if restored else {}),
        **({"untold": True} if untold else {}),
    }
    target = snapshots_folder(home) / made.snapshot_id
    try:
        _put(home, made, _manifest(made) | told, _older(home, made, restored))
    except OSError:
        if still_held is not None:
            still_held()  # another run that took the home sweeps what it finds half written
        raise
    if still_held is not None:
        still_held()
    _check_parent(home, made)
    _point(home, made)
    return Published(made.snapshot_id, target, read_manifest(home, made.snapshot_id))


def _put(home: Path, made: Draft, manifest: Mapping[str, Any], older: Path | None) -> None:
    """Have the snapshot's folder on the disk, whole. Raises OSError."""
    folder = snapshots_folder(home)
    folder.mkdir(parents=True, exist_ok=True)
    _sweep(home, made)
    target, staging = folder / made.snapshot_id, folder / f"{_STAGING}{made.run_id}"
    if target.exists():
        # Both tell of the run. A kill between them leaves a folder that is not whole, which the next run sweeps.
        replace_file(target / f"{SNAPSHOT.name}.parquet", made.files[SNAPSHOT.name])
        replace_file(target / MANIFEST, _as_bytes(manifest))
        os.utime(target)  # it becomes current now: `expire` counts its parent's time of grace from here
        sync_folder(target)
    else:
        try:
            _write(staging, made, manifest, older)
            staging.rename(target)
        except OSError:
            shutil.rmtree(staging, ignore_errors=True)  # a full disk is not left fuller
            raise
    for place in (folder, home / "warehouse", home):  # a killed run may have made them, and not got this far
        sync_folder(place)


def _as_bytes(manifest: Mapping[str, Any]) -> bytes:
    return json.dumps(manifest, indent=1, ensure_ascii=False).encode()


def _manifest(made: Draft) -> dict[str, Any]:
    return {
        "snapshot_id": made.snapshot_id,
        "parent": made.parent,
        "run_id": made.run_id,
        "as_of": made.as_of.isoformat(timespec="microseconds"),
        "number": made.stands.number,
        "valid_from": made.stands.valid_from.isoformat(timespec="microseconds"),
        "published_at": made.published_at.isoformat(timespec="microseconds"),
        "cptflow_version": made.cptflow_version,
        "parsers": parsers_used(made.tables["documents"]),
        "files": {
            name: {
                "file": f"{name}.parquet",
                "sha256": sha256(data),
                "bytes": data.size,
                "rows": made.tables[name].num_rows,
                "schema": fingerprint(BY_NAME[name]),
            }
            for name, data in made.files.items()
        },
    }


def _check_parent(home: Path, made: Draft) -> None:
    if (current := current_id(home)) != made.parent:
        raise ParentMoved(home, made.snapshot_id, made.parent, current)


def _older(home: Path, made: Draft, restored: Mapping[str, str] | None) -> Path | None:
    """The folder whose files may be the same as those of ``made``."""
    older = restored["snapshot_id"] if restored else made.parent
    return snapshots_folder(home) / older if older else None


def _write(staging: Path, made: Draft, manifest: Mapping[str, Any], older: Path | None) -> None:
    """``older``: a folder whose files are linked, not written again, where they have the same bytes.

    The bytes are compared, not what the parent's manifest says of them: damage of an old file must not spread, and
    reading is cheap beside writing.
    """
    staging.mkdir()
    for name, data in made.files.items():
        path = staging / f"{name}.parquet"
        if older is None or not link_same(path, older / path.name, data):
            write_durably(path, data)
    write_durably(staging / MANIFEST, _as_bytes(manifest))
    sync_folder(staging)


def _point(home: Path, made: Draft) -> None:
    link = home / "warehouse" / f"{_LINK}{made.run_id}"
    link.symlink_to(Path("snapshots") / made.snapshot_id, target_is_directory=True)
    try:
        link.replace(home / "warehouse" / "current")
    except OSError:
        link.unlink(missing_ok=True)
        raise
    sync_folder(home / "warehouse")


def _sweep(home: Path, made: Draft) -> None:
    """Remove what killed runs never finished, and a folder of the id that is about to be published where it is not
    whole. Whatever else stands there is somebody's history, and stays."""
    for beginning in (_STAGING, DOOMED):
        for leftover in snapshots_folder(home).glob(f"{beginning}*"):
            shutil.rmtree(leftover)
    for leftover in (home / "warehouse").glob(f"{_LINK}*"):
        leftover.unlink()
    target = snapshots_folder(home) / made.snapshot_id
    if target.is_dir() and verify(home, made.snapshot_id):
        doomed = target.with_name(f"{_STAGING}{target.name}")  # a kill in here leaves no half snapshot behind
        target.rename(doomed)
        shutil.rmtree(doomed)
