"""Law 9: every file has its declared schema, and pyarrow, pandas, DuckDB and Polars read the same values from it."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings

from tests.warehouse.generated import FULL, landed
from tests.warehouse.invented import LIVE, TRUST, assembled, captures, day, everything, page
from warehouse.assemble import assemble
from warehouse.compare import compare
from warehouse.files import encode
from warehouse.publishing import Published, draft, publish
from warehouse.staging import stage
from warehouse.tables import BY_NAME, TABLES, Table
from warehouse.versions import Standing, follow

Rows = list[dict[str, Any]]


def with_pyarrow(path: Path) -> Rows:
    return pq.read_table(path).to_pylist()


def with_pandas(path: Path) -> Rows:
    frame = pd.read_parquet(path, dtype_backend="pyarrow")
    return [{name: plain(value) for name, value in row.items()} for row in frame.to_dict("records")]


def with_plain_pandas(path: Path) -> Rows:
    """As most people read it; floats stand for integers where there are nulls."""
    frame = pd.read_parquet(path)
    return [{name: plain(value) for name, value in row.items()} for row in frame.to_dict("records")]


def with_duckdb(path: Path) -> Rows:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        relation = connection.read_parquet(str(path))
        return [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]


def with_polars(path: Path) -> Rows:
    return pl.read_parquet(path).to_dicts()


def plain(value: Any) -> Any:
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and value != value):
        return None
    return value.to_pydatetime() if isinstance(value, pd.Timestamp) else value


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """Every table with rows, nulls, zeros in front, and texts that spreadsheets and terminals like to act upon."""
    home = tmp_path_factory.mktemp("home")
    old = page(
        "00100", everything(), unmapped=["=HYPERLINK(1)", "naïve – ® \u2011 \U0001f9ea", '"quoted", with | bars']
    )
    new = page("0748T", [*everything(2)[:7]], source="openpayer")
    before = assembled(home, [(old, day(1))])
    after = assembled(home, [(old, day(1)), (new, day(2)), (page(outcome="unrecognised"), day(2))])
    parent = "20260201T120000Z-0123abcd"
    stands = Standing(1, after.as_of)
    odd = {"table_name": "codes", "row_key": "00100", "rule": "odd", "message": "Synthetic.", "severity": "info"}
    tables = {
        **after.tables,
        "quarantine": pa.Table.from_pylist([odd], schema=BY_NAME["quarantine"].schema),
        "changes": compare(before.tables, after.tables, parent),
        "code_versions": follow(None, after.tables["codes"], stands, {1}),
    }
    made = draft(
        tables, as_of=after.as_of, stands=stands, parent=None, run_id="20260301T120000Z-3f9a",
        published_at=dt.datetime(2026, 4, 1, 1, 2, 3, 456_789, dt.UTC), cptflow_version="0.1.0",
    )  # fmt: skip
    return publish(home, made, run_ids=[], suites=[], trust=TRUST)


def file_of(snapshot: Published, table: Table) -> Path:
    return snapshot.path / f"{table.name}.parquet"


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_law_9_files_are_as_declared(snapshot: Published, table: Table) -> None:
    file = pq.ParquetFile(file_of(snapshot, table))
    assert file.schema_arrow.equals(table.schema, check_metadata=True)
    assert file.metadata.num_rows > 0, "a table without rows shows nothing here"
    group = file.metadata.row_group(0)
    assert {group.column(place).compression for place in range(group.num_columns)} == {"SNAPPY"}
    flat = [file.schema.column(place) for place in range(len(file.schema))]
    assert [column.path for column in flat] == list(table.names)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
@pytest.mark.parametrize(
    "read", [with_pandas, with_plain_pandas, with_duckdb, with_polars], ids=lambda read: read.__name__
)
def test_law_9_readers_agree(snapshot: Published, table: Table, read: Callable[[Path], Rows]) -> None:
    wanted = with_pyarrow(file_of(snapshot, table))
    found = read(file_of(snapshot, table))
    assert found == wanted
    for row, other in zip(found, wanted, strict=True):
        assert {name: type(value) for name, value in row.items() if isinstance(value, str)} == {
            name: type(value) for name, value in other.items() if isinstance(value, str)
        }


def test_law_9_codes_keep_their_zeros(snapshot: Published) -> None:
    path = snapshot.path / "codes.parquet"
    for read in (with_pyarrow, with_pandas, with_plain_pandas, with_duckdb, with_polars):
        assert [row["code"] for row in read(path)] == ["00100", "0748T"]
    assert str(pl.read_parquet_schema(path)["first_seen_at"]) == "Datetime(time_unit='us', time_zone='UTC')"
    described = duckdb.sql(f"DESCRIBE SELECT code, added_on, first_seen_at, source_count FROM '{path}'").fetchall()
    assert [row[1] for row in described] == ["VARCHAR", "DATE", "TIMESTAMP WITH TIME ZONE", "INTEGER"]


@settings(max_examples=100 if FULL else 6, deadline=None)
@given(landed())
def test_law_9_any_text_is_read_back(tmp_path_factory: pytest.TempPathFactory, made: Any) -> None:
    home = tmp_path_factory.mktemp("home")
    stage(home, made[0])
    for name, rows in assemble(captures(made[1]), home, LIVE, TRUST).tables.items():
        path = home / f"{name}.parquet"
        path.write_bytes(encode(rows))
        wanted = rows.to_pylist()
        for read in (with_pyarrow, with_pandas, with_duckdb, with_polars):
            assert read(path) == wanted
