"""`cptflow query`: SQL over the snapshot's tables and nothing else (law 10)."""

import datetime as dt
import re
from pathlib import Path

import pytest

from flows.commands.query import _answer
from flows.errors import UsageError
from warehouse.tables import TABLES


@pytest.fixture
def ask(published):
    return lambda sql: _answer((published / "warehouse" / "current").resolve(), sql)


def test_every_table_is_there_with_its_types(ask):
    for table in TABLES:
        assert ask(f"SELECT * FROM {table.name}")[0] == table.names

    columns, rows = ask("SELECT code, deleted_on FROM codes WHERE status = 'deleted'")
    assert (columns, rows) == (("code", "deleted_on"), [("0714T", dt.date(2026, 1, 1))])


@pytest.mark.parametrize(
    "sql",
    ["WITH c AS (FROM codes) SELECT count(*) FROM c", "FROM codes", "DESCRIBE codes", "SUMMARIZE codes",
     "EXPLAIN SELECT 1", "PIVOT indicators ON indicator USING count(*) GROUP BY code"],
)  # fmt: skip
def test_all_kinds_of_reading(ask, sql):
    assert ask(sql)[1]


@pytest.mark.parametrize(
    "sql",
    ["DROP VIEW codes", "CREATE TABLE t AS FROM codes", "INSERT INTO codes VALUES (1)", "SELECT 1; SELECT 2", "",
     "ATTACH 'x.db'", "INSTALL httpfs", "LOAD httpfs", "SET enable_external_access = true", "PRAGMA database_list",
     "CALL pragma_version()", "COPY codes TO 'x.csv'", "EXPORT DATABASE 'x'"],
)  # fmt: skip
def test_nothing_but_reading(ask, sql):
    with pytest.raises(UsageError, match="runs one SELECT"):
        ask(sql)


@pytest.mark.parametrize(
    "sql",
    ["SELECT * FROM read_text('{file}')", "SELECT * FROM '{file}'", "SELECT * FROM glob('{folder}/*')",
     "SELECT * FROM read_parquet('{folder}/codes.parquet')", "SELECT * FROM query('DROP VIEW codes')",
     "SELECT * FROM published", "EXPLAIN ANALYZE COPY codes TO '{folder}/x.csv'"],
)  # fmt: skip
def test_no_way_to_other_files_or_to_python(ask, published, tmp_path, sql):
    file = tmp_path / "page.txt"
    file.write_text("Synthetic secret")
    folder = published / "warehouse" / "current"

    with pytest.raises(UsageError, match="The query failed"):
        ask(sql.format(file=file, folder=folder))
    assert not (folder / "x.csv").exists()


def test_a_mistake_is_told_in_duckdbs_words(ask):
    with pytest.raises(UsageError, match=r'The query failed: .*"titel" not found'):
        ask("SELECT titel FROM codes")


def test_every_query_of_the_analysts_page_runs(ask):
    page = Path(__file__).parents[2].joinpath("docs", "analyst.md").read_text("utf-8")
    queries = re.findall(r"```sql\n(.*?);?\n```", page, re.DOTALL)
    assert len(queries) >= 5
    assert [sql for sql in queries if not ask(sql)[1]] == []
