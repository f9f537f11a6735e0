"""Alerts in a run: the outbox is begun before anything can be published, and filled when the run's work has ended.

What goes wrong in here undoes nothing of the run: it is told in the run's report, and the next run plans again.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

from flows.alerts.message import Message
from flows.alerts.outbox import open_outbox
from flows.report import Report
from flows.settings import Settings


def begin(home: Path, report: Report) -> None:
    """Have an outbox: what is published from now on is news to it."""
    try:
        with open_outbox(home):
            pass
    except Exception as error:
        report.alerts_problem = _words(error)


def fill(home: Path, report: Report, settings: Settings) -> None:
    """Plan what the home's snapshots bring, and what the run says of the pipeline; the report tells what was made.

    After a failure nothing is planned: of a home at an address, the snapshot may never get there.
    """
    if report.alerts_problem is not None:
        return  # there was no outbox: one that is begun now would take the run's snapshot for an old one
    now = dt.datetime.now(dt.UTC)
    made: list[Message] = []
    try:
        from flows.alerts.operators import conditions_of_run
        from flows.alerts.plan import plan

        try:
            if report.status != "failed":
                made += plan(home, settings, now)
        except Exception as error:  # which operators hear of, as of the run itself
            report.alerts_problem = _words(error)
        made += conditions_of_run(report, home, settings, now)
    except Exception as error:
        report.alerts_problem = _words(error)
    try:
        report.alerts = [_told(home, message) for message in made]
    except Exception as error:
        report.alerts_problem = _words(error)


def _told(home: Path, message: Message) -> dict[str, Any]:
    with open_outbox(home) as outbox:
        channels = [delivery.channel for delivery in outbox.deliveries(message_id=message.message_id)]
    return {
        "message_id": message.message_id,
        "audience": message.audience,
        "rule": message.rule,
        "items": len(message.items) + sum((message.more or {}).values()),
        "conditions": [condition.name for condition in message.conditions],
        "channels": channels,
    }


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
