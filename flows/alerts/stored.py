"""Items, conditions and messages as JSON, and back: how the outbox keeps them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from flows.alerts.message import Condition, Item, Message


def as_json(value: Item | Condition | Message) -> dict[str, Any]:
    """Text, numbers, lists and dictionaries only; times in ISO 8601."""
    return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}


def item_from_json(told: Mapping[str, Any]) -> Item:
    values = dict(told) | {name: tuple(told[name]) for name in ("event_ids", "sources", "replaced_by")}
    effective_on = told["effective_on"]
    values["effective_on"] = dt.date.fromisoformat(effective_on) if effective_on else None
    values["seen_at"] = dt.datetime.fromisoformat(told["seen_at"])
    return Item(**values)


def condition_from_json(told: Mapping[str, Any]) -> Condition:
    return Condition(**dict(told) | {name: _time(told[name]) for name in ("began_at", "ended_at")})


def message_from_json(told: Mapping[str, Any]) -> Message:
    values = dict(told) | {name: _time(told[name]) for name in ("made_at", "as_of")}
    values["snapshot_ids"] = tuple(told["snapshot_ids"])
    values["items"] = tuple(item_from_json(item) for item in told["items"])
    values["conditions"] = tuple(condition_from_json(condition) for condition in told["conditions"])
    return Message(**values)


def _time(text: str | None) -> dt.datetime | None:
    return dt.datetime.fromisoformat(text) if text else None


def _plain(value: object) -> object:
    if isinstance(value, Item | Condition):
        return as_json(value)
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value.isoformat() if isinstance(value, dt.date) else value  # a datetime is one
