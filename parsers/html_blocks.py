"""HTML to blocks, by structure alone: headings, paragraphs, items, cells; never by class names."""

from __future__ import annotations

import re
import warnings

from bs4 import BeautifulSoup, Tag, XMLParsedAsHTMLWarning
from bs4.builder import ParserRejectedMarkup
from bs4.element import NavigableString, PreformattedString

from parsers.limits import (
    MAX_BLOCK_CHARACTERS,
    MAX_BLOCKS,
    MAX_DEPTH,
    MAX_TAG_ATTRIBUTES,
    MAX_TAGS,
    Deadline,
    LimitExceeded,
)
from parsers.page import Block, Kind, Page
from parsers.words import clean

_UNSEEN = frozenset(["script", "style", "template", "noscript", "svg", "iframe", "title", "object", "audio", "video"])
_HEADINGS = frozenset(["h1", "h2", "h3", "h4", "h5", "h6"])
_INLINE = frozenset(
    "a abbr acronym b bdi bdo big cite code data del dfn em font i img ins kbd label mark q rp rt ruby s samp "
    "small span strike strong sub sup time tt u var wbr".split()
)
# Inline elements that sites set side by side as if they were columns. Ex: <span>Global Days</span><span>XXX</span>
_SIDE_BY_SIDE = frozenset(["span", "label", "strong", "b", "a", "time", "data"])
_CHROME = frozenset(["header", "footer", "aside"])
# A cell that holds one of these lays the page out; it is no datum.
_LAYOUT = ["table", "ul", "ol", "dl", "h1", "h2", "h3", "h4", "h5", "h6", "section", "article"]
_MAX_LABEL = 60


def read_html(text: str, url: str, deadline: Deadline) -> Page:
    """The page of an HTML text. Raises `LimitExceeded`, before the tree is built where it can be told by then."""
    _check_markup(text)
    deadline.check()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", XMLParsedAsHTMLWarning)
        try:
            # NUL ends the text for libxml2: what follows it would be lost
            soup = BeautifulSoup(text.replace("\x00", " "), "lxml")
        except (ParserRejectedMarkup, RecursionError) as error:
            raise LimitExceeded("nested tags", MAX_DEPTH, str(error) or "too deep") from error
    deadline.check()
    reader = _Reader(deadline)
    reader.visit(soup, chrome=False, within_main=False)
    reader.flush("paragraph", chrome=False)
    title = clean(soup.title.get_text()) if soup.title else ""
    return Page(url, "html", tuple(reader.blocks), truncated=_is_truncated(text), title=title)


class _Reader:
    """Walks the tree in reading order, gathering inline text until a block begins or ends."""

    def __init__(self, deadline: Deadline) -> None:
        self.blocks: list[Block] = []
        self.inline: list[str] = []
        self.tables = 0
        self.deadline = deadline
        self.term: str | None = None  # a <dt> that waits for its <dd>

    def visit(self, element: Tag, *, chrome: bool, within_main: bool, kind: Kind = "paragraph") -> None:
        for child in element.children:
            if isinstance(child, Tag):
                self.visit_tag(child, chrome=chrome, within_main=within_main, kind=kind)
            elif isinstance(child, NavigableString) and not isinstance(child, PreformattedString):
                self.inline.append(str(child))

    def visit_tag(self, tag: Tag, *, chrome: bool, within_main: bool, kind: Kind) -> None:
        name = tag.name
        if name in _UNSEEN:
            return
        if name in _INLINE and not _holds_block(tag):
            if name in _SIDE_BY_SIDE and isinstance(tag.previous_sibling, Tag):
                self.inline.append(" ")
            self.inline.append(_inline_text(tag))
        elif name == "br":
            self.flush(kind, chrome)
        else:
            self.flush(kind, chrome)
            self.visit_block(tag, chrome=chrome, within_main=within_main, kind=kind)

    def visit_block(self, tag: Tag, *, chrome: bool, within_main: bool, kind: Kind) -> None:
        name = tag.name
        within_main = within_main or name in ("main", "article")
        chrome = chrome or name == "nav" or (name in _CHROME and not within_main)
        if name in _HEADINGS:
            self.append("heading", _inline_text(tag), chrome=chrome)
        elif name == "table":
            self.visit_table(tag, chrome=chrome, within_main=within_main)
        elif name == "dl":
            self.visit_definitions(tag, chrome=chrome, within_main=within_main)
        elif name == "dt" and not tag.find(_LAYOUT):
            self.release_term(chrome)
            self.term = clean(_inline_text(tag))
        elif name == "dd" and self.term is not None and not tag.find(_LAYOUT):
            self.pair(self.term, _inline_text(tag), chrome=chrome)
            self.term = None
        elif pair := _two_parts(tag):
            self.pair(*pair, chrome=chrome)
        else:
            if name == "li":
                kind = "item"
            elif name in ("ul", "ol", "p"):
                kind = "paragraph" if kind != "item" or name != "p" else "item"
            self.visit(tag, chrome=chrome, within_main=within_main, kind=kind)
            self.flush(kind, chrome)

    def visit_table(self, table: Tag, *, chrome: bool, within_main: bool) -> None:
        rows = [row for row in table.find_all("tr") if row.find_parent("table") is table]
        cells = [list(row.find_all(["td", "th"], recursive=False)) for row in rows]
        has_header = table.find("th") is not None
        lays_out = table.find("table") is not None or (
            not has_header and any(cell.find(_LAYOUT) for row in cells for cell in row)
        )
        stray = any(t.strip() and not t.find_parent(["td", "th", "caption"]) for t in table.find_all(string=True))
        if lays_out or stray or not rows:
            self.visit(table, chrome=chrome, within_main=within_main)
            self.flush("paragraph", chrome)
            return
        if table.caption:
            self.append("paragraph", _inline_text(table.caption), chrome=chrome)
        self.tables += 1
        number = self.tables
        for row in cells:
            self.row([clean(_inline_text(cell)) for cell in row], number, chrome=chrome)

    def visit_definitions(self, tag: Tag, *, chrome: bool, within_main: bool) -> None:
        self.tables += 1
        outer, self.term = self.term, None
        self.visit(tag, chrome=chrome, within_main=within_main)
        self.flush("paragraph", chrome)
        self.release_term(chrome)
        self.term = outer

    def release_term(self, chrome: bool) -> None:
        if self.term:
            self.append("paragraph", self.term, chrome=chrome)
        self.term = None

    def pair(self, key: str, value: str, *, chrome: bool) -> None:
        self.row([clean(key), clean(value)], self.tables, chrome=chrome)

    def row(self, cells: list[str], table: int, *, chrome: bool) -> None:
        if any(cells):
            kind: Kind = "pair" if len(cells) == 2 else "row"
            self.append(kind, " | ".join(cells), tuple(cells), table, chrome=chrome)

    def flush(self, kind: Kind, chrome: bool) -> None:
        if self.inline:
            text = "".join(self.inline)
            self.inline.clear()
            self.append(kind, text, chrome=chrome)

    def append(self, kind: Kind, text: str, cells: tuple[str, ...] = (), table: int = 0, *, chrome: bool) -> None:
        text = clean(text)
        if not text:
            return
        if len(self.blocks) >= MAX_BLOCKS:
            raise LimitExceeded("blocks", MAX_BLOCKS, f"more than {MAX_BLOCKS}")
        if len(text) > MAX_BLOCK_CHARACTERS:
            raise LimitExceeded("characters in one block", MAX_BLOCK_CHARACTERS, len(text))
        if len(self.blocks) % 1000 == 0:
            self.deadline.check()
        self.blocks.append(Block(len(self.blocks), kind, text, cells, table, chrome))


def _inline_text(tag: Tag) -> str:
    """All text that a reader sees inside ``tag``, with a space where a block or a line ends."""
    parts: list[str] = []
    for child in tag.children:
        if isinstance(child, Tag):
            if child.name in _UNSEEN:
                continue
            if child.name not in _INLINE:
                parts += (" ", _inline_text(child), " ")
            else:
                if child.name in _SIDE_BY_SIDE and isinstance(child.previous_sibling, Tag):
                    parts.append(" ")
                parts.append(_inline_text(child))
        elif isinstance(child, NavigableString) and not isinstance(child, PreformattedString):
            parts.append(str(child))
    return "".join(parts)


def _elements(tag: Tag) -> list[Tag]:
    return [child for child in tag.children if isinstance(child, Tag)]


def _holds_block(tag: Tag) -> bool:
    return any(
        child.name == "br" or (child.name not in _INLINE and child.name not in _UNSEEN) or _holds_block(child)
        for child in _elements(tag)
    )


def _two_parts(tag: Tag) -> tuple[str, str] | None:
    """Label and value of an element that holds just two leaf blocks.

    Ex: <div><div>Global Days</div><div>XXX - Global Concept Does Not Apply</div></div>
    """
    parts = _elements(tag)
    if len(parts) != 2 or any(p.name != "div" or _holds_block(p) for p in parts):
        return None
    if any(isinstance(c, NavigableString) and c.strip() for c in tag.children):
        return None
    label, value = (clean(_inline_text(part)) for part in parts)
    if not label or len(label) > _MAX_LABEL or label.endswith((".", "!", "?")):
        return None
    return label, value


_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9:-]*)")
# Elements whose end tag may be left out, or that have none: they do not nest by being left open.
_NO_DEPTH = frozenset(
    "area base br col embed hr img input link meta param source track wbr p li dt dd tr td th thead tbody tfoot "
    "option optgroup colgroup html head body".split()
)
_CONTAINERS = ("table", "ul", "ol", "dl", "div", "section", "article", "main")


def _check_markup(text: str) -> None:
    """Refuse what would cost the tree builder too much, in one pass over the text."""
    depth = tags = 0
    position, end = 0, len(text)
    no_more_ends = False
    while match := _TAG.search(text, position):
        position = match.end()
        tags += 1
        if tags > MAX_TAGS:
            raise LimitExceeded("tags", MAX_TAGS, f"more than {MAX_TAGS}")
        name = match[2].lower()
        if not match[1] and name in ("script", "style"):
            stop = text.find(f"</{name}", position)
            position = end if stop < 0 else stop
            continue
        if name not in _NO_DEPTH:
            depth = max(0, depth - 1) if match[1] else depth + 1
            if depth > MAX_DEPTH:
                raise LimitExceeded("nested tags", MAX_DEPTH, f"more than {MAX_DEPTH}")
        if not no_more_ends:
            close = text.find(">", position)
            no_more_ends = close < 0
            stop = end if no_more_ends else close
            # An attribute takes four characters at the least, so shorter tags need no counting.
            if stop - position > 4 * MAX_TAG_ATTRIBUTES:
                attributes = text.count("=", position, stop) + len(text[position:stop].split())
                if attributes > MAX_TAG_ATTRIBUTES:
                    raise LimitExceeded("attributes of one tag", MAX_TAG_ATTRIBUTES, attributes)


def _is_truncated(text: str) -> bool:
    """Whether the markup shows that the page was cut off: its end tags are missing, or it ends inside a tag."""
    lower = text.lower()
    if re.search(r"<[a-z/!][^<>]*\Z", lower[-4000:]):
        return True
    for name in ("html", "body"):
        if f"<{name}" in lower:
            return f"</{name}" not in lower and (name == "body" or "</body" not in lower)
    return any(_opened(lower, name) for name in _CONTAINERS)


def _opened(lower: str, name: str) -> bool:
    return len(re.findall(rf"<{name}[\s>]", lower)) > lower.count(f"</{name}")
