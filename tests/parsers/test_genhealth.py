"""GenHealth: names, headings, walls and ends that the goldens do not show one by one."""

from __future__ import annotations

import re

import pytest

from parsers import ParseResult, parse
from parsers.genhealth import SOURCE
from parsers.records import Attribute, Descriptor, Narrative

URL = "https://genhealth.ai/code/cpt4/27447-synthetic-joint-step"
_TOP = "Synthetic descriptor, each unit\nCPT4 code\n"
_END = "Risks\nA Synthetic risk.\n"


def _parse(text: str, url: str = URL) -> ParseResult:
    result = parse(text.encode(), url)
    assert result.outcome != "failed", result.traceback
    assert result.claimed + result.set_aside + len(result.unmapped) == result.blocks
    return result


def _html(body: str) -> str:
    return f"<!doctype html><html><body><main>{body}</main></body></html>"


def _descriptors(result: ParseResult) -> list[tuple[str, str]]:
    return [(r.kind, r.text) for r in result.records if isinstance(r, Descriptor)]


def _names(result: ParseResult) -> list[tuple[str, str]]:
    return [(r.attribute, r.value) for r in result.records if isinstance(r, Attribute)]


def _narratives(result: ParseResult) -> list[tuple[str, str]]:
    return [(r.section, r.text) for r in result.records if isinstance(r, Narrative)]


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("https://genhealth.ai/code/cpt4/27447-synthetic-joint-step", "27447"),
        ("https://www.genhealth.ai/code/cpt4/0748T-synthetic", "0748T"),
        ("https://genhealth.ai/code/hcpcs/G0008-synthetic-spray", "G0008"),
        ("https://genhealth.ai/code/hcpcs/J0120-synthetic-liquid-up-to-250-mg", "J0120"),
        ("https://genhealth.ai/code/cpt4/99213-visit-of-30-to-44-minutes/", "99213"),
        ("https://genhealth.ai/code/hcpcs/g0008", "G0008"),
    ],
)
def test_the_code_is_read_from_the_address(address: str, code: str):
    result = _parse(_TOP + _END, address)
    assert (result.code, result.source) == (code, "genhealth")
    assert re.fullmatch(SOURCE.pages, address.split("genhealth.ai")[1])


def test_addresses_of_other_pages_are_told_from_those_of_codes():
    for path in ("/", "/code", "/code/cpt4", "/code/icd10/A00-x", "/blog/code/cpt4/99213-x", "/code/cpt4/99213-x/more"):
        assert not re.fullmatch(SOURCE.pages, path)


@pytest.mark.parametrize(
    ("top", "descriptors"),
    [
        ("Synthetic words\nCPT4 code\n", [("long", "Synthetic words")]),
        ("Synthetic words\nHCPCS code\nSynthetic Title\n", [("long", "Synthetic words"), ("title", "Synthetic Title")]),
        ("Menu\nSynthetic words\nCPT-4 Code:\n", [("long", "Synthetic words")]),
        ("Synthetic words\nCPT4 code: 27447\n", [("long", "Synthetic words")]),
        ("Synthetic words | CPT4 code |\n", [("long", "Synthetic words")]),
        ("CPT4 code\nSynthetic Title\n", []),  # the descriptor is missing: its table is not shown whole
        ("Synthetic words\n", []),  # without the line that names the kind of code, it is any line
    ],
)
def test_the_descriptor_stands_above_the_code_line_and_a_title_below(top: str, descriptors: list[tuple[str, str]]):
    result = _parse(top + "Summary\nA Synthetic summary.\n" + _END)
    assert _descriptors(result) == descriptors
    assert ("descriptors" in result.covered_tables) is bool(descriptors)


@pytest.mark.parametrize(
    ("lines", "names"),
    [
        ("Common Name: a\nTechnical Term: b", [("common_name", "a"), ("technical_term", "b")]),
        ("- Common Name: a\n- Technical Terms: b", [("common_name", "a"), ("technical_term", "b")]),
        ("- Common Name: a\n- Common Name: c", [("common_name", "a"), ("common_name", "c")]),
        ("Common Name\na\nTechnical Term\nb", [("common_name", "a"), ("technical_term", "b")]),
        (
            "Common Names:\n- a\n- c\nTechnical Term: b\n- d",
            [("common_name", "a"), ("common_name", "c"), ("technical_term", "b"), ("procedure_name", "d")],
        ),
        ("-\nCommon Name: a\n-\nTechnical Term: b", [("common_name", "a"), ("technical_term", "b")]),
        ("Synthetic Joint Step", [("procedure_name", "Synthetic Joint Step")]),
        ("Synthetic step (of a joint).", [("procedure_name", "Synthetic step (of a joint).")]),
        ("- **Common Name**: a\n- **Technical Term:** b", [("common_name", "a"), ("technical_term", "b")]),
        ("_Common Name: a_\n*Technical Term*: b *", [("common_name", "a"), ("technical_term", "b *")]),
        ("Common name(s): a\nTechnical Terms: b", [("common_name", "a"), ("technical_term", "b")]),
        ("**Common Name(s)**\na", [("common_name", "a")]),
        ("Common Name:", []),
        ("", []),
    ],
)
def test_names(lines: str, names: list[tuple[str, str]]):
    result = _parse(f"{_TOP}Name of the Procedure:\n{lines}\nSummary\nA Synthetic summary.\n{_END}")
    assert _names(result) == names
    assert ("attributes" in result.covered_tables) is bool(names)
    assert _narratives(result)[0] == ("summary", "A Synthetic summary.")


def test_a_name_in_the_line_of_its_heading_and_a_lost_heading_after_it():
    result = _parse(f"{_TOP}Name of the Procedure: Synthetic Step\nA Synthetic sentence that is no name.\n{_END}")
    assert _names(result) == [("procedure_name", "Synthetic Step")]
    assert _narratives(result)[0] == ("unplaced", "A Synthetic sentence that is no name.")
    assert [warning.rule for warning in result.warnings] == ["section_unknown"]


def test_a_label_that_is_not_known_among_the_names_makes_no_name():
    result = _parse(f"{_TOP}Name of the Procedure\n- Common Name: a\n- medical term: b\nSummary\nA line.\n{_END}")
    assert (_names(result), result.covered_tables) == (
        [("common_name", "a")],
        ("attributes", "descriptors", "narratives"),
    )
    assert [block.text for block in result.unmapped] == ["medical term: b"]
    assert [(w.rule, w.row_key) for w in result.warnings] == [("line_unclear", "medical term")]


@pytest.mark.parametrize(
    "lines",
    [
        "Synthetic Name\nCost and Coverage\nAround two coins",
        "Synthetic Name\nSynthetic prose that lost its heading and has no end",
        "- Common Name: a\nCost and Coverage\nAround two coins",
        "Common Name\na\nCost and Coverage",
        "Cost and Coverage\nIt is around two coins.",  # the names were lost, and the heading below them was not
    ],
)
@pytest.mark.parametrize("form", ["html", "text"])
def test_a_line_that_may_be_a_name_or_the_next_heading_is_neither(lines: str, form: str):
    text = f"{_TOP}Name of the Procedure\n{lines}\nSummary\nA Synthetic summary.\n{_END}"
    markup = "".join(f"<p>{line}</p>" for line in text.replace("- ", "").splitlines())
    result = _parse(text if form == "text" else _html(markup))
    assert (_names(result), result.outcome) == ([], "partial")
    assert result.covered_tables == ("descriptors", "narratives")
    assert _narratives(result) == [("summary", "A Synthetic summary."), ("risks", "A Synthetic risk.")]
    assert [block.text for block in result.unmapped] == lines.replace("- ", "").splitlines()


def test_a_heading_below_the_names_heading_is_a_name_only_where_a_section_follows():
    top = "<h1>Synthetic</h1><p>CPT4 code</p><h3>Name of the Procedure</h3>"
    end = "<h3>Risks</h3><p>A line.</p>"
    assert _names(_parse(_html(f"{top}<h4>Synthetic Name</h4>{end}"))) == [("procedure_name", "Synthetic Name")]
    result = _parse(_html(f"{top}<h3>Equipment</h3><p>Synthetic shears</p>{end}"))
    assert (_names(result), result.reason) == ([], "attributes missing")


@pytest.mark.parametrize(
    ("below", "title"),
    [
        ("Synthetic Title\nSummary\nA line.", "Synthetic Title"),
        ("Synthetic Title\nName of the Procedure: a\nSummary\nA line.", "Synthetic Title"),
        ("Synthetic Title\n- Common Name: a\nSummary\nA line.", "Synthetic Title"),
        ("Synthetic Title\nSummary: A line.", "Synthetic Title"),
        ("27447\nSynthetic Title\nSummary\nA line.", "Synthetic Title"),
        ("CPT 27447\nSummary\nA line.", None),
        ("Overview\nSynthetic words of it.\nSummary\nA line.", None),
        ("Overview\n- Synthetic words of it\nSummary\nA line.", None),
        ("Overview\nSynthetic words of it\nSummary\nA line.", None),
        ("Overview:\nSynthetic words of it.\nSummary\nA line.", None),
    ],
)
def test_a_title_is_one_only_where_a_known_section_follows(below: str, title: str | None):
    result = _parse(f"{_TOP}{below}\n{_END}")
    assert _descriptors(result) == [("long", "Synthetic descriptor, each unit"), *([("title", title)] if title else [])]
    assert _narratives(result) == [("summary", "A line."), ("risks", "A Synthetic risk.")]
    assert [block.text for block in result.unmapped] == (
        [line.removeprefix("- ") for line in below.splitlines()[:2]] if "Overview" in below else []
    )
    assert ("line_unclear" in [w.rule for w in result.warnings]) is below.startswith("Overview\n")


def test_another_code_below_the_code_line_is_another_page():
    result = _parse(f"{_TOP}27446\nSummary\nA line.\n{_END}")
    assert (result.outcome, result.records) == ("mismatched", ())


def test_a_code_alone_is_no_descriptor():
    result = _parse(f"Synthetic words\n27447\nCPT4 code\nSummary\nA line.\n{_END}")
    assert (_descriptors(result), result.reason) == ([], "descriptors missing")


@pytest.mark.parametrize(
    ("top", "long"),
    [
        ("a\nCPT4 code\nb\nCPT4 code\n", None),
        ("a\nCPT4 code: 27447\nb\nCPT4 code\n", "a"),
        ("a\nCPT4 code\nb\nCPT4 code: 27447\n", "b"),
        ("a\nCPT4 code: 27446\nb\nCPT4 code\n27445\nc\nCPT4 code\n", "c"),
        ("a\nCPT4 code: 27446\nb\nCPT4 code: 27445\n", None),
        ("a\nCPT4 code: 27447\nb\nCPT4 code: 27447\n", None),
        ("CPT4 code\nCPT4 code\n", None),
    ],
)
@pytest.mark.parametrize("title", ["", "Synthetic Title\n"])
def test_of_several_code_lines_the_pages_own_is_the_one_that_is_no_other_codes(top: str, long: str | None, title: str):
    result = _parse(f"{top}{title}Summary\nA line.\n{_END}")
    expected = [] if long is None else [("long", long)]
    assert _descriptors(result) == expected + ([("title", "Synthetic Title")] if title and long in ("b", "c") else [])
    assert _narratives(result) == [("summary", "A line."), ("risks", "A Synthetic risk.")]
    assert ("descriptors unclear" in str(result.reason)) is (long is None)


def test_a_code_line_below_a_section_is_never_the_pages_own():
    result = _parse("Summary\nA line.\na\nCPT4 code\nSynthetic Title\nRisks\nA Synthetic risk.")
    assert (_descriptors(result), result.reason) == ([], "descriptors missing")
    assert _narratives(result) == [("summary", "A line."), ("risks", "A Synthetic risk.")]
    assert [block.text for block in result.unmapped] == ["a", "CPT4 code", "Synthetic Title"]


def test_names_below_a_line_that_is_unclear_are_no_news_that_there_are_none():
    markup = "<h1>Synthetic</h1><p>CPT4 code</p><h2>Equipment</h2><p>Words.</p><p>Common Name: a</p>"
    result = _parse(_html(markup + "<h3>Summary</h3><p>A line.</p>"))
    assert (result.covered_tables, result.reason) == (("descriptors", "narratives"), "attributes unclear")


@pytest.mark.parametrize(
    ("body", "sections"),
    [
        ("Summary: a.\nPreparation: b.\nRisks: c.", ["summary", "preparation", "risks"]),
        ("**Summary:** a.\n**Preparation**: b.\nRisks: c.", ["summary", "preparation", "risks"]),
        ("Summary: a.\nIndications:\n- b\nRisks: c.", ["summary", "indications", "risks"]),
        ("Summary: a.\nSummary: b.\nRisks: c.", ["summary", "summary", "risks"]),
        ("Summary\na.\nPreparation: b.\nRisks: c.", ["summary"] * 3),
        ("Name of the Procedure: x\nSummary\na.\nPreparation: b.\nRecovery: c.", ["summary"] * 3),
        ("Summary: a.\nProcedure Description\nb.\nRecovery: c.", ["summary", "procedure", "procedure"]),
        ("A sentence.\nPreparation: b.\nThen c.", ["unplaced"] * 3),
    ],
)
def test_a_label_opens_a_section_only_on_a_page_whose_headings_stand_so(body: str, sections: list[str]):
    result = _parse(f"{_TOP}{body}")
    assert [section for section, _ in _narratives(result)] == sections
    assert all("*" not in text for _, text in _narratives(result))


@pytest.mark.parametrize(
    ("heading", "section"),
    [
        ("Summary", "summary"),
        ("PURPOSE:", "purpose"),
        ("Procedure Description", "procedure"),
        ("Risks and Complications:", "risks"),
        ("Post\u2011Procedure Care", "post_procedure"),
        ("## Follow-Up", "follow_up"),
        ("Patient Experience", "patient_experience"),
    ],
)
def test_sections_by_their_headings(heading: str, section: str):
    result = _parse(f"{_TOP}{heading}\nA Synthetic line.\n- an item\n- Label: another.\n{_END}")
    expected = ["A Synthetic line.", "an item", "Label: another."]
    assert [text for name, text in _narratives(result) if name == section][:3] == expected


def test_a_list_item_opens_no_section():
    result = _parse(f"{_TOP}Purpose\n- Recovery\n- Setting: a bench\n{_END}")
    assert _narratives(result)[:2] == [("purpose", "Recovery"), ("purpose", "Setting: a bench")]


@pytest.mark.parametrize(
    ("line", "following", "is_heading"),
    [
        ("Cost and Coverage", "Synthetic words of it.", True),
        ("Billing Notes:", "Synthetic words of it.", True),
        ("Cost and Coverage", "- an item", True),
        ("Before the Visit:", "- an item", False),  # a label of its list
        ("Outpatient Hall", "Hospital Hall", False),  # items that lost their bullets
        ("Outpatient Hall", "hall of a hospital", False),
        ("Outpatient Hall", "Risks", False),
        ("Wear loose clothes", "Synthetic words of it.", False),
        ("- Cost and Coverage", "Synthetic words of it.", False),
        ("A Synthetic Sentence.", "Synthetic words of it.", False),
    ],
)
def test_a_heading_that_nobody_knows_opens_no_section_and_is_not_lost(line: str, following: str, is_heading: bool):
    result = _parse(f"{_TOP}Setting\nA Synthetic bench.\n{line}\n{following}\n{_END}")
    unmapped = [block.text for block in result.unmapped]
    assert unmapped == ([line, following.removeprefix("- ")] if is_heading else [])
    assert result.outcome == "parsed"


def test_html_says_what_is_a_heading():
    body = "<h1>Synthetic</h1><p>CPT4 code</p><h3>Setting</h3><p>A bench.</p><h3>more of it</h3><p>Words</p>"
    result = _parse(_html(body + "<h3>Risks</h3><p>None</p>"))
    assert [block.text for block in result.unmapped] == ["more of it", "Words"]
    assert _narratives(result) == [("setting", "A bench."), ("risks", "None")]


@pytest.mark.parametrize(
    ("end", "whole"),
    [
        ("A Synthetic end.", True),
        ("A Synthetic end (see above).", True),
        ("A \u201cSynthetic end.\u201d", True),
        ("- a Synthetic item.", True),
        ("A Synthetic en", False),
        ("- a Synthetic item", False),
        ("A Synthetic end.\n-", False),
        ("A Synthetic end.\n- ", False),
        ("Up to 2.", False),
        ("These are Synthetic:", False),
        ("A Synthetic end.\nRecovery", False),
        ("A Synthetic end\n© Copyright 2025 Synthetic Health. All rights reserved.", True),
        ("A Synthetic end\n© Copyr", True),
    ],
)
def test_law_3_a_text_is_taken_for_whole_where_a_sentence_ends_it(end: str, whole: bool):
    result = _parse(f"{_TOP}Summary\nA Synthetic summary.\nRisks\n{end}")
    assert ("narratives" in result.covered_tables) is whole
    assert (result.outcome, result.truncated) == (("parsed", False) if whole else ("partial", True))
    assert bool(_narratives(result)) is whole
    assert _descriptors(result) == [("long", "Synthetic descriptor, each unit")]


def test_a_text_that_ends_early_is_taken_with_a_warning():
    result = _parse(f"{_TOP}Summary\nA Synthetic summary.")
    assert [(w.rule, w.row_key) for w in result.warnings] == [("prose_open", "summary")]
    assert _parse(f"{_TOP}Summary\nA Synthetic summary.\n{_END}").warnings == ()
    assert _parse(_html("<h1>Synthetic</h1><p>CPT4 code</p><h3>Summary</h3><p>x</p>")).warnings == ()


def test_law_3_an_html_page_that_was_cut_shows_no_end():
    whole = _html("<h1>Synthetic</h1><p>CPT4 code</p><h3>Summary</h3><p>A Synthetic summary.</p>")
    result = _parse(whole[: whole.index("</p></main>")])
    assert (result.outcome, result.truncated, result.reason) == ("partial", True, "narratives cut off")
    assert result.covered_tables == ("attributes", "descriptors")


def test_law_3_a_section_without_its_words_leaves_the_prose_as_it_is():
    text = f"{_TOP}Purpose\nPersonnel\nA Synthetic clerk.\n{_END}"
    markup = _html("<h1>Synthetic</h1><p>CPT4 code</p><h3>Purpose</h3><h3>Personnel</h3><p>A clerk.</p>")
    for page in (text, markup):
        result = _parse(page)
        assert (result.outcome, _narratives(result)) == ("partial", [])
        assert result.reason == "narratives missing: nothing under purpose"


@pytest.mark.parametrize("wall", ["Log in to continue", "Create a free account to unlock this content"])
def test_a_wall_is_never_prose(wall: str):
    gated = _parse(f"{_TOP}Summary\n{wall}\nPurpose\n{wall}\n")
    assert (gated.outcome, gated.records) == ("gated", ())
    some = _parse(_html(f"<h1>Synthetic</h1><p>CPT4 code</p><h3>Summary</h3><p>A line.</p><h3>Risks</h3><p>{wall}</p>"))
    assert (some.outcome, some.reason, _narratives(some)) == ("partial", "narratives behind a login", [])


def test_a_notice_above_the_sections_is_no_footer():
    result = _parse(f"{_TOP}© Copyright 2025 Synthetic Health. All rights reserved.\nSummary\nA line.\n{_END}")
    assert _narratives(result) == [("summary", "A line."), ("risks", "A Synthetic risk.")]
    assert ("footer", 1) in result.set_aside_rules


def test_pages_from_elsewhere_are_known_by_marks_of_their_own():
    page = f"{_TOP}Name of the Procedure\nCommon Name: a\n{_END}"
    assert _parse(page, "https://www.example.org/27447").source == "genhealth"
    common = "Synthetic report\nSummary\nSynthetic words.\nPurpose\nSynthetic words.\nRisks\nSynthetic words."
    assert _parse(common, "https://www.example.org/27447").outcome == "unrecognised"
