"""A crawl is killed at every step of keeping its pages: what was whole is kept, once, and nothing else is told of."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import raw.crawl.journal as journal_module
from raw.captures import index_folder, read_captures
from raw.crawl.journal import Journal, recover, runs_under_way
from raw.held import land_page, read_held
from raw.landing import land, sweep
from raw.pages import Page
from tests.raw.crawl.crawling import captures, names_left

CRAWL = "20260105T060000Z-ab12"
BEGUN = datetime(2026, 1, 5, 6, tzinfo=UTC)


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours runs after it."""


def add(home: Path, journal: Journal, *numbers: int) -> None:
    held = read_held(home)
    for number in numbers:
        body = f"Synthetic page {number}".encode()
        page = Page(
            url=f"https://example.org/{number}",
            fetched_at=BEGUN + timedelta(seconds=number),
            status=200,
            media_type="text/html",
            open=lambda body=body: io.BytesIO(body),
            file="",
        )
        assert land_page(journal, held, page, lambda _: "synthetic")


def new_journal(home: Path) -> Journal:
    (home / "raw").mkdir(parents=True, exist_ok=True)
    return Journal(home, "synthetic", CRAWL)


def urls(home: Path) -> list[int]:
    return [int(row["url"].rpartition("/")[2]) for row in captures(home)]


@contextmanager
def killed_at(monkeypatch: pytest.MonkeyPatch, step: int) -> Iterator[list[str]]:
    """Die before the ``step``-th thing that the journal does to a file, and tell what was done before."""
    done: list[str] = []

    def dying(name: str, function):
        def call(*args, **kwargs):
            if len(done) == step:
                raise Killed
            done.append(name)
            return function(*args, **kwargs)

        return call

    with monkeypatch.context() as patch:
        for owner, name in (
            (journal_module, "write_captures"), (journal_module, "sync"), (Path, "replace"), (Path, "unlink"),
        ):  # fmt: skip
            patch.setattr(owner, name, dying(name, getattr(owner, name)))
        yield done


STEPS = 11  # of a commit: write the index, name two files and sync their folders, remove the journal


def test_captures_of_a_commit_are_found_and_nothing_is_left(tmp_path: Path):
    journal = new_journal(tmp_path)
    add(tmp_path, journal, 1, 2)
    journal.commit()
    add(tmp_path, journal, 3)
    journal.commit()
    journal.commit()

    assert urls(tmp_path) == [1, 2, 3]
    assert [row["run_id"] for row in captures(tmp_path)] == [f"{CRAWL}.0001"] * 2 + [f"{CRAWL}.0002"]
    assert names_left(tmp_path) == []


def test_the_steps_of_a_commit_are_as_many_as_the_next_test_dies_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    journal = new_journal(tmp_path)
    add(tmp_path, journal, 1)
    with killed_at(monkeypatch, 1000) as done:
        journal.commit()

    assert len(done) == STEPS
    assert (done[0], done[-1]) == ("write_captures", "unlink")


@pytest.mark.parametrize("step", range(STEPS))
def test_a_commit_that_is_killed_at_any_step_is_finished_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
):
    journal = new_journal(tmp_path)
    add(tmp_path, journal, 1, 2)
    with killed_at(monkeypatch, step), pytest.raises(Killed):
        journal.commit()
    assert urls(tmp_path) in ([], [1, 2])
    assert runs_under_way(tmp_path) == {f"{CRAWL}.0001"}

    assert sweep(tmp_path) == ((), [])
    recover(tmp_path, "synthetic", CRAWL)

    assert urls(tmp_path) == [1, 2]
    assert names_left(tmp_path) == []
    later = new_journal(tmp_path)
    add(tmp_path, later, 3)
    later.commit()
    assert urls(tmp_path) == [1, 2, 3]


@pytest.mark.parametrize("step", range(STEPS))
def test_a_recovery_that_is_killed_at_any_step_is_finished_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
):
    add(tmp_path, new_journal(tmp_path), 1, 2)
    with killed_at(monkeypatch, step), pytest.raises(Killed):
        recover(tmp_path, "synthetic", CRAWL)

    recover(tmp_path, "synthetic", CRAWL)

    assert urls(tmp_path) == [1, 2]
    assert names_left(tmp_path) == []


def left(home: Path) -> tuple[Path, Path]:
    """WARC file and journal of a killed crawl that had got pages 1, 2 and 3."""
    add(home, new_journal(home), 1, 2, 3)
    (warc,) = (home / "raw" / "warc" / "synthetic").glob("*.crawling")
    (lines,) = index_folder(home).glob("*.crawling.jsonl")
    return warc, lines


def test_each_page_is_on_its_files_before_the_next_one_comes(tmp_path: Path):
    journal = new_journal(tmp_path)  # kept: as it goes, what it holds back would come to the files
    add(tmp_path, journal, 1)

    recover(tmp_path, "synthetic", CRAWL)

    assert urls(tmp_path) == [1]
    del journal


@pytest.mark.parametrize("torn", [1, 20, 200])
def test_a_torn_record_is_cut_off_and_the_whole_ones_before_it_stay(tmp_path: Path, torn: int):
    warc, _ = left(tmp_path)
    warc.write_bytes(warc.read_bytes()[:-torn])

    recover(tmp_path, "synthetic", CRAWL)

    assert urls(tmp_path) == [1, 2]


def test_a_record_with_other_bytes_than_its_digest_ends_what_is_kept(tmp_path: Path):
    warc, lines = left(tmp_path)
    second = json.loads(lines.read_text().splitlines()[1])
    damaged = bytearray(warc.read_bytes())
    damaged[second["offset"] + second["length"] // 2] ^= 0xFF
    warc.write_bytes(damaged)

    recover(tmp_path, "synthetic", CRAWL)

    assert urls(tmp_path) == [1]


@pytest.mark.parametrize("torn", [1, 30])
def test_a_record_whose_line_is_torn_does_not_exist(tmp_path: Path, torn: int):
    _, lines = left(tmp_path)
    lines.write_bytes(lines.read_bytes()[:-torn])

    recover(tmp_path, "synthetic", CRAWL)

    (row, *_), (named,) = captures(tmp_path)[::-1], (tmp_path / "raw" / "warc" / "synthetic").glob("*.warc.gz")
    assert urls(tmp_path) == [1, 2]
    assert named.stat().st_size == row["offset"] + row["length"]


def test_a_record_without_a_line_is_cut_off(tmp_path: Path):
    warc, _ = left(tmp_path)
    whole = warc.stat().st_size
    with warc.open("ab") as stream:
        stream.write(warc.read_bytes()[-300:])

    recover(tmp_path, "synthetic", CRAWL)

    (named,) = (tmp_path / "raw" / "warc" / "synthetic").glob("*.warc.gz")
    assert urls(tmp_path) == [1, 2, 3]
    assert named.stat().st_size == whole


def test_a_run_of_which_nothing_is_whole_goes(tmp_path: Path):
    warc, _ = left(tmp_path)
    warc.write_bytes(b"")

    recover(tmp_path, "synthetic", CRAWL)

    assert read_captures(tmp_path).num_rows == 0
    assert names_left(tmp_path) == []
    assert list((tmp_path / "raw" / "warc").rglob("*.gz")) == []


def test_a_landing_leaves_what_a_crawl_has_under_way(tmp_path: Path):
    left(tmp_path)
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "page.html").write_text("Synthetic")

    report = land(tmp_path, "another-run", [str(pages)], lambda _: "other")

    assert (report.landed, report.swept, report.problems) == (1, (), ())
    recover(tmp_path, "synthetic", CRAWL)
    assert {row["run_id"] for row in captures(tmp_path)} == {"another-run", f"{CRAWL}.0001"}


def test_the_same_bytes_again_are_a_revisit_that_is_recovered_too(tmp_path: Path):
    journal = new_journal(tmp_path)
    add(tmp_path, journal, 1)
    journal.commit()
    held = read_held(tmp_path)
    page = Page("https://example.org/1", BEGUN + timedelta(days=7), 304, "", io.BytesIO, "")
    assert land_page(journal, held, page, lambda _: "synthetic")

    recover(tmp_path, "synthetic", CRAWL)

    assert [(row["record_type"], row["status"]) for row in captures(tmp_path)] == [("response", 200), ("revisit", 304)]
