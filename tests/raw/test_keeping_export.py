"""Captures written out again: what comes back when the export is landed, and what is never touched."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from raw.captures import Capture, read_captures
from raw.errors import NothingToExport, TargetUnusable
from raw.export import Chosen, export
from raw.verify import verify
from raw.warc import WarcFile
from tests.raw.landing_zone import URL, landed, payloads, scraped, tree, write_manifest, write_page

RUNS = [f"20260301T120000Z-000{n}" for n in range(1, 9)]
JANUARY = datetime(2026, 1, 1, tzinfo=UTC)
# What landing an export again cannot give: where it is.
PLACE = ("run_id", "file", "offset", "length")
FORMS = ("again", "again.warc.gz")


def crawled(folder: Path, *fetches: tuple[str, int, int | None, str | None, dict[str, str]]) -> Path:
    """A folder of fetches: (code or address, day of January 2026, status, text; None for a 304 without bytes, more)."""
    lines = []
    for number, (code, day, status, text, more) in enumerate(fetches):
        file = write_page(folder / f"{number:04}.html", (text or "").encode()).name
        date = (JANUARY + timedelta(days=day - 1)).isoformat()
        url = code if ":" in code else URL + code
        lines.append({"file": file, "url": url, "fetched_at": date} | ({"status": status} if status else {}) | more)
    write_manifest(folder, *lines)
    return folder


def rows(home: Path) -> list[tuple[object, ...]]:
    table = read_captures(home).drop_columns(list(PLACE))
    return sorted((tuple(row.values()) for row in table.to_pylist()), key=repr)


def facts(home: Path) -> list[tuple[object, ...]]:
    table = read_captures(home).select(["url", "fetched_at", "status", "digest"])
    return sorted((tuple(row.values()) for row in table.to_pylist()), key=repr)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Three weekly crawls of two pages and a folder of local ones: new bytes, the same again, and a 304."""
    home = tmp_path / "home"
    first = crawled(tmp_path / "1", ("1001T", 1, 200, "Synthetic one", {}), ("1002T", 1, 200, "Synthetic two", {}))
    second = crawled(tmp_path / "2", ("1001T", 8, 200, "Synthetic one", {}), ("1002T", 8, 200, "Synthetic new two", {}))
    third = crawled(
        tmp_path / "3", ("1001T", 15, 304, None, {}), ("1002T", 15, 304, None, {}), ("1003T", 15, 404, "", {})
    )
    for run_id, pages in zip(RUNS, (first, second, third, scraped(tmp_path / "4")), strict=False):
        assert landed(home, pages, run_id=run_id).problems == ()
    return home


@pytest.mark.parametrize("form", FORMS)
def test_an_export_lands_as_the_same_captures(home: Path, tmp_path: Path, form: str) -> None:
    before = tree(home)
    result = export(home, tmp_path / form)
    report = landed(tmp_path / "second", tmp_path / form)
    assert report.problems == ()
    assert rows(tmp_path / "second") == rows(home)
    assert payloads(tmp_path / "second") == payloads(home)
    assert (result.captures, result.bodies, result.problems) == (12, 9, [])
    assert result.bytes == sum(map(len, payloads(home).values())) + len("Synthetic two")
    assert tree(home) == before
    assert not [*tmp_path.glob("*.partial")]


ADDRESSES = ("1001T", "1001T#code=1001T", "1002T", "urn:synthetic:page", "file:a/b.html", f"{URL[:-10]}/robots.txt")
Told = st.fixed_dictionaries(
    {},
    optional={
        "requested_url": st.sampled_from([URL + "old", "https://example.com/\u00fc?q=1"]),
        "etag": st.sampled_from(['W/"7"', '"a%20b"', "a b"]),
        "last_modified": st.just("Thu, 01 Jan 2026 00:00:00 GMT"),
        "media_type": st.sampled_from(["text/html", "text/plain", "application/xhtml+xml", "application/json"]),
    },
)
Fetch = st.tuples(
    st.sampled_from(ADDRESSES),
    st.integers(1, 20),
    st.sampled_from([None, 199, 200, 206, 301, 304, 404]),
    st.sampled_from(["", "Synthetic one", "Synthetic two", "Synthetic three"]),
    Told,
)
ASKED = {"requested_url": URL + "old", "etag": 'W/"7"', "last_modified": "Thu, 01 Jan 2026 00:00:00 GMT"}


@pytest.mark.parametrize("form", FORMS)
@given(runs=st.lists(st.lists(Fetch, min_size=1, max_size=6), min_size=1, max_size=3))
@example(
    runs=[
        [("1001T", 1, 200, "A", {})],
        [("1001T", 2, 304, "", ASKED)],
        [("1001T", 3, 200, "B", {})],
        [("1001T", 4, 304, "", {})],
    ]
)
@example(runs=[[("1001T", 1, 200, "A", {}), ("1001T", 2, 304, "", {}), ("1001T", 3, 200, "B", {})],
               [("1001T", 5, 200, "A", {})]])  # fmt: skip
@example(runs=[[("1001T", 5, 200, "A", {})], [("1001T", 2, 200, "B", {})],
               [("1001T", 7, 304, "", {}), ("1001T", 8, 200, "B", {})]])  # fmt: skip
@example(runs=[[("1002T", 2, None, "A", {}), ("1002T", 2, None, "", {}), ("1002T", 1, None, "A", {})]])  # one moment
@example(runs=[[(url, 1, status, "A", ASKED) for url in ADDRESSES for status in (None, 199, 206, 301, 404)]])
def test_law_2_any_small_home_comes_back(
    form: str, runs: list[list[tuple[str, int, int | None, str, dict[str, str]]]]
) -> None:
    """Bytes that change and go back, fetched in any order, confirmed by a 304 in between; whatever is known of them,
    and whatever a WARC of anybody else's would be searched for pages without."""
    with tempfile.TemporaryDirectory() as place, patch("os.fsync"):  # no power is lost here; it takes most of the time
        home, again = Path(place, "home"), Path(place, "second home")
        for number, fetches in enumerate(runs):
            landed(home, crawled(Path(place, f"in{number}"), *fetches), run_id=RUNS[number])
        if not read_captures(home).num_rows:  # nothing but a 304 of a page that is not held
            return
        assert verify(home).faults == []
        assert export(home, Path(place, form)).problems == []
        assert landed(again, Path(place, form)).problems == ()
        assert rows(again) == rows(home)
        assert payloads(again) == payloads(home)


def test_a_warc_keeps_what_conditional_requests_need(tmp_path: Path) -> None:
    page = b"<html>Synthetic page</html>"
    digest = f"sha256:{hashlib.sha256(page).hexdigest()}"
    told = {"etag": 'W/"7"', "last_modified": "Thu, 01 Jan 2026 00:00:00 GMT"}
    capture = Capture("r", URL + "1", "s", JANUARY, 200, "text/html", digest, len(page), "response", **told)
    warc = WarcFile(tmp_path / "crawled.warc.gz", "crawled.warc.gz")
    warc.append(capture, io.BytesIO(page))
    warc.close()
    landed(tmp_path / "home", tmp_path / "crawled.warc.gz")
    export(tmp_path / "home", tmp_path / "out.warc.gz")
    landed(tmp_path / "second", tmp_path / "out.warc.gz")
    assert rows(tmp_path / "second") == rows(tmp_path / "home")
    assert read_captures(tmp_path / "second").select(list(told)).to_pylist() == [told]


def test_a_folder_has_one_file_for_each_page_and_a_line_for_each_capture(home: Path, tmp_path: Path) -> None:
    export(home, tmp_path / "out", Chosen(source="codingahead", url=URL + "100"))
    files = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*"))
    lines = [json.loads(line) for line in (tmp_path / "out/manifest.jsonl").read_text("utf-8").splitlines()]
    assert len(files) == 1 + 4
    assert (tmp_path / "out" / lines[0]["file"]).read_text("utf-8") == "Synthetic one"
    assert [(line["url"][-5:], line["fetched_at"][:10], line["status"]) for line in lines] == [
        ("1001T", "2026-01-01", 200),
        ("1002T", "2026-01-01", 200),
        ("1001T", "2026-01-08", 200),
        ("1002T", "2026-01-08", 200),
        ("1001T", "2026-01-15", 304),
        ("1002T", "2026-01-15", 304),
        ("1003T", "2026-01-15", 404),
    ]
    assert lines[0]["file"] == lines[2]["file"] == lines[4]["file"]


def test_a_folder_tells_what_a_page_cannot_say_of_itself(tmp_path: Path) -> None:
    landed(tmp_path / "home", crawled(tmp_path / "in", ("1001T", 1, 200, "Synthetic one", ASKED)))
    export(tmp_path / "home", tmp_path / "out")
    [line] = map(json.loads, (tmp_path / "out/manifest.jsonl").read_text("utf-8").splitlines())
    assert {name: line[name] for name in ASKED} == ASKED
    assert "media_type" not in line


def test_what_stands_behind_our_own_file_is_read_as_anybodys(tmp_path: Path) -> None:
    """Files that were put together: pictures and robots.txt of another crawler are no pages."""
    landed(tmp_path / "home", crawled(tmp_path / "in", ("1001T", 1, 301, "Synthetic moved", {})))
    export(tmp_path / "home", tmp_path / "ours.warc.gz")
    block = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\nSynthetic picture"
    head = "WARC/1.0\r\nWARC-Type: {}\r\nWARC-Target-URI: https://example.com/a\r\nWARC-Date: 2026-01-01T00:00:00Z\r\n"
    picture = (head + "Content-Length: {}\r\n\r\n").format("response", len(block)).encode() + block + b"\r\n\r\n"
    for name, more in (("both", gzip.compress(picture)), ("alone", b"")):
        (tmp_path / f"{name}.warc.gz").write_bytes((tmp_path / "ours.warc.gz").read_bytes() + more)
        assert landed(tmp_path / name, tmp_path / f"{name}.warc.gz").problems == ()
        assert rows(tmp_path / name) == rows(tmp_path / "home")


def test_names_of_files_owe_nothing_to_addresses(tmp_path: Path) -> None:
    """Law 10: a page or address that is hostile names no path."""
    pages = write_page(tmp_path / "in/a.html", b"Synthetic page").parent
    write_manifest(pages, {"file": "a.html", "url": "https://example.com/../../etc/x%2F..%5C?q=../../y"})
    landed(tmp_path / "home", pages)
    export(tmp_path / "home", tmp_path / "out")
    [page] = (tmp_path / "out").rglob("*.html")
    assert page.relative_to(tmp_path / "out").as_posix() == "local/1-6a6bb3cb1588bfee.html"


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        (Chosen(source="codingahead"), 9),
        (Chosen(source="local"), 3),
        (Chosen(url=URL + "1001T"), 3),
        (Chosen(url=URL + "1001T", since=JANUARY + timedelta(days=7), before=JANUARY + timedelta(days=14)), 1),
    ],
)
def test_filters(home: Path, tmp_path: Path, chosen: Chosen, told: int) -> None:
    result = export(home, tmp_path / "out", chosen)
    assert (result.captures, result.companions) == (told, 0)
    landed(tmp_path / "second", tmp_path / "out")
    assert set(facts(tmp_path / "second")) < set(facts(home))
    assert len(facts(tmp_path / "second")) == told


@pytest.mark.parametrize("form", FORMS)
def test_what_a_304_confirms_comes_along(home: Path, tmp_path: Path, form: str) -> None:
    third_week = Chosen(since=JANUARY + timedelta(days=14), before=JANUARY + timedelta(days=20), source="codingahead")
    result = export(home, tmp_path / form, third_week)
    assert (result.captures, result.companions, result.bodies) == (5, 2, 3)
    assert landed(tmp_path / "second", tmp_path / form).problems == ()
    dates = [(str(url)[-5:], date.day, status) for url, date, status, _ in facts(tmp_path / "second")]  # type: ignore[attr-defined]
    assert dates == [("1001T", 15, 304), ("1001T", 8, 200), ("1002T", 15, 304), ("1002T", 8, 200), ("1003T", 15, 404)]


@pytest.mark.parametrize("form", FORMS)
def test_revisits_whose_run_sorts_before_that_of_their_original(tmp_path: Path, form: str) -> None:
    """A long crawl has an early name, and may confirm what a run landed that began later."""
    home = tmp_path / "home"
    landed(home, crawled(tmp_path / "1", ("1001T", 1, 200, "Synthetic one", {})), run_id=RUNS[5])
    later = crawled(tmp_path / "2", ("1001T", 2, 304, None, {}), ("1001T", 3, 200, "Synthetic one", {}))
    landed(home, later, run_id=RUNS[1])
    assert export(home, tmp_path / form).problems == []
    assert landed(tmp_path / "second", tmp_path / form).problems == ()
    assert rows(tmp_path / "second") == rows(home)


def test_a_damaged_record_is_left_out_and_told(home: Path, tmp_path: Path) -> None:
    row = read_captures(home).to_pylist()[0]
    file = home / row["file"]
    data = bytearray(file.read_bytes())
    data[row["offset"] + row["length"] // 2] ^= 0xFF
    file.write_bytes(data)
    result = export(home, tmp_path / "out")
    assert len(result.problems) == 3
    assert {(problem.file, problem.where) for problem in result.problems} == {(row["file"], row["offset"])}
    assert f"{URL}1001T, fetched 2026-01-01 00:00:00: bytes that cannot be unpacked" in result.problems[0].message
    assert result.captures == 9
    assert landed(tmp_path / "second", tmp_path / "out").problems == ()


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("there", "it is there already"),
        ("there.warc.gz", "it is there already"),
        ("dangling", "it is there already"),
        ("nowhere/out", "no folder"),
        ("out.warc", "must end in .warc.gz"),
        ("home/raw/warc/out.warc.gz", "landing zone"),
    ],
)
def test_a_target_that_is_not_usable_is_left_alone(home: Path, tmp_path: Path, name: str, found: str) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there.warc.gz").write_text("Synthetic", "utf-8")
    (tmp_path / "dangling").symlink_to(tmp_path / "gone")
    before = tree(tmp_path)
    with pytest.raises(TargetUnusable, match=found) as raised:
        export(home, tmp_path / name)
    assert raised.value.target == tmp_path / name
    assert tree(tmp_path) == before


def test_nothing_that_fits_is_an_error_that_says_so(home: Path, tmp_path: Path) -> None:
    with pytest.raises(NothingToExport, match="none of the 12 captures"):
        export(home, tmp_path / "out", Chosen(source="nobody"))
    with pytest.raises(NothingToExport, match="none of the 0 captures"):
        export(tmp_path / "empty", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_export_that_is_interrupted_leaves_nothing(home: Path, tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        assert total == 12
        if done == 3:
            raise KeyboardInterrupt

    before = tree(tmp_path)
    for form in FORMS:
        with pytest.raises(KeyboardInterrupt):
            export(home, tmp_path / form, on_progress=interrupt)
    assert tree(tmp_path) == before
