"""Changes between snapshots, told in words: one line for each thing that a person would say happened."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from flows.errors import UsageError
from flows.terminal import Block, Grid, Line
from flows.things import HEADLINES, Change, by_thing, differences, values
from warehouse import snapshots
from warehouse.compare import compare
from warehouse.tables import CHANGE_TYPES, COMPARED

SHOWN_CODES = 12
SHOWN_PER_CODE = 6
CELL_WIDTH = 60
LEAD_IN = 12
ABSENT = "–"


@dataclass(frozen=True, slots=True)
class Context:
    """What the words need beside the changes. ``titles`` and ``replaced_by`` go by code."""

    titles: Mapping[str, str]
    replaced_by: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class _Difference:
    """One thing that differs in a code."""

    what: str
    before: str | None
    after: str | None
    told_by: str


def of_snapshot(home: Path, snapshot_id: str) -> list[Change]:
    """What changed in a snapshot from its parent: its own table ``changes``."""
    rows: list[Change] = snapshots.read_table(home, snapshot_id, "changes").to_pylist()
    return rows


def since_day(home: Path, day: str) -> list[Change]:
    """The changes of all snapshots that hold from ``day`` (ISO 8601, UTC) on or later and are kept; `expired_since`
    counts the others. Raises UsageError for no day."""
    kept = [m["snapshot_id"] for m in _line_since(home, day) if snapshots.is_kept(home, m["snapshot_id"])]
    return [change for snapshot_id in kept for change in of_snapshot(home, snapshot_id)]


def expired_since(home: Path, day: str) -> int:
    """How many snapshots that hold from ``day`` on or later have expired, and their changes with them."""
    return _expired(home, _line_since(home, day))


def expired_until(home: Path, snapshot_id: str) -> int:
    """How many snapshots up to this one have expired, and their changes with them."""
    line = snapshots.lineage(home)
    return _expired(home, line[: [m["snapshot_id"] for m in line].index(snapshot_id) + 1])


def expired_in_words(count: int) -> str:
    """Ex: "2 snapshots have expired, and their single changes with them"."""
    one = count == 1
    return f"{count} {'snapshot has' if one else 'snapshots have'} expired, and " + (
        "its single changes with it" if one else "their single changes with them"
    )


def _expired(home: Path, manifests: Iterable[Mapping[str, Any]]) -> int:
    """Those with which nothing had changed, as with the first, count for nothing."""
    changed = [m["snapshot_id"] for m in manifests if m["files"].get("changes", {}).get("rows")]
    return sum(not snapshots.is_kept(home, snapshot_id) for snapshot_id in changed)


def _line_since(home: Path, day: str) -> list[dict[str, Any]]:
    try:
        moment = dt.datetime.fromisoformat(day)
    except ValueError:
        raise UsageError(f"--since {day!r} is no day. Write it as 2026-01-31.") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    return [m for m in snapshots.lineage(home) if dt.datetime.fromisoformat(m["valid_from"]) >= moment]


def between(home: Path, before: str, after: str) -> list[Change]:
    """What differs from one snapshot to another, whichever is older."""
    rows: list[Change] = compare(compared_tables(home, before), compared_tables(home, after), before).to_pylist()
    return rows


def compared_tables(home: Path, snapshot_id: str) -> dict[str, pa.Table]:
    """Those tables of a snapshot in which a difference is news; an older one may have fewer."""
    files = snapshots.read_manifest(home, snapshot_id)["files"]
    return {t.name: snapshots.read_table(home, snapshot_id, t.name) for t in COMPARED if t.name in files}


def select(changes: Iterable[Change], code: str | None, change_type: str | None) -> list[Change]:
    """Those of a code, of a type, or all. Raises UsageError for a type that does not exist."""
    if change_type is not None and change_type not in CHANGE_TYPES:
        raise UsageError(f"--type {change_type!r} is no type of change. There are: {', '.join(CHANGE_TYPES)}.")
    return [
        change
        for change in changes
        if (code is None or change["code"] == code.upper())
        and (change_type is None or change["change_type"] == change_type)
    ]


def context(home: Path, snapshot_id: str) -> Context:
    """Titles and replacements of a snapshot's codes."""
    codes = snapshots.read_table(home, snapshot_id, "codes").select(["code", "title", "short_descriptor"])
    titles = {row["code"]: row["title"] or row["short_descriptor"] for row in codes.to_pylist()}
    replaced_by: dict[str, list[str]] = defaultdict(list)
    for row in snapshots.read_table(home, snapshot_id, "related_codes").to_pylist():
        if row["relation"] == "replaced_by" and row["related_code"] not in replaced_by[row["code"]]:
            replaced_by[row["code"]].append(row["related_code"])
    return Context(titles, replaced_by)


def in_words(changes: Iterable[Change], context: Context, *, all_rows: bool = False) -> list[Block]:
    """Codes that came, went or came back, then what changed in the others, by code; long lists are cut and counted."""
    by_code: dict[str, list[Change]] = defaultdict(list)
    for change in changes:
        by_code[change["code"]].append(change)
    came = _headlines(by_code, "code_added", lambda change: _added(change, context))
    went = _headlines(by_code, "code_deleted", lambda change: _deleted(change, context))
    back = _headlines(by_code, "code_reinstated", lambda change: f"{_name(change, context)} is valid again")
    # What stands on the page of a new code is told by the code being new.
    others = {code: _distinct(rows) for code, rows in by_code.items() if code not in came}
    blocks: list[Block] = []
    for what, style, lines in (("added", "green", came), ("deleted", "red", went), ("reinstated", "green", back)):
        blocks += _listed(what, style, list(lines.values()), all_rows)
    fields = {code: rows for code, rows in sorted(others.items()) if rows}
    return blocks + _fields(fields, all_rows)


def _headlines(by_code: Mapping[str, list[Change]], change_type: str, tell: Callable[[Change], str]) -> dict[str, str]:
    """One line for each code with such a change, by code."""
    lines: dict[str, str] = {}
    for code, rows in sorted(by_code.items()):
        for change in rows:
            if change["change_type"] == change_type:
                lines.setdefault(code, tell(change) + _cause(change))
    return lines


def _added(change: Change, context: Context) -> str:
    on = f", valid from {change['effective_on']}" if change["effective_on"] else ""
    return f"{_name(change, context)}{on}"


def _deleted(change: Change, context: Context) -> str:
    on = f", from {change['effective_on']} on" if change["effective_on"] else ""
    replacements = context.replaced_by.get(change["code"], ())
    by = f", replaced by {', '.join(replacements)}" if replacements else ", no replacement named"
    return f"{_name(change, context)}{on}{by}"


def _name(change: Change, context: Context) -> str:
    title = context.titles.get(change["code"])
    return f"{change['code']} {title}" if title else str(change["code"])


def _cause(change: Change) -> str:
    if change["cause"] == "restore":
        return " [a person restored an older snapshot, or a run undid that]"
    return "" if change["cause"] == "source" else f" [told by a new {change['cause']}, not by the source]"


def _listed(what: str, style: str, lines: list[str], all_rows: bool) -> list[Block]:
    if not lines:
        return []
    shown = lines if all_rows else lines[:SHOWN_CODES]
    blocks: list[Block] = [Line(f"{len(lines)} {'code' if len(lines) == 1 else 'codes'} {what}:", style)]
    blocks += [Line(f"  {line}") for line in shown]
    if len(lines) > len(shown):
        blocks.append(Line(f"  ... and {len(lines) - len(shown)} more"))
    return blocks


def _distinct(rows: Sequence[Change]) -> list[_Difference]:
    """What differs, by thing: without headlines, and without cells of ``codes`` that repeat what sources' rows tell."""
    tellers = ({**row, "told_by": _told_by(row)} for row in rows if row["change_type"] not in HEADLINES)
    told = {value for row in rows if row["table_name"] != "codes" for value in (None, *values(row))}
    found: list[_Difference] = []
    for (_, told_by), changes in sorted(by_thing(tellers, "told_by").items()):
        if changes[0]["table_name"] != "codes" or not {changes[0]["before"], changes[0]["after"]} <= told:
            found += [_Difference(one.what, one.before, one.after, told_by) for one in differences(changes)]
    return found


def _fields(by_code: Mapping[str, list[_Difference]], all_rows: bool) -> list[Block]:
    if not by_code:
        return []
    codes = list(by_code) if all_rows else list(by_code)[:SHOWN_CODES]
    rows: list[tuple[object, ...]] = []
    for code in codes:
        shown = by_code[code] if all_rows else by_code[code][:SHOWN_PER_CODE]
        rows += [(code, found.what, *_cut(found, all_rows), found.told_by) for found in shown]
        if len(by_code[code]) > len(shown):
            rows.append((code, f"... and {len(by_code[code]) - len(shown)} more", "", "", ""))
    title = f"Changed in {len(by_code)} {'code' if len(by_code) == 1 else 'codes'}:"
    blocks: list[Block] = [Line(), Grid(title, ("code", "what", "before", "after", "told by"), rows)]
    if len(by_code) > len(codes):
        blocks.append(Line(f"  ... and changes in {len(by_code) - len(codes)} more codes"))
    return blocks


def _cut(found: _Difference, all_rows: bool) -> tuple[str, str]:
    """Both values; long ones from shortly before the place where they part."""
    letters = enumerate(zip(found.before or "", found.after or "", strict=False))
    parting = next((at for at, (old, new) in letters if old != new), 0)
    start = (found.before or "").rfind(" ", 0, max(parting - LEAD_IN, 0)) + 1
    return _shortened(found.before, start, all_rows), _shortened(found.after, start, all_rows)


def _shortened(value: str | None, start: int, all_rows: bool) -> str:
    if value is None:
        return ABSENT
    if all_rows or len(value) <= CELL_WIDTH:
        return value
    shown = f"…{value[start:]}" if start else value
    return shown if len(shown) <= CELL_WIDTH else f"{shown[: CELL_WIDTH - 1]}…"


def _told_by(change: Change) -> str:
    if change["cause"] == "source":
        return change["source"] or "all sources"
    return "restore" if change["cause"] == "restore" else f"new {change['cause']}"
