"""Prefect's own server as a child process, on loopback, with everything that it keeps inside the home."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError

from filelock import FileLock, Timeout

from flows.errors import CptflowError, UsageError

HOST = "127.0.0.1"
USUAL_PORT = 4200
STARTUP_SECONDS = 180
STOP_SECONDS = 20
PR_SET_PDEATHSIG = 1


class ServerFailed(CptflowError):
    """The server did not start, or ended by itself. ``log`` is the file with what it said."""

    def __init__(self, what: str, log: Path) -> None:
        self.log = log
        super().__init__(f"Prefect's server {what}. What it said is in {log}.")


class AlreadyServed(CptflowError):
    """Another ``cptflow serve`` runs the schedule of this home."""

    exit_status = 4

    def __init__(self, home: Path) -> None:
        self.home = home
        super().__init__(
            f"Another `cptflow serve` runs the schedule of {home}: two would both run it, over one database. End that "
            "one first, or name another home; it tells the address of its UI where it was started."
        )


def environment(home: Path, port: int) -> dict[str, str]:
    """Prefect's settings for this home: where the user has set one of the milder ones, it stays."""
    ours = {
        "PREFECT_HOME": str(state_folder(home).resolve()),
        "PREFECT_API_URL": f"http://{HOST}:{port}/api",
        "PREFECT_SERVER_API_HOST": HOST,
        "PREFECT_SERVER_API_PORT": str(port),
        # No telemetry: the server's heartbeat, the client's events, the UI's promotion.
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
        # A proxy for the web is not the way to loopback.
        "NO_PROXY": ",".join(filter(None, [os.environ.get("NO_PROXY"), HOST])),
    }
    milder = {
        # SQLite is locked while another of the server's services writes: wait instead of failing after 5 and 10 s.
        "PREFECT_SERVER_DATABASE_TIMEOUT": "60",
        "PREFECT_SERVER_DATABASE_CONNECTION_TIMEOUT": "60",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": str(STARTUP_SECONDS),
        # Slots of the concurrency limit that are held in memory are never freed once the server has died.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        "PREFECT_RUNNER_POLL_FREQUENCY": "5",
        # A run that is killed together with whoever started it is known by its silence (flows/prefect_serving.py).
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        # Events are in memory until they are written: cptflow waits for that, to know that none is lost.
        "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_FLUSH_INTERVAL": "1",
        # A delivery each quarter of an hour: flow runs go after 90 days, as Prefect keeps them by default, or never.
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
    }
    return ours | {name: os.environ.get(name, value) for name, value in milder.items()}


@contextmanager
def alone(home: Path) -> Iterator[None]:
    """Be the only one who serves this home, as long as the block lasts. Raises AlreadyServed."""
    lock = FileLock(state_folder(home) / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise AlreadyServed(home) from None
    try:
        yield
    finally:
        lock.release()


def choose_port(wanted: int | None) -> int:
    """The wanted port, else Prefect's usual one, else any that is free. Raises UsageError where ``wanted`` is taken."""
    if wanted is not None and not _is_free(wanted):
        raise UsageError(f"Port {wanted} on {HOST} is in use. Give another one with --port, or none to get a free one.")
    if wanted is not None:
        return wanted
    if _is_free(USUAL_PORT):
        return USUAL_PORT
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def start(home: Path, port: int) -> subprocess.Popen[bytes]:
    """Start the server. In a session of its own: Ctrl-C is ours to pass on, after the runs under way have ended."""
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", HOST, "--port", str(port)]
    with log_file(home).open("ab") as stream:
        return subprocess.Popen(
            command,
            env=os.environ | environment(home, port),
            stdout=stream,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=end_with_parent(),
        )


def end_with_parent() -> Callable[[], None] | None:
    """What a child process does first on Linux: have itself ended with us, also where we are killed with SIGKILL."""
    if sys.platform != "linux":
        return None
    prctl, ours = ctypes.CDLL(None).prctl, os.getpid()  # looked up here: between fork and exec little is safe

    def tie() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != ours:  # ended before
            os._exit(1)

    return tie


def wait_until_healthy(process: subprocess.Popen[bytes], home: Path, port: int) -> float:
    """Seconds until the server answered. Raises ServerFailed where it ends, or takes over STARTUP_SECONDS."""
    begun = time.monotonic()
    while time.monotonic() - begun < STARTUP_SECONDS:
        if process.poll() is not None:
            raise ServerFailed(f"ended while it started (exit code {process.returncode})", log_file(home))
        if _answers(port):
            return time.monotonic() - begun
        time.sleep(0.3)
    raise ServerFailed(f"did not answer within {STARTUP_SECONDS} s", log_file(home))


def stop(process: subprocess.Popen[bytes]) -> None:
    """End the server by its process id: asked first, then made to."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def state_folder(home: Path) -> Path:
    """Where Prefect keeps its database and settings; the server needs it to be there."""
    return home / "prefect"


def log_file(home: Path) -> Path:
    return state_folder(home) / "server.log"


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def _answers(port: int) -> bool:
    # No proxy: the environment may name one, and loopback is not behind it.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{HOST}:{port}/api/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False
