"""The pipeline's steps and batches as Prefect tasks: named, tagged, with a time limit, tried again where that can help.

A task is a batch of pages, never a page: each costs milliseconds and kilobytes of Prefect's database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.futures import PrefectFuture, as_completed
from prefect.task_engine import TaskRunTimeoutError
from prefect.task_runners import ThreadPoolTaskRunner

from flows.engine import Engine
from flows.errors import BatchFailed, BatchTooLong, CptflowError, WorkerDied
from flows.terminal import plain
from raw.errors import RawError

P = ParamSpec("P")
T = TypeVar("T")
B = TypeVar("B")

TAG = "cptflow"
STEP_SECONDS = 4 * 3600
"""Far more than a step over all codes of three sources takes (docs/performance.md): what is longer hangs."""
BATCH_SECONDS = 1800
AGAIN_AFTER = (30, 300)
"""Seconds before the second and the third attempt."""

_OF_A_BATCH = (BatchFailed, BatchTooLong, WorkerDied)  # they name its first page; Ex: .../codes/10000-some-words


class StepFailed(CptflowError):
    """A step failed, and the rights of the owner forbid to repeat its words here. ``kind``: the error's type."""

    def __init__(self, step: str, error: BaseException) -> None:
        self.step, self.kind = step, type(error).__name__
        self.retry_helps = retry_helps(error)
        super().__init__(
            f"{step}: {self.kind}. Its words may hold a page's (rights = codes-only), and stand only in the run "
            "report, in the home's folder runs."
        )


def retry_helps(error: BaseException | None) -> bool:
    """Whether ``error`` says that trying again can help (law 11). One that says nothing is not tried again."""
    return bool(getattr(error, "retry_helps", False))


def worth_another(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Asks the error of a failed task, for Prefect. A home that another run holds is not waited for."""
    error = state.result(raise_on_failure=False)
    found = error if isinstance(error, BaseException) else None
    return retry_helps(found) and getattr(found, "exit_status", 1) != 4


def as_task(
    function: Callable[[], T],
    name: str,
    run_name: str,
    *tags: str,
    seconds: float | None = None,
    again_after: Sequence[float] = (),
) -> Task[[], T]:
    """``function`` as a task. A closure, so that Prefect does not walk through tables in search of futures.

    ``again_after``: pauses before further attempts; none where doing it again by itself is not known to be safe.
    """
    made = task(
        name=name,
        task_run_name=lambda: plain(run_name),  # a string would be read as a format string
        tags=[TAG, *tags],
        timeout_seconds=seconds,
        retries=len(again_after),
        retry_delay_seconds=list(again_after) or None,
        retry_condition_fn=worth_another,
        persist_result=False,
        cache_policy=NO_CACHE,
    )
    return made(function)


def withheld(name: str, work: Callable[[], T], seen: list[Exception] | None = None) -> Callable[[], T]:
    """``work``, whose errors Prefect may store and log: those that may hold a page's words become StepFailed.

    The error itself is put into ``seen``.
    """

    def done() -> T:
        try:
            return work()
        except Exception as error:
            if isinstance(error, CptflowError | RawError) and not isinstance(error, _OF_A_BATCH):
                raise  # paths, numbers and names
            if seen is not None:
                seen.append(error)
            failed = StepFailed(name, error)
        raise failed  # out here: an error under way would be logged with it

    return done


@dataclass(frozen=True)
class PrefectEngine:
    """Another engine's steps and batches, each as a Prefect task.

    Batches are tried again by themselves: what is staged twice is staged once. Steps are not: the run that they are
    part of begins anew as a whole, which needs no repair (law 4). ``withhold``: keep words of pages from Prefect; the
    run report has them.
    """

    inner: Engine
    withhold: bool = False

    @property
    def workers(self) -> int:
        return self.inner.workers

    def step(self, name: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        seen: list[Exception] = []
        work = self._held(name, lambda: self.inner.step(name, function, *args, **kwargs), seen)
        with _as_it_was(name, "the step", STEP_SECONDS, seen):
            return as_task(work, name, name, "step", seconds=STEP_SECONDS)()

    def map(self, name: str, function: Callable[[B], T], batches: Sequence[B]) -> Iterator[T]:
        """As many batches under way as the inner engine has workers."""
        seen: list[Exception] = []
        todo = [self._batch(name, function, batch, seen) for batch in batches]
        if self.workers == 1:
            for batch, work in zip(batches, todo, strict=True):
                with _as_it_was(name, str(batch), BATCH_SECONDS, seen):
                    result = work()
                yield result
            return
        runner: ThreadPoolTaskRunner[T] = ThreadPoolTaskRunner(max_workers=self.workers)
        with runner:
            futures: list[PrefectFuture[T]] = [runner.submit(work, {}) for work in todo]
            for future in as_completed(futures):
                with _as_it_was(name, "a batch", BATCH_SECONDS, seen):
                    result = future.result()
                yield result

    def _batch(self, name: str, function: Callable[[B], T], batch: B, seen: list[Exception]) -> Task[[], T]:
        work = self._held(name, lambda: next(self.inner.map(name, function, [batch])), seen)
        # Prefect can end a task of the main thread; of the others the pool keeps the time (flows/engine.py).
        seconds = BATCH_SECONDS if self.workers == 1 else None
        told = str(batch).partition(" (")[0] if self.withhold else str(batch)  # Ex: batch 1 of 3 (200 pages from ...)
        return as_task(work, name, told, "batch", seconds=seconds, again_after=AGAIN_AFTER)

    def _held(self, name: str, work: Callable[[], T], seen: list[Exception]) -> Callable[[], T]:
        return withheld(name, work, seen) if self.withhold else work


@contextmanager
def _as_it_was(name: str, what: str, seconds: float, seen: Sequence[Exception]) -> Iterator[None]:
    """Raise, out of the task, what its work raised."""
    try:
        yield
    except TaskRunTimeoutError:  # an OSError by its base class, and no trouble of the disk's
        raise BatchTooLong(name, what, seconds) from None
    except StepFailed:
        if seen:
            raise seen[-1] from None
        raise
