"""Invented items and messages, and settings with channels."""

import datetime as dt

from flows.alerts.message import Item, Message
from flows.alerts.outbox import Entry

NOW = dt.datetime(2026, 3, 2, 8, tzinfo=dt.UTC)
SNAPSHOT = "20260301T120000Z-0123456789ab"


def item(code="99999", *, event_id=None, **other):
    told = {
        "event_id": event_id or f"event-{code}",
        "event_ids": (event_id or f"event-{code}",),
        "change_type": "code_added",
        "cause": "source",
        "severity": "critical",
        "code": code,
        "category": "I",
        "title": f"Synthetic title of {code}",
        "sources": ("codingahead",),
        "column": None,
        "what": "code",
        "before": None,
        "after": "active",
        "withheld_text": False,
        "effective_on": None,
        "seen_at": NOW,
        "url": f"https://www.codingahead.com/cpt/codes/{code}",
        "document_id": "0" * 64,
        "replaced_by": (),
        "snapshot_id": SNAPSHOT,
        "parent_snapshot_id": "20260201T120000Z-0123456789ab",
    }
    return Item(**told | other)


def message(name, *items, rule="default", made_at=NOW):
    return Message(f"msg_{name}", "users", rule, made_at, NOW, (SNAPSHOT,), items or (item(),))


def entry(code, *, rule="default", due_at=NOW, **other):
    return Entry(rule, SNAPSHOT, item(code, **other), due_at)
