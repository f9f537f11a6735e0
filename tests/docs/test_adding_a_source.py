"""The example at the end of docs/adding-a-source.md: its numbers are those of the tree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/adding-a-source.md").read_text("utf-8")
ROWS = re.findall(r"^\| `([\w./-]+)` \| (\d+)( cases)? \|", PAGE.split("## What GenHealth took")[1], re.MULTILINE)


@pytest.mark.parametrize(("name", "told", "cases"), ROWS, ids=[name for name, *_ in ROWS])
def test_the_example_counts_what_is_there(name: str, told: str, cases: str):
    path = ROOT / name
    if cases:
        found = sum(case.is_dir() for case in path.iterdir())
    else:
        lines = path.read_text("utf-8").splitlines()
        is_its_own = "genhealth" in path.name
        found = len(lines) if is_its_own else sum("genhealth" in line.lower() for line in lines)
    assert found == int(told), f"docs/adding-a-source.md says {told} for {name}, and it is {found}"


def test_the_example_names_every_file_of_the_parsers_and_their_tests_that_names_the_source():
    named = {name for name, *_ in ROWS}
    files = [*(ROOT / "parsers").glob("*.py"), *(ROOT / "tests/parsers").glob("*.py")]
    naming = {path.relative_to(ROOT).as_posix() for path in files if "genhealth" in path.read_text("utf-8").lower()}
    assert naming - named == {"tests/parsers/test_registry.py"}, "the registry's tests use its host as any other"
