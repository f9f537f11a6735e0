"""Crawls that are stopped and gone on with, asked for twice, or begun anew."""

from __future__ import annotations

from pathlib import Path

import pytest
from filelock import FileLock

from raw.crawl.crawl import crawl
from raw.crawl.errors import CrawlHeld
from raw.crawl.records import Progress, crawls_folder, read_crawls
from raw.errors import IndexUnreadable
from tests.raw.crawl.crawling import captures, definition, names_left, run
from tests.raw.crawl.server import answer, dripping, page, serving

pytestmark = pytest.mark.full

PAGES = {f"/{n}": page(f"Synthetic {n}") for n in range(60)}


def test_a_crawl_stops_after_its_time_and_the_next_goes_on_with_its_own_list(tmp_path: Path):
    with serving(PAGES) as site:
        record = run(tmp_path, site, [*PAGES], max_seconds=1.5)
        assert (record.finished_at, record.complete, record.errors) == (None, False, {})
        assert record.captured < 60
        assert names_left(tmp_path) == []

        later = run(tmp_path, site, [*PAGES, "/another"])

        assert [path for path in site.paths() if path != "/robots.txt"] == [*PAGES]
    assert (later.crawl_id, later.started_at) == (record.crawl_id, record.started_at)
    assert (later.complete, later.asked, later.captured) == (True, 60, 60)
    assert len(later.run_ids) == len(record.run_ids) + 1
    assert read_crawls(tmp_path) == [later]


def test_ctrl_c_keeps_what_came(tmp_path: Path):
    def interrupt(progress: Progress) -> None:
        if progress.done:
            raise KeyboardInterrupt

    with serving(PAGES) as site:
        with pytest.raises(KeyboardInterrupt):
            crawl(tmp_path, definition(site, [*PAGES]), interrupt)
        asked = len(site.log) - 1

        (record,) = read_crawls(tmp_path)
        assert record.finished_at is None
        assert asked - 1 <= record.captured == len(captures(tmp_path)) <= asked
        assert names_left(tmp_path) == []


def test_a_stop_does_not_wait_for_a_page_that_does_not_come(tmp_path: Path):
    with serving(PAGES | {"/0": dripping(0.1)}) as site:
        record = run(tmp_path, site, ["/0", "/1"], timeout=60.0, max_seconds=0.3)

        assert site.paths() == ["/robots.txt", "/0"]
    assert (record.captured, record.finished_at) == (0, None)


def test_a_restart_ends_the_unfinished_crawl_as_it_stands_and_begins_another(tmp_path: Path):
    with serving(PAGES) as site:
        first = run(tmp_path, site, [*PAGES], max_seconds=0.5)
        second = run(tmp_path, site, ["/0", "/1"], restart=True)

    ended, record = read_crawls(tmp_path)
    assert ended.crawl_id == first.crawl_id != second.crawl_id
    assert ended.finished_at is not None
    assert (ended.complete, ended.captured) == (False, first.captured)
    assert (record.complete, record.asked) == (True, 2)


def test_failures_are_tried_again_by_the_call_that_goes_on(tmp_path: Path):
    part, whole = answer(206, b"Synthetic part"), page("Synthetic, whole")
    much_later = [answer(429, Retry_After="7200"), page("Synthetic, later")]
    with serving({"/0": [part, part, part, part, whole], "/1": page("Synthetic 1"), "/2": much_later}) as site:
        first = run(tmp_path, site, ["/0", "/1", "/2"])
        assert (first.errors, first.finished_at) == ({"cut_off": 1, "http_429": 1}, None)
        later = run(tmp_path, site, ["/0", "/1", "/2"])
        assert site.paths() == ["/robots.txt", *["/0"] * 4, "/1", "/2", "/robots.txt", "/0", "/2"]
    assert (later.crawl_id, later.errors, later.complete) == (first.crawl_id, {}, True)


def test_a_source_is_crawled_by_one_process_at_a_time(tmp_path: Path):
    crawls_folder(tmp_path).mkdir(parents=True)
    with serving(PAGES) as site:
        with FileLock(crawls_folder(tmp_path) / "synthetic.lock"), pytest.raises(CrawlHeld, match="synthetic"):
            run(tmp_path, site, ["/0"])
        assert site.log == []
        assert run(tmp_path, site, ["/0"]).complete


def test_an_index_that_cannot_be_read_stops_a_crawl_with_its_own_error(tmp_path: Path):
    (tmp_path / "raw" / "captures").mkdir(parents=True)
    (tmp_path / "raw" / "captures" / "broken.parquet").write_bytes(b"Synthetic")
    with serving(PAGES) as site:
        with pytest.raises(IndexUnreadable, match=r"broken\.parquet"):
            run(tmp_path, site, ["/0"])
        assert site.log == []
