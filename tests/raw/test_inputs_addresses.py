"""Inputs behind an address: the same pages as by path, nothing of a user's secrets told, and no page by HTTP."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFile, MemoryFileSystem
from fsspec.registry import _registry

from raw.captures import read_captures
from raw.errors import UnusableInput
from raw.inputs import check_input, shown_input
from tests.raw.containers import WRITERS, captured, made
from tests.raw.landing_zone import PAGES, URL, landed, payloads, scraped, write_page


@pytest.fixture
def memory() -> Iterator[MemoryFileSystem]:
    files = fsspec.filesystem("memory")
    files.store.clear()
    files.pseudo_dirs[:] = [""]
    yield files
    files.store.clear()


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("address", ["memory://pages/", "file://{}/"])
def test_a_container_behind_an_address(tmp_path: Path, memory: MemoryFileSystem, name: str, address: str) -> None:
    pages = made(5)
    file = WRITERS[name](tmp_path / name, pages)
    memory.pipe(f"/pages/{name}", file.read_bytes())
    report = landed(tmp_path / "home", address.format(tmp_path.as_posix()) + name)
    assert report.problems == ()
    landed(tmp_path / "other", file)
    assert captured(tmp_path / "home") == captured(tmp_path / "other")


def test_a_folder_behind_an_address_is_read_as_a_local_one(tmp_path: Path, memory: MemoryFileSystem) -> None:
    folder = scraped(tmp_path / "pages")
    WRITERS["pages.warc.gz"](folder / "deep.warc.gz", made(3))
    write_page(folder / "other.file", b"Synthetic and no page")
    memory.put(f"{folder}/", "/bucket/pages", recursive=True)
    landed(tmp_path / "local", folder)
    for name, address in (("home", "memory://bucket/pages"), ("slash", "memory://bucket/pages/")):
        report = landed(tmp_path / name, address)
        assert (report.problems, report.landed) == ((), 8)
        columns = ["url", "digest", "status", "media_type"]
        assert read_captures(tmp_path / name, columns).equals(read_captures(tmp_path / "local", columns))


def test_a_page_behind_an_address_has_its_manifest_and_its_time(tmp_path: Path, memory: MemoryFileSystem) -> None:
    scraped(tmp_path / "pages")
    memory.pipe("/bucket/0001T.html", PAGES["2026-01/0001T.html"])
    memory.pipe("/bucket/0002T.htm", b"Synthetic and not asked for")
    memory.pipe("/bucket/0003T.txt", b"Synthetic text")
    manifest = (tmp_path / "pages/manifest.jsonl").read_bytes().replace(b"2026-01/", b"")
    memory.pipe("/bucket/manifest.jsonl", manifest)
    now = datetime(2026, 1, 31, 12, tzinfo=UTC)
    memory.store["/bucket/0003T.txt"].created = now
    report = landed(tmp_path / "home", "memory://bucket/0001T.html", "memory://bucket/0003T.txt")
    assert report.problems == ()
    rows = read_captures(tmp_path / "home", ["url", "status", "fetched_at"]).to_pylist()
    assert [(row["url"], row["status"]) for row in rows] == [(URL + "0001T", 200), ("file:0003T.txt", None)]
    assert rows[1]["fetched_at"] == now


def test_names_that_no_file_can_have_are_named(tmp_path: Path, memory: MemoryFileSystem) -> None:
    """Law 10: a bucket may hold any name; none leads out of the folder that stands for it."""
    memory.pipe("/bucket/pages/good.html", b"<html>Synthetic")
    for name in ("/bucket/pages/../../../../out.html", "/bucket/pages/" + "a" * 300 + ".html", "/bucket/pages//b.html"):
        memory.store[name] = MemoryFile(memory, name, b"<html>Synthetic and hostile")
    memory.store["/bucket/pages/good.html/below.html"] = MemoryFile(memory, "", b"<html>Synthetic")
    report = landed(tmp_path / "home", "memory://bucket/pages")
    assert list(payloads(tmp_path / "home")) == ["file:good.html"]
    assert [p.message for p in report.problems if "name that no file can have" not in p.message] == []
    assert len(report.problems) == 4
    assert not (tmp_path / "out.html").exists()


def test_a_file_that_fails_while_it_is_read_is_named(
    tmp_path: Path, memory: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Drivers raise what they like."""
    memory.pipe("/bucket/a.jsonl", WRITERS["pages.jsonl"](tmp_path / "a.jsonl", made(3)).read_bytes())
    memory.pipe("/bucket/b.html", b"<html>")
    good = WRITERS["pages.warc"](tmp_path / "good.warc", made(3))

    def fail(self: MemoryFile, *size: int) -> bytes:
        raise RuntimeError("Synthetic failure at memory://user:secret@bucket")

    monkeypatch.setattr(MemoryFile, "read", fail)
    report = landed(tmp_path / "home", "memory://bucket/a.jsonl", "memory://bucket", good)
    assert report.landed == 3
    assert {problem.file for problem in report.problems} == {"memory://bucket/a.jsonl", "memory://bucket/b.html"}
    assert all("cannot be read: Synthetic failure at memory://bucket" in p.message for p in report.problems)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("https://www.codingahead.com/cpt/codes/0001T", "pages are fetched with `cptflow crawl`"),
        ("http://127.0.0.1:9/page.html", "pages are fetched with `cptflow crawl`"),
        ("https://user:secret@example.com/0001T?key=secret", "pages are fetched with `cptflow crawl`"),
        ("memory://bucket/nothing.warc", "nothing is there"),
        ("memory://bucket/page.pdf", "a file that does not end in .html"),
        ("memory://bucket/manifest.jsonl", "a manifest, which is read with the pages of its folder"),
        ("synthetic://user:secret@bucket/pages", "Protocol not known"),
        ("s3://user:secret@bucket/pages.warc", 'no driver for s3:// is installed: pip install "cptflow[s3]"'),
        ("gs://bucket/pages.warc", 'no driver for gs:// is installed: pip install "gcsfs"'),
        ("ftp://user:secret@127.0.0.1:9/pages.warc", "refused"),
        ("http://user:secret@127.0.0.1:9/pages.warc?sign=secret", "its server does not answer"),
    ],
)
def test_an_unusable_address_is_told_before_anything_is_landed(
    tmp_path: Path, memory: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch, address: str, said: str
) -> None:
    """Law 11, and no secret in what it says."""
    memory.pipe("/bucket/page.pdf", b"%PDF")
    memory.pipe("/bucket/manifest.jsonl", b"{}")
    for name, protocol in (("s3fs", "s3"), ("gcsfs", "gs")):
        monkeypatch.setitem(sys.modules, name, None)
        monkeypatch.delitem(_registry, protocol, raising=False)  # another test may have used it before
    with pytest.raises(UnusableInput) as raised:
        landed(tmp_path / "home", WRITERS["pages.jsonl"](tmp_path / "good.jsonl", made(1)), address)
    assert said in str(raised.value)
    assert "secret" not in str(raised.value)
    assert "user" not in raised.value.path
    assert not (tmp_path / "home").exists()


def test_local_addresses_are_paths(tmp_path: Path) -> None:
    page = write_page(tmp_path / "with space" / "page.html", b"<html>Synthetic")
    for name in (str(page), f"file://{page}".replace(" ", "%20"), f"file://localhost{page}", f"local://{page.parent}"):
        check_input(name)
    with pytest.raises(UnusableInput, match="No such file"):
        check_input(f"file://{page}x")


def test_an_input_is_shown_without_its_secrets() -> None:
    assert shown_input("s3://user:p%40ss:word@bucket/pages") == "s3://bucket/pages"
    assert shown_input("https://host/a.warc.gz?X-Amz-Signature=secret") == "https://host/a.warc.gz"
    assert shown_input("/data/me@home?/pages") == "/data/me@home?/pages"
    assert shown_input("s3://bucket/me@home?/pages") == "s3://bucket/me@home?/pages"


@pytest.mark.parametrize(
    "address",
    [
        "simplecache::memory://user:s3cret@bucket/none.jsonl",
        "zip://a.jsonl::memory://user:s3cret@bucket/none.zip",
        "unknown::protocol://user:s3cret@bucket/none.jsonl",
        "unknown+::::memory://user:s3cret@bucket/none.jsonl",
        "memory://bucket/none.jsonl?sv=1&sig=as3cret",
        "simplecache::memory://bucket/none.jsonl?sig=as3cret",
        "file://user:s3cret@bucket/none.jsonl",
        "ftp://user:pass/s3cret@127.0.0.1:port/none.jsonl",
    ],
)
def test_law_10_no_form_of_an_address_shows_its_secrets(address: str) -> None:
    with pytest.raises(UnusableInput) as raised:
        check_input(address)
    assert "s3cret" not in str(raised.value) + shown_input(address)
    assert "none." in raised.value.path


def test_pages_are_not_fetched_through_a_cache_either() -> None:
    with pytest.raises(UnusableInput, match="cptflow crawl"):
        check_input("simplecache::http://127.0.0.1:1/page")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


def test_a_container_by_http_from_a_server_that_gives_no_parts(tmp_path: Path) -> None:
    """It is fetched to a temporary file, since its reader must be able to go back."""
    pages = made(5)
    for name, write in WRITERS.items():
        write(tmp_path / name, pages)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            base = f"http://127.0.0.1:{server.server_port}/"
            with pytest.raises(UnusableInput, match="nothing is there"):
                check_input(f"{base}none.warc")
            report = landed(tmp_path / "home", *(f"{base}{name}?sign=secret" for name in WRITERS))
        finally:
            server.shutdown()
            thread.join()
    assert report.problems == ()
    assert payloads(tmp_path / "home") == {page.url: page.body for page in pages}


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[fsspec.AbstractFileSystem]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in (("ACCESS_KEY_ID", "synthetic"), ("SECRET_ACCESS_KEY", "synthetic"), ("REGION", "us-east-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    try:
        files = fsspec.filesystem("s3", skip_instance_cache=True)
        files.mkdir("bucket")
        yield files
    finally:
        server.stop()


@pytest.mark.full
def test_inputs_on_s3(tmp_path: Path, bucket: fsspec.AbstractFileSystem) -> None:
    pages = made(30, size=100)
    names = ["pages.warc.gz", "pages.jsonl.zst", "pages.parquet"]
    for name in names:
        bucket.put(str(WRITERS[name](tmp_path / name, pages)), f"bucket/{name}")
    folder = scraped(tmp_path / "pages")
    WRITERS["pages.jsonl"](folder / "deep.jsonl", pages)
    bucket.put(f"{folder}/", "bucket/pages", recursive=True)
    for name in names:
        report = landed(tmp_path / f"home-{name}", f"s3://bucket/{name}")
        assert (report.problems, payloads(tmp_path / f"home-{name}")) == ((), {page.url: page.body for page in pages})
    landed(tmp_path / "local", folder)
    report = landed(tmp_path / "home", "s3://bucket/pages", *(f"s3://bucket/{name}" for name in names))
    assert (report.problems, report.already_held) == ((), 90)
    columns = ["url", "digest", "status", "media_type"]
    assert read_captures(tmp_path / "home", columns).equals(read_captures(tmp_path / "local", columns))
    with pytest.raises(UnusableInput, match="nothing is there"):
        check_input("s3://bucket/none.warc")
