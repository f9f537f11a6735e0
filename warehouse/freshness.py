"""When each address was last looked at: observations, which live beside the snapshots and not in them (law 5)."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from warehouse.columnar import first_of_each, sort_rows
from warehouse.files import encode, replace_file
from warehouse.pages import PAGE, pages_of
from warehouse.tables import OUTCOMES, TIMESTAMP, Column, Table

FRESHNESS = Table(
    "freshness",
    "log",
    "When each address was last looked at. Replaced at each run, outside the snapshots.",
    ("url",),
    (
        Column("url", "Address, or a file: URI.", nullable=False),
        Column("source", "Site, where one was recognised."),
        Column("code", "The page's code, where one was found."),
        Column("last_attempt_at", "Latest fetch, good or bad.", TIMESTAMP, nullable=False),
        Column("last_outcome", "What it brought; null where that is to be tried again.", values=OUTCOMES),
        Column("last_confirmed_at", "Latest fetch that brought or confirmed a readable page.", TIMESTAMP),
    ),
)


def write_freshness(home: Path, captures: pa.Table, results: pa.Table) -> None:
    """Replace <home>/warehouse/freshness.parquet in one step.

    ``captures``: as ``assemble`` takes them; ``results``: as ``staging.read_results`` gives them.
    """
    replace_file(home / "warehouse" / "freshness.parquet", encode(freshness(captures, results)))


def freshness(captures: pa.Table, results: pa.Table) -> pa.Table:
    """One row for each url, sorted by url."""
    last = first_of_each(captures.select([*PAGE, "fetched_at"]), ("url",), by=("-fetched_at", "document_id"))
    pages = pages_of(captures, results)
    told = pages.select([*PAGE, "source", "code", "last_outcome"])
    rows = last.join(told, list(PAGE), join_type="left outer")
    good = pages.filter(pages["good"]).group_by(["url"]).aggregate([("answered_at", "max")])
    rows = rows.join(good, ["url"], join_type="left outer")
    rows = rows.rename_columns({"fetched_at": "last_attempt_at", "answered_at_max": "last_confirmed_at"})
    return sort_rows(rows.select(FRESHNESS.names), FRESHNESS.key).cast(FRESHNESS.schema).combine_chunks()
