"""The one description of every table: columns, types, keys, nullability, meaning.

It drives the Arrow schemas on disk, the expectation suites (``warehouse/rules.py``) and the data dictionary
(``docs/data-dictionary.md``). Change a table here and nowhere else.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import partial
from typing import get_args

import pyarrow as pa

from parsers.records import Action, DescriptorKind, Outcome, Relation

STRING = pa.string()
INT32 = pa.int32()
INT64 = pa.int64()
BOOL = pa.bool_()
DATE = pa.date32()
TIMESTAMP = pa.timestamp("us", tz="UTC")

CODE_PATTERN = r"^(?:[0-9]{4}[0-9FTUM]|[A-V][0-9]{4})$"
# A range stays as the page wrote it. Ex: "33361-33366"
CODE_OR_RANGE_PATTERN = r"^(?:[0-9]{4}[0-9FTUM]|[A-V][0-9]{4})(?:-(?:[0-9]{4}[0-9FTUM]|[A-V][0-9]{4}))?$"
SHA256_PATTERN = r"^[0-9a-f]{64}$"
MODIFIER_PATTERN = r"^[A-Z0-9]{2}$"
NAME_PATTERN = r"^[a-z][a-z0-9_]*$"
TABLE_LIST_PATTERN = r"^(?:[a-z_]+(?:,[a-z_]+)*)?$"
EVENT_ID_PATTERN = r"^[0-9a-f]{32}$"
SNAPSHOT_ID_PATTERN = r"^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}$"
BLOCK_KINDS = ("heading", "paragraph", "item", "pair", "row")

# Names, and what they mean.
_INDICATORS = {
    "status": "CMS status code of the fee schedule (A, B, C, ...)",
    "global_days": "global surgery period (000, 010, 090, MMM, XXX, YYY, ZZZ)",
    "pctc": "professional/technical component indicator, modifiers 26 and TC",
    "multiple_procedures": "multiple procedure payment rule, modifier 51",
    "bilateral_surgery": "bilateral surgery payment rule, modifier 50",
    "physician_supervision": "level of physician supervision of a diagnostic test",
    "assistant_surgeon": "assistant at surgery rule, modifiers 80 and 82",
    "co_surgeons": "co-surgeon rule, modifier 62",
    "team_surgery": "team surgery rule, modifier 66",
    "diagnostic_imaging_family": "diagnostic imaging family (88 or 99)",
    "apc_status": "OPPS status of the ambulatory payment classification",
    "type_of_service": "CMS type of service",
    "betos": "Berenson-Eggers type of service",
    "mue": "medically unlikely edit: most units of a day",
    "ccs": "AHRQ clinical classification",
}
INDICATORS = tuple(_INDICATORS)
DESCRIPTOR_KINDS: tuple[str, ...] = get_args(DescriptorKind)
ACTIONS: tuple[str, ...] = get_args(Action)
RELATIONS: tuple[str, ...] = get_args(Relation)
OUTCOMES: tuple[str, ...] = get_args(Outcome)
CATEGORIES = ("I", "II", "III", "PLA", "MAAA", "HCPCS-II")
SEVERITIES = ("critical", "warning", "info")
CHANGE_TYPES = (
    "code_added",
    "code_deleted",
    "code_reinstated",
    "descriptor_changed",
    "indicator_changed",
    "history_event_added",
    "modifier_changed",
    "relation_changed",
    "attribute_changed",
    "narrative_changed",
)
CAUSES = ("restore", "parser", "schema", "source")
"""In the order in which they add up: see ``compare.py``."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column. ``volatile`` values may differ without being news, and are never compared.

    ``values``, ``pattern``, ``max_length`` (characters) and ``minimum`` become rules (``rules.py``).
    """

    name: str
    description: str
    type: pa.DataType = STRING
    nullable: bool = True
    values: tuple[str, ...] | None = None
    pattern: str | None = None
    max_length: int | None = None
    minimum: int | None = None
    volatile: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """One table.

    ``kind``: ``fact`` tables are staged from records, ``derived`` ones are made from them, ``log`` tables
    (documents, unmapped, quarantine) tell how, ``run`` tables depend on the parent snapshot.
    """

    name: str
    kind: str
    description: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def compared(self) -> tuple[str, ...]:
        """The columns beside the key in which a difference is news."""
        return tuple(c.name for c in self.columns if not c.volatile and c.name not in self.key)

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema on disk, with a description on the table and on every column."""
        return pa.schema(
            [
                pa.field(c.name, c.type, nullable=c.nullable, metadata={"description": c.description})
                for c in self.columns
            ],
            metadata={"table": self.name, "description": self.description, "key": ",".join(self.key)},
        )


_required = partial(Column, nullable=False)
_count = partial(_required, type=INT32, minimum=0)

_SOURCE = _required("source", "Site that the row was read from.", pattern=NAME_PATTERN)
_CODE = _required("code", "The CPT or HCPCS code, five characters.", pattern=CODE_PATTERN)
_DOCUMENT_ID = _required(
    "document_id",
    "sha256 of the page's bytes; see `documents`. Moves when a page's counters do, so it is not compared.",
    pattern=SHA256_PATTERN,
    volatile=True,
)


def _fact(name: str, description: str, key: tuple[str, ...], *columns: Column) -> Table:
    columns = (_SOURCE, _CODE, *columns, _DOCUMENT_ID)
    return Table(name, "fact", description, ("source", "code", *key), columns)


def _ordinal(what: str) -> Column:
    return _required("ordinal", f"Place among {what}, from 1.", INT32, minimum=1)


CODES = Table(
    "codes",
    "derived",
    "One row for each code: each value from the most trusted source that has it.",
    ("code",),
    (
        _CODE,
        _required("code_system", "CPT or HCPCS.", values=("CPT", "HCPCS")),
        _required("category", "Category, told by the code's form.", values=CATEGORIES),
        Column("title", "A site's own title for the code.", max_length=1000),
        Column("short_descriptor", "Short descriptor (28 characters in CMS files).", max_length=4000),
        Column("medium_descriptor", "Medium descriptor (48 in AMA files).", max_length=4000),
        Column("long_descriptor", "Long descriptor.", max_length=4000),
        _required(
            "status",
            "As of the snapshot: the latest addition or deletion up to its as-of date decides, later ones are only "
            "announced; a banner decides where no history speaks, or on a newer page that lost its history.",
            values=("active", "deleted", "unknown"),
        ),
        Column("added_on", "First day the code was valid.", DATE),
        Column("changed_on", "Day of the latest change that its history tells.", DATE),
        Column(
            "deleted_on",
            "First day the code is gone, past or announced; null where neither is told. A deletion written as "
            "31 December is the next day's: both notations mean the same day.",
            DATE,
        ),
        *(Column(f"{name}_code", f"Code of the {what}.", max_length=8) for name, what in _INDICATORS.items()),
        _required("first_seen_at", "When a readable page of this code was first fetched.", TIMESTAMP, volatile=True),
        _required("source_count", "How many sources have a readable page of this code.", INT32, minimum=1),
    ),
)

DESCRIPTORS = _fact(
    "descriptors",
    "What each source calls the code.",
    ("kind",),
    _required("kind", "Which descriptor.", values=DESCRIPTOR_KINDS),
    _required("text", "The descriptor as the page wrote it.", max_length=4000),
)

INDICATORS_TABLE = _fact(
    "indicators",
    "Payment indicators, each with what the page said.",
    ("indicator",),
    _required("indicator", "Which indicator.", values=INDICATORS),
    Column("value_code", "Its code in CMS terms; null where the page gives none or unknown words.", max_length=8),
    Column("value_text", "The page's words for the value; null for words that mean 'no value'.", max_length=2000),
    _required("raw_text", "The value as the page wrote it.", max_length=2000),
)

HISTORY_EVENTS = _fact(
    "history_events",
    "The code's history as its source tells it.",
    ("event_on", "action", "ordinal"),
    _required("event_on", "Day of the event, as written.", DATE),
    _required("action", "What happened.", values=ACTIONS),
    _ordinal("events of the same day and action, in page order"),
    Column("notes", "The page's note.", max_length=4000),
)

NARRATIVES = _fact(
    "narratives",
    "Prose, a paragraph or list item a row.",
    ("section", "ordinal"),
    _required(
        "section",
        "description, indications, procedure, post_procedure, summary, overview, clinical_context, purpose, "
        "preparation, duration, setting, personnel, risks, contraindications, benefits, recovery, follow_up, "
        "alternatives, outcomes, patient_experience, or unplaced where an extract lost its headings and the section "
        "cannot be told.",
        pattern=NAME_PATTERN,
    ),
    _ordinal("the section's paragraphs"),
    _required("text", "The words.", max_length=20_000),
)

ATTRIBUTES = _fact(
    "attributes",
    "Small facts by name.",
    ("attribute", "ordinal"),
    _required(
        "attribute",
        "service_type, site_of_service, payer (canonical name), deletion_notice (a banner's words), common_name, "
        "technical_term, procedure_name, not_available (what the page says it lacks), page_gone (an address that two "
        "complete crawls in a row found gone).",
        pattern=NAME_PATTERN,
    ),
    _ordinal("the attribute's values, in page order"),
    _required("value", "The value.", max_length=4000),
)

MODIFIERS = _fact(
    "modifiers",
    "Modifiers that a source lists for the code.",
    ("modifier",),
    _required("modifier", "The modifier.", pattern=MODIFIER_PATTERN),
    Column("description", "What it means.", max_length=4000),
    Column("when_to_use", "When the source says to use it.", max_length=4000),
)

RELATED_CODES = _fact(
    "related_codes",
    "Codes that a source names beside this one.",
    ("relation", "related_system", "related_code"),
    _required("relation", "How they are related.", values=RELATIONS),
    _required("related_system", "Its code system.", values=("CPT", "HCPCS", "ICD-10-CM", "NUCC")),
    _required("related_code", "The related code, or a range of codes as written (X-Y).", max_length=40),
    Column("description", "The page's words for it.", max_length=4000),
)

NOTICES = _fact(
    "notices",
    "Copyright lines.",
    ("ordinal",),
    _ordinal("the page's notices"),
    _required("holder", "Who holds the right.", max_length=200),
    # Years roll over on every page each January: no news of a code.
    Column("year", "Year of the notice.", INT32, volatile=True),
    _required("text", "The line as written.", max_length=2000, volatile=True),
)

DOCUMENTS = Table(
    "documents",
    "log",
    "Pages that the rows rest on, and the latest capture of each url.",
    ("document_id", "url"),
    (
        _required("document_id", "sha256 of the page's bytes.", pattern=SHA256_PATTERN),
        _required("url", "Address, or a file: URI relative to the landed folder.", max_length=8192),
        Column("source", "Site, where one was recognised.", pattern=NAME_PATTERN),
        Column("code", "The page's code, where one was found.", pattern=CODE_PATTERN),
        _required("parser", "Parser that read it; `none` where no parser knew it.", pattern=NAME_PATTERN),
        _count("parser_version", "That parser's version."),
        _required("fetched_at", "When these bytes were first seen at this url.", TIMESTAMP),
        _required("outcome", "What the page turned out to be.", values=OUTCOMES),
        Column("reason", "Why, where the outcome is not `parsed`.", max_length=2000),
        _required("truncated", "Whether the page was cut off.", BOOL),
        Column("media_type", "Media type of the capture.", max_length=200),
        _count("byte_size", "Size of the page in bytes.", type=INT64),
        _required("covered_tables", "Tables that this page saw whole, comma-separated.", pattern=TABLE_LIST_PATTERN),
        _count("blocks", "Blocks read from the page."),
        _count("claimed", "Blocks that became records."),
        _count("set_aside", "Blocks set aside by a named rule."),
        _count("unmapped", "Blocks that nobody claimed."),
    ),
)

UNMAPPED = Table(
    "unmapped",
    "log",
    "Text of the pages in use that no parser claimed.",
    ("document_id", "block"),
    (
        _required("document_id", "See `documents`.", pattern=SHA256_PATTERN),
        _count("block", "Place in the page, from 0."),
        _required("kind", "What it looked like.", values=BLOCK_KINDS),
        _required("text", "The words.", max_length=100_000),
    ),
)

QUARANTINE = Table(
    "quarantine",
    "log",
    "Rows that broke a rule. Critical rows are held back here; others are also in their table.",
    ("table_name", "row_key", "rule"),
    (
        _required("table_name", "Table of the row.", pattern=NAME_PATTERN),
        _required("row_key", "The row's key values, joined by |.", max_length=9000),
        _required("rule", "Rule that it broke.", pattern=NAME_PATTERN),
        Column("source", "The row's source.", max_length=1000),
        Column("code", "The row's code.", max_length=1000),
        Column("document_id", "Page that the row came from.", max_length=1000),
        Column("column_name", "Column at fault, where it is one.", pattern=NAME_PATTERN),
        Column("value", "The offending value, cut after 1000 characters.", max_length=1001),
        _required("message", "What is wrong, in words.", max_length=4000),
        _required("severity", "critical (held back), warning or info.", values=SEVERITIES),
    ),
)

CHANGES = Table(
    "changes",
    "run",
    "What differs from the parent snapshot. Empty in a first snapshot.",
    ("event_id",),
    (
        _required(
            "event_id",
            "Hash of what changed since which snapshot: a run done again gives the same id.",
            pattern=EVENT_ID_PATTERN,
        ),
        _required("change_type", "Kind of change.", values=CHANGE_TYPES),
        _required(
            "cause",
            "Who changed: the source, our parser (or the order of trust), our schema, or a person who restored an "
            "older snapshot; what a run brings back after that is of `restore` too. Only `source` is news of a code.",
            values=CAUSES,
        ),
        Column("source", "Source of the row; null for `codes`.", pattern=NAME_PATTERN),
        _required("code", "The code.", pattern=CODE_PATTERN),
        _required("table_name", "Table of the row.", pattern=NAME_PATTERN),
        _required("row_key", "The row's key values, joined by |.", max_length=9000),
        Column(
            "column_name",
            "Column that changed; null where a whole row came or went (then in before or after, as JSON).",
            pattern=NAME_PATTERN,
        ),
        Column("before", "Value in the parent.", max_length=200_000),
        Column("after", "Value in this snapshot.", max_length=200_000),
        Column("effective_on", "From which day the change counts, where the source says so.", DATE),
        _required("parent_snapshot_id", "The parent.", pattern=SNAPSHOT_ID_PATTERN),
    ),
)


def _as_in_codes(column: Column) -> Column:
    """A value of a state that may be older than the column, and than what is allowed in it today."""
    return Column(column.name, column.description, column.type)


CODE_VERSIONS = Table(
    "code_versions",
    "run",
    "One row for each state that a code was in, over all snapshots that are kept: `codes` through time.",
    ("code", "version"),
    (
        _CODE,
        _required("version", "Which state of the code, from 1; earlier ones may have expired.", INT32, minimum=1),
        *(_as_in_codes(CODES.column(name)) for name in CODES.compared),
        _required(
            "valid_from",
            "Since when, in data time: the snapshot's as-of time, or its parent's where that is later. A state held at "
            "`t` where `valid_from <= t and (valid_to is null or t < valid_to)`: one row for each code there was.",
            TIMESTAMP,
        ),
        Column(
            "valid_to",
            "Until when; null where it is so in this snapshot. The same as `valid_from` where it was corrected without "
            "newer pages.",
            TIMESTAMP,
        ),
        _required(
            "first_snapshot", "Number of the first snapshot with it (`number` in its manifest).", INT32, minimum=1
        ),
        Column("last_snapshot", "Number of the last one; null where it is so in this snapshot.", INT32, minimum=1),
    ),
)

SNAPSHOT = Table(
    "snapshot",
    "run",
    "This snapshot.",
    ("snapshot_id",),
    (
        _required("snapshot_id", "Its name: as-of time and content hash.", pattern=SNAPSHOT_ID_PATTERN),
        Column("parent_snapshot_id", "The one before it; null for the first.", pattern=SNAPSHOT_ID_PATTERN),
        _required("published_at", "When it was published.", TIMESTAMP),
        _required("run_id", "The run that published it.", max_length=64),
        _count("codes", "Rows of `codes`.", type=INT64),
        _count("documents", "Rows of `documents`.", type=INT64),
        _count("changes", "Rows of `changes`.", type=INT64),
        _required("cptflow_version", "Version that wrote it.", max_length=64),
    ),
)

FACTS: tuple[Table, ...] = (
    DESCRIPTORS,
    INDICATORS_TABLE,
    HISTORY_EVENTS,
    NARRATIVES,
    ATTRIBUTES,
    MODIFIERS,
    RELATED_CODES,
    NOTICES,
)
# The order in which people meet them.
TABLES: tuple[Table, ...] = (CODES, *FACTS, DOCUMENTS, UNMAPPED, QUARANTINE, CHANGES, CODE_VERSIONS, SNAPSHOT)
COMPARED: tuple[Table, ...] = (CODES, *FACTS)
BY_NAME: dict[str, Table] = {table.name: table for table in TABLES}


def fingerprint(table: Table) -> str:
    """sha256 of the table's names, types, nullability and key: equal where files can be compared."""
    shape = [table.name, list(table.key), [[c.name, str(c.type), c.nullable] for c in table.columns]]
    return hashlib.sha256(json.dumps(shape).encode()).hexdigest()
