"""Pages in Parquet: columns ``url``, ``html`` or ``text``, and optionally ``fetched_at``, ``status`` and ``code``.

Read in small batches, whatever the size of the row groups. A body in a column of text is landed as UTF-8, one in a
column of bytes as it is.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from raw import fields
from raw.jsonl_input import MEDIA_TYPES
from raw.pages import MAX_PAGE_BYTES, Container, Page, Problem, from_microseconds, with_code

_BATCH_ROWS = 32
_BUFFER_BYTES = 1 << 20
_T = TypeVar("_T")
_COLUMNS = ("url", "html", "text", "fetched_at", "status", "code")
_PER_SECOND = {"s": 1, "ms": 1000, "us": 1_000_000, "ns": 1_000_000_000}


def read_parquet(container: Container) -> Iterator[Page | Problem]:
    """The container's pages, in their order; bad rows and row groups are told, and stop no other. Raises OSError."""
    with container.open() as stream:
        try:
            file = pq.ParquetFile(stream, buffer_size=_BUFFER_BYTES, pre_buffer=False, page_checksum_verification=True)
            columns = _columns(file.schema_arrow)
            sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        except (pa.ArrowException, OSError, ValueError) as error:
            yield container.problem(None, "", f"is no Parquet file of pages: {_first_line(error)}")
            return
        first = 1
        for group, size in enumerate(sizes):
            yield from _row_group(file, group, columns, first, first + size, container)
            first += size


def _columns(schema: pa.Schema) -> list[str]:
    """Those that are read. Raises ValueError, which says what is missing or of a wrong type."""
    columns = [name for name in _COLUMNS if name in schema.names]
    if "url" not in columns or not {"html", "text"} & {*columns}:
        raise ValueError(f"it needs the columns url, and html or text; it has {', '.join(schema.names[:20]) or 'none'}")
    for name in columns:
        kind = schema.field(name).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        if not (_is_text(kind) or _is_bytes(kind) or pa.types.is_null(kind) or (name in _FITS and _FITS[name](kind))):
            raise ValueError(f"its column {name} is of type {kind}")
    return columns


def _row_group(
    file: pq.ParquetFile, group: int, columns: list[str], first: int, end: int, container: Container
) -> Iterator[Page | Problem]:
    """The pages of the rows from ``first`` to ``end``, counted from 1."""
    row = first
    try:
        for batch in file.iter_batches(_BATCH_ROWS, row_groups=[group], columns=columns, use_threads=False):
            values = {name: _values(name, batch.column(name)) for name in batch.schema.names}
            for at in range(batch.num_rows):
                try:
                    yield _page({name: column[at] for name, column in values.items()}, row + at, container)
                except ValueError as error:
                    yield container.problem(row + at, f"row {row + at}", str(error))
            row += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        message = f"this row and those up to {end - 1} are lost, their row group being damaged: {_first_line(error)}"
        yield container.problem(row, f"row {row}", message)


def _values(name: str, column: pa.Array) -> list[object]:
    """The column's values, a ValueError for each that cannot be read."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if pa.types.is_timestamp(kind):
        return [_try(partial(_moment, _PER_SECOND[kind.unit]), value) for value in column.cast(pa.int64()).to_pylist()]
    if pa.types.is_floating(kind):  # Ex: 200.0, as pandas has numbers where some are missing
        return [int(v) if v is not None and v.is_integer() else v for v in column.to_pylist()]
    if not _is_text(kind):
        return list(column.to_pylist())
    # As bytes: what is no UTF-8 is one row's fault.
    values = column.cast(pa.large_binary()).to_pylist()
    return [_try(_checked_text if name in MEDIA_TYPES else _decoded, value) for value in values]


def _try(read: Callable[[_T], object], value: _T | None) -> object:
    try:
        return None if value is None else read(value)
    except (ValueError, OverflowError) as error:
        return error


def _decoded(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"is no text: {fields.reason(error)}") from None


def _checked_text(value: bytes) -> bytes:
    _decoded(value)
    return value


def _moment(per_second: int, value: int) -> datetime:
    return from_microseconds(value * 1_000_000 // per_second)


def _page(row: dict[str, object], number: int, container: Container) -> Page:
    """Raises ValueError, which says what is wrong with the row."""
    for name, value in row.items():
        if isinstance(value, Exception):
            raise ValueError(f"{name!r} {value}")
    url = fields.url(_as_text(row["url"]))
    if url is None:
        raise ValueError("'url' must be an absolute URL without spaces, and is not given")
    kind = "html" if row.get("html") is not None else "text"
    body = row.get(kind)
    if not isinstance(body, bytes):
        raise ValueError("'html' or 'text' must hold the page, and neither is given")
    if len(body) > MAX_PAGE_BYTES:
        raise ValueError(f"{kind!r} has {len(body):,} bytes, over the limit of {MAX_PAGE_BYTES:,}")
    fetched_at = row.get("fetched_at")
    if not isinstance(fetched_at, datetime):
        fetched_at = fields.fetched_at(_as_text(fetched_at)) or container.modified
    if fetched_at is None:
        raise ValueError("'fetched_at' is not given, and the file's modification time is not known")
    code = fields.code(_as_text(row.get("code")))
    return Page(
        url=with_code(url, code) if code else url,
        fetched_at=fetched_at,
        status=fields.status(row.get("status")),
        media_type=MEDIA_TYPES[kind],
        open=partial(io.BytesIO, body),
        file=container.name,
        where=number,
        place=f"row {number}",
    )


def _as_text(value: object) -> object:
    """Writers that know no text have it as bytes."""
    return _decoded(value) if isinstance(value, bytes) else value


def _is_text(kind: pa.DataType) -> bool:
    return any(is_one(kind) for is_one in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view))


def _is_bytes(kind: pa.DataType) -> bool:
    return any(is_one(kind) for is_one in (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view))


def _is_number(kind: pa.DataType) -> bool:
    return any(is_one(kind) for is_one in (pa.types.is_integer, pa.types.is_floating))


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]


_FITS: dict[str, Callable[[pa.DataType], bool]] = {"fetched_at": pa.types.is_timestamp, "status": _is_number}
