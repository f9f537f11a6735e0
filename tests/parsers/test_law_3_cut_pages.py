"""Law 3: a page that was cut off gives no record of a table that it did not show whole.

A golden page is cut at any byte. A table that the cut page says to cover has just the rows of the whole page, but for
what no reader of the cut bytes alone could know, in the text form alone:

- a cut at the end of a line leaves a page that may have been whole, with fewer rows of its last table;
- a row with no bar at its end may be cut inside its last cell (`_ends_open`);
- a cut at the end of a sentence leaves prose that may have been whole: GenHealth's pages end in prose.

And one choice (OpenPayer): service facts and payers are whole once the overview is, so `attributes` is covered then; a
sentinel that would have come after the cut is missing from it.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from parsers import ParseResult, parse
from parsers.records import GOOD_OUTCOMES, Attribute, Narrative, Record
from tests.golden import goldens

_LAST_TABLES = {
    "codingahead": {"history_events"},
    "openpayer": {"modifiers", "related_codes"},
    "genhealth": {"narratives"},
}


@cache
def _golden(case: Path, form: str) -> tuple[bytes, str, ParseResult]:
    url = json.loads((case / "case.json").read_text("utf-8"))["url"]
    payload = (case / f"page.{form}").read_bytes()
    return payload, url, parse(payload, url)


_WHOLE = [case for case in goldens.CASES if goldens.expected_outcome(case) in GOOD_OUTCOMES]


def _rows(result: ParseResult, table: str) -> list[Record]:
    return [record for record in result.records if record.table == table]


def _at_line_end(payload: bytes, cut: int) -> bool:
    rest_of_line = re.split(rb"[\r\n]", payload[cut:])[0]
    return payload[:cut].endswith((b"\n", b"\r")) or not rest_of_line.strip(b" \t|\xc2\xa0")


def _ends_open(payload: bytes, cut: int) -> bool:
    """Whether the cut is in the last cell of a row that has no bar at its end."""
    begin = payload.rfind(b"\n", 0, cut) + 1
    line = payload[begin:].splitlines()[0].strip()
    return not line.endswith(b"|") and b"|" in line and b"|" not in payload[cut : begin + len(line)]


def _check_cut(case: Path, form: str, cut: int) -> None:
    payload, url, whole = _golden(case, form)
    result = parse(payload[:cut], url)
    assert result.outcome != "failed", result.traceback
    assert result.claimed + result.set_aside + len(result.unmapped) == result.blocks
    assert {record.table for record in result.records} <= set(result.covered_tables)
    lost = set(whole.covered_tables) & set(result.covered_tables)
    for table in sorted(lost):
        rows, expected = _rows(result, table), _rows(whole, table)
        if rows == expected:
            continue
        where = f"{goldens.name(case)} {form} cut at {cut}: {payload[max(0, cut - 60) : cut]!r}, table {table}"
        if table == "attributes" and whole.source == "openpayer":
            missing = expected[len(rows) :]
            assert rows == expected[: len(rows)], where
            assert all(isinstance(r, Attribute) and r.attribute == "not_available" for r in missing), where
            continue
        assert form == "txt", where
        assert table in _LAST_TABLES.get(str(whole.source), ()), where
        if whole.source == "genhealth":
            _check_cut_prose(payload[:cut], rows, expected, where)
            continue
        assert _at_line_end(payload, cut) or _ends_open(payload, cut), where
        assert rows[:-1] == expected[: len(rows[:-1])], where
        assert rows == expected[: len(rows)] or _ends_open(payload, cut), where


def _check_cut_prose(payload: bytes, rows: list[Record], expected: list[Record], where: str) -> None:
    """The rows are those before the cut, which is at the end of a sentence; the last one may have had more of them."""
    assert payload.decode("utf-8-sig", "replace").rstrip("| \r\n").endswith((".", "!", "?", "\u201d")), where
    assert rows[:-1] == expected[: len(rows[:-1])], where
    last, whole = rows[-1], expected[len(rows) - 1]
    assert isinstance(last, Narrative), where
    assert isinstance(whole, Narrative), where
    assert (last.section, last.ordinal) == (whole.section, whole.ordinal), where
    assert whole.text.startswith(last.text), where


@st.composite
def _cuts(draw: st.DrawFn) -> tuple[Path, str, int]:
    case, form = draw(st.sampled_from(_WHOLE)), draw(st.sampled_from(goldens.FORMS))
    return case, form, draw(st.integers(0, len(_golden(case, form)[0])))


@given(_cuts())
def test_law_3_no_record_of_a_table_that_the_cut_page_does_not_show_whole(cut: tuple[Path, str, int]):
    _check_cut(*cut)


def _case(name: str) -> Path:
    return goldens.ROOT / name


# Where a table, a label or a sentinel begins: (golden, what stands before the cut, what was wrong there)
@pytest.mark.parametrize("form", goldens.FORMS)
@pytest.mark.parametrize(
    ("name", "before"),
    [
        ("codingahead/clean_bars", "Medium"),  # a label cut short is no block that shows the pairs' end
        ("codingahead/full_label_value", "Assistant Surg"),
        ("codingahead/pairs_as_items", "Global Da"),
        ("codingahead/span_pairs", "Co-Sur"),
        ("codingahead/clean_bars", "2022-"),
        ("codingahead/deleted_see_list", "Code deleted, to report see 079"),
        ("codingahead/deleted_see_list", "code page views"),
        ("codingahead/deleted_no_banner", "1992-01-01</time></td><"),  # a bare "<" is no text beside the cells
        ("codingahead/deleted_see_list", "Coding Ahead. All rights reserved"),
        ("openpayer/all_tables", "Modif"),
        ("openpayer/all_tables", "Taxonomy"),
        ("openpayer/all_tables", "ICD-10 Diag"),
        ("openpayer/current_whole", "Descri"),
        ("openpayer/empty_cell", "in the input for ICD-10"),
        ("openpayer/sentinels", "Data not available in the input: associated"),
        ("genhealth/whole", "CPT4 code"),  # a title may follow
        ("genhealth/whole", "Name of the Procedure"),
        ("genhealth/whole", "Synthetic summary a test"),
        ("genhealth/whole", "Personn"),
        ("genhealth/side_by_side", "A Synthetic sheet"),
        ("genhealth/unknown_heading", "Cost and"),
    ],
)
def test_law_3_cuts_that_once_passed_for_whole_pages(name: str, before: str, form: str):
    payload, _, whole = _golden(_case(name), form)
    assert any(before.encode() in _golden(_case(name), either)[0] for either in goldens.FORMS)
    cut = -1
    while (cut := payload.find(before.encode(), cut + 1)) >= 0:
        _check_cut(_case(name), form, cut + len(before))
    assert whole.outcome in GOOD_OUTCOMES


def test_law_3_a_lone_bar_at_the_end_opens_a_row_that_was_cut():
    payload, url, _ = _golden(_case("codingahead/deleted_banner_lost"), "txt")
    end = payload.rfind(b"| 2013")
    assert end > 0
    result = parse(payload[: end + 1], url)
    assert "history_events" not in result.covered_tables
    assert not _rows(result, "history_events")


@pytest.mark.full
@pytest.mark.parametrize("case", _WHOLE, ids=goldens.name)
def test_law_3_cut_at_every_byte_of_the_text_and_many_of_the_html(case: Path):
    for cut in range(len(_golden(case, "txt")[0])):
        _check_cut(case, "txt", cut)
    length = len(_golden(case, "html")[0])
    for cut in range(length % 41, length, 41):
        _check_cut(case, "html", cut)


@given(st.data())
@example(None)
def test_law_3_a_whole_page_gives_the_same_whatever_white_space_ends_it(data: st.DataObject | None):
    case = _case("codingahead/clean_bars") if data is None else data.draw(st.sampled_from(_WHOLE))
    payload, url, whole = _golden(case, "txt")
    again = parse(payload.rstrip() + b" \r\n\n\t\n", url)
    assert (again.records, again.covered_tables, again.outcome) == (
        whole.records,
        whole.covered_tables,
        whole.outcome,
    )
