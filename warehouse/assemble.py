"""From staged results to tables: for each (source, code, table), the rows of the latest page that covers it.

Pages that failed, were gated or blocked, or did not see a table whole change nothing (law 3). The same captures give
the same tables, row by row, in whatever order they came (law 5).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from warehouse.codes import bases, derive_codes
from warehouse.columnar import first_of_each, joined, same_as_before, shortened, sort_rows
from warehouse.evidence import as_attributes, gone
from warehouse.pages import PAGE, of_pages, pages_of
from warehouse.staging import WARNINGS, read_results, read_rows
from warehouse.tables import ATTRIBUTES, CODES, DOCUMENTS, FACTS, QUARANTINE, UNMAPPED, Table


class NothingCaptured(Exception):
    """There is no capture to make tables from."""

    def __init__(self, home: Path) -> None:
        self.home = home
        super().__init__(
            f"No page was ever landed in {home}, so there are no tables to make. Give a folder of pages: "
            "cptflow run FOLDER"
        )


@dataclass(frozen=True, slots=True)
class Assembled:
    """``tables``: codes, the fact tables, documents, unmapped, quarantine (the parsers' warnings); not yet validated.

    ``as_of``: latest fetch of a page that rows rest on, or of one that was found gone; of any page, without rows.
    """

    tables: dict[str, pa.Table]
    as_of: dt.datetime


def assemble(captures: pa.Table, home: Path, live: Sequence[str], trust: Sequence[str]) -> Assembled:
    """Tables from ``captures`` and what the ``live`` parser versions staged of them.

    ``captures``: document_id, url, requested_url, fetched_at, status, media_type, byte_size, crawl (the complete crawl
    that brought it, else null), counts (whether it may change anything); one row for each capture. Pages without a
    staged result are left out. ``trust``: sources, most trusted first. Raises NothingCaptured.
    """
    counted = captures.filter(captures["counts"])
    if not counted.num_rows:
        raise NothingCaptured(home)
    pages = pages_of(counted, read_results(home, live))
    good = pages.filter(pages["good"])
    chosen = _choose(good)
    lost = gone(captures, good)
    in_use = pa.concat_tables([chosen.select(list(PAGE)), lost.select(list(PAGE))]).group_by(list(PAGE)).aggregate([])
    as_of = _as_of(counted, pages, in_use, lost)
    # Arrow leaves the interpreter alone while it reads and sorts. More than two at once would hold more memory.
    with ThreadPoolExecutor(2) as pool:
        made = pool.map(lambda table: _rows_in_use(table, read_rows(home, live, table.name), chosen), FACTS)
        facts = {table.name: rows for table, rows in zip(FACTS, made, strict=True)}
    facts[ATTRIBUTES.name] = _with(ATTRIBUTES, facts[ATTRIBUTES.name], as_attributes(lost))
    rested_on = {**facts, DOCUMENTS.name: _documents(pages, in_use)}
    tables = {
        CODES.name: derive_codes(bases(good), rested_on, trust, as_of),
        **rested_on,
        UNMAPPED.name: _unmapped(read_rows(home, live, UNMAPPED.name), in_use),
        QUARANTINE.name: _warnings(read_rows(home, live, WARNINGS), chosen),
    }
    return Assembled(tables, as_of)


def _choose(good: pa.Table) -> pa.Table:
    """Which page is read for what: table_name, document_id, url; one row for each (source, code, table).

    Under the name ``codes`` stands each (source, code)'s latest readable page, whatever it covers.
    """
    lists = pc.binary_join_element_wise("", good["covered_tables"], "", ",")
    covering = {table.name: good.filter(pc.match_substring(lists, f",{table.name},")) for table in FACTS}
    chosen = []
    for name, candidates in {CODES.name: good, **covering}.items():
        latest = first_of_each(
            candidates.select(["source", "code", "answered_at", *PAGE]),
            ("source", "code"),
            by=("-answered_at", "url", "document_id"),
        ).select(list(PAGE))
        chosen.append(latest.append_column("table_name", pa.repeat(name, latest.num_rows)))
    return pa.concat_tables(chosen)


def _rows_in_use(table: Table, rows: pa.Table, chosen: pa.Table) -> pa.Table:
    """The rows of the chosen pages, by key. A row that stands twice is one row; a key that stands twice with different
    content is for validation to see."""
    of_table = chosen.filter(pc.equal(chosen["table_name"], table.name))
    rows = sort_rows(rows.filter(of_pages(rows, of_table)).select(table.names), table.key)
    return as_declared(table, rows.filter(pc.invert(same_as_before(rows, table.names))))


def _with(table: Table, rows: pa.Table, more: pa.Table) -> pa.Table:
    return sort_rows(pa.concat_tables([rows, more]), table.key).combine_chunks() if more.num_rows else rows


def _as_of(captures: pa.Table, pages: pa.Table, in_use: pa.Table, lost: pa.Table) -> dt.datetime:
    used = pages.filter(of_pages(pages, in_use))
    fetched = used["answered_at"] if used.num_rows else captures["fetched_at"]
    times: list[dt.datetime] = [pc.max(fetched).as_py(), *lost["noticed_at"].to_pylist()]
    return max(times).astimezone(dt.UTC)


def _documents(pages: pa.Table, in_use: pa.Table) -> pa.Table:
    used = of_pages(pages, in_use)
    pages = pages.append_column("_read", pc.or_(used, pc.is_null(pages["last_status"])))
    pages = pages.filter(pc.or_(used, pages["latest"]))
    # A refused fetch that brought the bytes of a page we know is told as what it was.
    read, status = pages["_read"], pc.cast(pages["last_status"], pa.string())
    told = {
        "outcome": pc.if_else(read, pages["outcome"], pages["last_outcome"]),
        "reason": pc.if_else(
            read, pages["reason"], pc.binary_join_element_wise("HTTP status", pc.fill_null(status, ""), " ")
        ),
        "covered_tables": pc.if_else(read, pages["covered_tables"], ""),
    }
    for name, column in told.items():
        pages = pages.set_column(pages.column_names.index(name), name, column)
    return as_declared(DOCUMENTS, sort_rows(pages.select(DOCUMENTS.names), DOCUMENTS.key))


def _unmapped(rows: pa.Table, in_use: pa.Table) -> pa.Table:
    rows = rows.filter(of_pages(rows, in_use)).select(UNMAPPED.names)
    return as_declared(UNMAPPED, first_of_each(rows, UNMAPPED.key))


def _warnings(rows: pa.Table, chosen: pa.Table) -> pa.Table:
    """Parsers' warnings of the page that is read for the warning's table, and of each code's latest page."""
    latest = chosen.filter(pc.equal(chosen["table_name"], CODES.name))
    rows = rows.filter(pc.or_(of_pages(rows, chosen, "table_name"), of_pages(rows, latest)))
    owner, place = joined(rows, ["source", "code"]), rows["row_key"]
    whole = pc.binary_join_element_wise(owner, pc.if_else(pc.equal(place, ""), None, place), "|", null_handling="skip")
    told = {
        "row_key": whole,
        "value": shortened(rows["value"]),
        "severity": pa.repeat("warning", rows.num_rows),
    }
    columns = [told.get(name, rows[name] if name in rows.column_names else None) for name in QUARANTINE.names]
    return as_declared(QUARANTINE, first_of_each(pa.table(columns, names=QUARANTINE.names), QUARANTINE.key))


def as_declared(table: Table, rows: pa.Table) -> pa.Table:
    """``rows`` with the schema of ``table``, in one chunk a column."""
    return rows.select(table.names).cast(table.schema).combine_chunks()
