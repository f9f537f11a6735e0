"""One quick crawl, and what needs no server at all."""

from __future__ import annotations

import gzip
import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from raw.crawl.body import CannotDecode, decode
from raw.crawl.crawl import crawl
from raw.crawl.definition import Definition, check
from raw.crawl.errors import BadDefinition, CrawlUnreadable
from raw.crawl.fetch import retry_after
from raw.crawl.records import Progress, crawls_folder, read_crawls
from raw.crawl.sitemap import NotASitemap, read_sitemap
from tests.raw.crawl.crawling import by_path, definition, names_left
from tests.raw.crawl.server import answer, page, serving

NOW = datetime(2026, 1, 5, 6, tzinfo=UTC)
USUAL = Definition("synthetic", ("www.example.org",), "data@example.org", ("https://www.example.org/1",))


def test_a_crawl_lands_its_pages_and_tells_how_it_went(tmp_path: Path):
    told: list[Progress] = []
    robots = answer(200, b"User-agent: cptflow\nDisallow: /3", "text/plain")
    pages = {f"/{n}": page(f"Synthetic {n}") for n in range(5)}
    with serving({"/robots.txt": robots} | pages) as site:
        record = crawl(tmp_path, definition(site, ["/0", "/1", "/2", "/3", "/4", "/gone"]), told.append)

        assert site.paths() == ["/robots.txt", "/0", "/1", "/2", "/4", "/gone"]
        rows = by_path(tmp_path, site)
    assert {path: row["status"] for path, row in rows.items()} == {
        "/0": 200, "/1": 200, "/2": 200, "/4": 200, "/gone": 404,
    }  # fmt: skip
    assert {row["run_id"] for row in rows.values()} == set(record.run_ids) == {f"{record.crawl_id}.0001"}
    assert (record.asked, record.captured, record.unchanged, record.not_found) == (5, 5, 0, 1)
    assert (record.errors, record.complete) == ({"robots": 1}, False)
    assert record.finished_at is not None
    assert read_crawls(tmp_path) == [record]
    assert (told[-1].done, told[-1].left, told[-1].errors) == (6, 0, {"robots": 1})
    assert names_left(tmp_path) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("source", "../up"),
        ("source", ""),
        ("contact", ""),
        ("contact", "me"),
        ("contact", "a@example.org\r\nCookie: x"),
        ("hosts", ()),
        ("hosts", ("127.1",)),
        ("addresses", ()),
        ("sitemap", "https://example.com/sitemap.xml"),
        ("sitemap", "sitemap.xml"),
        ("pages", "("),
        ("delay", -1.0),
        ("delay", float("nan")),
        ("timeout", 0.0),
        ("max_bytes", 0),
        ("allow_addresses", ("here",)),
    ],
)
def test_a_definition_that_cannot_be_followed_is_refused_before_anything_is_asked(tmp_path: Path, field, value):
    wrong = replace(USUAL, **{field: value})

    with pytest.raises(BadDefinition) as refused:
        crawl(tmp_path, wrong, lambda _: None)

    assert field in str(refused.value)
    assert "Nothing was asked" in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_a_contact_is_an_address_of_either_kind():
    assert check(USUAL)
    assert check(replace(USUAL, contact="https://example.org/crawler"))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("Mon, 05 Jan 2026 06:01:00 GMT", 60.0),
        ("Monday, 05-Jan-26 06:01:00 GMT", 60.0),
        ("Mon, 05 Jan 2026 07:01:00 +0100", 60.0),
        ("Mon, 05 Jan 2026 05:00:00 GMT", 0.0),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("²", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float | None):
    assert retry_after(value, NOW) == seconds


def test_a_gzip_bomb_is_stopped_in_bounded_memory():
    bomb = gzip.compress(bytes(64 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(CannotDecode) as stopped:
            decode(bomb, "gzip", 1 << 20)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert stopped.value.kind == "too_large"
    assert peak < 8 << 20


def test_a_body_is_decoded_whole_or_not_at_all():
    whole = gzip.compress(b"Synthetic " * 1000)

    assert decode(whole, "gzip", 10_000) == b"Synthetic " * 1000
    assert decode(b"Synthetic", "", 100) == b"Synthetic"
    for body, encoding, limit, kind in (
        (whole, "gzip", 9_999, "too_large"),
        (whole[:-1], "gzip", 10_000, "cut_off"),
        (whole[:-8], "gzip", 10_000, "cut_off"),
        (whole[:20] + b"\x00\x01\x02" + whole[23:], "gzip", 10_000, "bad_encoding"),
        (b"\x00\x01", "compress", 10_000, "bad_encoding"),
    ):
        with pytest.raises(CannotDecode) as refused:
            decode(body, encoding, limit)
        assert refused.value.kind == kind


def test_a_sitemap_lists_pages_and_an_index_lists_sitemaps():
    urls = b"""<?xml version="1.0" encoding="UTF-8"?>
    <urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" xmlns:image="http://example.org/image">
      <url><loc> https://example.org/1?a=1&amp;b=2 </loc><lastmod>2026-01-05</lastmod>
        <image:image><image:loc>https://example.org/1.png</image:loc></image:image></url>
      <!-- synthetic --><url><loc>https://example.org/2</loc></url>
    </urlset>"""
    index = b"<sitemapindex><sitemap><loc>https://example.org/s.xml</loc></sitemap></sitemapindex>"

    assert read_sitemap(urls) == (["https://example.org/1?a=1&b=2", "https://example.org/2"], [])
    assert read_sitemap(gzip.compress(urls)) == read_sitemap(urls)
    assert read_sitemap(index) == ([], ["https://example.org/s.xml"])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"Synthetic, no XML",
        b"<urlset><url><loc>https://example.org/1</loc></url>",
        b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><urlset><url><loc>&b;</loc></url>',
    ],
)
def test_a_sitemap_that_cannot_be_read_to_its_end_is_told(body: bytes):
    with pytest.raises(NotASitemap):
        read_sitemap(body)


def test_a_crawls_record_that_cannot_be_read_is_named(tmp_path: Path):
    crawls_folder(tmp_path).mkdir(parents=True)
    path = crawls_folder(tmp_path) / "20260105T060000Z-ab12.json"
    path.write_text('{"crawl_id": "20')

    with pytest.raises(CrawlUnreadable, match=path.name):
        read_crawls(tmp_path)
