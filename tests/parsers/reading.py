"""Short ways to read a fragment of a page in a test."""

from __future__ import annotations

from parsers.html_blocks import read_html
from parsers.limits import Deadline
from parsers.page import Block, Page
from parsers.text_blocks import read_text

URL = "https://www.codingahead.com/cpt/codes/0748T"


def html_page(markup: str) -> Page:
    return read_html(markup, URL, Deadline())


def text_page(text: str, url: str = URL) -> Page:
    return read_text(text, url, Deadline())


def shown(blocks: tuple[Block, ...]) -> list[tuple[str, str]]:
    """Kind and text of each block, the cells of a row between bars."""
    return [(block.kind, block.text) for block in blocks]
