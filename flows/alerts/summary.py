"""The alerts at the end of a run, for people: what is told, by which rule, to whom, and what could not be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from flows.alert_settings import FEED
from flows.alerts.deliver import Delivered
from flows.alerts.outbox import Delivery, existing_outbox
from flows.report import Report
from flows.terminal import Block, Line
from flows.words import command

SHOWN_LINES = 40
"""Of one message; all of it is in the feed."""


def blocks(report: Report, delivered: Delivered | None) -> Iterator[Block]:
    """``delivered``: None where delivery failed as a whole, which is told by who called it."""
    if report.alerts_problem:
        yield Line(f"WARNING: alerts of this run are still to be made: {report.alerts_problem}", "bold yellow")
    made = [message_id for told in report.alerts for message_id in told["message_ids"]]
    more = sum(told["messages"] - len(told["message_ids"]) for told in report.alerts)
    made += [message_id for message_id in (delivered.made if delivered else ()) if message_id not in made]
    for message_id in made:
        yield from _message(Path(report.home), message_id)
    if more:
        yield Line(f"... and {more} messages more; see: {command(report, 'alerts', 'list')}")
    if delivered:
        yield from _delivery(report, delivered)


def _message(home: Path, message_id: str) -> Iterator[Block]:
    from flows.alerts.render import render

    with existing_outbox(home) as outbox:
        message = outbox.message(message_id) if outbox else None
        deliveries = outbox.deliveries(message_id=message_id) if outbox else []
    if message is None:
        return
    if message.audience == "operators":
        what = f"Operators' alert, {_to_operators(deliveries)}"
        lines = [
            f"{'begins' if one.ended_at is None else 'ended'}  {one.name}: {one.what}" for one in message.conditions
        ]
    else:
        what = f"Alert of rule {message.rule}, {_to_whom(home, deliveries)}"
        lines = render(message).text.rstrip().splitlines()
    yield from (Line(), Line(what, "bold"))
    yield from (Line(f"  | {line}".rstrip()) for line in lines[:SHOWN_LINES])
    if len(lines) > SHOWN_LINES:
        yield Line(f"  | ... and {len(lines) - SHOWN_LINES} lines more")


def _to_operators(deliveries: list[Delivery]) -> str:
    return (
        _channels(deliveries) if deliveries else "sent to nobody: [operators] has no channel. docs/alerts.md tells how."
    )


def _to_whom(home: Path, deliveries: list[Delivery]) -> str:
    if [delivery.channel for delivery in deliveries] == [FEED]:
        return f"in the feed only, {home / 'alerts' / 'feed.xml'}: no channel is set. docs/alerts.md tells how."
    return _channels(deliveries)


def _channels(deliveries: list[Delivery]) -> str:
    told = [f"{one.channel}{'' if one.state == 'sent' else ' (' + one.state + ')'}" for one in deliveries]
    return f"to {', '.join(told)}"


def _delivery(report: Report, delivered: Delivered) -> Iterator[Block]:
    for problem in delivered.problems:
        yield Line(f"WARNING: {problem}", "bold yellow")
    for attempt in delivered.failed:
        yield Line(
            f"WARNING: {attempt.channel} was not reached with {attempt.message_id}: {attempt.error}", "bold yellow"
        )
    if delivered.failed:
        again = f" from {delivered.next_at:%Y-%m-%d %H:%M} UTC" if delivered.next_at else ""
        yield Line(f"It is kept, and tried again{again} by the next run, or by: {command(report, 'alerts', 'deliver')}")
    if delivered.dead:
        said = (
            f"{delivered.dead} deliveries were given up after many failures; see: {command(report, 'alerts', 'list')}"
        )
        yield Line(f"WARNING: {said}", "bold yellow")
