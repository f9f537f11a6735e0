"""HTML to blocks, by structure alone: headings, paragraphs, items, cells; never by class names."""

from __future__ import annotations

import re

from bs4 import Tag

from parsers.html_tree import INLINE, Tree
from parsers.limits import MAX_BLOCK_CHARACTERS, MAX_BLOCKS, Deadline, LimitExceeded
from parsers.page import Block, Kind, Page
from parsers.words import clean

_HEADINGS = frozenset(["h1", "h2", "h3", "h4", "h5", "h6"])
# Inline elements that sites set side by side as if they were columns. Ex: <span>Global Days</span><span>XXX</span>
_SIDE_BY_SIDE = frozenset(["span", "label", "strong", "b", "a", "time", "data"])
_CHROME = frozenset(["header", "footer", "aside"])
_ROW_GROUPS = frozenset(["thead", "tbody", "tfoot"])
_MAX_LABEL = 60


def read_html(text: str, url: str, deadline: Deadline) -> Page:
    """The page of an HTML text. Raises `LimitExceeded`."""
    # A page cut right after "<" ends in a tag, but the tree would hold a text there, beside the cells of a table.
    tree = Tree(re.sub(r"</?\Z", "", text), deadline)
    deadline.check()
    reader = _Reader(tree, deadline)
    reader.visit(tree.root, chrome=False, within_main=False)
    reader.flush("paragraph", chrome=False)
    reader.release_term(chrome=False)
    title = clean(tree.root.title.get_text()) if tree.root.title else ""
    return Page(url, "html", tuple(reader.blocks), truncated=_is_truncated(text), title=title)


class _Reader:
    """Walks the tree in reading order, gathering inline text until a block begins or ends."""

    def __init__(self, tree: Tree, deadline: Deadline) -> None:
        self.tree = tree
        self.blocks: list[Block] = []
        self.inline: list[str] = []
        self.tables = 0
        self.deadline = deadline
        self.term: str | None = None  # a <dt> that waits for its <dd>

    def visit(self, element: Tag, *, chrome: bool, within_main: bool, kind: Kind = "paragraph") -> None:
        for child in element.children:
            if not isinstance(child, Tag):
                self.inline.append(str(child))
            elif child.name in INLINE and not self.tree.holds_block(child):
                self.inline += _inline(child)
            elif child.name == "br":
                self.flush(kind, chrome)
            elif child.name != "title":
                self.flush(kind, chrome)
                self.visit_block(child, chrome=chrome, within_main=within_main, kind=kind)

    def visit_block(self, tag: Tag, *, chrome: bool, within_main: bool, kind: Kind) -> None:
        name = tag.name
        within_main = within_main or name in ("main", "article")
        chrome = chrome or name in ("nav", "noscript") or (name in _CHROME and not within_main)
        if name in _HEADINGS:
            self.append("heading", _text(tag), chrome=chrome)
        elif name == "table" and (rows := self.data_rows(tag)) is not None:
            self.read_table(tag, rows, chrome=chrome)
        elif name == "dl":
            self.visit_definitions(tag, chrome=chrome, within_main=within_main)
        elif name == "dt" and not self.tree.lays_out(tag):
            self.release_term(chrome)
            self.term = clean(_text(tag))
        elif name == "dd" and self.term is not None and not self.tree.lays_out(tag):
            term, self.term = self.term, None
            self.row([term, clean(_text(tag))], self.tables, chrome=chrome)
        elif pair := self.two_parts(tag):
            self.row(pair, 0, chrome=chrome)
        else:
            if name == "li":
                kind = "item"
            elif name in ("ul", "ol", "p"):
                kind = "paragraph" if kind != "item" or name != "p" else "item"
            self.visit(tag, chrome=chrome, within_main=within_main, kind=kind)
            self.flush(kind, chrome)

    def data_rows(self, table: Tag) -> list[list[Tag]] | None:
        """The cells of a table of data, row by row; None where it lays the page out, or holds text beside its cells."""
        rows = _rows(table)
        if not rows or not self.tree.lays_out(table):
            return rows or None
        cells = [cell for row in rows for cell in row if self.tree.lays_out(cell)]
        is_data = any(cell.name == "th" for row in rows for cell in row) and not any(c.find("table") for c in cells)
        return rows if is_data or not cells else None

    def read_table(self, table: Tag, rows: list[list[Tag]], *, chrome: bool) -> None:
        for caption in table.find_all("caption", recursive=False):
            self.append("paragraph", _text(caption), chrome=chrome)
        self.tables += 1
        for row in rows:
            self.row([clean(_text(cell)) for cell in row], self.tables, chrome=chrome)

    def visit_definitions(self, tag: Tag, *, chrome: bool, within_main: bool) -> None:
        self.tables += 1
        self.visit(tag, chrome=chrome, within_main=within_main)
        self.flush("paragraph", chrome)
        self.release_term(chrome)

    def release_term(self, chrome: bool) -> None:
        term, self.term = self.term, None
        if term:
            self.append("paragraph", term, chrome=chrome)

    def two_parts(self, tag: Tag) -> list[str] | None:
        """Label and value of an element that holds just two leaf blocks.

        Ex: <div><div>Global Days</div><div>XXX - Global Concept Does Not Apply</div></div>
        """
        parts = [child for child in tag.children if isinstance(child, Tag) or str(child).strip()]
        if len(parts) != 2:
            return None
        texts = [_text(p) for p in parts if isinstance(p, Tag) and p.name == "div" and not self.tree.holds_block(p)]
        if len(texts) != 2:
            return None
        label, value = map(clean, texts)
        return [label, value] if 0 < len(label) <= _MAX_LABEL and not label.endswith((".", "!", "?")) else None

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
        self.release_term(chrome)  # what comes before its <dd> parts the two
        if len(self.blocks) >= MAX_BLOCKS:
            raise LimitExceeded("blocks", MAX_BLOCKS, f"more than {MAX_BLOCKS}")
        if len(text) > MAX_BLOCK_CHARACTERS:
            raise LimitExceeded("characters in one block", MAX_BLOCK_CHARACTERS, len(text))
        if len(self.blocks) % 1000 == 0:
            self.deadline.check()
        self.blocks.append(Block(len(self.blocks), kind, text, cells, table, chrome))


def _text(tag: Tag) -> str:
    """All text inside ``tag``, with a space where a block or a line ends."""
    return "".join(_inline(tag))


def _inline(tag: Tag) -> list[str]:
    parts = [" "] if tag.name in _SIDE_BY_SIDE and isinstance(tag.previous_sibling, Tag) else []
    for child in tag.children:
        if not isinstance(child, Tag):
            parts.append(str(child))
        elif child.name in INLINE:
            parts += _inline(child)
        elif child.name != "title":
            parts += [" ", *_inline(child), " "]
    return parts


def _rows(table: Tag) -> list[list[Tag]] | None:
    """The cells of a table (or of a part of it), row by row; None where it holds text outside of its cells."""
    rows: list[list[Tag]] = []
    for child in table.children:
        if not isinstance(child, Tag):
            if str(child).strip():
                return None
        elif child.name in _ROW_GROUPS:
            group = _rows(child)
            if group is None:
                return None
            rows += group
        elif child.name == "tr":
            cells = [cell for cell in child.children if isinstance(cell, Tag) or str(cell).strip()]
            tags = [cell for cell in cells if isinstance(cell, Tag) and cell.name in ("td", "th")]
            if len(tags) != len(cells):
                return None
            rows.append(tags)
        elif child.name != "caption" and any(child.stripped_strings):
            return None
    return rows


_CONTAINERS = ("table", "ul", "ol", "dl", "div", "section", "article", "main")


def _is_truncated(text: str) -> bool:
    """Whether the markup shows that the page was cut off: its end tags are missing, or it ends inside a tag."""
    lower = text.lower()
    if re.search(r"<(?:[a-z/!][^<>]*)?\Z", lower[-4000:]):
        return True
    for name in ("html", "body"):
        if f"<{name}" in lower:
            return f"</{name}" not in lower and (name == "body" or "</body" not in lower)
    return any(_opened(lower, name) for name in _CONTAINERS)


def _opened(lower: str, name: str) -> bool:
    return len(re.findall(rf"<{name}[\s>]", lower)) > lower.count(f"</{name}")
