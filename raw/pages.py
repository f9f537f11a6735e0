"""A page on its way into the landing zone, whatever container it comes from."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, NamedTuple, Self
from urllib.parse import quote, urldefrag

MEDIA_TYPES = {".html": "text/html", ".htm": "text/html", ".txt": "text/plain", ".md": "text/markdown"}

# A URL becomes a line of a WARC header: white space and control characters would break out of it, and a lone
# surrogate (JSON "\ud800") has no bytes.
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,8000}")
# What a page of a container may weigh, once it is unpacked: the largest that a parser reads is far below it.
MAX_PAGE_BYTES = 256 << 20
_MESSAGE_LENGTH = 2000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Reference(NamedTuple):
    """Where the bytes of a revisit are, as its record tells it: what was fetched from ``url``.

    Then, or with this digest (of any algorithm, in hex or base32), or, where neither is known, last before the revisit.
    """

    url: str
    fetched_at: datetime | None
    digest: str | None


class Bytes(NamedTuple):
    """A payload that is held of a page's own address."""

    digest: str
    payload_bytes: int
    media_type: str


@dataclass(frozen=True, slots=True)
class Page:
    """``open`` gives the bytes as they came, once. ``file``, ``where`` (line, row or offset) and ``place`` (the same in
    words, where it is not the line of a manifest) are for people. ``path``: of a page that is a plain file here.

    ``requested_url``: the address that was asked for, where redirects led to ``url``. A page with status 304 has no
    bytes: it confirms those that are held of its address; ``confirms`` tells which, where it is not the latest.
    A page that ``refers_to`` another capture has no bytes of its own until they are found there.
    """

    url: str
    fetched_at: datetime
    status: int | None
    media_type: str
    open: Callable[[], BinaryIO]
    file: str
    where: int | None = None
    requested_url: str | None = None
    etag: str | None = None
    last_modified: str | None = None
    place: str | None = None
    confirms: Bytes | None = None
    refers_to: Reference | None = None
    path: str | None = None


class _Problem(NamedTuple):
    file: str
    where: int | None
    message: str


class Problem(_Problem):
    """Something that was not landed, or not whole, and why. ``where``: the line, row or offset in ``file``, if there is
    one; inside a container the message tells which.

    Its texts are safe in a log, and short, whatever of a file they quote.
    """

    __slots__ = ()

    def __new__(cls, file: str, where: int | None, message: str) -> Self:
        return super().__new__(cls, shown(file), where, shown(message[:_MESSAGE_LENGTH])[:_MESSAGE_LENGTH])


class PassedOver(NamedTuple):
    """A record of a container that is meant to be no page. ``kind``: in words. Ex: a redirect"""

    kind: str


# What an input gives, one after the other.
Item = Page | Problem | PassedOver


@dataclass(frozen=True, slots=True)
class Container:
    """A file of many pages. ``open`` gives its bytes, seekable and from their beginning; ``name`` is for people.

    ``modified``: when its file was written, where that is known. ``spool``: a folder for temporary files.
    """

    name: str
    open: Callable[[], BinaryIO]
    modified: datetime | None
    spool: Path

    def problem(self, where: int | None, place: str, message: str) -> Problem:
        """Ex of ``place``: ``line 7``. It stands before the message."""
        return Problem(self.name, where, f"{place}: {message}" if place else message)


def trouble(page: Page, message: str) -> Problem:
    """A problem with the page."""
    return Problem(page.file, page.where, f"{page.place}: {message}" if page.place else message)


def media_type_of(name: str) -> str | None:
    """The media type that a file's name tells by its ending; None for what is no page."""
    dot = name.rfind(".")
    return MEDIA_TYPES.get(name[dot:].lower()) if dot > 0 else None  # Ex: ".html" is a hidden file without an ending


def is_url(value: str) -> bool:
    """True for an absolute URL that fits, as it stands, on one line of a WARC header."""
    return _URL.fullmatch(value) is not None


def with_code(url: str, code: str) -> str:
    """The URL with a sidecar's code as its fragment, so that a parse stays a function of bytes and URL.

    Ex: ``https://example.com/page`` and ``1001T`` give ``https://example.com/page#code=1001T``.
    """
    return f"{urldefrag(url).url}#code={quote(code, safe='')}"


def from_microseconds(since_epoch: int) -> datetime:
    """The moment in UTC. A whole number, because a float loses the last digits. Raises OverflowError."""
    return _EPOCH + timedelta(microseconds=since_epoch)


def microseconds(moment: datetime) -> int:
    """Whole microseconds since 1970, as the capture index holds them."""
    return (moment - _EPOCH) // _MICROSECOND


def shown(name: str) -> str:
    """A file name that is safe in a log: control characters and undecodable bytes are escaped."""
    if name.isprintable():
        return name
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in name)
