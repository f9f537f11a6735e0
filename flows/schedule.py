"""The pipeline as a Prefect flow: the same ``pipeline.run``, its steps and batches wrapped as tasks.

Nothing else imports this module at its top, for Prefect takes two seconds to import. Deployments name the flow
``flows.schedule.scheduled_run``.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from prefect import Task, flow, get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments.runner import RunnerDeployment
from prefect.futures import PrefectFuture, as_completed
from prefect.runner import Runner
from prefect.schedules import Cron
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.types.entrypoint import EntrypointType
from pydantic import ValidationError

from flows import engine as engines
from flows import pipeline, settings, words
from flows.engine import Engine
from flows.errors import CptflowError, UsageError
from flows.home import Address
from flows.progress import lines
from flows.settings import Settings
from flows.terminal import plain
from raw.addresses import is_address, local_path

P = ParamSpec("P")
T = TypeVar("T")
B = TypeVar("B")

FLOW = "cptflow"
DEPLOYMENT = "schedule"
ARTIFACT = "run-summary"


class RunStopped(CptflowError):
    """A run ended without publishing what it should have; the flow run fails with its words."""


@flow(name=FLOW, persist_result=False, description="Land the inputs, then everything up to publication.")
def scheduled_run(
    inputs: list[str], home: str | None = None, engine: str | None = None, workers: int | None = None
) -> str:
    """One run of the pipeline. What is not given comes from the settings. Returns the run's id.

    Raises RunStopped where expectations stopped publication, HomeHeld where another run holds the home.
    """
    chosen = settings.load(home=home, engine=engine, workers=workers)
    wrapped = PrefectEngine(engines.make(chosen.engine, chosen.workers))
    report = pipeline.run(inputs, chosen, wrapped, lines(get_run_logger().info))
    told = words.in_words(report)
    create_markdown_artifact(words.fenced(told), key=ARTIFACT, description=f"cptflow run {report.run_id}")
    if report.exit_status:
        raise RunStopped(told)
    return report.run_id


@dataclass(frozen=True)
class PrefectEngine:
    """Another engine's steps and batches, each as a Prefect task: a batch a task, never a page a task."""

    inner: Engine

    @property
    def workers(self) -> int:
        return self.inner.workers

    def step(self, name: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        # Closures, so that Prefect does not walk through tables in search of futures.
        return _task(name, name, lambda: self.inner.step(name, function, *args, **kwargs))()

    def map(self, name: str, function: Callable[[B], T], batches: Sequence[B]) -> Iterator[T]:
        """As many batches under way as the inner engine has workers."""
        runner: ThreadPoolTaskRunner[T] = ThreadPoolTaskRunner(max_workers=self.inner.workers)
        with runner:
            futures: list[PrefectFuture[T]] = [
                runner.submit(self._batch(name, function, batch), {}) for batch in batches
            ]
            for future in as_completed(futures):
                yield future.result()

    def _batch(self, name: str, function: Callable[[B], T], batch: B) -> Task[[], T]:
        return _task(name, str(batch), lambda: next(self.inner.map(name, function, [batch])))


def serve(deployment: RunnerDeployment, server: subprocess.Popen[bytes]) -> None:
    """Run what the schedule asks for until SIGINT or SIGTERM; runs under way are ended with it.

    Raises ServerFailed where Prefect's server ends by itself.
    """
    asyncio.run(_serve(deployment, server))


def deployment(inputs: Sequence[str], settings: Settings, cron: str, timezone: str) -> RunnerDeployment:
    """The deployment that ``cptflow serve`` registers: one run at a time, one that comes meanwhile is cancelled.

    The limit is for good manners only (Prefect can lose count of its slots): the lock of the home is what holds.
    Raises UsageError for what is no cron expression or no time zone.
    """
    try:
        CronSchedule(cron=cron, timezone=timezone)
    except ValidationError as error:
        raise UsageError(
            f'--cron {cron!r} with --timezone {timezone!r}: {error.errors()[0]["msg"]}. Ex: --cron "0 6 * * 1" '
            "--timezone Europe/Berlin, Mondays at six."
        ) from None
    return RunnerDeployment.from_flow(
        scheduled_run,
        name=DEPLOYMENT,
        schedule=Cron(cron, timezone=timezone),
        parameters={
            "inputs": [name if is_address(name) else str(local_path(name).resolve()) for name in inputs],
            "home": settings.home.given if isinstance(settings.home, Address) else str(settings.home.resolve()),
            "engine": settings.engine,
            "workers": settings.workers,
        },
        concurrency_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW),
        entrypoint_type=EntrypointType.MODULE_PATH,
    )


async def _serve(deployment: RunnerDeployment, server: subprocess.Popen[bytes]) -> None:
    runner = Runner(name=FLOW, pause_on_shutdown=False)
    await runner.aadd_deployment(deployment)
    serving = asyncio.create_task(runner.start())
    while not runner.started and not serving.done():
        await asyncio.sleep(0.05)
    # Only now: the runner sets a SIGTERM handler of its own, which forgets the runs under way.
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    while not (stop.is_set() or serving.done()) and server.poll() is None:
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), 1)
    if not serving.done():
        await runner.astop()
    await serving


def _task(name: str, run_name: str, function: Callable[[], T]) -> Task[[], T]:
    return Task(
        function,
        name=name,
        task_run_name=lambda: plain(run_name),  # a string would be read as a format string
        persist_result=False,
        cache_policy=NO_CACHE,
    )
