"""The baseline is no straw man: on the generated pages it finds what the parsers find, in the tables that it makes."""

from __future__ import annotations

from collections import Counter

import parsers
from benchmarks.baseline import parse_pages
from benchmarks.pages import generate
from parsers.records import Descriptor, HistoryEvent, Indicator, Modifier, Narrative


def test_the_baseline_finds_what_the_parsers_find():
    pages = list(generate(24, seed=3))
    records = [r for page in pages for r in parsers.parse(page.payload, page.url).records]
    frames = parse_pages((page.url, page.payload) for page in pages)

    def ours(kind, *fields):
        return Counter(tuple(getattr(r, name) for name in fields) for r in records if isinstance(r, kind))

    def theirs(table, *columns):
        return Counter(frames[table][list(columns)].itertuples(index=False, name=None))

    assert theirs("modifiers", "modifier", "description", "when_to_use") == ours(
        Modifier, "modifier", "description", "when_to_use"
    )
    assert theirs("narratives", "section", "text") == ours(Narrative, "section", "text")
    known = ours(Descriptor, "kind", "text")
    assert theirs("descriptors", "kind", "text") == Counter(
        {row: count for row, count in known.items() if row[0] in ("short", "medium", "long", "title")}
    )
    days = Counter((r.event_on.isoformat(), r.notes) for r in records if isinstance(r, HistoryEvent))
    assert theirs("history", "event_on", "notes") == days
    assert len(frames["indicators"]) == sum(isinstance(r, Indicator) for r in records)
