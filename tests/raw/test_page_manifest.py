"""``manifest.jsonl``: good lines land, bad ones are named with file and line, and no page gets a wrong URL."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raw.captures import read_captures
from raw.manifest import MAX_LINE_BYTES, read_manifest
from tests.raw.landing_zone import URL, landed, messages, payloads, write_manifest, write_page

GOOD = {"file": "good.html", "url": URL + "0001T", "fetched_at": "2026-01-05", "status": 404}


def _pages(folder: Path, *names: str) -> Path:
    for name in names:
        write_page(folder / name, f"Synthetic {name}".encode())
    return folder


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"file": "bad.html", "url": "https://exam', "is not a JSON object: Unterminated string"),
        ('{"url": "https://example.com", "file": "bad.html"', "is not a JSON object: Expecting ','"),
        ('{"file": "bad.html", "status": ' + "[" * 100_000, "is not a JSON object: "),
        ('{"file": "bad.html", "status": ' + "9" * 5_000 + "}", "is not a JSON object: Exceeds the limit"),
        ({"file": "bad.html", "fetched_at": "last Tuesday"}, "'fetched_at' must be an ISO 8601"),
        ({"file": "bad.html", "fetched_at": 1767225600}, "'fetched_at' must be an ISO 8601"),
        ({"file": "bad.html", "fetched_at": "0001-01-01T00:00:00+05:00"}, "'fetched_at' must be an ISO 8601"),
        ({"file": "bad.html", "status": "200"}, "'status' must be an HTTP status such as 200, and is '200'"),
        ({"file": "bad.html", "status": True}, "'status' must be an HTTP status"),
        ({"file": "bad.html", "requested_url": "no url"}, "'requested_url' must be an absolute URL"),
        ({"file": "bad.html", "etag": '"7"\r\nX: y'}, "'etag' must be an HTTP header's value"),
        ({"file": "bad.html", "last_modified": 7}, "'last_modified' must be an HTTP header's value"),
        ({"file": "bad.html", "media_type": "html"}, "'media_type' must be one such as text/html, and is 'html'"),
        ({"file": "bad.html", "status": 2_000_000_000_000}, "'status' must be an HTTP status"),
        ({"file": "bad.html", "url": "codes/0001T"}, "'url' must be an absolute URL"),
        ({"file": "bad.html", "url": "https://example.com/a\r\nWARC-Type: response"}, "'url' must be an absolute URL"),
        ({"file": "bad.html", "url": "https://example.com/\ud800"}, "'url' must be an absolute URL"),
        ({"file": "bad.html", "url": ["https://example.com/"]}, "'url' must be an absolute URL"),
        ({"file": "bad.html", "code": 100}, "'code' must be a short text"),
        ({"file": "bad.html", "code": "1001T\r\n"}, "'code' must be a short text"),
    ],
)
def test_a_bad_line_is_named_and_its_page_left_out(tmp_path: Path, line: object, message: str) -> None:
    """Law 11. Landing it as though it had no line would give it a wrong URL."""
    pages = _pages(tmp_path / "pages", "good.html", "bad.html", "unlisted.html")
    write_manifest(pages, line, "", GOOD)
    report = landed(tmp_path / "home", pages)
    assert set(payloads(tmp_path / "home")) == {URL + "0001T", "file:unlisted.html"}
    [(place, found)] = messages(report).items()
    assert place == ("manifest.jsonl", 1)
    assert message in found
    assert found.isprintable()
    assert len(found) < 300


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("gone.html", "there is no such file"),
        ("folder.pdf", "is no page"),
        ("../outside.html", "is outside the manifest's folder"),
        ("linked/outside.html", "is outside the manifest's folder"),
        ("{tmp}/outside.html", "is outside the manifest's folder"),
        ("..", "is outside the manifest's folder"),
    ],
)
def test_a_line_for_no_page_of_the_folder_is_refused(tmp_path: Path, file: str, message: str) -> None:
    """Law 10: nothing in an input becomes a path. It concerns no page here, so the others land."""
    _pages(tmp_path, "outside.html")
    pages = _pages(tmp_path / "pages", "good.html", "unlisted.html")
    (pages / "linked").symlink_to(tmp_path)
    write_manifest(pages, GOOD, {"file": file.format(tmp=tmp_path), "url": URL + "0002T"})
    report = landed(tmp_path / "home", pages)
    assert set(payloads(tmp_path / "home")) == {URL + "0001T", "file:unlisted.html"}
    assert message in messages(report)["manifest.jsonl", 2]


@pytest.mark.parametrize("file", ["", "nul\0.html", None, 7, ["good.html"]])
def test_a_line_without_a_file_name_is_told(tmp_path: Path, file: object) -> None:
    pages = _pages(tmp_path / "pages", "good.html", "unlisted.html")
    write_manifest(pages, GOOD, {"file": file, "url": URL + "0002T"})
    report = landed(tmp_path / "home", pages)
    assert set(payloads(tmp_path / "home")) == {URL + "0001T"}
    assert "'file' must name a page, and is" in messages(report)["manifest.jsonl", 2]
    assert "unlisted.html" in {name for name, _ in messages(report)}


def test_links_out_of_the_folder_are_named_and_not_read(tmp_path: Path) -> None:
    _pages(tmp_path / "secret", "outside.html")
    pages = _pages(tmp_path / "pages", "good.html", "sub/other.html")
    (pages / "linked").symlink_to(tmp_path / "secret")
    (pages / "loop").symlink_to(pages)
    (pages / "latest").symlink_to(pages / "sub")
    (pages / "link.html").symlink_to(tmp_path / "secret/outside.html")
    (pages / "alias.html").symlink_to("sub/other.html")
    write_manifest(pages, {**GOOD, "file": "link.html"}, {**GOOD, "file": "latest/other.html"})
    report = landed(tmp_path / "home", pages)
    assert set(payloads(tmp_path / "home")) == {URL + "0001T", "file:good.html", "file:alias.html"}
    assert {place: text.split(",")[0] for place, text in messages(report).items()} == {
        ("linked", None): "is a link to a folder outside",
        ("link.html", None): "is a link to a file outside the folder",
    }
    assert payloads(tmp_path / "home")[URL + "0001T"] == b"Synthetic sub/other.html"


def test_a_line_that_names_nothing_leaves_out_the_pages_that_no_line_names(tmp_path: Path) -> None:
    """The lost line may have been theirs: they wait until it is mended, and are then landed."""
    pages = _pages(tmp_path / "pages", "good.html", "sub/other.html")
    _pages(tmp_path / "elsewhere", "unconcerned.html")
    write_manifest(pages, GOOD, '{"fil')
    report = landed(tmp_path / "home", pages, tmp_path / "elsewhere")
    assert set(payloads(tmp_path / "home")) == {URL + "0001T", "file:unconcerned.html"}
    assert messages(report)["other.html", None].startswith("was left out: no line of manifest.jsonl names it")
    assert "line 2" in messages(report)["other.html", None]
    write_manifest(pages, GOOD, {"file": "sub/other.html", "url": URL + "0002T"})
    assert landed(tmp_path / "home", pages, run_id="20260302T120000Z-0002").landed == 1


def test_a_line_tells_what_was_asked_and_answered(tmp_path: Path) -> None:
    pages = _pages(tmp_path / "pages", "a.html", "b.html")
    told = {"requested_url": URL + "old", "etag": '"7"', "last_modified": "Thu, 01 Jan 2026 00:00:00 GMT"}
    nothing = {"requested_url": URL + "b", "etag": "", "last_modified": "", "media_type": ""}
    write_manifest(
        pages,
        {"file": "a.html", "url": URL + "a", **told, "media_type": "Application/XHTML+xml; charset=utf-8"},
        {"file": "b.html", "url": URL + "b", **nothing},
    )
    assert landed(tmp_path / "home", pages).problems == ()
    rows = read_captures(tmp_path / "home").select([*told, "media_type"]).to_pylist()
    assert rows == [told | {"media_type": "application/xhtml+xml"}, dict.fromkeys(told) | {"media_type": "text/html"}]


def test_a_line_may_leave_anything_but_the_file_out(tmp_path: Path) -> None:
    pages = _pages(tmp_path / "pages", "a b%.html", "sub/c.txt", "ünïcode.md")
    write_manifest(pages, {"file": "a b%.html", "status": 200, "more": [1]}, {"file": "./sub/c.txt", "code": "1001T"})
    report = landed(tmp_path / "home", pages)
    assert report.problems == ()
    rows = read_captures(tmp_path / "home").to_pylist()
    modified = datetime(2026, 1, 31, 12, 0, 0, 123456, UTC)
    assert [(r["url"], r["status"], r["record_type"], r["fetched_at"]) for r in rows] == [
        ("file:a%20b%25.html", 200, "resource", modified),
        ("file:%C3%BCn%C3%AFcode.md", None, "resource", modified),
        ("file:sub/c.txt#code=1001T", None, "resource", modified),
    ]


def test_a_code_travels_as_the_fragment(tmp_path: Path) -> None:
    """Law 2: what a parse may know of a page is in its bytes and its URL."""
    pages = _pages(tmp_path / "pages", "a.html", "b.html")
    write_manifest(
        pages,
        {"file": "a.html", "url": "https://example.com/page", "code": "1001T"},
        {"file": "b.html", "url": "https://example.com/page#top", "code": "10/ 01"},
    )
    landed(tmp_path / "home", pages)
    urls = read_captures(tmp_path / "home")["url"].to_pylist()
    assert urls == ["https://example.com/page#code=1001T", "https://example.com/page#code=10%2F%2001"]


def test_one_page_may_be_several_captures(tmp_path: Path) -> None:
    pages = _pages(tmp_path / "pages", "good.html")
    write_manifest(pages, GOOD, {**GOOD, "fetched_at": "2026-02-05"}, {**GOOD, "url": URL + "0002T"}, GOOD)
    report = landed(tmp_path / "home", pages)
    assert (report.landed, report.revisits, report.already_held) == (2, 1, 1)


def test_manifests_at_any_level_and_beside_a_single_page(tmp_path: Path) -> None:
    pages = _pages(tmp_path / "pages", "good.html", "sub/deep.html")
    write_manifest(pages, GOOD, {"file": "none.html", "url": URL + "0009T"})
    write_manifest(pages / "sub", {"file": "deep.html", "url": URL + "0002T"})
    report = landed(tmp_path / "one", pages / "sub/deep.html", pages / "good.html", pages / "good.html")
    assert set(payloads(tmp_path / "one")) == {URL + "0001T", URL + "0002T"}
    assert (report.landed, report.already_held, len(report.problems)) == (2, 1, 1)
    landed(tmp_path / "all", pages)
    assert payloads(tmp_path / "all") == payloads(tmp_path / "one")


def test_byte_order_mark_crlf_and_long_lines(tmp_path: Path) -> None:
    pages = _pages(tmp_path / "pages", "good.html", "next.html")
    long = b'{"file": "good.html", "note": "' + b"x" * (3 * MAX_LINE_BYTES) + b'"}\r\n'
    good = b'\xef\xbb\xbf{"file": "good.html", "url": "https://example.com/1"}\r\n'
    (pages / "manifest.jsonl").write_bytes(good + long + b'{"file": "next.html", "status": 99, "url": "\xff"}')
    report = landed(tmp_path / "home", pages)
    assert [(problem.where, problem.message[:20]) for problem in report.problems] == [
        (2, "is not a JSON object"),
        (3, "is not a JSON object"),
    ]
    assert set(payloads(tmp_path / "home")) == {"https://example.com/1"}


def test_an_unreadable_manifest_leaves_its_pages_out(tmp_path: Path) -> None:
    pages = _pages(tmp_path / "pages", "good.html")
    os.mkfifo(pages / "manifest.jsonl")
    for put_in in (pages, pages / "good.html"):
        report = landed(tmp_path / "home", put_in)
        assert report.landed == 0
        assert messages(report)["manifest.jsonl", None] == "cannot be read: it is no regular file"
        assert messages(report)["good.html", None].startswith("was left out")


def test_names_in_problems_are_safe_to_print(tmp_path: Path) -> None:
    """Law 10: no log-control characters out of an input."""
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "a\x1b[31m\n.html").symlink_to("gone.html")
    (pages / "\udcff.html").symlink_to("gone.html")
    report = landed(tmp_path / "home", pages)
    assert sorted(Path(problem.file).name for problem in report.problems) == [
        "\\udcff.html",
        "a\\x1b[31m\\n.html",
    ]


@given(st.lists(st.binary(max_size=60).filter(lambda line: b"\n" not in line), max_size=5))
def test_no_manifest_stops_a_landing(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    folder = tmp_path_factory.mktemp("manifest")
    (folder / "manifest.jsonl").write_bytes(b"\n".join(lines))
    manifest = read_manifest(folder / "manifest.jsonl", "manifest.jsonl")
    assert not manifest.entries
    bad = [n for n, line in enumerate(lines, 1) if line.strip(b"\xef\xbb\xbf \t\r\n")]
    assert [problem.where for problem in manifest.problems] == bad
    assert (manifest.doubt is not None) == bool(bad)
