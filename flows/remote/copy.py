"""The working copy of a home at an address: a folder of this machine, and what is known of each file in it.

<copy>/.home.json      which home this is the copy of
<copy>/.known.json     by name: the object's etag when file and object were last the same, the file's size and time
<copy>/.readers/       links to what is in it, and ``current`` as the run that is at work found it
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock

from flows.errors import UsageError
from flows.home import MARKER, Address, copied_address
from flows.remote.store import Listed

_KNOWN = ".known.json"
_FETCHING = ".fetching.lock"
_READERS = ".readers"

# What is this machine's own. Ex: raw/.lock, prefect/server.log, raw/captures/R.crawling.jsonl, R.warc.gz.partial,
# alerts/outbox.sqlite-journal
_OWN = re.compile(
    r"(^|/)\.(?!seen\.json$)|^prefect/|\.partial$|\.crawling(\.jsonl)?$|\.lock$|-journal$|^warehouse/current/"
)


class Known(NamedTuple):
    etag: str
    size: int
    mtime_ns: int


@dataclass(slots=True)
class Copy:
    """``known``: by name, of files that were the same as their objects."""

    folder: Path
    known: dict[str, Known]

    def is_as_known(self, name: str) -> bool:
        """Whether the file is there, and was not touched since it was the same as its object."""
        known = self.known.get(name)
        return known is not None and _stat(self.folder / name) == known[1:]

    def is_same(self, name: str, listed: Listed) -> bool:
        """Whether file and object are the same, as far as both have not changed since they were."""
        return self.is_as_known(name) and self.known[name].etag == listed.etag

    def note(self, name: str, etag: str) -> None:
        """File and object are the same now."""
        size, mtime_ns = _stat(self.folder / name) or (-1, -1)
        self.known[name] = Known(etag, size, mtime_ns)

    def files(self, *under: str) -> Iterator[str]:
        """Names of the files that belong to the home, in order."""
        for top in under:
            for place, folders, names in os.walk(self.folder / top):
                folders.sort()
                here = Path(place).relative_to(self.folder).as_posix()
                yield from (name for file in sorted(names) if belongs(name := f"{here}/{file}"))

    def save(self) -> None:
        """A kill before this costs fetching some files again."""
        temporary = self.folder / f"{_KNOWN}.{os.getpid()}"
        temporary.write_text(json.dumps(self.known), encoding="utf-8")
        temporary.replace(self.folder / _KNOWN)


def belongs(name: str) -> bool:
    """Whether a file is part of the home, not of this machine's work in it. ``name``: relative to the home."""
    return not _OWN.search(name)


def open_copy(home: Address) -> Copy:
    """The working copy, made where there is none. Raises UsageError where its folder cannot be."""
    folder, shown = home.copy, str(home)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if copied_address(folder) != shown:
            (folder / MARKER).write_text(json.dumps({"address": shown}) + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"The working copy of {shown} cannot be made in {folder}: {error.strerror}. Set `cache` (CPTFLOW_CACHE) to "
            "a folder that can be written."
        ) from None
    return Copy(folder, _read_known(folder))


def fetching(folder: Path) -> FileLock:
    """A lock for those of this machine that bring the copy up to date; the kernel frees it when its holder dies."""
    return FileLock(folder / _FETCHING)


def show_readers(folder: Path) -> None:
    """Keep what is current now for those who read beside a run: its own snapshot is not published before the store's
    pointer names it."""
    shutil.rmtree(folder / _READERS, ignore_errors=True)
    (folder / _READERS / "warehouse").mkdir(parents=True)
    for name in (MARKER, "raw", "parsed", "runs", "alerts"):
        (folder / _READERS / name).symlink_to(Path("..") / name)
    current = folder / "warehouse" / "current"
    for there in (folder / "warehouse").iterdir():
        target = current.readlink() if there == current else Path("..", "..", "warehouse", there.name)
        (folder / _READERS / "warehouse" / there.name).symlink_to(target)


def as_it_was(folder: Path) -> Path:
    """The home as the run that is at work in the copy found it."""
    return folder / _READERS if (folder / _READERS).is_dir() else folder


def remove_empty(folders: Iterable[Path]) -> None:
    for folder in folders:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _read_known(folder: Path) -> dict[str, Known]:
    try:
        told = json.loads((folder / _KNOWN).read_text(encoding="utf-8"))
        return {name: Known(*known) for name, known in told.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _stat(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns
