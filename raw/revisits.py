"""Where the bytes of a revisit are: in the home, or in what the run has landed so far."""

from __future__ import annotations

import hashlib
import io
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property, partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pyarrow as pa

from raw.captures import Capture, read_captures
from raw.errors import PayloadTooLarge, RecordCorrupt
from raw.held import Unreadable, digest_of
from raw.pages import MAX_PAGE_BYTES, Bytes, Page, Reference
from raw.warc import read_payload
from raw.warc_digests import other_digest

_COLUMNS = [
    *("url", "fetched_at", "status", "digest", "payload_bytes", "media_type", "record_type"),
    *("file", "offset", "run_id", "source"),
]
_NOTHING = f"sha256:{hashlib.sha256().hexdigest()}"


class Originals:
    """The captures that a revisit may refer to. Nothing is read before the first one comes.

    ``landed``: the captures of this run, which grow. ``read`` gives the payload of one of them. ``fetch``: called with
    a file of the home before it is read.
    """

    def __init__(
        self,
        home: Path,
        landed: Sequence[Capture],
        read: Callable[[Capture], bytes],
        fetch: Callable[[str], None] | None = None,
    ) -> None:
        self._home, self._landed, self._read, self._fetch = home, landed, read, fetch
        self._by_url: dict[str, list[Capture]] = {}
        self._seen = 0
        self._same: dict[tuple[str, str], bool] = {}

    def resolve(self, page: Page, reference: Reference) -> Page:
        """The page with its bytes, or with those that it confirms. Raises Unreadable where they are not held."""
        original = self._find(page, reference)
        if original is None:
            raise Unreadable(_missing(page, reference))
        if original.url == page.url:
            confirmed = Bytes(original.digest, original.payload_bytes, page.media_type or original.media_type)
            return replace(page, confirms=confirmed, refers_to=None)
        return replace(
            page,
            status=original.status if page.status == HTTPStatus.NOT_MODIFIED else page.status,
            media_type=page.media_type or original.media_type,
            open=partial(self._payload, original),
            refers_to=None,
        )

    def confirmed(self, page: Page) -> Page:
        """The page, whose status is 304 Not Modified, with the bytes that its address had last before.

        Raises Unreadable where none are held, and where the page comes with other bytes: a 304 has none.
        """
        reference = Reference(page.url, None, None)
        original = self._find(page, reference)
        if original is None:
            raise Unreadable(
                "its status is 304 Not Modified, and no page of this address is held from before that it could confirm"
            )
        # A manifest's line names the file of the page that stayed the same.
        if digest_of(page) not in (_NOTHING, original.digest):
            raise Unreadable(
                "its status is 304 Not Modified, which comes without a page, and it has one that is not the one held "
                f"from {original.fetched_at.isoformat()}: land it with the status that it came with"
            )
        return self.resolve(replace(page, media_type=""), reference)

    def _find(self, page: Page, reference: Reference) -> Capture | None:
        url, moment, digest = reference
        captures = self._captures(url)
        if moment is not None:
            then = [c for c in captures if c.fetched_at == moment]
            if digest is None:
                return then[-1] if then else None
            captures = [*then, *(c for c in captures if c.fetched_at != moment)]
        if digest is not None:
            return next((c for c in captures if self._has(c, digest)), None)
        before = [c for c in captures if c.fetched_at <= page.fetched_at and _has_page(c.status)]
        return max(before, key=lambda c: c.fetched_at, default=None)

    def _has(self, capture: Capture, digest: str) -> bool:
        """Whether its bytes have the digest: ours, or another archive's, which takes reading them."""
        if digest.startswith("sha256:") and capture.digest.lower() == digest.lower():
            return True
        key = capture.digest, digest
        if key not in self._same:
            try:
                payload = self._payload(capture).getvalue()
            except OSError:
                return False  # what cannot be read is no original
            self._same[key] = other_digest(digest, [iter([payload])]) is None
        return self._same[key]

    def _captures(self, url: str) -> list[Capture]:
        for capture in self._landed[self._seen :]:
            self._by_url.setdefault(capture.url, []).append(capture)
        self._seen = len(self._landed)
        urls = self._held.column("url")
        first = bisect_left(urls, url, key=lambda value: value.as_py())
        end = first
        while end < len(urls) and urls[end].as_py() == url:
            end += 1
        rows: list[dict[str, Any]] = self._held.slice(first, end - first).to_pylist()
        return [Capture(**row) for row in rows] + self._by_url.get(url, [])

    @cached_property
    def _held(self) -> pa.Table:
        return read_captures(self._home, _COLUMNS).sort_by("url").combine_chunks()

    def _payload(self, original: Capture) -> io.BytesIO:
        """Raises OSError, as the bytes of any page do."""
        same = [c for c in self._captures(original.url) if c.digest == original.digest and c.record_type != "revisit"]
        if not same:
            raise OSError("the capture index names no record that holds the bytes that it refers to")
        holder = same[0]
        try:
            if any(holder is capture for capture in self._by_url.get(original.url, [])):
                return io.BytesIO(self._read(holder))
            if self._fetch:
                self._fetch(holder.file)
            return io.BytesIO(read_payload(self._home, holder.file, holder.offset, MAX_PAGE_BYTES))
        except (RecordCorrupt, PayloadTooLarge) as error:
            raise OSError(str(error)) from error


def _has_page(status: int | None) -> bool:
    return status is None or status < HTTPStatus.MULTIPLE_CHOICES or status == HTTPStatus.NOT_MODIFIED


def _missing(page: Page, reference: Reference) -> str:
    url, moment, digest = reference
    told = ["" if url == page.url else f" of {url}", f" of {moment.isoformat()}" if moment else ""]
    told.append(f" with the digest {digest}" if digest and not moment else "")
    return (
        f"it is a revisit: its bytes are those of a capture{''.join(told)}, and none such is held. Land the file that "
        "holds it first, then this one again"
    )
