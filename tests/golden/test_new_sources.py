"""A source that `cptflow new-source` wrote is filled in: no line that it left to do is left."""

from __future__ import annotations

from pathlib import Path

import pytest

from parsers.registry import BUILT_IN
from tests.golden import goldens

_REPOSITORY = goldens.ROOT.parents[1]


def _files(source: str) -> list[Path]:
    return [_REPOSITORY / "parsers" / f"{source}.py", *sorted((goldens.ROOT / source).glob("*/*"))]


@pytest.mark.parametrize("source", [source.name for source in BUILT_IN])
def test_nothing_is_left_to_do(source: str):
    left = [
        f"{path.relative_to(_REPOSITORY)}:{number}: {line.strip()}"
        for path in _files(source)
        for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), start=1)
        if "TO DO" in line
    ]
    assert not left, "\n".join([f"the source {source} has lines to fill in (docs/adding-a-source.md):", *left])


@pytest.mark.parametrize("source", [source.name for source in BUILT_IN])
def test_a_source_has_goldens(source: str):
    cases = [case for case in goldens.CASES if case.parent.name == source]
    assert cases, f"tests/golden/{source} holds no case: docs/adding-a-source.md, step 4, says what belongs there"
