"""The pipeline: idempotent, cheap without news, the same whatever the engine, and it tells what it did."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from flows import pipeline
from flows.engine import InProcess, ProcessPool
from flows.errors import UsageError, WorkerDied
from flows.report import report_file, write_json
from flows.settings import Settings
from flows.words import in_words
from parsers import codingahead, recognise, registry, source_of
from parsers.records import Descriptor
from raw.errors import UnusableInput
from raw.landing import land
from tests.flows.pages import SAMPLES, folder, page, run_inline, silent, tables
from warehouse import snapshots

RUN_AGAIN = """
import json, sys
from pathlib import Path
from tests.flows.pages import run_inline
report = run_inline(Path(sys.argv[1]), Path(sys.argv[2]))
print(json.dumps([report.status, report.parsed, sorted(sys.modules)]))
"""


def test_the_same_command_again_parses_and_publishes_nothing(home):
    before = snapshots.current_id(home)

    again = run_inline(home, *SAMPLES)

    assert (again.status, again.exit_status, again.parsed) == ("nothing_new", 0, 0)
    assert again.landed["landed"] == again.landed["revisits"] == 0
    assert snapshots.current_id(home) == before
    written = json.loads(report_file(home, again.run_id).read_text())
    assert (written["status"], written["parsed"], written["snapshot_id"]) == ("nothing_new", 0, before)


def test_law_8_without_news_nothing_slow_is_imported(home):
    command = [sys.executable, "-c", RUN_AGAIN, str(home), str(SAMPLES[0])]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    status, parsed, modules = json.loads(answer.stdout)

    assert (status, parsed) == ("nothing_new", 0)
    assert not {"great_expectations", "prefect"} & set(modules)


def test_a_counter_that_ticks_publishes_nothing_and_is_looked_at_once(tmp_path):
    home = tmp_path / "home"
    first = run_inline(home, folder(tmp_path / "a", {"99213": page("99213", views=3)}))
    second = run_inline(home, folder(tmp_path / "b", {"99213": page("99213", views=2)}, day="2026-01-02"))
    third = run_inline(home)

    assert (first.status, second.status, second.parsed) == ("published", "nothing_new", 1)
    assert second.snapshot_id == first.snapshot_id
    assert "assemble" in [step.step for step in second.steps]
    assert (third.status, [step.step for step in third.steps]) == ("nothing_new", ["alerts"])


def test_law_5_engines_and_batches_give_the_same_bytes(tmp_path):
    homes = [tmp_path / "inline", tmp_path / "processes"]
    run_inline(homes[0], *SAMPLES)
    settings = Settings(home=homes[1], engine="processes", workers=2, batch_pages=3)
    pooled = pipeline.run([str(path) for path in reversed(SAMPLES)], settings, ProcessPool(2), silent)

    assert pooled.status == "published"
    assert len(tables(homes[0])) == 12
    assert tables(homes[0]) == tables(homes[1])


def test_a_broken_rule_stops_publication(home, tmp_path):
    codes = [f"{number:05}" for number in range(10000, 10040)]
    bad = folder(tmp_path / "bad", {code: page(code, added="2199-01-01") for code in codes}, day="2026-02-01")
    before = snapshots.current_id(home)

    stopped = run_inline(home, bad)
    again = run_inline(home, bad)

    assert (stopped.status, stopped.exit_status) == ("stopped", 3)
    assert {stop["table"] for stop in stopped.stopped} == {"history_events"}
    assert stopped.stopped[0]["observed"] == 40 > stopped.stopped[0]["limit"]
    assert snapshots.current_id(home) == before == stopped.snapshot_id
    assert again.exit_status == 3, "what was wrong is wrong until something changes"


def test_a_page_that_cannot_be_read_back_fails_alone_and_is_tried_again(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    land(
        home,
        "20260101T000000Z-0000",
        [str(folder(tmp_path / "pages", {c: page(c) for c in ("99213", "99214")}))],
        source_of,
    )
    warc = next(home.glob("raw/warc/*/*.warc.gz"))
    whole = warc.read_bytes()
    warc.write_bytes(whole[:-40])

    cut = run_inline(home)
    warc.write_bytes(whole)
    mended = run_inline(home)

    assert (cut.status, cut.captures) == ("published", {"parsed": 1, "failed": 1})
    assert "Restore the file" in cut.notes[0].reason
    assert (mended.status, mended.parsed) == ("published", 1)


@pytest.mark.parametrize("days", [(1, 2), (2, 1)], ids=["404 fetched first", "200 fetched first"])
def test_law_5_a_page_that_was_refused_with_the_same_bytes_is_read_when_it_comes_well(tmp_path, days):
    home, pages = tmp_path / "home", {"99213": page("99213")}
    inputs = [
        folder(tmp_path / str(status), pages, day=f"2026-01-0{day}", status=status)
        for status, day in zip((404, 200), days, strict=True)
    ]
    reports = [run_inline(home, place) for place in inputs]

    assert reports[0].captures == {"not_found": 1}
    assert reports[1].captures["parsed"] == 1
    assert [report.parsed for report in reports] == [1, 1], "its status was staged, not its content"
    assert (reports[1].status, reports[1].rows["codes"]) == ("published", 1)
    assert [step.step for step in run_inline(home).steps] == ["alerts"]


def upgrade(monkeypatch, read=None):
    """All parsers in their next version; codingahead's may read otherwise."""
    newer = tuple(replace(source, version=source.version + 1) for source in registry.sources())
    if read:
        newer = tuple(replace(s, read=read) if s.name == "codingahead" else s for s in newer)
    upgraded = registry.Registry(newer, {host: source for source in newer for host in source.hosts})
    for module in (registry, recognise):
        monkeypatch.setattr(module, "registered", lambda: upgraded)
    return {source.name: source.version for source in newer}


def test_a_new_parser_version_reads_again_and_the_same_rows_are_no_news(home, monkeypatch):
    upgrade(monkeypatch)

    report = run_inline(home)

    assert report.parsed > 30
    assert (report.status, report.exit_status) == ("nothing_new", 0)
    assert "compare" in [step.step for step in report.steps], "that they are the same was looked at"


def test_law_7_what_a_new_parser_version_reads_otherwise_is_published_as_its_doing(tmp_path, monkeypatch):
    def read(reading):
        coverage = codingahead.read(reading)
        for claim in reading._claims:
            for record in claim.records:
                if isinstance(record, Descriptor) and record.kind == "short":
                    object.__setattr__(record, "text", "Synthetic READ ANEW")
        return coverage

    home = tmp_path / "home"
    run_inline(home, folder(tmp_path / "pages", {"99213": page("99213")}))
    versions = upgrade(monkeypatch, read)
    report = run_inline(home)
    documents = snapshots.read_table(home, report.snapshot_id, "documents")

    assert (report.status, report.parsed) == ("published", 1)
    assert set(report.changes["by_cause"]) == {"parser"}
    assert documents["parser_version"].to_pylist() == [versions["codingahead"]]
    codes = snapshots.read_table(home, report.snapshot_id, "codes")
    assert codes["short_descriptor"].to_pylist() == ["Synthetic READ ANEW"]


def test_law_4_a_report_is_replaced_whole(tmp_path):
    file = tmp_path / "runs" / "report.json"
    write_json(file, {"status": "first"})
    with file.open() as reader:
        write_json(file, {"status": "second"})
        assert json.load(reader) == {"status": "first"}, "who reads it meanwhile reads one whole report"
    assert json.loads(file.read_text()) == {"status": "second"}
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.full
def test_law_7_another_order_of_trust_is_not_told_as_the_sources_news(home):
    report = run_inline(home, trust=("openpayer", "codingahead"))

    assert "source" not in report.changes.get("by_cause", {})


def test_a_dead_worker_stands_in_the_report(home, tmp_path):
    class Dying(InProcess):
        def map(self, name, function, batches):
            raise WorkerDied(name, str(batches[0]), -9)

    news = folder(tmp_path / "news", {"99999": page("99999")})
    with pytest.raises(WorkerDied):
        pipeline.run([str(news)], Settings(home=home), Dying(), silent)
    report = json.loads(max((home / "runs").glob("2*.json")).read_text())

    assert (report["status"], report["exit_status"], report["error"]["type"]) == ("failed", 1, "WorkerDied")
    assert "batch 1 of 1 (1 pages from" in report["error"]["message"]


def test_a_wrong_input_is_told_before_a_home_is_made(tmp_path):
    with pytest.raises(UnusableInput):
        run_inline(tmp_path / "home", tmp_path / "nowhere")
    with pytest.raises(UsageError, match="no input to land"):
        run_inline(tmp_path / "home")

    assert not (tmp_path / "home").exists()


def test_an_empty_folder_publishes_nothing(tmp_path):
    (tmp_path / "empty").mkdir()
    report = run_inline(tmp_path / "home", tmp_path / "empty")

    assert (report.status, report.exit_status, report.snapshot_id) == ("nothing_new", 0, None)
    assert f"WARNING: there is no page in {tmp_path / 'empty'}." in in_words(report)


def test_the_report_tells_what_it_saw_did_and_cost(published):
    first, second = (json.loads(file.read_text()) for file in sorted((published / "runs").glob("2*.json")))

    assert second["captures"]["partial"] == 2
    assert sum(second["captures"].values()) == second["landed"]["landed"] + second["landed"]["revisits"]
    assert second["parent_snapshot_id"] == first["snapshot_id"]
    assert second["rows"]["codes"] > first["rows"]["codes"]
    assert sum(second["changes"]["by_change_type"].values()) == second["rows"]["changes"]
    assert [step["step"] for step in second["steps"]] == [
        "land",
        "parse",
        "count",
        "freshness",
        "assemble",
        "validate",
        "compare",
        "bands",
        "publish",
        "quality",
        "alerts",
    ]
    assert second["peak_memory_bytes"]["this_process"] > 10_000_000
    assert Path(second["home"]) == published


def test_law_3_a_first_run_that_could_read_nothing_publishes_nothing(tmp_path):
    """Else the first good run would tell every code as a new one."""
    home = tmp_path / "home"
    gated = "Official Description\nCreate a free account to unlock this content\nRegister to view content\n"

    report = run_inline(home, folder(tmp_path / "gated", {"99213": gated}))
    assert report.captures == {"gated": 1}
    assert (report.status, report.exit_status, snapshots.current_id(home)) == ("nothing_new", 0, None)
    assert "WARNING: none of the pages could be read" in in_words(report)

    later = run_inline(home, folder(tmp_path / "good", {"99213": page("99213")}, day="2026-01-02"))
    assert (later.status, later.rows["codes"], later.rows["changes"]) == ("published", 1, 0)
