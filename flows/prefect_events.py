"""What was published, as Prefect's events: one for each change that users may be told, and one for each run.

The server confirms an event only by holding it (what is posted lies in its memory first), so that events are sent,
read back, and only then marked as told. The mark is kept by the server, as its variable: what a crash left untold is
told by the next delivery, with the same ids, and the server keeps each id once. A server that hears of a home for the
first time is told what comes from then on, and nothing old.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.events.schemas.events import Event, RelatedResource, Resource
from prefect.variables import Variable

from flows.alerts.message import Item
from flows.alerts.plan import would_tell
from flows.errors import CptflowError
from flows.home import Address, Home, reading
from flows.settings import Settings
from warehouse import snapshots

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://cptflow.invalid/events")
RUNS = ("published", "stopped", "failed")
AT_ONCE = 50
"""Events that are sent, and asked for, in one request; a page of the server's answers holds as many."""
CONFIRM_SECONDS = 60
"""The server writes events down every 5 s; under load it may take longer."""


class EventsNotKept(CptflowError):
    """The server took events and does not hold them. ``missing``: how many."""

    retry_helps = True

    def __init__(self, missing: int, seconds: float) -> None:
        self.missing = missing
        super().__init__(
            f"{missing} events were sent to Prefect's server, which does not hold them after {seconds:.0f} s. They are "
            "sent again, with the same ids, by the next delivery. See the server's log."
        )


@dataclass(frozen=True, slots=True)
class Told:
    """How far a server has been told of a home."""

    snapshot_id: str | None
    run_id: str


def begin(home: Home) -> None:
    """Have the server know of the home before anything is published: what is there is old, what comes is news."""
    if _read_mark(home) is None:
        folder = _folder(home)
        _write_mark(home, Told(_id_of_last(_lineage(folder)), _last_run(folder)))


def tell(settings: Settings) -> int:
    """Send what the server has not been told of the home, in order; returns how many events it was.

    Raises EventsNotKept where it does not come to hold them; what was not confirmed is sent again the next time.
    """
    home = settings.home
    begin(home)
    told, folder = _read_mark(home) or Told(None, ""), _folder(home)
    line, reports = _lineage(folder), [*_reports_after(folder, told.run_id)]
    new = would_tell(folder, line, _first_after(line, told), settings)
    events = [event_of(item, home) for _, items in new for item in items if item.cause == "source"]
    events += [_of_run(home, report) for report in reports if report["status"] in RUNS]
    with get_client(sync_client=True) as client:
        sent = _send(client, events)
    _write_mark(home, Told(_id_of_last(line), max([told.run_id, *(report["run_id"] for report in reports)])))
    return sent


def event_of(item: Item, home: Home) -> Event:
    """A change as an event; the same change gives the same id."""
    kind = item.change_type.replace("_", "-")[::-1].replace("-", ".", 1)[::-1]  # Ex: history-event.added
    payload = {
        "code": item.code,
        "category": item.category,
        "change_type": item.change_type,
        "what": item.what,
        "column": item.column,
        "before": item.before,
        "after": item.after,
        "effective_on": str(item.effective_on or "") or None,
        "seen_at": item.seen_at.isoformat(),
        "sources": ", ".join(item.sources),
        "url": item.url,
        "document_id": item.document_id,
        "replaced_by": ", ".join(item.replaced_by),
        "severity": item.severity,
        "event_id": item.event_id,
        "snapshot_id": item.snapshot_id,
    }
    code = {"prefect.resource.id": f"cptflow.code.{item.code}", "prefect.resource.name": item.code}
    return _event(f"cptflow.{kind}", item.event_id, code, payload, home)


def _first_after(line: Sequence[Mapping[str, Any]], told: Told) -> int:
    """The place of the first snapshot after the one told of. Where that one is not in the line (another home stands
    here now, or a backup), nothing is known to be new."""
    ids = [manifest["snapshot_id"] for manifest in line]
    if told.snapshot_id is None:
        return 0
    return ids.index(told.snapshot_id) + 1 if told.snapshot_id in ids else len(ids)


def _of_run(home: Home, report: dict[str, Any]) -> Event:
    status, run_id = report["status"], report["run_id"]
    payload = {
        "run_id": run_id,
        "status": status,
        "exit_status": report["exit_status"],
        "snapshot_id": report["snapshot_id"],
        "changes": sum(report["changes"].get("by_change_type", {}).values()),
        "stopped_by": ", ".join(stop["rule"] for stop in report["stopped"]),
        "error": (report["error"] or {}).get("type"),
    }
    run = {"prefect.resource.id": f"cptflow.run.{run_id}", "prefect.resource.name": run_id}
    return _event(f"cptflow.run.{status}", run_id, run, payload, home)


def _event(name: str, key: str, resource: dict[str, str], payload: dict[str, Any], home: Home) -> Event:
    return Event(
        id=uuid.uuid5(NAMESPACE, key),
        event=name,
        resource=Resource(resource),
        related=[
            RelatedResource({"prefect.resource.id": f"cptflow.home.{_key(home)}", "prefect.resource.role": "home"})
        ],
        payload={name: value for name, value in payload.items() if value not in (None, "")},
    )


def _send(client: SyncPrefectClient, events: Sequence[Event]) -> int:
    """Send those that the server does not hold, and wait until it does; returns how many it lacked."""
    sent = 0
    for start in range(0, len(events), AT_ONCE):
        some = {event.id: event for event in events[start : start + AT_ONCE]}
        lacking = {*some} - _held(client, some)
        if not lacking:
            continue
        client.request("POST", "/events", json=[some[id].model_dump(mode="json") for id in some if id in lacking])
        sent += len(lacking)
        until = time.monotonic() + CONFIRM_SECONDS
        while missing := lacking - _held(client, lacking):
            if time.monotonic() > until:
                raise EventsNotKept(len(missing), CONFIRM_SECONDS)
            time.sleep(0.5)
    return sent


def _held(client: SyncPrefectClient, ids: Iterable[uuid.UUID]) -> set[uuid.UUID]:
    now = dt.datetime.now(dt.UTC)
    wanted = {
        "id": {"id": [str(id) for id in ids]},
        "occurred": {"since": str(now - dt.timedelta(days=400)), "until": str(now + dt.timedelta(days=1))},
    }
    answer = client.request("POST", "/events/filter", json={"filter": wanted, "limit": AT_ONCE})
    return {uuid.UUID(event["id"]) for event in answer.json()["events"]}


def _key(home: Home) -> str:
    where = home.given if isinstance(home, Address) else str(home.resolve())
    return hashlib.sha256(where.encode()).hexdigest()[:12]


def _variable(home: Home) -> str:
    return f"cptflow_events_{_key(home)}"


def _read_mark(home: Home) -> Told | None:
    match Variable.get(_variable(home)):
        case {"snapshot_id": str() | None as snapshot_id, "run_id": str() as run_id}:
            return Told(snapshot_id, run_id)
    return None


def _write_mark(home: Home, told: Told) -> None:
    value = {"home": str(home), "snapshot_id": told.snapshot_id, "run_id": told.run_id}
    Variable.set(_variable(home), value, overwrite=True)


def _folder(home: Home) -> Path:
    """Where to read the home; of one at an address that holds nothing yet, its empty copy."""
    if not isinstance(home, Address):
        return home
    try:
        return reading(home)
    except CptflowError as error:
        if error.retry_helps:
            raise
        return home.copy


def _id_of_last(line: Sequence[Mapping[str, Any]]) -> str | None:
    return str(line[-1]["snapshot_id"]) if line else None


def _lineage(folder: Path) -> list[dict[str, Any]]:
    return snapshots.lineage(folder) if snapshots.current_id(folder) else []


def _last_run(folder: Path) -> str:
    return max((file.stem for file in _report_files(folder)), default="")


def _report_files(folder: Path) -> Iterable[Path]:
    return (file for file in (folder / "runs").glob("*.json") if not file.name.startswith("."))


def _reports_after(folder: Path, run_id: str) -> Iterable[dict[str, Any]]:
    """Reports of runs, in order; their ids are in the order of the runs."""
    for file in sorted(file for file in _report_files(folder) if file.stem > run_id):
        try:
            report = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(report, dict) and report.get("run_id") == file.stem and report.get("finished_at"):
            yield report
