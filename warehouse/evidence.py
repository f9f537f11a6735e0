"""Pages that are gone: what complete crawls found in a row, and nothing less (law 3)."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from warehouse.columnar import first_of_each, same_as_before
from warehouse.pages import is_answered, is_not_found
from warehouse.tables import ATTRIBUTES, INT32

PAGE_GONE = "page_gone"


def gone(captures: pa.Table, good: pa.Table) -> pa.Table:
    """The addresses at which sources have lost a code: source, code, url, document_id, noticed_at.

    ``captures``: url, requested_url, fetched_at, status, and ``crawl``: the complete crawl that brought
    it, else null. ``good``: readable pages (source, code, url, document_id, answered_at). An address is lost when the
    last two complete crawls that asked for it were told 404 or 410, and the code when, besides, none of the source's
    pages of it answered since the first of the two. ``document_id``: the page that was there.
    """
    held = good.select(["source", "code", "url", "answered_at", "document_id"])
    held = first_of_each(held, ("source", "code", "url"), by=("-answered_at", "document_id")).drop_columns(
        "answered_at"
    )
    lost = held.join(_lost_addresses(captures), ["url"], None, "inner")
    answered = good.group_by(["source", "code"]).aggregate([("answered_at", "max")])
    lost = lost.join(answered, ["source", "code"], None, "inner")
    lost = lost.filter(pc.greater(lost["since"], lost["answered_at_max"]))
    return lost.select(["source", "code", "url", "document_id", "noticed_at"])


def as_attributes(lost: pa.Table) -> pa.Table:
    """What `gone` found as rows of ``attributes``: the addresses, so that a deleted code shows its evidence."""
    rows = lost.sort_by([(name, "ascending") for name in ("source", "code", "url")])
    owners = rows.select(["source", "code"])
    first = pc.invert(same_as_before(owners, ["source", "code"]))
    place = pa.array(range(rows.num_rows), INT32)
    begin = pc.cumulative_max(pc.if_else(first, place, 0)) if rows.num_rows else place
    columns = {
        "source": rows["source"],
        "code": rows["code"],
        "attribute": pa.repeat(PAGE_GONE, rows.num_rows),
        "ordinal": pc.add(pc.subtract(place, begin), pa.scalar(1, INT32)),
        "value": pc.utf8_slice_codeunits(rows["url"], 0, ATTRIBUTES.column("value").max_length),
        "document_id": rows["document_id"],
    }
    return pa.table([columns[name] for name in ATTRIBUTES.names], names=ATTRIBUTES.names).cast(ATTRIBUTES.schema)


def lost_everywhere(attributes: pa.Table, source_count: pa.Table) -> pa.ChunkedArray:
    """The codes whose page every source that had one has lost. ``source_count``: code, source_count."""
    told = attributes.filter(pc.equal(attributes["attribute"], PAGE_GONE))
    told = told.group_by(["code"]).aggregate([("source", "count_distinct")])
    both = source_count.select(["code", "source_count"]).join(told, ["code"], None, "inner")
    return both.filter(pc.equal(both["source_count"], both["source_count_distinct"]))["code"]


def _lost_addresses(captures: pa.Table) -> pa.Table:
    """url, since, noticed_at: addresses that the last two complete crawls that asked found gone."""
    crawled = captures.filter(pc.is_valid(captures["crawl"]))
    # An address that redirects has the answer of the address that it leads to.
    led = crawled.filter(pc.is_valid(crawled["requested_url"]))
    asked = pa.concat_tables([crawled, led.set_column(led.column_names.index("url"), "url", led["requested_url"])])
    asked = asked.select(["url", "crawl", "fetched_at", "status"])
    asked = asked.append_column("_answered", pc.cast(is_answered(asked["status"]), INT32))
    # One row for each crawl; where a crawl was told both, the page is there.
    asked = first_of_each(asked, ("url", "crawl"), by=("-_answered", "-fetched_at"))
    asked = asked.sort_by([("url", "ascending"), ("fetched_at", "descending"), ("crawl", "ascending")])
    if asked.num_rows < 2:
        asked = asked.slice(0, 0)
    last, before = asked.slice(0, max(asked.num_rows - 1, 0)), asked.slice(min(1, asked.num_rows))
    latest = pc.invert(same_as_before(asked, ["url"])).slice(0, last.num_rows)
    twice = pc.and_(is_not_found(last["status"]), is_not_found(before["status"]))
    found = pa.table({"url": last["url"], "since": before["fetched_at"], "noticed_at": last["fetched_at"]})
    return found.filter(pc.and_(pc.and_(latest, pc.equal(last["url"], before["url"])), twice))
