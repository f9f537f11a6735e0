"""WARC/1.1, read through warcio: a gzip member for each record, so that any is read alone.

Records are written here: a weekly crawl writes as many revisits as it has pages, and warcio takes as long over a
revisit as reading the page does.

Digests are ``sha256:<hex>``, as in the capture index; ``warcio check`` and FastWARC verify this algorithm and
encoding. A ``resource`` record carries a block digest only: its block is its payload, and FastWARC fails a
payload digest on a record without HTTP headers.

Header fields of our own, which other readers pass over, hold what has no place in WARC or HTTP: the address that was
asked for (``WARC-X-Requested-URI``), and of a page without an HTTP answer status, ETag and Last-Modified
(``WARC-X-Status`` and so on).
"""

from __future__ import annotations

import hashlib
import io
import os
import uuid
import zlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from string import printable
from typing import IO
from urllib.parse import quote

from warcio.exceptions import ArchiveLoadFailed
from warcio.recordloader import ArcWarcRecordLoader

from raw.captures import Capture
from raw.errors import PayloadTooLarge, RecordCorrupt

# zlib's default. A 45 KB page takes 0.6 ms at level 1; 1.0 ms and 7 % less room at 6; 1.2 ms and another
# 0.3 % at 9, which is warcio's. Pages are written once and kept for ever.
GZIP_LEVEL = 6
# A revisit is some 700 bytes. A deflater with zlib's usual memory (256 KB, for a window of 32 KB) takes up to six times
# as long to make as one for a window of 2 KB takes in all, and its output is the same.
_SMALL_BYTES, _SMALL_GZIP, _SMALL_MEMORY = 1 << 11, 16 + 11, 4
CHUNK = 1 << 16
_HEADERS_ROOM = 1 << 17
_GZIP = 16 + zlib.MAX_WBITS
_HTTP = "application/http; msgtype=response"
_REVISIT = "http://netpreserve.org/warc/1.1/revisit/"
SOFTWARE = "cptflow/"
REQUESTED_URI, STATUS, ETAG, LAST_MODIFIED = (
    f"WARC-X-{name}" for name in ("Requested-URI", "Status", "ETag", "Last-Modified")
)
_PRINTABLE = printable.rstrip("\t\n\r\v\f")
_PHRASES: dict[int | None, str] = {status.value: status.phrase for status in HTTPStatus}
_LOADER = ArcWarcRecordLoader(verify_http=False, arc2warc=False)


def read_payload(home: Path, file: str, offset: int, limit: int) -> bytes:
    """The payload of the record at ``offset`` of ``file`` (relative to ``home``), verified by its digest.

    Raises PayloadTooLarge for a payload over ``limit`` bytes, no more of which is inflated, and RecordCorrupt
    for anything but a whole response or resource record.
    """
    try:
        with (home / file).open("rb", buffering=0) as stream:
            stream.seek(offset)
            member, whole = _inflate(stream, limit + _HEADERS_ROOM)
        block = io.BytesIO(member)
        record = _LOADER.parse_record_stream(block, known_format="warc")
    except (FileNotFoundError, EOFError, zlib.error, ArchiveLoadFailed, AttributeError) as error:
        # AttributeError: warcio, of a record without a URL
        raise RecordCorrupt(file, offset, str(error)) from error
    if record.rec_type not in ("response", "resource"):
        raise RecordCorrupt(file, offset, f"a {record.rec_type} record, which holds no payload")
    size = (record.payload_length if record.http_headers else record.length) or 0
    if size > limit:
        raise PayloadTooLarge(file, offset, size, limit)
    payload: bytes = record.raw_stream.read()
    if not whole or len(payload) != size:
        raise RecordCorrupt(file, offset, f"{len(payload)} bytes and not the {size} that its header tells")
    header = "WARC-Payload-Digest" if record.rec_type == "response" else "WARC-Block-Digest"
    expected, found = record.rec_headers.get_header(header), f"sha256:{hashlib.sha256(payload).hexdigest()}"
    if found != expected:
        raise RecordCorrupt(file, offset, f"bytes with the digest {found}, not {expected}")
    return payload


def in_header(value: str) -> str:
    """The text as it stands in an HTTP head, which is ASCII."""
    return quote(value, safe=_PRINTABLE)


def record_type(url: str, status: int | None) -> str:
    """``response`` where an HTTP exchange is known, else ``resource``.

    A status beside a URL of another scheme is in a header field of our own: readers expect no HTTP there.
    """
    return "response" if status is not None and url.startswith(("http:", "https:")) else "resource"


class WarcFile:
    """A WARC file being written: a warcinfo record, then captures. Its renaming is the caller's to do."""

    def __init__(self, path: Path, filename: str) -> None:
        self._file = path.open("xb")
        self._end = 0
        info = {
            "software": f"{SOFTWARE}{version('cptflow')}",
            "format": "WARC File Format 1.1",
            "conformsTo": "http://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/",
        }
        block = _lines(info)
        headers = {
            "WARC-Type": "warcinfo",
            "WARC-Record-ID": f"<urn:uuid:{uuid.uuid4()}>",
            "WARC-Filename": filename,
            "WARC-Date": _warc_date(datetime.now(UTC)),
            "WARC-Block-Digest": _digest([block]),
            "Content-Type": "application/warc-fields",
        }
        # Stored, not deflated: its length, and so every offset, hangs on neither clock nor random id.
        self._write(headers, len(block), [block], level=0)

    def append(self, capture: Capture, payload: IO[bytes], original: datetime | None = None) -> Capture:
        """Write one capture, and return it with its offset and length.

        ``payload`` is seekable and holds the payload alone. For a revisit ``original`` is the date of the
        capture of this URL that holds the bytes, and ``payload`` is not read.
        """
        offset = self._end
        http = _http_head(capture)
        if original is not None:
            self._write(_revisit_headers(capture, http, original), len(http), [http])
        else:
            headers = _capture_headers(capture, http, payload)
            self._write(headers, len(http) + capture.payload_bytes, _block(http, payload))
        return capture._replace(offset=offset, length=self._end - offset)

    def flush(self) -> None:
        """Hand over to the system what was appended: it is there then, even if this process is killed."""
        self._file.flush()

    def close(self) -> None:
        """Close the file; it is on the disk then."""
        if not self._file.closed:
            self.flush()
            os.fsync(self._file.fileno())
            self._file.close()

    def _write(self, headers: dict[str, str], size: int, block: Iterable[bytes], level: int = GZIP_LEVEL) -> None:
        """One record, which is one gzip member. ``size``: bytes of its ``block``."""
        headers["Content-Length"] = str(size)
        head = b"WARC/1.1\r\n" + _lines(headers) + b"\r\n"
        parts = chain([head], block, [b"\r\n\r\n"])
        if len(head) + size <= _SMALL_BYTES:
            deflate = zlib.compressobj(level, wbits=_SMALL_GZIP, memLevel=_SMALL_MEMORY)
            self._end += self._file.write(deflate.compress(b"".join(parts)) + deflate.flush())
            return
        deflate = zlib.compressobj(level, wbits=_GZIP)
        for part in parts:
            self._end += self._file.write(deflate.compress(part))
        self._end += self._file.write(deflate.flush())


def _inflate(stream: IO[bytes], limit: int) -> tuple[bytes, bool]:
    """At most ``limit`` bytes of the gzip member that begins here, and whether that is all of it.

    The member's own checksum is verified where it is whole. Raises EOFError where the file ends inside it.
    """
    inflater = zlib.decompressobj(wbits=_GZIP)
    parts: list[bytes] = []
    while not inflater.eof and limit > 0:
        data = inflater.unconsumed_tail or stream.read(CHUNK)
        if not data:
            raise EOFError("the file ends before the record does")
        parts.append(inflater.decompress(data, limit))
        limit -= len(parts[-1])
    return b"".join(parts), inflater.eof


def _capture_headers(capture: Capture, http: bytes, payload: IO[bytes]) -> dict[str, str]:
    headers = _headers(capture, http)
    if http:
        block_digest = _digest(_block(http, payload))
        headers |= {"WARC-Payload-Digest": capture.digest, "WARC-Block-Digest": block_digest, "Content-Type": _HTTP}
    else:
        headers |= {"WARC-Block-Digest": capture.digest, "Content-Type": capture.media_type}
    return headers


def _revisit_headers(capture: Capture, http: bytes, original: datetime) -> dict[str, str]:
    told_so = capture.status == HTTPStatus.NOT_MODIFIED
    return _headers(capture, http) | {
        "WARC-Block-Digest": _digest([http]),
        "WARC-Profile": _REVISIT + ("server-not-modified" if told_so else "identical-payload-digest"),
        "WARC-Refers-To-Target-URI": capture.url,
        "WARC-Refers-To-Date": _warc_date(original),
        "WARC-Payload-Digest": capture.digest,
        "Content-Type": _HTTP if http else capture.media_type,
    }


def _headers(capture: Capture, http: bytes) -> dict[str, str]:
    """What all records carry, with or without an HTTP head. The id is made from the capture: the same capture gives the
    same bytes."""
    date = _warc_date(capture.fetched_at)
    name = f"{capture.record_type} {capture.status} {date} {capture.digest} {capture.url}"
    headers = {
        "WARC-Date": date,
        "WARC-Record-ID": _record_id(name),
        "WARC-Type": capture.record_type,
        "WARC-Target-URI": capture.url,
    }
    if capture.requested_url:
        headers[REQUESTED_URI] = capture.requested_url
    if not http:
        told = {STATUS: str(capture.status or ""), ETAG: capture.etag, LAST_MODIFIED: capture.last_modified}
        headers |= {name: in_header(value) for name, value in told.items() if value}
    return headers


def _record_id(name: str) -> str:
    """``uuid.uuid5(uuid.NAMESPACE_URL, name)`` as a URN, in a quarter of its time."""
    digest = bytearray(hashlib.sha1(uuid.NAMESPACE_URL.bytes + name.encode(), usedforsecurity=False).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    text = digest.hex()
    return f"<urn:uuid:{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}>"


def _http_head(capture: Capture) -> bytes:
    """Status line and headers; nothing where no HTTP exchange is known."""
    if record_type(capture.url, capture.status) != "response":
        return b""
    headers = {"Content-Type": capture.media_type, "Content-Length": str(capture.payload_bytes)}
    if capture.etag:
        headers["ETag"] = in_header(capture.etag)
    if capture.last_modified:
        headers["Last-Modified"] = in_header(capture.last_modified)
    return f"HTTP/1.1 {capture.status} {_PHRASES.get(capture.status, '')}\r\n".encode() + _lines(headers) + b"\r\n"


def _lines(headers: dict[str, str]) -> bytes:
    return "".join([f"{name}: {value}\r\n" for name, value in headers.items()]).encode()


def _block(head: bytes, payload: IO[bytes]) -> Iterator[bytes]:
    yield head
    payload.seek(0)
    while chunk := payload.read(CHUNK):
        yield chunk


def _digest(block: Iterable[bytes]) -> str:
    digester = hashlib.sha256()
    for part in block:
        digester.update(part)
    return f"sha256:{digester.hexdigest()}"


def _warc_date(moment: datetime) -> str:
    in_utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return in_utc.isoformat().removesuffix("+00:00") + "Z"
