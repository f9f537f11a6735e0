"""What counts: not a source that fared badly, nor a crawl that is not finished; and complete crawls are evidence."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.counting import CrawlLost
from flows.errors import UsageError
from flows.pipeline import new_run_id
from flows.report import report_file
from flows.words import in_words
from parsers import codingahead, registry, source_of
from parsers.source import NotContent
from raw.crawl.records import CrawlRecord, write_crawl
from raw.landing import land
from raw.pages import from_microseconds
from tests.flows.pages import SAMPLES, folder, page, run_inline, tables
from warehouse import snapshots

CODES = [f"{number:05}" for number in range(99201, 99211)]
GATE = "Synthetic site\nCreate a free account to unlock this content\n"


def pages(*, gated: int = 0, short: str = "Synthetic STEP") -> dict[str, str]:
    """A page for each code, the first ones behind a wall."""
    return {code: GATE if place < gated else page(code, short=short) for place, code in enumerate(CODES)}


def shorts(home) -> set[str]:
    return set(snapshots.read_table(home, snapshots.current_id(home), "codes")["short_descriptor"].to_pylist())


def statuses(home) -> dict[str, str]:
    codes = snapshots.read_table(home, snapshots.current_id(home), "codes")
    return dict(zip(codes["code"].to_pylist(), codes["status"].to_pylist(), strict=True))


def crawled(home, place, name: str, found: dict[str, str], *, day: int, complete=True, finished=True, status=200):
    """Land a folder as a crawl of that day would have."""
    crawl_id = f"202601{day:02}T060000Z-{name}"
    begun = datetime(2026, 1, day, 6, tzinfo=UTC)
    captures = folder(place / f"{name}{status}", found, day=f"2026-01-{day:02}", status=status)
    (home / "raw" / "crawls").mkdir(parents=True, exist_ok=True)
    part = len(list((home / "raw" / "captures").glob(f"{crawl_id}.*")) if home.exists() else []) + 1
    land(home, f"{crawl_id}.{part:04}", [str(captures)], source_of)
    end = begun + timedelta(hours=1) if finished else None
    write_crawl(home, CrawlRecord(crawl_id, "codingahead", begun, end, complete=complete))
    return crawl_id


def test_a_suspect_source_keeps_its_rows_says_why_and_can_be_let_pass(tmp_path):
    home = tmp_path / "home"
    run_inline(home, folder(tmp_path / "a", pages(), day="2026-01-01"))
    before = tables(home)

    hollow = run_inline(home, folder(tmp_path / "b", pages(gated=3, short="Synthetic NEW"), day="2026-01-08"))

    assert (hollow.status, hollow.exit_status) == ("nothing_new", 0)
    assert tables(home) == before
    (fared,) = hollow.sources
    assert (fared["source"], fared["captures"], fared["good"], fared["suspect"]) == ("codingahead", 10, 7, True)
    told = in_words(hollow)
    assert "codingahead is suspect: 7 of 10 captures could be read (70%), and its floor is 80%" in told
    assert "run --accept floor:codingahead" in told
    assert run_inline(home).sources == []

    passed = run_inline(home, accept=["floor:codingahead"])

    assert passed.status == "published"
    assert shorts(home) == {"Synthetic STEP", "Synthetic NEW"}
    manifest = snapshots.read_manifest(home, passed.snapshot_id)
    assert [(a["rule"], a["source"]) for a in manifest["accepted"]] == [("floor", "codingahead")]
    assert manifest["held_back"] == []
    assert run_inline(home).status == "nothing_new"


@given(times=st.lists(st.integers(0, 4 * 10**15).map(from_microseconds), min_size=2))
def test_the_ids_of_runs_stand_in_their_order(times):
    """Even two runs of one second: health is judged landing by landing, in the order of their names."""
    ids = [new_run_id(time) for time in sorted(set(times))]

    assert sorted(ids) == ids


def test_the_next_good_run_publishes_and_what_was_held_back_stays_so(tmp_path):
    home = tmp_path / "home"
    run_inline(home, folder(tmp_path / "a", pages(), day="2026-01-01"))
    run_inline(home, folder(tmp_path / "b", pages(gated=3, short="Synthetic OUTAGE"), day="2026-01-08"))
    good = {code: text for code, text in pages(short="Synthetic NEW").items() if code != CODES[-1]}

    report = run_inline(home, folder(tmp_path / "c", good, day="2026-01-15"))

    assert report.status == "published"
    assert shorts(home) == {"Synthetic STEP", "Synthetic NEW"}


def test_a_parser_that_learns_to_read_the_pages_ends_the_suspicion(tmp_path, parser_in_force):
    """The verdict is made anew from what today's parsers read."""
    home, good = tmp_path / "home", codingahead.SOURCE

    def lost(reading):
        if any("Synthetic NEW" in part for block in reading.page.blocks for part in block.parts):
            raise NotContent("layout_changed", "a synthetic parser that does not know this")
        return good.read(reading)

    parser_in_force(replace(good, read=lost))
    run_inline(home, folder(tmp_path / "a", pages(), day="2026-01-01"))
    report = run_inline(home, folder(tmp_path / "b", pages(short="Synthetic NEW"), day="2026-01-08"))
    assert [fared["suspect"] for fared in report.sources] == [True]

    parser_in_force(replace(good, version=good.version + 1))
    again = run_inline(home)

    assert again.status == "published"
    assert shorts(home) == {"Synthetic NEW"}


@pytest.fixture
def parser_in_force(monkeypatch):
    """A function that puts a source in codingahead's place."""
    others = tuple(source for source in registry.BUILT_IN if source.name != "codingahead")

    def put(source):
        monkeypatch.setattr(registry, "BUILT_IN", (source, *others))
        registry.registered.cache_clear()

    yield put
    monkeypatch.undo()
    registry.registered.cache_clear()


@pytest.mark.parametrize("rule", ["floor", "floor:", "floor:nobody", "keys:codes", ""])
def test_an_unknown_rule_cannot_be_let_pass(tmp_path, rule):
    with pytest.raises(UsageError, match="floor:codingahead"):
        run_inline(tmp_path / "home", folder(tmp_path / "a", pages()), accept=[rule])


def test_only_the_latest_landing_is_let_pass(tmp_path):
    home = tmp_path / "home"
    run_inline(home, folder(tmp_path / "a", pages(), day="2026-01-01"))
    run_inline(home, folder(tmp_path / "b", pages(gated=3, short="Synthetic OUTAGE"), day="2026-01-08"))
    run_inline(home, folder(tmp_path / "c", pages(gated=5, short="Synthetic NEW"), day="2026-01-15"))

    run_inline(home, accept=["floor:codingahead"])

    assert shorts(home) == {"Synthetic STEP", "Synthetic NEW"}


def test_what_was_published_stays_when_the_floor_is_raised(tmp_path):
    home = tmp_path / "home"
    low = {"codingahead": {"floor": 0.5}}
    run_inline(home, folder(tmp_path / "a", pages(), day="2026-01-01"), sources=low)
    run_inline(home, folder(tmp_path / "b", pages(gated=3, short="Synthetic NEW"), day="2026-01-08"), sources=low)
    before = tables(home)

    assert run_inline(home).status == "nothing_new"
    assert tables(home) == before


def test_law_7_what_is_let_pass_after_an_upgrade_is_the_doing_of_the_source(tmp_path, parser_in_force):
    """A run landed a good and a suspect source; the good one's pages made it part of the snapshot."""
    home = tmp_path / "home"
    run_inline(home, folder(tmp_path / "a", pages(), day="2026-01-01"))
    both = folder(tmp_path / "b", pages(gated=3, short="Synthetic NEW"), day="2026-01-08")
    shutil.copy(SAMPLES[0] / "openpayer-93000.html", both / "openpayer.html")
    assert run_inline(home, both).status == "published"
    parser_in_force(replace(codingahead.SOURCE, version=codingahead.SOURCE.version + 1))

    report = run_inline(home, accept=["floor:codingahead"])

    changes = snapshots.read_table(home, report.snapshot_id, "changes").to_pylist()
    assert {change["cause"] for change in changes if change["change_type"] == "descriptor_changed"} == {"source"}


def test_a_crawl_whose_record_is_gone_stops_the_run(tmp_path):
    home = tmp_path / "home"
    crawl_id = crawled(home, tmp_path, "aa", pages(), day=1)
    run_inline(home)
    before = tables(home)
    (home / "raw" / "crawls" / f"{crawl_id}.json").unlink()

    with pytest.raises(CrawlLost, match=r"crawls from a backup.*nothing was published"):
        run_inline(home)
    assert tables(home) == before


def test_a_crawl_that_is_looked_at_before_its_end_is_counted_once(tmp_path):
    home = tmp_path / "home"
    crawled(home, tmp_path, "aa", pages(), day=1, finished=False)
    during = run_inline(home)
    write_crawl(home, CrawlRecord("20260101T060000Z-aa", "codingahead", *[datetime(2026, 1, 1, 7, tzinfo=UTC)] * 2))

    assert (during.captures, run_inline(home).captures) == ({}, {"parsed": 10})


def test_law_3_a_crawl_counts_when_it_is_finished(tmp_path):
    home = tmp_path / "home"
    crawled(home, tmp_path, "aa", pages(), day=1, finished=False)

    waiting = run_inline(home)

    assert (waiting.status, waiting.snapshot_id, waiting.waiting) == ("nothing_new", None, {"codingahead": 10})
    assert "The crawl of codingahead is not finished: 10 captures of it will count when it is." in in_words(waiting)

    write_crawl(home, CrawlRecord("20260101T060000Z-aa", "codingahead", *[datetime(2026, 1, 1, 7, tzinfo=UTC)] * 2))
    finished = run_inline(home)

    assert (finished.status, finished.waiting, finished.captures) == ("published", {}, {"parsed": 10})


def test_law_3_404_in_two_complete_crawls_deletes_and_in_suspect_or_incomplete_ones_does_not(tmp_path):
    home = tmp_path / "home"
    kept = {code: text for code, text in pages().items() if code != CODES[0]}
    missing = {CODES[0]: "Synthetic: no such page"}

    def crawl(name: str, day: int, complete=True, found=kept, gone=missing):
        crawled(home, tmp_path, name, found, day=day, complete=complete)
        crawled(home, tmp_path, name, gone, day=day, complete=complete, status=404)
        run_inline(home)
        return statuses(home)[CODES[0]]

    crawled(home, tmp_path, "aa", pages(), day=1)
    run_inline(home)
    assert crawl("bb", 2) == "active"
    assert crawl("cc", 3, complete=False) == "active"
    few = {code: kept[code] for code in CODES[5:]}
    outage = dict.fromkeys(CODES[:5], "Synthetic: no such page")
    assert crawl("dd", 4, found=few, gone=outage) == "active"
    assert crawl("ee", 5) == "deleted"
    changes = snapshots.read_table(home, snapshots.current_id(home), "changes").to_pylist()
    assert [(c["change_type"], c["cause"], c["code"]) for c in changes if c["change_type"] == "code_deleted"] == [
        ("code_deleted", "source", CODES[0])
    ]
    crawled(home, tmp_path, "ff", pages(), day=6)
    run_inline(home)
    assert statuses(home)[CODES[0]] == "active"


def test_the_report_counts_each_capture_in_the_run_that_first_looked_at_it(tmp_path):
    home = tmp_path / "home"
    run_inline(home, folder(tmp_path / "a", pages()))
    crawled(home, tmp_path, "aa", pages(), day=8)

    after_crawl, again = run_inline(home), run_inline(home)

    assert after_crawl.captures == {"parsed": 10}
    assert again.captures == {}
    written = json.loads(report_file(home, after_crawl.run_id).read_text())
    assert [fared["landing"] for fared in written["sources"]] == ["20260108T070000000000Z-20260108T060000Z-aa"]
