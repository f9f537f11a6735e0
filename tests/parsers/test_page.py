"""The account of a page: claimed, set aside or unmapped, and what a table not seen whole gives back."""

from __future__ import annotations

import pytest

from parsers.limits import MAX_RECORDS, LimitExceeded
from parsers.page import Block, Page, Reading, Settled
from parsers.records import Attribute, Narrative, ParseWarning

_BLOCKS = tuple(Block(i, "paragraph", f"text {i}") for i in range(4))
_NARRATIVE = Narrative("summary", 1, "text 0")
_PAYER = Attribute("payer", 1, "Aetna")


def _reading() -> Reading:
    return Reading(Page("file:x", "text", _BLOCKS), "0748T")


def _left(settled: Settled) -> list[int]:
    return [block.block for block in settled.unmapped]


def test_what_nobody_claims_is_unmapped():
    reading = _reading()
    reading.claim(_BLOCKS[0], _NARRATIVE)
    reading.set_aside(_BLOCKS[1], "site_menu")
    settled = reading.settle(["narratives"])
    assert (settled.claimed, settled.rules, _left(settled)) == (1, (("site_menu", 1),), [2, 3])


def test_site_chrome_is_set_aside_unless_it_is_claimed():
    blocks = tuple(Block(i, "paragraph", "x", chrome=True) for i in range(2))
    reading = Reading(Page("file:x", "html", blocks), "0748T")
    reading.claim(blocks[0], _NARRATIVE)
    settled = reading.settle(["narratives"])
    assert (settled.claimed, settled.rules, settled.unmapped) == (1, (("site_chrome", 1),), ())


def test_claims_on_a_table_not_seen_whole_are_given_back():
    warning = ParseWarning("list_lost", "narratives", "summary|1", "text", None, "x")
    reading = _reading()
    reading.claim(_BLOCKS[0], _NARRATIVE, warnings=[warning])
    reading.claim(_BLOCKS[1], table="indicators")
    reading.set_aside(_BLOCKS[2], "table_header")
    settled = reading.settle(["attributes"])
    assert (settled.records, settled.warnings, settled.claimed) == ((), (), 0)
    assert _left(settled) == [0, 1, 3]


def test_a_block_claimed_twice_is_unmapped_where_one_claim_is_given_back():
    reading = _reading()
    reading.claim(_BLOCKS[0], _NARRATIVE)
    reading.claim(_BLOCKS[0], _PAYER)
    assert _left(reading.settle(["narratives", "attributes"])) == [1, 2, 3]
    settled = reading.settle(["attributes"])
    assert (settled.records, _left(settled)) == ((_PAYER,), [0, 1, 2, 3])


def test_a_claim_with_records_of_two_tables_stands_or_falls_as_one():
    reading = _reading()
    reading.claim(_BLOCKS[0], [_NARRATIVE, _PAYER])
    assert reading.settle(["narratives"]).records == ()


def test_a_block_may_be_unmapped_though_it_gave_a_record():
    reading = _reading()
    reading.claim(_BLOCKS[0], _NARRATIVE)
    reading.leave_unmapped(_BLOCKS[0])
    settled = reading.settle(["narratives"])
    assert (settled.records, settled.claimed, _left(settled)) == ((_NARRATIVE,), 0, [0, 1, 2, 3])


def test_more_records_than_a_page_can_have_are_refused():
    reading = _reading()
    reading.claim(_BLOCKS[0], [Narrative("summary", i, "x") for i in range(MAX_RECORDS + 1)])
    with pytest.raises(LimitExceeded) as caught:
        reading.settle(["narratives"])
    assert (caught.value.what, caught.value.limit, caught.value.found) == ("records", MAX_RECORDS, MAX_RECORDS + 1)
