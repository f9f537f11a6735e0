"""Prose: paragraphs as narratives, copyright notices, and sentences that say that something is absent."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from parsers.page import Block, Reading
from parsers.records import Narrative, Notice, ParseWarning

# Ex: "© Copyright 2025 American Medical Association. All rights reserved."
_NOTICE = re.compile(
    r"(?:©|\(c\))?\s*Copyright\s*(?:©|\(c\))?\s*(?P<year>[0-9]{4})?\s*(?P<holder>[^.]{2,80}?)\.?\s*"
    r"All rights reserved\.?",
    re.IGNORECASE,
)


def read_notice(text: str, ordinal: int) -> Notice | None:
    """The copyright notice that ``text`` is, or None."""
    match = _NOTICE.fullmatch(text)
    if not match:
        return None
    return Notice(ordinal, match["holder"].strip(), int(match["year"]) if match["year"] else None, text)


SECTION_UNKNOWN = ParseWarning(
    "section_unknown",
    "narratives",
    "unplaced",
    "section",
    None,
    "the extract lost its headings, and the words do not tell the section",
)
"""The warning that goes with prose in the section ``unplaced``."""


_EMPHASIS = re.compile(r"[*_]{1,3}")  # Ex: "**Common Name**: Synthetic", "**Common Name:** Synthetic", "_Setting: x_"


def split_label(text: str) -> tuple[str, str]:
    """What stands before the first colon and after it, without marks of emphasis around the label; all of a text
    without a colon is label. Ex: "**Setting:** a bench" -> ("Setting", "a bench")."""
    match = _EMPHASIS.match(text)
    mark = match[0] if match else ""
    label, _, rest = (part.strip() for part in text.removeprefix(mark).partition(":"))
    if not mark:
        return label, rest
    if label.endswith(mark):
        return label.removesuffix(mark).strip(), rest
    if rest.startswith(mark):
        return label, rest.removeprefix(mark).strip()
    return label, rest.removesuffix(mark).strip()


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


# Ex: "Data not available in the input.", "Data not available in the input for taxonomies.", "Data not provided in the
# input: modifiers", "Data not available in the input is noted where specific payer policies ... would be detailed."
_ABSENT = re.compile(r"Data (?:is |are )?not (?:available|provided) in the input\b", re.IGNORECASE)
# Ex: "Missing fields are noted where applicable."
_NOTED = re.compile(r"\b(?:is|are) noted where applicable\b", re.IGNORECASE)


def says_absent(sentence: str) -> bool:
    """Whether the sentence says that the page lacks something, in place of it."""
    return _ABSENT.search(sentence) is not None or _NOTED.search(sentence) is not None
