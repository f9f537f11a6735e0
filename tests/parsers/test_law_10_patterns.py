"""Law 10: time is limited. No pattern of ours takes quadratic time on a line, whatever the line repeats."""

from __future__ import annotations

import time

import pytest

from parsers import parse
from tests.parsers.hostile_pages import GENHEALTH, OPENPAYER, TRAPS, URL, trap

_AROUND = {
    "coding ahead": (URL, "© Copyright 2025 American Medical Association. All rights reserved.\n{}\nMUE 1"),
    "openpayer": (OPENPAYER, "Summary & Overview\nBilling Code Overview\nx\n{}\nClinical Context"),
    "genhealth": (GENHEALTH, "Synthetic\nCPT4 code\nSummary\nx\n{}\nRisks"),
    "anywhere": ("https://www.example.org/page.md", "{}"),
}


@pytest.mark.parametrize("around", _AROUND)
@pytest.mark.parametrize("name", TRAPS)
def test_law_10_no_pattern_takes_quadratic_time(name: str, around: str):
    """A step for each pair of characters would take seconds for one such line; here are forty of them."""
    url, page = _AROUND[around]
    payload = page.format(trap(TRAPS[name], 20_000)).encode()
    begun = time.process_time()
    result = parse(payload, url)
    assert time.process_time() - begun < 1.0
    assert result.outcome != "failed", result.traceback
