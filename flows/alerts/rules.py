"""Rules of users: which items they pick, when those are told, which share a message, and where it goes."""

from __future__ import annotations

import datetime as dt
from typing import get_args
from zoneinfo import ZoneInfo

from flows.alert_settings import FEED, RuleSettings, Weekday, form
from flows.alerts.message import Item
from flows.settings import Settings
from flows.things import HEADLINES
from warehouse.tables import SEVERITIES

_WARNINGS = ("descriptor_changed", "indicator_changed", "history_event_added", "relation_changed")
_DAY = dt.timedelta(days=1)


def severity_of(change_type: str) -> str:
    """How grave a type of change is: critical, warning or info."""
    if change_type in HEADLINES:
        return "critical"
    return "warning" if change_type in _WARNINGS else "info"


def matches(rule: RuleSettings, item: Item) -> bool:
    """Whether each filter of the rule lets the item through; an empty one lets all through.

    What no single site tells is told by all of them: no choice of sources keeps it from anybody.
    """
    return (
        (not rule.types or item.change_type in rule.types)
        and (not rule.causes or item.cause in rule.causes)
        and (not rule.sources or not item.sources or not set(rule.sources).isdisjoint(item.sources))
        and (not rule.categories or item.category in rule.categories)
        and (not rule.codes or any(_is_among(item.code, codes) for codes in rule.codes))
        and (not rule.columns or item.column in {_named(column) for column in rule.columns})
        and SEVERITIES.index(item.severity) <= SEVERITIES.index(rule.severity)
    )


def due_at(rule: RuleSettings, now: dt.datetime) -> dt.datetime:
    """When what is picked ``now`` is told, in UTC: at once, at the next time of a digest, or when quiet hours end."""
    zone = ZoneInfo(rule.timezone)
    due = now.astimezone(dt.UTC)
    if rule.when in ("daily", "weekly"):
        due = _next_digest(rule, due, zone)
    return _after_quiet_hours(rule.quiet, due, zone)


def quiet_until(rule: RuleSettings, now: dt.datetime) -> dt.datetime:
    """When what is due ``now`` may be sent, in UTC: at once, or when quiet hours end."""
    return _after_quiet_hours(rule.quiet, now.astimezone(dt.UTC), ZoneInfo(rule.timezone))


def group_of(rule: RuleSettings, item: Item, due: dt.datetime) -> str:
    """Items of a rule with the same group go out in one message."""
    if rule.when == "event":
        return f"{item.snapshot_id} {item.code}"
    return item.snapshot_id if rule.when == "run" else due.isoformat()


def channels_of(settings: Settings, rule: RuleSettings) -> tuple[str, ...]:
    """Where a rule's messages go; without any named: the feed, and each channel that operators do not have."""
    if rule.channels:
        return tuple(dict.fromkeys(rule.channels))
    return (FEED, *(name for name in settings.channels if name not in settings.operators.channels))


def _is_among(code: str, codes: str) -> bool:
    """Ex: "99213", "99202-99215", "J*" """
    low, dash, high = codes.partition("-")
    if dash:
        return form(code) == form(low) and low <= code <= high
    return code.startswith(codes[:-1]) if codes.endswith("*") else code == codes


def _named(column: str) -> str:
    """As items name it: columns of ``codes`` as what stands in them. Ex: mue_code, short_descriptor"""
    return column.removesuffix("_descriptor").removesuffix("_code")


def _next_digest(rule: RuleSettings, now: dt.datetime, zone: ZoneInfo) -> dt.datetime:
    day = now.astimezone(zone).date()
    weekday = get_args(Weekday).index(rule.weekday)
    while True:
        due = _in_utc(day, rule.at, zone)
        if due >= now and (rule.when == "daily" or day.weekday() == weekday):
            return due
        day += _DAY


def _after_quiet_hours(quiet: str | None, due: dt.datetime, zone: ZoneInfo) -> dt.datetime:
    if quiet is None:
        return due
    day, (begins, ends) = due.astimezone(zone).date(), quiet.split("-")
    # The hours that began yesterday and last over midnight, or those of today. A night that the clock is put back in is
    # longer by an hour, one that it is put forward in shorter: both times are looked up on their own days.
    for first in (day - _DAY, day):
        last = first + _DAY if ends < begins else first
        if _in_utc(first, begins, zone) <= due < (end := _in_utc(last, ends, zone)):
            return end
    return due


def _in_utc(day: dt.date, clock: str, zone: ZoneInfo) -> dt.datetime:
    """Of a time that is there twice, the first; one that is left out is as much later as the clock is put forward."""
    return dt.datetime.combine(day, dt.time.fromisoformat(clock), zone).astimezone(dt.UTC)
