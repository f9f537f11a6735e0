"""What a crawl knows of itself, from its files alone."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from raw.crawl.journal import Journal
from raw.crawl.ledger import Ledger, open_ledger
from raw.crawl.listing import earlier_addresses
from raw.crawl.records import PageProblem, crawls_folder, read_crawls
from raw.held import land_page, read_held
from raw.pages import Page

SITE = "https://example.org/"
_SECONDS = count()


def url(number: int) -> str:
    return f"{SITE}{number}"


def crawl(home: Path, answers: dict[int, int], listed: list[int] | None = None, source: str = "synthetic") -> Ledger:
    """A crawl that got these statuses, by page; a page that is listed and has none is left."""
    ledger = opened(home, source)
    ledger.freeze(map(url, listed or answers), [])
    land(home, ledger, answers)
    ledger.save()
    return ledger


def opened(home: Path, source: str = "synthetic", *, restart: bool = False) -> Ledger:
    crawls_folder(home).mkdir(parents=True, exist_ok=True)
    return open_ledger(home, source, restart=restart)


def land(home: Path, ledger: Ledger, answers: dict[int, int]) -> None:
    journal, held = Journal(home, ledger.record.source, ledger.record.crawl_id), read_held(home)
    for number, status in answers.items():
        body = f"Synthetic {number} {status}".encode()
        at = datetime(2026, 1, 5, tzinfo=UTC) + timedelta(seconds=next(_SECONDS))
        page = Page(url(number), at, status, "text/html", lambda body=body: io.BytesIO(body), "")
        capture = land_page(journal, held, page, lambda _: ledger.record.source)
        assert capture
        ledger.note_capture(url(number), capture)
    journal.commit()


@pytest.mark.parametrize(
    ("statuses", "errors"),
    [
        ([200, 204, 404, 410], {}),
        ([200, 403], {"http_403": 1}),
        ([429, 500, 503], {"http_429": 1, "http_5xx": 2}),
        ([302], {"http_302": 1}),
    ],
)
def test_law_3_a_crawl_is_complete_where_every_address_had_a_page_or_is_not_found(tmp_path: Path, statuses, errors):
    record = crawl(tmp_path, dict(enumerate(statuses))).record

    assert (record.complete, record.errors) == (not errors, errors)
    assert record.finished_at is not None
    assert read_crawls(tmp_path) == [record]


def test_law_3_a_crawl_with_a_failure_or_a_refused_address_is_not_complete(tmp_path: Path):
    failed = crawl(tmp_path / "a", {1: 200}, [1, 2])
    failed.note_failure(url(2), "timeout", "Synthetic")
    refused = opened(tmp_path / "b")
    refused.freeze([], [PageProblem("ftp://example.org", "bad_address", "Synthetic")])

    for record, kind, asked in ((failed.save(), "timeout", 2), (refused.save(), "bad_address", 0)):
        assert (record.complete, record.errors, record.asked) == (False, {kind: 1}, asked)
        assert record.finished_at is not None


def test_law_3_a_crawl_with_addresses_left_is_neither_complete_nor_finished(tmp_path: Path):
    record = crawl(tmp_path, {1: 200, 2: 404}, [1, 2, 3]).record

    assert (record.complete, record.finished_at, record.asked, record.captured) == (False, None, 2, 2)


def test_an_unfinished_crawl_is_gone_on_with_from_its_files(tmp_path: Path):
    before = crawl(tmp_path, {1: 200, 2: 503}, [3, 1, 2, 4])
    crawl(tmp_path, {5: 200}, [5, 6], source="another")

    ledger = opened(tmp_path)

    assert ledger.record.crawl_id == before.record.crawl_id
    assert list(ledger.left()) == [url(3), url(4)]
    assert (ledger.done(), ledger.errors()) == (2, {"http_5xx": 1})
    land(tmp_path, ledger, {3: 200, 4: 200})
    record = ledger.save()
    assert (record.captured, record.asked, len(record.run_ids)) == (4, 4, 2)
    assert opened(tmp_path).record.crawl_id != record.crawl_id


def test_an_address_that_led_to_a_captured_page_is_not_asked_for_again(tmp_path: Path):
    ledger = crawl(tmp_path, {1: 200}, [1, 2, 3, 4])
    ledger.note_same(url(2), url(1))
    ledger.note_same(url(3), url(1))
    (same,) = crawls_folder(tmp_path).glob("*.same.jsonl")
    same.write_bytes(same.read_bytes()[:-5])  # killed as it wrote

    again = opened(tmp_path)
    assert list(again.left()) == [url(3), url(4)]
    again.note_same(url(4), url(1))
    assert list(opened(tmp_path).left()) == [url(3)]


def test_what_was_being_written_when_a_crawl_was_killed_is_swept(tmp_path: Path):
    ledger = crawl(tmp_path, {1: 200}, [1, 2])
    partial = crawls_folder(tmp_path) / f"{ledger.record.crawl_id}.json.partial"
    partial.write_text("{")

    opened(tmp_path)

    assert not partial.exists()


def test_a_restart_ends_the_unfinished_crawl_alone(tmp_path: Path):
    before = crawl(tmp_path, {1: 200}, [1, 2])
    other = crawl(tmp_path, {3: 200}, [3, 4], source="another")

    new = opened(tmp_path, restart=True)

    records = {record.crawl_id: record for record in read_crawls(tmp_path)}
    assert records[before.record.crawl_id].finished_at is not None
    assert records[before.record.crawl_id].complete is False
    assert records[other.record.crawl_id].finished_at is None
    assert new.addresses is None


def test_law_3_pages_of_earlier_crawls_are_asked_for_until_two_complete_crawls_in_a_row_missed_them(tmp_path: Path):
    crawl(tmp_path, {1: 200, 2: 200, 3: 404})
    assert earlier_addresses(tmp_path, "synthetic") == [url(1), url(2)]
    crawl(tmp_path, {1: 200, 2: 404})
    assert earlier_addresses(tmp_path, "synthetic") == [url(1), url(2)]
    crawl(tmp_path, {1: 500, 2: 404})
    assert earlier_addresses(tmp_path, "synthetic") == [url(1), url(2)], "an incomplete crawl proves nothing"
    crawl(tmp_path, {1: 200, 2: 410})
    assert earlier_addresses(tmp_path, "synthetic") == [url(1)]
    assert earlier_addresses(tmp_path, "another") == []
