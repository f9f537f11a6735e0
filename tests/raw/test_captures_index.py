"""The capture index as one table."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from raw.captures import CAPTURES_SCHEMA, Capture, index_file, read_captures, write_captures
from raw.errors import IndexUnreadable


def _write(home: Path, run_id: str, urls: list[str]) -> None:
    index_file(home, run_id).parent.mkdir(parents=True, exist_ok=True)
    captures = [
        Capture(
            run_id, url, "local", datetime(2026, 1, 1, 0, 0, 0, 1, UTC), None, "text/html", "sha256:0", 5, "resource"
        )
        for url in urls
    ]
    write_captures(index_file(home, run_id), captures)


def test_an_empty_home_has_an_empty_index(tmp_path: Path) -> None:
    table = read_captures(tmp_path / "nowhere")
    assert (table.num_rows, table.schema.equals(CAPTURES_SCHEMA, check_metadata=True)) == (0, True)


def test_rows_stand_in_the_order_of_runs_and_rows(tmp_path: Path) -> None:
    """Law 5: whatever the order in which the files were made, and however many there are."""
    runs = {f"20260301T120000Z-{n:04x}": [f"file:{n}-{row}" for row in (3, 1, 2)] for n in range(60)}
    for run_id in sorted(runs, key=lambda run_id: run_id[::-1]):
        _write(tmp_path, run_id, runs[run_id])
    table = read_captures(tmp_path)
    assert table["url"].to_pylist() == [url for urls in runs.values() for url in urls]
    assert table.schema.equals(CAPTURES_SCHEMA, check_metadata=True)
    assert read_captures(tmp_path, ("digest", "url")).column_names == ["digest", "url"]


def test_files_are_typed_for_bi(tmp_path: Path) -> None:
    """Law 9."""
    _write(tmp_path, "r1", ["file:1"])
    file = pq.ParquetFile(index_file(tmp_path, "r1"))
    assert file.schema_arrow.equals(CAPTURES_SCHEMA, check_metadata=False)
    assert all(field.metadata[b"description"] for field in file.schema_arrow)
    assert file.metadata.row_group(0).column(0).compression == "SNAPPY"
    assert file.read()["fetched_at"][0].as_py() == datetime(2026, 1, 1, 0, 0, 0, 1, UTC)


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    """Law 11."""
    for run_id in ("r1", "r2", "r3"):
        _write(tmp_path, run_id, ["file:1"])
    index_file(tmp_path, "r2").write_bytes(b"PAR1 cut short")
    with pytest.raises(IndexUnreadable, match=r"r2\.parquet: .*Restore the file") as raised:
        read_captures(tmp_path)
    assert raised.value.path == index_file(tmp_path, "r2")


def test_each_flipped_byte_of_a_page_is_told(tmp_path: Path) -> None:
    """Law 11: the values of an index are under checksums; a damaged one is no other page."""
    _write(tmp_path, "r1", [f"file:{n}" for n in range(20)])
    file = index_file(tmp_path, "r1")
    intact, before = file.read_bytes(), read_captures(tmp_path)
    column = pq.ParquetFile(file).metadata.row_group(0).column(1)
    told = 0
    for place in range(column.dictionary_page_offset, column.dictionary_page_offset + column.total_compressed_size):
        flipped = bytearray(intact)
        flipped[place] ^= 1
        file.write_bytes(flipped)
        try:
            assert read_captures(tmp_path).equals(before)
        except IndexUnreadable:
            told += 1
    assert told > column.total_compressed_size / 2
