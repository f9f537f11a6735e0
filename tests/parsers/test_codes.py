"""The grammar of codes, and where a page's code is looked for."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parsers.codes import CODE, Identity, identify, listed, normal, system_of, title_after
from parsers.page import Block, Kind, Page

_CMS = Path(__file__).parents[1] / "reference" / "cms_pfs_2025_oct_indicators.csv"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("99213", "99213"),
        ("00100", "00100"),
        ("0001F", "0001F"),
        ("0748t", "0748T"),
        ("0001U", "0001U"),
        ("0002M", "0002M"),
        ("G0008", "G0008"),
        ("v5008", "V5008"),
        (" 1001 T ", "1001T"),
        ("W0001", None),
        ("9921", None),
        ("992130", None),
        ("9921A", None),
        ("AB123", None),
        ("99213-26", None),
        ("../99213", None),
        ("\u0669\u0669\u0662\u0661\u0663", None),  # digits, but no code's
        ("", None),
    ],
)
def test_the_grammar(text: str, code: str | None):
    assert normal(text) == code


def test_every_code_of_the_fee_schedule_is_one():
    with _CMS.open(encoding="utf-8", newline="") as file:
        codes = {row["code"] for row in csv.DictReader(file)}
    assert len(codes) > 10_000
    assert [code for code in codes if normal(code) != code] == []
    assert {system_of(code) for code in codes} == {"CPT", "HCPCS"}


CODES = st.from_regex(CODE, fullmatch=True)


@given(CODES, st.data())
def test_a_code_survives_odd_spaces_and_lower_case(code: str, data: st.DataObject):
    gaps = data.draw(st.lists(st.sampled_from(["", " ", "\u00a0"]), min_size=5, max_size=5))
    assert normal("".join(c + gap for c, gap in zip(code.lower(), gaps, strict=True))) == code


@given(st.lists(st.one_of(CODES, st.tuples(CODES, CODES).map("-".join)), unique=True, max_size=6))
def test_a_list_of_codes_and_ranges_reads_back(codes: list[str]):
    assert listed(", ".join(codes)) == codes
    assert listed(" and ".join(codes).lower()) == codes


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("0749T", ["0749T"]),
        ("0749T.", ["0749T"]),
        ("0640T, 0641T and 33361-33366", ["0640T", "0641T", "33361-33366"]),
        ("99202\u201399205", ["99202-99205"]),
        ("33361 - 33366, or 33370", ["33361-33366", "33370"]),
        ("0749T, 0749T", ["0749T"]),
        ("g0008", ["G0008"]),
        ("12345678", []),
        ("A99213", []),
        ("x99213, 99214y", []),
        ("no code", []),
    ],
)
def test_codes_in_a_list(text: str, codes: list[str]):
    assert listed(text) == codes


@pytest.mark.parametrize(
    ("line", "title"),
    [
        ("CPT 1001T: Synthetic title", "Synthetic title"),
        ("CPT\u00ae Code 1001T", ""),
        ("CPT 1001 T: Synthetic", "Synthetic"),
        ("HCPCS Code 1001T \u2013 Synthetic", "Synthetic"),
        ("CPT 1001T | Synthetic | Site", "Synthetic | Site"),
        ("1001T - Synthetic", "Synthetic"),
        ("CPT code 1001T represents a synthetic thing", None),
        ("CPT 1002T: Synthetic title", None),
        ("Synthetic 1001T", None),
    ],
)
def test_the_title_behind_the_code(line: str, title: str | None):
    assert title_after(line, "1001T") == title


def _page(url: str, *blocks: str | tuple[Kind, str]) -> Page:
    made = [("paragraph", b) if isinstance(b, str) else b for b in blocks]
    return Page(url, "html", tuple(Block(i, kind, text) for i, (kind, text) in enumerate(made)))


_NO_CODE = "https://www.openpayer.com/billing-codes/synthetic"


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("https://www.codingahead.com/cpt/codes/0748T", "0748T"),
        ("https://www.codingahead.com/cpt/codes/0748t/?a=99213#99214", "0748T"),
        ("https://www.openpayer.com/billing-codes/cpt-1001t-some-words", "1001T"),
        ("https://www.openpayer.com/billing-codes/words-64490-words", "64490"),
        ("https://www.openpayer.com/billing-codes/cpt-99213-visit-of-20610-kind", "99213"),
        ("https://www.openpayer.com/billing-codes/visits-99213-or-99214", None),
        ("https://www.openpayer.com/billing-codes/hcpcs%2Dg0008", "G0008"),
        ("https://www.openpayer.com/billing-codes/1234567", None),
        ("https://99213.example.org/x", None),
        ("http://[bad", None),
        ("https://x.org:99213/", None),
        ("ftp://x.org/99213", None),
        ("", None),
    ],
)
def test_the_code_in_a_web_address(url: str, code: str | None):
    assert identify(_page(url)).code == code


@pytest.mark.parametrize(
    ("page", "identity"),
    [
        # url > sidecar > heading > prose > file name
        (_page("https://x.org/0748T#code=0748T", "CPT 0748T: x"), Identity("0748T", "url")),
        (_page("file:99213.html#code=0748T", "text"), Identity("0748T", "sidecar")),
        (_page("file:99213.html", ("heading", "0748T - Title")), Identity("0748T", "heading")),
        (_page("file:99213.html", "CPT 0748T: Title"), Identity("0748T", "heading")),
        (_page("file:99213.html", "The step described by CPT\u00ae Code 0748T is"), Identity("0748T", "prose")),
        (_page("file:99213.html", "Providers report CPT 0748T when"), Identity("0748T", "prose")),
        (_page("file:2026/99213.html", "0748T in a line"), Identity("99213", "file name")),
        (_page("file:000_c2e1e92bab34df1e.txt", "text"), Identity(None, "file name")),
        (_page("file:99213_99214.html", "text"), Identity(None, "file name")),
        (_page(_NO_CODE, "text"), Identity(None, "file name")),
        # spaced codes, where they are named as codes
        (_page(_NO_CODE, "CPT 1001 T: Title"), Identity("1001T", "heading")),
        (_page(_NO_CODE, "CPT\u00ae 9921 3"), Identity("99213", "heading")),
        (_page(_NO_CODE, ("heading", "9921 3 Title")), Identity(None, "file name")),
        # several codes at one place are no answer
        (_page(_NO_CODE, "CPT 0748T: a", "CPT 0749T: b", "described by CPT 0750T"), Identity(None, "heading")),
        (_page(_NO_CODE, "CPT 0748T and CPT 0749T"), Identity(None, "prose")),
        # what is described is the page's code, what is only mentioned is not
        (_page(_NO_CODE, "As described by CPT 0748T, unlike CPT 0749T"), Identity("0748T", "prose")),
        (_page(_NO_CODE, "CPT 0748T represents a step. See also HCPCS G0008."), Identity("0748T", "prose")),
        # contradictions
        (_page("https://x.org/0748T", "CPT 0749T: Title"), Identity("0748T", "url", ("0749T",))),
        (_page("https://x.org/0748T", "As described by CPT 0749T"), Identity("0748T", "url", ("0749T",))),
        (_page("https://x.org/0748T#code=0749T", "text"), Identity("0748T", "url", ("0749T",))),
        (_page("file:x.html#code=0748T", "CPT 0749T: Title"), Identity("0748T", "sidecar", ("0749T",))),
        (_page("https://x.org/0748T", "CPT 0748T: Title", "CPT 0749T: Next code"), Identity("0748T", "url")),
        (_page("https://x.org/0748T", "Providers report CPT 0749T when"), Identity("0748T", "url")),
        (_page("https://x.org/0748T", "CPT 0748T: x", "As described by CPT 0749T"), Identity("0748T", "url")),
    ],
)
def test_where_the_code_is_looked_for(page: Page, identity: Identity):
    assert identify(page) == identity


def test_cells_and_site_chrome_name_no_code():
    blocks = (
        Block(0, "pair", "CPT 0749T: | x", ("CPT 0749T:", "x")),
        Block(1, "heading", "CPT 0750T: Next", chrome=True),
    )
    assert identify(Page("https://x.org/0748T", "html", blocks)) == Identity("0748T", "url")
