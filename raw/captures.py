"""The capture index: one Parquet file for each landing run, one row for each capture of a page.

An index file is what commits a run: WARC records that no index row names do not exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from raw.errors import IndexUnreadable

CAPTURES_SCHEMA = pa.schema(
    [
        pa.field(name, kind, nullable=nullable, metadata={"description": description})
        for name, kind, nullable, description in (
            ("run_id", pa.string(), False, "Run that landed the capture."),
            ("url", pa.string(), False, "Address of the page; a file: URI where none was known."),
            ("source", pa.string(), False, "Site that the page is from, by its URL."),
            ("fetched_at", pa.timestamp("us", tz="UTC"), False, "When the page was fetched (UTC)."),
            ("status", pa.int32(), True, "HTTP status, where known."),
            ("media_type", pa.string(), False, "Media type of the payload."),
            ("digest", pa.string(), False, "sha256:<hex> of the payload."),
            ("payload_bytes", pa.int64(), False, "Size of the payload in bytes."),
            ("record_type", pa.string(), False, "response, resource, or revisit (same bytes, held already)."),
            ("file", pa.string(), False, "WARC file, relative to the home."),
            ("offset", pa.int64(), False, "Place of the record's gzip member in the file, in bytes."),
            ("length", pa.int64(), False, "Size of the record's gzip member, in bytes."),
            ("requested_url", pa.string(), True, "Address that was asked for, where redirects led to url."),
            ("etag", pa.string(), True, "ETag that the server gave, for a conditional request."),
            ("last_modified", pa.string(), True, "Last-Modified that the server gave, for a conditional request."),
        )
    ]
)


# Ex: raw/warc/codingahead/20260301T120000Z-0001.warc.gz
_WARC_FILE = r"^raw/warc/[^/\x00]+/[^/\x00]+\.warc\.gz$"
# Files of earlier versions have no checksums, and read all the same.
_PARQUET = ds.ParquetFileFormat(
    default_fragment_scan_options=ds.ParquetFragmentScanOptions(page_checksum_verification=True)
)
# What damaged Parquet raises beside Arrow's own errors, which are not all ArrowExceptions: a plain ValueError for nulls
# that may not be, TypeError and OverflowError for a footer that tells nonsense.
_DAMAGE = (pa.ArrowException, OSError, ValueError, TypeError, KeyError, OverflowError, MemoryError)


class Capture(NamedTuple):
    """One row of the index. Fields are the columns of ``CAPTURES_SCHEMA``, in order.

    A tuple, because each is made anew twice while it is written: a dataclass takes half as long over that as reading
    and hashing its page does.
    """

    run_id: str
    url: str
    source: str
    fetched_at: datetime
    status: int | None
    media_type: str
    digest: str
    payload_bytes: int
    record_type: str
    file: str = ""
    offset: int = -1
    length: int = -1
    requested_url: str | None = None
    etag: str | None = None
    last_modified: str | None = None


def read_captures(home: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """All captures of a home in (run_id, row) order, with CAPTURES_SCHEMA (or some of its columns).

    No index file is no error: the table is empty then. Raises IndexUnreadable, naming the file.
    """
    schema = CAPTURES_SCHEMA if columns is None else pa.schema([CAPTURES_SCHEMA.field(c) for c in columns])
    files = sorted(index_folder(home).glob("*.parquet"))
    if not files:
        return schema.empty_table()
    try:
        return _read(files, schema)
    except _DAMAGE as error:
        raise _unreadable(files, schema, error) from error


def read_index(file: Path) -> pa.Table:
    """The captures of one index file, checked to the last byte: every column, as ``read_captures`` gives it.

    Beyond that: no columns but those of CAPTURES_SCHEMA, text that is UTF-8, moments that a calendar knows, and files
    that are WARC files of a home.
    Raises IndexUnreadable.
    """
    try:
        table = _read([file], CAPTURES_SCHEMA)
        table.validate(full=True)
        columns = set(pq.read_schema(file).names)
        pc.min_max(table["fetched_at"]).as_py()
    except _DAMAGE as error:
        raise IndexUnreadable(file, str(error)) from error
    if unknown := columns - set(CAPTURES_SCHEMA.names):
        raise IndexUnreadable(file, f"it has columns that no index has: {', '.join(map(repr, sorted(unknown)))}")
    strange = table["file"].filter(pc.invert(pc.match_substring_regex(table["file"], _WARC_FILE)))
    if len(strange):
        raise IndexUnreadable(file, f"it names {strange[0].as_py()[:80]!r}, which is no WARC file of a home")
    return table


def write_captures(path: Path, captures: Sequence[Capture]) -> None:
    """Write one index file, to be committed by its renaming."""
    arrays = [
        pa.array(map(attrgetter(field.name), captures), field.type, size=len(captures)) for field in CAPTURES_SCHEMA
    ]
    table = pa.Table.from_arrays(arrays, schema=CAPTURES_SCHEMA)
    pq.write_table(table, path, compression="snappy", write_page_checksum=True)


def index_folder(home: Path) -> Path:
    return home / "raw" / "captures"


def index_file(home: Path, run_id: str) -> Path:
    return index_folder(home) / f"{run_id}.parquet"


def _read(files: Sequence[Path], schema: pa.Schema) -> pa.Table:
    dataset = ds.dataset([str(file) for file in files], schema=CAPTURES_SCHEMA, format=_PARQUET)
    return dataset.to_table(columns=schema.names).cast(schema)


def _unreadable(files: Sequence[Path], schema: pa.Schema, error: Exception) -> IndexUnreadable:
    """The reader of many files does not say which one is at fault; look for it."""
    for file in files:
        try:
            _read([file], schema)
        except _DAMAGE as found:
            return IndexUnreadable(file, str(found))
    return IndexUnreadable(files[0].parent, str(error))
