"""Operators' alerts: what is wrong with the pipeline is told once when it begins, and once when it has ended.

The open conditions are in the outbox. Between the two messages there is silence, however many runs find the same; what
ended and begins again is told again. One that a person acknowledged ends without a word.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from flows.alerts import conditions
from flows.alerts.conditions import Look, Seen
from flows.alerts.message import Condition, Message
from flows.alerts.outbox import Outbox, open_outbox
from flows.report import Report
from flows.settings import Settings

RULE = "operators"


@dataclass(frozen=True, slots=True)
class Turn:
    """What a look changes. ``still_open``: all conditions that are open from now on, by name."""

    begun: tuple[Condition, ...]
    ended: tuple[Condition, ...]
    still_open: dict[str, Condition]


def conditions_of_run(report: Report, home: Path, settings: Settings, now: dt.datetime) -> tuple[Message, ...]:
    """What a run that held the home says; returns the message that is new, if there is one.

    To be called when the report tells how the run ended. Raises OutboxError, SnapshotError.
    """
    snapshot_ids = (report.snapshot_id,) if report.snapshot_id else ()

    def look(seen: Seen, outbox: Outbox) -> Look:
        outbox.note_run(report.run_id)
        return conditions.of_run(report, seen)

    return _told(home, settings, now, look, report.run_id, snapshot_ids)


def conditions_of_time(home: Path, settings: Settings, now: dt.datetime) -> tuple[Message, ...]:
    """What time alone brings: sources and a schedule that are overdue, a run that was killed, deliveries given up.

    Returns the message that is new, if there is one. Raises OutboxError.
    """

    def look(seen: Seen, outbox: Outbox) -> Look:
        dead = [delivery.channel for delivery in outbox.deliveries(state="dead")]
        return conditions.of_time(seen, dead, outbox.newest_run())

    return _told(home, settings, now, look)


def turn(still_open: Mapping[str, Condition], look: Look, now: dt.datetime) -> Turn:
    """What begins and what ends: of what a look did not see, nothing does."""
    found = {condition.name: condition for condition in look.found}
    begun = tuple(condition for name, condition in found.items() if name not in still_open)
    over = {name for name in still_open if name in look.well and name not in found}
    ended = tuple(replace(still_open[name], ended_at=now) for name in sorted(over))
    lasting = {name: condition for name, condition in still_open.items() if name not in over}
    return Turn(begun, ended, lasting | {condition.name: condition for condition in begun})


def _told(
    home: Path,
    settings: Settings,
    now: dt.datetime,
    look: Callable[[Seen, Outbox], Look],
    run_id: str | None = None,
    snapshot_ids: tuple[str, ...] = (),
) -> tuple[Message, ...]:
    """Look, and write down what changed together with the message that tells it: both, or neither (law 6)."""
    with open_outbox(home) as outbox, outbox.together():
        before = outbox.conditions()
        changed = turn(before, look(Seen(home, settings, now, frozenset(before), run_id), outbox), now)
        if not changed.begun and not changed.ended:
            return ()
        acked = outbox.acked_conditions()
        told = (*changed.begun, *(condition for condition in changed.ended if condition.name not in acked))
        outbox.set_conditions(changed.still_open)
        if not told:
            return ()
        message = Message(_message_id(told), "operators", RULE, now, None, snapshot_ids, conditions=told)
        return (message,) if outbox.add_message(message, settings.operators.channels) else ()


def _message_id(told: tuple[Condition, ...]) -> str:
    parts = sorted(f"{one.name}|{one.began_at.isoformat()}|{'ends' if one.ended_at else 'begins'}" for one in told)
    return f"msg_{hashlib.sha256('|'.join([RULE, *parts]).encode()).hexdigest()[:32]}"
