"""WARC files of other writers land: wget, Scrapy with scrapy-warcio, and what a Common Crawl file holds."""

from __future__ import annotations

import base64
import gzip
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from raw.captures import read_captures
from raw.landing import LandReport, land
from raw.verify import verify
from tests.raw.foreign_writers import FIXTURES, PAGES, SITE, written_by_scrapy, written_by_wget
from tests.raw.landing_zone import payloads, source_of

# The fixtures were written in November 2026, whatever this machine's clock says.
NOW = datetime(2026, 12, 1, tzinfo=UTC)
MISSING = SITE + "/cpt/1005T"


def landed(home: Path, *files: Path, now: datetime | None = NOW) -> LandReport:
    return land(home, "20260301T120000Z-0001", [str(file) for file in files], source_of, now=now)


def facts(home: Path) -> list[tuple[str, int, str]]:
    rows = read_captures(home).sort_by([("fetched_at", "ascending"), ("url", "ascending")]).to_pylist()
    return [(row["url"], row["status"], row["record_type"]) for row in rows]


def assert_all_pages_came(home: Path, report: LandReport) -> None:
    """Bytes out of every coding, the 404 too; no image, no robots.txt, no redirect, nothing of the tool's own."""
    assert report.problems == ()
    assert payloads(home) == {SITE + path: body for path, body in PAGES.items()}
    assert {(row["url"], row["status"]) for row in read_captures(home).to_pylist()} == {
        (SITE + path, 404 if SITE + path == MISSING else 200) for path in PAGES
    }
    assert verify(home).faults == []


def test_a_warc_of_wget_lands_with_its_revisits(tmp_path: Path) -> None:
    report = landed(tmp_path / "home", FIXTURES / "wget.warc.gz")
    assert_all_pages_came(tmp_path / "home", report)
    assert (report.landed, report.revisits) == (6, 6)
    dates = [row["fetched_at"] for row in read_captures(tmp_path / "home").to_pylist()]
    assert all(timedelta(0) <= date - dates[0] < timedelta(seconds=30) for date in dates)
    assert dates[0].year == 2026


def test_a_warc_of_scrapy_lands(tmp_path: Path) -> None:
    report = landed(tmp_path / "home", FIXTURES / "scrapy.warc.gz")
    assert_all_pages_came(tmp_path / "home", report)
    assert (report.landed, report.revisits) == (6, 0)


def test_the_same_files_land_but_once(tmp_path: Path) -> None:
    """Law 5: nothing new, nothing written."""
    landed(tmp_path / "home", FIXTURES / "wget.warc.gz", FIXTURES / "scrapy.warc.gz")
    again = land(tmp_path / "home", "20260302T120000Z-0002", [str(FIXTURES / "wget.warc.gz")], source_of, now=NOW)
    assert (again.landed, again.revisits) == (0, 0)
    assert again.already_held == 2 * (6 + 1)  # a redirect led wget to one page for the second time


def test_fixtures_hold_nothing_of_the_machine_that_made_them() -> None:
    for name in ("wget", "scrapy"):
        text = gzip.decompress((FIXTURES / f"{name}.warc.gz").read_bytes())
        assert b"/tmp" not in text
        assert b"/home" not in text
        assert b"127.0.0.1:" not in text


@pytest.mark.full
def test_wget_itself_writes_what_lands(tmp_path: Path) -> None:
    first, second = written_by_wget(tmp_path)
    both = tmp_path / "both.warc.gz"
    both.write_bytes(first.read_bytes() + second.read_bytes())
    report = landed(tmp_path / "home", both, now=None)
    assert_all_pages_came(tmp_path / "home", report)
    assert report.landed == 6
    assert report.revisits >= 6  # one more for each second that passed before a redirect led to a page again


@pytest.mark.full
def test_scrapy_itself_writes_what_lands(tmp_path: Path) -> None:
    report = landed(tmp_path / "home", written_by_scrapy(tmp_path), now=None)
    assert_all_pages_came(tmp_path / "home", report)


def record(kind: str, url: str, block: bytes, **more: str) -> bytes:
    """A gzip member with a WARC/1.0 record, as Common Crawl has them."""
    digest = base64.b32encode(hashlib.sha1(block).digest()).decode()
    headers = {
        "WARC-Type": kind,
        "WARC-Date": "2026-02-05T10:00:00Z",
        "WARC-Record-ID": f"<urn:uuid:00000000-0000-4000-8000-{abs(hash((kind, url))) % 10**12:012}>",
        "Content-Length": str(len(block)),
        "Content-Type": f"application/http; msgtype={kind}",
        "WARC-Target-URI": url,
        "WARC-IP-Address": "192.0.2.1",
        "WARC-Block-Digest": f"sha1:{digest}",
        **{name.replace("_", "-"): value for name, value in more.items()},
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return gzip.compress(b"WARC/1.0\r\n" + lines.encode() + b"\r\n" + block + b"\r\n\r\n")


def answer(body: bytes, status: str = "200 OK", **headers: str) -> bytes:
    told: Mapping[str, str] = {"Content-Type": "text/html; charset=utf-8", **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in told.items())
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + body


def crawled(url: str, block: bytes, body: bytes, **more: str) -> list[bytes]:
    """Request, response and metadata, the three that a Common Crawl file has of each page."""
    digest = base64.b32encode(hashlib.sha1(body).digest()).decode()
    more = {"WARC_Payload_Digest": f"sha1:{digest}", "WARC_Identified_Payload_Type": "text/html", **more}
    return [
        record("request", url, b"GET / HTTP/1.1\r\nUser-Agent: CCBot/2.0\r\n\r\n"),
        record("response", url, block, **more),
        record("metadata", url, b"fetchTimeMs: 212\r\n", Content_Type="application/warc-fields"),
    ]


def test_a_file_like_those_of_common_crawl_lands(tmp_path: Path) -> None:
    """Codings are undone in it, and kept under other names; the original length is told too."""
    pages = {f"https://example.com/cpt/{n}": f"<html>Synthetic page {n}</html>".encode() for n in (1, 2, 3)}
    one, two, three = pages
    packed = {"X_Crawler_Content_Encoding": "gzip", "X_Crawler_Content_Length": "17", "Content_Length": "31"}
    chunked = {"X_Crawler_Transfer_Encoding": "chunked"}
    members = [
        record("warcinfo", "", b"software: Synthetic crawler\r\n", Content_Type="application/warc-fields"),
        *crawled(one, answer(pages[one], **packed), pages[one]),
        *crawled(two, answer(pages[two], **chunked), pages[two], WARC_Truncated="length"),
        *crawled(three, answer(pages[three], "404 Not Found"), pages[three]),
        record("conversion", one, b"Synthetic page 1", Content_Type="text/plain"),
    ]
    (tmp_path / "CC-MAIN-synthetic.warc.gz").write_bytes(b"".join(members))
    report = landed(tmp_path / "home", tmp_path / "CC-MAIN-synthetic.warc.gz")
    assert payloads(tmp_path / "home") == pages
    assert facts(tmp_path / "home") == [(one, 200, "response"), (two, 200, "response"), (three, 404, "response")]
    offset = sum(map(len, members[:5]))
    [cut] = [problem.message for problem in report.problems if problem.where == offset]
    assert cut.startswith(f"at offset {offset}: was cut by its crawler")


def test_a_payload_with_another_digest_than_it_tells_is_left_out(tmp_path: Path) -> None:
    page = b"<html>Synthetic page</html>"
    good = crawled("https://example.com/good", answer(page), page)
    bad = crawled("https://example.com/bad", answer(page), b"<html>Synthetic other</html>")
    (tmp_path / "x.warc.gz").write_bytes(b"".join(bad + good))
    report = landed(tmp_path / "home", tmp_path / "x.warc.gz")
    assert list(payloads(tmp_path / "home")) == ["https://example.com/good"]
    assert [problem.where for problem in report.problems] == [len(bad[0])]
