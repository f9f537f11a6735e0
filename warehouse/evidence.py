"""Pages that are gone: what complete crawls found in a row, and nothing less (law 3)."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from warehouse.columnar import first_of_each, same_as_before
from warehouse.pages import PAGE, is_answered, is_not_found
from warehouse.tables import ATTRIBUTES, INT32

PAGE_GONE = "page_gone"
_CODE = ("source", "code")


def gone(captures: pa.Table, good: pa.Table) -> pa.Table:
    """The addresses at which sources have lost a code: source, code, url, document_id, noticed_at.

    ``captures``: document_id, url, requested_url, fetched_at, status; ``crawl``, the complete crawl that brought it,
    else null; ``counts``, whether it may change anything. ``good``: readable pages that count (source, code, url,
    document_id, answered_at). A source has lost a code when

    - two complete crawls, one after the other, were told 404 or 410 at the address of its latest page of the code,
    - no capture of any kind found something at any of its addresses from the first of them to the second,
    - and none of its pages of the code could be read since.

    ``document_id``: the page that was there. ``noticed_at``: the second of the two.
    """
    held = _held(captures, good)
    answered = held.group_by(list(_CODE)).aggregate([("answered_at", "max")])
    held = held.join(answered, list(_CODE), None, "inner")
    current = held.filter(pc.equal(held["answered_at"], held["answered_at_max"]))
    lost = current.join(_twice_missing(captures), ["url"], None, "inner")
    lost = lost.filter(pc.greater(lost["since"], lost["answered_at"]))
    lost = first_of_each(lost, (*_CODE, "url"), by=("noticed_at", "since"))
    return _without_answers(lost, held, captures).select([*_CODE, "url", "document_id", "noticed_at"])


def as_attributes(lost: pa.Table) -> pa.Table:
    """What `gone` found as rows of ``attributes``: the addresses, so that a deleted code shows its evidence."""
    rows = lost.sort_by([(name, "ascending") for name in (*_CODE, "url")])
    first = pc.invert(same_as_before(rows.select(list(_CODE)), _CODE))
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


def _held(captures: pa.Table, good: pa.Table) -> pa.Table:
    """source, code, url, document_id, answered_at: each address that a readable page was at, also by a redirect."""
    pages = good.select([*_CODE, *PAGE, "answered_at"])
    led = captures.filter(pc.and_(pc.is_valid(captures["requested_url"]), is_answered(captures["status"])))
    led = led.filter(led["counts"]).select([*PAGE, "requested_url"]).group_by([*PAGE, "requested_url"]).aggregate([])
    led = pages.join(led, list(PAGE), None, "inner").drop_columns("url").rename_columns({"requested_url": "url"})
    held = pa.concat_tables([pages, led.select(pages.column_names)])
    return first_of_each(held, (*_CODE, "url"), by=("-answered_at", "document_id"))


def _twice_missing(captures: pa.Table) -> pa.Table:
    """url, since, noticed_at: two complete crawls that count, one after the other, found nothing there."""
    crawled = captures.filter(pc.and_(captures["counts"], pc.is_valid(captures["crawl"])))
    asked = _by_address(crawled).select(["url", "crawl", "fetched_at", "status"])
    asked = asked.append_column("_answered", pc.cast(is_answered(asked["status"]), INT32))
    # One row for each crawl; where a crawl was told both, the page is there.
    asked = first_of_each(asked, ("url", "crawl"), by=("-_answered", "-fetched_at"))
    asked = asked.sort_by([("url", "ascending"), ("fetched_at", "ascending"), ("crawl", "ascending")])
    if asked.num_rows < 2:
        asked = asked.slice(0, 0)
    before, after = asked.slice(0, max(asked.num_rows - 1, 0)), asked.slice(min(1, asked.num_rows))
    both = pc.and_(is_not_found(before["status"]), is_not_found(after["status"]))
    found = pa.table({"url": after["url"], "since": before["fetched_at"], "noticed_at": after["fetched_at"]})
    return found.filter(pc.and_(both, pc.equal(before["url"], after["url"])))


def _without_answers(lost: pa.Table, held: pa.Table, captures: pa.Table) -> pa.Table:
    """``lost`` without codes of which anything was found in between, be it by a crawl that does not count."""
    addresses = lost.select([*_CODE, "since", "noticed_at"]).join(
        held.select([*_CODE, "url"]), list(_CODE), None, "inner"
    )
    wanted = pc.is_in(captures["url"], value_set=addresses["url"].combine_chunks())
    wanted = pc.or_(wanted, pc.is_in(captures["requested_url"], value_set=addresses["url"].combine_chunks()))
    answers = _by_address(captures.filter(pc.and_(wanted, is_answered(captures["status"])))).select(
        ["url", "fetched_at"]
    )
    met = addresses.join(answers, ["url"], None, "inner")
    within = pc.and_(
        pc.greater_equal(met["fetched_at"], met["since"]), pc.less_equal(met["fetched_at"], met["noticed_at"])
    )
    met = met.filter(within).group_by(list(_CODE)).aggregate([])
    return lost.join(met, list(_CODE), None, "left anti")


def _by_address(captures: pa.Table) -> pa.Table:
    """``captures``, those that an address led to also under that address: it has the answer of where it leads."""
    led = captures.filter(pc.is_valid(captures["requested_url"]))
    return pa.concat_tables([captures, led.set_column(led.column_names.index("url"), "url", led["requested_url"])])
