"""The schedule on real Prefect servers: `cptflow serve` with its SQLite, and a server and worker of one's own over
PostgreSQL. Each is started once, and once more after everything was killed."""

import datetime as dt
import json
import signal

import psutil
import pytest
import yaml

from flows import server
from flows.alerts.items import items_of
from flows.lock import is_held
from tests.flows.pages import SAMPLES, run_inline, tables
from tests.flows.prefect_servers import (
    BIN,
    PASSWORD,
    QUICK,
    QUIET,
    ROOT,
    Api,
    Processes,
    free_port,
    kill_with_children,
    postgres,
    process_of,
    wait_for,
)
from warehouse import snapshots

# The sixth field is seconds. Nobody waits for a minute to begin.
OFTEN = "* * * * * */15"
MISSED = 5
CRASHED = "cptflow: runs that have gone silent"


class Serve:
    """`cptflow serve`, whose server keeps its SQLite database in the home."""

    name, rights = "schedule", "full"
    notices_at_once = True
    """What died is marked by its runner, or by the next `cptflow serve`; with a server of one's own by its silence."""

    def __init__(self, home, processes):
        self.home, self.processes, self.port = home, processes, free_port()
        self.api = Api(self.port)

    def start(self, cron):
        words = [SAMPLES[1], "--home", self.home, "--port", self.port, "--cron", cron, "--timezone", "Europe/Berlin"]
        log = f"serve-{len(self.processes.running)}"
        self.process = self.processes.start(log, BIN / "cptflow", "serve", *words)
        wait_for(lambda: "Ctrl-C ends it" in self.processes.said(log) or self.process.poll() is not None)
        assert self.process.poll() is None, self.processes.said(log)
        self.said = self.processes.said(log)

    def look_for_silent_runs(self):
        """It did so from its start."""

    def kill(self):
        kill_with_children(self.process)


class Own:
    """A server over PostgreSQL, a work pool with its worker, and the deployments of prefect.yaml."""

    name, rights = "weekly", "codes-only"
    notices_at_once = False

    def __init__(self, home, processes, database):
        self.home, self.processes, self.port = home, processes, free_port()
        self.api = Api(self.port)
        processes.environment |= {
            "PREFECT_HOME": str(processes.folder),
            "PREFECT_API_URL": f"http://{server.HOST}:{self.port}/api",
            "PREFECT_API_DATABASE_CONNECTION_URL": database,
            "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
            "CPTFLOW_RIGHTS": self.rights,
        }

    def start(self, cron):
        prefect, again = BIN / "prefect", bool(self.processes.running)
        self.server = self.processes.start("server", prefect, "server", "start", "--port", self.port)
        wait_for(lambda: self.api.answers() or self.server.poll() is not None)
        assert self.server.poll() is None, self.processes.said("server")
        if not again:
            self._register(cron)
        self.worker = self.processes.start("worker", prefect, "worker", "start", "--pool", "cptflow")

    def _register(self, cron):
        """As prefect.yaml tells, but for the paths of this test and its times."""
        self.api.post("/work_pools/", name="cptflow", type="process")
        deployments = (ROOT / "prefect.yaml").read_text()
        for ours, theirs in (
            ("[raw/samples]", f"[{SAMPLES[1]}]"),
            ("home: data", f"home: {self.home}"),
            ('cron: "0 6 * * 1"', f'cron: "{cron}"'),
            ("engine: processes", "engine: inline"),
        ):
            assert ours in deployments
            deployments = deployments.replace(ours, theirs)
        (self.processes.folder / "prefect.yaml").write_text(deployments)
        self._do("deploy", BIN / "prefect", "--no-prompt", "deploy", "--all")

    def look_for_silent_runs(self):
        """As the file tells, and sooner: runs that last longer than this are over by now."""
        automation = (ROOT / "docs/automations/crashed-runs.yaml").read_text()
        assert "within: 90" in automation
        (self.processes.folder / "crashed-runs.yaml").write_text(automation.replace("within: 90", "within: 40"))
        self._do("automation", BIN / "prefect", "automation", "create", "--from-file", "crashed-runs.yaml")
        assert CRASHED in names_of_automations(self.api)

    def kill(self):
        for process in (self.worker, self.server):
            kill_with_children(process)

    def _do(self, name, *command):
        process = self.processes.start(name, *command, cwd=self.processes.folder)
        assert process.wait(120) == 0, self.processes.said(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def served(request, tmp_path):
    """Prefect over a home that knows the first sample pages; each run lands the second ones."""
    home = tmp_path / "home"
    run_inline(home, SAMPLES[0])
    processes = Processes(tmp_path / "prefect", {**QUICK, **QUIET})
    try:
        if request.param == "sqlite":
            yield Serve(home, processes)
        else:
            with postgres() as database:
                yield Own(home, processes, database)
                processes.end()
    finally:
        processes.end()


@pytest.mark.full
def test_the_schedule_from_its_start_over_kills_to_its_end(served, tmp_path):
    served.start(OFTEN)
    the_deployments_are_known(served)
    by_cron_a_run_publishes(served, tmp_path)
    its_artifacts_are_read_back(served)
    its_events_are_read_back(served)
    served.look_for_silent_runs()
    under_way = a_run_that_stands_still(served)
    a_second_run_is_cancelled(served)
    if served.notices_at_once:
        a_killed_run_is_noticed(served, *under_way)
        under_way = a_run_that_stands_still(served)
    silent = everything_is_killed(served, *under_way)
    served.start(f"{(dt.datetime.now(dt.UTC).minute + 30) % 60} * * * *")
    a_repeated_event_is_kept_once(served)  # while the killed run goes on being silent
    the_killed_run_is_noticed_after_the_restart(served, silent)
    missed_runs_become_one(served)
    nothing_is_told_that_must_not_be(served)
    if served.name == "schedule":
        sigterm_ends_the_server_too(served)


def the_deployments_are_known(served):
    run = wait_for(lambda: served.api.deployment(served.name))
    deliver = wait_for(lambda: served.api.deployment("deliver"))
    properties = run["parameter_openapi_schema"]["properties"]
    assert {*properties} == {"inputs", "crawl", "home", "engine", "workers"}
    assert all(parameter["description"] for parameter in properties.values())
    assert {"enum": ["inline", "processes"], "type": "string"} in properties["engine"]["anyOf"]
    assert run["parameters"]["home"] == deliver["parameters"]["home"] == str(served.home)
    assert run["parameters"]["inputs"] == [str(SAMPLES[1])]
    assert deliver["schedules"][0]["schedule"]["cron"] == "*/15 * * * *"
    for deployment in (run, deliver):
        assert deployment["global_concurrency_limit"]["limit"] == 1
        assert deployment["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
    if served.name == "schedule":
        assert run["schedules"][0]["schedule"]["timezone"] == "Europe/Berlin"
    assert names_of_automations(served.api) == ([CRASHED] if served.name == "schedule" else [])
    automation = (ROOT / "docs/automations/code-deleted.yaml").read_text().replace("DEPLOYMENT_ID", deliver["id"])
    served.api.post("/automations/", **yaml.safe_load(automation))
    pause(served.api, deliver)  # its quarter of an hour may come at any moment


def names_of_automations(api):
    return [automation["name"] for automation in api.post("/automations/filter")]


def by_cron_a_run_publishes(served, tmp_path):
    deployment = served.api.deployment(served.name)
    wait_for(lambda: served.api.runs(deployment, "RUNNING", "COMPLETED", "FAILED", "CRASHED"))
    # The schedule has shown what it does; what follows asks for its runs.
    pause(served.api, deployment)
    if served.name == "schedule":
        for sample in SAMPLES:
            run_inline(tmp_path / "direct", sample)
    wait_for(lambda: not served.api.runs(deployment, "PENDING", "RUNNING"))
    first = served.api.runs(deployment, "COMPLETED", "FAILED", "CRASHED")[-1]
    assert first["auto_scheduled"], "nobody but the schedule asked for it"
    assert first["state"]["type"] == "COMPLETED", first["state"]["message"]
    current = snapshots.current_id(served.home)
    assert current in first["state"]["message"]
    assert snapshots.verify(served.home, current) == []
    if served.name == "schedule":
        assert tables(served.home) == tables(tmp_path / "direct"), "law 5: the schedule runs the same pipeline"
    assert not is_held(served.home)
    tasks = [task for task in served.api.post("/task_runs/filter") if "cptflow" in task["tags"]]
    subflows = served.api.post("/flows/filter", flow_runs={"parent_flow_run_id": {"any_": [first["id"]]}})
    assert {flow["name"] for flow in subflows} == {"ingest", "deliver"}
    assert {"land", "assemble", "validate", "compare", "publish"} <= {task["name"] for task in tasks}
    assert sum("batch" in task["tags"] for task in tasks) == 1, "never one task a page"


def pause(api, deployment):
    for schedule in deployment["schedules"]:
        path = f"/deployments/{deployment['id']}/schedules/{schedule['id']}"
        api.ask("PATCH", path, {"active": False})


def its_artifacts_are_read_back(served):
    api, current = served.api, snapshots.current_id(served.home)
    items = items_of(served.home, current, served.rights)
    table = next(found for found in artifacts(api, "changes"))
    assert [row["code"] for row in json.loads(table["data"])] == [item.code for item in items]
    assert f"{len(items)} changes" in table["description"]
    summaries = "".join(found["data"] for found in artifacts(api, "run-summary"))
    assert current in summaries
    assert f"warehouse/docs/quality/{current}.html" in summaries
    assert ("Pages to look at" in summaries) == (served.rights == "full")
    assert f"quality/{current}.html)" in artifacts(api, "quality-report")[-1]["data"]
    assert api.artifact("pages-parsed")["data"] == 100
    deleted = [item.code for item in items if item.change_type == "code_deleted" and item.cause == "source"]
    alerts = "".join(found["data"] for found in artifacts(api, "alerts"))
    assert deleted
    assert all(code in alerts for code in deleted), "the alert that the run made"


def artifacts(api, key):
    return api.post("/artifacts/filter", artifacts={"key": {"any_": [key]}})


def of_changes(events):
    return [event for event in events if ".run." not in event["event"]]


def its_events_are_read_back(served):
    api, current = served.api, snapshots.current_id(served.home)
    told = [item for item in items_of(served.home, current, served.rights) if item.cause == "source"]
    found = of_changes(api.events("cptflow."))  # the run ended after the server confirmed them
    assert sorted(event["payload"]["event_id"] for event in found) == sorted(item.event_id for item in told)
    assert {event["resource"]["prefect.resource.id"] for event in found} == {f"cptflow.code.{i.code}" for i in told}
    assert {"cptflow.code.added", "cptflow.code.deleted"} <= {event["event"] for event in found}
    assert not any(isinstance(value, dict | list) for event in found for value in event["payload"].values())
    assert len(api.events("cptflow.run.published")) == 1
    # A code was deleted, and the automation on that event runs a deployment.
    deliver = api.deployment("deliver")
    made = wait_for(lambda: [r["id"] for r in api.runs(deliver) if (r["created_by"] or {}).get("type") == "AUTOMATION"])
    assert {api.ended(run_id)["type"] for run_id in made} <= {"COMPLETED", "CANCELLED"}


def a_repeated_event_is_kept_once(served):
    """As after a crash between sending and marking what was sent: the mark is an older one."""
    api, current = served.api, snapshots.current_id(served.home)
    found = of_changes(api.events("cptflow."))
    variable = api.post("/variables/filter", variables={"name": {"like_": "cptflow_events_"}})[0]
    older = {**variable["value"], "snapshot_id": snapshots.lineage(served.home)[0]["snapshot_id"], "run_id": "0"}
    api.ask("PATCH", f"/variables/name/{variable['name']}", {"value": older})
    deliver = api.deployment("deliver")
    pause(api, deliver)  # `cptflow serve` registered it again
    wait_for(lambda: not api.runs(deliver, "PENDING", "RUNNING"))
    state = api.ended(api.trigger(deliver))
    assert state["type"] == "COMPLETED", state["message"]
    again = of_changes(api.events("cptflow."))
    assert sorted(event["id"] for event in again) == sorted(event["id"] for event in found)
    marked = api.post("/variables/filter", variables={"name": {"like_": "cptflow_events_"}})[0]["value"]
    assert marked["snapshot_id"] == current


def a_second_run_is_cancelled(served):
    second = served.api.ended(served.api.trigger(served.api.deployment(served.name)))
    assert second["type"] == "CANCELLED"
    assert "concurrency limit" in second["message"]


def a_killed_run_is_noticed(served, run_id, process):
    process.send_signal(signal.SIGKILL)
    state = served.api.ended(run_id)
    assert state["type"] == "CRASHED", state
    assert not is_held(served.home), "the lock goes with its holder"


def a_run_that_stands_still(served):
    """A run of the deployment that holds the home, and is stopped there: its id and its process."""
    api, deployment = served.api, served.api.deployment(served.name)
    wait_for(lambda: not api.runs(deployment, "PENDING", "RUNNING"))
    run_id = api.trigger(deployment)
    process = process_of(run_id)
    wait_for(lambda: is_held(served.home) or not process.is_running(), every=0.02)
    assert is_held(served.home), served.api.run(run_id)["state"]
    process.send_signal(signal.SIGSTOP)
    assert is_held(served.home), served.api.run(run_id)["state"]
    return run_id, process


def everything_is_killed(served, run_id, process):
    served.kill()
    if process.is_running():
        process.kill()
        psutil.wait_procs([process], timeout=10)
    assert not is_held(served.home), "the lock goes with its holder"
    return run_id


def the_killed_run_is_noticed_after_the_restart(served, run_id):
    state = served.api.ended(run_id)
    assert state["type"] == "CRASHED"
    assert ("No heartbeat" in state["message"]) != served.notices_at_once, state["message"]
    assert len(artifacts(served.api, "changes")) == 1, "what was there before the restart is there"


def missed_runs_become_one(served):
    """Runs whose time has passed, as a schedule leaves them while nobody works on it; here they are seconds apart."""
    api, deployment = served.api, served.api.deployment(served.name)
    pause(api, deployment)
    wait_for(lambda: not api.runs(deployment, "PENDING", "RUNNING"))
    before, now = reports(served.home), dt.datetime.now(dt.UTC).replace(microsecond=0)
    known = {run["id"] for run in api.runs(deployment, expected_start_time={"before_": str(now)})}
    begun = now - dt.timedelta(seconds=3 * MISSED)
    every = f"DTSTART:{begun:%Y%m%dT%H%M%S}Z\nRRULE:FREQ=SECONDLY;INTERVAL=3;COUNT={MISSED}"
    new = [{"schedule": {"rrule": every, "timezone": "UTC"}, "active": True}]
    api.ask("POST", f"/deployments/{deployment['id']}/schedules", new)
    api.post(
        f"/deployments/{deployment['id']}/schedule",
        start_time=str(begun),
        end_time=str(now),
        min_time=0,
        min_runs=MISSED,
        max_runs=MISSED,
    )

    def missed():
        past = api.runs(deployment, expected_start_time={"before_": str(now)})
        return [run for run in past if run["id"] not in known]

    assert len(missed()) == MISSED
    wait_for(lambda: all(run["state"]["type"] in ("COMPLETED", "CANCELLED", "FAILED", "CRASHED") for run in missed()))
    ends = sorted(run["state"]["type"] for run in missed())
    assert ends == ["CANCELLED"] * (MISSED - 1) + ["COMPLETED"]
    why = {run["state"]["message"][:30] for run in missed() if run["state"]["type"] == "CANCELLED"}
    assert why <= {"Missed, with others: flow run ", "Deployment concurrency limit r"[:30]}, why
    assert len(reports(served.home) - before) == 1, "one did the work"


def reports(home):
    return {file.name for file in (home / "runs").glob("2*.json")}


def nothing_is_told_that_must_not_be(served):
    told = served.api.everything()
    written = "".join(file.read_text(errors="replace") for file in served.processes.folder.rglob("*.log"))
    assert PASSWORD not in told
    assert PASSWORD not in written
    current = snapshots.current_id(served.home)
    words = {
        text
        for table in ("descriptors", "narratives")
        for text in snapshots.read_table(served.home, current, table)["text"].to_pylist()
        if text and len(text) > 12
    }
    assert words
    if served.rights == "codes-only":
        assert [text for text in words if text in told or json.dumps(text)[1:-1] in told or text in written] == []
    else:
        assert [text for text in words if json.dumps(text)[1:-1] in told], "otherwise changes have their words"


def sigterm_ends_the_server_too(served):
    children = psutil.Process(served.process.pid).children(recursive=True)
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(60) == 0
    assert children
    assert not psutil.wait_procs(children, timeout=10)[1]
    assert not is_held(served.home)
    assert not served.api.answers()
