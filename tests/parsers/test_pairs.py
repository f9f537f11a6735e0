"""Labels with values: in cells, in one line, in two lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parsers.page import Block, Page, Reading
from parsers.pairs import DESCRIPTOR_LABELS, claim_pairs, find_pairs
from parsers.records import Descriptor, Indicator
from parsers.vocabulary import INDICATOR_LABELS

_LABELS = [*DESCRIPTOR_LABELS, *INDICATOR_LABELS]


def _cells(*cells: str) -> Block:
    return Block(0, "row", " | ".join(cells), cells, table=1)


def _line(text: str, index: int = 0) -> Block:
    return Block(index, "paragraph", text)


def _found(block: Block, following: Block | None = None, *, among: bool = True) -> list[tuple[str, str]]:
    return [(pair.label, pair.value) for pair in find_pairs(block, following, among_pairs=among)]


@pytest.mark.parametrize(
    ("cells", "pairs"),
    [
        (("Global Days", "XXX"), [("Global Days", "XXX")]),
        (("global days:", "XXX", ""), [("Global Days", "XXX")]),
        (("Global Days", "XXX", "MUE", "2"), [("Global Days", "XXX"), ("MUE", "2")]),
        (("Global Days", "", "MUE", "2"), [("Global Days", ""), ("MUE", "2")]),
        (("Global Days", "MUE", "2"), [("Global Days", ""), ("MUE", "2")]),
        (("Global Days",), [("Global Days", "")]),
        (("Co\u2011Surgeons (62)", "0"), [("Co-Surgeons (62)", "0")]),
        (("Global Days", "XXX", "more"), []),
        (("more", "Global Days", "XXX"), []),
        (("", "Global Days", "XXX"), []),
        (("Physician Supervision", "09"), [("Physician Supervision", "09")]),
    ],
)
def test_labels_and_values_in_cells(cells: tuple[str, ...], pairs: list[tuple[str, str]]):
    assert _found(_cells(*cells)) == pairs


@given(st.sampled_from(_LABELS), st.sampled_from([" ", ": ", "  "]), st.sampled_from(["2", "none", "Synthetic: text"]))
def test_every_label_splits_from_its_value_in_a_line(label: str, gap: str, value: str):
    assert _found(_line(f"{label}{gap}{value}")) == [(label, value)]
    assert _found(_line(f"{label.upper()}{gap}{value}")) == [(label, value)]
    assert _found(_line(label), _line(value, 1)) == [(label, value)]


@pytest.mark.parametrize(
    ("line", "following", "pairs"),
    [
        ("Global Days", None, [("Global Days", "")]),
        ("Global Days", "Status Code", [("Global Days", "")]),
        ("Global Days", "Status Code Active Code", [("Global Days", "")]),
        ("Global Days", "XXX", [("Global Days", "XXX")]),
        ("Global Daysmore XXX", None, []),
        ("The Global Days XXX", None, []),
    ],
)
def test_a_label_alone_takes_the_line_after_it(line: str, following: str | None, pairs: list[tuple[str, str]]):
    assert _found(_line(line), _line(following, 1) if following else None) == pairs


@pytest.mark.parametrize(
    ("line", "is_pair"),
    [
        ("Status Code Active Code", True),
        ("Status Code is synthetic in this sentence.", False),
        ("MUE 2", True),
        ("MUE limits how many synthetic units may be reported.", False),
        ("Global Days none", True),
        ("Short Descr Synthetic", True),
    ],
)
def test_prose_that_begins_with_a_label_is_no_pair_unless_it_stands_among_pairs(line: str, is_pair: bool):
    assert bool(_found(_line(line), among=False)) is is_pair
    assert _found(_line(line), among=True)


def test_a_label_given_twice_counts_once_and_the_second_is_unmapped():
    blocks = [_line("MUE 2", 0), _line("MUE 3", 1), _line("Short Descr a", 2), _line("Short Descr a", 3)]
    reading = Reading(Page("file:x", "text", tuple(blocks)), "0748T")
    claim_pairs(reading, [pair for b in blocks for pair in find_pairs(b, None, among_pairs=True)])
    settled = reading.settle(["indicators", "descriptors"])
    assert settled.records == (Indicator("mue", "2", None, "2"), Descriptor("short", "a"))
    assert [block.block for block in settled.unmapped] == [1, 3]
    assert [warning.rule for warning in settled.warnings] == ["repeated_label", "repeated_label"]


def test_unknown_words_keep_their_text_with_a_warning_and_empty_values_give_no_row():
    blocks = [_cells("Status Code", "Synthetic", "Global Days", "")]
    reading = Reading(Page("file:x", "text", tuple(blocks)), "0748T")
    claim_pairs(reading, find_pairs(blocks[0], None, among_pairs=True))
    settled = reading.settle(["indicators"])
    assert settled.records == (Indicator("status", None, "Synthetic", "Synthetic"),)
    assert [(w.rule, w.table_name, w.row_key, w.value) for w in settled.warnings] == [
        ("unknown_value", "indicators", "status", "Synthetic")
    ]
    assert (settled.claimed, settled.unmapped) == (1, ())
