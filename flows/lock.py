"""One run at a time in a home. The kernel frees the lock when its holder dies, however it dies.

A holder that is stopped for a while keeps it. Only a person can take it away, by removing the lock's file: the next run
then locks a new file, and the first is told before it publishes (`Held.check`).
"""

from __future__ import annotations

import datetime as dt
import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from flows.errors import HomeHeld, LockLost

LOCK = ".lock"
HOLDER = ".lock.json"
_MOMENT = 0.2
"""Seconds. Who only asks whether the home is held (`is_held`) locks it for a part of this."""


@dataclass(frozen=True, slots=True)
class Held:
    """A home that is held. ``file`` tells the lock's file from any other one of its name: its device and inode."""

    home: Path
    run_id: str
    file: tuple[int, int] | None

    def check(self) -> None:
        """Raises LockLost where the lock's file is not the one that was locked."""
        if _file_at(self.home / LOCK) != self.file:
            holder = read_holder(self.home)
            other = holder if holder and holder["run_id"] != self.run_id else None
            raise LockLost(str(self.home), str(self.home / LOCK), other)


@contextmanager
def hold(home: Path, run_id: str) -> Iterator[Held]:
    """Hold the home for a run. Raises HomeHeld where another run holds it."""
    lock = FileLock(home / LOCK)
    try:
        lock.acquire(timeout=_MOMENT, poll_interval=_MOMENT / 10)
    except Timeout:
        raise HomeHeld(str(home), read_holder(home)) from None
    try:
        held = Held(home, run_id, _file_at(home / LOCK))
        _write_holder(home, run_id)
        yield held
    finally:
        _remove_holder(home, run_id)
        lock.release()


def read_holder(home: Path) -> dict[str, object] | None:
    """What the holder wrote: pid, host, run_id, started, command. None where there is nothing to read."""
    try:
        holder = json.loads((home / HOLDER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    known = {"pid", "host", "run_id", "started", "command"}
    return holder if isinstance(holder, dict) and known <= holder.keys() else None


def command_told() -> str:
    """The command of this process, without user, password or signature of the addresses in it."""
    from raw.addresses import without_secrets

    words = [Path(sys.argv[0]).name]
    for word in sys.argv[1:]:
        option, sign, value = word.partition("=") if word.startswith("-") else ("", "", word)  # Ex: --home=s3://bucket
        words.append(option + sign + (without_secrets(value, value) if "://" in value else value))
    return " ".join(words)


def is_held(home: Path) -> bool:
    """Whether a run holds the home right now; nothing is written. Raises OSError where the lock cannot be read."""
    if not (home / LOCK).exists():
        return False
    if sys.platform != "win32":
        return _is_locked(home / LOCK)
    lock = FileLock(home / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


if sys.platform != "win32":
    import fcntl

    def _is_locked(file: Path) -> bool:
        """Asked through a descriptor for reading: the home may be read-only."""
        with file.open("rb") as opened:
            try:
                fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False


def _file_at(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _remove_holder(home: Path, run_id: str) -> None:
    """Not where another run wrote its own name there; and what the disk refuses here hides no error of the run."""
    holder = read_holder(home)
    if holder is None or holder["run_id"] == run_id:
        with suppress(OSError):
            (home / HOLDER).unlink(missing_ok=True)


def _write_holder(home: Path, run_id: str) -> None:
    """Whole or not at all, so that whoever is turned away reads one holder."""
    holder = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "run_id": run_id,
        "started": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "command": command_told(),
    }
    temporary = home / f"{HOLDER}.tmp"
    temporary.write_text(json.dumps(holder), encoding="utf-8")
    temporary.replace(home / HOLDER)
