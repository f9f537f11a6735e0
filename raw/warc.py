"""Writing and reading WARC/1.1 through warcio: a gzip member for each record, so that any is read alone.

Digests are ``sha256:<hex>``, as in the capture index; ``warcio check`` and FastWARC verify this algorithm and
encoding. A ``resource`` record carries a block digest only: its block is its payload, and FastWARC fails a
payload digest on a record without HTTP headers.
"""

from __future__ import annotations

import hashlib
import io
import os
import uuid
import zlib
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path
from typing import IO

from warcio.exceptions import ArchiveLoadFailed
from warcio.recordloader import ArcWarcRecord, ArcWarcRecordLoader
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from raw.captures import Capture
from raw.errors import PayloadTooLarge, RecordCorrupt

# zlib's default. A 45 KB page takes 0.6 ms at level 1; 1.0 ms and 7 % less room at 6; 1.2 ms and another
# 0.3 % at 9, which is warcio's. Pages are written once and kept for ever.
GZIP_LEVEL = 6
CHUNK = 1 << 16
_HEADERS_ROOM = 1 << 16
_GZIP = 16 + zlib.MAX_WBITS
_NOT_MODIFIED = "http://netpreserve.org/warc/1.1/revisit/server-not-modified"
_SOFTWARE = f"cptflow/{version('cptflow')}"
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


def record_type(url: str, status: int | None) -> str:
    """``response`` where an HTTP exchange is known, else ``resource``.

    A status beside a URL of another scheme stays in the capture index alone: readers expect no HTTP there.
    """
    return "response" if status is not None and url.startswith(("http:", "https:")) else "resource"


class WarcFile:
    """A WARC file being written: a warcinfo record, then captures. Its renaming is the caller's to do."""

    def __init__(self, path: Path, filename: str) -> None:
        self._file = path.open("xb")
        self._member = _GzipMember(self._file)
        self._writer = _Writer(self._member, gzip=False, warc_version=_Writer.WARC_1_1)
        info = {
            "software": _SOFTWARE,
            "format": "WARC File Format 1.1",
            "conformsTo": "http://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/",
        }
        # Stored, not deflated: its length, and so every offset, hangs on neither clock nor random id.
        self._member.level = 0
        self._writer.write_record(self._writer.create_warcinfo_record(filename, info))
        self._member.level = GZIP_LEVEL

    def append(self, capture: Capture, payload: IO[bytes], original: datetime | None = None) -> Capture:
        """Write one capture, and return it with its offset and length.

        ``payload`` is seekable and holds the payload alone. For a revisit ``original`` is the date of the
        capture of this URL that holds the bytes, and ``payload`` is not read.
        """
        offset = self._file.tell()
        http = _http_headers(capture)
        if original is not None:
            record = self._revisit(capture, http, original)
        else:
            record = self._capture(capture, http, payload)
        self._writer.write_record(record)
        return replace(capture, offset=offset, length=self._file.tell() - offset)

    def close(self) -> None:
        """Close the file; it is on the disk then."""
        if not self._file.closed:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()

    def _capture(self, capture: Capture, http: StatusAndHeaders | None, payload: IO[bytes]) -> ArcWarcRecord:
        headers = _headers(capture)
        if http:
            headers["WARC-Payload-Digest"] = capture.digest
            headers["WARC-Block-Digest"] = _digest(http.to_ascii_bytes(), payload)
        else:
            headers["WARC-Block-Digest"] = capture.digest
            headers["Content-Type"] = capture.media_type
        payload.seek(0)
        return self._writer.create_warc_record(
            capture.url,
            capture.record_type,
            payload=payload,
            length=capture.payload_bytes,
            warc_headers_dict=headers,
            http_headers=http,
        )

    def _revisit(self, capture: Capture, http: StatusAndHeaders | None, original: datetime) -> ArcWarcRecord:
        headers = _headers(capture)
        headers["WARC-Block-Digest"] = _digest(http.to_ascii_bytes() if http else b"", io.BytesIO())
        if not http:
            headers["Content-Type"] = capture.media_type
        record = self._writer.create_revisit_record(
            capture.url, capture.digest, capture.url, _warc_date(original), http, headers
        )
        if capture.status == HTTPStatus.NOT_MODIFIED:
            record.rec_headers.replace_header("WARC-Profile", _NOT_MODIFIED)
        return record


class _Writer(WARCWriter):  # type: ignore[misc]
    NO_PAYLOAD_DIGEST_TYPES = ("warcinfo", "revisit", "resource")


class _GzipMember:
    """The stream that warcio writes a record to, and flushes once: each record becomes one gzip member."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._deflate, self.level = file, zlib.compressobj(0), GZIP_LEVEL
        self._open = False

    def write(self, data: bytes) -> None:
        if not self._open:
            self._deflate, self._open = zlib.compressobj(self.level, wbits=_GZIP), True
        self._file.write(self._deflate.compress(data))

    def flush(self) -> None:
        self._file.write(self._deflate.flush())
        self._open = False


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


def _headers(capture: Capture) -> dict[str, str]:
    """What all records carry. The id is made from the capture: the same capture gives the same bytes."""
    date = _warc_date(capture.fetched_at)
    name = f"{capture.record_type} {capture.status} {date} {capture.digest} {capture.url}"
    return {"WARC-Date": date, "WARC-Record-ID": f"<urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, name)}>"}


def _http_headers(capture: Capture) -> StatusAndHeaders | None:
    if record_type(capture.url, capture.status) != "response":
        return None
    status_line = f"{capture.status} {_PHRASES.get(capture.status, '')}"
    headers = [("Content-Type", capture.media_type), ("Content-Length", str(capture.payload_bytes))]
    told = (("ETag", capture.etag), ("Last-Modified", capture.last_modified))
    headers += [(name, value) for name, value in told if value]
    return StatusAndHeaders(status_line, headers, protocol="HTTP/1.1")


def _digest(head: bytes, stream: IO[bytes]) -> str:
    digester = hashlib.sha256(head)
    stream.seek(0)
    while chunk := stream.read(CHUNK):
        digester.update(chunk)
    return f"sha256:{digester.hexdigest()}"


def _warc_date(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
