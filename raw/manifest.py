"""``manifest.jsonl`` beside the pages: what a scraper knows of each page, one JSON object a line.

``file`` (relative to the manifest), and optionally ``url``, ``fetched_at`` (ISO 8601; UTC where it has no
offset), ``status`` and ``code``; and what an export tells of a fetch beside these: ``requested_url``, ``etag``,
``last_modified``, and ``media_type`` where the file's name does not say it. Each line is one capture, so a page that
stayed the same may be on several.
"""
# ruff: noqa: PTH118, PTH208
# Paths are texts in here: there are thousands, and a Path for each takes as long as hashing its page.

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from raw import fields
from raw.pages import MEDIA_TYPES, Problem, media_type_of, shown

MANIFEST = "manifest.jsonl"
MAX_LINE_BYTES = 1 << 20
_BYTE_ORDER_MARK = "\ufeff"

# What can be saved of a line that was cut. Ex: {"file": "0748T.html", "url": "https://exam
_FILE_OF_A_CUT_LINE = re.compile(r'"file"\s*:\s*("(?:[^"\\]|\\.)*")')


@dataclass(frozen=True, slots=True)
class Entry:
    """One good line. What is None was not given."""

    line: int
    url: str | None
    fetched_at: datetime | None
    status: int | None
    code: str | None
    requested_url: str | None = None
    etag: str | None = None
    last_modified: str | None = None
    media_type: str | None = None


@dataclass(slots=True)
class Manifest:
    """``entries`` and ``refused`` go by the page's path, a text: a ``Path`` takes ten times as long to make and find.

    ``doubt`` says why a page that no line names may still be meant by one: it would land under a wrong URL.
    """

    entries: dict[str, list[Entry]] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)
    doubt: str | None = None


class _Folder:
    """The manifest's folder, and those below it that lines name: searched once, not line by line."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._real = {"": (path, True)}
        self._names: dict[str, frozenset[str]] = {}

    def real(self, within: str) -> tuple[str, bool]:
        """The folder ``within`` it, its links resolved, and whether that is inside."""
        if within not in self._real:
            path = os.path.realpath(os.path.join(self.path, within))
            self._real[within] = (path, Path(path).is_relative_to(self.path))
        return self._real[within]

    def has(self, place: str, name: str) -> bool:
        """Whether there is such a file, or a link of that name, in the folder ``place``."""
        if place not in self._names:
            try:
                self._names[place] = frozenset(os.listdir(place))
            except OSError:
                self._names[place] = frozenset()
        # Some disks know a file by other spellings than the one that they list.
        return name in self._names[place] or os.path.lexists(os.path.join(place, name))


class _BadLine(Exception):
    """``path``: the page that the line speaks of, where that much is known."""

    def __init__(self, message: str, path: str | None = None) -> None:
        super().__init__(message, path)
        self.message, self.path = message, path


def read_manifest(path: Path, name: str) -> Manifest:
    """Read the manifest at ``path``, its links resolved. ``name`` is what people know it by.

    Bad lines become problems, and stop no other.
    """
    manifest, folder = Manifest(), _Folder(os.fspath(path.parent))
    try:
        if not path.is_file():
            raise OSError(errno.EINVAL, "it is no regular file")
        with path.open("rb") as lines:
            for number, line in enumerate(_lines(lines), 1):
                if line.strip(b"\xef\xbb\xbf \t\r\n"):
                    _read_line(manifest, line, number, folder, name)
    except OSError as error:
        manifest.doubt = "cannot be read"
        manifest.problems.append(Problem(name, None, f"cannot be read: {error.strerror}"))
    return manifest


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    """The lines of a file; of one over the limit its beginning, which is no JSON object then."""
    while line := stream.readline(MAX_LINE_BYTES):
        rest = line
        while len(rest) == MAX_LINE_BYTES and not rest.endswith(b"\n"):
            rest = stream.readline(MAX_LINE_BYTES)
        yield line


def _read_line(manifest: Manifest, line: bytes, number: int, folder: _Folder, name: str) -> None:
    try:
        path, entry = _entry(line, number, folder)
    except _BadLine as bad:
        manifest.problems.append(Problem(name, number, bad.message))
        if bad.path is not None:
            manifest.refused.add(bad.path)
        elif manifest.doubt is None:
            manifest.doubt = f"has a line that cannot be read (line {number})"
    else:
        manifest.entries.setdefault(path, []).append(entry)


def _entry(line: bytes, number: int, folder: _Folder) -> tuple[str, Entry]:
    values = _json_object(line, folder)
    file = values.get("file")
    if not isinstance(file, str):
        raise _BadLine(f"'file' must name a page, and is {fields.brief(file)}")
    path = _page_path(folder, file)
    try:
        return path, Entry(
            line=number,
            url=fields.url(values.get("url")),
            fetched_at=fields.fetched_at(values.get("fetched_at")),
            status=fields.status(values.get("status")),
            code=fields.code(values.get("code")),
            requested_url=fields.url(values.get("requested_url"), "requested_url"),
            etag=fields.validator(values.get("etag"), "etag"),
            last_modified=fields.validator(values.get("last_modified"), "last_modified"),
            media_type=fields.media_type(values.get("media_type")),
        )
    except ValueError as error:
        raise _BadLine(f"{shown(file)}: {error}", path) from None


def _json_object(line: bytes, folder: _Folder) -> dict[str, Any]:
    try:
        values = json.loads(line.decode().removeprefix(_BYTE_ORDER_MARK).strip())
    # ValueError: not JSON, not UTF-8, a number of 5,000 digits. RecursionError: 10,000 brackets.
    except (ValueError, RecursionError) as error:
        text = line.decode("utf-8-sig", "replace")
        raise _BadLine(f"is not a JSON object: {fields.reason(error)}", _salvaged(text, folder)) from None
    if not isinstance(values, dict):
        raise _BadLine(f"is not a JSON object, but {fields.brief(values)}")
    return values


def _salvaged(text: str, folder: _Folder) -> str | None:
    """The page that a broken line was about, so that it is not landed as though it had no line."""
    found = _FILE_OF_A_CUT_LINE.search(text)
    try:
        return _page_path(folder, json.loads(found[1])) if found else None
    except _BadLine as bad:
        return bad.path
    except ValueError:
        return None


def _page_path(folder: _Folder, file: str) -> str:
    """The page's path in the manifest's folder. Raises _BadLine for what is outside of it, or is no page."""
    if "\0" in file or not file:
        raise _BadLine(f"'file' must name a page, and is {fields.brief(file)}")
    within, base = os.path.split(file)
    place, inside = folder.real(within)
    path = place if base in ("", ".") else os.path.join(place, base)
    if not inside or base in ("", ".", ".."):
        raise _BadLine(f"{shown(file)} is outside the manifest's folder, and was not looked at", path)
    if media_type_of(base) is None:
        raise _BadLine(f"{shown(file)} is no page: its name must end in {', '.join(MEDIA_TYPES)}", path)
    if not folder.has(place, base):
        raise _BadLine(f"{shown(file)}: there is no such file", path)
    return path
