"""Prefect's part without a server: which errors are tried again, what late runs do, what artifacts and events hold."""

import asyncio
import datetime as dt
import json
import shutil
import signal
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

pytestmark = pytest.mark.full  # importing Prefect takes seconds, on each core

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


@pytest.mark.parametrize("fails", ["crawl_sources", "deliver_alerts", "ingest_pages"])
def test_whatever_part_of_a_run_fails_the_others_are_done_and_its_state_says_which(fails, monkeypatch, tmp_path):
    from prefect.states import Completed, Failed

    from flows import schedule

    done = []
    for part in ("crawl_sources", "ingest_pages", "deliver_alerts"):
        state = Failed(message=f"{part} failed.") if part == fails else Completed(message=f"{part} went well.")
        work = lambda *_, part=part, state=state, **__: done.append(part) or state
        monkeypatch.setattr(schedule, part, work)
    ended = schedule.scheduled_run.fn(crawl=["openpayer"], home=str(tmp_path))
    assert done == ["crawl_sources", "ingest_pages", "deliver_alerts"]
    assert ended.name == ("Failed" if fails == "ingest_pages" else "With problems")
    assert f"{fails} failed." in ended.message


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


def test_only_missed_runs_that_would_do_the_same_are_cancelled_for_the_first_that_begins(monkeypatch):
    from flows import prefect_late

    cancelled = []

    class Client:
        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def set_flow_run_state(self, run_id, state):
            cancelled.append((run_id, state.message[:20]))

    own = {"deployment_id": uuid.uuid4(), "name": "one"}
    missed = [flow_run("SCHEDULED", **own) for _ in range(4)]
    asked_by_hand = flow_run("SCHEDULED", auto_scheduled=False, **own)
    monkeypatch.setattr(prefect_late, "get_client", lambda **_: Client())
    monkeypatch.setattr(
        prefect_late, "_read", lambda _, states, **__: [*missed, asked_by_hand] if states == ("SCHEDULED",) else []
    )

    def begins(run):
        monkeypatch.setattr(prefect_late.FlowRunContext, "get", lambda: SimpleNamespace(flow_run=run))
        assert prefect_late.collapse() is None

    begins(flow_run("RUNNING", auto_scheduled=False, parameters={"home": "data", "inputs": ["one.html"]}, **own))
    assert cancelled == [], "a custom run does not do the schedule's work"
    begins(flow_run("RUNNING", **own))
    assert cancelled == [(run.id, "Missed, with others:") for run in missed]


@pytest.mark.parametrize(
    ("run_id", "command", "brief"),
    [
        ("alerts-20260105T120000Z", "prefect.engine", True),
        ("expire", "cptflow snapshots expire", True),
        ("20260105T060000Z-0001", "cptflow snapshots restore 20260101T060000Z-0001", True),
        ("20260105T060000Z-0001", "cptflow run pages", False),
        ("crawl of openpayer", "cptflow crawl openpayer", False),
    ],
)
def test_a_run_waits_for_a_home_that_is_held_for_moments_alone(run_id, command, brief, monkeypatch, tmp_path):
    from flows import schedule

    def held(*_):
        raise HomeHeld("data", {"run_id": run_id, "command": command, "pid": 1, "host": "here", "started": "now"})

    slept = []
    monkeypatch.setattr(schedule, "_run", held)
    monkeypatch.setattr(schedule, "get_run_logger", lambda: SimpleNamespace(info=lambda _: None))
    monkeypatch.setattr(schedule.time, "sleep", slept.append)
    ended = schedule.ingest_pages.fn(home=str(tmp_path))
    assert ended.is_cancelled()
    assert command in ended.message
    assert slept == (list(schedule.HELD_AGAIN_AFTER) if brief else [])


def test_a_home_that_is_let_go_of_is_worked_on(monkeypatch, tmp_path):
    from flows import schedule

    holder = {"run_id": "alerts-1", "command": "cptflow alerts deliver", "pid": 1, "host": "here", "started": "now"}
    answers = [HomeHeld("data", holder), SimpleNamespace(exit_status=0)]

    def run(*_):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(schedule, "_run", run)
    monkeypatch.setattr(schedule.time, "sleep", lambda _: None)
    monkeypatch.setattr(schedule.prefect_shown, "show", lambda *_: None)
    monkeypatch.setattr(schedule.prefect_shown, "headline", lambda *_: "Run 1: published.")
    monkeypatch.setattr(
        schedule, "get_run_logger", lambda: SimpleNamespace(info=lambda _: None, warning=lambda _: None)
    )
    assert schedule.ingest_pages.fn(home=str(tmp_path)).is_completed()


class Runner:
    """A runner as Prefect's is where the server is gone: it neither registers nor ends, and has a run under way."""

    def __init__(self, started):
        self.started, self.flow_run = started, subprocess.Popen(["sleep", "60"])
        handle = SimpleNamespace(pid=self.flow_run.pid, hard_kill=self.flow_run.kill)
        self._process_manager = SimpleNamespace(flow_run_ids=lambda: {1}, get=lambda _: handle)

    async def aadd_deployment(self, deployment):
        await asyncio.sleep(0 if self.started else 60)

    async def start(self):
        await asyncio.sleep(60)

    astop = start


@pytest.mark.parametrize("started", [True, False])
def test_where_prefects_server_is_gone_serving_ends_with_the_runs_under_way(started, monkeypatch):
    from flows import prefect_serving

    runner = Runner(started)
    monkeypatch.setattr(prefect_serving, "Runner", lambda **_: runner)
    monkeypatch.setattr(prefect_serving, "WITHOUT_SERVER", 0.05)
    begun, gone = time.monotonic(), subprocess.Popen(["true"])
    gone.wait()
    prefect_serving.serve((None, None), gone, now=False)
    assert time.monotonic() - begun < 30
    assert runner.flow_run.wait(10) == -signal.SIGKILL


def test_what_died_is_marked_with_its_subflows_and_nobody_elses(monkeypatch):
    from prefect.states import Crashed, Running

    from flows import prefect_serving

    ours, theirs = SimpleNamespace(id=uuid.uuid4()), uuid.uuid4()

    def whole(deployment_id, state):
        return SimpleNamespace(id=uuid.uuid4(), deployment_id=deployment_id, state=state, parent_task_run_id=None)

    dead, of_others, lives = whole(ours.id, Running()), whole(theirs, Crashed()), whole(ours.id, Running())
    parts = [SimpleNamespace(id=uuid.uuid4(), parent_task_run_id=uuid.uuid4()) for _ in range(3)]
    parents = dict(zip((part.parent_task_run_id for part in parts), (dead, of_others, lives), strict=True))
    marked = []

    class Client:
        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def read_deployments(self, **_):
            return [ours]

        def read_flow_runs(self, *, flow_run_filter, flow_filter=None, deployment_filter=None):
            if deployment_filter:
                return [dead]
            assert flow_filter.name.any_ == ["crawl", "ingest", "deliver"]
            assert flow_run_filter.parent_task_run_id.is_null_ is False
            return parts

        def read_task_run(self, task_run_id):
            return SimpleNamespace(flow_run_id=parents[task_run_id].id)

        def read_flow_run(self, flow_run_id):
            return next(run for run in parents.values() if run.id == flow_run_id)

        def set_flow_run_state(self, run_id, state, force):
            marked.append(run_id)
            if run_id == dead.id:
                dead.state = state

    monkeypatch.setattr(prefect_serving, "get_client", lambda **_: Client())
    assert prefect_serving.end_what_died() == 2
    assert marked == [dead.id, parts[0].id]


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


def shown_of(monkeypatch, fail=()):
    """What is made of each artifact, by key; those of ``fail`` are refused, as by a server that is gone."""
    from flows import prefect_shown

    made = {}

    def make(text, key, **more):
        if key in fail:
            raise ConnectionError("Synthetic: the server is gone")
        made[key] = text
        return str(uuid.uuid4())

    for kind in ("markdown", "table", "link", "progress"):
        monkeypatch.setattr(prefect_shown, f"create_{kind}_artifact", make)
    monkeypatch.setattr(prefect_shown, "update_progress_artifact", lambda *_, **__: None)
    monkeypatch.setattr(prefect_shown.Artifact, "get", lambda key: None)
    return made


def two_runs(tmp_path, monkeypatch):
    without_validation(monkeypatch)
    for day, short in (("2026-01-01", "Synthetic old"), ("2026-01-02", "Synthetic new")):
        pages = {"10000": page("10000", short=short), "10001": page("10001")}
        report = run_inline(tmp_path / "home", folder(tmp_path / day, pages, day=day))
    return report


def test_a_damaged_outbox_takes_nothing_but_the_alerts_from_what_a_run_shows(tmp_path, monkeypatch):
    from flows.prefect_shown import show

    report, warned = two_runs(tmp_path, monkeypatch), []
    (tmp_path / "home/alerts/outbox.sqlite").write_bytes(b"Synthetic garbage " * 100)
    made = shown_of(monkeypatch)
    show(report, Settings(home=tmp_path / "home"), warned.append)
    assert {*made} >= {"run-summary", "changes"}
    assert "alerts" not in made
    assert [text.partition(":")[0] for text in warned] == ["The alerts cannot be shown in Prefect, and the run goes on"]
    assert "outbox.sqlite" in warned[0]


def test_an_artifact_that_cannot_be_made_fails_no_run_and_takes_no_other_with_it(tmp_path, monkeypatch):
    from flows.prefect_shown import ALERTS, CHANGES, PAGES, SUMMARY, pages_done, show

    report, warned = two_runs(tmp_path, monkeypatch), []
    for fails in (SUMMARY, CHANGES, ALERTS):
        made = shown_of(monkeypatch, fail=[fails])
        show(report, Settings(home=tmp_path / "home"), warned.append)
        assert {SUMMARY, CHANGES, ALERTS} - {*made} == {fails}
    assert len(warned) == 3
    assert all("ConnectionError" in text and "Synthetic" not in text for text in warned), "words may be a page's"

    shown_of(monkeypatch, fail=[PAGES])
    heard, refused = [], []
    progress = pages_done(lambda *step: heard.append(step), refused.append)
    for done in range(3):
        progress("parse", done, 2)
    assert len(heard) == 3
    assert len(refused) == 1, "told once"


def test_looking_for_alerts_begins_no_outbox(tmp_path, monkeypatch):
    from flows.prefect_shown import show_alerts

    made, warned = shown_of(monkeypatch), []
    show_alerts(Settings(home=tmp_path / "home"), NOON, "a run", warned.append)
    assert made == {}
    assert warned == []
    assert not (tmp_path / "home").exists()


TOKEN = "SyntheticPlantedToken123"
SECRET_ADDRESSES = (
    f"s3://KEYID:{TOKEN}@bucket/home",
    f"https://user:{TOKEN}@h.example/pages.jsonl",
    f"https://h.example/pages.jsonl?sig={TOKEN}",
    f"simplecache::ftp://user:{TOKEN}@h.example/pages.jsonl",
)


@pytest.mark.parametrize("address", SECRET_ADDRESSES)
def test_credentials_in_an_address_are_not_handed_to_prefect(address, tmp_path):
    from flows.prefect_serving import deployments

    away = Settings(home="s3://bucket/home", cache=tmp_path / "cache")
    with pytest.raises(UsageError, match="Prefect keeps what") as refused:
        deployments([address], [], away, "0 6 * * 1", "UTC")
    assert TOKEN not in f"{refused.value!r} {vars(refused.value)}"
    assert "bucket/home" in str(refused.value) or "h.example/pages.jsonl" in str(refused.value)
    with pytest.raises(UsageError, match="CPTFLOW_HOME") as refused:
        deployments([], [], Settings(home=address, cache=tmp_path / "cache"), "0 6 * * 1", "UTC")
    assert TOKEN not in f"{refused.value!r} {vars(refused.value)}"


def test_an_address_of_the_settings_is_read_by_runs_and_no_parameter(tmp_path, monkeypatch):
    from flows import settings
    from flows.prefect_serving import deployments

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CPTFLOW_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CPTFLOW_HOME", SECRET_ADDRESSES[0])
    known = deployments(["s3://bucket/pages"], [], settings.load(), "0 6 * * 1", "UTC")
    assert TOKEN not in "".join(deployment.model_dump_json() for deployment in known)
    assert ["home" in deployment.parameters for deployment in known] == [False, False]
    assert known[0].parameters["inputs"] == ["s3://bucket/pages"]

    other = deployments([], [], settings.load(home="s3://bucket/other"), "0 6 * * 1", "UTC")
    assert [deployment.parameters["home"] for deployment in other] == ["s3://bucket/other"] * 2
    local = deployments(["pages"], [], settings.load(home="here"), "0 6 * * 1", "UTC")
    assert [deployment.parameters["home"] for deployment in local] == [str(tmp_path / "here")] * 2
    assert local[0].parameters["inputs"] == [str(tmp_path / "pages")]


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


def test_rights_codes_only_keeps_the_first_address_of_a_batch_from_prefect():
    from flows.prefect_tasks import StepFailed, withheld

    batch = "batch 1 of 2 (200 pages from https://example.com/10000-SECRET-words on)"
    for error in (WorkerDied("parse", batch, -9), BatchTooLong("parse", batch, 5), BatchFailed("parse", batch, "", "")):

        def broken(error=error):
            raise error

        with pytest.raises(StepFailed) as told:
            withheld("parse", broken)()
        assert "SECRET" not in f"{told.value!r} {told.value.__context__!r}"
        assert told.value.retry_helps == error.retry_helps


def test_rights_codes_only_counts_for_messages_that_were_made_before_it_was_set(tmp_path, monkeypatch):
    from flows.prefect_shown import show_alerts

    two_runs(tmp_path, monkeypatch)
    shown, since = {}, dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    for rights in ("full", "codes-only"):
        made = shown_of(monkeypatch)
        show_alerts(Settings(home=tmp_path / "home", rights=rights), since, "a run", lambda _: None)
        shown[rights] = made["alerts"]
    assert "Synthetic new" in shown["full"]
    assert "10000" in shown["codes-only"]
    assert "Synthetic" not in shown["codes-only"]


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
