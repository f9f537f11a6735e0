"""What the quality report of a snapshot, or of a stopped run, shows; ``quality_page.py`` makes the page of it.

Everything is read from what the home holds, so that a page can be made again at any time.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from parsers.records import GOOD_OUTCOMES
from warehouse import snapshots
from warehouse.expectations import Codes
from warehouse.limits import all_to_accept, as_options
from warehouse.quality_rules import Band, Broken, Check, bands, broken_rules, checks
from warehouse.quality_trends import SNAPSHOTS, Point, read_columns, trend
from warehouse.tables import STRING, TABLES

PAGES_SHOWN = 10
# Outcomes of pages that a person may act on, the most urgent first.
_TOLD = ("layout_changed", "failed", "partial", "mismatched", "unidentified", "rejected", "unrecognised", "blocked")
_COLUMNS = {
    "documents": ("document_id", "url", "source", "code", "fetched_at", "outcome", "blocks", "unmapped"),
    "changes": ("change_type", "cause"),
    "quarantine": None,  # all
}
Verdict = Literal["published", "warnings", "accepted", "stopped"]


@dataclass(frozen=True, slots=True)
class TableLine:
    """A table: rows ``now`` and in the parent, rules checked and broken, rows held back, rows in snapshot by snapshot
    (None where it was not there)."""

    name: str
    description: str
    now: int | None
    before: int | None
    rules: int
    broken: int
    held_back: int
    rows: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class SourceLine:
    """A source: its pages in use by outcome, the codes read from them, and how its latest landing fared.

    ``share`` of the landing's pages was read, ``least`` is its floor; None where the run landed nothing of it.
    ``unmapped``: the share of text blocks that no parser claimed.
    """

    name: str
    parser_version: int | None
    outcomes: Mapping[str, int]
    codes: int
    newest: str | None
    unmapped: float | None
    good: int | None = None
    captures: int | None = None
    share: float | None = None
    least: float | None = None
    state: Literal["", "suspect", "accepted"] = ""


@dataclass(frozen=True, slots=True)
class PageLine:
    """A page that the run could not read whole."""

    url: str
    code: str | None
    outcome: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason to stop. ``codes``: of a mass change."""

    table: str
    rule: str
    observed: float
    limit: float
    message: str
    codes: tuple[Codes, ...]


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a person let pass. ``found``: in words, or the landing that it was found in."""

    rule: str
    source: str
    found: str


@dataclass(frozen=True, slots=True)
class Quality:
    """All that the page shows. ``snapshot_id`` and ``published_at`` are None for a run that was stopped; ``parent`` is
    current then."""

    verdict: Verdict
    snapshot_id: str | None
    run_id: str
    parent: str | None
    restored: str | None
    """The earlier snapshot whose tables these are, put back by a person."""
    as_of: str | None
    published_at: str | None
    cptflow_version: str | None
    parsers: Mapping[str, int]
    stopped: tuple[Reason, ...]
    let_pass: str | None
    """The command that lets all of ``stopped`` pass, where a person may."""
    broken: tuple[Broken, ...]
    checks: tuple[Check, ...]
    tables: tuple[TableLine, ...]
    sources: tuple[SourceLine, ...]
    pages: tuple[PageLine, ...]
    pages_in_all: int
    bands: tuple[Band, ...]
    accepted: tuple[Accepted, ...]
    changes: Mapping[tuple[str, str], int]
    """By type and cause."""
    trend: tuple[Point, ...]
    """The last snapshots, oldest first; of a published one, up to itself."""

    @property
    def held_back(self) -> int:
        return sum(table.held_back for table in self.tables)


def of_snapshot(home: Path, snapshot_id: str, run: Mapping[str, Any] | None) -> Quality:
    """The quality of a snapshot whose tables are there. ``run``: the report of its run, None where that is gone.

    Raises UnknownSnapshot, BrokenSnapshot.
    """
    manifest = snapshots.read_manifest(home, snapshot_id)
    tables = {name: read_columns(home, snapshot_id, name, columns) for name, columns in _COLUMNS.items()}
    if missing := [name for name, table in tables.items() if table is None]:
        raise snapshots.BrokenSnapshot(home, snapshot_id, f"{missing[0]}.parquet is missing or cannot be read")
    there = {name: table for name, table in tables.items() if table is not None}
    before = _lineage(home, snapshot_id)
    return _quality(home, manifest, there, run or {}, [*before, manifest], ())


def of_stopped_run(home: Path, run: Mapping[str, Any], tables: Mapping[str, pa.Table]) -> Quality:
    """The quality of what a run did not publish. ``run``: its report; ``tables``: as validated.

    Raises BrokenSnapshot.
    """
    parent = run.get("parent_snapshot_id") or snapshots.current_id(home)
    manifest = {
        "snapshot_id": None,
        "parent": parent,
        "run_id": run["run_id"],
        "as_of": run["as_of"],
        "cptflow_version": run["versions"]["cptflow"],
        "parsers": snapshots.parsers_used(tables["documents"]),
        "files": {name: {"rows": table.num_rows} for name, table in tables.items()},
        "suites": run["suites"],
    }
    published = _lineage(home, parent, with_itself=True) if parent else []
    rules = all_to_accept(run.get("accept", ()), run["stopped"])
    place = run.get("address") or str(home)
    command = shlex.join(["cptflow", "run", *as_options(rules), "--home", place]) if rules else None
    return _quality(home, manifest, tables, run, published, tuple(map(_reason, run["stopped"])), command)


def _quality(
    home: Path,
    manifest: Mapping[str, Any],
    tables: Mapping[str, pa.Table],
    run: Mapping[str, Any],
    line: Sequence[Mapping[str, Any]],
    stopped: tuple[Reason, ...],
    let_pass: str | None = None,
) -> Quality:
    line = line[-SNAPSHOTS:]
    suites, accepted = manifest.get("suites", ()), tuple(map(_accepted, manifest.get("accepted", ())))
    broken = broken_rules(tables["quarantine"], tables["documents"], suites)
    compared = bands(suites, manifest["parent"])
    sources = tuple(_sources(manifest, tables["documents"], run))
    notes = [note for note in run.get("notes", ()) if note["outcome"] in _TOLD]
    notes.sort(key=lambda note: (_TOLD.index(note["outcome"]), note["url"]))
    counted = run.get("captures", {})
    return Quality(
        verdict=_verdict(stopped, accepted, broken, compared, sources),
        snapshot_id=manifest["snapshot_id"],
        run_id=manifest["run_id"],
        parent=manifest["parent"],
        restored=manifest.get("restored", {}).get("snapshot_id"),
        as_of=manifest["as_of"],
        published_at=manifest.get("published_at"),
        cptflow_version=manifest["cptflow_version"],
        parsers=manifest["parsers"],
        stopped=stopped,
        let_pass=let_pass,
        broken=broken,
        checks=checks(suites),
        tables=tuple(_tables(manifest, line, published=not stopped)),
        sources=sources,
        pages=tuple(PageLine(n["url"], n["code"], n["outcome"], n["reason"]) for n in notes[:PAGES_SHOWN]),
        pages_in_all=max(sum(counted.get(outcome, 0) for outcome in _TOLD), len(notes)),
        bands=compared,
        accepted=accepted,
        changes=_changes(tables.get("changes")),
        trend=trend(home, line),
    )


def _reason(stop: Mapping[str, Any]) -> Reason:
    told = (stop[name] for name in ("table", "rule", "observed", "limit", "message"))
    table, rule, observed, limit, message = told
    return Reason(table, rule, observed, limit, message, tuple(Codes(**one) for one in stop.get("codes", ())))


def _accepted(one: Mapping[str, Any]) -> Accepted:
    return Accepted(one["rule"], one.get("source", ""), one.get("found") or one.get("landing", ""))


def _verdict(
    stopped: Sequence[object],
    accepted: Sequence[object],
    broken: Sequence[Broken],
    compared: Sequence[Band],
    sources: Sequence[SourceLine],
) -> Verdict:
    if stopped:
        return "stopped"
    if accepted:
        return "accepted"
    wrong = any(rule.severity != "info" for rule in broken) or not all(band.success for band in compared)
    return "warnings" if wrong or any(source.state == "suspect" for source in sources) else "published"


def _lineage(home: Path, snapshot_id: str, with_itself: bool = False) -> list[dict[str, Any]]:
    """Manifests of the snapshots before ``snapshot_id``, oldest first; none where it is no part of the history."""
    line = snapshots.lineage(home)
    ids = [manifest["snapshot_id"] for manifest in line]
    return line[: ids.index(snapshot_id) + with_itself] if snapshot_id in ids else []


def _tables(manifest: Mapping[str, Any], line: Sequence[Mapping[str, Any]], *, published: bool) -> list[TableLine]:
    suites = {suite["table"]: suite for suite in manifest.get("suites", ())}
    rows = {table.name: tuple(_rows(one, table.name) for one in line) for table in TABLES}
    own = 1 if published else 0  # the line ends with the snapshot itself, or with its parent
    return [
        TableLine(
            table.name,
            table.description,
            now=_rows(manifest, table.name),
            before=rows[table.name][-1 - own] if len(line) > own else None,
            rules=len(suites.get(table.name, {}).get("rules", ())),
            broken=sum(not rule["success"] for rule in suites.get(table.name, {}).get("rules", ())),
            held_back=suites.get(table.name, {}).get("held_back", 0),
            rows=rows[table.name],
        )
        for table in TABLES
        if table.name != "snapshot" and (_rows(manifest, table.name) is not None or table.name in suites)
    ]


def _rows(manifest: Mapping[str, Any], table: str) -> int | None:
    rows: int | None = manifest["files"].get(table, {}).get("rows")
    return rows


def _sources(manifest: Mapping[str, Any], documents: pa.Table, run: Mapping[str, Any]) -> list[SourceLine]:
    fared = {one["source"]: one for one in run.get("sources", ())}  # the last landing of each
    names = {name for name in pc.unique(documents["source"]).to_pylist() if name} | set(fared)
    found = [_source(name, documents, manifest, fared.get(name, {})) for name in sorted(names)]
    nameless = documents.filter(pc.is_null(documents["source"]))
    if nameless.num_rows:
        found.append(SourceLine("no source recognised", None, _counts(nameless["outcome"]), 0, None, None))
    return found


def _source(name: str, documents: pa.Table, manifest: Mapping[str, Any], fared: Mapping[str, Any]) -> SourceLine:
    own = documents.filter(pc.fill_null(pc.equal(documents["source"], name), False))
    read = own.filter(pc.is_in(own["outcome"], value_set=pa.array(GOOD_OUTCOMES, STRING)))
    blocks, newest = pc.sum(read["blocks"]).as_py() or 0, pc.max(read["fetched_at"]).as_py()
    return SourceLine(
        name,
        manifest.get("parsers", {}).get(name),
        _counts(own["outcome"]),
        codes=pc.count_distinct(read["code"]).as_py(),
        newest=newest.isoformat() if newest else None,
        unmapped=pc.sum(read["unmapped"]).as_py() / blocks if blocks else None,
        **{key: fared.get(key) for key in ("good", "captures", "share", "least")},
        state="suspect" if fared.get("suspect") else "accepted" if fared.get("accepted") else "",
    )


def _changes(changes: pa.Table | None) -> dict[tuple[str, str], int]:
    if changes is None:
        return {}
    counted = changes.group_by(["change_type", "cause"]).aggregate([([], "count_all")])
    return {(row["change_type"], row["cause"]): row["count_all"] for row in counted.to_pylist()}


def _counts(values: pa.ChunkedArray) -> dict[str, int]:
    """The values with their number, most frequent first."""
    counted = [(one["values"].as_py(), one["counts"].as_py()) for one in pc.value_counts(values)]
    return dict(sorted(counted, key=lambda pair: (-pair[1], pair[0])))
