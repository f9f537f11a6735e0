"""The records of anybody's WARC file, one after the other, and what is broken between them.

Written as it is because archives come cut, with wrong lengths, and as one big gzip member: after each of these the
next whole record is looked for, where other readers stop.
"""

from __future__ import annotations

import io
import re
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, NamedTuple

from raw.warc_digests import is_checked, other_digest, pieces

CHUNK = 1 << 16
IN_MEMORY_BYTES = 1 << 20
_MAX_HEADER_BYTES = 1 << 18
_GZIP = b"\x1f\x8b\x08"
_WARC = b"WARC/"
_GZIP_WBITS = 16 + zlib.MAX_WBITS
# Enough of a gzip member to see how its content begins, file name in its header included.
_PROBE = 1 << 12
# Bytes that are read again after wrong lengths: far more than an honest writer's mistakes take.
_MAX_BACK_BYTES = 1 << 30
# Ex: WARC/1.1
_VERSION = re.compile(rb"WARC/\d{1,2}\.\d{1,2}\s*\r?\n")
# The beginning of a record, wherever it is: the newlines in front of it may be damaged.
# Ex: WARC/1.0, WARC-Type: response
_NEXT = re.compile(rb"WARC/\d{1,2}\.\d{1,2}\r?\n(?:WARC|Content)-[A-Za-z-]{1,40}[ \t]*:", re.IGNORECASE)
_NEXT_AT_MOST = 64
_LOOK_AHEAD = 16


class Damage(NamedTuple):
    """A stretch of the file that holds no whole record. ``place`` is ``offset`` in words."""

    offset: int
    place: str
    message: str


@dataclass(frozen=True, slots=True)
class Record:
    """``headers``: by lower-case name. ``block``: at its beginning, closed when the next record is asked for.

    ``offset``: of the record in the file; of its gzip member, where there is one, and ``place`` tells how deep inside.
    """

    offset: int
    place: str
    headers: dict[str, str]
    block: IO[bytes]


class _Malformed(Exception):
    """The bytes here are no header of a record."""


class _Broken(Exception):
    """The gzip member cannot be unpacked any further."""


def records(stream: BinaryIO, gzipped: bool, spool: Path, limit: int) -> Iterator[Record | Damage]:
    """All records of ``stream``; those over ``limit`` bytes are damage. Raises OSError where it cannot be read.

    ``gzipped``: what the file's name says, where its first bytes do not.
    """
    head = stream.read(_PROBE)
    stream.seek(0)
    if _begins_record(head) or (gzipped and not head.startswith(_WARC)):
        yield from _of_members(_Members(stream), spool, limit)
    else:
        window = _Window(lambda: stream.read(CHUNK), spool)
        yield from _of_window(window, spool, limit, lambda at: (at, f"offset {at}"))


def _of_members(members: _Members, spool: Path, limit: int) -> Iterator[Record | Damage]:
    while (start := members.next()) is not None:

        def place(at: int, start: int = start) -> tuple[int, str]:
            return start, f"offset {start}" + (f", {at} bytes into its gzip member" if at else "")

        window = _Window(members.pull, spool)
        try:
            yield from _of_window(window, spool, limit, place)
        except _Broken as broken:
            found = members.find(start + 1)
            until = f"the next record is at offset {members.offset}" if found else "no record follows"
            yield Damage(*place(window.record), f"{broken}; {until}")


def _of_window(
    window: _Window, spool: Path, limit: int, place: Callable[[int], tuple[int, str]]
) -> Iterator[Record | Damage]:
    """The records up to the end of the file, or of a gzip member. Raises _Broken."""
    while window.skip_newlines():
        at = window.record = window.position
        try:
            headers, length = _header(window)
        except _Malformed as found:
            yield Damage(*place(at), str(found))
            window.find()
            continue
        if length > limit:
            yield Damage(*place(at), f"its Content-Length tells {length:,} bytes, over the limit of {limit:,}")
            window.find()
            continue
        with tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES, dir=str(spool)) as block:
            size = window.copy(length, block)
            ends = window.ends() if size == length else False
            if ends is None:  # Only a digest can tell that the length is right.
                ends = _is_verified(headers, block) or None
            if not ends:
                window.back(block)
                yield Damage(*place(at), _wrong_length(length, size, blank=ends is None))
                if window.went_back > _MAX_BACK_BYTES:
                    yield Damage(*place(window.position), "so many lengths were wrong that what follows was not read")
                    return
                window.find()
                continue
            yield Record(*place(at), headers, block)


def _is_verified(headers: dict[str, str], block: IO[bytes]) -> bool:
    told = headers.get("warc-block-digest")
    verified = is_checked(told) and other_digest(told, [pieces(block, 0)]) is None
    block.seek(0)
    return verified


def _wrong_length(told: int, found: int, blank: bool) -> str:
    if found < told:
        return f"its Content-Length tells {told:,} bytes, and {found:,} are there: it is cut short, or its length wrong"
    message = f"its Content-Length tells {told:,} bytes, and no record ends there"
    return f"{message}, or the next one is damaged where it begins; and no digest tells which" if blank else message


def _header(window: _Window) -> tuple[dict[str, str], int]:
    """The header's fields, and the length of the block. Raises _Malformed."""
    first = window.line(_MAX_HEADER_BYTES)
    if not _VERSION.fullmatch(first):
        raise _Malformed("no WARC record begins here")
    headers: dict[str, str] = {}
    name, room = "", _MAX_HEADER_BYTES
    while line := window.line(room):
        room -= len(line)
        # A byte that is no UTF-8 becomes a lone surrogate, which no address may hold.
        text = line.decode("utf-8", "surrogateescape").strip()
        if not text:
            break
        if line[:1] in b" \t" and name:
            headers[name] += " " + text
            continue
        name, colon, value = text.partition(":")
        if not colon:
            raise _Malformed("a line of its header has no colon")
        name = name.strip().lower()
        headers.setdefault(name, value.strip())
    else:
        raise _Malformed("its header does not end")
    length = headers.get("content-length", "")
    if not (length.isascii() and length.isdigit() and len(length) < 16) or "warc-type" not in headers:
        raise _Malformed("its header lacks a WARC-Type or a Content-Length")
    return headers, int(length)


class _Window:
    """Bytes that are read once, with a way back for those of a record that was none.

    ``position``: how many were taken. ``record``: where the record begins that is being read. ``went_back``: by how
    many in all.
    """

    def __init__(self, pull: Callable[[], bytes], spool: Path) -> None:
        self._pull, self._spool, self._buffer, self._at = pull, spool, b"", 0
        self._again: list[IO[bytes]] = []
        self.position = self.record = self.went_back = 0

    def line(self, limit: int) -> bytes:
        """The bytes up to a newline; ``b""`` where there is none within ``limit`` bytes."""
        while (end := self._buffer.find(b"\n", self._at)) < 0 and self._left() < limit and self._more():
            pass
        return self._take(end + 1 - self._at) if 0 <= end < self._at + limit else b""

    def copy(self, size: int, to: IO[bytes]) -> int:
        """Up to ``size`` bytes; returns how many there were."""
        copied = 0
        while copied < size and (self._left() or self._more()):
            copied += to.write(self._take(min(size - copied, self._left())))
        to.seek(0)
        return copied

    def skip_newlines(self) -> bool:
        """Go to what is no newline; False at the end."""
        while self._left() or self._more():
            if self._buffer[self._at] not in b"\r\n":
                return True
            self._take(1)
        return False

    def ends(self) -> bool | None:
        """Whether a record ends here; None where two newlines say so, and what follows is no record."""
        while self._left() < _LOOK_AHEAD and self._more():
            pass
        ahead = self._buffer[self._at : self._at + _LOOK_AHEAD]
        behind = ahead.lstrip(b"\r\n")
        if not behind or (behind != ahead and behind.startswith(_WARC)):
            return True
        return None if ahead.startswith(b"\r\n\r\n") else False

    def back(self, block: IO[bytes]) -> None:
        """Have the bytes of ``block``, just taken, come again."""
        rest = io.BytesIO(self._buffer[self._at :])
        # Closed where it is used up.
        again = tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES, dir=str(self._spool))  # noqa: SIM115
        block.seek(0)
        while chunk := block.read(CHUNK):
            again.write(chunk)
        self.position -= again.tell()
        self.went_back += again.tell()
        again.seek(0)
        self._again += [rest, again]
        self._buffer, self._at = b"", 0

    def find(self) -> None:
        """Go to the next record, or to the end. What a record that was none began with is behind us."""
        while not (found := _NEXT.search(self._buffer, self._at)):
            self._take(max(0, self._left() - _NEXT_AT_MOST))
            if not self._more():
                self._take(self._left())
                return
        self._take(found.start() - self._at)

    def _left(self) -> int:
        return len(self._buffer) - self._at

    def _take(self, size: int) -> bytes:
        taken = self._buffer[self._at : self._at + size]
        self._at += size
        self.position += size
        return taken

    def _more(self) -> bool:
        chunk = b""
        while self._again and not (chunk := self._again[-1].read(CHUNK)):
            self._again.pop().close()
        chunk = chunk or self._pull()
        self._buffer, self._at = self._buffer[self._at :] + chunk, 0
        return bool(chunk)


class _Members:
    """The gzip members of a file. ``offset``: where the bytes begin that are still to be read."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._raw, self.offset = stream, b"", 0
        self._inflater = zlib.decompressobj(_GZIP_WBITS)

    def next(self) -> int | None:
        """Go to the next member: its offset, None at the end of the file."""
        if not self._raw:
            self._fill()
        if not self._raw.strip(b"\0"):
            return None  # padding, as tapes have it
        self._inflater = zlib.decompressobj(_GZIP_WBITS)
        return self.offset

    def pull(self) -> bytes:
        """More of what the member holds; nothing at its end, which its checksum has confirmed. Raises _Broken."""
        while not self._inflater.eof:
            if not self._raw and not self._fill():
                raise _Broken("the file ends inside this gzip member")
            try:
                unpacked = self._inflater.decompress(self._raw, CHUNK)
            except zlib.error as error:
                raise _Broken(f"its gzip data is damaged ({error})") from None
            rest = self._inflater.unused_data or self._inflater.unconsumed_tail
            self.offset += len(self._raw) - len(rest)
            self._raw = rest
            if unpacked:
                return unpacked
        return b""

    def find(self, start: int) -> bool:
        """Go to the next member that holds a record, at ``start`` or behind it."""
        self._stream.seek(start)
        self._raw, self.offset = b"", start
        while self._fill():
            at = -1
            while (at := self._raw.find(_GZIP, at + 1)) >= 0:
                while len(self._raw) - at < _PROBE and self._fill():
                    pass
                if _begins_record(self._raw[at : at + _PROBE]):
                    self.offset += at
                    self._raw = self._raw[at:]
                    return True
            kept = self._raw[-len(_GZIP) + 1 :]
            self.offset += len(self._raw) - len(kept)
            self._raw = kept
        self.offset += len(self._raw)
        self._raw = b""
        return False

    def _fill(self) -> bool:
        chunk = self._stream.read(CHUNK)
        self._raw += chunk
        return bool(chunk)


def _begins_record(data: bytes) -> bool:
    try:
        return zlib.decompressobj(_GZIP_WBITS).decompress(data, len(_WARC)) == _WARC
    except zlib.error:
        return False
