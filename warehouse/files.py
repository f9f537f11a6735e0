"""Parquet files: the same table gives the same bytes, and a file is there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ROWS_PER_GROUP = 131_072


def encode(table: pa.Table) -> pa.Buffer:
    """``table`` as Parquet bytes (Snappy): equal tables give equal bytes, however they are chunked in memory."""
    sink = pa.BufferOutputStream()
    pq.write_table(
        table.combine_chunks(),  # page boundaries follow chunks
        sink,
        compression="snappy",
        row_group_size=ROWS_PER_GROUP,
        version="2.6",
    )
    return sink.getvalue()


def write_durably(path: Path, data: bytes | pa.Buffer) -> None:
    """Write ``data`` to a new or empty file and make sure that it is on the disk."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def link_same(path: Path, older: Path, data: pa.Buffer) -> bool:
    """Make ``path`` a hard link of ``older`` if that file has just these bytes; whether it is one now.

    Whatever stands in the way (no such file, a disk without links, too many of them) is no error: write a file then.
    """
    try:
        if older.stat().st_size != data.size or not pa.py_buffer(older.read_bytes()).equals(data):
            return False
        os.link(older, path)
        sync_folder(path)  # in a home that was copied a moment ago, the older file may not be on the disk yet
    except OSError:
        path.unlink(missing_ok=True)
        return False
    return True


def replace_file(path: Path, data: bytes | pa.Buffer) -> None:
    """Put ``data`` at ``path`` in one step: a reader sees the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    write_durably(temporary, data)
    temporary.replace(path)


def sync_folder(folder: Path) -> None:
    """Make sure that the names in ``folder`` are on the disk (the files themselves may be already), or a file is."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
