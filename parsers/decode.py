"""Bytes to text: what the bytes are decides, not what the page says of itself."""

from __future__ import annotations

import codecs
import re

from bs4.dammit import EncodingDetector

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark is its beginning
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_BINARY = (
    (b"%PDF-", "a PDF file"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "gzip data"),
    (b"\x28\xb5\x2f\xfd", "zstd data"),
    (b"\x89PNG", "a PNG picture"),
    (b"GIF8", "a GIF picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"PAR1", "a Parquet file"),
)
_MAX_BAD_SHARE = 0.02
_MAX_REPAIRS = 10_000  # bytes of a page that are repaired one by one; a page with more is Windows-1252 throughout
# Charsets that a page's word is taken for. Not UTF-8, Latin-1 and Windows-1252, which the bytes tell; nor Python's
# other codecs, some of which interpret what they decode (unicode_escape) or take quadratic time (punycode).
_CHARSET = re.compile(
    r"windows-125[013-8]|iso-8859-(?:[2-9]|1[0-6])|koi8-[ru]|gbk|gb18030|big5|euc-(?:jp|kr)|shift_jis", re.IGNORECASE
)


class Undecodable(Exception):
    """The bytes are not text."""


def _as_windows_1252(error: UnicodeError) -> tuple[str, int]:
    # Ex: b"provider\x92s" in a page that says UTF-8
    assert isinstance(error, UnicodeDecodeError)
    return error.object[error.start : error.end].decode("cp1252", "replace"), error.end


codecs.register_error("cptflow-cp1252", _as_windows_1252)


def decode(payload: bytes) -> str:
    """The text of a page. Raises `Undecodable` for bytes that are no text in any way that we know."""
    for mark, what in _BINARY:
        if payload.startswith(mark):
            raise Undecodable(f"not text but {what}")
    for mark, encoding in _BOMS:
        if payload.startswith(mark):
            return _checked(payload.decode(encoding, "replace"))
    if payload.count(0) > len(payload) * _MAX_BAD_SHARE:
        raise Undecodable(f"not text: {payload.count(0)} of {len(payload)} bytes are NUL")
    try:
        return payload.decode("utf-8")
    except UnicodeDecodeError:
        pass
    declared = EncodingDetector.find_declared_encoding(payload[:4096], is_html=True) or ""
    if _CHARSET.fullmatch(declared):
        try:
            return _checked(payload.decode(declared))
        except UnicodeError:
            pass
    if payload.decode("utf-8", "replace").count("\ufffd") > _MAX_REPAIRS:
        return _checked(payload.decode("cp1252", "replace"))
    return _checked(payload.decode("utf-8", "cptflow-cp1252"))


def _checked(text: str) -> str:
    bad = text.count("\ufffd") + sum(map(text.count, _C1))
    if bad > max(3, len(text) * _MAX_BAD_SHARE):
        raise Undecodable(f"not text: {bad} of {len(text)} characters cannot be decoded")
    return text


_C1 = [chr(c) for c in (0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06)]
