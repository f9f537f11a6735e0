"""Law 3: a page that shows a source's marks and nothing under them is no news; it must not empty a code's tables."""

from __future__ import annotations

import pytest

from parsers import parse

CODINGAHEAD = "https://www.codingahead.com/cpt/codes/99213"
GENHEALTH = "https://genhealth.ai/code/cpt4/99213-synthetic"
OPENPAYER = "https://www.openpayer.com/billing-codes/cpt-99213-synthetic"
LABELS = ("Short Descr", "Medium Descr", "Status Code", "Global Days", "MUE")
HEADINGS = (
    "Summary & Overview",
    "Billing Code Overview",
    "Clinical & Coding Specifications",
    "Clinical Context",
    "Coding Specifications",
)


def _html(body: str) -> bytes:
    return f"<!doctype html><html><body><main>{body}</main></body></html>".encode()


SHELLS = {
    "labels without values": (
        CODINGAHEAD,
        "<table>" + "".join(f"<tr><td>{label}</td><td></td></tr>" for label in LABELS) + "</table>"
        "<table><tr><th>Date</th><th>Action</th><th>Notes</th></tr></table>",
    ),
    "one label": (CODINGAHEAD, "<p>Short Descr</p>"),
    "a counter and no entry": (CODINGAHEAD, "<p>12 code page views remaining</p><p>Synthetic: no entry.</p>"),
    "headings alone": (OPENPAYER, "".join(f"<h2>{heading}</h2>" for heading in HEADINGS)),
    "a code line and headings alone": (GENHEALTH, "<p>CPT4 code</p><h3>Summary</h3><h3>Purpose</h3><h3>Risks</h3>"),
    "a name's labels": (GENHEALTH, "<h3>Name of the Procedure</h3><ul><li>Common Name:</li></ul><h3>Summary</h3>"),
    "headings and a title": (
        OPENPAYER,
        "<h2>Summary &amp; Overview</h2><h1>CPT 99213: Synthetic Visit</h1>"
        + "".join(f"<h2>{heading}</h2>" for heading in HEADINGS[1:]),
    ),
}


@pytest.mark.parametrize(("url", "body"), SHELLS.values(), ids=list(SHELLS))
def test_law_3_a_shell_covers_nothing(url: str, body: str):
    result = parse(_html(body), url)
    assert (result.outcome, result.covered_tables, result.records) == ("layout_changed", (), ())


def test_law_3_a_table_without_its_rows_is_not_covered_and_the_others_are():
    body = (
        "<p>Short Descr Synthetic STEP</p><p>Status Code Active Code</p>"
        "<table><tr><th>Date</th><th>Action</th><th>Notes</th></tr></table>"
    )
    result = parse(_html(body), CODINGAHEAD)
    assert (result.outcome, result.reason) == ("partial", "history_events empty")
    assert {"descriptors", "indicators"} <= set(result.covered_tables)
    assert "history_events" not in result.covered_tables


def test_law_3_headings_without_their_prose_leave_the_narratives_as_they_are():
    body = (
        "<h2>Common Language Description</h2><h2>1. Indications</h2><p>Short Descr Synthetic STEP</p>"
        "<p>Status Code Active Code</p><table><tr><th>Date</th><th>Action</th><th>Notes</th></tr>"
        "<tr><td>2020-01-01</td><td>Added</td><td>Code added.</td></tr></table>"
    )
    result = parse(_html(body), CODINGAHEAD)
    assert (result.outcome, result.truncated) == ("partial", False)
    assert "narratives" in (result.reason or "")
    assert "narratives" not in result.covered_tables


def test_law_3_a_section_of_tables_without_a_table_is_not_taken_for_one_without_modifiers():
    body = (
        "<h2>Summary &amp; Overview</h2><h1>CPT 99213: Synthetic Visit</h1><p>Synthetic summary of a visit.</p>"
        "<h2>Billing Code Overview</h2><p>Synthetic overview of a visit.</p><p>Service type: Synthetic visit</p>"
        "<h2>Clinical &amp; Coding Specifications</h2><h3>Clinical Context</h3><p>Synthetic context of a visit.</p>"
        "<h3>Coding Specifications</h3>"
    )
    result = parse(_html(body), OPENPAYER)
    assert result.outcome == "partial"
    assert set(result.covered_tables) == {"attributes", "descriptors", "narratives"}
