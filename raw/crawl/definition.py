"""What a crawl is told: which pages, of which hosts, how fast and how much."""

from __future__ import annotations

import re
from dataclasses import dataclass

from raw.crawl.errors import BadDefinition
from raw.crawl.guard import Guard, Refused, make_guard

_SOURCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
# Ex: ``data@example.org``, ``https://example.org/crawler``
_CONTACT = re.compile(r"[^\s()<>@]+@[^\s()<>@]+\.[^\s()<>@]+|https?://[^\s()<>]+\.[^\s()<>]+")


@dataclass(frozen=True, slots=True)
class Definition:
    """All that a crawl is told. Times are seconds, sizes bytes."""

    source: str
    """name of the source, and of its folder in raw/warc"""
    hosts: tuple[str, ...]
    """allowed hosts; with a port (``127.0.0.1:8080``) that port alone, without one 80 and 443"""
    contact: str
    """e-mail address or URL of the operator, which the User-Agent tells"""
    addresses: tuple[str, ...] = ()
    """pages to ask for, in order"""
    sitemap: str | None = None
    """a sitemap, a sitemap index (either as .gz too), or a robots.txt that names sitemaps"""
    pages: str = ""
    """regular expression that must match the whole path of a sitemap's address; empty: all are pages"""
    delay: float = 1.0
    """least time from an answer of a host to the next request to it; AutoThrottle and Crawl-delay only lengthen it"""
    timeout: float = 60.0
    """most time for one page, from the connection to its last byte"""
    max_bytes: int = 10 << 20
    """most bytes of one page, as sent and as decompressed"""
    max_seconds: float | None = None
    """most time of a whole crawl: it stops then, and the next one goes on"""
    allow_addresses: tuple[str, ...] = ()
    """networks (``10.1.0.0/16``) among the private ones that may be reached all the same"""


def check(definition: Definition) -> Guard:
    """The guard that the definition asks for. Raises BadDefinition."""

    def bad(field: str, found: str) -> BadDefinition:
        return BadDefinition(definition.source, field, found)

    if not _SOURCE.fullmatch(definition.source):
        raise bad("source", "cannot be a folder's name: use letters, digits, dots, dashes and underscores")
    if not (_CONTACT.fullmatch(definition.contact) and definition.contact.isascii()):
        raise bad("contact", f"is {definition.contact!r}: give an e-mail address or a URL at which you can be reached")
    if not (definition.addresses or definition.sitemap):
        raise bad("addresses", "are none, and it has no sitemap: there is nothing to ask for")
    if not definition.hosts:
        raise bad("hosts", "are none: name those that may be asked")
    for field, least in (("delay", 0), ("timeout", 0.001), ("max_bytes", 1), ("max_seconds", 0)):
        value = getattr(definition, field)
        if value is not None and not least <= value < float("inf"):
            raise bad(field, f"is {value}, and must be {least} or more")
    try:
        re.compile(definition.pages)
    except re.error as error:
        raise bad("pages", f"is {definition.pages!r}, not a regular expression: {error}") from error
    try:
        guard = make_guard(definition.hosts, definition.allow_addresses)
    except ValueError as error:
        raise bad("hosts or allow_addresses", f"cannot be read: {error}") from error
    try:
        if definition.sitemap:
            guard.check(definition.sitemap)
    except Refused as error:
        from raw.addresses import without_secrets  # its drivers take time to import

        address = definition.sitemap or ""
        told = f"is {without_secrets(address, address)!r}, which may not be asked for"
        raise bad("sitemap", f"{told}: {without_secrets(str(error), address)}") from None
    return guard
