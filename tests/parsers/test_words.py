"""Text as records hold it, and text as labels are compared."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parsers.words import clean, fold, sentences


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("  Global\u00a0Days\t XXX \r\n", "Global Days XXX"),
        ("\ufeffSummary", "Summary"),
        ("07\u200b48T", "0748T"),
        ("speci\u00adfications", "specifications"),
        ("Crohn\u2019s \u2013 non\u2011breaking\u00ae", "Crohn\u2019s \u2013 non\u2011breaking\u00ae"),
        ("caf\u0065\u0301", "caf\u00e9"),
        ("caf\u0065\u200b\u0301", "caf\u00e9"),  # an invisible character between a letter and its accent
        ("two\x00words", "two words"),
        ("two\x1b[31mwords", "two [31mwords"),
        ("one\u2028line\u2029here\u0085now", "one line here now"),
        ("\u202eevil\u202c \u2066x\u2069", "evil x"),
        ("a\ud800b", "a\ufffdb"),
        ("", ""),
    ],
)
def test_clean_gives_text_as_records_hold_it(raw: str, text: str):
    assert clean(raw) == text


@given(st.text() | st.text(alphabet="e\u0301\u200b\u00ad \t\n\x00|"))
def test_clean_is_idempotent_and_leaves_nothing_invisible(raw: str):
    text = clean(raw)
    assert clean(text) == text
    assert text == unicodedata.normalize("NFC", text)
    assert not {unicodedata.category(c) for c in text} & {"Cc", "Cs"}
    assert "  " not in text
    assert text == text.strip()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Co\u2011Surgeons (62):", "co-surgeons (62)"),
        ("**Headline:**", "headline"),
        ("What\u2019s  New", "what's new"),
        ("CPT\u00ae Code", "cpt code"),
        ("SUMMARY & OVERVIEW ", "Summary & Overview"),
    ],
)
def test_labels_that_a_reader_takes_for_the_same_fold_to_the_same(one: str, other: str):
    assert fold(one) == fold(other)


def test_sentences_end_where_a_capital_follows():
    text = "Synthetic one (e.g. this). Synthetic two! \u201cThree?\u201d Four; it goes on. and on."
    assert sentences(text) == [
        "Synthetic one (e.g. this).",
        "Synthetic two!",
        "\u201cThree?\u201d Four; it goes on. and on.",
    ]
    assert " ".join(sentences(text)) == text
