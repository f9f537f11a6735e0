"""OpenPayer: payers, service facts, sentinels and labels that the goldens do not show one by one."""

from __future__ import annotations

import pytest

from parsers import ParseResult, parse
from parsers.records import Attribute, Descriptor, Narrative

URL = "https://www.openpayer.com/billing-codes/cpt-1001t-synthetic"
_TABLE = "| Modifier | Description | When to Use |\n|---|---|---|\n| 25 | a | b |\n"


def _parse(
    summary: str = "", overview: str = "Synthetic overview.", context: str = "Synthetic context.", coding: str = _TABLE
) -> ParseResult:
    text = (
        f"Summary & Overview\nCPT 1001T: Synthetic Title\n{summary}\nBilling Code Overview\n{overview}\n"
        f"Clinical & Coding Specifications\nClinical Context\n{context}\nCoding Specifications\n{coding}"
    )
    result = parse(text.encode(), URL)
    assert result.claimed + result.set_aside + len(result.unmapped) == result.blocks
    return result


def _attributes(result: ParseResult) -> list[tuple[str, str]]:
    return [(r.attribute, r.value) for r in result.records if isinstance(r, Attribute)]


def _narratives(result: ParseResult) -> list[tuple[str, str]]:
    return [(r.section, r.text) for r in result.records if isinstance(r, Narrative)]


@pytest.mark.parametrize(
    ("sentence", "payers"),
    [
        ("Payers include Aetna, Blue Cross Blue Shield, Cigna Health, UnitedHealthcare, and Medicare.", "ABCUM"),
        ("Synthetic payers are Medicare, United Healthcare and Cigna.", "MUC"),
        ("Medicare, UHC, BCBS and Cigna Healthcare cover it.", "MUBC"),
        ("Blue Cross and Blue Shield is a payer.", "B"),
        ("Blue Cross/Blue Shield and aetna.", "BA"),
        ("Aetna alone is named.", ""),
        ("Payers such as Medicare Advantage plans.", ""),
        ("Aetnas and MedicareX are no payers.", ""),
        ("Aetna. Cigna. Medicare.", ""),
        ("Cigna pays, and Cigna Health pays.", ""),  # one name twice
        ("Cigna, Aetna and Cigna Health.", "CA"),
    ],
)
def test_payers(sentence: str, payers: str):
    names = {
        "A": "Aetna",
        "B": "Blue Cross Blue Shield",
        "C": "Cigna Health",
        "U": "UnitedHealthcare",
        "M": "Medicare",
    }
    result = _parse(summary=sentence)
    assert [value for name, value in _attributes(result) if name == "payer"] == [names[p] for p in payers]
    assert ("summary", sentence) in _narratives(result)


@pytest.mark.parametrize(
    ("lines", "facts"),
    [
        ("Service type: x\nTypical site of service: y", [("service_type", "x"), ("site_of_service", "y")]),
        ("-\nService type: x\n-\nTypical site of service: y", [("service_type", "x"), ("site_of_service", "y")]),
        ("- Service Type: x.\n- Sites of Service: y.", [("service_type", "x"), ("site_of_service", "y")]),
        ("Service type: x. Typical site of service: y.", [("service_type", "x"), ("site_of_service", "y")]),
        ("Service type:\n- x\n- z", [("service_type", "x"), ("service_type", "z")]),
        ("Service type\n- x\nSite of service\n- y", [("service_type", "x"), ("site_of_service", "y")]),
        ("## Service Type\nx", [("service_type", "x")]),
        ("Service type | x |", [("service_type", "x")]),
        ("Service type: x. Synthetic more: y", [("service_type", "x. Synthetic more: y")]),
        ("Service type: Data not available in the input.", [("not_available", "Data not available in the input.")]),
        ("Service type:", []),
        ("Service types: x", []),
    ],
)  # fmt: skip
def test_service_facts_on_lines_of_their_own(lines: str, facts: list[tuple[str, str]]):
    result = _parse(overview="Synthetic overview.\n" + lines)
    assert _attributes(result) == facts
    assert [r.text for r in result.records if isinstance(r, Descriptor)] == ["Synthetic Title", "Synthetic overview."]


def test_service_facts_inside_prose_leave_the_paragraph_whole():
    text = "Synthetic overview of it. Service type: x. Typical site of service: y. It goes on."
    result = _parse(overview=text)
    assert _attributes(result) == [("service_type", "x"), ("site_of_service", "y")]
    assert Descriptor("overview", text) in result.records


@pytest.mark.parametrize(
    ("where", "text", "sentinels", "kept"),
    [
        ("summary", "Data not available in the input.", 1, False),
        ("overview", "Synthetic.\nData not available in the input for x: y.", 1, False),
        ("context", "Data not provided in the input.", 1, False),
        ("context", "Synthetic words. Missing data is noted where applicable. More.", 1, True),
        ("context", "Data not available in the input. Data not provided in the input: x", 1, False),
        ("coding", "Data not available in the input.", 1, False),
        ("coding", "Modifiers\nData not available in the input for modifiers.", 1, False),
    ],
)
def test_sentinels(where: str, text: str, sentinels: int, kept: bool):
    result = _parse(**{where: text})
    assert result.outcome == "parsed", result.reason
    assert [name for name, _ in _attributes(result)] == ["not_available"] * sentinels
    assert (text in [narrative for _, narrative in _narratives(result)]) is kept


@pytest.mark.parametrize(
    ("summary", "narratives"),
    [
        ("Headline: x", ["Headline: x"]),
        ("Headline:\nx", ["Headline: x"]),
        ("## Why it matters\nx\ny", ["Why it matters: x", "y"]),
        ("Key payers covered\nx", ["Key payers covered: x"]),
        ("Why it matters:\n- x\n- y", ["Why it matters:", "x", "y"]),
        ("Headline:\nLead:\nx", ["Headline:", "Lead: x"]),
        ("A synthetic line\nx", ["A synthetic line", "x"]),
    ],
)
def test_a_label_alone_is_joined_to_its_paragraph(summary: str, narratives: list[str]):
    assert [text for section, text in _narratives(_parse(summary=summary)) if section == "summary"] == narratives


@pytest.mark.parametrize(
    ("coding", "covered", "outcome"),
    [
        (_TABLE, True, "parsed"),
        (_TABLE + "Provider Taxonomies", True, "partial"),
        (_TABLE + "An unknown line", False, "partial"),  # or a header over lines, cut short
        (_TABLE + "5", False, "partial"),  # or a row, cut before its first bar
        (_TABLE + "Provider Taxonomies\n| Code | Description |", True, "partial"),
        (_TABLE + "| Taxonomy Code | Description |", False, "partial"),  # or a row of the table above, cut short
        ("Modifiers", False, "partial"),
        ("| Modifier | Description |", False, "partial"),
        ("", False, "partial"),
    ],
)
def test_a_text_is_whole_where_a_row_or_a_sentinel_ends_it(coding: str, covered: bool, outcome: str):
    result = _parse(coding=coding)
    assert ("modifiers" in result.covered_tables, result.outcome) == (covered, outcome)
    assert ("related_codes" in result.covered_tables) is (outcome == "parsed")
