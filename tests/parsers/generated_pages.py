"""Strategies: pages made of blocks in any order, and golden pages that something happened to."""

from __future__ import annotations

import html
import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from hypothesis import strategies as st

from tests.golden import goldens

URLS = (
    "https://www.codingahead.com/cpt/codes/0748T",
    "https://www.openpayer.com/billing-codes/cpt-1001t-synthetic",
    "https://genhealth.ai/code/cpt4/0748T-synthetic",
    "https://www.example.org/0748T",
    "file:pages/0748T.html",
)

_WORDS = st.lists(
    st.sampled_from(
        "Synthetic test step joint 59 99213 0748T 1001T Medicare Aetna payers the CPT® Code and described by Procedure "
        "Post-procedure see 2023-01-01 none – é <b> & =1+1 ../x 'quoted' a:".split()
    ),
    min_size=1,
    max_size=12,
).map(" ".join)
_LINES = st.sampled_from(
    [
        "Official Description",
        "Common Language Description",
        "1. Indications",
        "2. Procedure",
        "3. Post-Procedure",
        "© Copyright 2025 American Medical Association. All rights reserved.",
        "© Copyright 2025 Coding Ahead. All rights reserved.",
        "7 code page views remaining today",
        "Code deleted, see 0749T and 0750T",
        "Code deleted. For synthetic steps, use 33361-33366",
        "Get instant expert-level medical coding assistance.",
        "Create a free account to unlock this content",
        "Synthetic words of CasePilot",
        "CPT 1001T: Synthetic Title",
        "CPT® Code 0748T",
        "Summary & Overview",
        "Billing Code Overview",
        "Clinical & Coding Specifications",
        "Clinical Context",
        "Coding Specifications",
        "Modifiers",
        "Provider Taxonomies",
        "Related CPT Codes",
        "Data not available in the input.",
        "Data not available in the input for ICD-10 codes. Synthetic more.",
        "Service type: Synthetic type. Typical site of service: Synthetic place.",
        "Service Type:",
        "Typical site of service",
        "Why it matters:",
        "Headline: Synthetic head.",
        "Payers are Cigna, United Healthcare, and Medicare.",
        "Synthetic steps are these:",
        "The procedure begins with a synthetic step.",
        "Post-procedure care is synthetic.",
        "CPT4 code",
        "HCPCS code",
        "CPT4 code: 0748T",
        "Name of the Procedure:",
        "Common Name: Synthetic step",
        "Technical Term",
        "Summary",
        "Purpose: Synthetic purpose.",
        "Procedure Description",
        "Personnel",
        "Risks and Complications",
        "Cost and Coverage",
        "© Copyr",
        "Just a moment...",
        "Log in to continue",
    ]
)
_LABELS = st.sampled_from(
    [
        "Short Descr",
        "Long Descr",
        "Status Code",
        "Global Days",
        "PC/TC Indicator (26, TC)",
        "Co-Surgeons (62)",
        "MUE",
        "Service type",
        "Common Name",
        "Risks",
        "Modifier",
        "ICD-10 Code",
        "Related Code",
        "Date",
    ]
)
_VALUES = st.sampled_from(
    ["Active Code", "XXX - Global Concept Does Not Apply", "0 - x", "none", "2", "99213", "G0008", "A00.1", "25", ""]
)
_HEADERS = st.sampled_from(
    [
        ("Date", "Action", "Notes"),
        ("Modifier", "Description", "When to Use"),
        ("Taxonomy Code", "Description"),
        ("Related Code", "Description", "When to Use"),
        ("ICD-10 Code", "Descriptor", "Description"),
        ("Code", "Description"),
    ]
)
_CELLS = _WORDS | _VALUES | st.sampled_from(["2023-01-01", "Added", "Changed", "Deleted", "not a date"])


@dataclass(frozen=True)
class Made:
    """A block to be written in either form: one text, or the rows of a table."""

    kind: str
    text: str = ""
    rows: tuple[tuple[str, ...], ...] = ()


_TEXTS = st.builds(Made, st.sampled_from(["heading", "paragraph", "item"]), _LINES | _WORDS)
_PAIRS = st.builds(lambda k, v: Made("pairs", rows=((k, v),)), _LABELS, _VALUES | _WORDS)
_TABLES = st.builds(
    lambda header, rows: Made("table", rows=(header, *rows)),
    _HEADERS,
    st.lists(st.lists(_CELLS, min_size=1, max_size=4).map(tuple), max_size=4),
)
BLOCKS = st.lists(_TEXTS | _PAIRS | _TABLES, max_size=30)


def as_html(blocks: list[Made], *, whole: bool = True) -> str:
    parts = [_html_of(block) for block in blocks]
    return "<!doctype html><html><body>" + "\n".join(parts) + ("</body></html>" if whole else "")


def _html_of(block: Made) -> str:
    cells = [[html.escape(cell) for cell in row] for row in block.rows]
    if block.kind == "pairs":
        return "".join(f"<div><div>{key}</div><div>{value}</div></div>" for key, value in cells)
    if block.kind == "table":
        return f"<table>{''.join('<tr><td>' + '</td><td>'.join(row) + '</td></tr>' for row in cells)}</table>"
    tag = {"heading": "h2", "paragraph": "p", "item": "li"}[block.kind]
    return f"<{tag}>{html.escape(block.text)}</{tag}>"


def as_text(blocks: list[Made]) -> str:
    return "\n".join(_text_of(block) for block in blocks)


def _text_of(block: Made) -> str:
    rows = [" | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in block.rows]
    if block.kind == "pairs":
        return "\n".join(rows)
    if block.kind == "table":
        return "\n".join([rows[0], "---|" * len(block.rows[0]), *rows[1:]])
    return {"heading": "## ", "paragraph": "", "item": "- "}[block.kind] + block.text


@cache
def golden(case: Path, form: str) -> tuple[bytes, str]:
    """A golden page and its url."""
    url = json.loads((case / "case.json").read_text("utf-8"))["url"]
    return (case / f"page.{form}").read_bytes(), url


_NOISE = st.sampled_from(
    "<p> </p> <div> </div> <table> </table> <tr><td> <li> <br> <b> </b> <dl><dt> <form> &amp; &#0; &lt; | --- # - * ** "
    "\n \r\n \t \x00 \x1b \xa0 \u200b \u202e é 99213 CPT Date Modifier <i>x</i> <!--x--> <script>x</script>".split(" ")
)
# What hides the rest of a page, or joins with it: there two ways to repair a page may differ.
_BROKEN = st.sampled_from(["<svg>", "</svg>", "<script>", "<!--", "<", ">", "<a b='", "<![CDATA[", "<style>"])


_OPAQUE = re.compile(rb"(?s)<(script|style|svg|noscript)\b.*?</\1>|<!--.*?-->|<\?.*?>|/\*<!\[CDATA\[.*?\]\]>\*/")


@st.composite
def mutated_goldens(draw: st.DrawFn, *, between_tags: bool = False) -> tuple[bytes, str]:
    """A golden page cut, with its lines shuffled, doubled or dropped, or with noise put in; and its url.

    ``between_tags``: only where a tag ends, so that what a reader sees of the page is beyond doubt.
    """
    form = draw(st.sampled_from(goldens.FORMS))
    payload, url = golden(draw(st.sampled_from(goldens.CASES)), form)
    if between_tags:
        payload = _OPAQUE.sub(b"", payload)
    for _ in range(draw(st.integers(1, 3))):
        places = [m.end() for m in re.finditer(b">", payload)] if between_tags and form == "html" else []
        at = st.sampled_from(places) if places else st.integers(0, len(payload))
        mutate = draw(st.sampled_from([_cut, _shuffle, _double, _drop, _noise] + [_break] * (not between_tags)))
        payload = mutate(draw, payload, at)
    return payload, url


def _cut(draw: st.DrawFn, payload: bytes, at: st.SearchStrategy[int]) -> bytes:
    return payload[: draw(at)]


def _shuffle(draw: st.DrawFn, payload: bytes, at: st.SearchStrategy[int]) -> bytes:
    lines = payload.splitlines(keepends=True)
    draw(st.randoms(use_true_random=False)).shuffle(lines)
    return b"".join(lines)


def _double(draw: st.DrawFn, payload: bytes, at: st.SearchStrategy[int]) -> bytes:
    begin, end = sorted((draw(at), draw(at)))
    return payload[:end] + payload[begin:]


def _drop(draw: st.DrawFn, payload: bytes, at: st.SearchStrategy[int]) -> bytes:
    begin, end = sorted((draw(at), draw(at)))
    return payload[:begin] + payload[end:]


def _noise(draw: st.DrawFn, payload: bytes, at: st.SearchStrategy[int]) -> bytes:
    return _with(payload, draw(at), " ".join(draw(st.lists(_NOISE, min_size=1, max_size=5))))


def _break(draw: st.DrawFn, payload: bytes, at: st.SearchStrategy[int]) -> bytes:
    return _with(payload, draw(at), draw(_BROKEN | st.text(max_size=8)))


def _with(payload: bytes, at: int, text: str) -> bytes:
    return payload[:at] + text.encode("utf-8", "surrogatepass") + payload[at:]
