"""A page as HTML and as a text extract gives the same records, whatever its words and however its markup is made."""

from __future__ import annotations

import html
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from parsers import ParseResult, parse
from parsers.vocabulary import INDICATOR_LABELS
from tests.golden import goldens

_CODINGAHEAD = "https://www.codingahead.com/cpt/codes/0748T"
_GENHEALTH = "https://genhealth.ai/code/cpt4/1001T-synthetic"
_OPENPAYER = "https://www.openpayer.com/billing-codes/cpt-1001t-synthetic"
_WORD = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8)
_SIGNS = st.sampled_from(["&", "<b>", "—", "(see 99213)", "=1+1", "®", "\u2011x", "'quoted'", "a/b", "50%"])
_PHRASE = st.lists(_WORD | _SIGNS, min_size=1, max_size=8).map(lambda words: "Synthetic " + " ".join(words))
_SENTENCES = st.lists(_PHRASE.map(lambda phrase: phrase + "."), min_size=1, max_size=3).map(" ".join)
_DATES = st.dates().map(lambda date: date.isoformat())
_PAIRS = st.fixed_dictionaries(
    {"Short Descr": _PHRASE, "Status Code": st.sampled_from(["Active Code", "Carriers Price the Code", "Synthetic"])},
    optional={
        "Medium Descr": _PHRASE,
        "Long Descr": _PHRASE,
        "Global Days": st.sampled_from(["XXX - Global Concept Does Not Apply", "YYY - Synthetic", "none"]),
        "PC/TC Indicator (26, TC)": st.sampled_from(["0 - Physician Service Code", "9 - x"]),
        "Co-Surgeons (62)": st.sampled_from(["0 - Co-surgeons not permitted for this procedure.", "1 - y..."]),
        "APC Status Indicator": _PHRASE,
        "MUE": st.sampled_from(["1", "Not applicable/unspecified."]),
    },
)
_LABELS = ["Short Descr", "Medium Descr", "Long Descr", *INDICATOR_LABELS]
# Newest first; a text whose code is deleted and that shows no banner does not tell whether the page had one.
_HISTORY = st.lists(
    st.tuples(_DATES, st.sampled_from(["Added", "Changed", "Deleted", "Moved"]), _PHRASE), min_size=1, max_size=4
).filter(lambda rows: rows[0][1] != "Deleted")
_MODIFIERS = st.lists(st.tuples(st.sampled_from(["25", "59", "TC", "26"]), _PHRASE, _PHRASE), min_size=1, max_size=4)
_RELATED = st.lists(st.tuples(st.sampled_from(["99213", "0001U", "G0008"]), _PHRASE), min_size=1, max_size=3)

Row = tuple[str, ...]


def _cells(rows: list[Row], tag: str = "td") -> str:
    return "".join(f"<tr>{''.join(f'<{tag}>{html.escape(cell)}</{tag}>' for cell in row)}</tr>" for row in rows)


# Ways in which sites mark up, and extractors write down, rows of two cells, and of more
_HTML_PAIRS: list[Callable[[list[Row]], str]] = [
    lambda rows: f"<table>{_cells(rows)}</table>",
    lambda rows: "<dl>" + "".join(f"<dt>{html.escape(k)}</dt><dd>{html.escape(v)}</dd>" for k, v in rows) + "</dl>",
    lambda rows: "".join(f"<div><div>{html.escape(k)}</div><div>{html.escape(v)}</div></div>" for k, v in rows),
    lambda rows: "".join(f"<p><b>{html.escape(k)}</b> <span>{html.escape(v)}</span></p>" for k, v in rows),
    lambda rows: "".join(f"<li><span>{html.escape(k)}</span><span>{html.escape(v)}</span></li>" for k, v in rows),
]
_TEXT_PAIRS: list[Callable[[list[Row]], str]] = [
    lambda rows: "\n".join(f"{k} | {v} |" for k, v in rows),
    lambda rows: "\n".join(f"| {k} | {v} |" for k, v in rows),
    lambda rows: " | ".join(f"{k} | {v}" for k, v in rows) + " |",
    lambda rows: "\n".join(f"{k} {v}" for k, v in rows),
    lambda rows: "\n".join(f"{k}\n{v}" for k, v in rows),
]
_HTML_TABLES: list[Callable[[Row, list[Row]], str]] = [
    lambda header, rows: f"<table>{_cells([header])}{_cells(rows)}</table>",
    lambda header, rows: f"<table><thead>{_cells([header], 'th')}</thead><tbody>{_cells(rows)}</tbody></table>",
]
_TEXT_TABLES: list[Callable[[Row, list[Row]], str]] = [
    lambda header, rows: _bars([header, ("---",) * len(header), *rows]),
    lambda header, rows: "\n".join(f"| {' | '.join(row)} |" for row in [header, ("---",) * len(header), *rows]),
    lambda header, rows: "\n|\n".join(header) + "\n|\n" + _bars([("---",) * len(header), *rows]),
]


def _bars(rows: list[Row]) -> str:
    return "\n".join(" | ".join(row) + " |" for row in rows)


def _paragraphs(texts: list[str]) -> str:
    return "".join(f"<p>{html.escape(text)}</p>" for text in texts)


def _same(markup: str, text: str, url: str) -> ParseResult:
    page = f"<!doctype html><html><head><title>x</title></head><body><main>{markup}</main></body></html>"
    from_html, from_text = parse(page.encode(), url), parse(text.encode(), url)
    assert goldens.as_json(from_html) == goldens.as_json(from_text)
    assert from_html.outcome == "parsed", from_html.reason
    return from_html


@given(
    *(st.sampled_from(ways) for ways in (_HTML_PAIRS, _HTML_TABLES, _TEXT_PAIRS, _TEXT_TABLES)),
    _PAIRS,
    _HISTORY,
    st.lists(_SENTENCES, min_size=1, max_size=3),
    st.lists(_SENTENCES, min_size=3, max_size=3),
)
def test_codingahead_in_both_forms(
    html_pairs: Callable[[list[Row]], str],
    html_table: Callable[[Row, list[Row]], str],
    text_pairs: Callable[[list[Row]], str],
    text_table: Callable[[Row, list[Row]], str],
    pairs: dict[str, str],
    history: list[Row],
    description: list[str],
    sections: list[str],
):
    header = ("Date", "Action", "Notes")
    ama = "© Copyright 2025 American Medical Association. All rights reserved."
    own = "© Copyright 2025 Coding Ahead. All rights reserved."
    top = ["4 code page views remaining today", "Official Description", "Synthetic official words", ama]
    names = ["1. Indications", "2. Procedure", "3. Post-Procedure"]
    middle = [*description, own, *(line for pair in zip(names, sections, strict=True) for line in pair)]
    closing = "Get instant expert-level medical coding assistance."
    rows = [(label, pairs[label]) for label in _LABELS if label in pairs]
    markup = (
        _paragraphs([*top, "Common Language Description", *middle])
        + html_pairs(rows)
        + html_table(header, history)
        + _paragraphs([closing])
    )
    lines = [*top, "Common Language Description", *middle, text_pairs(rows), text_table(header, history), closing]
    result = _same(markup, "\n".join(lines), _CODINGAHEAD)
    assert len(result.records) == len(pairs) + len(history) + len(description) + len(sections) + 1 + 2
    assert result.unmapped == ()


@given(
    *(st.sampled_from(ways) for ways in (_HTML_TABLES, _TEXT_TABLES)),
    st.lists(_SENTENCES, min_size=1, max_size=3),
    st.lists(_SENTENCES, min_size=1, max_size=3),
    _MODIFIERS,
    _RELATED,
)
def test_openpayer_in_both_forms(
    html_table: Callable[[Row, list[Row]], str],
    text_table: Callable[[Row, list[Row]], str],
    summary: list[str],
    context: list[str],
    modifiers: list[Row],
    related: list[Row],
):
    lines = [
        "Summary & Overview",
        "CPT 1001T: Synthetic Title",
        *summary,
        "Billing Code Overview",
        "Synthetic overview.",
        "Service type: Synthetic type",
        "Clinical & Coding Specifications",
        "Clinical Context",
        *context,
        "Coding Specifications",
    ]
    tables = [(("Modifier", "Description", "When to Use"), modifiers), (("Related Code", "Description"), related)]
    markup = _paragraphs(lines) + "".join(html_table(header, rows) for header, rows in tables)
    text = "\n".join([*lines, *(text_table(header, rows) for header, rows in tables)])
    result = _same(markup, text, _OPENPAYER)
    assert sum(record.table == "modifiers" for record in result.records) == len(modifiers)
    assert sum(record.table == "related_codes" for record in result.records) == len(related)
    assert result.unmapped == ()


_HEADINGS = ["Summary", "Purpose", "Indications", "Preparation", "Procedure Description", "Duration", "Setting"]
# What a heading and an item are made of, and whether the text keeps the bullets
_HTML_HEADINGS = ["<h3>{}</h3>", "<h2>{}:</h2>", "<p><strong>{}</strong></p>", "<div>{}</div>", "<p><b>{}:</b></p>"]
_ITEMS = st.lists(_PHRASE | st.tuples(_PHRASE, _PHRASE).map(lambda parts: f"{parts[0]}: {parts[1]}"), max_size=3)


@given(
    st.sampled_from(_HTML_HEADINGS),
    st.booleans(),
    st.none() | _PHRASE,
    _PHRASE,
    st.dictionaries(st.sampled_from(_HEADINGS), st.tuples(_SENTENCES, _ITEMS), max_size=5),
    _PHRASE.map(lambda phrase: f"{phrase} at its synthetic end."),  # a number before the stop may go on behind it
)
def test_genhealth_in_both_forms(
    heading: str,
    bullets: bool,
    title: str | None,
    name: str,
    sections: dict[str, tuple[str, list[str]]],
    risks: str,
):
    top = ["Synthetic descriptor", "CPT4 code", *([title] if title else [])]
    facts = [f"Common Name: {name}", f"Technical Term: {name}"]
    parts = {"Name of the Procedure": ("", facts), **sections, "Risks and Complications": (risks, [])}
    markup, lines = _paragraphs(top), [*top]
    for words, (prose, items) in parts.items():
        markup += heading.format(words) + (_paragraphs([prose]) if prose else "")
        markup += "<ul>" + "".join(f"<li>{html.escape(item)}</li>" for item in items) + "</ul>"
        lines += [words, *([prose] if prose else []), *(("- " if bullets else "") + item for item in items)]
    result = _same(markup, "\n".join(lines), _GENHEALTH)
    assert len(result.records) == len(top) - 1 + 2 + 1 + sum(1 + len(items) for _, items in sections.values())
    assert result.unmapped == ()
