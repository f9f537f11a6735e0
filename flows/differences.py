"""Two snapshots side by side: how many rows differ in each table, and what else they were made with."""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from flows.changes import between, of_snapshot
from flows.terminal import Block, Grid, Line
from flows.things import Change
from warehouse import snapshots
from warehouse.tables import COMPARED, TABLES


def differences(home: Path, before: str, after: str) -> dict[str, Any]:
    """How the snapshot ``after`` differs from ``before``, whichever is older.

    ``tables``: by name, rows before and after; of tables that are compared, also rows added, removed and changed, and
    how many values of each column. ``causes``: rows of ``changes`` by cause, where ``before`` is the parent of
    ``after``, else null. ``made_with``: [before, after] of each thing that is not the same in both. Raises
    UnknownSnapshot, BrokenSnapshot.
    """
    old, new = (snapshots.read_manifest(home, which) for which in (before, after))
    found = _by_table(between(home, before, after))
    tables = {t.name: _rows(t.name, old, new) | found.get(t.name, {}) for t in TABLES if t.kind != "run"}
    adjacent = new["parent"] == before
    causes = Counter(change["cause"] for change in of_snapshot(home, after)) if adjacent else None
    return {
        "before": before,
        "after": after,
        "tables": tables,
        "causes": dict(causes.most_common()) if causes is not None else None,
        "made_with": _made_with(old, new),
    }


def in_words(found: Mapping[str, Any], home: str) -> list[Block]:
    """Tables in which anything differs, what the snapshots were made with, and where to read on. ``home``: as people
    give it to a command."""
    tables = {name: table for name, table in found["tables"].items() if _differs(table)}
    rows = [
        (name, table["before"], table["after"], *(table.get(n, "") for n in ("added", "removed", "changed")),
         ", ".join(f"{column} {count}" for column, count in table.get("columns", {}).items()))
        for name, table in tables.items()
    ]  # fmt: skip
    blocks: list[Block] = [Line(f"From {found['before']} to {found['after']}:", "bold")]
    if rows:
        head = ("table", "rows before", "rows after", "added", "removed", "changed", "values changed, by column")
        blocks.append(Grid("Rows", head, rows))
    else:
        blocks.append(Line("  no row differs in any table"))
    if found["causes"]:
        blocks.append(Line("By cause: " + ", ".join(f"{cause} {count}" for cause, count in found["causes"].items())))
    if found["made_with"]:
        made_with = [(name, *map(_shown, pair)) for name, pair in found["made_with"].items()]
        blocks.append(Grid("Made otherwise", ("", "before", "after"), made_with))
    command = shlex.join(["cptflow", "changes", found["before"], found["after"], "--home", home])
    return [*blocks, Line(f"Each single change: {command}")]


def _by_table(changes: Iterable[Change]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {t.name: {"added": 0, "removed": 0, "changed": 0} for t in COMPARED}
    touched: dict[str, set[str]] = defaultdict(set)
    columns: dict[str, Counter[str]] = defaultdict(Counter)
    for change in changes:
        name = change["table_name"]
        if change["column_name"] is not None:
            touched[name].add(change["row_key"])
            columns[name][change["column_name"]] += 1
        else:
            found[name]["added" if change["before"] is None else "removed"] += 1
    for name, table in found.items():
        table |= {"changed": len(touched[name]), "columns": dict(columns[name].most_common())}
    return found


def _rows(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    return {side: m["files"].get(name, {}).get("rows", 0) for side, m in (("before", old), ("after", new))}


def _differs(table: Mapping[str, Any]) -> bool:
    return table["before"] != table["after"] or any(table.get(name) for name in ("added", "removed", "changed"))


def _made_with(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, list[Any]]:
    pairs: dict[str, list[Any]] = {
        "cptflow": [old["cptflow_version"], new["cptflow_version"]],
        "trust": [old.get("trust"), new.get("trust")],
    }
    for parser in sorted({*old["parsers"], *new["parsers"]}):
        pairs[f"parser {parser}"] = [old["parsers"].get(parser), new["parsers"].get(parser)]
    for table in TABLES:
        pairs[f"schema of {table.name}"] = [m["files"].get(table.name, {}).get("schema") for m in (old, new)]
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _shown(value: object) -> str:
    if value is None:
        return "–"
    text = ", ".join(value) if isinstance(value, list) else str(value)
    return text if len(text) < 64 else f"{text[:8]}…"  # a fingerprint
