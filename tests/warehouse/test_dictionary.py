"""The data dictionary says what the tables are, and no other thing."""

import re
from pathlib import Path

import duckdb
import pytest

from tests.warehouse.invented import assembled, day, everything, page
from warehouse.dictionary import render
from warehouse.freshness import FRESHNESS
from warehouse.tables import TABLES, Table

PAGE = Path(__file__).parents[2] / "docs" / "data-dictionary.md"


def test_the_page_is_what_the_tables_say() -> None:
    assert PAGE.read_text("utf-8") == render(), "write it again: make docs"


@pytest.mark.parametrize("table", [*TABLES, FRESHNESS], ids=lambda table: table.name)
def test_every_column_is_told(table: Table) -> None:
    section = re.split(r"^### ", render(), flags=re.MULTILINE)
    (own,) = [part for part in section if part.startswith(f"{table.name}\n")]
    rows = [line for line in own.splitlines() if line.startswith("| ") and "`" in line]
    assert [re.findall(r"`([a-z_0-9]+)`", row)[0] for row in rows] == list(table.names)
    # A bar inside a cell would move the others: all rows have as many cells as the head.
    assert {len(re.split(r"(?<!\\)\|", row)) for row in rows} == {7}


def test_its_queries_run(tmp_path: Path) -> None:
    tables = assembled(tmp_path, [(page("00100", everything()), day(1))]).tables
    (block,) = re.findall(r"```sql\n(.*?)```", render(), flags=re.DOTALL)
    with duckdb.connect() as connection:
        for name, rows in tables.items():
            connection.register(name, rows)
        for query in block.split(";"):
            if query.strip():
                assert connection.execute(query).description
