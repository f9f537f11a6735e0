"""Reading ahead of a landing: the measures of files, in the order of the pages, and nothing that depends on them."""

from __future__ import annotations

import fcntl
import hashlib
import io
import itertools
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from raw import ahead, hashing
from raw.ahead import Measured, read_ahead
from raw.captures import read_captures
from raw.pages import Item, Page, Problem
from tests.raw.landing_zone import landed, payloads, write_manifest, write_page

DAY = datetime(2026, 1, 5, tzinfo=UTC)


@pytest.fixture(autouse=True)
def small_questions(monkeypatch):
    monkeypatch.setattr(ahead, "_TOGETHER", 4)


def page(path: Path | None, name: str = "") -> Page:
    return Page(
        url=f"file:{path.name if path else name}",
        fetched_at=DAY,
        status=None,
        media_type="text/html",
        open=lambda: io.BytesIO(b"Synthetic"),
        file="",
        path=str(path) if path else None,
    )


def files(folder: Path, number: int) -> list[Page]:
    return [page(write_page(folder / f"{n}.html", b"Synthetic page %d" % n * n)) for n in range(number)]


def true_measures(one: Page) -> Measured:
    payload = Path(str(one.path)).read_bytes()
    return Measured(f"sha256:{hashlib.sha256(payload).hexdigest()}", len(payload))


def test_files_are_measured_and_stay_in_their_order(tmp_path):
    pages = files(tmp_path, 22)
    given = list(read_ahead(pages, lambda one: True))
    assert [item for item, _ in given] == pages
    assert [measured for _, measured in given[:20]] == [true_measures(one) for one in pages[:20]]
    assert [measured for _, measured in given[20:]] == [None, None]  # too few for a question


def test_only_what_is_wanted_is_measured(tmp_path):
    pages: list[Item] = [*files(tmp_path, 7), Problem("a file", None, "cannot be read")]
    given = list(read_ahead(pages, lambda one: one.url in ("file:2.html", "file:5.html")))
    assert [item for item, _ in given] == pages
    assert [place for place, (_, measured) in enumerate(given) if measured] == [2, 5]


def test_a_page_of_a_container_is_given_on_before_the_next_is_taken(tmp_path):
    plain, taken = files(tmp_path, 6), []

    def items() -> Iterator[Item]:
        for one in (*plain[:5], page(None, "a"), page(None, "b"), plain[5]):
            taken.append(one.url)
            yield one

    for item, _ in read_ahead(items(), lambda one: True):
        if isinstance(item, Page) and item.path is None:
            assert taken[-1] == item.url
    assert taken == [f"file:{n}.html" for n in range(5)] + ["file:a", "file:b", "file:5.html"]


def test_a_file_that_cannot_be_read_is_not_measured(tmp_path):
    pages = files(tmp_path, 4)
    (tmp_path / "1.html").unlink()
    (tmp_path / "2.html").unlink()
    (tmp_path / "2.html").mkdir()
    measured = [one for _, one in read_ahead(pages, lambda one: True)]
    assert [one is None for one in measured] == [False, True, True, False]


@pytest.mark.parametrize("script", ["raise SystemExit", "import sys; sys.stdout.buffer.write(b'x'); sys.stdin.read()"])
def test_without_answers_all_pages_are_given_on_unmeasured(tmp_path, monkeypatch, script):
    (tmp_path / "other.py").write_text(script, "utf-8")
    other = SimpleNamespace(__file__=str(tmp_path / "other.py"), UNREADABLE=hashing.UNREADABLE)
    pages = files(tmp_path, 40)
    monkeypatch.setattr(ahead, "hashing", other)
    monkeypatch.setattr(ahead, "_SECONDS", 0.05)
    given = list(read_ahead(pages, lambda one: True))
    assert given == [(one, None) for one in pages]


def test_a_stopped_process_that_hashes_holds_up_no_landing(tmp_path, monkeypatch):
    def start() -> subprocess.Popen[bytes]:
        begun.append(begin())
        begun[0].send_signal(signal.SIGSTOP)
        return begun[0]

    begun: list[subprocess.Popen[bytes]] = []
    begin = ahead._started
    monkeypatch.setattr(ahead, "_started", start)
    monkeypatch.setattr(ahead, "_SECONDS", 0.05)
    pages = files(tmp_path, 40)
    assert list(read_ahead(pages, lambda one: True)) == [(one, None) for one in pages]
    assert len(begun) == 1, "done without from then on"
    assert begun[0].poll() == -signal.SIGKILL


def test_pipes_that_take_less_than_a_question_or_its_answers_are_enough(tmp_path, monkeypatch):
    begin = ahead._started

    def start() -> subprocess.Popen[bytes]:
        process = begin()
        for pipe in (process.stdin, process.stdout):
            assert pipe
            fcntl.fcntl(pipe, getattr(fcntl, "F_SETPIPE_SZ", fcntl.F_GETFD), 4096)  # elsewhere they stay as they are
        return process

    monkeypatch.setattr(ahead, "_started", start)
    monkeypatch.setattr(ahead, "_TOGETHER", 128)
    monkeypatch.setattr(ahead, "_SECONDS", 20)
    pages = files(tmp_path, 1) * 512
    measured = [one for _, one in read_ahead(pages, lambda one: True)]
    assert measured == [true_measures(pages[0])] * 512


def test_the_process_ends_with_the_reading_even_where_that_is_left_half_way(tmp_path, monkeypatch):
    begun = []
    start = ahead._started
    monkeypatch.setattr(ahead, "_started", lambda: begun.append(start()) or begun[-1])
    with closing(read_ahead(files(tmp_path, 40), lambda one: True)) as reading:
        assert len(list(itertools.islice(reading, 3))) == 3
        assert [process.poll() for process in begun] == [None]
    assert begun[0].poll() is not None


def test_law_2_what_is_landed_does_not_depend_on_reading_ahead(tmp_path, monkeypatch):
    texts = {f"{n}.html": f"Synthetic page {n}" for n in range(30)}

    def scraped(folder: Path, day: int, changed: set[int]) -> Path:
        for n, (name, text) in enumerate(texts.items()):
            write_page(folder / name, f"{text}{' of today' * (n in changed)}".encode())
        lines = [
            {"file": name, "url": f"https://example.com/{name}", "fetched_at": f"2026-01-{day:02}", "status": 200}
            for name in texts
        ]
        write_manifest(folder, *lines)
        return folder

    first, second = scraped(tmp_path / "a", 5, set()), scraped(tmp_path / "b", 6, {3, 11})
    found = []
    asked = []
    ask = ahead._Hasher.ask
    monkeypatch.setattr(ahead._Hasher, "ask", lambda hasher, paths: asked.append(paths) or ask(hasher, paths))
    for together in (4, 1000):
        monkeypatch.setattr(ahead, "_TOGETHER", together)
        home = tmp_path / f"home{together}"
        landed(home, first, run_id="20260301T120000Z-0001")
        report = landed(home, second, run_id="20260301T120000Z-0002")
        assert (report.landed, report.revisits) == (2, 28)
        found.append((read_captures(home).to_pylist(), payloads(home)))
    assert found[0] == found[1]
    assert sum(path is not None for paths in asked for path in paths) == 28  # by the second landing alone
