"""One page in, one `ParseResult` out: decode, read blocks, recognise, identify, parse. Pure (law 2)."""

from __future__ import annotations

import re
import traceback
import zlib
from dataclasses import replace
from http import HTTPStatus

from parsers import limits
from parsers.codes import code_in_fragment, code_in_url, identify
from parsers.decode import Undecodable, decode
from parsers.html_blocks import read_html
from parsers.limits import Deadline, LimitExceeded
from parsers.page import Page, Reading
from parsers.recognise import recognise, source_of
from parsers.records import Outcome, ParseResult
from parsers.registry import sources
from parsers.source import Coverage, NotContent, Source
from parsers.text_blocks import read_text
from parsers.words import clean

# The version of the steps before a source's parser: raise it when a page may be recognised or identified otherwise.
_READER_VERSION = 1
NO_PARSER = "none"


def no_parser_version() -> int:
    """The version of ``none``: a new or newer parser may know a page that none knew before, so it follows all of
    theirs. Raises `SourceError`."""
    return zlib.crc32(repr([_READER_VERSION, *((s.name, s.version) for s in sources())]).encode()) & 0x7FFFFFFF


def live() -> tuple[str, ...]:
    """``<parser>@<version>`` of every parser that this code can be, ``none`` among them. Raises `SourceError`."""
    return (*(f"{s.name}@{s.version}" for s in sources()), f"{NO_PARSER}@{no_parser_version()}")


def parse(payload: bytes, url: str) -> ParseResult:
    """What the page is and holds. Depends on ``payload``, ``url`` and the parser versions alone.

    Every failure is an outcome: over a limit or no text is ``rejected``, a parser that raised is ``failed`` (with its
    traceback). Only the time limit may fare better next time (``retry``). Raises `SourceError` alone, for an
    installed package whose source cannot be used: that says nothing of the page.
    """
    sources()
    deadline = Deadline()
    source: Source | None = None
    page: Page | None = None
    try:
        if len(payload) > limits.MAX_BYTES:
            return result_too_large(url, len(payload))
        text = decode(payload)
        page = (read_html if _is_html(text) else read_text)(text, url, deadline)
        deadline.check()
        source = recognise(page)
        return _read(page, source, deadline)
    except NotContent as error:
        return _empty(url, error.outcome, error.reason, source, page)
    except LimitExceeded as error:
        return _empty(url, "rejected", f"over a limit: {error}", source, page, retry=error.retry)
    except Undecodable as error:
        return _empty(url, "rejected", str(error), source, page)
    except Exception as error:
        reason = clean(f"the parser raised {type(error).__name__}: {error}")[:500]
        return _empty(url, "failed", reason, source, page, trace=traceback.format_exc())


def _read(page: Page, source: Source, deadline: Deadline) -> ParseResult:
    identity = identify(page)
    if identity.contradicted_by:
        reason = f"{identity.found_in} says {identity.code}, the page says {', '.join(identity.contradicted_by)}"
        raise NotContent("mismatched", reason)
    if identity.code is None:
        raise NotContent("unidentified", "no code in the address, a sidecar, a heading, the prose or the file name")
    reading = Reading(page, identity.code, deadline)
    coverage = _without_shells(source, reading, source.read(reading))
    settled = reading.settle(coverage.tables)
    return ParseResult(
        url=page.url,
        source=source.name,
        code=identity.code,
        parser=source.name,
        parser_version=source.version,
        outcome="partial" if coverage.reasons else "parsed",
        reason="; ".join(coverage.reasons) or None,
        truncated=coverage.cut,
        covered_tables=tuple(sorted(coverage.tables)),
        blocks=len(page.blocks),
        claimed=settled.claimed,
        set_aside=sum(count for _, count in settled.rules),
        records=settled.records,
        unmapped=settled.unmapped,
        warnings=settled.warnings,
        set_aside_rules=settled.rules,
    )


def _without_shells(source: Source, reading: Reading, coverage: Coverage) -> Coverage:
    """``coverage`` without tables that are empty where no whole page has them so.

    Raises `NotContent` for a shell: the source's marks are there, and none of what they stand for. What such a page
    does not show is no news (law 3).
    """
    empty = [table for table in source.never_empty if table in coverage.tables and not reading.tells(table)]
    tables = tuple(table for table in coverage.tables if table not in empty)
    if not set(tables) & set(source.never_empty):
        if not coverage.cut:
            raise NotContent(
                "layout_changed", f"the marks of {source.name} are there, and nothing of a code under them"
            )
        tables = tuple(table for table in tables if reading.tells(table))
    return replace(coverage, tables=tables, reasons=(*coverage.reasons, *(f"{table} empty" for table in empty)))


def _empty(
    url: str,
    outcome: Outcome,
    reason: str,
    source: Source | None,
    page: Page | None,
    *,
    trace: str | None = None,
    retry: bool = False,
) -> ParseResult:
    """A result without records: the page is set aside whole, by its outcome."""
    blocks = len(page.blocks) if page else 0
    name = source.name if source else source_of(url)
    return ParseResult(
        url=url,
        source=None if name in ("local", "other") else name,
        code=code_in_url(url) or code_in_fragment(url),
        parser=source.name if source else NO_PARSER,
        parser_version=source.version if source else no_parser_version(),
        outcome=outcome,
        reason=reason,
        truncated=bool(page and page.truncated),
        blocks=blocks,
        set_aside=blocks,
        set_aside_rules=((outcome, blocks),) if blocks else (),
        traceback=trace,
        retry=retry,
    )


def result_too_large(url: str, size: int) -> ParseResult:
    """The result of a page of ``size`` bytes that is over the limit, without reading it."""
    reason = f"over a limit: bytes: limit {limits.MAX_BYTES}, found {size}"
    return _empty(url, "rejected", reason, None, None)


def is_answer(status: int | None) -> bool:
    """Whether a fetch with this HTTP status brought the page, or confirmed it (304); None is taken for yes."""
    return status is None or 200 <= status < 300 or status == HTTPStatus.NOT_MODIFIED


def result_for_status(url: str, status: int | None) -> ParseResult | None:
    """The result of a capture whose HTTP status says that its body is not the content; None for an answer."""
    if status is None or is_answer(status):
        return None
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "unknown status"
    outcome: Outcome = "not_found" if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE) else "blocked"
    return _empty(url, outcome, f"HTTP {status} {phrase}", None, None)


_MARKUP = re.compile(r"\s*(?:<!doctype\b|<!--|<\?xml\b|<[a-z][a-z0-9-]*[\s/>])", re.IGNORECASE)
_HTML_ANYWHERE = re.compile(r"<(?:html|body|head)[\s>]", re.IGNORECASE)


def _is_html(text: str) -> bool:
    """Whether the text is markup: it begins with a tag, or declares itself early. A "<" inside prose is no markup."""
    return _MARKUP.match(text.lstrip("\ufeff")) is not None or _HTML_ANYWHERE.search(text[:4096]) is not None
