"""What a crawl of a source is told: the source's definition, and the operator's settings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import parsers
from flows.errors import UsageError
from flows.settings import CONFIG_FILE, CrawlSettings, Settings
from parsers.codes import CODE
from parsers.source import Source
from raw.crawl.definition import Definition

_CODE = re.compile(CODE)


def definition_of(name: str, settings: Settings) -> Definition:
    """What is to be crawled of the source ``name``.

    Raises UsageError where there is no such source, the settings do not name it for crawling or lack a contact, or
    a list cannot be used.
    """
    source = next((source for source in parsers.sources() if source.name == name), None)
    if source is None:
        known = ", ".join(source.name for source in parsers.sources())
        raise UsageError(f"There is no source {name!r}. There are {known}.")
    chosen = settings.sources[name].crawl if name in settings.sources else None
    if chosen is None:
        raise UsageError(
            f"Nothing is fetched from {name} unless you say so. Read the site's terms; then name it in {CONFIG_FILE}: "
            f"a table [sources.{name}.crawl] with one of codes, sitemap and addresses."
        )
    if not settings.contact:
        raise UsageError(
            f"A crawl tells the site whom to write to, and nobody is named. Set contact in {CONFIG_FILE}, or "
            'CPTFLOW_CONTACT. Ex: contact = "data-team@example.org"'
        )
    return Definition(
        source=name,
        hosts=chosen.hosts or source.hosts,
        contact=settings.contact,
        addresses=tuple(_addresses(source, chosen)),
        sitemap=chosen.sitemap,
        pages=source.pages,
        delay=chosen.delay,
        timeout=chosen.timeout,
        max_bytes=chosen.max_bytes,
        max_seconds=chosen.max_seconds,
        allow_addresses=chosen.allow_addresses,
    )


def _addresses(source: Source, chosen: CrawlSettings) -> Iterator[str]:
    if chosen.addresses:
        yield from (line for _, line in _lines(chosen.addresses, "addresses"))
    if not chosen.codes:
        return
    if source.address is None:
        raise UsageError(
            f"An address of {source.name} cannot be made from a code alone. Give it a sitemap or a list of addresses, "
            f"in place of codes, in [sources.{source.name}.crawl]."
        )
    for number, line in _lines(chosen.codes, "codes"):
        if not _CODE.fullmatch(line):
            raise UsageError(
                f"{chosen.codes}, line {number}: {line[:40]!r} is no code: a code has five characters, as 99213, 0748T "
                "or G0008. Nothing was fetched."
            )
        yield source.address.format(code=line)


def _lines(file: Path, what: str) -> Iterator[tuple[int, str]]:
    """Lines with their numbers, but for empty ones and those that begin with #."""
    try:
        text = file.expanduser().read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(f"The list of {what} {file} cannot be read: {reason}. Nothing was fetched.") from None
    for number, line in enumerate(text.splitlines(), 1):
        if (line := line.strip()) and not line.startswith("#"):
            yield number, line
