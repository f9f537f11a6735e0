"""Which source's parser reads a page, and which pages none reads."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import urlsplit

from parsers.page import Page
from parsers.registry import registered
from parsers.source import NotContent, Source
from parsers.walls import blocked_by, gated_by
from parsers.words import fold

_MARK_CHARACTERS = 200  # of a block or cell: marks stand at its beginning


def recognise(page: Page) -> Source:
    """The source whose parser reads ``page``. Raises `NotContent` where none does: blocked, gated, layout_changed or
    unrecognised, with the reason."""
    known = registered()
    by_host = known.by_host.get(host_of(page.url))
    texts = [fold(part[:_MARK_CHARACTERS]) for block in page.blocks for part in block.parts]
    shown = {source.name: source.marks_on(texts) for source in known.sources}
    if by_host and shown[by_host.name] >= by_host.enough_marks:
        return by_host
    best = max(known.sources, key=lambda source: shown[source.name])
    if not by_host and shown[best.name] >= best.enough_marks:
        if sum(shown[source.name] == shown[best.name] for source in known.sources) > 1:
            raise NotContent("unrecognised", "the page shows the marks of more than one source")
        return best
    _refuse(page, texts, by_host, shown[by_host.name] if by_host else 0)
    assert by_host is not None
    return by_host


def _refuse(page: Page, texts: Sequence[str], source: Source | None, marks: int) -> None:
    """Raise for a page that shows too few marks; a known host that shows one mark is read for what it has."""
    if blocked := blocked_by(page):
        raise NotContent("blocked", f"a bot check or error page in place of the content: {blocked!r}")
    if gate := gated_by(page):
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


def host_of(url: str) -> str:
    """The host of a web address in lower case, without its port; "" for others."""
    scheme, between, rest = url.partition("://")
    return _host(scheme + between + rest.partition("/")[0])


@lru_cache(maxsize=1024)
def _host(origin: str) -> str:
    """``origin``: an address up to its path, which is the same for all pages of a site."""
    try:
        return (urlsplit(origin).hostname or "").rstrip(".")
    except ValueError:
        return ""


def source_of(url: str) -> str:
    """The source's name by the address alone: by host, ``local`` for files, ``other`` for hosts that nobody knows."""
    if url.startswith("file:"):
        return "local"
    source = registered().by_host.get(host_of(url))
    return source.name if source else "other"
