"""JSONL and Parquet of every writer's habits; and that memory does not grow with a container."""

from __future__ import annotations

import json
import tracemalloc
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raw.captures import read_captures
from raw.inputs import read_inputs
from raw.pages import Page
from tests.raw.containers import WRITERS, made
from tests.raw.landing_zone import URL, landed, payloads, write_page

MODIFIED = "2026-01-31T12:00:00.123456Z"
MOMENT = datetime(2026, 1, 5, 10, 0, 0, 123456, UTC)


def write_lines(path: Path, *values: dict[str, object]) -> Path:
    return write_page(path, "".join(json.dumps(value) + "\n" for value in values).encode(), MODIFIED)


def rows(home: Path, *columns: str) -> list[tuple[object, ...]]:
    return [tuple(row.values()) for row in read_captures(home, columns).to_pylist()]


def test_jsonl_fields(tmp_path: Path) -> None:
    file = write_lines(
        tmp_path / "a.jsonl",
        {"url": URL + "1", "html": "<html>Synthetic “one”", "fetched_at": "2026-01-05T12:00:00.123456+02:00"},
        {"url": URL + "2", "text": "Synthetic two", "status": 404, "fetched_at": "2026-01-05", "more": [1]},
        {"url": URL + "3", "html": "<html>", "text": "Synthetic extract", "code": "0003T"},
        {"url": URL + "4", "html": None, "text": "", "status": None},
    )
    assert landed(tmp_path / "home", file).problems == ()
    modified = datetime.fromisoformat(MODIFIED)
    assert rows(tmp_path / "home", "url", "fetched_at", "status", "media_type") == [
        (URL + "1", MOMENT, None, "text/html"),
        (URL + "2", datetime(2026, 1, 5, tzinfo=UTC), 404, "text/plain"),
        (URL + "3#code=0003T", modified, None, "text/html"),
        (URL + "4", modified, None, "text/plain"),
    ]
    assert [*payloads(tmp_path / "home").values()] == [
        "<html>Synthetic “one”".encode(),
        b"Synthetic two",
        b"<html>",
        b"",
    ]


@pytest.mark.parametrize("empty", ["", None])
def test_an_empty_html_beside_a_text_is_not_the_page(tmp_path: Path, empty: str | None) -> None:
    told = {"url": URL + "1", "html": empty, "text": "Synthetic text", "fetched_at": MOMENT.isoformat()}
    pq.write_table(pa.table({name: [value] for name, value in told.items()}), tmp_path / "a.parquet")
    for file in (write_lines(tmp_path / "a.jsonl", told), tmp_path / "a.parquet"):
        home = tmp_path / f"home-{file.suffix}"
        assert landed(home, file).problems == ()
        assert payloads(home) == {URL + "1": b"Synthetic text"}
        assert rows(home, "media_type") == [("text/plain",)]


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet", "manifest.jsonl"])
@pytest.mark.parametrize(("body", "lands"), [("", True), ("Synthetic old", True), ("Synthetic other", False)])
def test_a_304_confirms_the_latest_answer_before_it(tmp_path: Path, name: str, body: str, lands: bool) -> None:
    """It comes without a page, or with that one."""
    fetches = [("Synthetic old", 200, 1), ("Synthetic newest", 200, 3), (body, 304, 2)]
    columns = {
        "url": [URL + "1"] * 3,
        "html": [text for text, _, _ in fetches],
        "fetched_at": [f"2026-0{month}-01T00:00:00+00:00" for _, _, month in fetches],
        "status": [status for _, status, _ in fetches],
        "file": ["0.html", "1.html", "2.html"],
    }
    file = tmp_path / "pages" / name
    file.parent.mkdir()
    if name == "a.parquet":
        pq.write_table(pa.table(columns), file)
    else:
        write_lines(file, *(dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)))
    if name == "manifest.jsonl":
        for number, (text, _, _) in enumerate(fetches):
            write_page(file.parent / f"{number}.html", text.encode())
    report = landed(tmp_path / "home", file.parent)
    assert (report.landed, report.revisits, len(report.problems)) == (2, lands, not lands)
    if lands:
        [old] = {digest for digest, status, month in _digests(tmp_path / "home") if (status, month) == (200, 1)}
        assert {digest for digest, status, _ in _digests(tmp_path / "home") if status == 304} == {old}
    else:
        assert "304 Not Modified, which comes without a page, and it has one" in report.problems[0].message
        assert report.problems[0].where == 3


def _digests(home: Path) -> list[tuple[str, int, int]]:
    found = read_captures(home, ["digest", "status", "fetched_at"]).to_pylist()
    return [(row["digest"], row["status"], row["fetched_at"].month) for row in found]


def test_a_304_without_a_page_before_it_is_named(tmp_path: Path) -> None:
    early = {"url": URL + "1", "status": 304, "fetched_at": "2026-01-01T00:00:00Z"}
    late = {"url": URL + "1", "html": "<html>", "fetched_at": "2026-02-01T00:00:00Z"}
    report = landed(tmp_path / "home", write_lines(tmp_path / "a.jsonl", late, early))
    assert [problem.where for problem in report.problems] == [2]
    assert "no page of this address is held from before" in report.problems[0].message


def test_law_10_a_small_parquet_file_of_large_bodies_takes_the_memory_of_one(tmp_path: Path) -> None:
    """Each cell on its own, whether it stands there again and again or once in a dictionary."""
    cell, count = "Synthetic " * 200_000, 24
    (tmp_path / "raw").mkdir()
    urls = [f"{URL}{n}" for n in range(count)]
    shared = pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), pa.array([cell]))
    for name, column, by_dictionary in (
        ("shared", shared, True),
        ("repeated", pa.array([cell] * count), True),
        ("different", pa.array([f"{n}{cell}" for n in range(count)]), False),
    ):
        file = tmp_path / f"{name}.parquet"
        table = pa.table({"url": urls, "html": column, "fetched_at": [MOMENT] * count})
        pq.write_table(table, file, use_dictionary=by_dictionary, compression="zstd", write_batch_size=1)
        assert file.stat().st_size < len(cell) // 10
        del table
        assert _peak(file, count) < 12 * len(cell)


def test_law_10_a_row_group_that_unpacks_to_far_more_than_it_is_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raw.parquet_input.MAX_PAGE_BYTES", 1 << 20)
    bodies = ["Synthetic one", "a" * (1 << 21), "Synthetic three"]
    table = pa.table({"url": [f"{URL}{n}" for n in range(3)], "html": bodies, "fetched_at": [MOMENT] * 3})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=1, compression="zstd")
    report = landed(tmp_path / "home", tmp_path / "a.parquet")
    assert [*payloads(tmp_path / "home").values()] == [b"Synthetic one", b"Synthetic three"]
    assert [problem.where for problem in report.problems] == [2]
    assert "column html unpacks from" in report.problems[0].message


def test_law_10_column_names_are_escaped(tmp_path: Path) -> None:
    pq.write_table(pa.table({"\x1b[2Jsynthetic\n": ["x"], "a" * 5000: ["x"]}), tmp_path / "a.parquet")
    [problem] = landed(tmp_path / "home", tmp_path / "a.parquet").problems
    assert "it has \\x1b[2Jsynthetic\\n, aaa" in problem.message
    assert problem.message.isprintable()
    assert len(problem.message) < 500


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.binary(), pa.dictionary(pa.int8(), pa.string())])
@pytest.mark.parametrize("column", ["html", "text"])
def test_parquet_bodies_of_any_type(tmp_path: Path, kind: pa.DataType, column: str) -> None:
    bodies = pa.array(["Synthetic “one”", "Synthetic two", "", None]).cast(kind)
    table = pa.table({"url": [f"{URL}{n}" for n in range(4)], column: bodies, "fetched_at": [MOMENT] * 4})
    pq.write_table(table, tmp_path / "a.parquet")
    report = landed(tmp_path / "home", tmp_path / "a.parquet")
    assert [*payloads(tmp_path / "home").values()] == ["Synthetic “one”".encode(), b"Synthetic two", b""]
    assert rows(tmp_path / "home", "media_type")[0] == ("text/html" if column == "html" else "text/plain",)
    assert [(problem.where, problem.message) for problem in report.problems] == [
        (4, "row 4: 'html' or 'text' must hold the page, and neither is given")
    ]


@pytest.mark.parametrize(
    ("moments", "exact"),
    [
        (pa.array([MOMENT], pa.timestamp("s", "UTC")), False),
        (pa.array([MOMENT], pa.timestamp("ms", "America/New_York")), False),
        (pa.array([MOMENT], pa.timestamp("us", "UTC")), True),
        (pa.array([MOMENT.replace(tzinfo=None)], pa.timestamp("us")), True),
        (pa.array([MOMENT], pa.timestamp("ns", "UTC")), True),
        (pa.array([MOMENT.isoformat()]), True),
        (pa.array([MOMENT.astimezone(timezone(timedelta(hours=-5))).isoformat()]), True),
        (pa.array([MOMENT.isoformat().encode()]), True),
    ],
)
def test_parquet_times_of_any_type(tmp_path: Path, moments: pa.Array, exact: bool) -> None:
    table = pa.table({"url": [URL + "1"], "html": ["<html>"], "fetched_at": moments})
    pq.write_table(table, tmp_path / "a.parquet")
    assert landed(tmp_path / "home", tmp_path / "a.parquet").problems == ()
    [(moment,)] = rows(tmp_path / "home", "fetched_at")
    assert moment == MOMENT if exact else abs(moment - MOMENT) < timedelta(seconds=1)


@pytest.mark.parametrize("kind", [pa.int16(), pa.int64(), pa.uint16(), pa.float64()])
def test_parquet_statuses_of_any_number_type(tmp_path: Path, kind: pa.DataType) -> None:
    """A float is what pandas makes of whole numbers, some of them missing."""
    statuses = pa.array([200, None, 404], kind)
    table = pa.table({"url": [f"{URL}{n}" for n in range(3)], "html": ["<html>"] * 3, "status": statuses})
    pq.write_table(table, tmp_path / "a.parquet")
    assert landed(tmp_path / "home", tmp_path / "a.parquet").problems == ()
    assert rows(tmp_path / "home", "status") == [(200,), (None,), (404,)]


def test_parquet_of_polars(tmp_path: Path) -> None:
    columns = {"url": [URL + "1", URL + "2"], "text": ["Synthetic", "Synthetic two"], "fetched_at": [MOMENT] * 2}
    pl.DataFrame(columns | {"code": ["0001T", None]}).write_parquet(tmp_path / "a.parquet")
    assert landed(tmp_path / "home", tmp_path / "a.parquet").problems == ()
    assert [*payloads(tmp_path / "home")] == [URL + "1#code=0001T", URL + "2"]


def test_parquet_with_bad_rows(tmp_path: Path) -> None:
    undecodable = pa.Array.from_buffers(
        pa.string(), 7, [None, pa.array(range(8), pa.int32()).buffers()[1], pa.py_buffer(b"ab\xffdefg")]
    )
    table = pa.table(
        {
            "url": [URL + "0", "no url", URL + "2", URL + "3", URL + "4", None, URL + "6"],
            "html": undecodable,
            "fetched_at": [*["2026-01-05"] * 3, "yesterday", *["2026-01-05"] * 3],
            "status": [200, 200, 200, 200, 7, 200, 200],
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    report = landed(tmp_path / "home", tmp_path / "a.parquet")
    assert [*payloads(tmp_path / "home").items()] == [(URL + "0", b"a"), (URL + "6", b"g")]
    assert [problem.where for problem in report.problems] == [2, 3, 4, 5, 6]
    for problem, said in zip(report.problems, ("'url'", "no text", "'fetched_at'", "'status'", "'url'"), strict=True):
        assert problem.message.startswith(f"row {problem.where}: ")
        assert said in problem.message


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"html": ["<html>"]}, "needs the columns url, and html or text; it has html"),
        ({"url": [URL]}, "needs the columns url, and html or text; it has url"),
        ({"url": [URL], "html": [["<html>"]]}, "column html is of type list"),
        ({"url": [URL], "html": ["<html>"], "fetched_at": [1767607200]}, "column fetched_at is of type int64"),
        ({"url": [URL], "html": ["<html>"], "status": [True]}, "column status is of type bool"),
    ],
)
def test_parquet_of_other_columns_is_one_problem(tmp_path: Path, columns: dict[str, list[object]], said: str) -> None:
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    report = landed(tmp_path / "home", tmp_path / "a.parquet")
    assert [problem.where for problem in report.problems] == [None]
    assert said in report.problems[0].message


def test_a_time_that_no_calendar_knows_is_named(tmp_path: Path) -> None:
    moments = pa.array([1 << 62, 0], pa.int64()).cast(pa.timestamp("ms"))
    table = pa.table({"url": [URL + "1", URL + "2"], "html": ["<html>", "<html>"], "fetched_at": moments})
    pq.write_table(table, tmp_path / "a.parquet")
    report = landed(tmp_path / "home", tmp_path / "a.parquet")
    assert [problem.where for problem in report.problems] == [1, 2]
    assert "row 1: 'fetched_at'" in report.problems[0].message
    assert "row 2: fetched_at is 1970-01-01T00:00:00+00:00, and must lie between" in report.problems[1].message


# --- folders, and all of it together


def test_a_folder_is_searched_for_containers(tmp_path: Path) -> None:
    """With its manifest, which is no container; links lead nowhere outside."""
    pages = made(len(WRITERS) + 1)
    folder = tmp_path / "pages"
    (folder / "deep").mkdir(parents=True)
    for page, (name, write) in zip(pages, WRITERS.items(), strict=False):
        write(folder / "deep" / name, [page])
    write_page(folder / "last.html", pages[-1].body)
    write_lines(folder / "manifest.jsonl", {"file": "last.html", "url": pages[-1].url})
    outside = WRITERS["pages.jsonl"](tmp_path / "outside.jsonl", made(20)[19:])
    (folder / "link.jsonl").symlink_to(outside)
    report = landed(tmp_path / "home", folder)
    assert payloads(tmp_path / "home") == {page.url: page.body for page in pages}
    assert [problem.file for problem in report.problems] == [(folder / "link.jsonl").as_posix()]
    assert landed(tmp_path / "other", folder / "link.jsonl").landed == 1


def test_inputs_of_any_mix_land_in_one_run(tmp_path: Path) -> None:
    pages = made(len(WRITERS) + 2)
    inputs = [write(tmp_path / name, [page]) for page, (name, write) in zip(pages, WRITERS.items(), strict=False)]
    write_page(tmp_path / "folder" / "one.html", b"<html>Synthetic one")
    bad = write_page(tmp_path / "bad.warc", b"Synthetic and no WARC")
    report = landed(tmp_path / "home", bad, *inputs, tmp_path / "folder", tmp_path / "folder" / "one.html")
    assert (report.landed, report.already_held, len(report.problems)) == (len(WRITERS) + 1, 1, 1)


@pytest.mark.parametrize("name", WRITERS)
def test_memory_does_not_grow_with_the_container(tmp_path: Path, name: str) -> None:
    """Parquet is read by pages of a megabyte: its small file is large enough to hold some."""
    (tmp_path / "raw").mkdir()
    few, many = (1000, 3000) if name == "pages.parquet" else (50, 300)
    peaks = [_peak(WRITERS[name](tmp_path / f"{count}-{name}", made(count, size=100)), count) for count in (few, many)]
    assert peaks[1] < peaks[0] + 250_000


def _peak(file: Path, count: int) -> int:
    """Bytes that Python and Arrow held at most, the pages being 2 KB each."""
    tracemalloc.start()
    allocated, most, read = pa.total_allocated_bytes(), 0, 0
    for page in read_inputs([str(file)], file.parent):
        assert isinstance(page, Page)
        with page.open() as payload:
            read += len(payload.read()) > 0
        most = max(most, pa.total_allocated_bytes() - allocated)
    _, traced = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert read == count
    return traced + most
