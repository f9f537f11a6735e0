"""Pages in JSON lines: ``url``, ``html`` or ``text``, and optionally ``fetched_at``, ``status`` and ``code``.

As in a page manifest, ``fetched_at`` is ISO 8601 (a number may be seconds or milliseconds: it is refused); where it is
missing, the file's modification time is taken. Where both are given, ``html`` is the page and ``text`` its extract. A
row with status 304 has neither: it confirms what was fetched before.
"""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from http import HTTPStatus
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa

from raw import fields
from raw.pages import Container, Page, Problem, with_code

MAX_LINE_BYTES = 64 << 20
MEDIA_TYPES = {"html": "text/html", "text": "text/plain"}
_CHUNK = 1 << 16
# Arrow gives nothing of a read that meets damage: so little is lost in front of it.
_ZSTD_CHUNK = 1 << 12
# How an object begins, with a byte order mark or without.
_PLAIN = (b"{", b"\xef\xbb\xbf", b"\n", b"\r", b" ")


class _Line(NamedTuple):
    """``offset``: where it begins in the text, unpacked. ``data`` is None where the line is over the limit."""

    number: int
    offset: int
    data: bytes | None


class _Cut(Exception):
    """The text ends too early, or cannot be unpacked any further, in the line ``number`` that begins at ``offset``."""

    def __init__(self, number: int, offset: int, found: str) -> None:
        super().__init__(number, offset, found)
        self.number, self.offset, self.found = number, offset, found


def read_jsonl(container: Container) -> Iterator[Page | Problem]:
    """The container's pages, in their order; bad lines are told, and stop no other. Raises OSError."""
    with container.open() as stream:
        read, packed = _reader(stream, container.name)
        unpacked = " of what it unpacks to" if packed else ""
        try:
            for line in _lines(read, packed):
                place = f"line {line.number}, at offset {line.offset}{unpacked}"
                try:
                    if page := _page(line, place, container):
                        yield page
                except ValueError as error:
                    yield container.problem(line.number, place, str(error))
        except _Cut as cut:
            place = f"line {cut.number}, at offset {cut.offset}{unpacked}"
            message = f"the file is cut short or damaged from here on ({cut.found}), and the rest of it is lost"
            yield container.problem(cut.number, place, message)


def _reader(stream: BinaryIO, name: str) -> tuple[Callable[[], bytes], bool]:
    """Gives the text, piece by piece; and whether it is packed: its name says so, and it is no text already."""
    head = stream.read(len(_PLAIN[1]))
    stream.seek(0)
    suffix = "" if head.startswith(_PLAIN) else name.lower()
    if suffix.endswith(".gz"):
        return partial(gzip.GzipFile(fileobj=stream).read1, _CHUNK), True
    if suffix.endswith(".zst"):
        return partial(pa.CompressedInputStream(pa.PythonFile(stream, "r"), "zstd").read, _ZSTD_CHUNK), True
    return partial(stream.read, _CHUNK), False


def _lines(read: Callable[[], bytes], packed: bool) -> Iterator[_Line]:
    """All lines. Raises _Cut, and OSError where a file that is not packed cannot be read."""
    number, offset, size = 1, 0, 0
    parts: list[bytes] = []
    while chunk := _piece(read, packed, number, offset):
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            size += len(end) + 1
            yield _Line(number, offset, b"".join((*parts, end)) if size <= MAX_LINE_BYTES else None)
            number, offset, size = number + 1, offset + size, 0
            parts.clear()
        size += len(rest)
        parts.append(rest)
        if size > MAX_LINE_BYTES:
            parts.clear()
    if packed and not (offset or size):
        raise _Cut(number, offset, "it holds nothing")
    yield _Line(number, offset, b"".join(parts) if size <= MAX_LINE_BYTES else None)


def _piece(read: Callable[[], bytes], packed: bool, number: int, offset: int) -> bytes:
    try:
        return read()
    except (OSError, EOFError, zlib.error) as error:
        if not packed:
            raise
        raise _Cut(number, offset, str(error)) from None


def _page(line: _Line, place: str, container: Container) -> Page | None:
    """None for a blank line. Raises ValueError, which says what is wrong with the line."""
    if line.data is None:
        raise ValueError(f"the line is longer than {MAX_LINE_BYTES:,} bytes")
    if not line.data.strip(b"\xef\xbb\xbf \t\r\n"):
        return None
    values = _object(line.data)
    url = fields.url(values.get("url"))
    if url is None:
        raise ValueError("'url' must be an absolute URL without spaces, and is not given")
    status = fields.status(values.get("status"))
    kind = fields.body_kind(values.get("html"), values.get("text"))
    value = values.get(kind)
    body = _body("" if value is None and status == HTTPStatus.NOT_MODIFIED else value, kind)
    fetched_at = fields.fetched_at(values.get("fetched_at")) or container.modified
    if fetched_at is None:
        raise ValueError("'fetched_at' is not given, and the file's modification time is not known")
    code = fields.code(values.get("code"))
    return Page(
        url=with_code(url, code) if code else url,
        fetched_at=fetched_at,
        status=status,
        media_type=MEDIA_TYPES[kind],
        open=partial(io.BytesIO, body),
        file=container.name,
        where=line.number,
        place=place,
    )


def _object(line: bytes) -> dict[str, Any]:
    try:
        values = json.loads(line.decode("utf-8-sig"))
    # ValueError: not JSON, not UTF-8, a number of 5,000 digits. RecursionError: 10,000 brackets.
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is not a JSON object: {fields.reason(error)}") from None
    if not isinstance(values, dict):
        raise ValueError(f"is not a JSON object, but {fields.brief(values)}")
    return values


def _body(value: object, kind: str) -> bytes:
    if not isinstance(value, str):
        raise ValueError(f"'html' or 'text' must hold the page, and {kind!r} is {fields.brief(value)}")
    try:
        return value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"{kind!r} is no text that has bytes: it holds half a character at {error.start}") from None
