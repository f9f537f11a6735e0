"""Snapshots, read back: all tables of one run, which were published together (``publishing.py``).

<home>/warehouse/snapshots/<snapshot_id>/<table>.parquet + manifest.json
<home>/warehouse/current -> snapshots/<snapshot_id>
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from parsers.records import GOOD_OUTCOMES
from warehouse.tables import COMPARED, SNAPSHOT_ID_PATTERN, STRING, fingerprint

MANIFEST = "manifest.json"


class SnapshotError(Exception):
    """A snapshot cannot be read. Trying again does not help."""

    def __init__(self, home: Path, snapshot_id: str | None, found: str, advice: str) -> None:
        self.home, self.snapshot_id = home, snapshot_id
        super().__init__(f"{found} {advice}")


class NoSnapshot(SnapshotError):
    """Nothing was published in this home yet."""

    def __init__(self, home: Path) -> None:
        super().__init__(home, None, f"No snapshot was published in {home} yet.", "Make one: cptflow run FOLDER")


class UnknownSnapshot(SnapshotError):
    """There is no snapshot with this id."""

    def __init__(self, home: Path, snapshot_id: str) -> None:
        found = f"There is no snapshot {snapshot_id!a} in {home}."
        super().__init__(home, snapshot_id, found, "List them: cptflow snapshots")


class BrokenSnapshot(SnapshotError):
    """Files of a snapshot are missing or not what was written."""

    def __init__(self, home: Path, snapshot_id: str, problem: str, advice: str = "") -> None:
        self.problem = problem
        found = f"Snapshot {snapshot_id} in {home} is damaged: {problem}."
        super().__init__(home, snapshot_id, found, advice or f"Take warehouse/snapshots/{snapshot_id} from a backup.")


class ParentMoved(SnapshotError):
    """Another run published since the tables were compared. Running again helps."""

    def __init__(self, home: Path, snapshot_id: str, parent: str | None, current: str | None) -> None:
        self.parent, self.current = parent, current
        found = f"Snapshot {snapshot_id} was made to follow {parent or 'none'}, but {current} is current in {home}."
        super().__init__(home, snapshot_id, found, "Nothing was published; run again.")


def current_id(home: Path) -> str | None:
    """The id of the published snapshot, or None where nothing was published yet.

    Raises BrokenSnapshot where ``current`` points to no snapshot, or is a folder.
    """
    link = home / "warehouse" / "current"
    if not link.is_symlink():
        if link.exists():
            raise _copied(home, link)
        return None
    snapshot_id = link.readlink().name
    if not (snapshots_folder(home) / snapshot_id).is_dir():
        raise _dangling(home, link, snapshot_id)
    return snapshot_id


def require_current(home: Path) -> str:
    """The id of the published snapshot. Raises NoSnapshot, BrokenSnapshot."""
    snapshot_id = current_id(home)
    if snapshot_id is None:
        raise NoSnapshot(home)
    return snapshot_id


def list_snapshots(home: Path) -> list[dict[str, Any]]:
    """Manifests of the current snapshot and those before it, oldest first, as far back as their folders are there.

    Raises BrokenSnapshot.
    """
    manifests: list[dict[str, Any]] = []
    snapshot_id = current_id(home)
    while snapshot_id is not None and (snapshots_folder(home) / snapshot_id).is_dir():
        manifests.append(read_manifest(home, snapshot_id))
        snapshot_id = manifests[-1]["parent"]
    return manifests[::-1]


def read_manifest(home: Path, snapshot_id: str) -> dict[str, Any]:
    """Raises UnknownSnapshot, BrokenSnapshot."""
    path = _folder(home, snapshot_id) / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BrokenSnapshot(home, snapshot_id, f"{MANIFEST} is missing") from None
    except ValueError as error:
        raise BrokenSnapshot(home, snapshot_id, f"{MANIFEST} cannot be read ({error})") from None
    return manifest


def read_table(home: Path, snapshot_id: str, name: str) -> pa.Table:
    """A table of a snapshot; an older one may have columns other than today's.

    Raises UnknownSnapshot, BrokenSnapshot.
    """
    path = _folder(home, snapshot_id) / f"{name}.parquet"
    try:
        return pq.read_table(path, partitioning=None)  # a folder named a=b is no column
    except FileNotFoundError:
        raise BrokenSnapshot(home, snapshot_id, f"{path.name} is missing") from None
    except pa.ArrowException as error:
        raise BrokenSnapshot(home, snapshot_id, f"{path.name} cannot be read ({error})") from None


def read_tables(home: Path, snapshot_id: str) -> dict[str, pa.Table]:
    """All tables of a snapshot, as its manifest lists them."""
    return {name: read_table(home, snapshot_id, name) for name in read_manifest(home, snapshot_id)["files"]}


def verify(home: Path, snapshot_id: str) -> list[str]:
    """What is wrong with a snapshot's files, in words; nothing where each is as it was written.

    Raises UnknownSnapshot.
    """
    try:
        manifest = read_manifest(home, snapshot_id)
    except BrokenSnapshot as error:
        return [error.problem]
    folder = _folder(home, snapshot_id)
    problems = []
    for name, written in manifest["files"].items():
        path = folder / written["file"]
        if not path.is_file():
            problems.append(f"{name}: {path.name} is missing")
        elif path.stat().st_size != written["bytes"]:
            problems.append(f"{name}: {path.name} has {path.stat().st_size} bytes, not {written['bytes']}")
        elif sha256(path.read_bytes()) != written["sha256"]:
            problems.append(f"{name}: {path.name} is not the file that was written (its sha256 differs)")
    known = {MANIFEST, *(written["file"] for written in manifest["files"].values())}
    # Names with a dot are the desktop's, as .DS_Store.
    problems += [f"{path.name} is no part of it" for path in sorted(folder.glob("[!.]*")) if path.name not in known]
    return problems


def parsers_used(documents: pa.Table) -> dict[str, int]:
    """Parser name -> version, of the pages in ``documents`` that were read."""
    read = documents.filter(pc.is_in(documents["outcome"], value_set=pa.array(GOOD_OUTCOMES, STRING)))
    pairs = read.group_by(["parser"]).aggregate([("parser_version", "max")]).sort_by("parser")
    return dict(zip(*(pairs[name].to_pylist() for name in ("parser", "parser_version_max")), strict=True))


def changed_schemas(manifest: Mapping[str, Any]) -> frozenset[str]:
    """Compared tables that a snapshot holds in another form than today's."""
    files = manifest["files"]
    return frozenset(t.name for t in COMPARED if files.get(t.name, {}).get("schema") != fingerprint(t))


def needs_rebase(manifest: Mapping[str, Any], documents: pa.Table) -> bool:
    """Whether tables made today differ from a snapshot's by our doing as well: ``documents`` are those of today."""
    return manifest["parsers"] != parsers_used(documents) or bool(changed_schemas(manifest))


def snapshots_folder(home: Path) -> Path:
    return home / "warehouse" / "snapshots"


def _folder(home: Path, snapshot_id: str) -> Path:
    folder = snapshots_folder(home) / snapshot_id
    # An id is a name that people type: it never leads out of the folder.
    if snapshot_id.startswith(".") or folder.parent != snapshots_folder(home) or not folder.is_dir():
        raise UnknownSnapshot(home, snapshot_id)
    return folder


def _dangling(home: Path, link: Path, snapshot_id: str) -> BrokenSnapshot:
    problem = "warehouse/current points to it, and its folder is gone"
    if newest := _newest(home):
        advice, command = "let current point to the newest one that is left", _linked(home, newest)
    else:
        advice, command = "remove the link; cptflow run then makes the tables again", f"rm {shlex.quote(str(link))}"
    return BrokenSnapshot(
        home,
        snapshot_id,
        problem,
        f"Take warehouse/snapshots/{snapshot_id} from a backup. Without one, {advice}. Type: {command}",
    )


def _copied(home: Path, link: Path) -> BrokenSnapshot:
    """``current`` is a folder, as in a home that was copied with links followed."""
    try:
        snapshot_id = str(json.loads((link / MANIFEST).read_text(encoding="utf-8"))["snapshot_id"])
    except (OSError, ValueError, KeyError, TypeError):
        snapshot_id = ""
    own, current = re.fullmatch(SNAPSHOT_ID_PATTERN, snapshot_id) is not None, shlex.quote(str(link))
    if own and not (snapshots_folder(home) / snapshot_id).exists():
        target = shlex.quote(str(snapshots_folder(home) / snapshot_id))
        advice = "Make it that snapshot's folder again, and a link to it."
        command = f"mkdir -p {shlex.quote(str(snapshots_folder(home)))} && mv {current} {target} && "
    else:
        snapshot_id = snapshot_id if own else _newest(home) or ""
        advice = "Remove that folder, and make it a link."
        command = f"rm -r {current}" + (" && " if snapshot_id else "")
    command += _linked(home, snapshot_id) if snapshot_id else ""
    problem = "warehouse/current is a folder, not a link (copy a home with cp -a)"
    return BrokenSnapshot(home, snapshot_id or "current", problem, f"{advice} Type: {command}")


def _linked(home: Path, snapshot_id: str) -> str:
    """The command that lets ``current`` point to a snapshot."""
    return f"ln -sfn snapshots/{snapshot_id} {shlex.quote(str(home / 'warehouse' / 'current'))}"


def _newest(home: Path) -> str | None:
    """The snapshot that was published last, of those whose folders are whole."""
    names = [
        f.name for f in snapshots_folder(home).glob("[!.]*") if re.fullmatch(SNAPSHOT_ID_PATTERN, f.name) and f.is_dir()
    ]
    whole = [read_manifest(home, name) for name in names if not verify(home, name)]
    return max(whole, key=lambda manifest: str(manifest["published_at"]))["snapshot_id"] if whole else None


def sha256(data: bytes | pa.Buffer) -> str:
    """In hexadecimal."""
    return hashlib.sha256(data).hexdigest()
