"""Law 3: a code is deleted when the last two complete crawls that asked were told 404 or 410, and by nothing less."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pytest

from parsers.records import Descriptor
from tests.warehouse.invented import LIVE, TRUST, capture, captures, day, page
from warehouse.assemble import assemble
from warehouse.expectations import validate
from warehouse.staging import stage

GOOD = page(records=[Descriptor("short", "Synthetic")])
MISSING = page(outcome="not_found", url=GOOD.result.url, content="Synthetic: no such page")
ELSEWHERE = page(records=[Descriptor("short", "Synthetic")], url="https://mirror.example/0748T")
GATED = page(outcome="gated", url=GOOD.result.url, content="Synthetic wall")
GATED_ELSEWHERE = page(outcome="gated", url="https://mirror.example/0748T", content="Synthetic wall")
OTHER_SOURCE = page(records=[Descriptor("title", "Synthetic")], source="openpayer")


def told(tmp_path: Path, *rows: dict) -> tuple[list[str], list[str], dt.datetime]:
    """Status of the codes, the addresses that tell of it, and what the tables are as of."""
    stage(tmp_path, [GOOD, MISSING, ELSEWHERE, GATED, GATED_ELSEWHERE, OTHER_SOURCE])
    made = assemble(captures(rows), tmp_path, LIVE, TRUST)
    attributes = made.tables["attributes"].to_pylist()
    return (
        made.tables["codes"]["status"].to_pylist(),
        [row["value"] for row in attributes if row["attribute"] == "page_gone"],
        made.as_of,
    )


def crawled(of, number: int, status: int, crawl: str | None, counts: bool = True) -> dict:
    return capture(of, day(number), status, crawl=crawl, counts=counts)


def test_two_complete_crawls_in_a_row_delete_and_show_it(tmp_path):
    rows = [crawled(GOOD, 1, 200, "c1"), crawled(MISSING, 2, 404, "c2"), crawled(MISSING, 3, 410, "c3")]

    assert told(tmp_path, *rows) == (["deleted"], [GOOD.result.url], day(3))


@pytest.mark.parametrize(
    "rows",
    [
        [(GOOD, 1, 200, "c1"), (MISSING, 2, 404, "c2")],
        [(GOOD, 1, 200, "c1"), (MISSING, 2, 404, "c2"), (MISSING, 3, 404, None)],
        [(GOOD, 1, 200, "c1"), (MISSING, 2, 404, None), (MISSING, 3, 404, "c3")],
        [(GOOD, 1, 200, "c1"), (MISSING, 2, 404, "c2"), (MISSING, 3, 404, "c2")],
        [(GOOD, 1, 200, "c1"), (MISSING, 2, 404, "c2"), (GOOD, 3, 200, "c3"), (MISSING, 4, 404, "c4")],
        [(GOOD, 1, 200, "c1"), (MISSING, 2, 404, "c2"), (GOOD, 3, 304, None), (MISSING, 4, 404, "c4")],
        [(GOOD, 1, 200, "c1"), (MISSING, 2, 404, "c2"), (MISSING, 3, 503, "c3")],
        [(GOOD, 1, 200, "c1"), (MISSING, 2, 503, "c2"), (MISSING, 3, 403, "c3")],
        [(GOOD, 1, 200, "c1"), (MISSING, 2, 404, "c2"), (MISSING, 3, 404, "c3"), (GOOD, 4, 200, "c4")],
        [(GOOD, 1, 200, "c1"), (MISSING, 2, 404, "c2"), (ELSEWHERE, 3, 200, None), (MISSING, 4, 404, "c4")],
        [(MISSING, 1, 404, "c1"), (MISSING, 2, 404, "c2"), (GOOD, 3, 200, None)],
        [(GOOD, 1, 200, "c1"), (MISSING, 2, 404, "c2"), (GATED, 3, 200, "c3"), (MISSING, 4, 404, "c4")],
        [(GOOD, 1, 200, "c1"), (MISSING, 2, 404, "c2"), (GATED, 3, 200, None), (MISSING, 4, 404, "c4")],
        [(GOOD, 1, 200, "c1"), (MISSING, 2, 404, "c2"), (GOOD, 3, 200, "c3", False), (MISSING, 4, 404, "c4")],
        [(GOOD, 1, 200, "c1"), (MISSING, 2, 404, "c2"), (MISSING, 3, 404, "c3", False)],
        [
            (ELSEWHERE, 1, 200, "c0"), (GOOD, 2, 200, "c1"), (MISSING, 3, 404, "c2"), (GATED_ELSEWHERE, 3, 200, "c2"),
            (MISSING, 4, 404, "c3"),
        ],
        [(GOOD, 1, 200, "c0"), (ELSEWHERE, 2, 200, "c1"), (MISSING, 3, 404, "c2"), (MISSING, 4, 404, "c3")],
    ],
    ids=[
        "once", "then in no complete crawl", "first in no complete crawl", "twice in one crawl", "back between",
        "confirmed between", "then an error", "errors", "back after", "at another address between",
        "before it was there", "a wall between", "a wall that a folder landed between",
        "found by a suspect crawl between",
        "second in a suspect crawl", "a wall at its other address", "its latest address was not asked",
    ],
)  # fmt: skip
def test_nothing_less_deletes(tmp_path, rows):
    assert told(tmp_path, *(crawled(*row) for row in rows))[:2] == (["unknown"], [])


@pytest.mark.parametrize("after", [(GATED, 4, 200, "c4"), (GATED, 4, 200, None), (GOOD, 4, 200, "c4", False)])
def test_what_cannot_be_read_or_does_not_count_brings_no_code_back(tmp_path, after):
    rows = [crawled(GOOD, 1, 200, "c1"), crawled(MISSING, 2, 404, "c2"), crawled(MISSING, 3, 404, "c3")]

    statuses, addresses, as_of = told(tmp_path, *rows, crawled(*after))

    assert (statuses, addresses, as_of) == (["deleted"], [GOOD.result.url], day(3))


def test_the_address_that_was_asked_may_go_where_it_led_to_the_page(tmp_path):
    asked = "https://www.codingahead.example/asked"
    gone = page(outcome="not_found", url=asked, content="Synthetic: no such page")
    stage(tmp_path, [gone])
    rows = [crawled(gone, number, 404, f"c{number}") for number in (2, 3)]

    assert told(tmp_path, crawled(GOOD, 1, 200, "c1") | {"requested_url": asked}, *rows)[:2] == (["deleted"], [asked])


def test_an_error_between_two_answers_of_complete_crawls_is_no_news(tmp_path):
    rows = [
        crawled(GOOD, 1, 200, "c1"),
        crawled(MISSING, 2, 404, "c2"),
        crawled(MISSING, 3, 503, None),
        crawled(MISSING, 4, 404, "c4"),
    ]

    assert told(tmp_path, *rows)[0] == ["deleted"]


def test_a_code_that_another_source_still_has_is_not_deleted(tmp_path):
    gone = [crawled(GOOD, 1, 200, "c1"), crawled(MISSING, 2, 404, "c2"), crawled(MISSING, 3, 404, "c3")]

    statuses, addresses, _ = told(tmp_path, *gone, crawled(OTHER_SOURCE, 1, 200, None))

    assert (statuses, addresses) == (["unknown"], [GOOD.result.url])


def test_an_address_that_led_to_a_missing_page_is_missing(tmp_path):
    led = page(outcome="not_found", url="https://www.codingahead.example/gone", content="Synthetic: no such page")
    stage(tmp_path, [led])
    rows = [crawled(led, number, 404, f"c{number}") | {"requested_url": GOOD.result.url} for number in (2, 3)]

    assert told(tmp_path, crawled(GOOD, 1, 200, "c1"), *rows)[0] == ["deleted"]


def test_the_evidence_is_a_document_of_the_snapshot_and_breaks_no_rule(tmp_path):
    unavailable = page(outcome="blocked", url=GOOD.result.url, content="Synthetic: come back later")
    stage(tmp_path, [GOOD, MISSING, unavailable])
    rows = [
        crawled(GOOD, 1, 200, "c1"),
        crawled(MISSING, 2, 404, "c2"),
        crawled(MISSING, 3, 404, "c3"),
        crawled(unavailable, 4, 503, None),
    ]

    made = assemble(captures(rows), tmp_path, LIVE, TRUST)
    checked = validate(made.tables, made.as_of, TRUST)

    assert checked.stopped == []
    assert checked.tables["codes"]["status"].to_pylist() == ["deleted"]
    (evidence,) = (row for row in made.tables["attributes"].to_pylist() if row["attribute"] == "page_gone")
    assert evidence["document_id"] == GOOD.document_id


def test_several_addresses_are_numbered_by_source_and_code():
    from warehouse.evidence import as_attributes

    names = ("source", "code", "url", "document_id", "noticed_at")
    rows = [("b", "2", "u1"), ("a", "1", "u3"), ("a", "1", "u2"), ("a", "2", "u4")]
    lost = pa.table([pa.array(column) for column in zip(*((*row, "d", day(1)) for row in rows), strict=True)], names)

    told = as_attributes(lost).to_pylist()

    assert [(row["source"], row["code"], row["ordinal"], row["value"]) for row in told] == [
        ("a", "1", 1, "u2"),
        ("a", "1", 2, "u3"),
        ("a", "2", 1, "u4"),
        ("b", "2", 1, "u1"),
    ]
