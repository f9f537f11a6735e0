"""Text extracts to blocks: lines, bullets, headings, and tables written with bars."""

from __future__ import annotations

import pytest

from parsers.page import Block
from tests.parsers.reading import shown, text_page


def _cells(blocks: tuple[Block, ...]) -> list[tuple[str, ...]]:
    return [block.cells for block in blocks]


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("One\ntwo\r\nthree\rfour", [("paragraph", "One"), ("paragraph", "two"), ("paragraph", "three"), "four"]),
        ("One\x0ctwo\u2028three", ["One two three"]),  # no line ends to those who wrote them
        ("  One\u00a0 two\t", ["One two"]),
        ("\ufeffOne", ["One"]),
        ("\n\n \u200b\n", []),
        ("- One\n* two\n• three\n◦ four", [("item", "One"), ("item", "two"), ("item", "three"), ("item", "four")]),
        ("-\nOne\ntwo", [("item", "One"), "two"]),
        ("•\n\nOne", [("item", "One")]),
        ("  •\tTerm text", [("item", "Term text")]),
        ("-5 degrees", ["-5 degrees"]),
        ("-One", ["-One"]),
        ("-----\nOne\n* * *\n____\n***", ["One"]),
        ("## One\n# two #\n###### three ###", [("heading", "One"), ("heading", "two"), ("heading", "three")]),
        ("#5 of 7", ["#5 of 7"]),
        ("# C #\n# #\n#", [("heading", "C"), "#"]),
        ("**Bold** [link](http://x)", ["**Bold** [link](http://x)"]),
    ],
)
def test_lines_bullets_and_headings(text: str, blocks: list[str | tuple[str, str]]):
    expected = [block if isinstance(block, tuple) else ("paragraph", block) for block in blocks]
    assert shown(text_page(text).blocks) == expected


@pytest.mark.parametrize("url", ["file:page.md", "https://x.org/page.MD#code=0748T"])
def test_markdown_files_lose_their_marks(url: str):
    page = text_page("**Headline:** Synthetic __text__ [Coding tools](/tools) ![a picture](x.png)\n2 ** 3 [x]", url)
    assert [block.text for block in page.blocks] == [
        "Headline: Synthetic text Coding tools a picture",
        "2 ** 3 [x]",
    ]


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ("Global Days | XXX |", [("Global Days", "XXX")]),
        ("| Global Days | XXX |", [("Global Days", "XXX")]),
        ("Global Days | XXX", [("Global Days", "XXX")]),
        ("Global Days\t|\tXXX\t|", [("Global Days", "XXX")]),
        ("Short Descr | a | Long Descr | b |", [("Short Descr", "a", "Long Descr", "b")]),
        ("2013-01-01 | Changed | |", [("2013-01-01", "Changed", "")]),
        ("a \\| b | c |", [("a | b", "c")]),
        ("a | b \\|", [("a", "b |")]),
        ("| a |", [("a",)]),
        ("| | |\n||", []),
        ("a | b\n---|---\nc | d", [("a", "b"), ("c", "d")]),
        ("| a | b |\n|---|---|\n| c | d |", [("a", "b"), ("c", "d")]),
        ("| a | b |\n| :--- | ---: |\n| c | d |", [("a", "b"), ("c", "d")]),
        # A header split over lines, as extractors write cells that hold blocks:
        ("Date\n|\nAction\n|\nNotes\n|\n---|---|---|\n1 | 2 | 3 |", [("Date", "Action", "Notes"), ("1", "2", "3")]),
        ("|\nDate\n|\nAction\n|\n---|---|\n1 | 2 |", [("Date", "Action"), ("1", "2")]),
        ("a | b |\n---|---|\n1\n|\n2\n|\n3\n|\n4\n|", [("a", "b"), ("1", "2"), ("3", "4")]),
        ("Date\n|\n\n|\nNotes\n|\n---|---|---|", [("Date", "", "Notes")]),
    ],
)
def test_rows_with_bars(text: str, cells: list[tuple[str, ...]]):
    assert _cells(text_page(text).blocks) == cells


def test_rows_and_pairs_are_told_by_their_cells():
    assert [block.kind for block in text_page("a | b |\nc | d | e |\nf |").blocks] == ["pair", "row", "row"]


def test_a_row_reads_the_same_as_in_html():
    assert text_page("a | | c |").blocks[0].text == "a | | c"


def test_tables_are_numbered_by_their_headers():
    text = "a | b |\nc | d |\nHead | er |\n---|---|\ne | f |\nA line.\ng | h |"
    assert [(block.text, block.table) for block in text_page(text).blocks] == [
        ("a | b", 1),
        ("c | d", 1),
        ("Head | er", 2),
        ("e | f", 2),
        ("A line.", 0),
        ("g | h", 3),
    ]


_TABLE = "| Modifier | Description | When to Use |\n|---|---|---|\n| 25 | a | b |\n"


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        (_TABLE, False),
        (_TABLE + "| 59 | a | b |", False),
        (_TABLE + "| 59 | a | b", True),
        (_TABLE + "| 59 | a |", True),
        (_TABLE + "| 59", True),
        (_TABLE + "|", True),
        (_TABLE + "59 |", True),
        ("Modifier | Description\n---|---\n25 | a\n59 | b", False),
        ("Modifier | Description\n---|---\n25 | a\n59 |", True),
        ("Modifier | Description\n---|---\n25 |", True),
        ("Global Days | XXX |\nMUE | 2 |\nCCS | 1", True),
        ("Global Days | XXX |\nMUE | 2 |\nCCS | 1 |", False),
        ("Global Days | XXX |", False),
        ("Global Days | XXX", False),  # nothing tells
        (_TABLE + "| 59 |\nA line after it.", False),
        ("Date\n|\nAction\n|\n---|---|\n1\n|\n2\n|", False),
    ],
)
def test_a_last_row_cut_short_is_known_by_its_missing_cells_or_bar(text: str, cut: bool):
    assert text_page(text).truncated is cut
