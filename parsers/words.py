"""Text as records hold it, and text as labels are compared."""

from __future__ import annotations

import re
import unicodedata

# Ex: "Global\u00adDays", "\ufeffSummary", "07\u200b48T"; the bidi controls can make a reader see another text.
_INVISIBLE = "\u00ad\u061c\u180e\u200b\u200c\u200d\u200e\u200f\u2060\u2061\u2062\u2063\u2064\ufeff"
_BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_DROPPED = dict.fromkeys(map(ord, _INVISIBLE + _BIDI))
_CONTROLS = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)], " ")
_SURROGATES = dict.fromkeys(range(0xD800, 0xE000), "\ufffd")
_TABLE = {**_CONTROLS, **_DROPPED, **_SURROGATES, 0x2028: " ", 0x2029: " "}

_HYPHENS = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"), "-")
_QUOTES = {
    **dict.fromkeys(map(ord, "\u2018\u2019\u201b"), "'"),
    **dict.fromkeys(map(ord, "\u201c\u201d"), '"'),
}
_MARKS = dict.fromkeys(map(ord, "®™*"))
_FOLD = {**_HYPHENS, **_QUOTES, **_MARKS}


def clean(text: str) -> str:
    """NFC, white space runs to one space, invisible and control characters gone; all else as written."""
    if not text.isprintable():  # a fast way out: most text needs no table
        text = text.translate(_TABLE)
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)  # last: an invisible character may part a letter from its accent
    return " ".join(text.split())


def fold(text: str) -> str:
    """``text`` for comparing labels: one case, plain hyphens and quotes, no ®, no colon at its end."""
    if not text.isascii():
        text = text.translate(_FOLD)
    return " ".join(text.replace("*", "").casefold().split()).rstrip(": ")


_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"'“‘(])")


def sentences(text: str) -> list[str]:
    """Sentences, split where an end mark is followed by a capital."""
    return _SENTENCE_END.split(text)


# Ex: 'Synthetic words."', "(see above)."; not "1.", nor "up to 2." that may go on as "up to 2.5 mg"
_ENDS_SENTENCE = re.compile(r"[^\W\d_][\"'”’)\]%]*[.!?][\"'”’)\]]*$")


def ends_sentence(text: str) -> bool:
    """Whether ``text`` ends with an end mark behind a word, closing quotes and brackets aside."""
    return _ENDS_SENTENCE.search(text) is not None
