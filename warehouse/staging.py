"""Parse results, stored once for each (bytes, url, parser version) and only ever added to.

    <home>/parsed/<parser>@<version>/<table>/<batch>.parquet
    <home>/parsed/<parser>@<version>/results/<batch>.parquet      written last: it commits the batch

Rows of a batch without a results file do not exist. A batch is named by the pages in it, so that a run that was
killed and starts again writes the same files again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from parsers.records import ParseResult
from warehouse.columnar import first_of_each
from warehouse.files import encode, replace_file, sync_folder
from warehouse.tables import DOCUMENTS, FACTS, STRING, UNMAPPED

RESULTS = "results"
WARNINGS = "warnings"

_URL = pa.field("url", STRING, nullable=False)
_SEEN_BY_CAPTURES = ("fetched_at", "media_type", "byte_size")
SCHEMAS: dict[str, pa.Schema] = {
    **{table.name: table.schema.append(_URL).remove_metadata() for table in FACTS},
    UNMAPPED.name: UNMAPPED.schema.append(_URL).remove_metadata(),
    WARNINGS: pa.schema(
        [pa.field("document_id", STRING, nullable=False), _URL]
        + [pa.field(name, STRING) for name in ("source", "code", "rule", "table_name", "row_key")]
        + [pa.field(name, STRING) for name in ("column_name", "value", "message")]
    ),
    RESULTS: pa.schema(
        [field for field in DOCUMENTS.schema if field.name not in _SEEN_BY_CAPTURES] + [pa.field("traceback", STRING)]
    ),
}


# What Arrow raises for values that are too large, of another type, missing, or no text. Ex: a lone surrogate
_UNFIT = (pa.ArrowException, ValueError, OverflowError)


@dataclass(frozen=True, slots=True)
class StagedResult:
    """What a parser made of one page. ``document_id``: sha256 of the page's bytes, hex."""

    document_id: str
    result: ParseResult


def stage(home: Path, results: Sequence[StagedResult]) -> None:
    """Store one batch. A page whose records do not fit their tables' types is stored as ``failed``.

    Results that may turn out otherwise next time (``retry``) do not belong here. Raises ValueError for them.
    """
    if passing := [staged.result.url for staged in results if staged.result.retry]:
        raise ValueError(f"not staged: {passing[0]} may turn out otherwise when tried again (retry is set)")
    by_parser = sorted(results, key=lambda s: (_folder_of(s), s.document_id, s.result.url))
    for folder, batch in groupby(by_parser, key=_folder_of):
        _store(home / "parsed" / folder, list(batch))


def staged_keys(home: Path, live: Iterable[str]) -> set[tuple[str, str]]:
    """(document_id, url) of every page that a live parser version (``codingahead@1``) has read."""
    keys = _read(home, live, RESULTS, columns=["document_id", "url"])
    return set(zip(keys["document_id"].to_pylist(), keys["url"].to_pylist(), strict=True))


def read_results(home: Path, live: Iterable[str]) -> pa.Table:
    """One row for each (document_id, url): the columns of ``documents`` that a parser knows, and ``traceback``."""
    results = _read(home, live, RESULTS)
    # The same bytes may have come with status 200 (parsed) and 404 (`none`): what a parser read is the result.
    unread = pc.equal(results["parser"], "none")
    ranked = results.append_column("_unread", unread)
    first = first_of_each(ranked, ("document_id", "url"), by=("_unread", "parser", "parser_version"))
    return first.drop_columns("_unread")


def read_rows(home: Path, live: Iterable[str], table_name: str) -> pa.Table:
    """All staged rows of a fact table, of ``unmapped`` or of ``warnings``, with the url of their page.

    A page that is in two batches has its rows twice.
    """
    return _read(home, live, table_name)


def _folder_of(staged: StagedResult) -> str:
    return f"{staged.result.parser}@{staged.result.parser_version}"


def _store(folder: Path, batch: list[StagedResult]) -> None:
    name = _batch_name(batch)
    try:
        files = _files_of(batch)
    except _UNFIT:
        files = _files_of([_fitting(staged) for staged in batch])
    results = files.pop(RESULTS)
    for table_name, data in files.items():
        replace_file(folder / table_name / name, data)
        sync_folder(folder / table_name)
    replace_file(folder / RESULTS / name, results)
    sync_folder(folder / RESULTS)


def _batch_name(batch: Iterable[StagedResult]) -> str:
    keys = sorted((staged.document_id, staged.result.url) for staged in batch)
    return hashlib.sha256(json.dumps(keys).encode()).hexdigest()[:32] + ".parquet"


def _fitting(staged: StagedResult) -> StagedResult:
    """``staged``, or a ``failed`` result in its place where its records cannot be stored. One page stops no others."""
    try:
        _files_of([staged])
    except _UNFIT as error:
        failed = ParseResult(
            url=staged.result.url,
            source=staged.result.source,
            code=None,
            parser=staged.result.parser,
            parser_version=staged.result.parser_version,
            outcome="failed",
            reason=f"its records could not be stored: {str(error)!a}",
            traceback=ascii(traceback.format_exc()),
        )
        return StagedResult(staged.document_id, failed)
    return staged


def _files_of(batch: Iterable[StagedResult]) -> dict[str, pa.Buffer]:
    """Parquet bytes by table; tables without rows have no file. Raises one of _UNFIT."""
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in SCHEMAS}
    for staged in batch:
        result = staged.result
        page = {"document_id": staged.document_id, "url": result.url}
        owner = {**page, "source": result.source, "code": result.code}
        rows[RESULTS].append({**_result_row(result), **owner})
        for record in result.records:
            rows[record.table].append({**dataclasses.asdict(record), **owner})
        rows[UNMAPPED.name] += [{**dataclasses.asdict(block), **page} for block in result.unmapped]
        rows[WARNINGS] += [{**dataclasses.asdict(warning), **owner} for warning in result.warnings]
    return {
        name: encode(pa.Table.from_pylist(rows[name], schema=schema)) for name, schema in SCHEMAS.items() if rows[name]
    }


def _result_row(result: ParseResult) -> dict[str, Any]:
    names = set(SCHEMAS[RESULTS].names) - {"document_id", "covered_tables", "unmapped"}
    row = {name: getattr(result, name) for name in names}
    return {
        **row,
        "covered_tables": ",".join(sorted(result.covered_tables)),
        "unmapped": len(result.unmapped),
    }


def _read(home: Path, live: Iterable[str], table_name: str, columns: list[str] | None = None) -> pa.Table:
    files = [
        str(file)
        for folder in sorted(home / "parsed" / name for name in live)
        for committed in sorted((folder / RESULTS).glob("*.parquet"))
        if (file := folder / table_name / committed.name).exists()
    ]
    schema = SCHEMAS[table_name]
    if not files:
        empty: pa.Table = schema.empty_table()
        return empty.select(columns) if columns else empty
    return ds.dataset(files, schema=schema, format="parquet").to_table(columns=columns)
