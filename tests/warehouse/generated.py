"""Hypothesis strategies: parse results of every kind, and captures of them."""

from __future__ import annotations

import datetime as dt
import os
from typing import Any

from hypothesis import strategies as st

from parsers.records import (
    Attribute,
    Descriptor,
    HistoryEvent,
    Indicator,
    Modifier,
    Narrative,
    Notice,
    ParseWarning,
    Record,
    RelatedCode,
)
from tests.warehouse.invented import ALL_TABLES, capture, day, page
from warehouse.staging import StagedResult
from warehouse.tables import ACTIONS, DESCRIPTOR_KINDS, INDICATORS, OUTCOMES, RELATIONS

FULL = os.environ.get("CPTFLOW_HYPOTHESIS") == "full"

texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12) | st.sampled_from(
    ["00100", "=HYPERLINK(1)", "a|b", '"', "\u2011®–", "null", "NaN", "  "]
)
maybe = st.none() | texts
ordinals = st.integers(1, 3)
days = st.dates(dt.date(1966, 1, 1), dt.date(2027, 12, 31)) | st.sampled_from([dt.date(2024, 12, 31)])
records: st.SearchStrategy[Record] = st.one_of(
    st.builds(Descriptor, st.sampled_from(DESCRIPTOR_KINDS), texts),
    st.builds(Indicator, st.sampled_from(INDICATORS), st.sampled_from([None, "0", "1", "9", "A"]), maybe, texts),
    st.builds(HistoryEvent, days, st.sampled_from(ACTIONS), ordinals, maybe),
    st.builds(Narrative, st.sampled_from(["description", "summary"]), ordinals, texts),
    st.builds(Attribute, st.sampled_from(["payer", "deletion_notice"]), ordinals, texts),
    st.builds(Modifier, st.sampled_from(["26", "TC"]), maybe, maybe),
    st.builds(
        RelatedCode, st.sampled_from(RELATIONS), st.just("CPT"), st.sampled_from(["99213", "0748T-0750T"]), maybe
    ),
    st.builds(Notice, ordinals, texts, st.none() | st.integers(1966, 2027), texts),
)
warnings = st.builds(
    ParseWarning,
    st.sampled_from(["list_lost", "unknown_value"]),
    st.sampled_from(ALL_TABLES),
    st.sampled_from(["", "description|1"]),
    st.none() | st.just("text"),
    maybe,
    texts,
)
pages: st.SearchStrategy[StagedResult] = st.builds(
    page,
    st.sampled_from(["00100", "0748T", "1001T", "A0021"]),
    st.lists(records, max_size=6),
    source=st.sampled_from(["codingahead", "openpayer"]),
    covers=st.lists(st.sampled_from(ALL_TABLES), unique=True),
    content=st.none() | st.sampled_from(["Synthetic bytes", "Other synthetic bytes"]),
    url=st.none() | st.sampled_from(["https://a.example/x", "file:pages/x.html"]),
    outcome=st.sampled_from(["parsed", "parsed", "partial", *OUTCOMES]),
    unmapped=st.lists(texts, max_size=2),
    warnings=st.lists(warnings, max_size=2),
)


@st.composite
def landed(draw: st.DrawFn) -> tuple[list[StagedResult], list[dict[str, Any]]]:
    """Pages, and captures of them in any order; a page is a function of its bytes, url and parser (law 2)."""
    found = draw(st.lists(pages, min_size=1, max_size=8))
    of_key = {(of.document_id, of.result.url, of.result.parser): of for of in found}
    unique = list({key[:2]: of for key, of in of_key.items()}.values())
    statuses = st.sampled_from([200, 200, 200, None, 304, 404, 503])
    seen = [
        capture(of, day(draw(st.integers(1, 4))), draw(statuses))
        for of in unique
        for _ in range(draw(st.integers(1, 3)))
    ]
    return unique, seen
