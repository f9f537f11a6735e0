"""Messages to channels, each channel by a process of its own (``flows.alerts.send``), all of them at once.

So one that hangs holds up no other. A process that gives no answer in time is ended; the message at which it was
counts as failed, and another process goes on with the next one.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from flows.alerts.send import Job
from flows.alerts.webhook import Outcome

_START = 60.0
"""Seconds that a process may take until it is ready."""
_MARGIN = 1.0
"""Seconds beyond the channel's timeout, so that a process can say itself that time was up."""
_LONGEST = 600.0
"""Seconds that one message may take in all, in however many requests."""
_SLOW = 3.0
_PATIENCE = 2
"""After so many failures in a row that took long (``_SLOW`` seconds, or the timeout), or ended the process, the rest is
left for later."""
_ENDED = Outcome(False, "the process that sends ended by itself")


@dataclass(frozen=True, slots=True)
class Batch:
    """What one channel is sent, in this order. ``job`` holds its secrets: it is never shown."""

    channel: str
    job: Job


@dataclass(frozen=True, slots=True)
class Sent:
    """One attempt."""

    channel: str
    message_id: str
    outcome: Outcome


def send_all(batches: Sequence[Batch], without: Collection[str] = ()) -> Iterator[Sent]:
    """Each attempt as it ends. ``without``: variables that the processes are not to have.

    Where the caller goes away in between, no further message is begun.
    """
    done: queue.Queue[Sent | None] = queue.Queue()
    environment = {name: value for name, value in os.environ.items() if name not in without}
    stopped = threading.Event()

    def work(batch: Batch) -> None:
        try:
            _send(batch, environment, done.put, stopped)
        finally:
            done.put(None)

    threads = [threading.Thread(target=work, args=(batch,), daemon=True) for batch in batches]
    for thread in threads:
        thread.start()
    try:
        under_way = len(threads)
        while under_way:
            sent = done.get()
            if sent is None:
                under_way -= 1
            else:
                yield sent
    finally:
        stopped.set()


def _send(batch: Batch, environment: dict[str, str], tell: Callable[[Sent], None], stopped: threading.Event) -> None:
    left, slow, timeout = list(batch.job["messages"]), 0, batch.job["timeout"]
    while left and slow < _PATIENCE and not stopped.is_set():
        with _process({**batch.job, "messages": left}, environment) as answer:
            ready = answer(_START)
            while left and slow < _PATIENCE and not stopped.is_set():
                begun = time.monotonic()
                outcome = answer(timeout + _MARGIN) if ready and ready.ok else ready
                took = time.monotonic() - begun
                lost = outcome is None or outcome is _ENDED
                slow = slow + 1 if lost or (outcome and not outcome.ok and took >= min(timeout, _SLOW)) else 0
                tell(Sent(batch.channel, left.pop(0)["message_id"], outcome or _silent(timeout)))
                if lost:
                    break  # another process for the next one


def _silent(timeout: float) -> Outcome:
    return Outcome(False, f"no answer within {timeout:g} s")


@contextmanager
def _process(job: Job, environment: dict[str, str]) -> Iterator[Callable[[float], Outcome | None]]:
    """A process at work. What is yielded waits for how the next message went, so many seconds for each sign of life;
    None where nothing came."""
    command = [sys.executable, "-P", "-m", "flows.alerts.send"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        lines: queue.Queue[Outcome | None] = queue.Queue()
        talk = [
            threading.Thread(target=_read, args=(process.stdout, lines.put), daemon=True),
            threading.Thread(target=_write, args=(process.stdin, job), daemon=True),
        ]
        for thread in talk:
            thread.start()

        def answer(seconds: float) -> Outcome | None:
            last = time.monotonic() + max(seconds, _LONGEST)
            try:
                while (left := last - time.monotonic()) > 0:
                    if (outcome := lines.get(timeout=min(seconds, left))) is not None:
                        return outcome
            except queue.Empty:
                pass
            return None

        try:
            yield answer
        finally:
            process.kill()
            for thread in talk:  # the pipes ended with it
                thread.join()


def _write(target: IO[bytes], job: Job) -> None:
    try:
        with target:
            target.write(json.dumps(job).encode())
    except OSError:  # it has ended, which is seen by its silence
        pass


def _read(source: IO[bytes], tell: Callable[[Outcome | None], None]) -> None:
    """``tell``: an outcome, or None for a sign of life."""
    try:
        for line in source:
            told = json.loads(line) if line.strip() else None
            tell(Outcome(told["ok"], told["error"]) if told else None)
    except ValueError:  # half a line of a process that was ended
        pass
    tell(_ENDED)
