"""Snapshots, read back: all tables of one run, which were published together (``publishing.py``).

<home>/warehouse/snapshots/<snapshot_id>/<table>.parquet + manifest.json
<home>/warehouse/current -> snapshots/<snapshot_id>
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from parsers.records import GOOD_OUTCOMES
from warehouse.tables import COMPARED, SNAPSHOT_ID_PATTERN, STRING, fingerprint

MANIFEST = "manifest.json"
_TOLD_BY_ALL = {"snapshot_id", "parent", "as_of", "published_at", "files"}


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


@dataclass(frozen=True, slots=True)
class History:
    """``manifests``: of the current snapshot and of all before it that can be read, oldest first. ``gap``: the id that
    the first of them names as its parent, and of which nothing can be read; None where history is whole."""

    manifests: list[dict[str, Any]]
    gap: str | None


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
    """Manifests of the current snapshot and of those before it that are kept, oldest first. Raises BrokenSnapshot."""
    return [manifest for manifest in lineage(home) if is_kept(home, manifest["snapshot_id"])]


def lineage(home: Path) -> list[dict[str, Any]]:
    """Manifests of the current snapshot and of all before it, oldest first: of expired ones too, whose tables are gone.

    Each has a ``number`` and a ``valid_from``, which older versions did not write. Raises BrokenSnapshot where the
    current one cannot be read; damage of another one ends the list there, and `damaged_history` tells of it.
    """
    return history(home).manifests


def history(home: Path) -> History:
    """As `lineage`, with what is missing of it."""
    manifests: list[dict[str, Any]] = []
    snapshot_id, seen = current_id(home), set()
    while snapshot_id is not None and snapshot_id not in seen:
        seen.add(snapshot_id)
        try:
            manifest = read_manifest(home, snapshot_id) if not manifests else _manifest(home, snapshot_id)
        except (SnapshotError, OSError):
            if not manifests:
                raise
            break
        manifests.append(manifest)
        snapshot_id = manifest["parent"]
    manifests.reverse()
    number, valid_from = 0, ""
    for manifest in manifests:
        number = manifest.setdefault("number", number + 1)
        valid_from = manifest.setdefault("valid_from", max(manifest["as_of"], valid_from))
    return History(manifests, snapshot_id)


def outside_history(home: Path, known: History) -> list[str]:
    """Ids of the snapshots whose folders are there and that ``known`` does not lead to, in the order of their data."""
    own = {manifest["snapshot_id"] for manifest in known.manifests}
    return [name for name in stored_ids(home) if name not in own]


def damaged_history(home: Path) -> dict[str, str]:
    """What of history cannot be read: by snapshot id, in words. Files of tables are `verify`'s.

    A gap with nothing behind it is none: old snapshots may be removed by hand. Raises BrokenSnapshot as `current_id`.
    """
    there = stored_ids(home)
    expired = sorted(path.stem for path in expired_manifest(home, "x").parent.glob("[!.]*.json"))
    problems = {}
    for snapshot_id in [*there, *(name for name in expired if name not in there)]:
        try:
            _manifest(home, snapshot_id)
        except BrokenSnapshot as error:
            problems[snapshot_id] = error.problem
        except OSError as error:
            problems[snapshot_id] = f"its manifest cannot be read ({error.strerror})"
    current = current_id(home)
    if current is not None and current not in problems:
        known = history(home)
        if known.gap and known.gap not in problems and (others := outside_history(home, known)):
            follows = known.manifests[0]["snapshot_id"]
            problems[known.gap] = f"its folder is gone, {follows} follows it, and so nothing leads to {_some(others)}"
    return problems


def _some(ids: Sequence[str]) -> str:
    return ", ".join(ids[:3]) + (f" and {len(ids) - 3} more" if len(ids) > 3 else "")


def stored_ids(home: Path) -> list[str]:
    """Ids of all snapshots whose folders are there, whether part of history or not, in the order of their data."""
    folders = snapshots_folder(home).glob("[!.]*")
    return sorted(path.name for path in folders if re.fullmatch(SNAPSHOT_ID_PATTERN, path.name) and path.is_dir())


def made_by_run(home: Path, snapshot_id: str) -> dict[str, Any]:
    """The manifest of a snapshot, or, where a person restored it, of the one by the last run before that.

    It tells which captures the last run rested on. Raises UnknownSnapshot, BrokenSnapshot.
    """
    manifest = read_manifest(home, snapshot_id)
    if (restored := manifest.get("restored")) is None:
        return manifest
    replaced, older = restored["replaced"], restored["snapshot_id"]
    try:
        return read_manifest(home, replaced)
    except UnknownSnapshot:
        advice = (
            f"Take warehouse/snapshots/{replaced} from a backup. Without one, let current point to the snapshot that "
            f"was restored; what the source said since is news then. Type: {_linked(home, older)}"
        )
        raise BrokenSnapshot(home, replaced, f"its folder is gone, and {snapshot_id} follows it", advice) from None


def is_kept(home: Path, snapshot_id: str) -> bool:
    """Whether the snapshot's tables are there."""
    return (snapshots_folder(home) / snapshot_id).is_dir()


def expired_manifest(home: Path, snapshot_id: str) -> Path:
    """Where the manifest of a snapshot stays whose tables were removed."""
    return home / "warehouse" / "expired" / f"{snapshot_id}.json"


def _manifest(home: Path, snapshot_id: str) -> dict[str, Any]:
    """Of a snapshot that is kept, or of one that expired. Raises UnknownSnapshot, BrokenSnapshot, OSError."""
    if is_kept(home, snapshot_id):
        return read_manifest(home, snapshot_id)
    path = expired_manifest(home, snapshot_id)
    try:
        return _parsed(path)
    except FileNotFoundError:
        raise UnknownSnapshot(home, snapshot_id) from None
    except ValueError as error:
        problem = f"its manifest in warehouse/expired cannot be read ({error})"
        raise BrokenSnapshot(home, snapshot_id, problem, f"Take {path} from a backup.") from None


def _parsed(path: Path) -> dict[str, Any]:
    """Raises OSError, ValueError."""
    manifest = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(manifest, dict) or not manifest.keys() >= _TOLD_BY_ALL:
        raise ValueError("it is no manifest")
    return manifest


def read_manifest(home: Path, snapshot_id: str) -> dict[str, Any]:
    """Raises UnknownSnapshot, BrokenSnapshot."""
    path = _folder(home, snapshot_id) / MANIFEST
    try:
        return _parsed(path)
    except FileNotFoundError:
        raise BrokenSnapshot(home, snapshot_id, f"{MANIFEST} is missing") from None
    except ValueError as error:
        raise BrokenSnapshot(home, snapshot_id, f"{MANIFEST} cannot be read ({error})") from None


def read_table(home: Path, snapshot_id: str, name: str, columns: Sequence[str] | None = None) -> pa.Table:
    """A table of a snapshot; an older one may have columns other than today's. ``columns``: only those of them that it
    has.

    Raises UnknownSnapshot, BrokenSnapshot.
    """
    path = _folder(home, snapshot_id) / f"{name}.parquet"
    try:
        if columns is not None:
            there = pq.read_schema(path).names
            columns = [name for name in columns if name in there]
        return pq.read_table(path, columns=columns, partitioning=None)  # a folder named a=b is no column
    except FileNotFoundError:
        raise BrokenSnapshot(home, snapshot_id, f"{path.name} is missing") from None
    except pa.ArrowException as error:
        raise BrokenSnapshot(home, snapshot_id, f"{path.name} cannot be read ({error})") from None


def read_tables(home: Path, snapshot_id: str) -> dict[str, pa.Table]:
    """All tables of a snapshot, as its manifest lists them."""
    return {name: read_table(home, snapshot_id, name) for name in read_manifest(home, snapshot_id)["files"]}


def verify(home: Path, snapshot_id: str, digests: dict[tuple[int, int], str] | None = None) -> list[str]:
    """What is wrong with a snapshot's files, in words; nothing where each is as it was written.

    ``digests``: by device and inode, read and added to, so that a file that several snapshots share is read once.
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
        else:
            problems += _wrong_bytes(path, name, written["sha256"], {} if digests is None else digests)
    known = {MANIFEST, *(written["file"] for written in manifest["files"].values())}
    # Names with a dot are the desktop's, as .DS_Store.
    problems += [f"{path.name} is no part of it" for path in sorted(folder.glob("[!.]*")) if path.name not in known]
    return problems


def _wrong_bytes(path: Path, name: str, written: str, digests: dict[tuple[int, int], str]) -> list[str]:
    try:
        file = path.stat()
        place = (file.st_dev, file.st_ino)
        if place not in digests:
            digests[place] = sha256(path.read_bytes())
    except OSError as error:
        return [f"{name}: {path.name} cannot be read ({error.strerror})"]
    if digests[place] != written:
        return [f"{name}: {path.name} is not the file that was written (its sha256 differs)"]
    return []


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
    whole = [read_manifest(home, name) for name in stored_ids(home) if not verify(home, name)]
    return max(whole, key=lambda manifest: str(manifest["published_at"]))["snapshot_id"] if whole else None


def sha256(data: bytes | pa.Buffer) -> str:
    """In hexadecimal."""
    return hashlib.sha256(data).hexdigest()
