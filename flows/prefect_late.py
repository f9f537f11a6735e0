"""Late runs become one: what several missed runs of a deployment would do, one does.

After a time without a server or a worker the schedule's missed runs all come at once. The first of them that begins
cancels the others. One that was handed out before that could happen asks, when it begins, whether a run that began
after all that was due has done its work.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.context import FlowRunContext
from prefect.states import Cancelled

_MOST = 200


def collapse() -> FlowRun | None:
    """Called where a scheduled flow run begins. None: it is the one, and the missed ones are cancelled. Else the flow
    run that does, or did, what this one would."""
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if run is None or run.deployment_id is None:
        return None
    now = dt.datetime.now(dt.UTC)
    if run.auto_scheduled and run.expected_start_time:
        others = _read(run, ("COMPLETED", "RUNNING"), start_time={"after_": run.expected_start_time})
        due = _read(run, None, expected_start_time={"after_": run.expected_start_time, "before_": now})
        if other := done_by(run, others, due):
            return other
    missed = _read(run, ("SCHEDULED",), next_scheduled_start_time={"before_": now})
    with get_client(sync_client=True) as client:
        for other in missed:
            if other.id != run.id and other.auto_scheduled and other.parameters == run.parameters:
                began = f"{now:%Y-%m-%d %H:%M} UTC"
                why = f"Missed, with others: flow run {run.name!r}, which began at {began}, does its work."
                client.set_flow_run_state(other.id, Cancelled(message=why))
    return None


def done_by(run: FlowRun, others: Sequence[FlowRun], due: Sequence[FlowRun]) -> FlowRun | None:
    """The one of ``others`` that does the work of ``run``, and of whatever else of the schedule was due by now.

    It has the same parameters, ended well or goes on, and began after the last of ``due``: those may have been
    cancelled for the sake of ``run``. Of two that go on, it is the one that began first.
    """
    times = [scheduled.expected_start_time for scheduled in (run, *due) if scheduled.auto_scheduled]
    last = max((time for time in times if time), default=None)
    for other in others:
        began = other.start_time
        if other.id == run.id or other.parameters != run.parameters or began is None or last is None or began < last:
            continue
        if other.state_type == StateType.COMPLETED:
            return other
        first = (began, str(other.id)) < (run.start_time or dt.datetime.now(dt.UTC), str(run.id))
        if other.state_type == StateType.RUNNING and first:
            return other
    return None


def _read(run: FlowRun, states: Sequence[str] | None, **times: Mapping[str, dt.datetime]) -> list[FlowRun]:
    """Runs of the same deployment, in one of ``states``, and with that time."""
    wanted: dict[str, object] = {"deployment_id": {"any_": [run.deployment_id]}, **times}
    if states:
        wanted["state"] = {"type": {"any_": [*states]}}
    latest = FlowRunSort.EXPECTED_START_TIME_DESC
    with get_client(sync_client=True) as client:
        return client.read_flow_runs(flow_run_filter=FlowRunFilter.model_validate(wanted), sort=latest, limit=_MOST)
