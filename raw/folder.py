"""A folder, searched through in sorted order: pages, each with what a ``manifest.jsonl`` says of it, and containers."""
# ruff: noqa: PTH114, PTH116, PTH118, PTH123
# Paths are texts in here: there are thousands, and a Path for each takes as long as hashing its page.

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote_from_bytes

from raw.containers import is_container, read_container
from raw.manifest import MANIFEST, Entry, Manifest, read_manifest
from raw.pages import Container, Item, Page, Problem, from_microseconds, media_type_of, shown, with_code


def _opened(path: str) -> BinaryIO:
    return open(path, "rb")


@dataclass(frozen=True, slots=True)
class _Root:
    """An input folder: its path with all links resolved, and the name that was given, for people.

    ``open`` gives the bytes of a file in it.
    """

    real: str
    given: str
    spool: Path
    open: Callable[[str], BinaryIO] = _opened


def read_folder(
    folder: Path, home: Path, given: str | None = None, opened: Callable[[str], BinaryIO] = _opened
) -> Iterator[Item]:
    """All pages under ``folder``, in the sorted order of their folders and names.

    A home inside of it is passed over: what the pipeline wrote (its documents are Markdown) is no page.
    ``given``: what people know the folder by. ``opened`` gives the bytes of a page or container in it.
    """
    apart = os.path.realpath(home)
    root = _Root(os.path.realpath(folder), folder.as_posix() if given is None else given, home / "raw", opened)
    manifests: dict[str, Manifest] = {}
    unread: list[Problem] = []

    def unreadable(error: OSError) -> None:
        unread.append(Problem(_name(error.filename, root), None, f"cannot be searched: {error.strerror}"))

    for here, folders, files in os.walk(root.real, onerror=unreadable):
        folders[:] = sorted(name for name in folders if os.path.join(here, name) != apart)
        yield from _links_out(here, folders, root)
        if MANIFEST in files:
            manifest = os.path.join(here, MANIFEST)
            manifests[here] = read_manifest(Path(manifest), _name(manifest, root))
            yield from manifests[here].problems
        above = [manifests[p] for p in (here, *map(str, Path(here).parents)) if p in manifests]
        for file in sorted(files):
            path = os.path.join(here, file)
            if media_type_of(file) is not None:
                yield from _captures(path, root, above)
            elif is_container(file):
                yield from _contained(path, root)
    yield from unread


def read_file(
    file: Path,
    home: Path,
    manifests: dict[str, Manifest],
    given: str | None = None,
    opened: Callable[[str], BinaryIO] = _opened,
) -> Iterator[Item]:
    """A container; or one page, with what a manifest in its own folder says of it. ``manifests`` keeps those read.

    ``given`` and ``opened`` are of the folder, as in `read_folder`.
    """
    folder = file.parent
    root = _Root(os.path.realpath(folder), folder.as_posix() if given is None else given, home / "raw", opened)
    path = os.path.join(root.real, file.name)
    if is_container(file.name):
        yield from _contained(path, root, linked=True)
        return
    beside = os.path.join(root.real, MANIFEST)
    if beside not in manifests and os.path.lexists(beside):
        manifests[beside] = read_manifest(Path(beside), _name(beside, root))
        yield from manifests[beside].problems
    above = [manifests[beside]] if beside in manifests else []
    yield from _captures(path, root, above, linked=True)


def _links_out(here: str, folders: list[str], root: _Root) -> Iterator[Problem]:
    """Linked folders are not searched: one inside is found at its own place, one outside is not ours."""
    for path in (os.path.join(here, name) for name in folders):
        if os.path.islink(path) and _leads_out(path, root):
            message = "is a link to a folder outside, and was not searched; give that folder as an input of its own"
            yield Problem(_name(path, root), None, message)


def _captures(path: str, root: _Root, manifests: list[Manifest], linked: bool = False) -> Iterator[Page | Problem]:
    name = _name(path, root)
    entries: list[Entry] = []
    for manifest in manifests:
        entries += manifest.entries.get(path, ())
    if not entries and any(path in manifest.refused for manifest in manifests):
        return  # its line is among the manifest's problems
    if not entries and (doubt := next((manifest.doubt for manifest in manifests if manifest.doubt), None)):
        message = f"was left out: no line of {MANIFEST} names it, and that file {doubt}; it would get a wrong url"
        yield Problem(name, None, message)
        return
    found = _regular(path, root, linked)
    if isinstance(found, Problem):
        yield found
        return
    try:
        for entry in entries or [Entry(0, None, None, None, None)]:
            yield _page(path, root, name, entry, found.st_mtime_ns // 1000)
    except OverflowError:
        yield Problem(name, None, "has a modification time that no calendar knows, and no fetched_at")


def _contained(path: str, root: _Root, linked: bool = False) -> Iterator[Item]:
    found = _regular(path, root, linked)
    if isinstance(found, Problem):
        yield found
        return
    try:
        modified = from_microseconds(found.st_mtime_ns // 1000)
    except OverflowError:
        modified = None
    yield from read_container(Container(_name(path, root), partial(root.open, path), modified, root.spool))


def _regular(path: str, root: _Root, linked: bool) -> os.stat_result | Problem:
    """``linked``: whether a link may lead out of the folder, being what the user named."""
    try:
        found = os.lstat(path)
        if stat.S_ISLNK(found.st_mode):
            if not linked and _leads_out(path, root):
                return Problem(_name(path, root), None, "is a link to a file outside the folder, and was not read")
            found = os.stat(path)
    except OSError as error:
        return Problem(_name(path, root), None, f"cannot be read: {error.strerror}")
    if not stat.S_ISREG(found.st_mode):
        return Problem(_name(path, root), None, "is no regular file, and was not read")
    return found


def _page(path: str, root: _Root, name: str, entry: Entry, modified: int) -> Page:
    url = entry.url or "file:" + quote_from_bytes(os.fsencode(_below(path, root)))
    return Page(
        url=with_code(url, entry.code) if entry.code else url,
        fetched_at=entry.fetched_at or from_microseconds(modified),
        status=entry.status,
        media_type=entry.media_type or media_type_of(path) or "",
        open=partial(root.open, path),
        file=name,
        where=entry.line or None,
        requested_url=entry.requested_url if entry.requested_url != url else None,
        etag=entry.etag,
        last_modified=entry.last_modified,
        path=path if root.open is _opened else None,
    )


def _leads_out(path: str, root: _Root) -> bool:
    return not Path(os.path.realpath(path)).is_relative_to(root.real)


def _name(path: str, root: _Root) -> str:
    """What people know the file by."""
    return shown(f"{root.given.rstrip('/')}/{_below(path, root)}")


def _below(path: str, root: _Root) -> str:
    """Ex: "/pages/a/b.html" below "/pages" is "a/b.html"."""
    return path[len(root.real) :].replace(os.sep, "/").lstrip("/")
