"""Notices, paragraphs whose list is lost, and sentences that say that something is absent."""

from __future__ import annotations

import pytest

from parsers.page import Block, Kind, Page, Reading
from parsers.prose import Paragraph, claim_prose, read_notice, says_absent
from parsers.records import Narrative, Notice


@pytest.mark.parametrize(
    ("text", "holder", "year"),
    [
        (
            "© Copyright 2025 American Medical Association. All rights reserved.",
            "American Medical Association",
            2025,
        ),
        ("© Copyright 2026 Coding Ahead. All rights reserved.", "Coding Ahead", 2026),
        ("(c) Copyright 2024 Coding Ahead All Rights Reserved", "Coding Ahead", 2024),
        ("Copyright © 2025 Synthetic Holder. All rights reserved.", "Synthetic Holder", 2025),
        ("© Copyright Coding Ahead. All rights reserved.", "Coding Ahead", None),
    ],
)
def test_notices(text: str, holder: str, year: int | None):
    assert read_notice(text, 3) == Notice(3, holder, year, text)


@pytest.mark.parametrize(
    "text",
    [
        "© Copyright 2025 American Medical Association.",
        "Synthetic words. © Copyright 2025 Coding Ahead. All rights reserved.",
        "All rights reserved.",
        "",
    ],
)
def test_lines_that_are_no_notice(text: str):
    assert read_notice(text, 1) is None


@pytest.mark.parametrize(
    ("sentence", "absent"),
    [
        ("Data not available in the input.", True),
        ("Data not available in the input for taxonomies, ICD-10 codes.", True),
        ("Data not available in the input: modifiers", True),
        ("Data is not provided in the input.", True),
        ("data not provided in the input for payer-specific rates", True),
        ("Missing synthetic fields are noted where applicable.", True),
        ("Synthetic data is noted where applicable", True),
        ("Synthetic data is available in the input.", False),
        ("Data not available in the inputs", False),
        ("Synthetic fields are noted.", False),
        ("", False),
    ],
)
def test_sentences_that_say_that_something_is_absent(sentence: str, absent: bool):
    assert says_absent(sentence) is absent


def _claimed(*blocks: tuple[Kind, str]) -> tuple[list[tuple[int, str]], list[str]]:
    made = [Block(i, kind, text) for i, (kind, text) in enumerate(blocks)]
    reading = Reading(Page("file:x", "text", tuple(made)), "0748T")
    claim_prose(reading, "indications", [Paragraph.of(block) for block in made])
    settled = reading.settle(["narratives"])
    assert settled.claimed == len(made)
    rows = [(r.ordinal, r.text) for r in settled.records if isinstance(r, Narrative)]
    return rows, [f"{warning.rule} {warning.row_key}" for warning in settled.warnings]


def test_a_paragraph_and_an_item_are_a_row_each():
    rows, warnings = _claimed(("paragraph", "Synthetic reasons:"), ("item", "One"), ("item", "Two"), ("paragraph", "x"))
    assert rows == [(1, "Synthetic reasons:"), (2, "One"), (3, "Two"), (4, "x")]
    assert warnings == []


def test_a_colon_that_leads_to_no_list_is_a_warning_for_each():
    rows, warnings = _claimed(
        ("paragraph", "Reasons:"), ("paragraph", "Steps:"), ("item", "An item:"), ("paragraph", "End:")
    )
    assert len(rows) == 4
    assert warnings == ["list_lost indications|1", "list_lost indications|4"]


def test_no_prose_makes_no_rows():
    assert _claimed() == ([], [])


def test_a_row_of_cells_in_prose_gives_each_cell_that_holds_words():
    block = Block(0, "row", "a | | b:", ("a", "", "b:"))
    reading = Reading(Page("file:x", "text", (block,)), "0748T")
    claim_prose(reading, "summary", [Paragraph.of(block)])
    settled = reading.settle(["narratives"])
    assert [r.text for r in settled.records if isinstance(r, Narrative)] == ["a", "b:"]
