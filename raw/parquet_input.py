"""Pages in Parquet: columns ``url``, ``html`` or ``text``, and optionally ``fetched_at``, ``status`` and ``code``.

Read row by row, whatever the size of the row groups. A body in a column of text is landed as UTF-8, one in a column of
bytes as it is.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from http import HTTPStatus

import pyarrow as pa
import pyarrow.parquet as pq

from raw import fields
from raw.jsonl_input import MEDIA_TYPES
from raw.pages import MAX_PAGE_BYTES, Container, Page, Problem, from_microseconds, shown, with_code

# One at a time: a small file may hold many large bodies. A dictionary comes whole with each batch, and is not unpacked.
_BATCH_ROWS = 1
_DICTIONARY_BATCH_ROWS = 256
# Pages are packed to a fifth of their size, and many that are much alike to a fiftieth.
_BOMB_RATIO = 200
_BUFFER_BYTES = 1 << 20
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
        names = ", ".join(shown(name[:80]) for name in schema.names[:20])
        raise ValueError(f"it needs the columns url, and html or text; it has {names or 'none'}")
    for name in columns:
        kind = schema.field(name).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        if not (_is_text(kind) or _is_bytes(kind) or pa.types.is_null(kind) or (name in _FITS and _FITS[name](kind))):
            raise ValueError(f"its column {name} is of type {str(kind)[:200]}")
    return columns


def _row_group(
    file: pq.ParquetFile, group: int, columns: list[str], first: int, end: int, container: Container
) -> Iterator[Page | Problem]:
    """The pages of the rows from ``first`` to ``end``, counted from 1."""
    row = first
    if bomb := _bomb(file, group, columns):
        yield container.problem(row, f"row {row}", f"this row and those up to {end - 1} were not read: {bomb}")
        return
    try:
        for batch in file.iter_batches(
            _batch_rows(file, columns), row_groups=[group], columns=columns, use_threads=False
        ):
            for at in range(batch.num_rows):
                try:
                    values = {name: _value(name, _cell(batch.column(name), at)) for name in batch.schema.names}
                    yield _page(values, row, container)
                except ValueError as error:
                    yield container.problem(row, f"row {row}", str(error))
                row += 1
    except (pa.ArrowException, OSError) as error:
        message = f"this row and those up to {end - 1} are lost, their row group being damaged: {_first_line(error)}"
        yield container.problem(row, f"row {row}", message)


def _bomb(file: pq.ParquetFile, group: int, columns: list[str]) -> str | None:
    """A part of a column may be one large piece, which is unpacked at once."""
    found = file.metadata.row_group(group)
    for chunk in (found.column(number) for number in range(found.num_columns)):
        size = chunk.total_uncompressed_size
        if chunk.path_in_schema in columns and size > max(MAX_PAGE_BYTES, _BOMB_RATIO * chunk.total_compressed_size):
            return f"column {chunk.path_in_schema} unpacks from {chunk.total_compressed_size:,} to {size:,} bytes"
    return None


def _batch_rows(file: pq.ParquetFile, columns: list[str]) -> int:
    packed = any(pa.types.is_dictionary(file.schema_arrow.field(name).type) for name in columns)
    return _DICTIONARY_BATCH_ROWS if packed else _BATCH_ROWS


def _cell(column: pa.Array, at: int) -> pa.Scalar:
    if not pa.types.is_dictionary(column.type):
        return column[at]
    index = column.indices[at]
    return column.dictionary[index.as_py()] if index.is_valid else index


def _value(name: str, cell: pa.Scalar) -> object:
    """Raises ValueError, which says what is wrong with it."""
    if not cell.is_valid:
        return None
    kind = cell.type
    if pa.types.is_timestamp(kind):
        return _moment(name, cell.value, _PER_SECOND[kind.unit])
    if not (_is_text(kind) or _is_bytes(kind)):
        value = cell.as_py()
        # Ex: 200.0, as pandas has numbers where some are missing
        return int(value) if isinstance(value, float) and value.is_integer() else value
    # As bytes: what is no UTF-8 is one row's fault.
    data = cell.as_buffer()
    if data.size > MAX_PAGE_BYTES:
        raise ValueError(f"{name!r} has {data.size:,} bytes, over the limit of {MAX_PAGE_BYTES:,}")
    value = data.to_pybytes()
    text = _decoded(value, name) if _is_text(kind) else ""
    return value if name in MEDIA_TYPES or not _is_text(kind) else text


def _decoded(value: bytes, name: str) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{name!r} is no text: {fields.reason(error)}") from None


def _moment(name: str, value: int, per_second: int) -> datetime:
    try:
        return from_microseconds(value * 1_000_000 // per_second)
    except OverflowError as error:
        raise ValueError(f"{name!r} {error}") from None


def _page(row: dict[str, object], number: int, container: Container) -> Page:
    """Raises ValueError, which says what is wrong with the row."""
    url = fields.url(_as_text(row["url"], "url"))
    if url is None:
        raise ValueError("'url' must be an absolute URL without spaces, and is not given")
    status = fields.status(row.get("status"))
    kind = fields.body_kind(row.get("html"), row.get("text"))
    body = row.get(kind)
    if body is None and status == HTTPStatus.NOT_MODIFIED:
        body = b""
    if not isinstance(body, bytes):
        raise ValueError("'html' or 'text' must hold the page, and neither is given")
    fetched_at = row.get("fetched_at")
    if not isinstance(fetched_at, datetime):
        fetched_at = fields.fetched_at(_as_text(fetched_at, "fetched_at")) or container.modified
    if fetched_at is None:
        raise ValueError("'fetched_at' is not given, and the file's modification time is not known")
    code = fields.code(_as_text(row.get("code"), "code"))
    return Page(
        url=with_code(url, code) if code else url,
        fetched_at=fetched_at,
        status=status,
        media_type=MEDIA_TYPES[kind],
        open=partial(io.BytesIO, body),
        file=container.name,
        where=number,
        place=f"row {number}",
    )


def _as_text(value: object, name: str) -> object:
    """Writers that know no text have it as bytes."""
    return _decoded(value, name) if isinstance(value, bytes) else value


def _is_text(kind: pa.DataType) -> bool:
    return any(is_one(kind) for is_one in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view))


def _is_bytes(kind: pa.DataType) -> bool:
    return any(is_one(kind) for is_one in (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view))


def _is_number(kind: pa.DataType) -> bool:
    return any(is_one(kind) for is_one in (pa.types.is_integer, pa.types.is_floating))


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]


_FITS: dict[str, Callable[[pa.DataType], bool]] = {"fetched_at": pa.types.is_timestamp, "status": _is_number}
