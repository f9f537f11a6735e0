"""Coding Ahead: banners, sections, gates and coverage that the goldens do not show one by one."""

from __future__ import annotations

import pytest

from parsers import ParseResult, parse
from parsers.records import Attribute, Narrative, RelatedCode

URL = "https://www.codingahead.com/cpt/codes/0748T"
_AMA = "© Copyright 2025 American Medical Association. All rights reserved.\n"
_OWN = "© Copyright 2025 Coding Ahead. All rights reserved.\n"
_PAIRS = "Short Descr | Synthetic TST |\nStatus Code | Active Code |\n"
_HISTORY = "Date | Action | Notes |\n---|---|---|\n2023-01-01 | Added | Code added. |\n"
_COUNTER = "4 code page views remaining today\n"


def _parse(text: str) -> ParseResult:
    result = parse(text.encode(), URL)
    assert result.claimed + result.set_aside + len(result.unmapped) == result.blocks
    return result


def _related(result: ParseResult) -> list[tuple[str, str, str | None]]:
    return [(r.related_system, r.related_code, r.description) for r in result.records if isinstance(r, RelatedCode)]


@pytest.mark.parametrize(
    ("banner", "replacements"),
    [
        ("Code deleted, see 0749T", [("CPT", "0749T", None)]),
        ("Code deleted, see 0749T.", [("CPT", "0749T", None)]),
        ("Code deleted, to report see 0749T, G0105", [("CPT", "0749T", None), ("HCPCS", "G0105", None)]),
        ("Code deleted, to report, see 0749T and 0750T", [("CPT", "0749T", None), ("CPT", "0750T", None)]),
        ("Code deleted. For synthetic steps, use 33361-33366", [("CPT", "33361-33366", "synthetic steps")]),
        ("Code deleted. For a, b, use 33361, 33362", [("CPT", "33361", "a, b"), ("CPT", "33362", "a, b")]),
        ("CODE DELETED; see 0749T", [("CPT", "0749T", None)]),
        ("Code deleted.", []),
        ("Code deleted, see 0748T", []),  # itself
        ("Code deleted, see synthetic words", []),
        ("Code deleted, see ../0749T/..", [("CPT", "0749T", None)]),
    ],
)
def test_banners(banner: str, replacements: list[tuple[str, str, str | None]]):
    result = _parse(_COUNTER + banner + "\n" + _AMA + _PAIRS + _HISTORY)
    assert _related(result) == replacements
    assert [r.value for r in result.records if isinstance(r, Attribute)] == [banner]
    assert {"attributes", "related_codes"} <= set(result.covered_tables)


@pytest.mark.parametrize(
    "line", ["Code deleted sentences are synthetic", "The code deleted, see 0749T", "Code deletedness, see 0749T"]
)
def test_lines_that_are_no_banner(line: str):
    result = _parse(_COUNTER + line + "\n" + _AMA + _PAIRS + _HISTORY)
    assert not _related(result)
    assert line in [block.text for block in result.unmapped] or result.set_aside_rules


def test_a_banner_stands_at_the_top_and_the_same_words_elsewhere_are_none():
    result = _parse(_COUNTER + _AMA + "Code deleted, see 0749T\n" + _OWN + _PAIRS + _HISTORY + "Code deleted.\n")
    assert not _related(result)
    assert not [r for r in result.records if isinstance(r, Attribute)]
    assert "Code deleted, see 0749T" in [r.text for r in result.records if isinstance(r, Narrative)]


@pytest.mark.parametrize(
    ("paragraphs", "sections"),
    [
        (["a.", "b.", "c."], ["indications", "procedure", "post_procedure"]),
        (["a.", "a2.", "The procedure begins x.", "Post-procedure y."], None),
        (["a.", "The procedure involves x.", "x2.", "After the procedure y.", "y2."], None),
        (["a.", "b.", "c.", "d."], ["unplaced"] * 4),
        (["a.", "b."], ["unplaced"] * 2),
        (["a.", "Following the procedure y.", "The procedure begins x.", "z."], ["unplaced"] * 4),
        (["a.", "The procedure begins x.", "The procedure starts x.", "Post-procedure y."], ["unplaced"] * 4),
    ],
)
def test_sections_without_headings_go_by_number_or_by_lead_words(paragraphs: list[str], sections: list[str] | None):
    result = _parse(_AMA + "Synthetic description.\n" + _OWN + "\n".join(paragraphs) + "\n" + _PAIRS + _HISTORY)
    found = [(r.section, r.text) for r in result.records if isinstance(r, Narrative)][1:]
    assert sorted(text for _, text in found) == sorted(paragraphs)
    assert ("section_unknown" in [w.rule for w in result.warnings]) is (sections == ["unplaced"] * len(paragraphs))
    if sections:
        assert [section for section, _ in found] == sections
    else:
        assert [section for section, _ in found] == sorted(
            (section for section, _ in found), key=["indications", "procedure", "post_procedure"].index
        )
        assert {section for section, _ in found} == {"indications", "procedure", "post_procedure"}


@pytest.mark.parametrize(
    ("text", "covered"),
    [
        (_AMA + _PAIRS + _HISTORY, "descriptors history_events indicators narratives notices"),
        (_COUNTER + _AMA + _PAIRS + _HISTORY, "all"),
        (_AMA + _PAIRS, "descriptors narratives notices"),
        (_AMA + _PAIRS + _HISTORY.splitlines()[0], "descriptors indicators narratives notices"),
        (_AMA + _PAIRS + _HISTORY + "2020-01", "descriptors indicators narratives notices"),
        (_AMA + _PAIRS + _HISTORY + "An unknown line", "descriptors history_events indicators narratives notices"),
        (_AMA + "Short Descr | Synthetic |\nAn unknown line", "notices"),
        (_AMA + "Synthetic prose.\n" + _OWN + "Synthetic prose", "notices"),
        (_AMA + "Synthetic prose.\n" + _OWN, ""),  # the last notice may be cut
        (_COUNTER + "Code deleted, see 0749T", ""),
    ],
)
def test_a_part_is_whole_where_a_known_one_follows_it(text: str, covered: str):
    tables = ["attributes", "descriptors", "history_events", "indicators", "narratives", "notices", "related_codes"]
    result = _parse(text)
    assert list(result.covered_tables) == (tables if covered == "all" else covered.split())


def test_a_gate_with_no_pairs_gates_the_page_and_one_with_pairs_does_not():
    gate = "Create a free account to unlock this content\n"
    assert _parse(_AMA + "Synthetic prose.\n" + gate * 3).outcome == "gated"
    result = _parse(_AMA + "Synthetic prose.\n" + gate + _PAIRS + _HISTORY)
    assert (result.outcome, result.reason) == ("partial", "narratives behind a login")
    assert not [r for r in result.records if isinstance(r, Narrative)]


def test_a_history_of_many_rows_costs_no_more_than_its_rows():
    rows = "".join(
        f"Date | Action | Notes |\n---|---|---|\n{2000 + i % 20}-01-01 | Changed | x |\n" for i in range(2000)
    )
    result = _parse(_AMA + _PAIRS + rows + "Get instant expert-level medical coding assistance.")
    assert sum(record.table == "history_events" for record in result.records) == 2000
