"""What an alert is made of: items (a change, as a person would tell it), conditions (of the pipeline), messages."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal

Audience = Literal["users", "operators"]


@dataclass(frozen=True, slots=True)
class Item:
    """One change of a code, as a person would tell it. Several rows of ``changes`` may be behind it.

    Words of pages stand in here as they are (``title``, ``before``, ``after``): whoever shows them escapes them. With
    ``rights = "codes-only"`` they were left out when the item was made.
    """

    event_id: str
    """the ``event_id`` of its leading row in ``changes``: a repeat of the item carries the same"""
    event_ids: tuple[str, ...]
    """of all its rows, the leading one first"""
    change_type: str
    """one of CHANGE_TYPES"""
    cause: str
    severity: str
    """critical (codes that come, go or come back), warning (values), info (words around them)"""
    code: str
    category: str
    title: str | None
    sources: tuple[str, ...]
    """sites that tell it; none where it follows from what all of them say"""
    column: str | None
    """what differs, as rules name it: an indicator, a kind of descriptor, a column. Ex: mue, short, deleted_on"""
    what: str
    """the same in words. Ex: "indicator mue" """
    before: str | None
    after: str | None
    withheld_text: bool
    """whether ``before`` and ``after`` were left out, for the rights of the owner"""
    effective_on: dt.date | None
    seen_at: dt.datetime
    """when the page that tells it was fetched; else the snapshot's as-of time"""
    url: str | None
    """address of that page, without secrets"""
    document_id: str | None
    replaced_by: tuple[str, ...]
    snapshot_id: str
    parent_snapshot_id: str
    rights: str = "full"
    """those that it was made with"""


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that is wrong with the pipeline, or that has ended. Told once when it begins, once when it ends."""

    name: str
    """kind and subject. Ex: "suspect:openpayer", "run_failed", "stale:codingahead" """
    kind: str
    subject: str | None
    severity: str
    began_at: dt.datetime
    ended_at: dt.datetime | None
    what: str
    """what was found, in a sentence; no words of pages"""
    advice: str
    """what to do; docs/operating.md has a section for each kind"""
    run_id: str | None


@dataclass(frozen=True, slots=True)
class Message:
    """One message of one rule. A repeat carries the same ``message_id``."""

    message_id: str
    audience: Audience
    rule: str
    """the rule that picked it; "operators" for operators' alerts"""
    made_at: dt.datetime
    as_of: dt.datetime | None
    """data time of the newest snapshot that it tells of"""
    snapshot_ids: tuple[str, ...]
    items: tuple[Item, ...] = ()
    conditions: tuple[Condition, ...] = ()
    more: dict[str, int] | None = None
    """items beyond the rule's limit, counted by change type"""
    more_at: str | None = None
    """where those stand: a command or an address"""
