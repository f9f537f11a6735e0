"""Landing a folder: what is kept, what is not written twice, and what a kill leaves behind."""

from __future__ import annotations

import gzip
import os
import re
import signal
import subprocess
import sys
import tracemalloc
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from raw import landing
from raw.captures import CAPTURES_SCHEMA, read_captures
from raw.errors import PayloadTooLarge, RunExists, UnusableInput
from raw.landing import PROBLEMS_KEPT, LandReport, land
from raw.pages import Problem
from raw.warc import read_payload
from tests.raw.landing_zone import (
    PAGES,
    URL,
    landed,
    messages,
    payloads,
    scraped,
    source_of,
    tree,
    write_manifest,
    write_page,
)

FIRST, SECOND, THIRD = (f"20260301T120000Z-000{n}" for n in (1, 2, 3))


def test_pages_come_back_byte_for_byte(tmp_path: Path) -> None:
    """Law 2: raw is immutable."""
    report = landed(tmp_path / "home", scraped(tmp_path / "pages"))
    assert report == LandReport(5, 0, 0, sum(map(len, PAGES.values())), (), ())
    assert payloads(tmp_path / "home") == {
        URL + "0001T": PAGES["2026-01/0001T.html"],
        URL + "0002T": PAGES["2026-01/0002T.htm"],
        "file:2026-01/0003T.txt": PAGES["2026-01/0003T.txt"],
        "file:2026-01/0004T.md": PAGES["2026-01/0004T.md"],
        "file:2026-02/0005T.html": PAGES["2026-02/0005T.html"],
    }


def test_index_tells_what_is_known(tmp_path: Path) -> None:
    landed(tmp_path / "home", scraped(tmp_path / "pages"))
    table = read_captures(tmp_path / "home")
    assert table.schema.equals(CAPTURES_SCHEMA, check_metadata=True)
    known = ["url", "source", "fetched_at", "status", "media_type", "record_type", "file"]
    rows = [tuple(row.values()) for row in table.select(known).to_pylist()]
    site, local = (f"raw/warc/{source}/{FIRST}.warc.gz" for source in ("codingahead", "local"))
    modified = datetime(2026, 1, 31, 12, 0, 0, 123456, UTC)
    assert rows == [
        (URL + "0001T", "codingahead", datetime(2026, 1, 5, 10, tzinfo=UTC), 200, "text/html", "response", site),
        (URL + "0002T", "codingahead", datetime(2026, 1, 5, 8, 0, 0, 250000, UTC), None, "text/html", "resource", site),
        ("file:2026-01/0003T.txt", "local", modified, None, "text/plain", "resource", local),
        ("file:2026-01/0004T.md", "local", modified, None, "text/markdown", "resource", local),
        ("file:2026-02/0005T.html", "local", modified, None, "text/html", "resource", local),
    ]
    assert table["payload_bytes"].to_pylist() == [len(payload) for payload in PAGES.values()]
    assert table["digest"][3].as_py() == ("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")


def test_landing_again_writes_nothing(tmp_path: Path) -> None:
    """Law 5: same in, same out; nothing new, nothing written."""
    home, pages = tmp_path / "home", scraped(tmp_path / "pages")
    landed(home, pages, run_id=FIRST)
    before = tree(home)
    assert landed(home, pages, pages, run_id=SECOND) == LandReport(0, 0, 10, 0, (), ())
    assert tree(home) == before


def test_same_bytes_at_another_time_become_a_revisit(tmp_path: Path) -> None:
    home, pages = tmp_path / "home", scraped(tmp_path / "pages")
    landed(home, pages, run_id=FIRST)
    again = {"file": "2026-01/0001T.html", "url": URL + "0001T", "fetched_at": "2026-02-05T10:00:00Z", "status": 200}
    other = {**again, "url": URL + "9999T"}
    write_manifest(pages, again, other, {"file": "2026-01/0002T.htm", "url": URL + "0002T"})
    report = landed(home, pages, run_id=SECOND)
    assert (report.landed, report.revisits, report.already_held) == (1, 2, 3)
    rows = read_captures(home).to_pylist()[5:]
    assert [(r["url"], r["record_type"], r["payload_bytes"]) for r in rows] == [
        (URL + "0001T", "revisit", len(PAGES["2026-01/0001T.html"])),
        (URL + "9999T", "response", len(PAGES["2026-01/0001T.html"])),
        (URL + "0002T", "revisit", len(PAGES["2026-01/0002T.htm"])),
    ]
    assert rows[0]["length"] < 600
    assert rows[0]["digest"] == rows[1]["digest"] == read_captures(home)["digest"][0].as_py()


def test_same_bytes_and_time_with_another_status_become_a_revisit(tmp_path: Path) -> None:
    """Law 2: what a mended manifest says is kept, and so is what it said before."""
    home, page = tmp_path / "home", write_page(tmp_path / "pages/0001T.html", b"Synthetic page")
    entry = {"file": page.name, "url": URL + "0001T", "fetched_at": "2026-01-05T10:00:00Z"}
    write_manifest(page.parent, *({**entry, "status": status} for status in (404, 200)))
    report = landed(home, page, run_id=FIRST)
    assert (report.landed, report.revisits, report.already_held) == (1, 1, 0)
    write_manifest(page.parent, *({**entry, "status": status} for status in (200, 404, None, 503)))
    report = landed(home, page, run_id=SECOND)
    assert (report.landed, report.revisits, report.already_held) == (0, 2, 2)
    rows = read_captures(home).to_pylist()
    kinds = [("response", 404), ("revisit", 200), ("revisit", None), ("revisit", 503)]
    assert [(row["record_type"], row["status"]) for row in rows] == kinds
    assert len({(row["url"], row["digest"], row["fetched_at"]) for row in rows}) == 1
    records = b"".join(gzip.decompress(file.read_bytes()) for file in home.glob("raw/warc/*/*.warc.gz"))
    assert len(set(re.findall(rb"WARC-Record-ID: (\S+)", records))) == len(rows) + 2


def test_changed_bytes_at_the_same_url_are_landed(tmp_path: Path) -> None:
    home, page = tmp_path / "home", write_page(tmp_path / "pages" / "0001T.txt", b"Synthetic one")
    landed(home, page, run_id=FIRST)
    write_page(page, b"Synthetic two")
    assert landed(home, page, run_id=SECOND).landed == 1
    write_page(page, b"Synthetic one", "2026-03-01T00:00:00Z")
    assert landed(home, page, run_id=THIRD).revisits == 1
    assert read_captures(home)["url"].to_pylist() == ["file:0001T.txt"] * 3


def test_index_depends_on_the_captures_alone(tmp_path: Path) -> None:
    """Law 5, raw's part: another home, another run, another day give the same index but for the run's name."""
    pages = scraped(tmp_path / "pages")
    indexes = []
    for run_id in (FIRST, SECOND):
        landed(tmp_path / run_id, pages, run_id=run_id)
        indexes.append(read_captures(tmp_path / run_id).drop_columns(["run_id", "file"]))
    assert indexes[0].equals(indexes[1])


def test_progress_is_told(tmp_path: Path) -> None:
    seen: list[int] = []
    land(tmp_path / "home", FIRST, [str(scraped(tmp_path / "pages"))], source_of, seen.append)
    assert seen == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("name", ["nowhere", "page.pdf", "manifest.jsonl", "nul\0.html"])
def test_unusable_input_is_told_before_anything_is_written(tmp_path: Path, name: str) -> None:
    """Law 11."""
    pages = scraped(tmp_path / "pages")
    (pages / "page.pdf").touch()
    with pytest.raises(UnusableInput, match="Give a folder") as raised:
        landed(tmp_path / "home", pages, pages / name)
    assert raised.value.path == str(pages / name)
    assert not (tmp_path / "home").exists()


def test_a_run_lands_once(tmp_path: Path) -> None:
    landed(tmp_path / "home", scraped(tmp_path / "pages"))
    with pytest.raises(RunExists, match=FIRST):
        landed(tmp_path / "home", tmp_path / "pages")


def test_a_source_becomes_no_path(tmp_path: Path) -> None:
    """Law 10."""
    pages = scraped(tmp_path / "pages")
    with pytest.raises(ValueError, match="cannot be a file name"):
        land(tmp_path / "home", FIRST, [str(pages)], lambda url: "../elsewhere")
    assert tree(tmp_path / "home") == {}


@pytest.mark.parametrize(
    ("date", "good"),
    [
        ("9999-12-31T00:00:00+00:00", False),
        ("2026-03-02T12:00:00.000001+00:00", False),
        ("2026-03-02T12:00:00+00:00", True),
        ("1990-01-01T00:00:00+00:00", True),
        ("1989-12-31T23:59:59+00:00", False),
        ("0001-01-01T00:00:00+00:00", False),
    ],
)
def test_a_date_that_no_fetch_can_have_leaves_the_page_out(tmp_path: Path, date: str, good: bool) -> None:
    """Law 2: raw is kept for ever, and a page out of the future would be the latest for ever."""
    home, pages = tmp_path / "home", tmp_path / "pages"
    write_page(pages / "other.html", b"Synthetic other")
    write_page(pages / "page.html", b"Synthetic page")
    entry = {"file": "page.html", "url": URL + "0001T", "fetched_at": date}
    write_manifest(pages, {"file": "other.html"}, entry)
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    report = land(home, FIRST, [str(pages)], source_of, now=now)
    between = "between 1990-01-01T00:00:00+00:00 and 2026-03-02T12:00:00+00:00"
    found = f"fetched_at is {date} (line 2 of its manifest, or the file's modification time)"
    told = f"{found}, and must lie {between}: mend it and land again"
    assert (report.landed, messages(report)) == ((2, {}) if good else (1, {("page.html", 2): told}))
    write_manifest(pages, {"file": "other.html"}, {**entry, "fetched_at": "2026-02-01T00:00:00Z"})
    mended = land(home, SECOND, [str(pages)], source_of, now=now)
    assert (mended.landed, mended.revisits, mended.problems) == ((0, 1, ()) if good else (1, 0, ()))


@pytest.mark.parametrize("date", ["1980-01-01T00:00:00+00:00", "2191-10-27T00:00:00+00:00"])
def test_a_modification_time_that_no_fetch_can_have_is_told_as_such(tmp_path: Path, date: str) -> None:
    """Laws 2 and 11: with a manifest's line that gives no date, or without any."""
    write_page(tmp_path / "pages/listed.html", b"Synthetic listed", date)
    write_page(tmp_path / "pages/other.html", b"Synthetic other", date)
    write_manifest(tmp_path / "pages", {"file": "listed.html"})
    report = landed(tmp_path / "home", tmp_path / "pages")
    assert report.landed == 0
    found = {place: text.split(", and must lie")[0] for place, text in messages(report).items()}
    assert found == {
        ("listed.html", 1): f"fetched_at is {date} (line 1 of its manifest, or the file's modification time)",
        ("other.html", None): f"fetched_at is {date} (the file's modification time)",
    }


def test_the_clock_is_read_where_none_is_given(tmp_path: Path) -> None:
    """Law 2, as above."""
    soon, late = (datetime.now(UTC) + timedelta(hours=hours) for hours in (23, 25))
    write_page(tmp_path / "soon.html", b"Synthetic soon", soon.isoformat())
    write_page(tmp_path / "late.html", b"Synthetic late", late.isoformat())
    report = landed(tmp_path / "home", tmp_path / "soon.html", tmp_path / "late.html")
    assert (report.landed, list(messages(report))) == (1, [("late.html", None)])


def test_unreadable_pages_are_named_and_stop_no_other(tmp_path: Path) -> None:
    pages = scraped(tmp_path / "pages")
    (pages / "broken.html").symlink_to(pages / "gone.html")
    (pages / "self.html").symlink_to("self.html")
    os.mkfifo(pages / "pipe.html")
    report = landed(tmp_path / "home", pages)
    assert report.landed == 5
    assert messages(report) == {
        ("broken.html", None): "cannot be read: No such file or directory",
        ("self.html", None): "cannot be read: Too many levels of symbolic links",
        ("pipe.html", None): "is no regular file, and was not read",
    }


def test_a_page_that_vanishes_or_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = scraped(tmp_path / "pages")

    def failing(path: str, mode: str) -> object:
        if Path(path).name == "0003T.txt":
            raise PermissionError(13, "Permission denied")
        return Path(path).open(mode)

    monkeypatch.setattr("raw.folder.open", failing, raising=False)
    report = landed(tmp_path / "home", pages)
    assert (report.landed, messages(report)) == (4, {("0003T.txt", None): "cannot be read: Permission denied"})


def test_a_folder_that_cannot_be_searched_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = scraped(tmp_path / "pages")
    intact = os.scandir

    def locked(path: str) -> object:
        if str(path).endswith("2026-01"):
            raise PermissionError(13, "Permission denied", path)
        return intact(path)

    monkeypatch.setattr(os, "scandir", locked)
    report = landed(tmp_path / "home", pages)
    assert report.landed == 1
    assert messages(report) == {("2026-01", None): "cannot be searched: Permission denied"}


def test_a_home_inside_the_folder_is_passed_over(tmp_path: Path) -> None:
    pages = scraped(tmp_path / "pages")
    write_page(pages / "data/warehouse/docs/dictionary.md", b"Synthetic document of the pipeline's own")
    assert landed(pages / "data", pages).landed == 5


def test_a_full_disk_fails_the_landing_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Law 4: all or nothing. What cannot be written is the home's failure, not the page's."""
    pages, home = scraped(tmp_path / "pages"), tmp_path / "home"

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("raw.landing.write_captures", full)
    with pytest.raises(OSError, match="No space left"):
        landed(home, pages)
    assert tree(home) == {}


@pytest.mark.parametrize("renames", [0, 1, 2])
def test_a_commit_that_fails_anywhere_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renames: int
) -> None:
    """Law 4: also after some WARC files have their names."""
    pages, home = scraped(tmp_path / "pages"), tmp_path / "home"
    left, rename = iter(range(renames)), Path.replace

    def failing(self: Path, target: Path) -> Path:
        if next(left, None) is None:
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(OSError, match="Input/output error"):
        landed(home, pages)
    assert tree(home) == {}


def test_a_committed_run_stays_where_the_disk_fails_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Law 2: once the index has its name, the WARC files belong to it."""
    pages, home = scraped(tmp_path / "pages"), tmp_path / "home"
    sync = landing._sync

    def failing(path: Path) -> None:
        if (home / f"raw/captures/{FIRST}.parquet").exists():
            raise OSError(5, "Input/output error")
        sync(path)

    monkeypatch.setattr(landing, "_sync", failing)
    with pytest.raises(OSError, match="Input/output error"):
        landed(home, pages, run_id=FIRST)
    assert set(payloads(home).values()) == set(PAGES.values())


def test_killed_before_the_index_the_next_run_sweeps_and_lands_again(tmp_path: Path) -> None:
    """Law 4."""
    home, pages = tmp_path / "home", scraped(tmp_path / "pages")
    landed(home, pages, run_id=FIRST)
    index = home / f"raw/captures/{FIRST}.parquet"
    index.rename(index.with_name(f"{index.name}.partial"))
    (home / "raw/warc/local/x.warc.gz.partial").write_bytes(b"cut")
    report = landed(home, pages, run_id=SECOND)
    assert report.landed == 5
    assert report.swept == (
        f"raw/captures/{FIRST}.parquet.partial",
        f"raw/warc/codingahead/{FIRST}.warc.gz",
        f"raw/warc/local/{FIRST}.warc.gz",
        "raw/warc/local/x.warc.gz.partial",
    )
    assert set(payloads(home).values()) == set(PAGES.values())


@pytest.mark.parametrize("removed", [0, 1, 2])
def test_a_sweep_that_is_killed_is_taken_up_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, removed: int
) -> None:
    """Law 4: what tells that WARC files may go is the last to go."""
    home = tmp_path / "home"
    landed(home, scraped(tmp_path / "pages"), run_id=FIRST)
    index = home / f"raw/captures/{FIRST}.parquet"
    index.rename(index.with_name(f"{index.name}.partial"))
    left, unlink = iter(range(removed)), Path.unlink

    def killed(self: Path) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt
        unlink(self)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            landing.sweep(home)
    swept, problems = landing.sweep(home)
    assert (len(swept), problems, tree(home)) == (3 - removed, [], {})


def test_a_committed_run_is_never_swept(tmp_path: Path) -> None:
    home, pages = tmp_path / "home", scraped(tmp_path / "pages")
    landed(home, pages, run_id=FIRST)
    write_page(pages / "new.txt", b"Synthetic news")
    assert landed(home, pages, run_id=SECOND).swept == ()
    assert len(payloads(home)) == 6


@pytest.mark.parametrize("runs", [1, 2])
def test_lost_index_files_cost_no_pages(tmp_path: Path, runs: int) -> None:
    """Law 2: without its index, and without the unfinished one that a kill leaves, a WARC file may be the only copy."""
    home, pages = tmp_path / "home", scraped(tmp_path / "pages")
    landed(home, pages, run_id=FIRST)
    if runs == 2:
        landed(home, write_page(tmp_path / "new.txt", b"Synthetic news"), run_id=SECOND)
    for index in (home / "raw/captures").iterdir():
        index.unlink()
    warcs = tree(home)
    report = landed(home, pages, run_id=THIRD)
    assert (report.swept, report.landed) == ((), 5)
    assert {problem.file for problem in report.problems} == set(warcs)
    assert f"restore raw/captures/{FIRST}.parquet" in report.problems[0].message
    assert warcs.items() <= tree(home).items()


def test_a_run_whose_index_was_lost_is_not_written_over(tmp_path: Path) -> None:
    """Law 2."""
    home, pages = tmp_path / "home", scraped(tmp_path / "pages")
    landed(home, pages, run_id=FIRST)
    (home / f"raw/captures/{FIRST}.parquet").unlink()
    warcs = tree(home)
    with pytest.raises(RunExists, match=FIRST):
        landed(home, pages, run_id=FIRST)
    assert tree(home) == warcs


KILLED = """
import os, signal, sys
from pathlib import Path
from raw.landing import land
from tests.raw.landing_zone import source_of
home, pages, run_id, renames = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
replace = Path.replace
def counted(self, target):
    global renames
    renames -= 1
    if renames < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(self, target)
Path.replace = counted
land(home, run_id, [str(pages)], source_of)
"""


@pytest.mark.parametrize("renames", [0, 1, 2])
def test_kill_9_at_each_step_of_the_commit(tmp_path: Path, renames: int) -> None:
    """Law 4: killed at any instant, whole or not at all, and the next run needs no repair."""
    home, pages = tmp_path / "home", scraped(tmp_path / "pages")
    paths = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[2])])
    command = [sys.executable, "-c", KILLED, str(home), str(pages), FIRST, str(renames)]
    assert subprocess.run(command, env={**os.environ, "PYTHONPATH": paths}).returncode == -signal.SIGKILL
    assert read_captures(home).num_rows == 0
    report = landed(home, pages, run_id=SECOND)
    assert (report.landed, len(report.swept)) == (5, 3)
    assert set(payloads(home).values()) == set(PAGES.values())
    assert sorted(tree(home)) == sorted({*read_captures(home)["file"].to_pylist(), f"raw/captures/{SECOND}.parquet"})


def test_a_large_page_costs_no_memory(tmp_path: Path) -> None:
    """Pages stream: 64 MB land within 4 MB, and refusing to read them back costs the limit."""
    home, page = tmp_path / "home", tmp_path / "large.html"
    with page.open("wb") as file:
        file.truncate(64 << 20)
    tracemalloc.start()
    try:
        report = landed(home, page)
        assert (report.bytes, report.problems) == (64 << 20, ())
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
        row = read_captures(home).to_pylist()[0]
        tracemalloc.reset_peak()
        with pytest.raises(PayloadTooLarge):
            read_payload(home, row["file"], row["offset"], 1 << 20)
        assert tracemalloc.get_traced_memory()[1] < 5 << 20
    finally:
        tracemalloc.stop()


def test_law_10_the_first_problems_are_kept_and_the_others_counted(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("{}\n" * (PROBLEMS_KEPT + 500))
    report = landed(tmp_path / "home", tmp_path / "a.jsonl")
    assert [problem.where for problem in report.problems] == [*range(1, PROBLEMS_KEPT + 1)]
    assert report.problems_not_kept == 500


def test_law_10_a_problem_is_safe_in_a_log_whatever_it_quotes() -> None:
    problem = Problem("\x1b[2Ja\udcff", 7, "quotes \u202e\n" + "a" * 1_000_000)
    assert (problem.file, problem.where) == ("\\x1b[2Ja\\udcff", 7)
    assert problem.message.startswith("quotes \\u202e\\na")
    assert len(problem.message) < 3000
    assert problem == Problem(*problem)
