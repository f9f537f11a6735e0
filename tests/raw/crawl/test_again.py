"""Crawls of what is held already: conditional requests, revisits, and pages that a sitemap dropped."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from raw.crawl.crawl import crawl
from raw.crawl.records import Progress
from raw.verify import verify
from tests.raw.crawl.crawling import captures, definition, names_left, run, verified_by_other_tools
from tests.raw.crawl.server import Site, answer, confirmable, page, redirect, serving

pytestmark = pytest.mark.full

CHANGED_AT = "Mon, 05 Jan 2026 06:00:00 GMT"
SECOND = "Tue, 06 Jan 2026 06:00:00 GMT"


def statuses(home: Path, site: Site, path: str) -> list[tuple[int, str]]:
    rows = sorted(captures(home), key=lambda row: row["fetched_at"])
    return [(row["status"], row["record_type"]) for row in rows if row["url"] == site.url(path)]


def test_pages_are_asked_for_again_by_the_validators_of_the_bytes_held(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    pages = {
        "/etag": confirmable(b"Synthetic one", etag='W/"1"'),
        "/date": confirmable(b"Synthetic two", last_modified=CHANGED_AT),
        "/both": confirmable(b"Synthetic three", etag='"3"', last_modified=CHANGED_AT),
        "/neither": page("Synthetic four"),
        "/changes": confirmable(b"Synthetic five", etag='"5"', last_modified=CHANGED_AT),
        "/moved": redirect("/etag"),
        "/gone": confirmable(b"Synthetic six", etag='"6"'),
        "/bad": answer(200, b"Synthetic seven", ETag="\u00e9"),
    }
    listed = ["/moved", *(path for path in pages if path not in ("/moved", "/etag"))]
    with serving(dict(pages)) as site:
        first = run(tmp_path, site, listed)
        assert not [asked for asked in site.log if asked.headers.keys() & {"if-none-match", "if-modified-since"}]
        site.pages["/changes"] = confirmable(b"Synthetic five, changed", etag='"5b"', last_modified=SECOND)
        site.pages["/gone"] = answer(404, b"Synthetic: gone", ETag='"404"')
        site.log.clear()
        second = run(tmp_path, site, listed)
        told = {
            asked.path: (asked.headers.get("if-none-match"), asked.headers.get("if-modified-since"))
            for asked in site.log
        }
        assert told == {
            "/robots.txt": (None, None),
            "/moved": (None, None),
            "/etag": ('W/"1"', None),
            "/date": (None, CHANGED_AT),
            "/both": ('"3"', CHANGED_AT),
            "/neither": (None, None),
            "/changes": ('"5"', CHANGED_AT),
            "/gone": ('"6"', None),
            "/bad": (None, None),
        }
        site.log.clear()
        third = run(tmp_path, site, listed)

        assert site.asked("/changes").headers["if-none-match"] == '"5b"'
        assert site.asked("/etag").headers["if-none-match"] == 'W/"1"'
        assert site.asked("/gone").headers["if-none-match"] == '"6"'
        new, confirmed, again = (200, "response"), (304, "revisit"), (200, "revisit")
        assert statuses(tmp_path, site, "/etag") == [new, confirmed, confirmed]
        assert statuses(tmp_path, site, "/date") == [new, confirmed, confirmed]
        assert statuses(tmp_path, site, "/both") == [new, confirmed, confirmed]
        assert statuses(tmp_path, site, "/neither") == [new, again, again]
        assert statuses(tmp_path, site, "/changes") == [new, new, confirmed]
        assert statuses(tmp_path, site, "/gone") == [new, (404, "response"), (404, "revisit")]
        assert {row["requested_url"] for row in captures(tmp_path) if row["url"] == site.url("/etag")} == {
            site.url("/moved")
        }
    assert [record.unchanged for record in (first, second, third)] == [0, 5, 7]
    assert [record.not_found for record in (first, second, third)] == [0, 1, 1]
    assert all(record.complete for record in (first, second, third))
    assert verified_by_other_tools(tmp_path, capsys) == len(captures(tmp_path))
    assert verify(tmp_path).faults == []
    assert names_left(tmp_path) == []


def sitemap(site: Site, *paths: str) -> bytes:
    urls = "".join(f"<url><loc>{path if ':' in path else site.url(path)}</loc></url>" for path in paths)
    return f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{urls}</urlset>'.encode()


def index(site: Site, *paths: str) -> bytes:
    maps = "".join(f"<sitemap><loc>{site.url(path)}</loc></sitemap>" for path in paths)
    return f"<sitemapindex>{maps}</sitemapindex>".encode()


def test_pages_of_a_sitemap_are_asked_for_and_those_that_it_dropped(tmp_path: Path):
    told = {"source": "mapped", "pages": r"/code/\d+"}
    with serving({f"/code/{n}": page(f"Synthetic {n}") for n in range(5)}) as site:
        robots = f"User-agent: *\nDisallow: /code/4\nSitemap: {site.url('/index.xml')}\n".encode()
        site.pages |= {
            "/robots.txt": answer(200, robots, "text/plain"),
            "/index.xml": answer(200, index(site, "/a.xml", "/b.xml.gz", "/index.xml"), "text/xml"),
            "/a.xml": answer(200, sitemap(site, "/code/0", "/code/1", "/about", "http://www.example.org/code/7")),
            "/b.xml.gz": answer(200, gzip.compress(sitemap(site, "/code/1", "/code/2")), "application/gzip"),
        }
        progress: list[Progress] = []
        first = crawl(tmp_path, definition(site, sitemap=site.url("/robots.txt"), **told), progress.append)
        assert (progress[0].left, progress[-1].done, progress[-1].left) == (None, 3, 0)
        assert site.paths() == [
            "/robots.txt", "/index.xml", "/a.xml", "/b.xml.gz", "/code/0", "/code/1", "/code/2",
        ]  # fmt: skip
        assert (first.complete, first.asked) == (True, 3)

        site.pages["/b.xml.gz"] = answer(200, sitemap(site, "/code/3"))
        site.pages["/code/1"] = answer(410, b"Synthetic: gone")
        site.pages["/a.xml"] = answer(200, sitemap(site, "/code/0"))
        asked: list[list[str]] = []
        for _ in range(3):
            site.log.clear()
            record = run(tmp_path, site, sitemap=site.url("/index.xml"), **told)
            asked.append(sorted(path for path in site.paths() if path.startswith("/code/")))
            assert record.complete
    everything = ["/code/0", "/code/1", "/code/2", "/code/3"]
    assert asked == [everything, everything, ["/code/0", "/code/2", "/code/3"]]


def test_a_sitemap_that_cannot_be_read_makes_a_crawl_incomplete(tmp_path: Path):
    with serving({f"/{n}": page(f"Synthetic {n}") for n in range(2)}) as site:
        site.pages |= {
            "/index.xml": answer(200, index(site, "/a.xml", "/b.xml", "/c.xml")),
            "/a.xml": answer(200, sitemap(site, "/0")),
            "/b.xml": answer(200, sitemap(site, "/1")[:-20]),
        }
        record = run(tmp_path, site, sitemap=site.url("/index.xml"))

        assert (record.complete, record.asked, record.errors) == (False, 1, {"sitemap": 2})
        assert record.finished_at is not None
        site.pages["/index.xml"] = answer(404)
        later = run(tmp_path, site, sitemap=site.url("/index.xml"))
        assert (later.finished_at, later.asked, later.errors) == (None, 0, {"sitemap": 1})
        site.pages["/index.xml"] = answer(200, index(site, "/a.xml"))
        assert run(tmp_path, site, sitemap=site.url("/index.xml")).complete
