"""What parsers have in common: notices, prose in sections, labels with values, sentinels."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from parsers.page import Block, Reading
from parsers.records import Narrative, Notice, ParseWarning
from parsers.words import fold

# Ex: "© Copyright 2025 American Medical Association. All rights reserved."
_NOTICE = re.compile(
    r"(?:©|\(c\))?\s*Copyright\s*(?:©|\(c\))?\s*(?P<year>[0-9]{4})?\s*(?P<holder>[^.]{2,80}?)\.?\s*All rights reserved\.?",
    re.IGNORECASE,
)


def read_notice(text: str, ordinal: int) -> Notice | None:
    """The copyright notice that ``text`` is, or None."""
    match = _NOTICE.fullmatch(text)
    if not match:
        return None
    return Notice(ordinal, match["holder"].strip(), int(match["year"]) if match["year"] else None, text)


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Prose that belongs together: its texts (a row each) and the blocks that hold them."""

    texts: tuple[str, ...]
    blocks: tuple[Block, ...]

    @classmethod
    def of(cls, block: Block) -> Paragraph:
        return cls(tuple(filter(None, block.parts)), (block,))

    @property
    def is_item(self) -> bool:
        return self.blocks[0].kind == "item"


def claim_prose(reading: Reading, section: str, paragraphs: Sequence[Paragraph]) -> None:
    """Claim ``paragraphs`` as narratives of ``section``, one row a text.

    A paragraph that ends in a colon and leads to no list has lost it: kept, with the warning ``list_lost``.
    """
    ordinal = 0
    for paragraph, following in zip_longest(paragraphs, paragraphs[1:]):
        rows, warnings = [], []
        for text in paragraph.texts:
            ordinal += 1
            rows.append(Narrative(section, ordinal, text))
        if text.endswith(":") and not paragraph.is_item and not (following and following.is_item):
            message = "the list that this leads to is missing"
            warnings.append(
                ParseWarning("list_lost", "narratives", f"{section}|{ordinal}", "text", text[-80:], message)
            )
        reading.claim(paragraph.blocks, rows, warnings=warnings)


@dataclass(frozen=True, slots=True)
class LabelledValue:
    """A label with its value, and the blocks that say so."""

    label: str
    value: str
    blocks: tuple[Block, ...]


class Labels:
    """A source's list of labels: finds label and value in cells, in one line, or in two lines that follow each other."""

    def __init__(self, labels: Iterable[str]) -> None:
        self._labels = {fold(label): label for label in labels}
        longest_first = sorted(self._labels, key=len, reverse=True)
        words = "|".join(re.escape(label).replace(r"\ ", r"\s+").replace(r"\-", "[-‐‑–]") for label in longest_first)
        # Ex: "Global Days XXX - Global Concept Does Not Apply", "Global Days: XXX"
        self._line = re.compile(rf"(?P<label>{words})\s*:?\s+(?P<value>\S.*)", re.IGNORECASE)

    def named(self, text: str) -> str | None:
        """The label that ``text`` is, or None."""
        return self._labels.get(fold(text))

    def in_cells(self, block: Block) -> list[LabelledValue] | None:
        """Labels and values of a row ``Label | value | Label | value``; None where its cells are anything else."""
        found: list[LabelledValue] = []
        cells = list(block.cells)
        while cells and not cells[-1]:
            cells.pop()
        while cells:
            label = self.named(cells.pop(0))
            if label is None:
                return None
            value = "" if not cells or self.named(cells[0]) else cells.pop(0)
            found.append(LabelledValue(label, value, (block,)))
        return found or None

    def in_line(self, block: Block) -> LabelledValue | None:
        """Label and value of a line ``Label value`` that has no separator."""
        match = None if block.cells else self._line.fullmatch(block.text)
        if not match:
            return None
        label = self.named(match["label"])
        return LabelledValue(label, match["value"], (block,)) if label else None

    def in_lines(self, block: Block, following: Block | None) -> LabelledValue | None:
        """A label alone in its line, with the line after it, if that is no label itself."""
        label = None if block.cells else self.named(block.text)
        if label is None:
            return None
        if following is None or following.cells or self.named(following.text) or self.in_line(following):
            return LabelledValue(label, "", (block,))
        return LabelledValue(label, following.text, (block, following))


# Ex: "Data not available in the input.", "Data not available in the input for taxonomies.", "Data not provided in the
# input: modifiers", "Data not available in the input is noted where specific payer policies ... would be detailed."
_ABSENT = re.compile(r"Data (?:is |are )?not (?:available|provided) in the input\b", re.IGNORECASE)
# Ex: "Missing fields are noted where applicable."
_NOTED = re.compile(r"\b(?:is|are) noted where applicable\b", re.IGNORECASE)


def says_absent(sentence: str) -> bool:
    """Whether the sentence says that the page lacks something, in place of it."""
    return _ABSENT.search(sentence) is not None or _NOTED.search(sentence) is not None


def table_rows(blocks: Sequence[Block], header: int) -> Iterator[Block]:
    """The rows under the header row at ``blocks[header]``."""
    table = blocks[header].table
    for block in blocks[header + 1 :]:
        if block.table != table or not block.cells:
            return
        yield block
