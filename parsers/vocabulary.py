"""CMS payment indicators: the labels that pages write, the values that CMS defines, and the words for them.

Values: CMS Physician Fee Schedule, National Payment Amount file (the record layout's indicator fields), in
``cms_indicators.csv``: one row for each wording of a value.
"""

from __future__ import annotations

import csv
import re
from functools import cache
from importlib import resources

from parsers.records import Indicator
from parsers.words import fold

# Label on the page -> `indicators.indicator`, or the descriptor kind that it is.
INDICATOR_LABELS = {
    "Status Code": "status",
    "Global Days": "global_days",
    "PC/TC Indicator (26, TC)": "pctc",
    "Multiple Procedures (51)": "multiple_procedures",
    "Bilateral Surgery (50)": "bilateral_surgery",
    "Physician Supervisions": "physician_supervision",
    "Physician Supervision": "physician_supervision",
    "Assistant Surgeon (80, 82)": "assistant_surgeon",
    "Co-Surgeons (62)": "co_surgeons",
    "Team Surgery (66)": "team_surgery",
    "Diagnostic Imaging Family": "diagnostic_imaging_family",
    "APC Status Indicator": "apc_status",
    "Type of Service (TOS)": "type_of_service",
    "Berenson-Eggers TOS (BETOS)": "betos",
    "MUE": "mue",
    "CCS Clinical Classification": "ccs",
}

# Words that say that there is no value. Ex: "none", "Not applicable/unspecified.", "Data not available in the input."
_SENTINEL = re.compile(
    r"none|n/?a|-|not applicable(?:/unspecified)?|unspecified|data not (?:available|provided)\b.*",
    re.IGNORECASE,
)
# Ex: "YYY - Carrier Determines Whether Global Concept Applies", "M1B - Office visits - established", "09 – Concept"
_CODE_AND_TEXT = re.compile(r"(?P<code>[0-9A-Z]{1,4})\s*[-–—]\s+(?P<text>.+)")
# Ex: "YYY", "09", alone
_CODE_ALONE = re.compile(r"[0-9A-Z]{1,3}")
_NUMBER = re.compile(r"[0-9]{1,5}")


def read_indicator(indicator: str, raw: str) -> tuple[Indicator, bool]:
    """The record of ``raw``, and whether its words are known.

    ``CODE - text`` gives its code; words alone are looked up; words that nobody knows keep their text and get no code.
    """
    if is_sentinel(raw):
        return Indicator(indicator, None, None, raw), True
    if indicator == "mue":
        is_number = _NUMBER.fullmatch(raw) is not None
        return Indicator(indicator, raw if is_number else None, None if is_number else raw, raw), is_number
    if match := _CODE_AND_TEXT.fullmatch(raw):
        return Indicator(indicator, match["code"], match["text"], raw), True
    allowed = values(indicator)
    if allowed is None:
        return Indicator(indicator, None, raw, raw), True
    if _CODE_ALONE.fullmatch(raw) and raw in allowed:
        return Indicator(indicator, raw, None, raw), True
    code = _by_words().get((indicator, _words_key(raw)))
    return Indicator(indicator, code, raw, raw), code is not None


def is_sentinel(text: str) -> bool:
    return _SENTINEL.fullmatch(text.rstrip(". ")) is not None


def values(indicator: str) -> frozenset[str] | None:
    """The codes that CMS defines for ``indicator``, or None where it has no closed list here."""
    return _values().get(indicator)


@cache
def _rows() -> tuple[tuple[str, str, str], ...]:
    text = (resources.files("parsers") / "cms_indicators.csv").read_text("utf-8")
    return tuple((r["indicator"], r["value"], r["words"]) for r in csv.DictReader(text.splitlines()))


@cache
def _values() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for indicator, value, _ in _rows():
        found.setdefault(indicator, set()).add(value)
    return {indicator: frozenset(values) for indicator, values in found.items()}


@cache
def _by_words() -> dict[tuple[str, str], str]:
    return {(indicator, _words_key(words)): value for indicator, value, words in _rows()}


def _words_key(words: str) -> str:
    return fold(words).rstrip(". ")
