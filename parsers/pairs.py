"""Labels with values: descriptors and payment indicators, in cells, in one line, or in two lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from parsers.page import Block, Reading
from parsers.records import Descriptor, DescriptorKind, Indicator, ParseWarning
from parsers.vocabulary import INDICATOR_LABELS, read_indicator
from parsers.words import fold

_MAX_LABEL = 60  # characters


@dataclass(frozen=True, slots=True)
class LabelledValue:
    """A label with its value, and the blocks that say so."""

    label: str
    value: str
    blocks: tuple[Block, ...]


class Labels:
    """A list of labels: finds label and value in cells, in one line, or in two lines that follow each other."""

    def __init__(self, labels: Iterable[str]) -> None:
        self._labels = {fold(label): label for label in labels}
        longest_first = sorted(self._labels, key=len, reverse=True)
        words = "|".join(re.escape(label).replace(r"\ ", r"\s+").replace(r"\-", "[-‐‑–]") for label in longest_first)
        # Ex: "Global Days XXX - Global Concept Does Not Apply", "Global Days: XXX"
        self._line = re.compile(rf"(?P<label>{words})\s*:?\s+(?P<value>\S.*)", re.IGNORECASE)

    def named(self, text: str) -> str | None:
        """The label that ``text`` is, or None."""
        return self._labels.get(fold(text)) if len(text) <= _MAX_LABEL else None

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


DESCRIPTOR_LABELS: dict[str, DescriptorKind] = {"Short Descr": "short", "Medium Descr": "medium", "Long Descr": "long"}
_LABELS = Labels([*DESCRIPTOR_LABELS, *INDICATOR_LABELS])


def find_pairs(block: Block, following: Block | None, *, among_pairs: bool) -> list[LabelledValue]:
    """Descriptors and indicators that ``block`` holds, with the line after it where the value stands there.

    ``among_pairs``: a pair came before. A line that only begins with a label's words is a pair where it stands among
    pairs, or where its value is one that the label can have.
    """
    if block.cells:
        return _LABELS.in_cells(block) or []
    pair = _LABELS.in_line(block) or _LABELS.in_lines(block, following)
    return [pair] if pair and (among_pairs or _is_value(pair)) else []


def _is_value(pair: LabelledValue) -> bool:
    if pair.label in DESCRIPTOR_LABELS:
        return True
    indicator, known = read_indicator(INDICATOR_LABELS[pair.label], pair.value)
    return known and (indicator.value_code is not None or indicator.value_text is None)


def claim_pairs(reading: Reading, pairs: Sequence[LabelledValue]) -> None:
    """Claim ``pairs`` as descriptors and indicators. A label given twice counts once: the second stays unmapped."""
    seen: set[str] = set()
    for pair in pairs:
        kind = DESCRIPTOR_LABELS.get(pair.label)
        table, column = ("descriptors", "text") if kind else ("indicators", "value_code")
        name = kind or INDICATOR_LABELS[pair.label]
        records: list[Descriptor | Indicator] = []
        problem = None
        if name in seen:
            problem = ("repeated_label", "the page gives this twice: the first one counts, this one is in unmapped")
            for block in pair.blocks:
                reading.leave_unmapped(block)
        elif kind and pair.value:
            records.append(Descriptor(kind, pair.value))
        elif pair.value:
            indicator, known = read_indicator(name, pair.value)
            records.append(indicator)
            problem = None if known else ("unknown_value", "no CMS value is known by these words")
        seen.add(name)
        warnings = [ParseWarning(problem[0], table, name, column, pair.value, problem[1])] if problem else []
        reading.claim(pair.blocks, records, table=table, warnings=warnings)
