"""Rules: which items they pick, and when what they picked is told."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.alert_settings import ChannelSettings, OperatorSettings, RuleSettings
from flows.alerts.message import Item
from flows.alerts.rules import channels_of, due_at, group_of, matches, severity_of
from flows.settings import Settings
from warehouse.tables import CHANGE_TYPES

NOON = dt.datetime(2026, 1, 14, 12, tzinfo=dt.UTC)  # a Wednesday


def item(**other: object) -> Item:
    values: dict[str, object] = {
        "event_id": "a" * 32, "event_ids": ("a" * 32,), "change_type": "indicator_changed", "cause": "source",
        "severity": "warning", "code": "99213", "category": "I", "title": None, "sources": ("codingahead",),
        "column": "mue", "what": "indicator mue", "before": "3", "after": "4", "withheld_text": False,
        "effective_on": None, "seen_at": NOON, "url": None, "document_id": None, "replaced_by": (),
        "snapshot_id": "20260114T120000Z-00000002", "parent_snapshot_id": "20260107T120000Z-00000001",
    }  # fmt: skip
    return Item(**values | other)  # type: ignore[arg-type]


def rule(**values: object) -> RuleSettings:
    return RuleSettings(**values)  # type: ignore[arg-type]


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("filters", "other", "picked"),
    [
        ({}, {}, True),
        ({}, {"change_type": "narrative_changed", "severity": "info"}, False),
        ({}, {"cause": "parser"}, False),
        ({"causes": ("parser",)}, {"cause": "parser"}, True),
        ({"types": ()}, {"change_type": "narrative_changed", "severity": "info"}, True),
        ({"sources": ("openpayer",)}, {}, False),
        ({"sources": ("openpayer",)}, {"sources": ("codingahead", "openpayer")}, True),
        ({"sources": ("openpayer",)}, {"sources": ()}, True),
        ({"categories": ("II",)}, {}, False),
        ({"categories": ("II", "I")}, {}, True),
        ({"codes": ("99213",)}, {}, True),
        ({"codes": ("99212",)}, {}, False),
        ({"codes": ("99202-99215",)}, {}, True),
        ({"codes": ("99202-99215",)}, {"code": "99215"}, True),
        ({"codes": ("99202-99215",)}, {"code": "99216"}, False),
        ({"codes": ("0001T-0100T",)}, {"code": "0050T"}, True),
        ({"codes": ("0001T-0100T",)}, {"code": "0050U"}, False),
        ({"codes": ("0001T-0100T",)}, {"code": "00500"}, False),
        ({"codes": ("A0021-B0100",)}, {"code": "A9999"}, True),
        ({"codes": ("J*", "992*")}, {}, True),
        ({"codes": ("J*", "993*")}, {}, False),
        ({"codes": ("J*",)}, {"code": "J1745"}, True),
        ({"columns": ("mue",)}, {}, True),
        ({"columns": ("mue_code",)}, {}, True),
        ({"columns": ("short_descriptor",)}, {"column": "short"}, True),
        ({"columns": ("betos",)}, {}, False),
        ({"columns": ("mue",)}, {"column": None, "change_type": "code_added"}, False),
        ({"severity": "critical"}, {}, False),
        ({"severity": "warning"}, {}, True),
        ({"severity": "warning", "types": ()}, {"severity": "info"}, False),
        ({"codes": ("99213",), "sources": ("openpayer",)}, {}, False),
    ],
)
def test_an_item_is_picked_that_every_filter_lets_through(filters, other, picked):
    assert matches(rule(**filters), item(**other)) is picked


def test_codes_that_come_and_go_are_critical_and_every_type_has_a_severity():
    assert {kind for kind in CHANGE_TYPES if severity_of(kind) == "critical"} == {
        "code_added", "code_deleted", "code_reinstated",
    }  # fmt: skip
    assert {severity_of(kind) for kind in CHANGE_TYPES} == {"critical", "warning", "info"}


@pytest.mark.parametrize(
    ("settings", "now", "due"),
    [
        ({"when": "event"}, "2026-01-14 12:00", "2026-01-14 12:00"),
        ({"when": "run"}, "2026-01-14 12:00", "2026-01-14 12:00"),
        ({"when": "daily"}, "2026-01-14 12:00", "2026-01-15 08:00"),
        ({"when": "daily"}, "2026-01-14 08:00", "2026-01-14 08:00"),
        ({"when": "daily", "at": "18:30", "timezone": "Europe/Berlin"}, "2026-01-14 12:00", "2026-01-14 17:30"),
        ({"when": "daily", "at": "18:30", "timezone": "Europe/Berlin"}, "2026-07-14 12:00", "2026-07-14 16:30"),
        # The clock in Berlin is put forward on 29 March: 08:00 is 06:00 UTC from then on.
        ({"when": "daily", "timezone": "Europe/Berlin"}, "2026-03-28 12:00", "2026-03-29 06:00"),
        ({"when": "daily", "at": "02:30", "timezone": "Europe/Berlin"}, "2026-03-28 12:00", "2026-03-29 01:30"),
        # On 25 October 02:30 comes twice: the first counts, and the day's digest goes out once.
        ({"when": "daily", "at": "02:30", "timezone": "Europe/Berlin"}, "2026-10-24 12:00", "2026-10-25 00:30"),
        ({"when": "daily", "at": "02:30", "timezone": "Europe/Berlin"}, "2026-10-25 00:31", "2026-10-26 01:30"),
        ({"when": "weekly"}, "2026-01-14 12:00", "2026-01-19 08:00"),
        ({"when": "weekly", "weekday": "wednesday"}, "2026-01-14 12:00", "2026-01-21 08:00"),
        ({"when": "weekly", "weekday": "wednesday", "at": "13:00"}, "2026-01-14 12:00", "2026-01-14 13:00"),
        # It is Monday in Auckland when it is Sunday in UTC.
        ({"when": "weekly", "timezone": "Pacific/Auckland"}, "2026-01-14 12:00", "2026-01-18 19:00"),
        ({"quiet": "20:00-07:00"}, "2026-01-14 12:00", "2026-01-14 12:00"),
        ({"quiet": "20:00-07:00"}, "2026-01-14 20:00", "2026-01-15 07:00"),
        ({"quiet": "20:00-07:00"}, "2026-01-14 06:59", "2026-01-14 07:00"),
        ({"quiet": "20:00-07:00"}, "2026-01-14 07:00", "2026-01-14 07:00"),
        ({"quiet": "12:00-14:00", "when": "event"}, "2026-01-14 13:00", "2026-01-14 14:00"),
        ({"quiet": "20:00-09:00", "when": "daily"}, "2026-01-14 12:00", "2026-01-15 09:00"),
        ({"quiet": "00:00-12:00", "when": "weekly"}, "2026-01-14 12:00", "2026-01-19 12:00"),
        ({"quiet": "20:00-07:00", "timezone": "Europe/Berlin"}, "2026-01-14 05:59", "2026-01-14 06:00"),
        # In the night in which the clock is put back quiet hours last longer, in the other one shorter.
        ({"quiet": "20:00-07:00", "timezone": "Europe/Berlin"}, "2026-10-24 20:00", "2026-10-25 06:00"),
        ({"quiet": "20:00-07:00", "timezone": "Europe/Berlin"}, "2026-03-28 20:00", "2026-03-29 05:00"),
    ],
)  # fmt: skip
def test_when_what_is_picked_is_told(settings, now, due):
    assert due_at(rule(**settings), utc(now)) == utc(due)


clocks = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59))
_FIRST, _LAST = dt.datetime(2025, 1, 1), dt.datetime(2027, 12, 31)  # noqa: DTZ001 (Hypothesis gives them the zone)
moments = st.datetimes(_FIRST, _LAST, timezones=st.just(dt.UTC))


@given(
    moments,
    st.sampled_from(["event", "run", "daily", "weekly"]),
    clocks,
    st.none() | st.tuples(clocks, clocks).filter(lambda pair: pair[0] != pair[1]).map("-".join),
    st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Africa/Casablanca"]),
)
def test_it_is_never_told_before_it_was_picked_nor_in_quiet_hours_nor_more_than_two_days_late(
    now, when, at, quiet, zone
):
    due = due_at(rule(when=when, at=at, quiet=quiet, timezone=zone), now)

    assert now <= due <= now + dt.timedelta(days=9 if when == "weekly" else 2)
    local = due.astimezone(ZoneInfo(zone))
    if quiet is not None and local.utcoffset() == (due - dt.timedelta(days=1)).astimezone(ZoneInfo(zone)).utcoffset():
        begins, ends = quiet.split("-")
        clock = f"{local:%H:%M}"
        inside = begins <= clock < ends if begins < ends else clock >= begins or clock < ends
        assert not inside


def test_what_shares_a_message():
    first, second = item(), item(code="99214", snapshot_id="20260121T120000Z-00000003")
    due = utc("2026-01-19 08:00")

    def groups(when: str) -> int:
        same_snapshot = item(code="99214")
        return len({group_of(rule(when=when), one, due) for one in (first, same_snapshot, second)})

    assert [groups(when) for when in ("event", "run", "daily", "weekly")] == [3, 2, 1, 1]
    assert group_of(rule(when="event"), first, due) == group_of(rule(when="event"), item(column="betos"), due)


def test_a_rule_without_channels_goes_to_the_feed_and_all_that_operators_do_not_have():
    channels = {name: ChannelSettings(url="env:X") for name in ("billing", "engineers")}  # type: ignore[call-arg]
    settings = Settings(channels=channels, operators=OperatorSettings(channels=("engineers",)))

    assert channels_of(settings, rule()) == ("feed", "billing")
    assert channels_of(settings, rule(channels=("engineers", "engineers"))) == ("engineers",)
