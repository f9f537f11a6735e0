"""How a source fares, landing by landing: a run that an outage hollowed out must not pass for news.

A landing is what one run landed, or one crawl fetched, of a source.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from parsers.records import GOOD_OUTCOMES
from warehouse.columnar import joined, look_up
from warehouse.pages import PAGE, is_answered, is_not_found
from warehouse.tables import STRING

# Of fewer captures, one bad page would already take more than the fifth that a floor of 80 % leaves.
FEWEST = 5
DEFAULT_FLOOR = 0.8
_ROUNDING = 1e-9  # 0.8 * 0.8 is a little more than 0.64, and 16 of 25 are not below it


@dataclass(frozen=True, slots=True)
class Health:
    """One landing of a source. ``captures``: those that a page could be expected of; ``good`` of them were read.

    ``least``: the share of good ones below which it is suspect; None where nothing was landed before to compare with.
    """

    source: str
    landing: str
    captures: int
    good: int
    least: float | None
    suspect: bool
    accepted: bool

    @property
    def share(self) -> float:
        return self.good / self.captures if self.captures else 1.0


def health(
    captures: pa.Table, results: pa.Table, floors: Mapping[str, float], accepted: Collection[tuple[str, str]]
) -> list[Health]:
    """The health of every landing, by source and in the order of landings.

    ``captures``: document_id, url, source (by the address), fetched_at, status, landing (in the order of time).
    ``results``: as ``staging.read_results`` gives them. ``floors``: by source, the share of what the last good landing
    had that is still good enough; DEFAULT_FLOOR for others. ``accepted``: (source, landing) that a person let pass.

    A 404 at an address that never held a page is left out: lists of codes hold such as no site has.
    """
    told = _told(captures, results)
    counts = told.group_by(["owner", "landing"]).aggregate([("expected", "sum"), ("good", "sum")])
    counts = counts.sort_by([("owner", "ascending"), ("landing", "ascending")])
    last_good: dict[str, float] = {}
    found = []
    for source, landing, expected, good in zip(*(column.to_pylist() for column in counts.columns), strict=True):
        least = floors.get(source, DEFAULT_FLOOR) * last_good[source] if source in last_good else None
        passed = (source, landing) in accepted
        low = least is not None and expected >= FEWEST and good / expected < least - _ROUNDING
        found.append(Health(source, landing, expected, good, least, low and not passed, low and passed))
        if expected >= FEWEST and not found[-1].suspect:
            last_good[source] = good / expected
    return found


def counted(captures: pa.Table, results: pa.Table, found: Sequence[Health]) -> pa.Table:
    """``captures`` without those of suspect landings: what they brought neither replaces a row nor is evidence."""
    suspect = [f"{health.source}|{health.landing}" for health in found if health.suspect]
    if not suspect:
        return captures
    numbered = captures.append_column("_row", pa.array(range(captures.num_rows), pa.int64()))
    owned = _owned(numbered, results)
    held = pc.is_in(joined(owned, ("owner", "landing")), value_set=pa.array(suspect, STRING))
    return captures.take(owned.filter(pc.invert(held))["_row"].combine_chunks().sort())


def _told(captures: pa.Table, results: pa.Table) -> pa.Table:
    """owner, landing, expected and good (0 or 1), one row for each capture."""
    owned = _owned(captures, results)
    read = pc.fill_null(pc.is_in(owned["outcome"], value_set=pa.array(GOOD_OUTCOMES, STRING)), False)
    good = pc.and_(read, is_answered(owned["status"]))
    first = owned.filter(good).group_by(["url"]).aggregate([("fetched_at", "min")])
    begun = look_up(owned["url"], first, "url", "fetched_at_min")
    was_there = pc.fill_null(pc.less(begun, owned["fetched_at"]), False)
    never_there = pc.and_(is_not_found(owned["status"]), pc.invert(was_there))
    return pa.table(
        {
            "owner": owned["owner"],
            "landing": owned["landing"],
            "expected": pc.cast(pc.invert(never_there), pa.int64()),
            "good": pc.cast(good, pa.int64()),
        }
    )


def _owned(captures: pa.Table, results: pa.Table) -> pa.Table:
    """``captures`` with the outcome of their page, and its source: as the content tells, else as the address does."""
    told = results.select([*PAGE, "outcome", "source"]).rename_columns([*PAGE, "outcome", "_of_content"])
    owned = captures.join(told, list(PAGE), join_type="left outer")
    return owned.append_column("owner", pc.coalesce(owned["_of_content"], owned["source"]))
