"""Readers beside 50 publications, with old snapshots expiring: no torn set, and no missing file (law 4)."""

from __future__ import annotations

import datetime as dt
import json
import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from filelock import FileLock

from tests.warehouse.drafts import drafted, published
from warehouse.expire import Keep, plan, remove, survey
from warehouse.snapshots import current_id, list_snapshots
from warehouse.tables import TABLES

PUBLICATIONS = 50
GRACE = dt.timedelta(seconds=2)
NAMES = [table.name for table in TABLES]


def with_pandas(folder: Path) -> dict[str, Any]:
    import pandas as pd

    return {name: pd.read_parquet(folder / f"{name}.parquet") for name in NAMES}


def with_polars(folder: Path) -> dict[str, Any]:
    import polars as pl

    return {name: pl.read_parquet(folder / f"{name}.parquet") for name in NAMES}


def with_duckdb(folder: Path) -> dict[str, Any]:
    import duckdb

    connection = duckdb.connect()
    return {name: connection.sql(f"SELECT * FROM '{folder}/{name}.parquet'").arrow().read_all() for name in NAMES}


def rows(table: Any) -> int:
    return int(table.num_rows if isinstance(table, pa.Table) else table.shape[0])


def value(table: Any, column: str) -> Any:
    return (table[column].to_pylist() if isinstance(table, pa.Table) else table[column].to_list())[0]


def refresh(home: Path, read: Callable[[Path], dict[str, Any]], resolved: bool, until: Event, to: Path) -> None:
    """Read all tables again and again, and at last write down what was seen."""
    current = home / "warehouse" / "current"
    seen: list[str] = []
    problems: list[str] = []
    torn = 0
    while True:
        last = until.is_set()  # one more, so that the last publication is read by all
        begun = time.monotonic()
        folder = current.resolve(strict=True) if resolved else current
        try:
            tables = read(folder)
        except Exception as error:
            missing = isinstance(error, FileNotFoundError) or "No such file" in str(error)
            if time.monotonic() - begun < GRACE.total_seconds() and (resolved or missing):
                problems.append(f"{folder.name}: {type(error).__name__}: {error}")
            continue
        own = tables["snapshot"]
        told = {name: value(own, name) for name in ("snapshot_id", "codes", "documents", "changes")}
        seen.append(told["snapshot_id"])
        whole = all(rows(tables[name]) == told[name] for name in ("codes", "documents", "changes"))
        torn += not whole or (resolved and told["snapshot_id"] != folder.name)
        if last:
            break
    to.write_text(json.dumps({"seen": seen, "torn": torn, "problems": problems}))


def expire(home: Path, until: Event, to: Path) -> None:
    """Let go what may go, again and again."""
    keep, gone = Keep(count=1, age=dt.timedelta(0), grace=GRACE), 0
    while not until.wait(0.05):
        with FileLock(home / ".lock"):
            planned = plan(survey(home), (), keep, dt.datetime.now(dt.UTC))
            remove(home, planned)
        gone += len(planned.goes)
    to.write_text(json.dumps(gone))


# All of these may open a file twice, first for its schema: who goes through the link for each may read half of another.
READERS = ((with_pandas, True), (with_polars, True), (with_duckdb, True), (with_pandas, False))


@pytest.mark.full
def test_law_4_readers_beside_50_publications_while_old_snapshots_expire(home: Path, both: Any, tmp_path: Path):
    """A reader that resolves the link once in a refresh has one whole snapshot. One that goes through the link for each
    table finds every file, too, but a publication may come between two of them.
    """
    spawn = multiprocessing.get_context("spawn")
    until = spawn.Event()
    readers = {f"{read.__name__}_{resolved}": (read, resolved) for read, resolved in READERS}
    processes = [
        spawn.Process(target=refresh, args=(home, *reader, until, tmp_path / name)) for name, reader in readers.items()
    ]
    processes.append(spawn.Process(target=expire, args=(home, until, tmp_path / "expire")))
    for process in processes:
        process.start()
    try:
        made = [str(current_id(home))]
        for number in range(1, PUBLICATIONS + 1):
            now = dt.datetime.now(dt.UTC)
            draft = drafted(both[number % 2], current_id(home), 1 + number % 9, both[(number + 1) % 2])
            with FileLock(home / ".lock"):
                made.append(published(home, draft).snapshot_id)
            time.sleep(max(0.0, 0.25 - (dt.datetime.now(dt.UTC) - now).total_seconds()))
    finally:
        until.set()
        for process in processes:
            process.join()
    assert [process.exitcode for process in processes] == [0] * len(processes)

    for name, (_, resolved) in readers.items():
        found = json.loads((tmp_path / name).read_text())
        assert found["problems"] == [], name
        assert set(found["seen"]) <= set(made), name
        assert found["seen"][-1] == made[-1], name
        assert len(set(found["seen"])) > 3, name
        if resolved:
            assert found["torn"] == 0, name
    assert json.loads((tmp_path / "expire").read_text()) > 10
    assert len(list_snapshots(home)) < PUBLICATIONS
