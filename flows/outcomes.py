"""What the captures of a run turned out to be, counted and told in the run report."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa

import parsers
from flows.planning import Key
from flows.report import PageNote, Report
from parsers.records import ParseResult

NOTES_PER_OUTCOME = 100


@dataclass(frozen=True, slots=True)
class _Seen:
    """One page, or one capture of it. ``source``: as its content tells, else as its URL does."""

    source: str | None
    note: PageNote


def note_outcomes(
    report: Report,
    index: pa.Table,
    new_runs: Collection[str],
    pending: Collection[Key],
    results: pa.Table,
    not_staged: Mapping[Key, ParseResult],
) -> None:
    """Count the captures of ``new_runs`` and of ``pending`` pages, and note those that a person may act on."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    noted: Counter[str] = Counter()
    for seen in _captures(new_runs, index, pending, _by_key(results), not_staged):
        outcome = seen.note.outcome
        counts[seen.source or "other"][outcome] += 1
        if outcome != "parsed" and noted[outcome] < NOTES_PER_OUTCOME:
            noted[outcome] += 1
            report.notes.append(seen.note)
    report.captures = dict(sum(counts.values(), Counter[str]()).most_common())
    report.captures_by_source = {source: dict(counts[source].most_common()) for source in sorted(counts)}


def _captures(
    new_runs: Collection[str],
    index: pa.Table,
    pending: Collection[Key],
    results: Mapping[Key, _Seen],
    not_staged: Mapping[Key, ParseResult],
) -> Iterator[_Seen]:
    columns = (index[name].to_pylist() for name in ("run_id", "digest", "url", "source", "status"))
    for landed_by, digest, url, source, status in zip(*columns, strict=True):
        key = (digest.removeprefix("sha256:"), url)
        if landed_by not in new_runs and key not in pending:
            continue
        by_status = parsers.result_for_status(url, status)
        result = by_status or not_staged.get(key)
        if result is not None:
            note = PageNote(url, result.code, result.outcome, result.reason, result.traceback)
            yield _Seen(result.source or source, note)
        elif key in results:
            known = results[key]
            yield known if known.source else _Seen(source, known.note)


def _by_key(results: pa.Table) -> dict[Key, _Seen]:
    names = ("document_id", "source", "url", "code", "outcome", "reason", "traceback")
    return {
        (document_id, url): _Seen(source, PageNote(url, code, outcome, reason, traceback))
        for document_id, source, url, code, outcome, reason, traceback in zip(
            *(results[name].to_pylist() for name in names), strict=True
        )
    }
