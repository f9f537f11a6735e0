"""The capture index: one Parquet file for each landing run, one row for each capture of a page.

An index file is what commits a run: WARC records that no index row names do not exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from pathlib import Path

import pyarrow as pa
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


@dataclass(frozen=True, slots=True)
class Capture:
    """One row of the index. Fields are the columns of ``CAPTURES_SCHEMA``, in order."""

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
        dataset = ds.dataset([str(file) for file in files], schema=CAPTURES_SCHEMA, format="parquet")
        return dataset.to_table(columns=schema.names).cast(schema)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(files, error) from error


def write_captures(path: Path, captures: Sequence[Capture]) -> None:
    """Write one index file, to be committed by its renaming."""
    arrays = [
        pa.array(map(attrgetter(field.name), captures), field.type, size=len(captures)) for field in CAPTURES_SCHEMA
    ]
    pq.write_table(pa.Table.from_arrays(arrays, schema=CAPTURES_SCHEMA), path, compression="snappy")


def index_folder(home: Path) -> Path:
    return home / "raw" / "captures"


def index_file(home: Path, run_id: str) -> Path:
    return index_folder(home) / f"{run_id}.parquet"


def _unreadable(files: Sequence[Path], error: Exception) -> IndexUnreadable:
    """The reader of many files does not say which one is at fault; look for it."""
    for file in files:
        try:
            pq.read_table(file, schema=CAPTURES_SCHEMA)
        except (pa.ArrowException, OSError) as found:
            return IndexUnreadable(file, str(found))
    return IndexUnreadable(files[0].parent, str(error))
