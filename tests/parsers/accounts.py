"""What became of each block of a page (law 1), and what a reader sees of the page, found without our block reader."""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections import Counter
from html.parser import HTMLParser

from parsers.decode import decode
from parsers.html_blocks import read_html
from parsers.limits import Deadline
from parsers.page import Block, Page, Reading
from parsers.parse import _is_html
from parsers.recognise import recognise
from parsers.records import ParseResult, Record
from parsers.text_blocks import read_text


def read_page(payload: bytes, url: str) -> Page:
    """The blocks of a page, as `parsers.parse` reads them."""
    text = decode(payload)
    return (read_html if _is_html(text) else read_text)(text, url, Deadline())


def claimed_blocks(result: ParseResult, page: Page) -> tuple[Block, ...]:
    """The blocks that the records of a good result were made of: a `ParseResult` only counts them."""
    assert result.code is not None
    reading = Reading(page, result.code)
    recognise(page).read(reading)
    claims = [claim for claim in reading._claims if claim.tables <= set(result.covered_tables)]
    claimed = {block.index for claim in claims for block in claim.blocks} - {block.block for block in result.unmapped}
    return tuple(block for block in page.blocks if block.index in claimed)


# Words that a claimed block may hold and its record not: the labels, since a column or a kind stands for them.
LABEL = re.compile(
    r"^(?:(?:short|medium|long) descr|status code|global days|pc/tc indicator \(26, tc\)|multiple procedures \(51\)"
    r"|bilateral surgery \(50\)|physician supervisions?|assistant surgeon \(80, 82\)|co-surgeons \(62\)"
    r"|team surgery \(66\)|diagnostic imaging family|apc status indicator|type of service \(tos\)"
    r"|berenson-eggers tos \(betos\)|mue|ccs clinical classification)(?!\w)"
    r"|^(?:common names?|technical terms?|name of the procedure|procedure name|procedure description"
    r"|description of the procedure|(?:risks and )?complications|post-procedure(?: care)?|follow-up|patient experience)"
    r"\s*(?::|$)|^(?:cpt-?4|hcpcs) code\s*:?$"
    r"|\bservice type\b|\b(?:typical )?sites? of service\b|^(?:cpt|hcpcs)\W*(?:code)?\W+(?=[0-9A-V])|^modifier\s+",
    re.IGNORECASE,
)


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def lost_words(claimed: tuple[Block, ...], records: tuple[Record, ...], code: str) -> Counter[str]:
    """Words of claimed blocks that no record holds, labels and the page's own code aside."""
    held = Counter(word for record in records for word in words(_text_of(record)))
    held.update([code.casefold()] * 1000)
    plain = (_plain(part) for block in claimed for part in block.parts)
    return Counter(word for part in plain for word in words(_without_spaced_code(LABEL.sub(" ", part), code))) - held


def _plain(text: str) -> str:
    """``text`` as labels are compared: one kind of hyphen, one kind of space."""
    return re.sub(r"[\u2010-\u2015]", "-", text)


def _without_spaced_code(text: str, code: str) -> str:
    """Ex, for 1001T: "1001 T: Synthetic title" -> ": Synthetic title"."""
    return re.sub(r"^\s*" + r"\s?".join(code) + r"\b", " ", text, flags=re.IGNORECASE)


def _text_of(record: Record) -> str:
    values = (getattr(record, f.name) for f in dataclasses.fields(record) if f.name not in ("ordinal", "value_text"))
    return _plain(" ".join(str(value) for value in values if value is not None))


class _Seen(HTMLParser):
    """The characters of a page's text in reading order, by the parser of the standard library."""

    UNSEEN = frozenset("script style template svg iframe title object audio video".split())

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.hidden: list[str] = []
        self.parts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self.UNSEEN and self.hidden[-1:] != ["title"]:  # a title holds text alone, whatever it looks like
            self.hidden.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        if tag in self.hidden:
            while self.hidden.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.parts.append(data)


def seen_in_html(markup: str) -> str:
    """The letters and digits that a reader sees, in order."""
    seen = _Seen()
    seen.feed(re.sub(r"<[a-zA-Z/!][^<>]*\Z", "", markup))  # a page cut inside a tag does not show the tag
    seen.close()
    return letters("".join(seen.parts))


def letters(text: str) -> str:
    """``text`` without spaces, punctuation and invisible characters: how words are set apart does not count."""
    kept = "".join(c for c in text if unicodedata.category(c) not in ("Cf", "Cc"))
    return "".join(re.findall(r"\w", unicodedata.normalize("NFC", kept)))


def letters_of(page: Page) -> str:
    return letters("".join(part for block in page.blocks for part in block.parts))
