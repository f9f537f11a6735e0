"""What ``cptflow serve`` registers with its server and runs until it is ended: deployments, and an automation."""

from __future__ import annotations

import asyncio
import datetime as dt
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import DeploymentFilter, FlowRunFilter
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy, StateType
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments.runner import RunnerDeployment
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.runner import Runner
from prefect.schedules import Cron
from prefect.states import Crashed
from prefect.types.entrypoint import EntrypointType
from pydantic import ValidationError

from flows.errors import UsageError
from flows.home import Address
from flows.schedule import FLOW, deliver_alerts, scheduled_run
from flows.settings import Settings
from raw.addresses import is_address, local_path

SCHEDULE, DELIVER = "schedule", "deliver"
DELIVER_CRON = "*/15 * * * *"
CRASHED = "cptflow: runs that have gone silent"
SILENT_SECONDS = 90
"""Three heartbeats (flows/server.py sets one each 30 s)."""

Deployments = tuple[RunnerDeployment, RunnerDeployment]
"""the run's, then the delivery's"""

_BEAT = "prefect.flow-run.heartbeat"
_ENDS = ("Completed", "Failed", "Cancelled", "Crashed")


def deployments(
    inputs: Sequence[str], crawl: Sequence[str], settings: Settings, cron: str, timezone: str
) -> Deployments:
    """The deployments that ``cptflow serve`` registers. Of each one run at a time; what comes meanwhile is cancelled.

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
    one = ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW)
    home = settings.home.given if isinstance(settings.home, Address) else str(settings.home.resolve())
    run = RunnerDeployment.from_flow(
        scheduled_run,
        name=SCHEDULE,
        schedule=Cron(cron, timezone=timezone),
        parameters={
            "inputs": [name if is_address(name) else str(local_path(name).resolve()) for name in inputs],
            "crawl": [*crawl],
            "home": home,
            "engine": settings.engine,
            "workers": settings.workers,
        },
        description="Crawl, land the inputs, then everything up to the alerts.",
        concurrency_limit=one,
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    deliver = RunnerDeployment.from_flow(
        deliver_alerts,
        name=DELIVER,
        schedule=Cron(DELIVER_CRON, timezone=timezone),
        parameters={"home": home},
        description="Digests, quiet hours, further attempts, events, and the alert that the schedule has not run.",
        concurrency_limit=one,
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    return run, deliver


def crashed_runs() -> AutomationCore:
    """Runs whose heartbeats ended without an end of the run are crashed: killed, or their machine is gone."""
    return AutomationCore(
        name=CRASHED,
        description="A flow run without heartbeats was killed, or its machine is gone: it becomes Crashed.",
        trigger=EventTrigger(
            match={"prefect.resource.id": "prefect.flow-run.*"},
            after={_BEAT},
            expect={_BEAT, *(f"prefect.flow-run.{end}" for end in _ENDS)},
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=dt.timedelta(seconds=SILENT_SECONDS),
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED,
                name="Crashed",
                force=False,
                message=f"No heartbeat for {SILENT_SECONDS} s: the run was killed, or its machine is gone.",
            )
        ],
    )


def register_automation() -> None:
    """Have the server know `crashed_runs`; where one of that name is there already, it stays as it is."""
    with get_client(sync_client=True) as client:
        if not client.read_automations_by_name(CRASHED):
            client.create_automation(crashed_runs())


def end_what_died() -> int:
    """Mark the runs that an earlier ``cptflow serve`` left behind when it was killed; returns how many.

    Called before the runner begins, by whoever holds the lock of the server's folder: nobody else runs these
    deployments, and their slots of the concurrency limit become free.
    """
    live = FlowRunFilter.model_validate({"state": {"type": {"any_": ["PENDING", "RUNNING", "CANCELLING"]}}})
    ours = DeploymentFilter.model_validate({"name": {"any_": [SCHEDULE, DELIVER]}})
    with get_client(sync_client=True) as client:
        left = client.read_flow_runs(flow_run_filter=live, deployment_filter=ours)
        for run in left:
            why = "cptflow serve ended while this run was under way; what it landed and parsed is kept."
            client.set_flow_run_state(run.id, Crashed(message=why), force=True)
    return len(left)


def serve(registered: Deployments, server: subprocess.Popen[bytes], now: bool) -> None:
    """Run what the schedules ask for until SIGINT or SIGTERM; runs under way are ended with it.

    ``now``: the first of the deployments runs once at the start, too.

    Raises ServerFailed where Prefect's server ends by itself.
    """
    asyncio.run(_serve(registered, server, now))


async def _serve(registered: Deployments, server: subprocess.Popen[bytes], now: bool) -> None:
    runner = Runner(name=FLOW, pause_on_shutdown=False)
    ids = [await runner.aadd_deployment(deployment) for deployment in registered]
    if now:
        async with get_client() as client:
            await client.create_flow_run_from_deployment(ids[0])
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
