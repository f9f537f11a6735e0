"""The records of anybody's WARC file, one after the other, and what is broken between them.

Written as it is because archives come cut, with wrong lengths, and as one big gzip member: after each of these the
next whole record is looked for, where other readers stop; and what a page's author may have made is not taken for one.
"""

from __future__ import annotations

import io
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, NamedTuple

from raw.warc_digests import is_checked, other_digest, pieces
from raw.warc_doubt import BETWEEN, DOUBTFUL, HEADER_BYTES, Doubt, Ids
from raw.warc_members import PROBE, Broken, Members, begins_record

CHUNK = 1 << 16
IN_MEMORY_BYTES = 1 << 20
_MAX_HEADER_BYTES = 1 << 18
_WARC = b"WARC/"
# Bytes that are read again after wrong lengths: far more than an honest writer's mistakes take.
_MAX_BACK_BYTES = 1 << 30
# Ex: WARC/1.1
_VERSION = re.compile(rb"WARC/\d{1,2}\.\d{1,2}\s*\r?\n")
# The beginning of a record, wherever it is: the newlines in front of it may be damaged.
# Ex: WARC/1.0, WARC-Type: response
_NEXT = re.compile(rb"WARC/\d{1,2}\.\d{1,2}\r?\n(?:WARC|Content)-[A-Za-z-]{1,40}[ \t]*:", re.IGNORECASE)
_NEXT_AT_MOST = 64
# Ex: WARC-Type: response
_FIELD = re.compile(rb"(?:WARC|Content)-[A-Za-z-]{1,40}[ \t]*:", re.IGNORECASE)
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
    """The bytes here are no header of a record. ``headers``: what could be read of one all the same."""

    def __init__(self, found: str, headers: dict[str, str]) -> None:
        super().__init__(found, headers)
        self.found, self.headers = found, headers


def records(stream: BinaryIO, gzipped: bool, spool: Path, limit: int) -> Iterator[Record | Damage]:
    """All records of ``stream``; those over ``limit`` bytes are damage. Raises OSError where it cannot be read.

    ``gzipped``: what the file's name says, where its first bytes do not.
    """
    head = stream.read(PROBE)
    stream.seek(0)
    ids = Ids()
    if begins_record(head) or (gzipped and not head.startswith(_WARC)):
        yield from _of_members(Members(stream), spool, limit, ids)
    else:
        window = _Window(lambda: stream.read(CHUNK), spool)
        yield from _of_window(window, spool, limit, lambda at: (at, f"offset {at}"), ids)


def _of_members(members: Members, spool: Path, limit: int, ids: Ids) -> Iterator[Record | Damage]:
    while (start := members.next()) is not None:

        def place(at: int, start: int = start) -> tuple[int, str]:
            return start, f"offset {start}" + (f", {at} bytes into its gzip member" if at else "")

        window = _Window(members.pull, spool)
        try:
            yield from _of_window(window, spool, limit, place, ids)
        except Broken as broken:
            found = members.find_true(start + 1, ids, broken.cut)
            until = f"the next record is at offset {members.offset}" if found else "no record follows"
            if members.passed:
                until += f", and what looks like a record in between{DOUBTFUL}"
            yield Damage(*place(window.record), f"{broken.found}; {until}")


def _of_window(
    window: _Window, spool: Path, limit: int, place: Callable[[int], tuple[int, str]], ids: Ids
) -> Iterator[Record | Damage]:
    """The records up to the end of the file, or of a gzip member. Raises Broken."""
    while window.skip_newlines():
        at = window.record = window.position
        try:
            headers, length = _header(window)
        except _Malformed as malformed:
            yield Damage(*place(at), malformed.found)
            yield from _after(window, Doubt(ids, malformed.headers), place)
            continue
        doubt = Doubt(ids, headers)
        if length > limit:
            yield Damage(*place(at), f"its Content-Length tells {length:,} bytes, over the limit of {limit:,}")
            yield from _after(window, doubt, place)
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
                yield from _after(window, doubt, place)
                continue
            ids.note(headers)
            yield Record(*place(at), headers, block)


def _after(window: _Window, doubt: Doubt, place: Callable[[int], tuple[int, str]]) -> Iterator[Damage]:
    """Go to the next record; what only looks like some is told."""
    if (passed := window.find(doubt)) is not None:
        yield Damage(*place(passed), f"what looks like a record here{DOUBTFUL}")


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
    fault = ""
    if not _VERSION.fullmatch(first := window.line(_MAX_HEADER_BYTES)):
        fault = "no WARC record begins here"
        if not _FIELD.match(window.ahead()):
            raise _Malformed(fault, {})
    headers: dict[str, str] = {}
    name, room = "", _MAX_HEADER_BYTES - len(first)
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
            fault = fault or "a line of its header has no colon"
        name = name.strip().lower()
        headers.setdefault(name, value.strip())
    else:
        raise _Malformed("its header does not end", {})
    length = headers.get("content-length", "")
    if not (length.isascii() and length.isdigit() and len(length) < 16) or "warc-type" not in headers:
        fault = fault or "its header lacks a WARC-Type or a Content-Length"
    if fault:
        raise _Malformed(fault, headers)
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

    def ahead(self) -> bytes:
        """What follows, as far as a field's name may reach."""
        while self._left() < _NEXT_AT_MOST and self._more():
            pass
        return self._buffer[self._at : self._at + _NEXT_AT_MOST]

    def find(self, doubt: Doubt) -> int | None:
        """Go to the next true record, or to the end. What a record that was none began with is behind us.

        Returns where the first is that was passed over, because it only looks like one.
        """
        passed, start = None, 0
        while True:
            found = _NEXT.search(self._buffer, self._at + start)
            if not found:
                start = max(0, self._left() - _NEXT_AT_MOST)
                self._pass(doubt, start - BETWEEN)
                start = min(start, BETWEEN)
                if not self._more():
                    self._take(self._left())
                    return passed
                continue
            ahead = found.start() - self._at
            while self._left() < ahead + HEADER_BYTES and self._more():
                pass
            self._pass(doubt, ahead - BETWEEN)
            ahead = min(ahead, BETWEEN)
            if doubt.is_record(self._buffer[self._at + ahead : self._at + ahead + HEADER_BYTES]):
                self._take(ahead)
                return passed
            passed = self.position + ahead if passed is None else passed
            start = ahead + 1

    def _pass(self, doubt: Doubt, size: int) -> None:
        if size > 0:
            doubt.pass_by(self._take(size))

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
