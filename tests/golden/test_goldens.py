"""Each golden page gives its expected records in both forms."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from parsers.registry import BUILT_IN
from tests.golden import goldens


@pytest.mark.parametrize("form", goldens.FORMS)
@pytest.mark.parametrize("case", goldens.CASES, ids=goldens.name)
def test_html_and_text_give_the_expected_records(case: Path, form: str):
    path = case / "expected.json"
    assert path.exists(), (
        f"{path} is missing: `make goldens` writes a candidate; read it against the page, then commit it"
    )
    expected, found = goldens.expected(case, form), goldens.as_json(goldens.read(case, form))
    assert found | {"reason": None} == expected | {"reason": None}
    assert goldens.agrees(case, form), f"reason: {found['reason']!r}, expected {expected['reason']!r}"


@pytest.mark.parametrize("case", goldens.CASES, ids=goldens.name)
def test_law_1_every_block_is_accounted_for(case: Path):
    for form in goldens.FORMS:
        result = goldens.read(case, form)
        assert result.claimed + result.set_aside + len(result.unmapped) == result.blocks > 0


def test_there_are_enough_cases_of_each_source_and_of_both_ways_to_make_text():
    cases = Counter(case.parent.name for case in goldens.CASES)
    assert set(cases) == {source.name for source in BUILT_IN}
    assert [name for name in ("codingahead", "openpayer", "genhealth") if cases[name] < 14] == []
    made = Counter(json.loads((case / "case.json").read_text("utf-8"))["text_by"] for case in goldens.CASES)
    assert set(made) == {"trafilatura", "hand"}
    assert min(made.values()) >= 8


def test_what_a_text_form_loses_is_said_in_words():
    for case in goldens.CASES:
        path = case / "expected.json"
        text = json.loads(path.read_text("utf-8")).get("text") if path.exists() else None
        assert text is None or len(text["lost"]) > 20, case
