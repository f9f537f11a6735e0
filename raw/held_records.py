"""Records of the landing zone's WARC files, read one after the other: streamed, so that none is too large.

Only files of ``raw.warc`` are read here: a gzip member for each record, ``sha256:<hex>`` digests (warcio's warcinfo
records have SHA-1 in base 32), and no transfer or content coding.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from raw.warc import CHUNK, ETAG, LAST_MODIFIED, REQUESTED_URI, STATUS

if TYPE_CHECKING:
    from hashlib import _Hash

# An address of 8,000 characters may take 32,000 bytes, and a revisit record names two.
_HEADERS_ROOM = 1 << 18
_GZIP = 16 + zlib.MAX_WBITS
_BLANK = b"\r\n\r\n"
# Ex: HTTP/1.1 200 OK
_STATUS = re.compile(rb"HTTP/\d\.\d (\d{3})(?: |$|\r)")

_THREE_DIGITS = re.compile(r"[0-9]{3}")
_LENGTH = re.compile(r"[0-9]{1,18}")


class Damaged(Exception):
    """No whole record is here. ``found`` says what is; ``cut``: the file ends inside the record."""

    def __init__(self, found: str, cut: bool = False) -> None:
        super().__init__(found, cut)
        self.found, self.cut = found, cut


@dataclass(frozen=True, slots=True)
class Record:
    """What was read of one record. ``digest`` and ``payload_bytes`` are of the payload as it was found.

    A revisit has no payload: its ``digest`` is what its header tells, and its ``payload_bytes`` are None.
    """

    offset: int
    length: int
    type: str
    url: str
    date: str
    status: int | None
    media_type: str
    requested_url: str | None
    etag: str | None
    """as it stands in the header, as ``last_modified`` does"""
    last_modified: str | None
    digest: str
    payload_bytes: int | None
    wrong_digest: str | None
    """a digest header that is not that of the bytes, with what they have"""


class Members:
    """A file's gzip members. ``offset``: where the next one begins."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._data, self.offset = file, b"", 0

    def seek(self, offset: int) -> None:
        """Go to another member."""
        self._file.seek(offset)
        self._data, self.offset = b"", offset

    def size(self) -> int:
        """Size of the file in bytes."""
        return os.fstat(self._file.fileno()).st_size

    def at_end(self) -> bool:
        """Whether the file ends here."""
        self._data = self._data or self._file.read(CHUNK)
        return not self._data

    def inflate(self) -> Iterator[bytes]:
        """What is in the member that begins here, in pieces; its checksum is verified. Raises Damaged."""
        inflater = zlib.decompressobj(wbits=_GZIP)
        while not inflater.eof:
            try:
                if self.at_end():
                    raise Damaged(f"the file ends at byte {self.size()}, before the record does", cut=True)
                piece = inflater.decompress(self._data, CHUNK)
            except OSError as error:
                raise Damaged(f"bytes that cannot be read ({error.strerror or error})") from None
            except zlib.error as error:
                raise Damaged(f"bytes that cannot be unpacked ({str(error).rpartition(': ')[2]})") from None
            left = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
            self.offset += len(self._data) - len(left)
            self._data = left
            if piece:
                yield piece


def read_record(members: Members, keep: Callable[[bytes], object] | None = None) -> Record:
    """Read the record that begins here to its end. ``keep`` gets its payload, piece by piece. Raises Damaged."""
    offset = members.offset
    pieces = members.inflate()
    head, rest = _head(pieces, b"")
    headers = _headers(head)
    kind = headers.get("warc-type", "")
    block = _block(pieces, rest, headers)
    block_digest = hashlib.sha1() if headers.get("warc-block-digest", "").startswith("sha1:") else hashlib.sha256()
    digest, size, first = hashlib.sha256(), 0, b""
    status, answer = _own_status(headers), _own_answer(headers)
    if kind in ("response", "revisit") and headers.get("content-type", "").startswith("application/http"):
        http, first = _head(block, b"")
        status, answer = _status(http), _fields(http)
        block_digest.update(http + _BLANK)
    for piece in _with_first(first, block):
        block_digest.update(piece)
        digest.update(piece)
        size += len(piece)
        if keep:
            keep(piece)
    found = {"block": _told(block_digest), "payload": _told(digest)}
    whole = kind != "revisit"
    return Record(
        offset=offset,
        length=members.offset - offset,
        type=kind,
        url=headers.get("warc-target-uri", ""),
        date=headers.get("warc-date", ""),
        status=status,
        media_type=answer.get("content-type", ""),
        requested_url=headers.get(REQUESTED_URI.lower()),
        etag=answer.get("etag"),
        last_modified=answer.get("last-modified"),
        digest=found["payload"] if whole else headers.get("warc-payload-digest", ""),
        payload_bytes=size if whole else None,
        wrong_digest=_wrong_digest(headers, found if whole else {"block": found["block"]}),
    )


def _with_first(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from rest


def _head(pieces: Iterator[bytes], data: bytes) -> tuple[bytes, bytes]:
    """What stands before the first blank line, and what came after it in the same piece."""
    while (end := data.find(_BLANK)) < 0:
        piece = next(pieces, None)
        if piece is None or len(data) > _HEADERS_ROOM:
            raise Damaged("no WARC record: its headers have no end")
        data += piece
    return data[:end], data[end + len(_BLANK) :]


def _headers(head: bytes) -> dict[str, str]:
    if not head.startswith(b"WARC/"):
        raise Damaged("no WARC record")
    return _fields(head)


def _fields(head: bytes) -> dict[str, str]:
    """What follows the first line."""
    pairs = (line.partition(":") for line in head.decode("utf-8", "replace").split("\r\n")[1:])
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _own_status(headers: dict[str, str]) -> int | None:
    """Of a page that no HTTP answer is known of."""
    told = headers.get(STATUS.lower(), "")
    return int(told) if _THREE_DIGITS.fullmatch(told) else None


def _own_answer(headers: dict[str, str]) -> dict[str, str]:
    names = {"content-type": "content-type", "etag": ETAG.lower(), "last-modified": LAST_MODIFIED.lower()}
    return {name: headers[own] for name, own in names.items() if own in headers}


def _block(pieces: Iterator[bytes], rest: bytes, headers: dict[str, str]) -> Iterator[bytes]:
    """The record's block, which must be as long as its header tells, and two line ends after it."""
    told = headers.get("content-length", "")
    if not _LENGTH.fullmatch(told):
        raise Damaged("a record that does not tell its length")
    left, after = int(told), b""
    for piece in _with_first(rest, pieces):
        if left and piece[:left]:
            yield piece[:left]
        after += piece[left:]
        left -= min(left, len(piece))
        if len(after) > len(_BLANK):
            break
    if left or after != _BLANK:
        raise Damaged(f"a record that is not as long as its header tells ({told} bytes)")


def _status(http: bytes) -> int:
    if not (line := _STATUS.match(http)):
        raise Damaged("a response without an HTTP status")
    return int(line[1])


def _told(digest: _Hash) -> str:
    """A digest as headers tell it."""
    if digest.name == "sha1":
        return f"sha1:{base64.b32encode(digest.digest()).decode()}"
    return f"{digest.name}:{digest.hexdigest()}"


def _wrong_digest(headers: dict[str, str], found: dict[str, str]) -> str | None:
    for name, digest in found.items():
        told = headers.get(f"warc-{name}-digest", digest)
        if told != digest:
            return f"its {name} has the digest {digest}, and its header tells {told}"
    return None
