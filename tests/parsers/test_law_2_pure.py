"""Law 2: a parse depends on (bytes, url, parser version) alone: no clock, no order, no process."""

from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parsers import ParseResult, parse
from tests.golden import goldens
from tests.parsers.generated_pages import BLOCKS, URLS, Made, as_html, as_text, golden, mutated_goldens

_ROOT = Path(__file__).parents[2]
_GOLDENS = [(case, form) for case in goldens.CASES for form in goldens.FORMS]


def _digest(results: list[ParseResult]) -> str:
    return hashlib.sha256(repr(results).encode("utf-8", "backslashreplace")).hexdigest()


def _all_goldens() -> list[ParseResult]:
    return [parse(*golden(case, form)) for case, form in _GOLDENS]


@given(mutated_goldens())
def test_law_2_twice_the_same(page: tuple[bytes, str]):
    assert pickle.dumps(parse(*page)) == pickle.dumps(parse(*page))


@given(BLOCKS, st.sampled_from(URLS))
def test_law_2_generated_pages_twice_the_same(blocks: list[Made], url: str):
    for payload in (as_html(blocks).encode(), as_text(blocks).encode()):
        assert repr(parse(payload, url)) == repr(parse(payload, url))


@given(st.randoms(use_true_random=False))
def test_law_2_whatever_was_parsed_before(random: Random):
    pages = [golden(case, form) for case, form in _GOLDENS[:: len(_GOLDENS) // 5]]
    alone = {page: parse(*page) for page in pages}
    random.shuffle(pages)
    for page in pages:
        assert parse(*page) == alone[page]


@pytest.mark.parametrize("seed", ["0", "1", "4242"])
def test_law_2_in_another_process_with_other_hashes(seed: str):
    code = "from tests.parsers.test_law_2_pure import _all_goldens, _digest; print(_digest(_all_goldens()))"
    environment = os.environ | {"PYTHONHASHSEED": seed, "TZ": "Pacific/Kiritimati", "LC_ALL": "C"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=_ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == _digest(_all_goldens())
