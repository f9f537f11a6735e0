"""The same page in another dress gives the same records: Unicode form, line ends, spaces, bytes."""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parsers import parse
from parsers.decode import decode
from tests.golden import goldens
from tests.parsers.generated_pages import golden


def _outside_tags(markup: str, change: Callable[[str], str]) -> str:
    """``change`` every run of text between tags; scripts, styles and comments stay."""
    parts = re.split(r"(?s)(<(?:script|style)\b.*?</(?:script|style)>|<!--.*?-->|<[^<>]*>)", markup)
    return "".join(part if i % 2 else change(part) for i, part in enumerate(parts))


def _each_line(text: str, change: Callable[[str], str]) -> str:
    return "\n".join(change(line) for line in text.split("\n"))


def _changed(text: str, form: str, change: Callable[[str], str]) -> str:
    return _outside_tags(text, change) if form == "html" else _each_line(text, change)


DRESSES: dict[str, Callable[[str, str], bytes]] = {
    "NFD": lambda text, form: _changed(text, form, lambda t: unicodedata.normalize("NFD", t)).encode(),
    "CRLF": lambda text, form: re.sub(r"\r?\n", "\r\n", text).encode(),
    "CR": lambda text, form: re.sub(r"\r?\n", "\r", text).encode(),
    "tabs": lambda text, form: _changed(text, form, lambda t: re.sub(r"(?<=\S) (?=\S)", "\t", t)).encode(),
    "non-breaking spaces": lambda text, form: _changed(
        text, form, lambda t: re.sub(r"(?<=\S) (?=\S)", "\u00a0", t)
    ).encode(),
    "zero-width spaces": lambda text, form: _changed(
        text, form, lambda t: re.sub(r"&\w+;|(?<=[a-z])(?=[a-z])", lambda m: m[0] or "\u200b", t)
    ).encode(),
    "soft hyphens": lambda text, form: _changed(
        text, form, lambda t: re.sub(r"&\w+;|(?<=[a-z]{3})(?=ing|er)", lambda m: m[0] or "\u00ad", t)
    ).encode(),
    "a BOM": lambda text, form: codecs.BOM_UTF8 + text.removeprefix("\ufeff").encode(),
    "UTF-16": lambda text, form: text.removeprefix("\ufeff").encode("utf-16"),
    "space at line ends": lambda text, form: re.sub(r"\r?\n", "  \n", text).encode(),
    "blank lines": lambda text, form: (
        text.encode() if form == "html" else re.sub(r"(?<=[.])\r?\n", "\n\n", text).encode()
    ),
    "spaces at both ends": lambda text, form: f"\n  {text.removeprefix(chr(0xFEFF))}\n\n".encode(),
}
_CASES = [(case, form) for case in goldens.CASES for form in goldens.FORMS]


def _check(case: Path, form: str, dress: str) -> None:
    payload, url = golden(case, form)
    before = parse(payload, url)
    after = parse(DRESSES[dress](decode(payload), form), url)
    assert goldens.as_json(after) == goldens.as_json(before)


@pytest.mark.parametrize("dress", DRESSES)
@pytest.mark.parametrize(
    "name", ["codingahead/full_recall", "codingahead/clean_bars", "openpayer/all_tables", "openpayer/plain_headers"]
)
@pytest.mark.parametrize("form", goldens.FORMS)
def test_a_page_in_another_dress_gives_the_same(name: str, form: str, dress: str):
    _check(goldens.ROOT / name, form, dress)


@given(st.sampled_from(_CASES), st.sampled_from(sorted(DRESSES)))
def test_any_golden_in_another_dress_gives_the_same(golden_form: tuple[Path, str], dress: str):
    _check(*golden_form, dress)


@pytest.mark.full
@pytest.mark.parametrize("dress", DRESSES)
def test_every_golden_in_another_dress_gives_the_same(dress: str):
    for case, form in _CASES:
        _check(case, form, dress)
