"""What a home holds, and how one more capture is put beside it: new bytes, or a revisit of bytes that are held."""

from __future__ import annotations

import hashlib
import io
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from itertools import chain
from pathlib import Path
from typing import IO, NamedTuple, Protocol

import pyarrow as pa

from raw.ahead import Measured
from raw.captures import Capture, read_captures
from raw.pages import Page, from_microseconds, microseconds
from raw.warc import record_type

# Pages up to this size are hashed and written from memory, larger ones from a temporary file in the home.
IN_MEMORY_BYTES = 1 << 20


class Unreadable(Exception):
    """The page cannot be landed: its own fault, where an OSError in writing is the home's."""


class Writer(Protocol):
    """Where captures go. ``spool``: a folder of the home for temporary files."""

    run_id: str
    spool: Path

    def write(self, capture: Capture, payload: IO[bytes], original: datetime | None) -> None:
        """Keep the capture. For a revisit, ``original`` is the date of the one that holds the bytes."""


class Answer(NamedTuple):
    """The latest bytes that a server gave for an address. ``date``: microseconds since 1970."""

    date: int
    digest: str
    payload_bytes: int
    media_type: str


@dataclass(slots=True)
class Held:
    """What the home holds: all captures, and by (url, digest) the date of the one that holds the bytes.

    Dates are microseconds since 1970: a million of them as objects take seconds to make.
    """

    captures: set[tuple[str, str, int, int | None]] = field(default_factory=set)
    originals: dict[tuple[str, str], int] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    """by url, the latest capture with a status of 2xx or none"""


def read_held(home: Path) -> Held:
    """What the capture index of ``home`` tells. Raises IndexUnreadable."""
    columns = ("url", "digest", "status", "record_type", "payload_bytes", "media_type")
    table = read_captures(home, (*columns, "fetched_at"))
    urls, digests, statuses, kinds, sizes, media_types = (table[name].to_pylist() for name in columns)
    dates = table["fetched_at"].cast(pa.int64()).to_pylist()
    held = Held(captures=set(zip(urls, digests, dates, statuses, strict=True)))
    for url, digest, date, status, kind, size, media_type in zip(
        urls, digests, dates, statuses, kinds, sizes, media_types, strict=True
    ):
        if kind != "revisit":
            held.originals.setdefault((url, digest), date)
        _note_answer(held, url, status, Answer(date, digest, size, media_type))
    return held


def land_page(
    writer: Writer, held: Held, page: Page, source_of: Callable[[str], str], measured: Measured | None = None
) -> Capture | None:
    """Write the page; returns its capture, None where just this capture is held already. Raises Unreadable.

    ``measured``: of the page's bytes, where they were hashed ahead; they are read once more where they are to be kept.
    """
    if page.status == HTTPStatus.NOT_MODIFIED or page.confirms is not None:
        return _land_confirmation(writer, held, page, source_of)
    if measured and (page.url, measured.digest) in held.originals:
        answer = Answer(microseconds(page.fetched_at), *measured, page.media_type)
        return _write(writer, held, page, answer, io.BytesIO(), source_of(page.url))
    with _payload_of(page, writer.spool) as payload:
        digest, size = _measured(payload)
        answer = Answer(microseconds(page.fetched_at), digest, size, page.media_type)
        return _write(writer, held, page, answer, payload, source_of(page.url))


def _land_confirmation(writer: Writer, held: Held, page: Page, source_of: Callable[[str], str]) -> Capture | None:
    """304: a crawler asked whether its latest bytes are still the ones. Or the page tells which it confirms."""
    latest = held.answers.get(page.url)
    if page.confirms is not None:
        confirmed = Answer(microseconds(page.fetched_at), *page.confirms)
    elif latest is not None:
        confirmed = latest._replace(date=microseconds(page.fetched_at))
    else:
        raise Unreadable("its status is 304 Not Modified, and no page of this address is held that it could confirm")
    return _write(writer, held, page, confirmed, io.BytesIO(), source_of(page.url))


def _write(writer: Writer, held: Held, page: Page, answer: Answer, payload: IO[bytes], source: str) -> Capture | None:
    key = (page.url, answer.digest)
    if (*key, answer.date, page.status) in held.captures:
        return None
    original = held.originals.get(key)
    capture = Capture(
        run_id=writer.run_id,
        url=page.url,
        source=source,
        fetched_at=page.fetched_at,
        status=page.status,
        media_type=answer.media_type,
        digest=answer.digest,
        payload_bytes=answer.payload_bytes,
        record_type="revisit" if original is not None else record_type(page.url, page.status),
        requested_url=page.requested_url,
        etag=page.etag,
        last_modified=page.last_modified,
    )
    writer.write(capture, payload, None if original is None else from_microseconds(original))
    held.captures.add((*key, answer.date, page.status))
    held.originals.setdefault(key, answer.date)
    _note_answer(held, page.url, page.status, answer)
    return capture


def _note_answer(held: Held, url: str, status: int | None, answer: Answer) -> None:
    if (status is None or 200 <= status < 300) and answer > held.answers.get(url, ()):
        held.answers[url] = answer


def _payload_of(page: Page, spool: Path) -> IO[bytes]:
    """A copy of the page's bytes: what is hashed is what is written then, even if the page changes meanwhile."""
    start, size = [], 0
    chunks = _chunks(page)
    for chunk in chunks:
        start.append(chunk)
        if (size := size + len(chunk)) >= IN_MEMORY_BYTES:
            break
    else:
        return io.BytesIO(b"".join(start))
    payload: IO[bytes] = tempfile.TemporaryFile(dir=spool)  # noqa: SIM115 - the caller's to close
    try:
        payload.writelines(chain(start, chunks))
    except BaseException:
        payload.close()
        raise
    return payload


def _chunks(page: Page) -> Iterator[bytes]:
    try:
        with page.open() as source:
            while chunk := source.read(IN_MEMORY_BYTES):
                yield chunk
    except OSError as error:
        raise Unreadable(error.strerror or str(error)) from error


def digest_of(page: Page) -> str:
    """The digest of the page's bytes, which are kept nowhere. Raises Unreadable."""
    digester = hashlib.sha256()
    for chunk in _chunks(page):
        digester.update(chunk)
    return f"sha256:{digester.hexdigest()}"


def _measured(payload: IO[bytes]) -> tuple[str, int]:
    """Digest and size."""
    digester = hashlib.sha256()
    payload.seek(0)
    while chunk := payload.read(IN_MEMORY_BYTES):
        digester.update(chunk)
    return f"sha256:{digester.hexdigest()}", payload.tell()
