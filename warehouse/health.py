"""How a source fares, landing by landing: a run that an outage hollowed out must not pass for news.

A landing is what one run landed, or one crawl fetched, of a source.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from parsers.records import GOOD_OUTCOMES
from warehouse.columnar import first_of_each, joined, look_up
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
    ``accepted``: it would be suspect, and a person let it pass.
    """

    source: str
    landing: str
    captures: int
    good: int
    least: float | None
    suspect: bool
    accepted: bool = False

    @property
    def share(self) -> float:
        return self.good / self.captures if self.captures else 1.0


def health(
    captures: pa.Table, results: pa.Table, floors: Mapping[str, float], settled: Container[tuple[str, str]]
) -> list[Health]:
    """The health of every landing, by source and in the order of landings.

    ``captures``: document_id, url, source (by the address), fetched_at, status, landing (in the order of time; null
    where there is no verdict yet). ``results``: as ``staging.read_results`` gives them. ``floors``: by source, the
    share of what the last good landing had that is still good enough; DEFAULT_FLOOR for others. ``settled``: (source,
    landing) that a snapshot rests on: what was published is not judged again.

    A 404 at an address that never held a page is left out: lists of codes hold such as no site has.
    """
    counts = _told(captures.filter(pc.is_valid(captures["landing"])), results)
    counts = counts.group_by(["owner", "landing"]).aggregate([("expected", "sum"), ("good", "sum")])
    counts = counts.sort_by([("owner", "ascending"), ("landing", "ascending")])
    last_good: dict[str, float] = {}
    found = []
    for source, landing, expected, good in zip(*(column.to_pylist() for column in counts.columns), strict=True):
        least = floors.get(source, DEFAULT_FLOOR) * last_good[source] if source in last_good else None
        low = least is not None and expected >= FEWEST and good / expected < least - _ROUNDING
        found.append(Health(source, landing, expected, good, least, low and (source, landing) not in settled))
        if expected >= FEWEST and not found[-1].suspect:
            last_good[source] = good / expected
    return found


def let_pass(found: Sequence[Health], sources: Collection[str]) -> list[Health]:
    """``found``, with the latest landing of each of ``sources`` accepted where it is suspect."""
    latest = {health.source: health.landing for health in found if health.suspect}
    return [
        replace(health, suspect=False, accepted=True)
        if health.source in sources and health.landing == latest.get(health.source)
        else health
        for health in found
    ]


def counts(captures: pa.Table, results: pa.Table, suspect: Collection[tuple[str, str]]) -> pa.ChunkedArray:
    """For each of ``captures``, whether it counts: what a ``suspect`` (source, landing) brought neither replaces a row
    nor is evidence, and what has no landing yet waits."""
    there = pc.is_valid(captures["landing"])
    if not suspect:
        return there
    numbered = captures.append_column("_row", pa.array(range(captures.num_rows), pa.int64()))
    owned = _owned(numbered, results).sort_by("_row")
    names = pa.array(sorted(f"{source}|{landing}" for source, landing in suspect), STRING)
    return pc.and_(there, pc.invert(pc.is_in(joined(owned, ("owner", "landing")), value_set=names)))


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
    """``captures`` with the outcome of their page, and its source: as the content tells; else as another page at the
    same address did (a gate in the place of a local file names no site); else as the address does."""
    told = results.select([*PAGE, "outcome", "source"]).rename_columns([*PAGE, "outcome", "_of_content"])
    owned = captures.join(told, list(PAGE), join_type="left outer")
    known = first_of_each(told.filter(pc.is_valid(told["_of_content"])).select(["url", "_of_content"]), ("url",))
    of_address = look_up(owned["url"], known, "url", "_of_content")
    return owned.append_column("owner", pc.coalesce(owned["_of_content"], of_address, owned["source"]))
