"""The calendar, ``<home>/alerts/calendar.ics`` (RFC 5545): coming days on which codes are added, changed or deleted, as
the current snapshot announces them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from flows.alert_settings import Rights
from flows.alerts.difference import cut
from flows.alerts.escaping import clean
from flows.alerts.telling import first_day_gone
from flows.changes import context
from warehouse import snapshots
from warehouse.files import replace_file
from warehouse.tables import DATE

FILE = "alerts/calendar.ics"
NOTE_WIDTH = 500

_DAYS = {"added_on": "added", "changed_on": "changed", "deleted_on": "deleted"}
_SUMMARIES = {
    "added": "{code} valid from today on",
    "changed": "{code} changes today",
    "deleted": "{code} deleted from today on",
    "other": "{code}: an entry in its history",
}


@dataclass(frozen=True, slots=True, order=True)
class Coming:
    """What is announced for a code. ``sources``: sites whose histories tell it; ``notes``: their words."""

    day: dt.date
    code: str
    action: str
    sources: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def write_calendar(home: Path, rights: Rights) -> None:
    """Put what the current snapshot announces into the calendar, in one step; what was withdrawn is gone from it.

    Words of pages are in it with ``rights`` full only. Without a snapshot there is nothing to say. The same snapshot
    gives the same bytes, and a calendar that has them is left as it is. Raises BrokenSnapshot.
    """
    snapshot_id = snapshots.current_id(home)
    if snapshot_id is None:
        return
    as_of = dt.datetime.fromisoformat(snapshots.read_manifest(home, snapshot_id)["as_of"])
    told = context(home, snapshot_id)
    data = _ics(coming(home, snapshot_id, as_of.date()), as_of, told.titles, told.replaced_by, rights)
    path = home / FILE
    if not path.is_file() or path.read_bytes() != data:
        replace_file(path, data)


def coming(home: Path, snapshot_id: str, after: dt.date) -> list[Coming]:
    """All that a snapshot announces for days after ``after``, by day."""
    found: dict[tuple[dt.date, str, str], list[Mapping[str, Any]]] = {}
    codes = snapshots.read_table(home, snapshot_id, "codes", ("code", "status", *_DAYS))
    for name, action in _DAYS.items():
        for row in codes.filter(pc.greater(codes[name], pa.scalar(after, DATE))).to_pylist():
            if not (action == "deleted" and row["status"] == "deleted"):
                found.setdefault((row[name], row["code"], action), [])
    columns = ("source", "code", "event_on", "action", "notes")
    events = snapshots.read_table(home, snapshot_id, "history_events", columns)
    # A deletion on 31 December is the next day's: one that was written on the last day may still be to come.
    for row in events.filter(pc.greater_equal(events["event_on"], pa.scalar(after, DATE))).to_pylist():
        day = first_day_gone(row["event_on"]) if row["action"] == "deleted" else row["event_on"]
        if day > after:
            found.setdefault((day, row["code"], row["action"]), []).append(row)
    return sorted(Coming(*key, *_told_by(rows)) for key, rows in found.items())


def _told_by(rows: Iterable[Mapping[str, Any]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    rows = list(rows)
    notes = {clean(row["notes"]) for row in rows if row["notes"]}
    return tuple(sorted({row["source"] for row in rows})), tuple(sorted(notes))


def _ics(
    announced: Sequence[Coming],
    as_of: dt.datetime,
    titles: Mapping[str, str],
    replaced_by: Mapping[str, Sequence[str]],
    rights: Rights,
) -> bytes:
    from icalendar import Calendar, Event, Timezone, TimezoneStandard  # a tenth of a second, for who writes one

    calendar = Calendar()
    calendar.add("prodid", "-//cptflow//alerts//EN")
    calendar.add("version", "2.0")
    calendar.add("method", "PUBLISH")
    calendar.add("x-wr-calname", "cptflow: codes")
    for one in announced:
        event = Event()
        event.add("uid", f"cptflow-{one.code}-{one.action}-{one.day:%Y%m%d}")
        event.add("dtstamp", as_of)
        event.add("dtstart", one.day)
        event.add("dtend", one.day + dt.timedelta(days=1))
        event.add("summary", _summary(one, replaced_by))
        if description := _description(one, titles if rights == "full" else {}, rights):
            event.add("description", description)
        event.add("categories", ["cptflow", one.action])
        event.add("transp", "TRANSPARENT")
        calendar.add_component(event)
    if not announced:  # a calendar must hold something (RFC 5545, 3.6)
        zone, standard = Timezone(), TimezoneStandard()
        zone.add("tzid", "UTC")
        standard.add("dtstart", dt.datetime(1970, 1, 1))  # noqa: DTZ001 - local time, as RFC 5545 wants it
        standard.add("tzoffsetfrom", dt.timedelta())
        standard.add("tzoffsetto", dt.timedelta())
        zone.add_component(standard)
        calendar.add_component(zone)
    data: bytes = calendar.to_ical()
    return data


def _summary(one: Coming, replaced_by: Mapping[str, Sequence[str]]) -> str:
    summary = _SUMMARIES[one.action].format(code=one.code)
    if one.action != "deleted":
        return summary
    by = [clean(code) for code in replaced_by.get(one.code, ())]
    told = f"replaced by {', '.join(by)}" if by else "no replacement named"
    return f"{summary} ({told})"


def _description(one: Coming, titles: Mapping[str, str], rights: Rights) -> str:
    lines = [cut(clean(titles.get(one.code)), NOTE_WIDTH)]
    if rights == "full":
        lines += [cut(note, NOTE_WIDTH) for note in one.notes]
    if one.sources:
        lines.append(f"Told by {', '.join(one.sources)}")
    return "\n".join(line for line in lines if line)
