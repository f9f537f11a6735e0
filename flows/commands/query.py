"""`cptflow query`: SQL over one snapshot, which can read its tables and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.options import At, Home, Json

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

READS = ("SELECT", "EXPLAIN", "MULTI")  # MULTI: what DuckDB makes of PIVOT


def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One SELECT, in DuckDB's SQL.", show_default=False)],
    at: At = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Ask the current snapshot's tables, or an earlier one's, in SQL (DuckDB).

    Nothing can be written, and no other file be read.

    Ex: cptflow query "SELECT code, title, status FROM codes WHERE status = 'deleted'"
    """
    from flows import terminal
    from flows.commands.current import snapshot_at

    place = snapshot_at(home, at)
    columns, rows = _answer(place.folder, sql)
    if json:
        names = _apart(columns)
        terminal.document([dict(zip(names, row, strict=True)) for row in rows])
    else:
        terminal.show(
            [terminal.Grid(f"{len(rows)} {'row' if len(rows) == 1 else 'rows'} of {place.snapshot_id}", columns, rows)]
        )


def _apart(columns: Sequence[str]) -> list[str]:
    """Names of columns, each once. Ex: code, code -> code, code_1"""
    names: list[str] = []
    for column in columns:
        others = (f"{column}_{number}" for number in count(1))
        names.append(next(name for name in chain([column], others) if name not in names))
    return names


def _answer(folder: Path, sql: str) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
    """Column names and rows. Raises UsageError with DuckDB's words where the query is wrong or no query."""
    import duckdb

    from flows.errors import UsageError

    connection = _connect(folder)
    try:
        statements = connection.extract_statements(sql)
        if len(statements) != 1 or statements[0].type.name not in READS:
            kinds = ", ".join(statement.type.name for statement in statements) or "nothing"
            raise UsageError(f"`query` runs one SELECT; this is {kinds}. Snapshots are never changed by hand.")
        answer = connection.execute(statements[0])
        return tuple(column[0] for column in answer.description or ()), answer.fetchall()
    except duckdb.Error as error:
        raise UsageError(f"The query failed: {error}") from None


def _connect(folder: Path) -> DuckDBPyConnection:
    """A database in memory whose views are the snapshot's tables, cut off from files, network and Python."""
    import duckdb
    import pyarrow.dataset as ds

    from warehouse.tables import TABLES

    connection = duckdb.connect(config={"python_enable_replacements": False})
    for table in TABLES:
        if (file := folder / f"{table.name}.parquet").exists():  # an older snapshot may have fewer
            # Arrow datasets, not read_parquet: DuckDB itself needs no way to the disk then.
            connection.register(table.name, ds.dataset(file))
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection
