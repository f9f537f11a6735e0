"""Prefect's part without a server: which errors are tried again, what late runs do, what artifacts and events hold."""

import datetime as dt
import json
import shutil
import subprocess
import sys
import time
import uuid
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from flows import crawl_process, engine
from flows.errors import BatchFailed, BatchTooLong, DiskFailed, HomeHeld, LockLost, UsageError, WorkerDied
from flows.settings import Settings
from tests.flows.pages import folder, page, run_inline, without_validation

ROOT = Path(__file__).parents[2]
UNITS = ROOT / "docs/systemd"
EVIL = "Synthetic [x](javascript:alert(1)) <img src=x>\u202e\n# one"


def state_of(error):
    from prefect.states import Failed

    return Failed(data=error)


def test_law_11_each_error_says_whether_trying_again_can_help():
    from flows.remote.store import StoreFailed

    address = "s3://bucket/home"
    helps = [
        WorkerDied("parse", "batch 1", -9),
        HomeHeld("data", None),
        LockLost("data", "data/.lock", None),
        StoreFailed("Reading", address, OSError("timed out")),
        crawl_process.CrawlFailed("openpayer", 1, "lost\n"),
    ]
    helps_not = [
        UsageError("no such page"),
        BatchFailed("parse", "batch 1", "ValueError", ""),
        BatchTooLong("parse", "batch 1", 5),
        DiskFailed("land", Path("data"), OSError(28, "full"), "nothing"),
        StoreFailed("Reading", address, PermissionError("denied")),
        StoreFailed("Reading", address, FileNotFoundError("bucket")),
        crawl_process.CrawlFailed("openpayer", 2, "bad settings\n"),
    ]
    assert [error.retry_helps for error in helps] == [True] * len(helps)
    assert [error.retry_helps for error in helps_not] == [False] * len(helps_not)


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (WorkerDied("parse", "batch 1", -9), True),
        (HomeHeld("data", None), False),  # the run that holds it does the work
        (BatchFailed("parse", "batch 1", "ValueError", ""), False),
        (ValueError("said nothing of it"), False),
    ],
)
def test_a_task_is_tried_again_only_where_its_error_says_that_it_helps(error, again):
    from flows.prefect_tasks import worth_another

    assert worth_another(None, None, state_of(error)) is again


def test_steps_have_names_tags_time_limits_and_only_batches_further_attempts():
    from flows.prefect_tasks import AGAIN_AFTER, as_task

    step = as_task(lambda: 1, "publish", "publish {x}", "step", seconds=5)
    batch = as_task(lambda: 1, "parse", "batch 1", "batch", again_after=AGAIN_AFTER)
    assert (step.name, step.tags, step.timeout_seconds, step.retries) == ("publish", {"cptflow", "step"}, 5.0, 0)
    assert step.task_run_name() == "publish {x}", "no format string"
    assert (batch.retries, batch.retry_delay_seconds) == (2, [30, 300])
    assert step.persist_result is batch.persist_result is False


def test_a_batch_of_a_pool_that_hangs_is_ended_by_its_time_limit():
    pool = engine.make("processes", 1, seconds=0.2)
    with pytest.raises(BatchTooLong, match=r"parse: not done within 0 s, and ended: 60"):
        list(pool.map("parse", time.sleep, [60]))


def test_the_flows_keep_no_results():
    from flows import schedule

    flows = (schedule.scheduled_run, schedule.crawl_sources, schedule.ingest_pages, schedule.deliver_alerts)
    assert [(flow.name, flow.persist_result) for flow in flows] == [
        (name, False) for name in ("cptflow", "crawl", "ingest", "deliver")
    ]


NOON = dt.datetime(2026, 1, 5, 12, tzinfo=dt.UTC)


def flow_run(state, *, due=NOON, began=None, **more):
    from prefect.client.schemas.objects import StateType

    values = {"id": uuid.uuid4(), "state_type": StateType(state), "expected_start_time": due, "start_time": began}
    return SimpleNamespace(**(values | {"parameters": {"home": "data"}, "auto_scheduled": True} | more))


def test_a_missed_run_is_done_by_one_that_began_after_its_time():
    from flows.prefect_late import done_by

    minute = dt.timedelta(minutes=1)
    missed = flow_run("RUNNING", due=NOON, began=NOON + 9 * minute)
    did = flow_run("COMPLETED", due=NOON - minute, began=NOON + 3 * minute)
    assert done_by(missed, [missed, did], [missed]) is did
    not_so = [
        flow_run("COMPLETED", began=NOON - minute),  # before the time of the missed one: it saw less
        flow_run("FAILED", began=NOON + 3 * minute),
        flow_run("COMPLETED", began=NOON + 3 * minute, parameters={"home": "other"}),
    ]
    assert done_by(missed, not_so, [missed]) is None
    later = flow_run("CANCELLED", due=NOON + 5 * minute)
    assert done_by(missed, [did], [missed, later]) is None, "the later one was cancelled for its sake"


def test_of_missed_runs_that_all_began_exactly_one_goes_on():
    from flows.prefect_late import done_by

    same_moment = NOON + dt.timedelta(minutes=5)
    runs = [flow_run("RUNNING", due=NOON + dt.timedelta(minutes=n), began=same_moment) for n in range(5)]
    assert [done_by(run, runs, runs) for run in runs].count(None) == 1


def test_law_10_page_text_in_a_table_is_one_line_of_text_without_links():
    from flows.prefect_shown import CELL, table

    rows, told = table([item(before=EVIL, after="x" * 999)])
    assert rows[0]["before"] == "Synthetic [x] (javascript:alert(1)) <img src=x> # one"
    assert len(rows[0]["after"]) == CELL
    assert told == "1 changes"


def test_a_long_table_of_changes_is_cut_and_counted():
    from flows.prefect_shown import MOST_ROWS, table

    rows, told = table([item()] * (MOST_ROWS + 9))
    assert len(rows) == MOST_ROWS
    assert told == f"The first {MOST_ROWS} of {MOST_ROWS + 9} changes"


def test_rights_codes_only_leaves_words_of_pages_out_of_the_summary(tmp_path, monkeypatch):
    from flows.prefect_shown import headline, summary

    without_validation(monkeypatch)
    first = {"10000": page("10000", short="Synthetic SECRETA"), "10001": page("10001")}
    second = {**first, "10000": page("10000", short="Synthetic SECRETB")}
    settings = Settings(home=tmp_path / "home", rights="codes-only")
    for day, pages in (("2026-01-01", first), ("2026-01-02", second)):
        report = run_inline(tmp_path / "home", folder(tmp_path / day, pages, day=day), rights="codes-only")
    full = summary(report, Settings(home=tmp_path / "home"))
    told = summary(report, settings) + headline(report, settings)
    assert "SECRETA" in full
    assert "SECRET" not in told
    assert str(report.snapshot_id) in told
    assert "descriptor_changed 2" in told


def test_rights_codes_only_keeps_words_of_errors_from_prefect():
    from flows.prefect_tasks import StepFailed, withheld

    def broken():
        raise ValueError("SECRET words of a page")

    def held():
        raise HomeHeld("data", None)

    seen = []
    with pytest.raises(StepFailed) as told:
        withheld("validate", broken, seen)()
    assert "SECRET" not in f"{told.value!r} {told.value.__context__!r} {told.value.__cause__!r}"
    assert "validate: ValueError" in str(told.value)
    assert str(seen[0]) == "SECRET words of a page", "the run report has them"
    with pytest.raises(HomeHeld):
        withheld("ingest", held)()


def test_an_event_has_the_same_id_each_time_and_a_flat_payload(tmp_path):
    from flows.prefect_events import event_of

    deleted = item(change_type="code_deleted", replaced_by=("10002", "10003"), effective_on=dt.date(2026, 1, 1))
    event, again = event_of(deleted, tmp_path), event_of(deleted, tmp_path)
    assert event.id == again.id
    assert event.event == "cptflow.code.deleted"
    assert event.resource["prefect.resource.id"] == "cptflow.code.10000"
    assert event.payload["replaced_by"] == "10002, 10003"
    assert event.payload["effective_on"] == "2026-01-01"
    assert not any(isinstance(value, dict | list | tuple) for value in event.payload.values())
    assert event_of(item(change_type="history_event_added"), tmp_path).event == "cptflow.history-event.added"
    assert event_of(item(event_id="another"), tmp_path).id != event.id


def test_the_automation_that_serve_registers_is_the_one_of_the_file():
    from prefect.events.schemas.automations import AutomationCore

    from flows.prefect_serving import crashed_runs

    text = yaml.safe_load((ROOT / "docs/automations/crashed-runs.yaml").read_text())
    assert AutomationCore.model_validate(text).model_dump() == crashed_runs().model_dump()


def test_the_documented_automations_are_what_prefect_takes():
    from prefect.events.schemas.automations import AutomationCore

    text = (ROOT / "docs/automations/code-deleted.yaml").read_text().replace("DEPLOYMENT_ID", str(uuid.uuid4()))
    assert AutomationCore.model_validate(yaml.safe_load(text)).actions


def test_a_crawl_is_a_process_of_its_own_and_its_failure_is_told(tmp_path, monkeypatch):
    said = []
    with pytest.raises(crawl_process.CrawlFailed, match="The crawl of openpayer failed") as failed:
        crawl_process.crawl("openpayer", Settings(home=tmp_path / "home"), said.append)
    assert failed.value.exit_code == 2
    assert not failed.value.retry_helps, "the settings do not name it"
    assert "Nothing is fetched from openpayer" in " ".join(said)

    record = {"crawl_id": "1", "complete": True, "finished_at": "x", "asked": 3, "captured": 3, "errors": {"dns": 1}}
    answer = (
        f"import sys; sys.stderr.write('on it\\n'); sys.stderr.flush(); print({json.dumps(record)!r} + ' ' * 200000)"
    )
    monkeypatch.setattr(crawl_process, "COMMAND", answer)
    told = crawl_process.crawl("openpayer", Settings(home=tmp_path / "home"), said.append)
    assert told == "openpayer: complete; 3 addresses asked for, 3 captures, 1 without a good answer"
    assert said[-1] == "on it"


@pytest.mark.full
def test_systemd_takes_the_units(tmp_path):
    """The programs that they start are those of this environment here; everything else is as it stands."""
    analyze = shutil.which("systemd-analyze")
    assert analyze, "no systemd-analyze: `make test-full` installs it (apt-get install systemd)"
    units = sorted(path for path in UNITS.iterdir() if path.suffix in (".service", ".timer"))
    assert len(units) == 7
    for unit in units:
        text = unit.read_text().replace("/opt/cptflow/bin", str(Path(sys.executable).parent))
        (tmp_path / unit.name).write_text(text)
    names = [str(tmp_path / unit.name) for unit in units]
    verified = subprocess.run([analyze, "verify", "--man=no", *names], capture_output=True, text=True)
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")
    for name in (name for name in names if name.endswith(".service")):
        exposed = [analyze, "security", "--offline=true", "--no-pager", "--threshold=25", name]
        assert subprocess.run(exposed, capture_output=True).returncode == 0, f"{name}: hardened"


def item(**more):
    from flows.alerts.message import Item

    values = {
        "event_id": "event-1",
        "event_ids": ("event-1",),
        "change_type": "descriptor_changed",
        "cause": "source",
        "severity": "warning",
        "code": "10000",
        "category": "I",
        "title": None,
        "sources": ("openpayer",),
        "column": "short",
        "what": "descriptor short",
        "before": "Synthetic old",
        "after": "Synthetic new",
        "withheld_text": False,
        "effective_on": None,
        "seen_at": NOON,
        "url": None,
        "document_id": None,
        "replaced_by": (),
        "snapshot_id": "b",
        "parent_snapshot_id": "a",
    }
    return Item(**(values | more))
