"""Text extracts to blocks: lines, bullets, and tables written with bars."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from parsers.limits import MAX_BLOCK_CHARACTERS, MAX_BLOCKS, Deadline, LimitExceeded
from parsers.page import Block, Kind, Page
from parsers.words import clean

# Ex: "---|---|---|", "|---|---|---|", "| :--- | ---: |", and one cut short: "---|---|-"
_RULE = re.compile(r"\|? ?:?-+:? ?(?:\| ?:?-+:? ?)*\|?")
# Ex: "-----", "* * *", "____"
_LINE = re.compile(r"(?:[-_=]{3,}|\*(?: ?\*){2,})")
# Ex: "- Service type: x", "• Term text", "*" alone on its line
_BULLET = re.compile(r"[-*•‣◦▪●·](?:\s+(?P<text>.*))?")
# Ex: "## Clinical Context"
_HEADING = re.compile(r"#{1,6} (?P<text>.*)")
# Ex, in Markdown files alone: "**Headline:** text", "[Coding tools](/tools)"
_BOLD = re.compile(r"(\*\*|__)(?=\S)([^*_]{1,200})(?<=\S)\1")
_LINK = re.compile(r"!?\[([^\[\]]{1,300})\]\([^()\s]{1,500}\)")
_BAR = re.compile(r"(?<!\\)\|")


def read_text(text: str, url: str, deadline: Deadline) -> Page:
    """The page of a text extract, one block a line. Raises `LimitExceeded`."""
    reader = _Reader(deadline, markdown=url.split("#")[0].lower().endswith(".md"))
    # Not str.splitlines: a form feed or U+2028 inside a line is no new line to those who wrote it.
    lines = [clean(line) for line in re.split(r"\r\n|\r|\n", text.rstrip())]
    longest = max(map(len, lines))
    if longest > MAX_BLOCK_CHARACTERS:
        raise LimitExceeded("characters in one line", MAX_BLOCK_CHARACTERS, longest)
    reader.read(lines)
    blocks = tuple(reader.blocks)
    if blocks and blocks[-1].cells and reader.ends_cut(blocks):
        blocks = (*blocks[:-1], replace(blocks[-1], cut=True))
    truncated = reader.open_bar or bool(blocks and blocks[-1].cut)
    return Page(url, "text", blocks, truncated, open_item=reader.open_item)


class _Reader:
    def __init__(self, deadline: Deadline, *, markdown: bool) -> None:
        self.markdown = markdown
        self.blocks: list[Block] = []
        self.deadline = deadline
        self.table = 0
        self.columns = 0  # of the current table, once its rule was seen
        self.in_table = False
        self.open_bar = False  # the text ends with the bar that opens a row
        self.open_item = False  # the text ends with the bullet that opens an item
        self.closing: dict[int, list[bool]] = {}  # table -> whether each of its lines ends in a bar

    def read(self, lines: list[str]) -> None:
        position = 0
        bullet = False
        while position < len(lines):
            line = lines[position]
            position += 1
            if not line:
                continue
            if line == "|" or (position < len(lines) and lines[position] == "|" and "|" not in line):
                position = self.split_row(lines, position - 1)
            elif "|" in line:
                self.bar_line(line)
            elif match := _BULLET.fullmatch(line):
                if _LINE.fullmatch(line):
                    continue
                if match["text"]:
                    self.add("item", match["text"])
                bullet = not match["text"]
                continue
            elif _LINE.fullmatch(line):
                continue
            elif match := _HEADING.fullmatch(line):
                self.add("heading", match["text"].rstrip("# "))
            else:
                self.add("item" if bullet else "paragraph", line)
            bullet = False
        self.open_item = bullet

    def split_row(self, lines: list[str], position: int) -> int:
        # Ex: "Date", "|", "Action", "|", "Notes", "|", "---|---|---|": a row whose cells stand on lines of their own
        cells: list[str] = []
        if lines[position] == "|":
            position += 1
        while position + 1 < len(lines) and lines[position + 1] == "|" and "|" not in lines[position]:
            cells.append(lines[position])
            position += 2
        if not cells:
            self.open_bar = position == len(lines)
            return position
        columns = len(cells)
        after = lines[position] if position < len(lines) else ""
        if not self.columns and _RULE.fullmatch(after) and "|" in after:
            self.in_table = False  # a header: a new table
            columns = len(list(_cells(after)))
        elif self.columns:
            columns = self.columns
        for start in range(0, len(cells), columns):
            self.row(cells[start : start + columns], closed=True)
        return position

    def bar_line(self, line: str) -> None:
        if _RULE.fullmatch(line):
            self.columns = len(list(_cells(line)))
            self.header_is_last_row()
            self.in_table = True
            self.closing.setdefault(self.table, []).append(line.endswith("|"))
            return
        cells = list(_cells(line))
        if any(cells):
            self.row(cells, closed=line.endswith("|"))

    def header_is_last_row(self) -> None:
        """A rule says that the row before it is a header: the header opens a table of its own."""
        if self.blocks and self.blocks[-1].cells:
            last = self.blocks[-1]
            if any(b.table == last.table for b in self.blocks[-2:-1]):
                self.table += 1
                self.blocks[-1] = replace(last, table=self.table)

    def row(self, cells: list[str], *, closed: bool) -> None:
        if not self.in_table:
            self.table += 1
            self.columns = 0
            self.in_table = True
        self.closing.setdefault(self.table, []).append(closed)
        kind: Kind = "pair" if len(cells) == 2 else "row"
        self.append(kind, clean(" | ".join(cells)), tuple(cells), self.table)

    def add(self, kind: Kind, text: str) -> None:
        self.in_table, self.columns = False, 0
        self.append(kind, clean(_LINK.sub(r"\1", _BOLD.sub(r"\2", text))) if self.markdown else text, (), 0)

    def append(self, kind: Kind, text: str, cells: tuple[str, ...], table: int) -> None:
        if not text:
            return
        if len(self.blocks) >= MAX_BLOCKS:
            raise LimitExceeded("blocks", MAX_BLOCKS, f"more than {MAX_BLOCKS}")
        if len(text) > MAX_BLOCK_CHARACTERS:
            raise LimitExceeded("characters in one block", MAX_BLOCK_CHARACTERS, len(text))
        if len(self.blocks) % 1000 == 0:
            self.deadline.check()
        self.blocks.append(Block(len(self.blocks), kind, text, cells, table))

    def ends_cut(self, blocks: tuple[Block, ...]) -> bool:
        """Whether the last row shows that the file ends inside it: cells or its closing bar are missing."""
        # Ex: "25 |" under "| Modifier | Description | When to Use |"; "MUE | Not appl" under lines that end in a bar
        last = blocks[-1]
        rows = [b for b in blocks if b.table == last.table]
        if self.columns and len(last.cells) < self.columns:
            return True
        if len(rows) > 1 and len(last.cells) < min(len(b.cells) for b in rows[:-1]):
            return True
        *before, closed = self.closing[last.table]
        return bool(before) and all(before) and not closed


def _cells(line: str) -> Iterator[str]:
    line = line.removeprefix("|")
    if line.endswith("|") and not line.endswith("\\|"):
        line = line[:-1]
    for cell in _BAR.split(line):
        yield clean(cell.replace("\\|", "|"))
