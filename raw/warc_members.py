"""The gzip members of anybody's WARC file, one after the other, and the next true one behind a broken one."""

from __future__ import annotations

import io
import zlib
from typing import BinaryIO

from raw.warc_doubt import HEADER_BYTES, Ids

_CHUNK = 1 << 16
_GZIP = b"\x1f\x8b\x08"
_GZIP_WBITS = 16 + zlib.MAX_WBITS
_WARC = b"WARC/"
# Enough of a gzip member to see how its content begins, file name in its header included.
PROBE = 1 << 12
# Bytes that are unpacked to see whether what looks like a member is one: two large archives' worth.
_MAX_AHEAD_BYTES = 1 << 34


class Broken(Exception):
    """The gzip member cannot be unpacked any further. ``cut``: the file ends inside."""

    def __init__(self, found: str, cut: bool = False) -> None:
        super().__init__(found, cut)
        self.found, self.cut = found, cut


class Members:
    """The gzip members of a file. ``offset``: where the bytes begin that are still to be read.

    ``passed``: how many members were passed over, because they only look like records.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._raw, self.offset = stream, b"", 0
        self._went_ahead = self.passed = 0
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
        """More of what the member holds; nothing at its end, which its checksum has confirmed. Raises Broken."""
        while not self._inflater.eof:
            if not self._raw and not self._fill():
                raise Broken("the file ends inside this gzip member", cut=True)
            try:
                unpacked = self._inflater.decompress(self._raw, _CHUNK)
            except zlib.error as error:
                raise Broken(f"its gzip data is damaged ({error})") from None
            rest = self._inflater.unused_data or self._inflater.unconsumed_tail
            self.offset += len(self._raw) - len(rest)
            self._raw = rest
            if unpacked:
                return unpacked
        return b""

    def find_true(self, start: int, ids: Ids, cut: bool) -> bool:
        """Go to the next member that holds a true record, at ``start`` or behind it.

        A page that is packed itself lies in a broken member as it is, and may be made of members with records. They
        do not go on to the end of the file, as true ones do: the rest of the broken one is behind them. Where the
        file is ``cut`` inside, there is no rest to tell.
        """
        self.passed = 0
        while (ids.files or not cut) and self._went_ahead <= _MAX_AHEAD_BYTES and self._find(start):
            at = self.offset
            if ids.in_header(self._beginning()):
                return True
            if not cut:
                broken = self._first_broken()
                self._go(at)
                if broken is None:
                    return True
                start = max(broken, at + 1)
            else:
                start = at + 1
            self.passed += 1
            self._went_ahead += _CHUNK
        self._go(self._stream.seek(0, io.SEEK_END))
        return False

    def _beginning(self) -> bytes:
        """What the member that begins here unpacks to, as far as a header may reach."""
        while len(self._raw) < HEADER_BYTES and self._fill():
            pass
        try:
            return zlib.decompressobj(_GZIP_WBITS).decompress(self._raw, HEADER_BYTES)
        except zlib.error:
            return b""

    def _first_broken(self) -> int | None:
        """Where the first member is, from here on, that cannot be unpacked; None where all of them can."""
        while (at := self.next()) is not None:
            try:
                while unpacked := self.pull():
                    self._went_ahead += len(unpacked)
            except Broken:
                return at
        return None

    def _go(self, offset: int) -> None:
        self._stream.seek(offset)
        self._raw, self.offset = b"", offset

    def _find(self, start: int) -> bool:
        """Go to the next member that looks like a record, at ``start`` or behind it."""
        self._go(start)
        while self._fill():
            at = -1
            while (at := self._raw.find(_GZIP, at + 1)) >= 0:
                while len(self._raw) - at < PROBE and self._fill():
                    pass
                if begins_record(self._raw[at : at + PROBE]):
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
        chunk = self._stream.read(_CHUNK)
        self._raw += chunk
        return bool(chunk)


def begins_record(data: bytes) -> bool:
    try:
        return zlib.decompressobj(_GZIP_WBITS).decompress(data, len(_WARC)) == _WARC
    except zlib.error:
        return False
