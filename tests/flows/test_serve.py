"""`cptflow serve` without its server: what it sets, what it refuses. tests/flows/test_prefect_schedule.py starts it."""

import ast
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from flows import server
from flows.errors import UsageError
from flows.server import AlreadyServed

ROOT = Path(__file__).parents[2]


def test_on_linux_the_server_ends_with_its_killed_parent():
    script = (
        "import subprocess, sys, time\n"
        "from flows import server\n"
        "idle = [sys.executable, '-c', 'import time; time.sleep(60)']\n"
        "child = subprocess.Popen(idle, preexec_fn=server.end_with_parent())\n"
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


@pytest.mark.full
def test_prefect_reads_every_setting_that_is_set(tmp_path):
    """A name that Prefect does not know would be passed over in silence."""
    script = (
        "from prefect.settings import get_current_settings as now\n"
        "s = now()\n"
        "print(s.home, s.api.url, s.server.api.port, s.server.analytics_enabled, s.server.database.timeout,"
        " s.server.database.connection_timeout, s.server.ephemeral.startup_timeout_seconds,"
        " s.server.concurrency.lease_storage.rsplit('.', 1)[1], s.server.ui.show_promotional_content,"
        " s.telemetry.enable_resource_metrics, s.runner.poll_frequency, s.flows.heartbeat_frequency,"
        " s.server.services.event_persister.flush_interval, *sorted(s.server.services.db_vacuum.enabled))\n"
    )
    (tmp_path / "prefect").mkdir()
    environment = os.environ | server.environment(tmp_path, 4242)
    answer = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)

    read = "http://127.0.0.1:4242/api 4242 False 60.0 60.0 180 filesystem False False 5 30 1.0 events flow_runs"
    assert answer.stdout.split() == [str(tmp_path / "prefect"), *read.split()]


def test_the_deployment_file_names_the_flows():
    flows = re.findall(r"entrypoint: (.+)\.(\w+)", (ROOT / "prefect.yaml").read_text())
    assert len(flows) == 2
    for module, function in flows:
        tree = ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text())
        assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_a_home_is_served_once(tmp_path):
    server.state_folder(tmp_path).mkdir()
    told = r"Another `cptflow serve` runs the schedule"
    with server.alone(tmp_path), pytest.raises(AlreadyServed, match=told) as refused, server.alone(tmp_path):
        pass
    assert refused.value.exit_status == 4
    with server.alone(tmp_path):
        pass
