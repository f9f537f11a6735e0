"""Reading sitemaps, as https://www.sitemaps.org/protocol.html has them."""

from __future__ import annotations

import io
from typing import NamedTuple

from lxml import etree

from raw.crawl.body import decode

MAX_BYTES = 50 << 20  # the protocol's own limit, as sent and as decompressed
_GZIP = b"\x1f\x8b"


class Sitemap(NamedTuple):
    """``pages``: addresses of pages; ``sitemaps``: of more sitemaps, where this is an index of them."""

    pages: list[str]
    sitemaps: list[str]


class NotASitemap(Exception):
    """It cannot be read to its end: what it lists further on is not known."""


def read_sitemap(body: bytes) -> Sitemap:
    """Raises NotASitemap; and CannotDecode for a .gz that is cut, or too large."""
    if body.startswith(_GZIP):
        body = decode(body, "gzip", MAX_BYTES)
    found = Sitemap([], [])
    try:
        for _, element in etree.iterparse(
            io.BytesIO(body), events=("end",), resolve_entities=False, no_network=True, load_dtd=False
        ):
            _collect(element, found)
    except etree.XMLSyntaxError as error:
        raise NotASitemap(f"it is no well-formed XML: {error}") from error
    return found


def _collect(element: etree._Element, found: Sitemap) -> None:
    name = etree.QName(element).localname if isinstance(element.tag, str) else ""
    if name not in ("url", "sitemap"):
        return
    for child in element:
        # Ex: ``<url><loc>https://example.org/a</loc></url>``; an image's ``<image:loc>`` is deeper
        if isinstance(child.tag, str) and etree.QName(child).localname == "loc" and child.text:
            (found.pages if name == "url" else found.sitemaps).append(child.text.strip())
    element.clear()
    while (before := element.getprevious()) is not None and (parent := element.getparent()) is not None:
        parent.remove(before)
