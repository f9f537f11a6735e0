"""Bytes to text: what the bytes are decides, not what the page says of itself."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parsers.decode import Undecodable, decode

_TEXT = "Synthetic caf\u00e9 \u2014 \u201cquoted\u201d \u00ae \u2011 " * 5


@pytest.mark.parametrize(
    "payload",
    [
        _TEXT.encode(),
        codecs.BOM_UTF8 + _TEXT.encode(),
        _TEXT.encode("utf-16"),
        codecs.BOM_UTF16_BE + _TEXT.encode("utf-16-be"),
        _TEXT.encode("utf-32"),
        codecs.BOM_UTF32_BE + _TEXT.encode("utf-32-be"),
        b'<meta charset="windows-1252">' + _TEXT.encode(),
    ],
    ids=["utf-8", "utf-8 bom", "utf-16", "utf-16-be", "utf-32", "utf-32-be", "utf-8 that says windows-1252"],
)
def test_unicode_in_its_forms(payload: bytes):
    assert decode(payload).removeprefix('<meta charset="windows-1252">') == _TEXT


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (b"<meta charset=utf-8> provider\x92s \x97 caf\xe9", "<meta charset=utf-8> provider\u2019s \u2014 caf\u00e9"),
        (b"caf\xc3\xa9 and caf\xe9", "caf\u00e9 and caf\u00e9"),  # both in one page
        (b"cut in a letter: caf\xc3", "cut in a letter: caf\u00c3"),
        (b'<meta charset="iso-8859-15"> \xa4', '<meta charset="iso-8859-15"> \u20ac'),
        (b'<meta charset="windows-1251"> \xcf\xf0', '<meta charset="windows-1251"> \u041f\u0440'),
        (b'<meta charset="iso-8859-1"> \x93x\x94', '<meta charset="iso-8859-1"> \u201cx\u201d'),
        (b"\xed\xa0\x80 lone surrogate", "\u00ed\xa0\u20ac lone surrogate"),
        (b"", ""),
    ],
)
def test_bytes_that_are_no_utf_8(payload: bytes, text: str):
    assert decode(payload) == text


@pytest.mark.parametrize(
    "name",
    [
        "punycode",
        "idna",
        "unicode_escape",
        "raw_unicode_escape",
        "utf-7",
        "rot13",
        "zlib",
        "undefined",
        "nonsense",
        "x" * 500,
    ],
)
def test_law_10_a_page_chooses_no_decoder_that_is_no_charset(name: str):
    payload = f'<meta charset="{name}"> \\u0041 caf'.encode() + b"\xe9"
    assert decode(payload).endswith("\\u0041 caf\u00e9")


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"%PDF-1.7 x", "a PDF file"),
        (b"PK\x03\x04 x", "a ZIP archive"),
        (b"\x1f\x8b\x08 x", "gzip data"),
        (b"\x89PNG\r\n", "a PNG picture"),
        (b"\x00" * 100, "100 of 100 bytes are NUL"),
        ("Synthetic".encode("utf-16-le"), "9 of 18 bytes are NUL"),  # with no mark of its order
        (b"\x81\x8d\x01\x02\x03" * 50, "characters cannot be decoded"),
        (codecs.BOM_UTF16_LE + b"\x00\xd8" * 50, "characters cannot be decoded"),
    ],
)
def test_bytes_that_are_no_text(payload: bytes, reason: str):
    with pytest.raises(Undecodable, match=reason):
        decode(payload)


@given(st.binary() | st.text().map(lambda text: text.encode("utf-16")) | st.text().map(str.encode))
def test_any_bytes_are_text_or_undecodable(payload: bytes):
    try:
        text = decode(payload)
    except Undecodable:
        return
    text.encode()  # no lone surrogates


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
@pytest.mark.parametrize("missing", [1, 2, 3])
def test_a_wide_text_cut_inside_a_character_is_read_to_there(encoding: str, missing: int):
    assert decode(_TEXT.encode(encoding)[:-missing]).startswith(_TEXT[:-2])
