"""Which source's parser reads a page, and the pages that stand in place of content."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from parsers import codingahead, openpayer
from parsers.page import Page
from parsers.source import NotContent, Source
from parsers.words import fold

SOURCES: tuple[Source, ...] = (codingahead.SOURCE, openpayer.SOURCE)
_BY_HOST = {host: source for source in SOURCES for host in source.hosts}

_MARK_CHARACTERS = 200  # of a block or cell: marks stand at its beginning
_LINE_CHARACTERS = 300  # at most: what a wall says, it says in one line


def _any_of(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns))


# Beginnings of lines and titles of pages that a server, a proxy or a bot check puts in place of the content.
_BLOCKS = _any_of(
    r"just a moment\b",
    r"checking (?:your browser|if the site connection is secure)\b",
    r"verify(?:ing)? (?:that )?you are (?:a )?human\b",
    r"(?:please )?enable (?:javascript|cookies)\b.*(?:continue|cookies)",
    r"attention required\b",
    r"access (?:to this page has been )?denied\b",
    r"you have been blocked\b|sorry, you have been blocked\b",
    r"are you a robot\b|please complete the (?:security check|captcha)\b",
    r"too many requests\b|rate limit exceeded\b",
    r"(?:error )?(?:40[0-9]|429|50[0-9])"
    r"(?:\s*[-:|]?\s*(?:error|forbidden|not found|bad gateway|service|internal|gateway|page)\b|$)",
    r"(?:internal server error|bad gateway|service (?:temporarily )?unavailable|gateway time-?out)\b",
    r"(?:page|404) not found\b",
    r"(?:sorry, )?(?:the|this) page (?:you .{1,40} )?(?:cannot|could not|can't|was not|couldn't) be found\b",
    r"(?:(?:the |this |our )?site(?: is)?|we are) (?:down|under|undergoing) (?:for )?(?:scheduled )?maintenance\b",
)
# Ex: "Log in to continue", "Create a free account to unlock this content", "Subscribe to read more"
_GATES = _any_of(
    r"(?:please )?(?:log|sign) ?in to (?:continue|view|read|access|see|unlock)\b",
    r"create an? (?:free )?account to (?:unlock|view|read|continue|access|see)\b",
    r"register to (?:view|unlock|continue|read|access|see)\b",
    r"subscribe to (?:continue|view|read|access|unlock)\b",
    r"(?:this content is|content) (?:for|reserved for|available to|only for) (?:members|subscribers|registered)\b",
)


def recognise(page: Page) -> Source:
    """The source whose parser reads ``page``. Raises `NotContent` where none does: blocked, gated, layout_changed or
    unrecognised, with the reason."""
    by_host = _BY_HOST.get(host_of(page.url))
    texts = [fold(part[:_MARK_CHARACTERS]) for block in page.blocks for part in block.parts]
    shown = {source.name: source.marks_on(texts) for source in SOURCES}
    if by_host and shown[by_host.name] >= by_host.enough_marks:
        return by_host
    best = max(SOURCES, key=lambda source: shown[source.name])
    if not by_host and shown[best.name] >= best.enough_marks:
        if sum(shown[source.name] == shown[best.name] for source in SOURCES) > 1:
            raise NotContent("unrecognised", "the page shows the marks of more than one source")
        return best
    _refuse(page, texts, by_host, shown[by_host.name] if by_host else 0)
    assert by_host is not None
    return by_host


def _refuse(page: Page, texts: Sequence[str], source: Source | None, marks: int) -> None:
    """Raise for a page that shows too few marks; a known host that shows one mark is read for what it has."""
    if blocked := _first(_BLOCKS, page):
        raise NotContent("blocked", f"a bot check or error page in place of the content: {blocked!r}")
    if gate := _first(_GATES, page):
        raise NotContent("gated", f"a login or pay wall in place of the content: {gate!r}")
    if source is None:
        raise NotContent("unrecognised", "no parser knows this address or this layout")
    if source.is_elsewhere(texts):
        raise NotContent("unrecognised", f"another layout of {source.name}, which no parser reads yet")
    if not page.blocks:
        raise NotContent("blocked", f"an empty page of {source.name}")
    if not marks:
        raise NotContent(
            "layout_changed",
            f"a page of {source.name} with none of the {len(source.marks)} marks that its parser goes by",
        )


def _first(pattern: re.Pattern[str], page: Page) -> str | None:
    """The first title, block or cell that is one line long and begins with ``pattern``, as the page wrote it."""
    texts = [page.title, *(part for block in page.blocks for part in block.parts)]
    return next((text[:100] for text in texts if len(text) <= _LINE_CHARACTERS and pattern.match(fold(text))), None)


def host_of(url: str) -> str:
    """The host of a web address in lower case, without its port; "" for others."""
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""


def source_of(url: str) -> str:
    """The source's name by the address alone: by host, ``local`` for files, ``other`` for hosts that nobody knows."""
    if url.startswith("file:"):
        return "local"
    source = _BY_HOST.get(host_of(url))
    return source.name if source else "other"
