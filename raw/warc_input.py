"""Pages of anybody's WARC files: responses, resources, and revisits of either.

A crawler's archive holds far more than pages. What lands is text for people (`PAGE_TYPES`) from http, https and file
addresses, of any host, since a page may be recognised by its content, and with any status that is no redirect.

Files of our own hold captures and nothing else: all of them land.
"""

from __future__ import annotations

import io
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from functools import cache, partial
from http import HTTPStatus
from typing import IO, BinaryIO, cast
from urllib.parse import urlsplit

from raw import fields
from raw.http_body import Answer, BadBody, decode_body, read_answer, unchunked
from raw.pages import MAX_PAGE_BYTES, Container, Item, Page, PassedOver, Reference
from raw.warc import REQUESTED_URI, SOFTWARE, STATUS
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
# Ex: software: cptflow/1.2.0
_OUR_SOFTWARE = re.compile(rb"^software: " + re.escape(SOFTWARE.encode()), re.M)
_WARCINFO_BYTES = 1 << 12
_OF_OURS = "warc-x-"
_STATUS = re.compile(r"[0-9]{3}")

_OTHER_TYPE = "another media type"

_Captures = Callable[[], dict[str, Reference]]


class _Bad(Exception):
    """The record is about a page, and cannot be landed."""


def read_warc(container: Container) -> Iterator[Item]:
    """The container's pages, in their order; what is broken between them is told with its offset. Raises OSError."""
    found, said, extracts, ours = False, False, False, False
    passed_over: Counter[str] = Counter()
    here = cache(partial(_captures, container))
    for record in _records(container):
        found = True
        if isinstance(record, Damage):
            said = True
            yield container.problem(record.offset, f"at {record.place}", record.message)
            continue
        extracts |= record.headers["warc-type"] == "conversion"
        if record.headers["warc-type"].lower() == "warcinfo":
            ours = _OUR_SOFTWARE.search(record.block.read(_WARCINFO_BYTES)) is not None
        try:
            own = ours and _OUR_DIGEST.fullmatch(record.headers.get("warc-block-digest", ""))
            for item in _own_pages(record, container) if own else _pages(record, container, here):
                if isinstance(item, PassedOver):
                    passed_over[item.kind] += 1
                else:
                    said = True
                yield item
        except _Bad as bad:
            said = True
            yield container.problem(record.offset, f"at {record.place}", str(bad))
    if not found:
        yield container.problem(None, "", "holds no WARC record")
    elif extracts:
        message = "has conversion records, which are extracts and were passed over: land the WARC that they came from"
        yield container.problem(None, "", message)
    elif not said:
        kinds = ", ".join(f"{kind}: {count:,}" for kind, count in sorted(passed_over.items()))
        message = (
            f"holds no page: {passed_over.total():,} records were passed over ({kinds or 'no answers of servers'})"
        )
        yield container.problem(None, "", message)


def _records(container: Container) -> Iterator[Record | Damage]:
    with container.open() as stream:
        yield from records(stream, container.name.lower().endswith(".gz"), container.spool, MAX_PAGE_BYTES)


def _pages(record: Record, container: Container, here: _Captures) -> Iterator[Item]:
    """None or one, and a word of what it lacks. Raises _Bad."""
    kind = record.headers["warc-type"].lower()
    # wget has in a revisit the digest of the payload that its block does not hold.
    ways = [pieces(record.block, 0), *([iter(())] if kind == "revisit" else [])]
    _verify(record.headers.get("warc-block-digest"), "block", ways)
    if kind in ("conversion", "continuation"):
        yield PassedOver(f"{kind} record")
    if kind not in ("response", "resource", "revisit"):
        return
    url = _address(record.headers.get("warc-target-uri", ""))
    if not url:
        raise _Bad("it has no WARC-Target-URI")
    if _is_no_page(url):
        yield PassedOver("robots.txt, or no address of a page")
        return
    exchange = kind != "resource" and url.lower().startswith("http")
    record.block.seek(0)
    answer = read_answer(record.block) if exchange else None
    if answer and (answer.status in _REDIRECTS or answer.status < HTTPStatus.OK):
        yield PassedOver("redirect")
        return
    if kind == "revisit":
        yield from _revisit(record, container, url, answer, here)
    elif exchange and answer is None:
        raise _Bad("its HTTP header cannot be read")
    elif answer and answer.status == HTTPStatus.NOT_MODIFIED:
        if _names_another_type(url):
            yield PassedOver(_OTHER_TYPE)
        else:
            yield _page(record, container, url, answer, "", None, Reference(url, None, None))
    elif exchange or kind == "resource":
        yield from _with_bytes(record, container, url, answer)


def _own_pages(record: Record, container: Container) -> Iterator[Page]:
    """The capture of a record that we wrote, whatever it is: it had landed before. Raises _Bad."""
    headers, kind = record.headers, record.headers["warc-type"]
    _verify(headers.get("warc-block-digest"), "block", [pieces(record.block, 0)])
    if kind not in ("response", "resource", "revisit"):
        return
    url, status = headers.get("warc-target-uri", ""), headers.get(STATUS.lower(), "")
    record.block.seek(0)
    answer: Answer | None = Answer(
        status=int(status) if _STATUS.fullmatch(status) else 0,
        headers={name.removeprefix(_OF_OURS): value for name, value in headers.items()},
        body=0,
    )
    if kind != "resource" and headers.get("content-type", "").startswith("application/http"):
        answer = read_answer(record.block)
    if not answer:
        raise _Bad("its HTTP header cannot be read")
    payload: IO[bytes] | None = None
    reference = None
    if kind == "revisit":
        digest, date = headers.get("warc-payload-digest", ""), headers.get("warc-refers-to-date", "")
        if not _OUR_DIGEST.fullmatch(digest):
            raise _Bad("it is a revisit that does not tell which bytes it confirms")
        reference = Reference(url, _date(date, "WARC-Refers-To-Date"), digest)
    else:
        payload = record.block
        _verify(headers.get("warc-payload-digest"), "payload", [pieces(payload, answer.body)])
        payload.seek(answer.body)
    page = _page(record, container, url, answer, _media_type(answer.headers), payload, reference)
    try:
        requested = fields.url(headers.get(REQUESTED_URI.lower()), REQUESTED_URI)
    except ValueError as error:
        raise _Bad(str(error)) from None
    yield replace(page, status=answer.status or None, requested_url=requested)


def _with_bytes(record: Record, container: Container, url: str, answer: Answer | None) -> Iterator[Item]:
    """A page whose bytes are in the record, if it is one."""
    media_type = _media_type(answer.headers if answer else record.headers)
    if media_type and media_type not in PAGE_TYPES:
        yield PassedOver(_OTHER_TYPE)
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
            yield PassedOver(_OTHER_TYPE)
            return
        too_short = _too_short(exchange, spool.seek(0, io.SEEK_END))
        spool.seek(0)
        yield _page(record, container, url, answer, media_type or "text/html", spool, None)
        if cut:
            message = f"was cut by its crawler (WARC-Truncated: {fields.brief(cut)}), and landed as it is"
            yield container.problem(record.offset, f"at {record.place}", message)
        elif too_short:
            yield container.problem(record.offset, f"at {record.place}", too_short)


def _too_short(answer: Answer, found: int) -> str | None:
    """Archives undo codings and leave the length of what was coded: longer than that a body may be."""
    told = answer.headers.get("content-length", "")
    coded = answer.headers.keys() & {"transfer-encoding", "content-encoding"}
    if coded or not re.fullmatch("[0-9]{1,15}", told) or found >= int(told):
        return None
    return f"may be cut: its HTTP Content-Length tells {int(told):,} bytes, and {found:,} are there; landed as it is"


def _revisit(record: Record, container: Container, url: str, answer: Answer | None, here: _Captures) -> Iterator[Item]:
    """A page whose bytes are elsewhere: in the home, or earlier in this container."""
    media_type = _media_type(answer.headers) if answer else ""
    if media_type not in ("", *PAGE_TYPES) or (not media_type and _names_another_type(url)):
        yield PassedOver(_OTHER_TYPE)
        return
    headers = record.headers
    digest = headers.get("warc-payload-digest", "")
    ours = digest if _OUR_DIGEST.fullmatch(digest) else None
    unmodified = "server-not-modified" in headers.get("warc-profile", "")
    if original := _address(headers.get("warc-refers-to-target-uri", "")):
        date = headers.get("warc-refers-to-date")
        # Address and moment tell enough; another archive's digest may be of bytes that it keeps packed.
        told = ours if date or not is_checked(digest) else digest
        _checked_url(original, "WARC-Refers-To-Target-URI")
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
    _checked_url(url, "WARC-Target-URI")
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


def _checked_url(url: str, name: str) -> None:
    try:
        fields.url(url, name)
    except ValueError as error:
        raise _Bad(str(error).replace(repr(name), name)) from None


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
