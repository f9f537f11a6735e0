"""Alerts in a run: the outbox is begun before anything can be published, and filled when the run's work has ended.

What goes wrong in here undoes nothing of the run: it is told in the run's report, and the next run plans again.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from flows.alerts.errors import NotPlanned
from flows.alerts.message import Message
from flows.alerts.outbox import Outbox, open_outbox
from flows.report import Report
from flows.settings import Settings

PATIENCE = 3.0
"""Seconds to wait for another process that writes: the home is held meanwhile."""
SHOWN = 20
"""Messages of a rule that the report names; the others are counted."""


def begin(home: Path, report: Report) -> None:
    """Have an outbox: what is published from now on is news to it. Where there is none, the manifest will say so."""
    try:
        _have(home)
    except Exception as error:
        report.alerts_problem = _words(error)


def fill(home: Path, report: Report, settings: Settings) -> None:
    """Plan what the home's snapshots bring, and what the run says of the pipeline; the report tells what was made.

    After a failure nothing is planned: of a home at an address, the snapshot may never get there. Raises nothing.
    """
    report.alerts_problem = None  # what could not be begun is tried once more
    try:
        _fill(home, report, settings)
    except Exception as error:
        report.alerts_problem = _words(error)


def _fill(home: Path, report: Report, settings: Settings) -> None:
    from flows.alerts.operators import conditions_of_run
    from flows.alerts.plan import plan

    _have(home)
    now = dt.datetime.now(dt.UTC)
    made: list[Message] = []
    try:
        if report.status != "failed":
            made += plan(home, settings, now)
    except NotPlanned as error:  # which operators hear of, as of the run itself
        made += error.made
        report.alerts_problem = _words(error)
    except Exception as error:
        report.alerts_problem = _words(error)
    made += conditions_of_run(report, home, settings, now)
    with open_outbox(home) as outbox:
        report.alerts = list(_told(outbox, made))


def _have(home: Path) -> None:
    """Raises OutboxError and BrokenSnapshot where there is no outbox, or it cannot be written."""
    with open_outbox(home, PATIENCE) as outbox, outbox.together():
        pass


def _told(outbox: Outbox, made: Sequence[Message]) -> Iterator[dict[str, Any]]:
    rules: dict[tuple[str, str], list[Message]] = defaultdict(list)
    for message in made:
        rules[message.audience, message.rule].append(message)
    for (audience, rule), messages in rules.items():
        yield {
            "audience": audience,
            "rule": rule,
            "messages": len(messages),
            "message_ids": [message.message_id for message in messages[:SHOWN]],
            "items": sum(len(message.items) + sum((message.more or {}).values()) for message in messages),
            "conditions": [condition.name for message in messages for condition in message.conditions],
            "channels": [one.channel for one in outbox.deliveries(message_id=messages[0].message_id)],
        }


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
