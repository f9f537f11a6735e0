"""Pages of anybody's WARC files: responses, resources, and revisits of either.

A crawler's archive holds far more than pages. What lands is text for people (`PAGE_TYPES`) from http, https and file
addresses, of any host, since a page may be recognised by its content, and with any status that is no redirect.
"""

from __future__ import annotations

import io
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import cache, partial
from http import HTTPStatus
from typing import IO, BinaryIO, cast
from urllib.parse import urlsplit

from raw import fields
from raw.http_body import Answer, BadBody, decode_body, read_answer, unchunked
from raw.pages import MAX_PAGE_BYTES, Container, Page, Problem, Reference
from raw.warc_digests import is_checked, other_digest, pieces
from raw.warc_records import IN_MEMORY_BYTES, Damage, Record, records

PAGE_TYPES = ("text/html", "application/xhtml+xml", "text/plain", "text/markdown")
_REDIRECTS = (301, 302, 303, 307, 308)
_GONE = (404, 410)
_SCHEMES = ("http", "https", "file")
# Ex: <!DOCTYPE html>
_HTML = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<!--.{0,200}?-->\s*)?<(?:!doctype\s+html|html|head|body)\b", re.I | re.S)
# Ex: https://example.com/logo.png
_OTHER_TYPES = re.compile(
    r"/[^/]+\.(?:png|jpe?g|gif|svg|webp|avif|ico|bmp|css|m?js|json|xml|pdf|woff2?|ttf|otf|eot|mp[34]|webm|zip|gz)$",
    re.I,
)
# Ours. Ex: sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
_OUR_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


_Captures = Callable[[], dict[str, Reference]]


class _Bad(Exception):
    """The record is about a page, and cannot be landed."""


def read_warc(container: Container) -> Iterator[Page | Problem]:
    """The container's pages, in their order; what is broken between them is told with its offset. Raises OSError."""
    found, extracts = False, False
    here = cache(partial(_captures, container))
    for record in _records(container):
        found = True
        if isinstance(record, Damage):
            yield container.problem(record.offset, f"at {record.place}", record.message)
            continue
        extracts |= record.headers["warc-type"] == "conversion"
        try:
            yield from _pages(record, container, here)
        except _Bad as bad:
            yield container.problem(record.offset, f"at {record.place}", str(bad))
    if not found:
        yield container.problem(None, "", "holds no WARC record")
    elif extracts:
        message = "has conversion records, which are extracts and were passed over: land the WARC that they came from"
        yield container.problem(None, "", message)


def _records(container: Container) -> Iterator[Record | Damage]:
    with container.open() as stream:
        yield from records(stream, container.name.lower().endswith(".gz"), container.spool, MAX_PAGE_BYTES)


def _pages(record: Record, container: Container, here: _Captures) -> Iterator[Page | Problem]:
    """None or one, and a word of what it lacks. Raises _Bad."""
    kind = record.headers["warc-type"].lower()
    # wget has in a revisit the digest of the payload that its block does not hold.
    ways = [pieces(record.block, 0), *([iter(())] if kind == "revisit" else [])]
    _verify(record.headers.get("warc-block-digest"), "block", ways)
    if kind not in ("response", "resource", "revisit"):
        return
    url = _address(record.headers.get("warc-target-uri", ""))
    if not url:
        raise _Bad("it has no WARC-Target-URI")
    if _is_no_page(url):
        return
    exchange = kind != "resource" and url.lower().startswith("http")
    record.block.seek(0)
    answer = read_answer(record.block) if exchange else None
    if answer and (answer.status in _REDIRECTS or answer.status < HTTPStatus.OK):
        return
    if kind == "revisit":
        yield from _revisit(record, container, url, answer, here)
    elif exchange and answer is None:
        raise _Bad("its HTTP header cannot be read")
    elif answer and answer.status == HTTPStatus.NOT_MODIFIED:
        if not _names_another_type(url):
            yield _page(record, container, url, answer, "", None, Reference(url, None, None))
    elif exchange or kind == "resource":
        yield from _with_bytes(record, container, url, answer)


def _with_bytes(record: Record, container: Container, url: str, answer: Answer | None) -> Iterator[Page | Problem]:
    """A page whose bytes are in the record, if it is one."""
    media_type = _media_type(answer.headers if answer else record.headers)
    if media_type and media_type not in PAGE_TYPES:
        return
    if answer and answer.status == HTTPStatus.PARTIAL_CONTENT:
        raise _Bad("its status is 206: it is a part of a page")
    if "warc-segment-number" in record.headers:
        raise _Bad("it is one part of a page that is spread over several records, which cannot be read here")
    exchange = answer or Answer(0, {}, 0)
    cut = record.headers.get("warc-truncated")
    with tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES, dir=str(container.spool)) as payload:
        spool = cast(IO[bytes], payload)
        try:
            decode_body(record.block, exchange, spool, MAX_PAGE_BYTES)
            undone = [unchunked(record.block, exchange), pieces(spool, 0)]
        except BadBody as bad:
            if not (bad.cut and cut):
                raise _Bad(bad.message) from None
            undone = []
        as_stored = pieces(record.block, exchange.body)
        _verify(record.headers.get("warc-payload-digest"), "payload", [as_stored, *undone])
        if not (media_type or _is_html(spool) or (answer and answer.status in _GONE and not _names_another_type(url))):
            return
        spool.seek(0)
        yield _page(record, container, url, answer, media_type or "text/html", spool, None)
        if cut:
            message = f"was cut by its crawler (WARC-Truncated: {fields.brief(cut)}), and landed as it is"
            yield container.problem(record.offset, f"at {record.place}", message)


def _revisit(record: Record, container: Container, url: str, answer: Answer | None, here: _Captures) -> Iterator[Page]:
    """A page whose bytes are elsewhere: in the home, or earlier in this container."""
    media_type = _media_type(answer.headers) if answer else ""
    if media_type not in ("", *PAGE_TYPES) or (not media_type and _names_another_type(url)):
        return
    headers = record.headers
    digest = headers.get("warc-payload-digest", "")
    ours = digest if _OUR_DIGEST.fullmatch(digest) else None
    unmodified = "server-not-modified" in headers.get("warc-profile", "")
    if original := _address(headers.get("warc-refers-to-target-uri", "")):
        date = headers.get("warc-refers-to-date")
        # Address and moment tell enough; another archive's digest may be of bytes that it keeps packed.
        told = ours if date or not is_checked(digest) else digest
        reference = Reference(original, _date(date, "WARC-Refers-To-Date") if date else None, told)
    elif earlier := here().get(headers.get("warc-refers-to", "")) or here().get(digest):
        reference = earlier
    elif is_checked(digest) or unmodified:  # wget --warc-dedup tells no more than the digest of an earlier file
        reference = Reference(url, None, digest if is_checked(digest) else None)
    else:
        raise _Bad("it is a revisit that does not tell where its bytes are, and no record here has its payload digest")
    if answer is None and unmodified:
        answer = Answer(HTTPStatus.NOT_MODIFIED, {}, 0)
    yield _page(record, container, url, answer, media_type, None, reference)


def _captures(container: Container) -> dict[str, Reference]:
    """The container's captures by record id and by payload digest, for revisits as wget has them: they tell no more."""
    found: dict[str, Reference] = {}
    for record in _records(container):
        if isinstance(record, Record) and record.headers["warc-type"].lower() in ("response", "resource"):
            url = _address(record.headers.get("warc-target-uri", ""))
            try:
                date = fields.fetched_at(record.headers.get("warc-date", ""))
            except ValueError:
                continue
            for name in ("warc-record-id", "warc-payload-digest"):
                found.setdefault(record.headers.get(name, ""), Reference(url, date, None))
    found.pop("", None)
    return found


def _page(
    record: Record,
    container: Container,
    url: str,
    answer: Answer | None,
    media_type: str,
    payload: IO[bytes] | None,
    refers_to: Reference | None,
) -> Page:
    try:
        fields.url(url)
    except ValueError as error:
        raise _Bad(str(error).replace("'url'", "WARC-Target-URI")) from None
    return Page(
        url=url,
        fetched_at=_date(record.headers.get("warc-date", ""), "WARC-Date"),
        status=answer.status if answer else None,
        media_type=media_type,
        open=lambda: cast(BinaryIO, payload or io.BytesIO()),
        file=container.name,
        where=record.offset,
        etag=_told(answer, "etag"),
        last_modified=_told(answer, "last-modified"),
        place=f"at {record.place}",
        refers_to=refers_to,
    )


def _date(value: str, name: str) -> datetime:
    try:
        moment = fields.fetched_at(value)
    except ValueError as error:
        raise _Bad(str(error).replace("'fetched_at'", name)) from None
    assert moment is not None
    return moment


def _verify(told: str | None, name: str, ways: Iterable[Iterator[bytes]]) -> None:
    """Archives do not agree on what a payload is: before or after its codings are undone. Raises _Bad."""
    if found := other_digest(told, ways):
        raise _Bad(f"its {name} digest is {found}, not {fields.brief(told)} as its header tells: it is damaged")


def _is_no_page(url: str) -> bool:
    """What crawlers keep beside pages. Ex: dns:example.com, metadata://gnu.org/software/wget/warc/MANIFEST.txt"""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme.lower() not in _SCHEMES or parts.path == "/robots.txt"


def _names_another_type(url: str) -> bool:
    """Where no type is told, the name speaks. Ex: https://example.com/logo.png?v=2"""
    return _OTHER_TYPES.search(url.partition("?")[0].partition("#")[0]) is not None


def _address(value: str) -> str:
    """Ex: <https://example.com/>, as wget writes it in WARC/1.0"""
    return value[1:-1] if value.startswith("<") and value.endswith(">") else value


def _media_type(headers: dict[str, str]) -> str:
    """Ex: text/html; charset=utf-8"""
    return headers.get("content-type", "").partition(";")[0].partition(",")[0].strip().lower()


def _is_html(payload: IO[bytes]) -> bool:
    payload.seek(0)
    return _HTML.match(payload.read(1024)) is not None


def _told(answer: Answer | None, name: str) -> str | None:
    value = answer.headers.get(name, "") if answer else ""
    return value if value.isascii() and value.isprintable() and 0 < len(value) <= 1000 else None
