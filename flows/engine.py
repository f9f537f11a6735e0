"""The one seam through which the pipeline's work is handed out: in this process, or over a pool of processes.

The Prefect engine (``flows/prefect_tasks.py``) is the third; it wraps the same steps and batches as tasks.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from typing import ParamSpec, Protocol, TypeVar, cast

from flows.errors import BatchFailed, BatchTooLong, WorkerDied

P = ParamSpec("P")
T = TypeVar("T")
B = TypeVar("B")


class Engine(Protocol):
    """How work is done. ``workers`` is how many batches are worked on at once."""

    @property
    def workers(self) -> int: ...

    def step(self, name: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do one step of the pipeline."""

    def map(self, name: str, function: Callable[[B], T], batches: Sequence[B]) -> Iterator[T]:
        """Do ``function`` on every batch; results come in any order."""


@dataclass(frozen=True)
class InProcess:
    """Everything here, one batch after the other."""

    workers: int = 1

    def step(self, name: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return function(*args, **kwargs)

    def map(self, name: str, function: Callable[[B], T], batches: Sequence[B]) -> Iterator[T]:
        return map(function, batches)


@dataclass(frozen=True)
class ProcessPool:
    """Steps here, batches over ``workers`` processes.

    Processes are started by a fork server that has imported ``preload`` once (spawned where there is none), never
    forked from this process, whose threads may hold locks. Each worker has its own pipe: when the system ends one,
    the pipe closes and the batch that it held is known (a ``concurrent.futures`` pool only knows that one is gone).
    The first start costs 1.2 s (the imports), each later worker 0.03 s.
    """

    workers: int
    preload: str = "flows.parsing"
    seconds: float | None = None
    """the most that a batch may take; without it there is no end"""

    def step(self, name: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return function(*args, **kwargs)

    def map(self, name: str, function: Callable[[B], T], batches: Sequence[B]) -> Iterator[T]:
        """Raises WorkerDied where a worker was ended, BatchFailed where the function raised, BatchTooLong where none of
        those under way was done in time; each names the batch.

        OSError comes through as it is: the disk's trouble is not the batch's.
        """
        todo = iter(batches)
        crew = [_start(self.preload, function) for _ in range(min(self.workers, len(batches)))]
        try:
            held: dict[Connection, tuple[BaseProcess, B]] = {}
            for process, pipe in crew:
                _hand_out(pipe, process, todo, held)
            while held:
                if not (done := wait(list(held), self.seconds)):
                    raise BatchTooLong(name, ", ".join(str(batch) for _, batch in held.values()), self.seconds or 0.0)
                for ready in done:
                    pipe = cast(Connection, ready)
                    process, batch = held.pop(pipe)
                    result = _receive(name, process, pipe, batch)
                    _hand_out(pipe, process, todo, held)
                    yield cast(T, result)
        finally:
            for process, pipe in crew:
                pipe.close()
                process.terminate()
            for process, _ in crew:
                process.join()


def make(engine: str, workers: int, seconds: float | None = None) -> Engine:
    """The engine of that name in the settings. ``seconds``: the most that a batch of a pool may take."""
    return ProcessPool(workers, seconds=seconds) if engine == "processes" else InProcess()


def _start(preload: str, function: Callable[[B], T]) -> tuple[BaseProcess, Connection]:
    context: SpawnContext | ForkServerContext = multiprocessing.get_context("spawn")
    if "forkserver" in multiprocessing.get_all_start_methods():
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([preload])
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, function), daemon=True, name="cptflow-worker")
    process.start()
    theirs.close()
    return process, ours


def _hand_out(
    pipe: Connection, process: BaseProcess, todo: Iterator[B], held: dict[Connection, tuple[BaseProcess, B]]
) -> None:
    """The next batch to this worker; a worker that is gone shows when its answer is read."""
    for batch in todo:
        with suppress(OSError):
            pipe.send(batch)
        held[pipe] = (process, batch)
        return


def _receive(name: str, process: BaseProcess, pipe: Connection, batch: object) -> object:
    try:
        ok, answer = pipe.recv()
    except (EOFError, OSError):
        process.join()
        raise WorkerDied(name, str(batch), process.exitcode) from None
    if isinstance(answer, OSError):
        raise answer
    if not ok:
        raise BatchFailed(name, str(batch), *answer)
    return answer


def _work(pipe: Connection, function: Callable[[B], T]) -> None:
    """A worker's life: take a batch, answer, until the pipe closes. Ctrl-C is the parent's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            batch = pipe.recv()
        except EOFError:
            sys.exit()
        try:
            answer = (True, function(batch))
        except OSError as error:
            answer = (False, error)  # type: ignore[assignment]
        except Exception as error:
            answer = (False, (f"{type(error).__name__}: {error}", traceback.format_exc()))  # type: ignore[assignment]
        try:
            pipe.send(answer)
        except OSError:  # the parent is gone
            sys.exit()
