"""Tables of codes: modifiers, related codes, diagnoses and taxonomies, told by their header or their heading."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from parsers import codes
from parsers.page import Block, Reading
from parsers.records import Modifier, ParseWarning, RelatedCode, Relation
from parsers.words import fold

# First cell of a header, or the heading above it -> the table. Ex: "Modifier", "ICD-10 Code", "Provider Taxonomies"
_TABLES = tuple(
    (re.compile(pattern), kind)
    for pattern, kind in (
        (r"modifiers?(?: codes?)?", "modifiers"),
        (r"(?:provider )?taxonom(?:y|ies)(?: codes?)?|nucc(?: taxonomy)? codes?", "taxonomy"),
        (r"icd-?10(?:-cm)?(?: diagnos[ei]s)?(?: codes?)?|diagnos[ei]s(?: codes?)?", "diagnosis"),
        (r"related (?:cpt |hcpcs |billing |procedure )?codes?|(?:cpt|hcpcs)(?: codes?)?", "related"),
    )
)
_SYSTEMS: dict[str, tuple[Relation, str, re.Pattern[str]]] = {
    "taxonomy": ("taxonomy", "NUCC", re.compile(r"[0-9A-Z]{10}")),
    "diagnosis": ("diagnosis", "ICD-10-CM", re.compile(r"[A-Z][0-9][0-9A-Z](?:\.[0-9A-Z]{1,4})?")),
}
_TABLE_HEADING = re.compile(r"(?:common |applicable |relevant |associated |typical )?(?P<name>.{1,50})")
_PLAIN_CODE = ("code", "codes")
_MODIFIER = re.compile(r"(?:modifier\s+)?-?(?P<modifier>[0-9A-Z]{2})", re.IGNORECASE)


def kind_of_heading(text: str) -> str | None:
    """The kind of table that a heading announces, or None. Ex: "Common Modifiers", "ICD-10 Diagnoses"."""
    match = _TABLE_HEADING.fullmatch(fold(text))
    return _kind(match["name"]) if match else None


def kind_of_header(header: Block, announced: str | None) -> str | None:
    """The kind of table under ``header``; where it says only "Code", the heading above it decides."""
    first = fold(header.cells[0])
    return announced if first in _PLAIN_CODE else _kind(first)


def table_of(kind: str) -> str:
    return "modifiers" if kind == "modifiers" else "related_codes"


def _kind(text: str) -> str | None:
    return next((kind for pattern, kind in _TABLES if pattern.fullmatch(text)), None)


def rows_under(blocks: Sequence[Block], header: int) -> list[Block]:
    """The rows of the table whose header row is ``blocks[header]``."""
    rows = []
    for block in blocks[header + 1 :]:
        if block.table != blocks[header].table or not block.cells:
            break
        rows.append(block)
    return rows


def claim_rows(reading: Reading, kind: str, header: Block, rows: Sequence[Block]) -> None:
    """Claim the rows of a table of codes; a row whose code cannot be read stays unmapped, with a warning."""
    names = [fold(cell) for cell in header.cells]
    for row in rows:
        cells = dict(zip(names, row.cells, strict=False))
        if len(row.cells) == 2 and len(names) == 2:
            cells = {"description": row.cells[1]}
        record = _record(kind, row.cells[0], cells)
        table = table_of(kind)
        if record is None:
            message = f"no code of the table {kind}: the row is in unmapped"
            warning = ParseWarning("unreadable_code", table, row.cells[0], None, row.cells[0], message)
            reading.leave_unmapped(row)
            reading.claim(row, table=table, warnings=[warning])
            continue
        when_to_use = record.when_to_use if isinstance(record, Modifier) else None
        if Counter(filter(None, row.cells)) - Counter([row.cells[0], record.description or "", when_to_use or ""]):
            reading.leave_unmapped(row)  # a column that no table of ours has: its words are kept there
        reading.claim(row, record)


def _record(kind: str, key: str, cells: dict[str, str]) -> Modifier | RelatedCode | None:
    description = cells.get("description") or cells.get("descriptor") or None
    if kind == "modifiers":
        match = _MODIFIER.fullmatch(key)
        return Modifier(match["modifier"].upper(), description, cells.get("when to use") or None) if match else None
    if kind == "related":
        code = codes.normal(key)
        return RelatedCode("related", codes.system_of(code), code, description) if code else None
    relation, system, pattern = _SYSTEMS[kind]
    return RelatedCode(relation, system, key.upper(), description) if pattern.fullmatch(key.upper()) else None
