"""`cptflow serve`: the real Prefect server, its deployment, its schedule, a run of it, and nothing left behind."""

import ast
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest

from flows import server
from flows.errors import UsageError
from flows.lock import is_held
from tests.flows.pages import SAMPLES, run_inline, tables
from warehouse import snapshots

ROOT = Path(__file__).parents[2]
SECONDS = 180.0


@pytest.fixture
def serving(tmp_path):
    """`cptflow serve` over the samples on a free port: the process, a client of Prefect's API, the home."""
    home = tmp_path / "home"
    with socket.socket() as probe:
        probe.bind((server.HOST, 0))
        port = probe.getsockname()[1]
    command = [Path(sys.executable).with_name("cptflow"), "serve", *SAMPLES, "--home", home, "--port", str(port)]
    output = home.parent / "output"
    with output.open("wb") as stream:
        process = subprocess.Popen(
            [*command, "--cron", "0 6 * * 1", "--timezone", "Europe/Berlin"], stdout=stream, stderr=subprocess.STDOUT
        )
    try:
        with httpx.Client(base_url=f"http://{server.HOST}:{port}/api", trust_env=False, timeout=30) as api:
            wait_for(lambda: "Ctrl-C ends it" in output.read_text() or process.poll() is not None)
            assert process.poll() is None, output.read_text()
            yield process, api, home
    finally:
        for child in [*psutil.Process(process.pid).children(recursive=True), process] if process.poll() is None else []:
            child.kill()
        process.wait()


def wait_for(found, seconds=SECONDS):
    """What ``found`` gives, once it is true."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if value := found():
            return value
        time.sleep(0.5)
    raise AssertionError(f"not within {seconds} s")


def deployments(api):
    return api.post("/deployments/filter", json={}).raise_for_status().json()


def ended(api, run_id):
    state = api.get(f"/flow_runs/{run_id}").raise_for_status().json()["state"]
    return state if state["type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED") else None


def trigger(api, deployment):
    """A run of the deployment, asked for through the API; its final state."""
    run = api.post(f"/deployments/{deployment['id']}/create_flow_run", json={}).raise_for_status().json()
    return wait_for(lambda: ended(api, run["id"]))


@pytest.mark.full
def test_serve_from_its_start_to_its_end(serving, tmp_path):
    process, api, home = serving
    deployment = wait_for(lambda: deployments(api))[0]
    the_deployment_and_its_schedule_are_known(api, deployment, home)
    a_run_publishes_and_leaves_its_summary(api, deployment, home, tmp_path)
    sigterm_ends_the_server_too(process, api, home)


def the_deployment_and_its_schedule_are_known(api, deployment, home):
    assert deployment["name"] == "schedule"
    assert deployment["parameters"]["home"] == str(home)
    assert deployment["parameters"]["inputs"] == [str(sample) for sample in SAMPLES]
    schedule = deployment["schedules"][0]
    assert schedule["active"]
    assert (schedule["schedule"]["cron"], schedule["schedule"]["timezone"]) == ("0 6 * * 1", "Europe/Berlin")
    assert deployment["global_concurrency_limit"]["limit"] == 1
    assert deployment["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
    scheduled = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
    runs = wait_for(lambda: api.post("/flow_runs/filter", json=scheduled).raise_for_status().json())
    assert {run["deployment_id"] for run in runs} == {deployment["id"]}


def a_run_publishes_and_leaves_its_summary(api, deployment, home, tmp_path):
    state = trigger(api, deployment)
    assert state["type"] == "COMPLETED", state["message"]
    current = snapshots.current_id(home)
    assert snapshots.verify(home, current) == []
    run_inline(tmp_path / "direct", *SAMPLES)
    assert tables(home) == tables(tmp_path / "direct"), "law 5: the schedule runs the same pipeline"
    latest = {"artifacts": {"key": {"any_": ["run-summary"]}}}
    artifact = api.post("/artifacts/latest/filter", json=latest).raise_for_status().json()[0]
    assert artifact["type"] == "markdown"
    assert f"published snapshot {current}" in artifact["data"]
    assert "Pages to look at" in artifact["data"]
    assert f"warehouse/docs/quality/{current}.html" in artifact["data"]
    assert len(api.post("/task_runs/filter", json={}).json()) < 15, "never one task a page"


def sigterm_ends_the_server_too(process, api, home):
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert children
    assert not psutil.wait_procs(children, timeout=10)[1]
    assert not is_held(home)
    with pytest.raises(httpx.TransportError):
        api.get("/health")


def test_on_linux_the_server_ends_with_its_killed_parent():
    script = (
        "import subprocess, sys, time\n"
        "from flows import server\n"
        "child = subprocess.Popen(['sleep', '60'], preexec_fn=server.end_with_parent())\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    child = psutil.Process(int(parent.stdout.readline()))
    assert child.is_running()
    parent.kill()
    parent.communicate()

    alive = psutil.wait_procs([child], timeout=10)[1]
    for process in alive:
        process.kill()
    assert bool(alive) == (sys.platform != "linux")


def test_a_port_in_use_is_told_and_a_free_one_is_found():
    with socket.socket() as taken:
        taken.bind((server.HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"Port {port} on 127.0.0.1 is in use"):
            server.choose_port(port)

    assert server.choose_port(port) == port
    assert server.choose_port(None) > 1023


def test_prefects_settings_keep_to_the_home_and_send_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("PREFECT_SERVER_DATABASE_TIMEOUT", "99")
    monkeypatch.setenv("PREFECT_SERVER_ANALYTICS_ENABLED", "true")
    environment = server.environment(tmp_path, 4242)

    assert environment["PREFECT_HOME"] == str(tmp_path / "prefect")
    assert environment["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert environment["DO_NOT_TRACK"] == "1"
    assert environment["PREFECT_SERVER_DATABASE_TIMEOUT"] == "99", "a milder setting of the user's stays"
    assert "127.0.0.1" in environment["NO_PROXY"]


def test_prefect_reads_every_setting_that_is_set(tmp_path):
    """A name that Prefect does not know would be passed over in silence."""
    script = (
        "from prefect.settings import get_current_settings as now\n"
        "s = now()\n"
        "print(s.home, s.api.url, s.server.api.port, s.server.analytics_enabled, s.server.database.timeout,"
        " s.server.database.connection_timeout, s.server.ephemeral.startup_timeout_seconds,"
        " s.server.concurrency.lease_storage.rsplit('.', 1)[1], s.server.ui.show_promotional_content,"
        " s.telemetry.enable_resource_metrics, s.runner.poll_frequency)\n"
    )
    (tmp_path / "prefect").mkdir()
    environment = os.environ | server.environment(tmp_path, 4242)
    answer = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)

    read = "http://127.0.0.1:4242/api 4242 False 60.0 60.0 180 filesystem False False 5"
    assert answer.stdout.split() == [str(tmp_path / "prefect"), *read.split()]


def test_the_deployment_file_names_the_flow():
    module, function = re.search(r"entrypoint: (.+)\.(\w+)", (ROOT / "prefect.yaml").read_text()).groups()
    tree = ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text())

    assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
