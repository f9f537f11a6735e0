"""The history table: a row a day, action and note."""

from __future__ import annotations

import datetime as dt

import pytest

from parsers.history import action_of, claim_history, is_history_header, is_history_line
from parsers.page import Block, Page, Reading, Settled
from parsers.records import HistoryEvent


def _row(*cells: str, index: int = 0) -> Block:
    return Block(index, "row", " | ".join(cells), cells, table=1)


def _line(text: str) -> Block:
    return Block(0, "paragraph", text)


def _settled(*rows: Block) -> Settled:
    reading = Reading(Page("file:x", "text", rows), "0748T")
    claim_history(reading, rows)
    return reading.settle(["history_events"])


@pytest.mark.parametrize(
    ("block", "is_header"),
    [
        (_row("Date", "Action", "Notes"), True),
        (_row("DATE", "Action:", "Note", ""), True),
        (_line("Date Action Notes"), True),
        (_row("Date", "Action"), False),
        (_row("Action", "Date", "Notes"), False),
        (_row("Date", "Action", "Notes", "More"), False),
        (_line("Date of synthetic action notes"), False),
    ],
)
def test_headers(block: Block, is_header: bool):
    assert is_history_header(block) is is_header


@pytest.mark.parametrize(
    ("row", "event"),
    [
        (_row("2023-01-01", "Added", "Code added."), HistoryEvent(dt.date(2023, 1, 1), "added", 1, "Code added.")),
        (_row("2023-01-01", "DELETED", ""), HistoryEvent(dt.date(2023, 1, 1), "deleted", 1, None)),
        (_row("2023-01-01", "Changed"), HistoryEvent(dt.date(2023, 1, 1), "changed", 1, None)),
        (_row("2023-01-01", "Renumbered", "x"), HistoryEvent(dt.date(2023, 1, 1), "other", 1, "Renumbered: x")),
        (_row("2023-01-01", "Renumbered"), HistoryEvent(dt.date(2023, 1, 1), "other", 1, "Renumbered")),
        (_line("2023-01-01 Added Code added."), HistoryEvent(dt.date(2023, 1, 1), "added", 1, "Code added.")),
        (_row("2024-02-29", "Added", "=HYPERLINK(1)"), HistoryEvent(dt.date(2024, 2, 29), "added", 1, "=HYPERLINK(1)")),
    ],
)
def test_rows(row: Block, event: HistoryEvent):
    settled = _settled(row)
    assert (settled.records, settled.unmapped, settled.warnings) == ((event,), (), ())


@pytest.mark.parametrize("date", ["01/01/2023", "2023-02-29", "2023", "20230101", "2023-W01-1", "", "../2023-01-01"])
def test_a_row_without_a_date_stays_unmapped_with_a_warning(date: str):
    settled = _settled(_row(date, "Added", "x"))
    assert settled.records == ()
    assert [block.text for block in settled.unmapped] == [f"{date} | Added | x"]
    assert [(w.rule, w.value) for w in settled.warnings] == [("unreadable_date", date)]


def test_events_of_one_day_and_action_are_counted():
    rows = [_row("2023-01-01", action, "x", index=i) for i, action in enumerate(["Added", "Changed", "added"])]
    events = [(e.action, e.ordinal) for e in _settled(*rows).records if isinstance(e, HistoryEvent)]
    assert events == [("added", 1), ("changed", 1), ("added", 2)]


def test_a_row_with_more_cells_is_read_and_listed_as_unmapped():
    settled = _settled(_row("2023-01-01", "Added", "x", "more"))
    assert len(settled.records) == 1
    assert [block.text for block in settled.unmapped] == ["2023-01-01 | Added | x | more"]


@pytest.mark.parametrize(
    ("text", "is_line", "action"),
    [
        ("2023-01-01 Added Code added.", True, "added"),
        ("2023-01-01 deleted", True, "deleted"),
        ("2023-01-01", False, ""),
        ("2023-01-01 Addendum", False, ""),
        ("Synthetic 2023-01-01 Added", False, ""),
    ],
)
def test_rows_that_an_extract_wrote_without_bars(text: str, is_line: bool, action: str):
    assert is_history_line(_line(text)) is is_line
    assert action_of(_line(text)) == action
