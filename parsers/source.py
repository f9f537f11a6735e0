"""What a source is: a name, hosts, the marks of its pages, and how to read one."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from parsers.page import Page, Reading
from parsers.records import Outcome
from parsers.words import fold


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
    another layout of the same hosts, which nobody reads yet.
    """

    name: str
    version: int
    hosts: tuple[str, ...]
    marks: tuple[str, ...]
    read: Callable[[Reading], Coverage]
    enough_marks: int = 2
    elsewhere: tuple[str, ...] = ()

    def marks_on(self, page: Page) -> int:
        """How many different marks of this source the page shows."""
        return count_marks(self.marks, page)

    def is_elsewhere(self, page: Page) -> bool:
        return bool(self.elsewhere) and count_marks(self.elsewhere, page) == len(self.elsewhere)


def count_marks(marks: tuple[str, ...], page: Page) -> int:
    """How many of ``marks`` begin a block or a cell of the page."""
    texts = [fold(part[:200]) for block in page.blocks for part in block.parts]
    return sum(any(re.match(mark, text) for text in texts) for mark in marks)
