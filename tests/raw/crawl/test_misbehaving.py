"""Point 2 of the crawler's contract: a real server that misbehaves, its own log, and what the raw zone kept."""

from __future__ import annotations

import gzip
import hashlib
import time
from dataclasses import dataclass
from email.utils import formatdate
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from raw.crawl.fetch import TRIES
from raw.crawl.records import CrawlRecord
from raw.verify import verify
from tests.raw.crawl.crawling import by_path, names_left, run, verified_by_other_tools
from tests.raw.crawl.server import (
    Act,
    Handler,
    Site,
    answer,
    dripping,
    endless,
    endless_header,
    page,
    raw,
    redirect,
    serving,
)

pytestmark = pytest.mark.full

DELAY = 0.03
MAX_BYTES = 200_000  # more than the bomb has before it goes off
TIMEOUT = 1.0
ROBOTS = b"User-agent: *\nDisallow: /secret/\n\nUser-agent: other\nDisallow: /\n"
SOFT_ERROR = b"<html><body>Synthetic: nothing to see here</body></html>"
CHARSETS = {
    "/utf-8": ("text/html; charset=utf-8", "Synthétique".encode()),
    "/latin-1": ("text/html; charset=ISO-8859-1", "Synthétique".encode("latin-1")),
    "/cyrillic": ("text/html", '<meta charset="windows-1251">Пример'.encode("cp1251")),
    "/wrong": ("text/html; charset=utf-8", "Synthétique".encode("latin-1")),
}
GZIPPED = gzip.compress(b"<html>Synthetic and compressed</html>")
BOMB = gzip.compress(bytes(100 << 20), 9)
UNTIL: list[float] = []  # what the server told as HTTP-date


def later(handler: Handler) -> None:
    UNTIL.append(float(int(time.time()) + 2))
    answer(503, b"Synthetic: later", Retry_After=formatdate(UNTIL[-1], usegmt=True))(handler)


TROUBLE: dict[str, Act | list[Act]] = {
    "/429": [answer(429, b"Synthetic: slower", Retry_After="1"), page("Synthetic 429")],
    "/503-date": [later, page("Synthetic 503 with a date")],
    "/503": [answer(503, b"Synthetic: busy"), page("Synthetic 503")],
    "/always-500": answer(500, b"Synthetic: broken"),
    "/403": answer(403, b"Synthetic: not for you"),
    "/loop": redirect("/loop-2"),
    "/loop-2": redirect("/loop"),
    "/far": redirect("/far-1"),
    **{f"/far-{n}": redirect(f"/far-{n + 1}") for n in range(1, 9)},
    "/moved": redirect("/moved-here", 301),
    "/moved-here": page("Synthetic and moved"),
    "/moved-too": redirect("/moved-here", 301),
    "/elsewhere": redirect("http://www.example.org/"),
    "/other-port": redirect("http://127.0.0.1:1/"),
    "/other-scheme": redirect("ftp://127.0.0.1/"),
    "/private": redirect("http://10.0.0.1/"),
    "/link-local": redirect("http://169.254.169.254/latest"),
    "/into-secret": redirect("/secret/behind"),
    "/secret/page": page(),
    "/secret/behind": page(),
    "/endless": endless,
    "/endless-header": endless_header,
    "/too-long": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\nx"),
    "/bomb": answer(200, BOMB, Content_Encoding="gzip"),
    "/drip": dripping(0.2),
    "/drip-header": dripping(0.2, header=True),
    "/reset": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nSynthetic", then="reset"),
    "/reset-once": [raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nSyn", then="reset"), page("Synthetic reset")],
    "/reset-at-once": raw(b"", then="reset"),
    "/short": raw(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 1000\r\n\r\nSynthetic"),
    "/chunk-cut": raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nSynthetic\r\n"),
    "/gzip-cut": answer(200, GZIPPED[:-12], Content_Encoding="gzip"),
    "/part": answer(206, b"Synthetic part"),
    "/unasked-304": answer(304),
    "/garbage": raw(b"Synthetic, and not HTTP\r\n\r\n"),
    "/gzip": answer(200, GZIPPED, Content_Encoding="gzip"),
    "/404": answer(404, b"Synthetic: not here"),
    "/410": answer(410, b"Synthetic: gone"),
    "/soft-error": answer(200, SOFT_ERROR),
    "/empty": answer(200, b""),
    **{path: answer(200, body, media_type) for path, (media_type, body) in CHARSETS.items()},
}
NOT_LISTED = {"/loop-2", "/moved-here", "/secret/behind", *(f"/far-{n}" for n in range(1, 9))}
KINDS = {
    "/403": "http_403", "/always-500": "http_5xx", "/loop": "redirect_loop", "/far": "redirect_loop",
    "/elsewhere": "redirect_elsewhere", "/other-port": "redirect_elsewhere", "/other-scheme": "redirect_elsewhere",
    "/private": "forbidden_address", "/link-local": "forbidden_address", "/into-secret": "robots",
    "/secret/page": "robots", "/endless": "too_large", "/endless-header": "too_large", "/too-long": "too_large",
    "/bomb": "too_large",
    "/drip": "timeout", "/drip-header": "timeout", "/reset": "cut_off", "/reset-at-once": "reset",
    "/short": "cut_off", "/chunk-cut": "cut_off", "/gzip-cut": "cut_off", "/part": "cut_off",
    "/unasked-304": "http_304", "/garbage": "bad_answer",
}  # fmt: skip
# Pages between the failing ones: a host that fails time after time is left alone, which is another test.
FILLERS = {f"/filler-{n}": page(f"Synthetic filler {n}") for n in range(8)}


@dataclass(frozen=True)
class Crawled:
    site: Site
    record: CrawlRecord
    rows: dict[str, dict[str, Any]]
    listed: list[str]
    home: Path


@pytest.fixture(scope="module")
def crawled(tmp_path_factory: pytest.TempPathFactory):
    home = tmp_path_factory.mktemp("home")
    listed = [path for path in TROUBLE if path not in NOT_LISTED]
    for number, filler in enumerate(FILLERS):
        listed.insert(5 * number, filler)
    with serving({"/robots.txt": answer(200, ROBOTS, "text/plain"), **TROUBLE, **FILLERS}) as site:
        record = run(home, site, listed, delay=DELAY, timeout=TIMEOUT, max_bytes=MAX_BYTES)
        yield Crawled(site, record, by_path(home, site), listed, home)


def test_it_goes_through_its_list_and_is_not_complete(crawled: Crawled):
    assert crawled.record.finished_at is not None
    assert crawled.record.complete is False
    assert names_left(crawled.home) == []


def test_errors_are_told_by_kind_and_page(crawled: Crawled):
    prefix = f"http://{crawled.site.host}"
    found = {problem.url.removeprefix(prefix): problem.kind for problem in crawled.record.problems}

    assert found == KINDS
    assert sum(crawled.record.errors.values()) == len(KINDS)
    assert crawled.record.errors["redirect_elsewhere"] == 3


def test_a_capture_is_kept_of_every_answer_and_of_nothing_else(crawled: Crawled):
    answered = {path for path in crawled.listed if path not in KINDS} | {"/403", "/always-500", "/moved-here"}

    assert set(crawled.rows) == answered - {"/moved", "/moved-too"}
    assert {path: row["status"] for path, row in crawled.rows.items() if row["status"] != 200} == {
        "/403": 403, "/404": 404, "/410": 410, "/always-500": 500,
    }  # fmt: skip
    assert (crawled.record.captured, crawled.record.not_found) == (len(crawled.rows), 2)


def test_only_listed_pages_robots_txt_and_allowed_redirects_are_asked_for(crawled: Crawled):
    allowed = {*crawled.listed, "/robots.txt", "/loop-2", "/moved-here", *(f"/far-{n}" for n in range(1, 6))}

    assert set(crawled.site.paths()) == allowed - {"/secret/page"}
    assert {asked.method for asked in crawled.site.log} == {"GET"}


def test_robots_txt_comes_first_and_once(crawled: Crawled):
    paths = crawled.site.paths()

    assert (paths[0], paths.count("/robots.txt")) == ("/robots.txt", 1)
    assert not [path for path in paths if path.startswith("/secret")]


def test_requests_are_never_closer_than_the_delay(crawled: Crawled):
    assert min(later.at - asked.at for asked, later in pairwise(crawled.site.log)) >= DELAY


def test_what_may_pass_is_tried_some_times_and_the_rest_once(crawled: Crawled):
    tried = {path: crawled.site.paths().count(path) for path in set(crawled.site.paths())}
    twice = {"/429", "/503", "/503-date", "/reset-once"}
    often = {path for path, kind in KINDS.items() if kind in ("timeout", "cut_off", "reset", "http_5xx", "bad_answer")}

    assert {path for path, times in tried.items() if times == TRIES} == often
    assert {path for path, times in tried.items() if times == 2} == twice
    assert {path for path, times in tried.items() if times not in (1, 2, TRIES)} == set()


def test_pauses_between_tries_grow(crawled: Crawled):
    gaps = [b - a for a, b in pairwise(crawled.site.times("/always-500"))]

    assert all(gap >= DELAY * 3 ** (number + 1) for number, gap in enumerate(gaps))


def test_nothing_is_asked_of_a_host_before_its_retry_after_in_seconds_is_over(crawled: Crawled):
    (first, second) = crawled.site.times("/429")

    assert second - first >= 1
    assert not [asked for asked in crawled.site.log if first < asked.at < second]


def test_nothing_is_asked_of_a_host_before_its_retry_after_as_a_date_is_over(crawled: Crawled):
    (first, second) = crawled.site.times("/503-date")
    now, monotonic = time.time(), time.monotonic()

    assert now - (monotonic - second) >= UNTIL[0]
    assert not [asked for asked in crawled.site.log if first < asked.at < second]


def test_redirects_within_the_host_give_the_final_address_and_the_one_asked_for(crawled: Crawled):
    row = crawled.rows["/moved-here"]

    assert row["requested_url"] == crawled.site.url("/moved")
    assert crawled.rows["/gzip"]["requested_url"] is None


def test_a_page_that_two_addresses_lead_to_is_asked_for_once(crawled: Crawled):
    assert crawled.site.paths().count("/moved-too") == 1
    assert crawled.site.paths().count("/moved-here") == 1


def test_bytes_are_kept_as_they_came_whatever_the_charset(crawled: Crawled):
    for path, (_, body) in CHARSETS.items():
        assert crawled.rows[path]["body"] == body
        assert crawled.rows[path]["media_type"] == "text/html"
        assert crawled.rows[path]["digest"] == f"sha256:{hashlib.sha256(body).hexdigest()}"
    assert crawled.rows["/gzip"]["body"] == gzip.decompress(GZIPPED)
    assert crawled.rows["/empty"]["body"] == b""
    assert crawled.rows["/soft-error"]["body"] == SOFT_ERROR


def test_every_request_tells_who_asks_and_nothing_of_where_it_was(crawled: Crawled):
    for asked in crawled.site.log:
        assert asked.headers["user-agent"].startswith("cptflow/")
        assert asked.headers["user-agent"].endswith("(+crawler@example.org)")
        assert not asked.headers.keys() & {"cookie", "referer", "authorization", "proxy-authorization"}


def test_other_tools_read_what_a_crawl_wrote(crawled: Crawled, capsys: pytest.CaptureFixture[str]):
    assert verified_by_other_tools(crawled.home, capsys) == crawled.record.captured
    assert verify(crawled.home).faults == []
