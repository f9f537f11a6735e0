"""Law 1: every block is claimed, set aside or unmapped, and no text is dropped in silence."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parsers import ParseResult, parse
from parsers.decode import Undecodable, decode
from parsers.records import GOOD_OUTCOMES
from tests.golden import goldens
from tests.parsers.accounts import claimed_blocks, letters, letters_of, lost_words, read_page, seen_in_html
from tests.parsers.generated_pages import BLOCKS, URLS, Made, as_html, as_text, golden, mutated_goldens


def _check_account(result: ParseResult, payload: bytes, url: str) -> None:
    assert result.outcome != "failed", result.traceback
    assert result.claimed + result.set_aside + len(result.unmapped) == result.blocks
    assert sum(count for _, count in result.set_aside_rules) == result.set_aside
    assert {record.table for record in result.records} <= set(result.covered_tables)
    if result.outcome not in GOOD_OUTCOMES:
        assert not result.records
        assert not result.covered_tables
        return
    page = read_page(payload, url)
    claimed = claimed_blocks(result, page)
    assert len(claimed) == result.claimed
    assert not lost_words(claimed, result.records, str(result.code))
    texts = {block.index: block.text for block in page.blocks}
    assert all(texts[block.block] == block.text for block in result.unmapped)


def _check_seen(payload: bytes, url: str) -> None:
    page = read_page(payload, url)
    text = decode(payload)
    assert letters_of(page) == (seen_in_html(text) if page.form == "html" else letters(text))


@pytest.mark.parametrize("form", goldens.FORMS)
@pytest.mark.parametrize("case", goldens.CASES, ids=goldens.name)
def test_law_1_golden_pages_keep_every_word(case: Path, form: str):
    payload, url = golden(case, form)
    _check_account(parse(payload, url), payload, url)
    _check_seen(payload, url)


@given(BLOCKS, st.sampled_from(URLS), st.booleans())
def test_law_1_blocks_in_any_order_as_html(blocks: list[Made], url: str, whole: bool):
    payload = as_html(blocks, whole=whole).encode()
    _check_account(parse(payload, url), payload, url)
    _check_seen(payload, url)


@given(BLOCKS, st.sampled_from(URLS))
def test_law_1_blocks_in_any_order_as_text(blocks: list[Made], url: str):
    payload = as_text(blocks).encode()
    _check_account(parse(payload, url), payload, url)
    _check_seen(payload, url)


@given(mutated_goldens())
def test_law_1_mutated_golden_pages(page: tuple[bytes, str]):
    payload, url = page
    _check_account(parse(payload, url), payload, url)


@given(mutated_goldens(between_tags=True))
def test_law_1_every_letter_of_a_mutated_golden_is_in_some_block(page: tuple[bytes, str]):
    payload, url = page
    try:
        _check_seen(payload, url)
    except Undecodable:
        assert parse(payload, url).outcome == "rejected"


@given(st.binary(max_size=400) | st.text(max_size=400).map(lambda text: text.encode("utf-16")), st.sampled_from(URLS))
def test_law_1_any_bytes_end_in_an_outcome(payload: bytes, url: str):
    _check_account(parse(payload, url), payload, url)
