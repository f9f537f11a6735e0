"""HTML text to a tree of what a reader can see of it, built within the limits."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

from bs4 import BeautifulSoup, Tag, XMLParsedAsHTMLWarning
from bs4.builder._lxml import LXMLTreeBuilder

from parsers.limits import MAX_DEPTH, MAX_TAGS, MAX_TEXTS, Deadline, LimitExceeded

# Elements that flow within a line of text.
INLINE = frozenset(
    "a abbr acronym b bdi bdo big cite code data del dfn em font i img ins kbd label mark q rp rt ruby s samp "
    "small span strike strong sub sup time tt u var wbr".split()
)
_UNSEEN = frozenset("script style template svg iframe object audio video meta link base img input".split())
# An element that holds one of these lays the page out; it is no datum.
_LAYOUT = frozenset("table ul ol dl h1 h2 h3 h4 h5 h6 section article".split())
_PIECE = 16_384  # characters: libxml2 reads a piece to its end even after a limit was raised


class Tree:
    """The elements and texts that a reader sees, without attributes, comments, scripts and pictures.

    Raises `LimitExceeded` for too many tags, or tags too deep in each other.
    """

    def __init__(self, text: str, deadline: Deadline) -> None:
        self._builder = _SeenBuilder(deadline)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", XMLParsedAsHTMLWarning)
            # NUL ends the text for libxml2: what follows it would be lost
            self.root = BeautifulSoup(text.replace("\x00", " "), builder=self._builder)

    def holds_block(self, tag: Tag) -> bool:
        """Whether anything inside ``tag`` begins a block or a line."""
        return id(tag) in self._builder.block_holders

    def lays_out(self, tag: Tag) -> bool:
        """Whether ``tag`` holds lists, tables, headings or sections."""
        return id(tag) in self._builder.layout_holders


class _SeenBuilder(LXMLTreeBuilder):
    """Told of each tag as libxml2 meets it, so that limits are asked of the tree itself and not of a guess at it."""

    def __init__(self, deadline: Deadline) -> None:
        super().__init__()
        self.deadline = deadline
        self.tags = self.texts = 0
        self.unseen = 0  # depth within an element that no reader sees
        self.block_holders: set[int] = set()
        self.layout_holders: set[int] = set()

    def feed(self, markup: str | bytes) -> None:
        parser = self.parser_for(None)
        for begin in range(0, len(markup), _PIECE):
            parser.feed(markup[begin : begin + _PIECE])
        parser.close()

    def start(self, tag: str | bytes, attrib: object, nsmap: Mapping[str, str] | None = None) -> None:
        assert self.soup is not None
        assert isinstance(tag, str)
        self.count_tag()
        if len(self.soup.tagStack) + self.unseen > MAX_DEPTH:
            raise LimitExceeded("nested tags", MAX_DEPTH, f"more than {MAX_DEPTH}")
        if self.unseen or tag in _UNSEEN:
            self.unseen += 1
            return
        if tag not in INLINE:
            self.note(self.block_holders)
        if tag in _LAYOUT:
            self.note(self.layout_holders)
        self.soup.handle_starttag(tag, None, None, {})

    def note(self, holders: set[int]) -> None:
        """Note the open elements as holders; above one that is noted, all are."""
        assert self.soup is not None
        for element in reversed(self.soup.tagStack):
            if id(element) in holders:
                return
            holders.add(id(element))

    def end(self, tag: str | bytes) -> None:
        assert self.soup is not None
        assert isinstance(tag, str)
        if self.unseen:
            self.unseen -= 1
        else:
            self.soup.handle_endtag(tag)

    def data(self, data: str | bytes) -> None:
        self.texts += 1
        if self.texts > MAX_TEXTS:
            raise LimitExceeded("runs of text", MAX_TEXTS, f"more than {MAX_TEXTS}")
        if not self.unseen:
            super().data(data)

    def comment(self, text: str | bytes) -> None:
        self.count_tag()  # the text on its two sides is one for a reader

    def pi(self, target: str, data: str) -> None:
        self.count_tag()

    def doctype(self, name: str, pubid: str, system: str) -> None:
        self.count_tag()

    def count_tag(self) -> None:
        self.tags += 1
        if self.tags > MAX_TAGS:
            raise LimitExceeded("tags", MAX_TAGS, f"more than {MAX_TAGS}")
        if self.tags % 1000 == 0:
            self.deadline.check()
