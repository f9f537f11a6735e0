"""What a source is: a name, hosts, the marks of its pages, and how to read one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache

from parsers.page import Reading
from parsers.records import Outcome


class NotContent(Exception):
    """The page stands in place of the content. ``outcome``: what it is instead."""

    def __init__(self, outcome: Outcome, reason: str) -> None:
        self.outcome, self.reason = outcome, reason
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Coverage:
    """Which tables a page showed whole, and what it lacks: no reasons means that nothing required is missing.

    ``cut``: the page was cut off.
    """

    tables: tuple[str, ...]
    reasons: tuple[str, ...] = ()
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """A site and its parser. Raise ``version`` whenever ``read`` may make another record of the same page.

    ``marks`` are patterns for the beginning of a folded block or cell (``words.fold``): a page that shows
    ``enough_marks`` different ones is of this source, whatever its host. ``elsewhere``: marks that together show
    another layout of the same hosts, which nobody reads yet. ``never_empty``: tables that no whole page leaves without
    a row, so that an empty shell of a page is not taken for news.

    For the crawler: ``address``, where the page of a code is, with ``{code}`` in the code's place (Ex:
    "https://case2code.codingahead.com/cpt/codes/{code}"); None where an address cannot be made from a code alone.
    ``pages``, a regular expression that the whole path of a page's address matches (Ex: r"/billing-codes/[^/]+"), by
    which pages are told from the other addresses of a sitemap.
    """

    name: str
    version: int
    hosts: tuple[str, ...]
    marks: tuple[str, ...]
    read: Callable[[Reading], Coverage]
    enough_marks: int = 2
    elsewhere: tuple[str, ...] = ()
    never_empty: tuple[str, ...] = ()
    address: str | None = None
    pages: str = ""

    def marks_on(self, texts: Iterable[str]) -> int:
        """How many different marks of this source begin one of the folded ``texts``."""
        return _different(self.marks, texts)

    def is_elsewhere(self, texts: Iterable[str]) -> bool:
        return bool(self.elsewhere) and _different(self.elsewhere, texts) == len(self.elsewhere)


def _different(marks: tuple[str, ...], texts: Iterable[str]) -> int:
    return len({match.lastindex for match in map(_any_of(marks).match, texts) if match})


@cache
def _any_of(marks: tuple[str, ...]) -> re.Pattern[str]:
    # A mark holds no groups of its own: `lastindex` tells which one matched.
    return re.compile("|".join(f"({mark})" for mark in marks))
