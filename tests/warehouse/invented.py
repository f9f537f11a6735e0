"""Invented pages, as parsers would read them, and the captures that brought them."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa

from parsers.records import (
    Attribute,
    Descriptor,
    HistoryEvent,
    Indicator,
    Modifier,
    Narrative,
    Notice,
    ParseResult,
    ParseWarning,
    Record,
    RelatedCode,
    Unmapped,
)
from warehouse.assemble import Assembled, assemble
from warehouse.staging import StagedResult, stage
from warehouse.tables import FACTS

LIVE = ("codingahead@1", "openpayer@1", "none@1")
TRUST = ("codingahead", "openpayer")
ALL_TABLES = tuple(sorted(table.name for table in FACTS))
RUN_ID = "20260301T120000Z-3f9a"

CAPTURES_SCHEMA = pa.schema(
    [
        ("document_id", pa.string()),
        ("url", pa.string()),
        ("fetched_at", pa.timestamp("us", tz="UTC")),
        ("status", pa.int32()),
        ("media_type", pa.string()),
        ("byte_size", pa.int64()),
        ("run_id", pa.string()),
        ("requested_url", pa.string()),
        ("crawl", pa.string()),
        ("counts", pa.bool_()),
    ]
)


def day(number: int) -> dt.datetime:
    """Noon of a day of March 2026."""
    return dt.datetime(2026, 3, number, 12, tzinfo=dt.UTC)


def document_id(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def page(
    code: str = "0748T",
    records: Iterable[Record] = (),
    *,
    source: str = "codingahead",
    covers: Sequence[str] = ALL_TABLES,
    content: str | None = None,
    url: str | None = None,
    outcome: str = "parsed",
    unmapped: Sequence[str] = (),
    warnings: Sequence[ParseWarning] = (),
    version: int = 1,
    truncated: bool = False,
) -> StagedResult:
    """A page of ``code``. Its bytes are those of any other page with the same content (by default: its records)."""
    records = tuple(records) if outcome in ("parsed", "partial") else ()
    url = url or f"https://www.{source}.example/cpt/codes/{code}"
    result = ParseResult(
        url=url,
        source=source if outcome != "unrecognised" else None,
        code=code if outcome in ("parsed", "partial", "gated") else None,
        parser=source if outcome != "unrecognised" else "none",
        parser_version=version,
        outcome=outcome,  # type: ignore[arg-type]
        reason=None if outcome == "parsed" else f"Synthetic reason for {outcome}",
        truncated=truncated,
        covered_tables=tuple(covers) if outcome in ("parsed", "partial") else (),
        blocks=len(records) + len(unmapped) + 2,
        claimed=len(records),
        set_aside=2,
        records=records,
        unmapped=tuple(Unmapped(place, "paragraph", text) for place, text in enumerate(unmapped)),
        warnings=tuple(warnings),
    )
    return StagedResult(document_id(content if content is not None else f"{url} {records} {outcome}"), result)


def capture(
    of: StagedResult,
    fetched_at: dt.datetime,
    status: int | None = 200,
    run_id: str = RUN_ID,
    crawl: str | None = None,
    counts: bool = True,
) -> dict[str, object]:
    return {
        "document_id": of.document_id,
        "url": of.result.url,
        "fetched_at": fetched_at,
        "status": status,
        "media_type": "text/html",
        "byte_size": 30_000,
        "run_id": run_id,
        "crawl": crawl,
        "counts": counts,
    }


def captures(rows: Iterable[dict[str, object]]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=CAPTURES_SCHEMA)


def assembled(home: Path, seen: Sequence[tuple[StagedResult, dt.datetime]], trust: Sequence[str] = TRUST) -> Assembled:
    """Stage the pages in one batch, and assemble the tables of their captures."""
    stage(home, list({(of.document_id, of.result.url): of for of, _ in seen}.values()))
    return assemble(captures(capture(of, when) for of, when in seen), home, LIVE, trust)


def everything(number: int = 1) -> tuple[Record, ...]:
    """Records of every table, as a whole page of both sites together would give them."""
    return (
        Descriptor("short", f"Synthetic short {number}"),
        Descriptor("medium", f"Synthetic medium {number}"),
        Descriptor("long", f"Synthetic long descriptor, number {number}"),
        Descriptor("title", f"Synthetic title {number}"),
        Indicator("status", "A", "Active Code", "Active Code"),
        Indicator("global_days", "YYY", "Carrier Determines", "YYY - Carrier Determines"),
        Indicator("apc_status", None, "Synthetic words", "Synthetic words"),
        Indicator("mue", None, None, "none"),
        HistoryEvent(dt.date(2023, 1, 1), "added", 1, None),
        HistoryEvent(dt.date(2025, 1, 1), "changed", 1, "Synthetic note"),
        Narrative("description", 1, f"Synthetic prose {number}."),
        Narrative("description", 2, "More synthetic prose."),
        Attribute("payer", 1, "Aetna"),
        Attribute("payer", 2, "Medicare"),
        Modifier("26", "Synthetic meaning", "Synthetic use"),
        Modifier("TC", "Synthetic meaning", None),
        RelatedCode("related", "CPT", "99213", "Synthetic"),
        RelatedCode("diagnosis", "ICD-10-CM", "A00.0", "Synthetic"),
        Notice(1, "American Medical Association", 2025, "Synthetic notice"),
    )
