"""The typed records that a parser emits: one frozen dataclass for each fact table.

Fields are named and typed as the columns of the table (``warehouse/tables.py``); ``source``, ``code`` and
``document_id`` are the same for all records of a page and are added when the records are staged.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import ClassVar, Literal

DescriptorKind = Literal["short", "medium", "long", "title", "official", "overview"]
Action = Literal["added", "changed", "deleted", "other"]
Relation = Literal["replaced_by", "related", "diagnosis", "taxonomy"]

Outcome = Literal[
    "parsed",
    "partial",
    "gated",
    "blocked",
    "not_found",
    "unrecognised",
    "layout_changed",
    "mismatched",
    "unidentified",
    "rejected",
    "failed",
]
GOOD_OUTCOMES: tuple[Outcome, ...] = ("parsed", "partial")


@dataclass(frozen=True, slots=True)
class Descriptor:
    table: ClassVar[str] = "descriptors"
    kind: DescriptorKind
    text: str


@dataclass(frozen=True, slots=True)
class Indicator:
    """A payment indicator: ``raw_text`` is what the page said, ``value_code`` its code in CMS terms."""

    table: ClassVar[str] = "indicators"
    indicator: str
    value_code: str | None
    value_text: str | None
    raw_text: str


@dataclass(frozen=True, slots=True)
class HistoryEvent:
    """``ordinal`` counts events of the same day and action, from 1, in page order."""

    table: ClassVar[str] = "history_events"
    event_on: dt.date
    action: Action
    ordinal: int
    notes: str | None


@dataclass(frozen=True, slots=True)
class Narrative:
    """One paragraph or list item; ``ordinal`` counts within the section, from 1."""

    table: ClassVar[str] = "narratives"
    section: str
    ordinal: int
    text: str


@dataclass(frozen=True, slots=True)
class Attribute:
    """``ordinal`` counts within the attribute, from 1."""

    table: ClassVar[str] = "attributes"
    attribute: str
    ordinal: int
    value: str


@dataclass(frozen=True, slots=True)
class Modifier:
    table: ClassVar[str] = "modifiers"
    modifier: str
    description: str | None
    when_to_use: str | None


@dataclass(frozen=True, slots=True)
class RelatedCode:
    """``related_code`` is a code, or a range of codes just as the page wrote it (``X-Y``)."""

    table: ClassVar[str] = "related_codes"
    relation: Relation
    related_system: str
    related_code: str
    description: str | None


@dataclass(frozen=True, slots=True)
class Notice:
    """A copyright line; ``ordinal`` counts from 1 in page order."""

    table: ClassVar[str] = "notices"
    ordinal: int
    holder: str
    year: int | None
    text: str


Record = Descriptor | Indicator | HistoryEvent | Narrative | Attribute | Modifier | RelatedCode | Notice
RECORD_TYPES: tuple[type[Record], ...] = (
    Descriptor,
    Indicator,
    HistoryEvent,
    Narrative,
    Attribute,
    Modifier,
    RelatedCode,
    Notice,
)


@dataclass(frozen=True, slots=True)
class Unmapped:
    """A block that nobody claimed: ``block`` is its place in the page, from 0."""

    block: int
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class ParseWarning:
    """Something a person should look at; the record it speaks of is kept.

    ``table_name`` and ``row_key`` (key values after source and code, joined by ``|``) name the row.
    """

    rule: str
    table_name: str
    row_key: str
    column_name: str | None
    value: str | None
    message: str


@dataclass(frozen=True, slots=True)
class ParseResult:
    """What one page turned out to be. A function of (bytes, url, parser version) alone."""

    url: str
    source: str | None
    code: str | None
    parser: str
    parser_version: int
    outcome: Outcome
    reason: str | None = None
    truncated: bool = False
    covered_tables: tuple[str, ...] = ()
    blocks: int = 0
    claimed: int = 0
    set_aside: int = 0
    records: tuple[Record, ...] = ()
    unmapped: tuple[Unmapped, ...] = ()
    warnings: tuple[ParseWarning, ...] = ()
    set_aside_rules: tuple[tuple[str, int], ...] = field(default=())
    traceback: str | None = None
    retry: bool = False
    """True where the same bytes may fare better next time (the time limit): such a result is not staged."""
