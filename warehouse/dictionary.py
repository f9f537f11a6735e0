"""The data dictionary for people who query the tables, written from the table description.

python -m warehouse.dictionary docs/data-dictionary.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from warehouse.freshness import FRESHNESS
from warehouse.rules import DAYS_AHEAD, FIRST_DAY, FORMS, USUAL, allowed_values
from warehouse.tables import COMPARED, FACTS, TABLES, Column, Table

_INTRO = f"""# Data dictionary

<!-- Written by `make docs` from warehouse/tables.py. Do not edit: change the tables and run it again. -->

Each snapshot is a folder of Parquet files (Snappy, flat columns), one for each table. Open `warehouse/current/` in the
home: it always leads to the latest whole snapshot. To see several tables of the same moment, resolve the link once.

- **Codes are text**: `00100` keeps its zeros. Read them as text in spreadsheets and BI tools too.
- Times are UTC with microseconds.
- Null means that no source says so. The words of a page are never changed beyond white space and Unicode form (NFC).
- **volatile** columns may differ from one snapshot to the next without being news; `changes` never tells of them.
- Days lie between {FIRST_DAY} and {DAYS_AHEAD} days after the snapshot's data; rows with others are in `quarantine`.
- A row that breaks a critical rule is in `quarantine` and not in its table. Where more than {USUAL.share:.0%} of a
  table's rows break one (more than {USUAL.few} rows, or more than half of a small table), nothing is published.

## How to join

`codes` has one row for each code and is the table to begin with. The fact tables ({{facts}}) join to it on `code`: each
of their codes is in `codes`. Where several sources tell of a code, they have rows of each.

`document_id` leads to `documents`, which says from which address the page came, when, and what it turned out to be.
The same bytes may have come from several addresses, so take care to join on what is unique:

```sql
SELECT c.code, c.title, i.indicator, i.value_code, i.value_text
FROM codes c JOIN indicators i USING (code)
WHERE c.status = 'active' AND i.source = 'codingahead';

-- What replaces the codes that are gone
SELECT c.code, c.deleted_on, r.related_code
FROM codes c JOIN related_codes r USING (code)
WHERE c.status = 'deleted' AND r.relation = 'replaced_by';

-- Where a row came from
SELECT n.*, d.url, d.fetched_at
FROM narratives n
JOIN (SELECT document_id, source, code, min(url) AS url, min(fetched_at) AS fetched_at
      FROM documents GROUP BY ALL) d USING (document_id, source, code);
```
"""


def render() -> str:
    """The whole page, as Markdown."""
    intro = _INTRO.replace("{facts}", ", ".join(f"`{table.name}`" for table in FACTS))
    contents = [f"- [`{table.name}`](#{table.name}): {_line(table.description)}" for table in (*TABLES, FRESHNESS)]
    sections = [section for table in TABLES for section in _section(table)]
    beside = [
        "## Beside the snapshots",
        "`warehouse/freshness.parquet` is replaced at each run, whether or not anything was published.",
        *_section(FRESHNESS),
    ]
    return "\n\n".join([intro.strip(), "## Tables", "\n".join(contents), *sections, *beside]) + "\n"


def _section(table: Table) -> Iterator[str]:
    yield f"### {table.name}"
    compared = "" if table in COMPARED else " Not compared: its rows are never in `changes`."
    yield f"{table.description}{compared}"
    yield "Key: " + ", ".join(f"`{name}`" for name in table.key)
    head = ["| column | type | null | values | description |", "|---|---|---|---|---|"]
    yield "\n".join([*head, *(_row(table, column) for column in table.columns)])


def _row(table: Table, column: Column) -> str:
    name = f"**`{column.name}`**" if column.name in table.key else f"`{column.name}`"
    kind = str(column.type).replace("date32[day]", "date32")
    null = "yes" if column.nullable else "no"
    volatile = " (volatile)" if column.volatile and table in COMPARED else ""
    return f"| {name} | {kind} | {null} | {_values(table, column)} | {_line(column.description)}{volatile} |"


def _values(table: Table, column: Column) -> str:
    if (values := allowed_values(table, column)) is not None:
        return ", ".join(f"`{value}`" for value in values)
    if column.pattern is not None:
        return FORMS.get(column.pattern, f"`{_line(column.pattern)}`")
    if column.max_length is not None:
        return f"up to {column.max_length:,} characters"
    return f"from {column.minimum}" if column.minimum is not None else ""


def _line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(render(), encoding="utf-8")
