"""One page's parse result, as JSON and as tables on the screen."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

from flows.terminal import Block, Grid, Line
from parsers.records import RECORD_TYPES, ParseResult


def as_document(result: ParseResult) -> dict[str, Any]:
    """The result with its records by table; rows in page order."""
    document = asdict(result)
    document["records"] = {
        kind.table: [asdict(record) for record in result.records if isinstance(record, kind)] for kind in RECORD_TYPES
    }
    return document


def in_words(result: ParseResult) -> list[Block]:
    blocks: list[Block] = [
        Line(f"{result.url}: {result.outcome}{f' ({result.reason})' if result.reason else ''}", "bold"),
        Line(
            f"  source {result.source or 'unknown'}, code {result.code or 'none found'}, "
            f"parser {result.parser}@{result.parser_version}"
        ),
        Line(
            f"  {result.blocks} blocks: {result.claimed} claimed, {result.set_aside} set aside, "
            f"{len(result.unmapped)} unmapped{'; the page is cut off' if result.truncated else ''}"
        ),
        Line(f"  tables seen whole: {', '.join(result.covered_tables) or 'none'}"),
    ]
    for kind in RECORD_TYPES:
        columns = tuple(column.name for column in fields(kind))
        rows = [[getattr(record, name) for name in columns] for record in result.records if isinstance(record, kind)]
        if rows:
            blocks += [Line(), Grid(kind.table, columns, rows)]
    if result.unmapped:
        rows = [[block.block, block.kind, block.text] for block in result.unmapped]
        blocks += [Line(), Grid("unmapped: text that nobody claimed", ("block", "kind", "text"), rows)]
    if result.warnings:
        rows = [[w.rule, w.table_name, w.row_key, w.value, w.message] for w in result.warnings]
        blocks += [Line(), Grid("warnings", ("rule", "table", "row", "value", "message"), rows)]
    if result.traceback:
        blocks += [Line(), *(Line(line) for line in result.traceback.splitlines())]
    return blocks
