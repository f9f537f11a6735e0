"""What must hold of the tables, as data: rules over rows, and rules over whole tables.

A row that breaks a critical row rule is held back in ``quarantine``; where more rows of a table break it than its limit
allows, publication stops. A broken table rule stops publication at once. Each column of ``tables.py`` has one rule
for its form, which a missing value in a required column breaks as well; what columns and tables owe each other stands
below, what a snapshot owes its parent in ``bands.py``. ``frames.py`` makes what the rules look at, ``expectations.py``
runs them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from parsers import vocabulary
from warehouse.tables import (
    BOOL,
    CHANGES,
    CODE_OR_RANGE_PATTERN,
    CODE_PATTERN,
    CODE_VERSIONS,
    CODES,
    DATE,
    DOCUMENTS,
    EVENT_ID_PATTERN,
    FACTS,
    INDICATORS,
    INDICATORS_TABLE,
    MODIFIER_PATTERN,
    NAME_PATTERN,
    QUARANTINE,
    RELATED_CODES,
    SHA256_PATTERN,
    SNAPSHOT,
    SNAPSHOT_ID_PATTERN,
    STRING,
    TABLE_LIST_PATTERN,
    TIMESTAMP,
    UNMAPPED,
    Column,
    Table,
)

FIRST_DAY = dt.date(1966, 1, 1)
"""CPT was first published in 1966."""
DAYS_AHEAD = 731
"""Code sets are announced about a year ahead; two years are no slip of the pen."""
LONGEST = 200_000
"""Characters of a text of which no more is known than that it is one."""


@dataclass(frozen=True, slots=True)
class Limit:
    """How many rows of a table may break a rule before publication stops: ``handful`` whatever its size, ``few`` if
    they are no more than half of it, or ``share`` of it, whichever is the most."""

    handful: int
    few: int
    share: float

    def of(self, rows: int) -> int:
        return max(self.handful, min(self.few, rows // 2), int(self.share * rows))

    def __str__(self) -> str:
        return f"{self.share:.0%}; {self.few} or half of a small table"


USUAL = Limit(handful=5, few=25, share=0.02)
"""Above it, a site or a parser has changed, and what is left is no fair picture. One bad page of three, or of one, says
nothing about a site."""
ORPHANS = Limit(handful=200, few=1000, share=0.05)
"""A page or code that is held back, which is judged by itself, takes its rows along: up to forty in a table, and long
pages more than their share."""
NONE = Limit(handful=0, few=0, share=0.0)
"""The row was made by us: if it is wrong, so are we."""

# Made by us, and nowhere to hold a row back to.
_NO_ROW_MAY_BREAK = (QUARANTINE.name, "changes", CODE_VERSIONS.name, "snapshot")
FORMS = {  # in words
    CODE_PATTERN: "a CPT or HCPCS code: four digits and a digit, F, T, U or M, or a letter A to V and four digits",
    CODE_OR_RANGE_PATTERN: "a CPT or HCPCS code, or a range of two with a hyphen between them",
    SHA256_PATTERN: "a sha256 in 64 hexadecimal digits",
    MODIFIER_PATTERN: "two letters or digits",
    NAME_PATTERN: "a name of lower-case letters, digits and underscores",
    TABLE_LIST_PATTERN: "names of tables with commas between them",
    EVENT_ID_PATTERN: "32 hexadecimal digits",
    SNAPSHOT_ID_PATTERN: "a snapshot's id, as 20260301T120000Z-0123abcd",
}


@dataclass(frozen=True, slots=True)
class RowRule:
    """``expectation``: a class of great_expectations.expectations, run with ``arguments`` over the table's frame.

    ``columns``: what the rule is about; the first one's value is shown. ``severity``: rows that break a critical rule
    are held back; others stay, and are told. ``limit``: None stands for the usual one: ``USUAL`` for critical rules,
    ``NONE`` in tables that we make, any number for others.
    """

    name: str
    table: str
    columns: tuple[str, ...]
    expectation: str
    arguments: Mapping[str, object]
    message: str
    severity: str = "critical"
    limit: Limit | None = None

    def allowed(self, rows: int) -> int | None:
        """How many of a table's ``rows`` may break the rule before publication stops; None: any number."""
        limit = self.limit_in_force
        return None if limit is None else limit.of(rows)

    @property
    def limit_in_force(self) -> Limit | None:
        if self.limit is not None:
            return self.limit
        if self.severity != "critical":
            return None
        return NONE if self.table in _NO_ROW_MAY_BREAK else USUAL

    @property
    def holds_back(self) -> bool:
        """Whether rows that break it leave their table; where none may, there is nothing to publish without them."""
        return self.severity == "critical" and self.limit_in_force != NONE


@dataclass(frozen=True, slots=True)
class TableRule:
    """``limit``: what ``expectation``, run with ``arguments``, allows: told beside what was found."""

    name: str
    table: str
    expectation: str
    arguments: Mapping[str, object]
    limit: int
    message: str
    severity: str = "critical"


def row_rules(table: Table, as_of: dt.datetime) -> tuple[RowRule, ...]:
    """The row rules of ``table``: its key, the form of each column, and what its columns and other tables say."""
    # Of these, `document_known` asks more than their form.
    by_page = ("source", "document_id") if table in FACTS else ("document_id",) if table is UNMAPPED else ()
    forms = (_form(table, column, as_of) for column in table.columns if column.name not in by_page)
    return (_unique(table), *forms, *_own(table))


def table_rules(table: Table, readable_pages: int, codes: int) -> tuple[TableRule, ...]:
    """Rules of the whole table. ``readable_pages``: how many pages the tables could be made from; ``codes``: rows of
    the table ``codes``."""
    if table is CODE_VERSIONS:
        expected = {"column": "open_code", "min_value": codes, "max_value": codes}
        message = "each code of codes has the state that it is in"
        expectation = "ExpectColumnUniqueValueCountToBeBetween"
        return (TableRule("every_code_open", table.name, expectation, expected, codes, message),)
    if table is CODES and readable_pages:
        least = {"min_value": 1}
        message = "pages were read, and yet there is no code"
        return (TableRule("codes_found", table.name, "ExpectTableRowCountToBeBetween", least, 1, message),)
    if table is SNAPSHOT:
        message = "a snapshot describes itself in one row"
        return (TableRule("one_row", table.name, "ExpectTableRowCountToEqual", {"value": 1}, 1, message),)
    return ()


def _unique(table: Table) -> RowRule:
    message = f"rows with the same {', '.join(table.key)} say different things"
    if len(table.key) == 1:
        column = {"column": table.key[0]}
        return RowRule("key_unique", table.name, table.key, "ExpectColumnValuesToBeUnique", column, message)
    columns = {"column_list": list(table.key)}
    return RowRule("key_unique", table.name, table.key, "ExpectCompoundColumnsToBeUnique", columns, message)


def _form(table: Table, column: Column, as_of: dt.datetime) -> RowRule:
    """The one rule of a column's form: a set of values, a pattern, a length or a range."""
    suffix, expectation, arguments, words = _allowed(table, column, as_of)
    must = "is required and must be" if not column.nullable else "must be"
    return RowRule(
        f"{column.name}_{suffix}",
        table.name,
        (column.name,),
        expectation,
        {"column": column.name, **arguments},
        f"{column.name} {must} {words}",
        # A code or a page is never held back for a value that it can do without: all its rows would go with it.
        "warning" if column.nullable and table in _FORGIVING and column.name not in _IDENTITY else "critical",
    )


_FORGIVING = (CODES, DOCUMENTS, CODE_VERSIONS)
_IDENTITY = ("source", "code")


def _allowed(table: Table, column: Column, as_of: dt.datetime) -> tuple[str, str, dict[str, object], str]:
    values = allowed_values(table, column)
    if values is not None:
        return "known", "ExpectColumnValuesToBeInSet", {"value_set": list(values)}, "one of " + ", ".join(values)
    if column.pattern is not None:
        words = FORMS.get(column.pattern, f"of the form {column.pattern}")
        return "form", "ExpectColumnValuesToMatchRegex", _whole(column.pattern), words
    if column.type == STRING:
        least, most = 0 if column.nullable else 1, column.max_length or LONGEST
        arguments: dict[str, object] = {"min_value": least, "max_value": most}
        return "length", "ExpectColumnValueLengthsToBeBetween", arguments, f"a text of {least} to {most} characters"
    low, high, words = _range(table, column, as_of)
    return "plausible", "ExpectColumnValuesToBeBetween", {"min_value": low, "max_value": high}, words


def _whole(pattern: str) -> dict[str, object]:
    """In Python, $ also matches before a last line end; a code with one is none."""
    return {"regex": pattern.removesuffix("$") + r"\Z"}


def allowed_values(table: Table, column: Column) -> tuple[str, ...] | None:
    """All values that a column may have beside null, or None where there is no closed list."""
    indicator = column.name.removesuffix("_code")
    if table is CODES and column.name.endswith("_code") and (known := vocabulary.values(indicator)):
        return tuple(sorted(known))
    return ("true", "false") if column.type == BOOL else column.values


def _range(table: Table, column: Column, as_of: dt.datetime) -> tuple[int, int | None, str]:
    """Lowest and highest number in the frame: days since 1970 for dates, microseconds for timestamps."""
    if column.type == DATE:
        # One day more in what is derived: a deletion on 31 December stands there as the next day.
        last = _days_after(as_of.date(), DAYS_AHEAD + (table not in FACTS))
        return _day(FIRST_DAY), _day(last), f"a day from {FIRST_DAY} to {last}"
    if column.type == TIMESTAMP:
        return _day(FIRST_DAY) * 86_400_000_000, None, f"a time after {FIRST_DAY}"
    if column.name == "year":
        latest = max(as_of.year + 2, FIRST_DAY.year)
        return FIRST_DAY.year, latest, f"a year from {FIRST_DAY.year} to {latest}"
    return column.minimum or 0, None, f"a number from {column.minimum or 0} on"


def _days_after(day: dt.date, days: int) -> dt.date:
    """Never before FIRST_DAY nor past the last day there is: a capture may carry any date."""
    return max(FIRST_DAY, day + min(dt.timedelta(days), dt.date.max - day))


def _day(day: dt.date) -> int:
    return (day - dt.date(1970, 1, 1)).days


def _own(table: Table) -> Iterator[RowRule]:
    """What columns owe each other and tables owe each other. Columns that only the frame has: see ``frames.py``."""
    if table in FACTS or table is UNMAPPED:
        page = ("document_id",) if table is UNMAPPED else ("document_id", "source", "code")
        yield _present(table, "document_known", page, f"documents has no page with this {', '.join(page)}", ORPHANS)
    if table in FACTS:
        yield _present(table, "code_known", ("code",), "codes has no such code", ORPHANS)
    if table is CODES:
        yield from _codes(table)
    if table is INDICATORS_TABLE:
        message = "value_code must be a value that CMS defines for the indicator"
        known = {"column": "setting", "value_set": sorted(settings())}
        columns = ("value_code", "indicator")
        yield RowRule("setting_known", table.name, columns, "ExpectColumnValuesToBeInSet", known, message)
    if table is RELATED_CODES:
        yield from _related_codes(table)
    if table is DOCUMENTS:
        message = "a page that was read must have a source and a code"
        yield _present(table, "read_page_named", ("code", "source", "outcome"), message)
        message = "claimed, set_aside and unmapped must add up to blocks"
        counts = ("blocks", "claimed", "set_aside", "unmapped")
        yield _equal(table, "blocks_add_up", counts, "blocks_told", message, "warning")
    if table is CHANGES:
        yield _present(table, "values_differ", ("after", "before"), "before and after must differ")
        message = "parent_snapshot_id must be the parent of this snapshot"
        yield _present(table, "parent_agrees", ("parent_snapshot_id",), message)
    if table is CODE_VERSIONS:
        yield from _code_versions(table)
    if table is SNAPSHOT:
        for counted in ("codes", "documents", "changes"):
            message = f"{counted} must be the number of rows in the table {counted}"
            yield _equal(table, f"{counted}_counted", (counted,), f"{counted}_counted", message, "critical")


def _present(
    table: Table,
    name: str,
    columns: tuple[str, ...],
    message: str,
    limit: Limit | None = None,
    severity: str = "critical",
) -> RowRule:
    """The frame has a column ``name`` that is null where the rule is broken, as a left join leaves it."""
    expectation = "ExpectColumnValuesToNotBeNull"
    return RowRule(name, table.name, columns, expectation, {"column": name}, message, severity, limit)


def _equal(table: Table, name: str, columns: tuple[str, ...], made: str, message: str, severity: str) -> RowRule:
    """The first of ``columns`` must equal the frame's column ``made``."""
    pair = {"column_A": columns[0], "column_B": made}
    return RowRule(name, table.name, columns, "ExpectColumnPairValuesToBeEqual", pair, message, severity)


def _codes(table: Table) -> Iterator[RowRule]:
    forms = (
        "CPT I [0-9]{5}|CPT II [0-9]{4}F|CPT III [0-9]{4}T|CPT PLA [0-9]{4}U|CPT MAAA [0-9]{4}M"
        "|HCPCS HCPCS-II [A-V][0-9]{4}"
    )
    yield RowRule(
        "category_agrees",
        table.name,
        ("category", "code_system", "code"),
        "ExpectColumnValuesToMatchRegex",
        {"column": "form", **_whole(f"^(?:{forms})$")},
        "code_system and category must be those that the code's form tells",
    )
    # Only a warning: the dates are as the sites write them, and some write odd histories.
    message = "deleted_on must not be before added_on"
    yield _not_before(table, "dates_in_order", ("deleted_on", "added_on"), message, "warning")
    # Law 3. That a code is deleted is our conclusion, so that a single one without evidence stops.
    message = (
        "a code is deleted on evidence only: a deleted_on up to the snapshot's as-of day, a deleted event, a "
        "deletion_notice or a page_gone"
    )
    yield _present(table, "deleted_has_evidence", ("status", "deleted_on"), message, NONE)


def _not_before(
    table: Table, name: str, columns: tuple[str, str], message: str, severity: str = "critical", later: str = ""
) -> RowRule:
    """The first of ``columns`` (or the frame's column ``later``) must not be less than the last, if both are there."""
    pair = {"column_A": later or columns[0], "column_B": columns[-1], "or_equal": True}
    arguments = {**pair, "ignore_row_if": "either_value_is_missing"}
    expectation = "ExpectColumnPairValuesAToBeGreaterThanB"
    return RowRule(name, table.name, columns, expectation, arguments, message, severity)


def _code_versions(table: Table) -> Iterator[RowRule]:
    message = "valid_to must not be before valid_from"
    yield _not_before(table, "validity_in_order", ("valid_to", "valid_from"), message)
    message = "a state must end before the code's next one begins"
    yield _not_before(table, "no_overlap", ("code", "valid_to"), message, later="next_from")
    once = {"column": "open_code"}
    message = "a code is in one state at a time: only one has no valid_to"
    yield RowRule("one_open", table.name, ("code", "valid_to"), "ExpectColumnValuesToBeUnique", once, message)
    message = "codes has no such code, so its last state has a valid_to"
    yield _present(table, "open_code_known", ("code", "valid_to"), message)


def _related_codes(table: Table) -> Iterator[RowRule]:
    cms = {"column": "cms_code", **_whole(CODE_OR_RANGE_PATTERN)}
    # ICD-10-CM and NUCC taxonomy codes. Only a warning: pages shorten them and give ranges.
    form = r"^(?:[A-Z][0-9][0-9A-Z](?:\.?[0-9A-Z]{1,4})?|[0-9]{3}[0-9A-Z]{6}X)$"
    other = {"column": "other_code", **_whole(form)}
    columns = ("related_code", "related_system")
    regex = "ExpectColumnValuesToMatchRegex"
    message = f"a related CPT or HCPCS code must be {FORMS[CODE_OR_RANGE_PATTERN]}"
    yield RowRule("related_code_form", table.name, columns, regex, cms, message)
    replacement = ("related_code", "related_system", "relation")
    message = "a code is replaced by a CPT or HCPCS code"
    yield _present(table, "replacement_system", replacement, message)
    message = "a code must not be replaced by itself"
    yield _present(table, "replacement_other", (*replacement, "code"), message, severity="warning")
    # The site says so, and nothing is wrong with it; whoever follows the replacement finds nothing here.
    message = "codes has no such code: no page of the replacement was captured yet"
    yield _present(table, "replacement_known", replacement, message, severity="info")
    message = "a related code should have the form of an ICD-10-CM code (A00.0) or a taxonomy code (207Q00000X)"
    yield RowRule("foreign_code_form", table.name, columns, regex, other, message, "warning")


def settings() -> set[str]:
    """``indicator=value`` for every value of the indicators that have a closed list of them."""
    return {f"{name}={value}" for name in INDICATORS for value in vocabulary.values(name) or ()}
