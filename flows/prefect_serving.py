"""What ``cptflow serve`` registers with its server and runs until it is ended: deployments, and an automation."""

from __future__ import annotations

import asyncio
import datetime as dt
import signal
import subprocess
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import DeploymentFilter, FlowFilter, FlowRunFilter
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy, FlowRun, StateType
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments.runner import RunnerDeployment
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.exceptions import ObjectNotFound
from prefect.runner import Runner
from prefect.schedules import Cron
from prefect.states import Crashed
from prefect.types.entrypoint import EntrypointType
from pydantic import ValidationError

from flows.errors import UsageError
from flows.home import Address
from flows.schedule import FLOW, crawl_sources, deliver_alerts, ingest_pages, scheduled_run
from flows.settings import Settings, load
from raw.addresses import is_address, local_path, without_secrets

SCHEDULE, DELIVER = "schedule", "deliver"
DELIVER_CRON = "*/15 * * * *"
CRASHED = "cptflow: runs that have gone silent"
SILENT_SECONDS = 90
"""Three heartbeats (flows/server.py sets one each 30 s)."""

STOP_SECONDS, WITHOUT_SERVER = 45.0, 15.0
"""Until runs under way have ended; where Prefect's server is gone, too, of which they and the runner cannot know."""

Deployments = tuple[RunnerDeployment, RunnerDeployment]
"""the run's, then the delivery's"""

_LIVE = {"state": {"type": {"any_": ["PENDING", "RUNNING", "CANCELLING"]}}}
_LEFT = "cptflow serve ended while this run was under way; what it landed and parsed is kept."
_BEAT = "prefect.flow-run.heartbeat"
_ENDS = ("Completed", "Failed", "Cancelled", "Crashed")


def deployments(
    inputs: Sequence[str], crawl: Sequence[str], settings: Settings, cron: str, timezone: str
) -> Deployments:
    """The deployments that ``cptflow serve`` registers. Of each one run at a time; what comes meanwhile is cancelled.

    The limit is for good manners only (Prefect can lose count of its slots): the lock of the home is what holds.
    Raises UsageError for what is no cron expression or no time zone, and for addresses that hold credentials: Prefect
    keeps parameters in its database, and shows them.
    """
    try:
        CronSchedule(cron=cron, timezone=timezone)
    except ValidationError as error:
        raise UsageError(
            f'--cron {cron!r} with --timezone {timezone!r}: {error.errors()[0]["msg"]}. Ex: --cron "0 6 * * 1" '
            "--timezone Europe/Berlin, Mondays at six."
        ) from None
    one = ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW)
    home = _home(settings)
    run = RunnerDeployment.from_flow(
        scheduled_run,
        name=SCHEDULE,
        schedule=Cron(cron, timezone=timezone),
        parameters={
            "inputs": [
                _fit_to_be_kept("input", name) if is_address(name) else str(local_path(name).resolve())
                for name in inputs
            ],
            "crawl": [*crawl],
            **home,
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
        parameters=dict(home),
        description="Digests, quiet hours, further attempts, events, and the alert that the schedule has not run.",
        concurrency_limit=one,
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    return run, deliver


def _home(settings: Settings) -> dict[str, str]:
    """The parameter ``home``. None where it is an address of the settings: runs read it there themselves."""
    if not isinstance(settings.home, Address):
        return {"home": str(settings.home.resolve())}  # whatever folder Prefect starts a run in
    if settings.home == load().home:
        return {}
    return {"home": _fit_to_be_kept("home", settings.home.given)}


def _fit_to_be_kept(what: str, address: str) -> str:
    shown = without_secrets(address, address)
    if shown != address:
        raise UsageError(
            f"The {what} {shown} was given with a user, a password or a signature (not shown here). Prefect keeps what "
            "it runs in its database and shows it in its UI, so that `cptflow serve` does not hand them over. Give the "
            "address without them, and them to its driver: in environment variables (AWS_ACCESS_KEY_ID, "
            "FSSPEC_SFTP_PASSWORD, ...) or in a file of ~/.config/fsspec (docs/operating.md)."
            + (" A home may also stand in CPTFLOW_HOME, which Prefect is not told." if what == "home" else "")
        )
    return address


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
    deployments, and their slots of the concurrency limit become free. Their subflows are marked, too.
    """
    live = FlowRunFilter.model_validate(_LIVE)
    ours = DeploymentFilter.model_validate({"name": {"any_": [SCHEDULE, DELIVER]}})
    with get_client(sync_client=True) as client:
        left = client.read_flow_runs(flow_run_filter=live, deployment_filter=ours)
        for run in left:
            client.set_flow_run_state(run.id, Crashed(message=_LEFT), force=True)
        known = {deployment.id for deployment in client.read_deployments(deployment_filter=ours)}
        parts = [*_parts_left(client, known)]
        for part in parts:
            client.set_flow_run_state(part.id, Crashed(message=_LEFT), force=True)
    return len(left) + len(parts)


def _parts_left(client: SyncPrefectClient, deployments: Collection[UUID]) -> Iterator[FlowRun]:
    """Live subflow runs, as far as the run of a deployment that they are part of has ended; others may be anybody's."""
    names = [flow.name for flow in (crawl_sources, ingest_pages, deliver_alerts)]
    live = FlowRunFilter.model_validate(_LIVE | {"parent_task_run_id": {"is_null_": False}})
    for part in client.read_flow_runs(
        flow_run_filter=live, flow_filter=FlowFilter.model_validate({"name": {"any_": names}})
    ):
        with suppress(ObjectNotFound):
            task = client.read_task_run(part.parent_task_run_id) if part.parent_task_run_id else None
            whole = client.read_flow_run(task.flow_run_id) if task and task.flow_run_id else None
            if whole and whole.deployment_id in deployments and whole.state and whole.state.is_final():
                yield part


def serve(registered: Deployments, server: subprocess.Popen[bytes], now: bool) -> None:
    """Run what the schedules ask for until SIGINT or SIGTERM; runs under way are ended with it.

    ``now``: the first of the deployments runs once at the start, too.

    It also returns where Prefect's server ends by itself: with the runs under way, which cannot go on without it.
    """
    asyncio.run(_serve(registered, server, now))


async def _serve(registered: Deployments, server: subprocess.Popen[bytes], now: bool) -> None:
    runner = Runner(name=FLOW, pause_on_shutdown=False)
    serving = asyncio.create_task(_registered_and_run(runner, registered, now))
    while not (runner.started or serving.done()) and server.poll() is None:
        await asyncio.sleep(0.05)
    # Only now: the runner sets a SIGTERM handler of its own, which forgets the runs under way.
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    while not (stop.is_set() or serving.done()) and server.poll() is None:
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), 1)
    await _end(runner, serving, STOP_SECONDS if server.poll() is None else WITHOUT_SERVER)
    if serving.done() and not serving.cancelled() and (error := serving.exception()):
        await asyncio.sleep(1)  # an error of this side, or the first that is seen of a server that ends
        if server.poll() is None:
            raise error


async def _registered_and_run(runner: Runner, registered: Deployments, now: bool) -> None:
    ids = [await runner.aadd_deployment(deployment) for deployment in registered]
    if now:
        async with get_client() as client:
            await client.create_flow_run_from_deployment(ids[0])
    await runner.start()


async def _end(runner: Runner, serving: asyncio.Task[None], seconds: float) -> None:
    """Have the runner end its runs. It tells the server of each, and would try for ever where that is gone: what is
    left after ``seconds`` is killed, by its process id."""

    async def asked() -> None:
        if runner.started:
            await runner.astop()
            await asyncio.wait({serving})

    if serving.done():
        return
    asking = asyncio.create_task(asked())
    await asyncio.wait({asking}, timeout=seconds)
    if serving.done():
        return
    processes = runner._process_manager
    for run in processes.flow_run_ids():
        with suppress(ProcessLookupError):
            if handle := processes.get(run):
                handle.hard_kill()
    for task in (asking, serving):
        task.cancel()
    await asyncio.wait({asking, serving}, timeout=WITHOUT_SERVER)
