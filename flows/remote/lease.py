"""One writer at a time, and which snapshot is current: one object, ``warehouse/current.json``.

    {"snapshot_id": ..., "manifest_sha256": ..., "copied": ..., "writer": {"token": ..., "until": ..., ...} or null}

Whoever wants to write puts itself down as the writer, renews that every few seconds, and moves the pointer in the same
object. Each of these is a compare-and-swap with the etag of its own last write: once another writer has put itself
down, none of them succeeds any more, however long the first one slept and whatever it believes (fencing).
"""

from __future__ import annotations

import datetime as dt
import json
import math
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

from flows.errors import CptflowError, HomeHeld
from flows.lock import command_told
from flows.remote.store import Conflict, Found, Store, StoreFailed, told_of_publication

POINTER = "warehouse/current.json"
SECONDS = 120.0
"""How long a writer that says nothing is believed to be alive."""
_RENEWALS = 4
_TRIES = 3


class LeaseHeld(HomeHeld):
    """Another writer is at work in a home at an address."""

    def __init__(self, home: str, holder: dict[str, Any]) -> None:
        CptflowError.__init__(
            self,
            f"The home {home} is held by run {holder.get('run_id')} (process {holder.get('pid')} on "
            f"{holder.get('host')}, since {holder.get('started')}: {holder.get('command')}). Two runs never share a "
            f"home: wait until it ends. If it is dead, its lease ends {holder.get('seconds')} s after its last sign of "
            "life, and the next run needs no repair.",
        )
        self.home, self.holder = home, holder


class LeaseLost(CptflowError):
    """This writer was silent for longer than its lease, or another one has taken over."""

    exit_status = 4
    retry_helps = True

    def __init__(self, home: str, found: str, published: str | None = None, tried: str | None = None) -> None:
        self.home, self.found, self.published = home, found, published
        kept = told_of_publication(published, tried)
        super().__init__(
            f"The home {home} is no longer held by this run: {found}. {kept}. Run again: what was landed and parsed "
            "is kept."
        )


@dataclass(frozen=True, slots=True)
class Pointer:
    """``copied``: the snapshot whose tables ``warehouse/current/`` holds, all of them."""

    snapshot_id: str | None = None
    manifest_sha256: str | None = None
    copied: str | None = None
    writer: dict[str, Any] | None = None

    def data(self) -> bytes:
        return json.dumps(asdict(self), indent=1).encode() + b"\n"


def read_pointer(store: Store) -> Pointer:
    """Raises StoreFailed."""
    return _pointer(store, store.read(POINTER))


def holder_now(store: Store) -> dict[str, Any] | None:
    """What the writer at work has put down of itself; None where there is none. Raises StoreFailed."""
    found = store.read(POINTER)
    writer = _pointer(store, found).writer
    return None if writer is None or _is_over(writer, found) else writer


class Lease:
    """``pointer``: as this writer last wrote it. ``published``: the snapshot that it let the pointer name; ``tried``:
    one that it may have let it name: the store's answer was lost."""

    def __init__(self, store: Store, run_id: str, seconds: float) -> None:
        self._store, self._seconds, self._token = store, seconds, secrets.token_hex(8)
        self._alone = threading.Lock()
        self._ended, self._lost = threading.Event(), ""
        self._run_id, self._started, self._beats = run_id, _now(), 0
        self.published: str | None = None
        self.tried: str | None = None
        begun = _clock()
        found = store.read(POINTER)
        self.pointer, self._etag = _pointer(store, found), found.etag if found else None
        holder = self.pointer.writer
        if holder and not _is_over(holder, found):
            raise LeaseHeld(str(store.address), holder)
        self._alive_until = begun + seconds
        try:
            self._swap()
        except LeaseLost:  # another one was quicker
            raise LeaseHeld(str(store.address), read_pointer(store).writer or {}) from None

    def check(self) -> None:
        """Raises LeaseLost where this writer must not write any more."""
        if not self._lost and _clock() > self._alive_until:
            self._lost = f"it gave no sign of life for more than {self._seconds:g} s (was this machine asleep?)"
        if self._lost:
            raise self.lost(self._lost)

    def lost(self, found: str) -> LeaseLost:
        return LeaseLost(str(self._store.address), found, self.published, self.tried)

    def publish(self, snapshot_id: str, manifest_sha256: str) -> None:
        """Let the pointer name this snapshot. Raises LeaseLost, StoreFailed."""
        with self._alone:
            try:
                self._swap(snapshot_id=snapshot_id, manifest_sha256=manifest_sha256)
            except StoreFailed:
                self.tried = snapshot_id
                raise
            self.published = snapshot_id

    def copied(self) -> None:
        """Note that ``warehouse/current/`` holds the current snapshot. Raises LeaseLost, StoreFailed."""
        with self._alone:
            self._swap(copied=self.pointer.snapshot_id)

    def renew_until_ended(self) -> None:
        """Renew the lease now and then. What fails is tried again: `check` tells when it took too long."""
        while not self._ended.wait(self._seconds / _RENEWALS):
            with self._alone, suppress(StoreFailed, LeaseLost):
                self._swap()

    def release(self) -> None:
        """Let the next writer in at once. What fails here costs it the rest of the lease, and no more."""
        self._ended.set()
        with self._alone, suppress(StoreFailed, LeaseLost):
            self.check()
            self._write(writer=None)

    def _swap(self, **changes: str | None) -> None:
        """Write the pointer with these changes, and a sign of life."""
        self.check()
        self._beats += 1
        begun = _clock()
        self._write(**changes, writer=self._writer())
        self._alive_until = begun + self._seconds

    def _write(self, **changes: Any) -> None:  # noqa: ANN401 - as `replace` takes them
        for _ in range(_TRIES):
            wanted = replace(self.pointer, **changes)
            try:
                self._etag = self._store.write(POINTER, wanted.data(), self._etag)
            except Conflict:
                self._adopt_own()
            else:
                self._wrote(wanted)
                return
        raise StoreFailed(f"Writing {POINTER}", str(self._store.address), OSError("its answers contradict each other"))

    def _adopt_own(self) -> None:
        """Go on with what is there if it is ours: the answer to an earlier write was lost on its way. What that wrote
        stays."""
        found = self._store.read(POINTER)
        there = _pointer(self._store, found)
        writer = there.writer or {}
        if found is None or writer.get("token") != self._token:
            other = f"run {writer.get('run_id')} on {writer.get('host')} has taken over"
            self._lost = other if writer else "another run has had it meanwhile"
            raise self.lost(self._lost)
        self._etag = found.etag
        self._wrote(there)

    def _wrote(self, pointer: Pointer) -> None:
        self.pointer = pointer
        if self.tried is not None and pointer.snapshot_id == self.tried:
            self.published = self.tried

    def _writer(self) -> dict[str, Any]:
        """``beats``: makes each write another content, and so another etag."""
        return {
            "token": self._token,
            "holder": f"{self._run_id} on {socket.gethostname()}",
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "run_id": self._run_id,
            "started": self._started,
            "command": command_told(),
            "until": _now(self._seconds),
            "seconds": self._seconds,
            "beats": self._beats,
        }


@contextmanager
def leased(store: Store, run_id: str) -> Iterator[Lease]:
    """Hold the home at the store. Raises LeaseHeld, StoreFailed."""
    lease = Lease(store, run_id, SECONDS)
    thread = threading.Thread(target=lease.renew_until_ended, name="lease", daemon=True)
    thread.start()
    try:
        yield lease
    finally:
        lease.release()
        thread.join()


def _is_over(holder: dict[str, Any], found: Found | None) -> bool:
    """Whether the holder gave no sign of life for longer than its lease."""
    seconds = float(holder.get("seconds", SECONDS))
    if found is not None and found.age is not None:
        return found.age > math.ceil(seconds) + 1  # told in whole seconds, each of two cut off
    try:
        return dt.datetime.fromisoformat(holder["until"]) < dt.datetime.now(dt.UTC)
    except (KeyError, ValueError):
        return True


def _pointer(store: Store, found: Found | None) -> Pointer:
    if found is None:
        return Pointer()
    try:
        return Pointer(**json.loads(found.data))
    except (ValueError, TypeError) as error:
        told = ValueError(f"it is not what cptflow writes ({type(error).__name__}); take it back from a backup")
        raise StoreFailed(f"Reading {POINTER}", str(store.address), told) from None


def _clock() -> float:
    """Seconds, which go on while the machine is asleep where the system counts them."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


def _now(later: float = 0.0) -> str:
    return (dt.datetime.now(dt.UTC) + dt.timedelta(seconds=later)).isoformat(timespec="seconds")
