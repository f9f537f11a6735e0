"""Tables of codes: what a header or a heading announces, and what a row gives."""

from __future__ import annotations

import pytest

from parsers.code_tables import claim_rows, kind_of_header, kind_of_heading
from parsers.page import Block, Page, Reading
from parsers.records import Modifier, Record, RelatedCode


def _row(index: int, *cells: str) -> Block:
    return Block(index, "row", " | ".join(cells), cells, table=1)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Modifiers", "modifiers"),
        ("Common Modifiers:", "modifiers"),
        ("Modifier Codes", "modifiers"),
        ("Provider Taxonomies", "taxonomy"),
        ("Associated taxonomy codes", "taxonomy"),
        ("NUCC Taxonomy Codes", "taxonomy"),
        ("ICD-10 Diagnoses", "diagnosis"),
        ("ICD\u201110\u2011CM Diagnosis Codes", "diagnosis"),
        ("Diagnosis", "diagnosis"),
        ("Related CPT Codes", "related"),
        ("**Related Codes**", "related"),
        ("Modifiers of synthetic kinds", None),
        ("Synthetic heading", None),
        ("", None),
    ],
)
def test_headings_that_announce_a_table(text: str, kind: str | None):
    assert kind_of_heading(text) == kind


@pytest.mark.parametrize(
    ("first", "announced", "kind"),
    [
        ("Modifier", None, "modifiers"),
        ("Taxonomy Code", "related", "taxonomy"),  # the header says it better than the heading
        ("Code", "diagnosis", "diagnosis"),
        ("Code", None, None),
        ("CPT\u00ae Code", None, "related"),
        ("Payer", "modifiers", None),
        ("", "modifiers", None),
    ],
)
def test_headers_tell_the_table_and_the_heading_where_they_do_not(first: str, announced: str | None, kind: str | None):
    assert kind_of_header(_row(0, first, "Description"), announced) == kind


@pytest.mark.parametrize(
    ("kind", "header", "row", "record", "whole"),
    [
        ("modifiers", "Modifier|Description|When to Use", "25|a|b", Modifier("25", "a", "b"), True),
        ("modifiers", "Modifier|Description|When to Use", "-tc||", Modifier("TC", None, None), True),
        ("modifiers", "Modifier|Description|When to Use", "Modifier 59|a", Modifier("59", "a", None), True),
        ("modifiers", "Modifier|When to Use|Description", "25|b|a", Modifier("25", "a", "b"), True),
        ("modifiers", "Modifier|Meaning", "25|a", Modifier("25", "a", None), True),
        ("modifiers", "Modifier|Description|Payer", "25|a|b", Modifier("25", "a", None), False),
        ("modifiers", "Modifier|Description|Description", "25|a|b", Modifier("25", "b", None), False),
        ("modifiers", "Modifier|Description", "255|a", None, False),
        ("modifiers", "Modifier|Description", "../|a", None, False),
        ("related", "Code|Description", "1001 t|a", RelatedCode("related", "CPT", "1001T", "a"), True),
        ("related", "Code|Description", "G0008|a", RelatedCode("related", "HCPCS", "G0008", "a"), True),
        ("related", "Code|Description|When to Use", "99213|a|a", RelatedCode("related", "CPT", "99213", "a"), False),
        ("related", "Code|Description|Descriptor", "99213|a|b", RelatedCode("related", "CPT", "99213", "a"), False),
        ("related", "Code|Description", "../99213|a", None, False),
        ("related", "Code|Description", "W0008|a", None, False),
        ("diagnosis", "Code|Description", "z12.11|a", RelatedCode("diagnosis", "ICD-10-CM", "Z12.11", "a"), True),
        ("diagnosis", "Code|Description", "A0|a", None, False),
        ("taxonomy", "Code|Description", "207RG0100X|a", RelatedCode("taxonomy", "NUCC", "207RG0100X", "a"), True),
        ("taxonomy", "Code|Description", "207RG0100|a", None, False),
    ],
)
def test_a_row_gives_a_record_or_stays_unmapped_with_a_warning(
    kind: str, header: str, row: str, record: Record | None, whole: bool
):
    """``whole``: the record holds all of the row; where it does not, the row is listed in unmapped as well."""
    blocks = (_row(0, *header.split("|")), _row(1, *row.split("|")))
    reading = Reading(Page("file:x", "html", blocks), "0001T")
    reading.set_aside(blocks[0], "table_header")
    claim_rows(reading, kind, blocks[0], blocks[1:])
    settled = reading.settle(["modifiers", "related_codes"])
    assert settled.records == ((record,) if record else ())
    assert [block.block for block in settled.unmapped] == ([] if whole else [1])
    assert [warning.rule for warning in settled.warnings] == ([] if record else ["unreadable_code"])
