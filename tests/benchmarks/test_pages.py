"""Generated pages are read whole, say what CMS says, and are the same every time."""

from __future__ import annotations

import datetime as dt
import json

import pytest

import parsers
from benchmarks.cms import indicators_by_code
from benchmarks.pages import generate, write_folder
from parsers.records import Indicator

PAGES, SEED = 48, 7
NOON = dt.datetime(2026, 1, 5, 12, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def pages():
    return list(generate(PAGES, SEED, revise=0.25))


def test_law_1_each_page_is_parsed_and_leaves_nothing_unmapped(pages):
    for page in pages:
        result = parsers.parse(page.payload, page.url)
        assert (result.outcome, result.reason, result.unmapped, result.warnings) == ("parsed", None, (), ()), page.file
        assert (result.source, result.code) == (page.source, page.code)


def test_indicators_are_those_of_the_cms_file(pages):
    ours = [page for page in pages if page.source == "codingahead"]
    for page in ours:
        records = parsers.parse(page.payload, page.url).records
        read = {r.indicator: r.value_code for r in records if isinstance(r, Indicator)}
        assert read.items() >= indicators_by_code()[page.code].items(), page.file
    assert {page.form for page in ours} == {"html", "text"}


def test_pages_have_the_size_of_real_ones(pages):
    bounds = {"html": (30_000, 60_000), "text": (2_500, 6_000)}
    sizes = {form: [len(page.payload) for page in pages if page.form == form] for form in bounds}
    assert [len(found) for found in sizes.values()] == [PAGES // 2, PAGES // 2]
    for form, (least, most) in bounds.items():
        assert least <= min(sizes[form]) <= max(sizes[form]) <= most


def test_the_same_seed_gives_the_same_pages_however_many_there_are(pages):
    assert list(generate(PAGES, SEED, revise=0.25)) == pages
    some = list(generate(PAGES // 2, SEED))
    assert [page.url for page in some] == [page.url for page in pages[: PAGES // 2]]
    assert all(page.payload == other.payload for page, other in zip(some, pages, strict=False) if not other.revised)
    assert len({page.url for page in pages}) == PAGES
    assert [page.payload for page in generate(PAGES, SEED + 1)] != [page.payload for page in generate(PAGES, SEED)]


def test_just_the_share_that_is_revised_differs_in_what_is_read(pages):
    before = list(generate(PAGES, SEED))
    differing = [new for old, new in zip(before, pages, strict=True) if old.payload != new.payload]
    assert differing == [page for page in pages if page.revised]
    assert len(differing) == PAGES // 4
    known = {page.url: parsers.parse(page.payload, page.url).records for page in before}
    assert all(parsers.parse(page.payload, page.url).records != known[page.url] for page in differing)


def test_a_folder_holds_the_pages_and_a_manifest_of_them(pages, tmp_path):
    size = write_folder(tmp_path, PAGES, SEED, fetched_at=NOON, revise=0.25)
    lines = [json.loads(line) for line in (tmp_path / "manifest.jsonl").read_text("utf-8").splitlines()]
    assert size == sum(len(page.payload) for page in pages)
    assert [(tmp_path / line["file"]).read_bytes() for line in lines] == [page.payload for page in pages]
    assert [line["url"] for line in lines] == [page.url for page in pages]
    assert dt.datetime.fromisoformat(lines[-1]["fetched_at"]) == NOON + dt.timedelta(seconds=PAGES - 1)


def test_more_pages_than_codes_is_refused():
    with pytest.raises(ValueError, match="real codes"):
        next(generate(100_000, SEED))
