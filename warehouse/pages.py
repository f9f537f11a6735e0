"""What became of each page: the captures of its bytes, and what a parser made of them."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from parsers.records import GOOD_OUTCOMES
from warehouse.columnar import first_of_each, joined
from warehouse.tables import STRING

PAGE = ("document_id", "url")
"""A page: these bytes at this address."""

_NOT_MODIFIED = 304  # the server confirms the bytes that we hold
_NOT_FOUND = (404, 410)


def pages_of(captures: pa.Table, results: pa.Table) -> pa.Table:
    """One row for each page that has a result: the columns of ``results``, and what the captures tell.

    fetched_at: first fetch of these bytes, with its media_type and byte_size. answered_at: latest fetch that the
    server answered with the page (null: none). attempted_at: latest of all. last_outcome: the result's outcome, or
    not_found or blocked where the status of the latest fetch says so. last_status: that status, else null.
    latest: whether this is the latest capture of its url. good: whether rows may rest on the page.
    """
    # A page is its place in `results`: sorting numbers takes a tenth of the time of sorting digests and addresses.
    of_page = pc.index_in(joined(captures, PAGE, " "), value_set=joined(results, PAGE, " ").combine_chunks())
    answered = is_answered(captures["status"])
    seen = pa.table(
        {
            "page": of_page,
            **{name: captures[name] for name in ("fetched_at", "media_type", "byte_size", "status")},
            "answered_at": pc.if_else(answered, captures["fetched_at"], pa.scalar(None, captures["fetched_at"].type)),
            "refused": pc.if_else(answered, pa.scalar(None, pa.int32()), captures["status"]),
        }
    ).filter(pc.is_valid(of_page))
    first = first_of_each(seen, ("page",), by=("fetched_at",))
    last = first_of_each(seen, ("page",), by=("-fetched_at",))
    confirmed = first_of_each(seen, ("page",), by=("-answered_at",))
    of_url = first_of_each(captures.select([*PAGE, "fetched_at"]), ("url",), by=("-fetched_at", "document_id"))
    pages = results.take(first["page"])
    pages = pages.cast(pa.schema([field.with_nullable(True) for field in pages.schema]))  # as joins give them
    told = {
        "fetched_at": first["fetched_at"],
        "media_type": first["media_type"],
        "byte_size": first["byte_size"],
        "attempted_at": last["fetched_at"],
        "last_status": last["refused"],
        "answered_at": confirmed["answered_at"],
        "latest": of_pages(pages, of_url),
    }
    for name, values in told.items():
        pages = pages.append_column(name, values)
    pages = pages.append_column("last_outcome", _last_outcome(pages))
    return pages.append_column("good", _good(pages))


def of_pages(rows: pa.Table, pages: pa.Table, beside: str | None = None) -> pa.ChunkedArray:
    """For each of ``rows``, whether ``pages`` has its page (with the same value in the column ``beside``, if given).

    Names and digests have no space, so one text stands for all columns: a join would take three times as long.
    """
    columns = PAGE if beside is None else (*PAGE, beside)
    return pc.is_in(joined(rows, columns, " "), value_set=joined(pages, columns, " ").combine_chunks())


def is_answered(status: pa.ChunkedArray) -> pa.ChunkedArray:
    """Whether a fetch with this HTTP status brought or confirmed the page; unknown (null) is taken for yes."""
    ok = pc.and_(pc.greater_equal(status, 200), pc.less(status, 300))
    return pc.fill_null(pc.or_(ok, pc.equal(status, _NOT_MODIFIED)), True)


def is_not_found(status: pa.ChunkedArray) -> pa.ChunkedArray:
    """Whether the server said that there is no such page."""
    return pc.is_in(status, value_set=pa.array(_NOT_FOUND, pa.int32()))


def _last_outcome(pages: pa.Table) -> pa.ChunkedArray:
    by_status = pc.if_else(is_not_found(pages["last_status"]), "not_found", "blocked")
    return pc.if_else(pc.is_valid(pages["last_status"]), by_status, pages["outcome"])


def _good(pages: pa.Table) -> pa.ChunkedArray:
    named = pc.and_(pc.is_valid(pages["source"]), pc.is_valid(pages["code"]))
    read = pc.is_in(pages["outcome"], value_set=pa.array(GOOD_OUTCOMES, STRING))
    told = pc.and_(read, pc.not_equal(pages["covered_tables"], ""))  # else the page is no evidence of anything
    return pc.and_(pc.and_(named, told), pc.is_valid(pages["answered_at"]))
