"""Indicator values: CODE - text, words alone, sentinels, and words that nobody knows."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parsers.vocabulary import INDICATOR_LABELS, _by_words, _rows, is_sentinel, read_indicator, values

_REFERENCE = Path(__file__).parents[1] / "reference"
_CLOSED = sorted({indicator for indicator, _, _ in _rows()})
_CASES = st.sampled_from([(indicator, value) for indicator in _CLOSED for value in sorted(values(indicator) or ())])


def _reference(name: str) -> list[dict[str, str]]:
    with (_REFERENCE / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _indicator(column: str) -> str:
    return "status" if column == "status_code" else column


def test_every_value_in_use_is_in_the_vocabulary():
    rows = _reference("cms_pfs_2025_oct_indicators.csv")
    columns = set(rows[0]) - {"code", "modifier", "endoscopic_base"}
    assert {_indicator(column) for column in columns} == set(_CLOSED)
    for column in columns:
        in_use = {row[column] for row in rows if row[column]}
        assert in_use <= (values(_indicator(column)) or set()), column


def test_the_words_of_every_cms_value_give_its_code():
    for row in _reference("cms_pfs_indicator_values.csv"):
        indicator, value, words = _indicator(row["indicator"]), row["value"], row["meaning"]
        assert value in (values(indicator) or ())
        for raw in (words, words.upper(), f" {words}. ".strip(), f"{value} - {words}"):
            record, known = read_indicator(indicator, raw)
            assert (record.value_code, known) == (value, True), (indicator, raw)


def test_words_mean_one_value_only():
    for indicator, value, words in _rows():
        record, _ = read_indicator(indicator, words)
        assert record.value_code == value, (indicator, words)
    assert len(_by_words()) == len({(i, v, " ".join(w.casefold().split()).rstrip(". ")) for i, v, w in _rows()})


@pytest.mark.parametrize(
    ("indicator", "raw", "code", "text", "known"),
    [
        ("global_days", "YYY - Carrier Determines", "YYY", "Carrier Determines", True),
        ("global_days", "YYY", "YYY", None, True),
        ("global_days", "QQQ", None, "QQQ", False),
        ("pctc", "0 - Physician Service Code", "0", "Physician Service Code", True),
        ("physician_supervision", "09 \u2013 Concept does not apply.", "09", "Concept does not apply.", True),
        ("physician_supervision", "6A - As 66", "6A", "As 66", True),
        ("betos", "M1B - Office visits - established", "M1B", "Office visits - established", True),
        ("ccs", "227 - Other diagnostic procedures (...)", "227", "Other diagnostic procedures (...)", True),
        ("assistant_surgeon", "0 - Payment restriction...", "0", "Payment restriction...", True),
        ("status", "Carriers Price the Code", "C", "Carriers Price the Code", True),
        ("status", "ACTIVE CODE.", "A", "ACTIVE CODE.", True),
        ("status", "Synthetic Status", None, "Synthetic Status", False),
        ("status", "A", "A", None, True),
        ("status", "Z", None, "Z", False),
        ("apc_status", "Packaged into APC Rates", None, "Packaged into APC Rates", True),
        ("type_of_service", "2 - Surgery", "2", "Surgery", True),
        ("mue", "2", "2", None, True),
        ("mue", "0", "0", None, True),
        ("mue", "many", None, "many", False),
        ("mue", "2 units", None, "2 units", False),
        ("mue", "123456", None, "123456", False),
        ("betos", "none", None, None, True),
        ("betos", "None.", None, None, True),
        ("mue", "Not applicable/unspecified.", None, None, True),
        ("status", "N/A", None, None, True),
        ("ccs", "Data not available in the input.", None, None, True),
        ("status", "=HYPERLINK(1)", None, "=HYPERLINK(1)", False),
    ],
)  # fmt: skip
def test_value_forms(indicator: str, raw: str, code: str | None, text: str | None, known: bool):
    record, is_known = read_indicator(indicator, raw)
    assert (record.indicator, record.value_code, record.value_text, record.raw_text) == (indicator, code, text, raw)
    assert is_known is known


def test_every_label_leads_to_an_indicator_of_the_contract():
    assert set(INDICATOR_LABELS.values()) == {
        *("status", "global_days", "pctc", "multiple_procedures", "bilateral_surgery", "physician_supervision"),
        *("assistant_surgeon", "co_surgeons", "team_surgery", "diagnostic_imaging_family", "apc_status"),
        *("type_of_service", "betos", "mue", "ccs"),
    }


@given(_CASES, st.text(min_size=1).map(lambda text: " ".join(text.split())).filter(bool))
def test_code_and_text_read_back_whatever_the_text(case: tuple[str, str], text: str):
    indicator, value = case
    record, known = read_indicator(indicator, f"{value} - {text}")
    assert (record.value_code, record.value_text, known) == (value, text, True)


@given(st.sampled_from(sorted(set(INDICATOR_LABELS.values()))), st.text())
def test_no_words_are_lost_and_no_code_is_guessed(indicator: str, raw: str):
    record, known = read_indicator(indicator, raw)
    assert record.raw_text == raw
    if record.value_code is None:
        assert record.value_text == raw or is_sentinel(raw)
    else:
        assert known
        allowed = values(indicator)
        assert allowed is None or record.value_code in allowed or raw.startswith(record.value_code)
