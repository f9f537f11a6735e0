"""A code's history table: a row a day, action and note."""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from collections.abc import Sequence

from parsers.page import Block, Reading
from parsers.records import Action, HistoryEvent, ParseWarning
from parsers.words import fold

_HEADERS = (["date", "action", "notes"], ["date", "action", "note"])
_MAX_HEADER = 60  # characters
_ACTIONS: dict[str, Action] = {"added": "added", "changed": "changed", "deleted": "deleted"}
# Ex: "2023-01-01 Added Code added." where an extract lost the bars
_LINE = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})\s+(Added|Changed|Deleted)\b\s*(.*)", re.IGNORECASE)


def is_history_header(block: Block) -> bool:
    if len(block.text) > _MAX_HEADER:
        return False
    return ([fold(cell) for cell in block.cells if cell] or fold(block.text).split()) in _HEADERS


def is_history_line(block: Block) -> bool:
    """Whether the block is a history row that an extract wrote without bars."""
    return _LINE.fullmatch(block.text) is not None


def action_of(row: Block) -> str:
    """The row's action, folded; "" where it has none."""
    return fold(_parts(row)[1])


def claim_history(reading: Reading, rows: Sequence[Block]) -> None:
    """Claim ``rows`` as history events; one without an ISO date stays unmapped, with a warning."""
    ordinals = Counter[tuple[dt.date, Action]]()
    for row in rows:
        date, word, notes = _parts(row)
        if any(row.cells[3:]):
            reading.leave_unmapped(row)  # more than a history row holds: its words are kept there
        event_on = _date(date)
        if event_on is None:
            message = f"no ISO date: the event ({word}) is in unmapped"
            key = f"{date}|{fold(word)}"
            warning = ParseWarning("unreadable_date", "history_events", key, "event_on", date, message)
            reading.leave_unmapped(row)
            reading.claim(row, table="history_events", warnings=[warning])
            continue
        action = _ACTIONS.get(fold(word), "other")
        if action == "other":  # the table knows three actions: another one's word is kept with the note
            notes = f"{word}: {notes}" if notes else word
        ordinals[event_on, action] += 1
        reading.claim(row, HistoryEvent(event_on, action, ordinals[event_on, action], notes or None))


def _date(text: str) -> dt.date | None:
    try:
        date = dt.date.fromisoformat(text)
    except ValueError:
        return None
    return date if date.isoformat() == text else None  # Python also reads "20230101" and "2023-W01-1"


def _parts(row: Block) -> tuple[str, str, str]:
    match = _LINE.fullmatch(row.text)
    date, word, notes = match.groups() if match and not row.cells else (*row.cells, "", "", "")[:3]
    return date, word, notes
