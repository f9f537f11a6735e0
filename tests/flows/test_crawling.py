"""What a crawl is told, and `cptflow crawl` from the settings to a deletion that two complete crawls bear out."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from flows.crawling import definition_of
from flows.errors import UsageError
from flows.settings import Settings
from tests.flows.pages import page
from warehouse import snapshots

CONTACT = "data-team@example.org"
CODES = ("99213", "99214", "0748T")


def settings(contact: str | None = CONTACT, source: str = "codingahead", **crawl: object) -> Settings:
    return Settings(contact=contact, sources={source: {"crawl": crawl}})


def test_a_list_of_codes_becomes_the_addresses_of_the_source(tmp_path):
    codes = tmp_path / "codes.txt"
    codes.write_text("\ufeff# Synthetic list\n99213\n\n 0748T \n", encoding="utf-8")

    told = definition_of("codingahead", settings(codes=codes, delay=2))

    assert told.addresses == (
        "https://case2code.codingahead.com/cpt/codes/99213",
        "https://case2code.codingahead.com/cpt/codes/0748T",
    )
    assert (told.source, told.contact, told.delay, told.sitemap) == ("codingahead", CONTACT, 2, None)
    assert {"case2code.codingahead.com", "webhooks.codingahead.com", "www.codingahead.com"} <= set(told.hosts)


def test_a_list_of_addresses_is_taken_as_it_stands_and_hosts_can_be_others(tmp_path):
    addresses = tmp_path / "addresses.txt"
    addresses.write_text("http://127.0.0.1:8080/a\nhttp://127.0.0.1:8080/b\n")

    told = definition_of("openpayer", settings(source="openpayer", addresses=addresses, hosts=["127.0.0.1:8080"]))

    assert told.addresses == ("http://127.0.0.1:8080/a", "http://127.0.0.1:8080/b")
    assert told.hosts == ("127.0.0.1:8080",)


def test_pages_of_a_sitemap_are_told_by_the_source():
    told = definition_of("openpayer", settings(source="openpayer", sitemap="https://www.openpayer.com/robots.txt"))

    assert (told.sitemap, told.addresses) == ("https://www.openpayer.com/robots.txt", ())
    assert re.fullmatch(told.pages, "/billing-codes/cpt-99213-synthetic-slug")
    assert not re.fullmatch(told.pages, "/about")


def test_nothing_is_crawled_that_the_settings_do_not_name():
    with pytest.raises(
        UsageError, match=r"Nothing is fetched from openpayer unless you say so.*sources\.openpayer\.crawl"
    ):
        definition_of("openpayer", settings(sitemap="https://example.org/sitemap.xml"))
    with pytest.raises(UsageError, match="unless you say so"):
        definition_of("openpayer", Settings(contact=CONTACT, sources={"openpayer": {"floor": 0.5}}))


def test_a_crawl_needs_a_contact():
    with pytest.raises(UsageError, match="CPTFLOW_CONTACT"):
        definition_of("codingahead", settings(None, sitemap="https://example.org/sitemap.xml"))


def test_an_unknown_source_is_told_with_the_known_ones():
    with pytest.raises(UsageError, match=r"no source 'codinghead'\. There are codingahead, openpayer"):
        definition_of("codinghead", settings(sitemap="https://example.org/sitemap.xml"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"99213\nSynthetic\n", r"line 2: 'Synthetic' is no code"),
        (b"\xff\xfe", "is not UTF-8"),
        (None, "No such file"),
    ],
)
def test_a_list_that_cannot_be_used_fetches_nothing(tmp_path, text, said):
    codes = tmp_path / "codes.txt"
    if text is not None:
        codes.write_bytes(text)

    with pytest.raises(UsageError, match=said + ".*Nothing was fetched"):
        definition_of("codingahead", settings(codes=codes))


def test_codes_make_no_addresses_of_a_site_that_has_words_in_them(tmp_path):
    codes = tmp_path / "codes.txt"
    codes.write_text("99213\n")

    with pytest.raises(UsageError, match="cannot be made from a code alone"):
        definition_of("openpayer", settings(source="openpayer", codes=codes))


class Site(BaseHTTPRequestHandler):
    """A page for each code that is there, 404 for others."""

    there: set[str]

    def do_GET(self):
        code = self.path.rsplit("/", 1)[-1]
        body = page(code).encode() if code in self.there else b"Synthetic: no such page"
        self.send_response(200 if code in self.there else 404)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass


@pytest.fixture
def site() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    Site.there = set(CODES)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def cptflow(tmp_path, site):
    """Runs a command as a person would, in a folder whose settings name the site for crawling."""
    host = f"127.0.0.1:{site.server_address[1]}"
    (tmp_path / "addresses.txt").write_text("".join(f"http://{host}/cpt/codes/{code}\n" for code in CODES))
    (tmp_path / "cptflow.toml").write_text(
        f'contact = "{CONTACT}"\n[sources.codingahead.crawl]\naddresses = "addresses.txt"\nhosts = ["{host}"]\n'
        'delay = 0.0\nallow_addresses = ["127.0.0.0/8"]\n'
    )

    def command(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [Path(sys.executable).with_name("cptflow"), *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
        )

    return command


@pytest.mark.full
def test_a_code_that_two_complete_crawls_miss_is_deleted(cptflow, tmp_path):
    crawl, run = cptflow("crawl", "codingahead"), cptflow("run")
    assert (crawl.returncode, run.returncode) == (0, 0), crawl.stderr + run.stderr
    assert "codingahead: complete." in crawl.stdout
    assert "Asked for 3 addresses: 3 captures, 0 of them unchanged, 0 not found" in crawl.stdout
    assert "3 done, 0 left" in crawl.stderr

    Site.there = {"99213", "99214"}
    statuses = []
    for _ in range(2):
        told = json.loads(cptflow("crawl", "codingahead", "--json").stdout)
        assert (told["complete"], told["unchanged"], told["not_found"]) == (True, len(statuses) + 2, 1)
        assert cptflow("run").returncode == 0
        home = tmp_path / "data"
        codes = snapshots.read_table(home, snapshots.current_id(home), "codes").to_pylist()
        statuses.append({row["code"]: row["status"] for row in codes})

    assert [told["0748T"] for told in statuses] == ["active", "deleted"]
    assert statuses[1]["99213"] == "active"
    assert "1 code deleted:\n  0748T" in cptflow("changes").stdout
    assert cptflow("raw", "verify").returncode == 0


@pytest.mark.full
def test_without_settings_nothing_is_asked(cptflow, tmp_path):
    (tmp_path / "cptflow.toml").unlink()

    refused = cptflow("crawl", "codingahead")

    assert refused.returncode == 2
    assert "unless you say so" in refused.stderr
    assert not (tmp_path / "data").exists()
