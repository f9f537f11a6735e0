"""Manifests at the store: what they name becomes the names of files here, so none is used as it comes."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping

from flows.errors import CptflowError
from warehouse.snapshots import MANIFEST
from warehouse.tables import SNAPSHOT_ID_PATTERN

SNAPSHOTS = "warehouse/snapshots"

_TABLE = re.compile(r"[a-z][a-z0-9_]*\.parquet")  # Ex: code_versions.parquet


class DamagedAtStore(CptflowError):
    """Files of snapshots at the store are missing, or not what was written. Trying again does not help.

    ``problems``: in words, by snapshot id.
    """

    def __init__(self, address: str, problems: Mapping[str, str]) -> None:
        self.address, self.problems = address, dict(problems)
        found = "; ".join(
            f"snapshot {snapshot_id} in {address} is damaged: {told}" for snapshot_id, told in problems.items()
        )
        folders = " and ".join(f"{SNAPSHOTS}/{snapshot_id}" for snapshot_id in problems)
        super().__init__(
            f"{found[:1].upper()}{found[1:]}. Take {folders} there from a backup or an older version of the object."
        )


def is_snapshot_id(name: object) -> bool:
    return isinstance(name, str) and re.fullmatch(SNAPSHOT_ID_PATTERN, name) is not None


def snapshot_of(name: str) -> str | None:
    """The id of the snapshot whose manifest an object is; None where it is none."""
    parts = name.removeprefix(f"{SNAPSHOTS}/").split("/")
    if name.startswith(f"{SNAPSHOTS}/") and parts[1:] == [MANIFEST] and is_snapshot_id(parts[0]):
        return parts[0]
    return None


def problem_of(manifest: bytes) -> str | None:
    """Why a snapshot cannot be brought here by its manifest, in words; None where it can."""
    try:
        told = json.loads(manifest)
        dt.datetime.fromisoformat(told["published_at"])
        if told["parent"] is not None and not is_snapshot_id(told["parent"]):
            return f"its {MANIFEST} names {told['parent']!a} as its parent, which is no snapshot"
        if not is_snapshot_id(replaced := (told.get("restored") or {}).get("replaced", told["snapshot_id"])):
            return f"its {MANIFEST} names {replaced!a} as replaced, which is no snapshot"
        for file in told["files"].values():
            if not _TABLE.fullmatch(file["file"]):
                return f"its {MANIFEST} names {file['file']!a}, which is no table"
            if "stored_in" in file and not is_snapshot_id(file["stored_in"]):
                return f"its {MANIFEST} names {file['stored_in']!a} as a place of tables, which is no snapshot"
            if not isinstance(file["sha256"], str) or not isinstance(file["bytes"], int):
                return f"its {MANIFEST} tells no size or hash of {file['file']}"
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return f"its {MANIFEST} cannot be read ({error})"
    return None


def parent_of(manifest: bytes) -> str | None:
    """Of a manifest that may have expired, and may be anything."""
    try:
        parent = json.loads(manifest)["parent"]
    except (ValueError, KeyError, TypeError):
        return None
    return parent if is_snapshot_id(parent) else None


def replaced_by(manifest: bytes) -> str | None:
    """The snapshot that the next run compares with, where this one was restored by a person."""
    restored: dict[str, str] = json.loads(manifest).get("restored") or {}
    return restored.get("replaced")
