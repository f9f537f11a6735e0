"""Real Prefect servers on loopback for tests: as `cptflow serve` starts one, and one of one's own over PostgreSQL."""

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from flows import server

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
POSTGRES = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)
PASSWORD = "planted-Synthetic-password"
FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
# So that tests wait less: for runs that are due, and for runs that a killed one left.
QUICK = {"PREFECT_RUNNER_POLL_FREQUENCY": "1", "PREFECT_WORKER_QUERY_SECONDS": "1"}
QUIET = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1", "NO_PROXY": "127.0.0.1"}


def free_port():
    with socket.socket() as probe:
        probe.bind((server.HOST, 0))
        return probe.getsockname()[1]


def wait_for(found, seconds=240.0, every=0.5):
    """What ``found`` gives, once it is true."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if value := found():
            return value
        time.sleep(every)
    raise AssertionError(f"not within {seconds} s")


class Processes:
    """Processes of a test, each with its output in a file; those that are left are ended with all their children."""

    def __init__(self, folder, environment):
        self.folder, self.environment, self.running = folder, environment, []
        folder.mkdir(exist_ok=True)

    def start(self, name, *command, **more):
        with (self.folder / f"{name}.log").open("ab") as stream:
            process = subprocess.Popen(
                [str(word) for word in command],
                stdout=stream,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **self.environment},
                **more,
            )
        self.running.append(process)
        return process

    def said(self, name):
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def end(self):
        for process in reversed(self.running):
            kill_with_children(process)


def kill_with_children(process):
    """SIGKILL, as when the machine's memory runs out, to the process and all that it started."""
    if process.poll() is None:
        for child in [*psutil.Process(process.pid).children(recursive=True), process]:
            child.kill()
    process.wait()


@contextmanager
def postgres():
    """A database server of its own: the address of its database. It refuses to run as root."""
    assert POSTGRES, "no PostgreSQL: `make test-full` installs it (apt-get install postgresql)"
    folder = Path(tempfile.mkdtemp(prefix="cptflow-postgres-"))
    account = {"user": "postgres", "group": "postgres"} if os.getuid() == 0 else {}
    if account:
        user = pwd.getpwnam("postgres")
        os.chown(folder, user.pw_uid, user.pw_gid)
    try:
        (folder / "password").write_text(PASSWORD)
        (folder / "password").chmod(0o644)
        common = {"cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.STDOUT, **account}
        words = ["-D", "data", "-U", "cptflow", "-A", "scram-sha-256", "--pwfile=password", "-E", "UTF8", "--no-sync"]
        subprocess.run([POSTGRES / "initdb", *words], check=True, **common)
        port = free_port()
        running = subprocess.Popen(
            [POSTGRES / "postgres", "-D", "data", "-h", "127.0.0.1", "-p", str(port), "-k", str(folder), "-F"], **common
        )
        try:
            ready = [POSTGRES / "pg_isready", "-h", "127.0.0.1", "-p", str(port)]
            wait_for(lambda: subprocess.run(ready, stdout=subprocess.DEVNULL).returncode == 0, 60, 0.2)
            yield f"postgresql+asyncpg://cptflow:{PASSWORD}@127.0.0.1:{port}/postgres"
        finally:
            running.send_signal(signal.SIGINT)  # "fast": sessions are ended
            running.wait(60)
    finally:
        shutil.rmtree(folder)


class Api:
    """Prefect's API, as far as tests ask it."""

    def __init__(self, port):
        self.http = httpx.Client(base_url=f"http://{server.HOST}:{port}/api", trust_env=False, timeout=120)

    def ask(self, method, path, body=None):
        """SQLite may be locked: as Prefect's own client does, it is asked again where the server says 503."""
        answer = wait_for(lambda: self._unless_busy(method, path, body))
        return answer.json() if answer.content else None

    def _unless_busy(self, method, path, body):
        answer = self.http.request(method, path, json=body)
        return None if answer.status_code == 503 else answer.raise_for_status()

    def post(self, path, **body):
        return self.ask("POST", path, body)

    def get(self, path):
        return self.ask("GET", path)

    def answers(self):
        try:
            return self.http.get("/health").status_code == 200
        except httpx.TransportError:
            return False

    def deployment(self, name):
        found = self.post("/deployments/filter", deployments={"name": {"any_": [name]}})
        return found[0] if found else None

    def trigger(self, deployment, **parameters):
        return self.post(f"/deployments/{deployment['id']}/create_flow_run", parameters=parameters)["id"]

    def run(self, run_id):
        return self.get(f"/flow_runs/{run_id}")

    def runs(self, deployment, *types, **times):
        """Its flow runs, the last one first; the server gives 200 of them, and a hundred may be to come."""
        wanted = {"deployment_id": {"any_": [deployment["id"]]}, **times}
        if types:
            wanted["state"] = {"type": {"any_": types}}
        return self.post("/flow_runs/filter", flow_runs=wanted, sort="EXPECTED_START_TIME_DESC")

    def ended(self, run_id):
        """The state in which a run ended."""
        wait_for(lambda: self.run(run_id)["state"]["type"] in FINAL)
        return self.run(run_id)["state"]

    def artifact(self, key):
        found = self.post("/artifacts/latest/filter", artifacts={"key": {"any_": [key]}})
        return found[0] if found else None

    def events(self, prefix="cptflow."):
        answer = self.post("/events/filter", filter={"event": {"prefix": [prefix]}}, limit=50)
        found = answer["events"]
        while following := answer["next_page"]:
            answer = self.get(following)
            found += answer["events"]
        return found

    def everything(self):
        """All that people with access to the server can read, as one text."""
        paths = ("artifacts", "flow_runs", "task_runs", "logs", "deployments", "variables")
        found = [json.dumps(self.post(f"/{path}/filter")) for path in paths]
        return "\n".join([*found, str(self.events("")), str(self.post("/automations/filter"))])


def process_of(run_id):
    """The process of a flow run, once it is there."""

    def found():
        for process in psutil.process_iter():
            try:
                if process.environ().get("PREFECT__FLOW_RUN_ID") == run_id and "engine" in " ".join(process.cmdline()):
                    return process
            except psutil.Error:
                continue
        return None

    return wait_for(found, every=0.1)
