"""The outbox for people and programs: messages, how far their deliveries got, and what is open."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import asdict
from typing import Any

from flows.alerts.outbox import Outbox, State
from flows.terminal import Block, Grid, Line

SHOWN = 50
NOBODY = "(nobody)"


def as_document(
    outbox: Outbox | None, known: Collection[str], rules: Collection[str], state: State | None = None
) -> dict[str, Any]:
    """``known`` and ``rules``: names of the channels and rules that there are. ``state``: only messages with such a
    delivery."""
    if outbox is None:
        return {"messages": [], "conditions": [], "later": [], "no_channel": [], "no_rule": []}
    deliveries = defaultdict(list)
    for delivery in outbox.deliveries():
        deliveries[delivery.message_id].append(delivery)
    messages = [
        {
            "message_id": message.message_id,
            "audience": message.audience,
            "rule": message.rule,
            "made_at": message.made_at,
            "items": len(message.items) + sum((message.more or {}).values()),
            "conditions": [condition.name for condition in message.conditions],
            "deliveries": [asdict(delivery) for delivery in deliveries[message.message_id]],
        }
        for message in outbox.messages()
        if state is None or state in {delivery.state for delivery in deliveries[message.message_id]}
    ]
    acked, waiting = outbox.acked_conditions(), outbox.deliveries(state="waiting")
    return {
        "messages": messages,
        "conditions": [asdict(condition) | {"acked": name in acked} for name, condition in outbox.conditions().items()],
        "later": _later(outbox),
        "no_channel": sorted({delivery.channel for delivery in waiting} - {*known}),
        "no_rule": without_rule(outbox, rules),
    }


def in_words(document: dict[str, Any], state: State | None = None) -> Iterator[Block]:
    """The newest messages; ``document`` has all."""
    rows = [row for message in document["messages"] for row in _rows(message, state)]
    if rows:
        columns = ("message", "rule", "made", "of", "channel", "state", "failures", "next try", "why")
        yield Grid("Deliveries, the newest first", columns, rows[:SHOWN])
        if len(rows) > SHOWN:
            yield Line(f"  ... and {len(rows) - SHOWN} more; --json has all")
    else:
        yield Line(f"No delivery is {state}." if state else "No alert was made yet.")
    for name in document["no_channel"]:
        yield Line(
            f"Deliveries to {name} wait: the settings have no such channel. Name it again, or ack them.", "yellow"
        )
    for later in document["later"]:
        changes = f"{later['items']} {'change' if later['items'] == 1 else 'changes'}"
        if later["rule"] in document["no_rule"]:
            yield Line(
                f"Rule {later['rule']}: {changes} not told: the settings have no such rule. Name it again.", "yellow"
            )
            continue
        yield Line(f"Rule {later['rule']}: {changes} to be told from {_minute(later['due_at'])}.")
    if open_now := document["conditions"]:
        told = [
            (one["name"], one["severity"], _minute(one["began_at"]), "yes" if one["acked"] else "no", one["what"])
            for one in open_now
        ]
        yield Grid("What is wrong now", ("condition", "severity", "since", "seen", "what"), told)


def without_rule(outbox: Outbox, rules: Collection[str]) -> list[str]:
    """Rules that picked what is not told yet, and are gone."""
    return sorted({entry.rule for entry in outbox.open_entries()} - {*rules})


def _rows(message: dict[str, Any], state: State | None) -> Iterator[tuple[object, ...]]:
    of = ", ".join(message["conditions"]) or f"{message['items']} changes"
    told = (message["message_id"], message["rule"], _minute(message["made_at"]), of)
    for one in message["deliveries"]:
        if state in (None, one["state"]):
            next_at = _minute(one["next_at"]) if one["next_at"] else ""
            yield (*told, one["channel"], one["state"], one["attempts"], next_at, one["error"] or "")
    if not message["deliveries"]:
        yield (*told, NOBODY, "", 0, "", "")


def _later(outbox: Outbox) -> list[dict[str, Any]]:
    """What rules picked, and tell later: digests, and quiet hours."""
    entries = outbox.open_entries()
    rules = dict.fromkeys(entry.rule for entry in entries)
    return [
        {"rule": rule, "items": len(due), "due_at": min(due)}
        for rule in rules
        if (due := [entry.due_at for entry in entries if entry.rule == rule])
    ]


def _minute(time: Any) -> str:  # noqa: ANN401 - a datetime of a document
    return f"{time:%Y-%m-%d %H:%M}"
