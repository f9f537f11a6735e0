"""Containers of invented pages, as others would write them; by hand, so that any of it can be broken."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from raw.captures import read_captures
from tests.raw.landing_zone import URL


class Made(NamedTuple):
    """A page as it was fetched."""

    url: str
    body: bytes
    fetched_at: str = "2026-01-05T10:00:00Z"
    status: int = 200


def made(count: int, size: int = 0) -> list[Made]:
    return [
        Made(f"{URL}{n:04d}T", f"<html><p>Synthetic page {n}</p>{'Synthetic filler. ' * size}</html>".encode())
        for n in range(count)
    ]


def sha1(data: bytes) -> str:
    return f"sha1:{base64.b32encode(hashlib.sha1(data).digest()).decode()}"


def record(kind: str, url: str, block: bytes, date: str = "2026-01-05T10:00:00Z", **more: str | None) -> bytes:
    """One WARC record. ``more``: other header lines, a dash for each underscore; None takes one away."""
    headers: dict[str, str | None] = {
        "WARC-Type": kind,
        "WARC-Record-ID": f"<urn:uuid:{hashlib.md5(url.encode() + block).hexdigest()}>",
        "WARC-Target-URI": url,
        "WARC-Date": date,
        "WARC-Block-Digest": sha1(block),
        "Content-Type": "application/http; msgtype=response" if block.startswith(b"HTTP/") else "text/html",
        "Content-Length": str(len(block)),
    } | {name.replace("_", "-"): value for name, value in more.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if value is not None)
    return f"WARC/1.1\r\n{lines}\r\n".encode() + block + b"\r\n\r\n"


def answer(body: bytes, status: int = 200, **headers: str) -> bytes:
    """An HTTP response, HTML where nothing else is told."""
    told = {"Content_Type": "text/html; charset=utf-8"} | headers
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in told.items() if value)
    return f"HTTP/1.1 {status} Synthetic\r\n{lines}\r\n".encode() + body


def response(page: Made, **more: str | None) -> bytes:
    digest = {"WARC_Payload_Digest": sha1(page.body)} | more
    return record("response", page.url, answer(page.body, page.status), page.fetched_at, **digest)


def warc(path: Path, records: Sequence[bytes]) -> Path:
    """A gzip member for each record where the name ends in .gz, as archives have it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(gzip.compress(r, mtime=0) if path.suffix == ".gz" else r for r in records))
    return path


def lines(pages: Sequence[Made]) -> list[bytes]:
    return [json.dumps(p._asdict() | {"html": p.body.decode(), "body": None}).encode() + b"\n" for p in pages]


def zstd(data: bytes) -> bytes:
    packed = pa.BufferOutputStream()
    with pa.CompressedOutputStream(packed, "zstd") as stream:
        stream.write(data)
    return bytes(packed.getvalue().to_pybytes())


def parquet(path: Path, pages: Sequence[Made], row_group: int = 1000) -> Path:
    table = pa.table(
        {
            "url": [p.url for p in pages],
            "html": [p.body for p in pages],
            "fetched_at": [datetime.fromisoformat(p.fetched_at) for p in pages],
            "status": pa.array([p.status for p in pages], pa.int16()),
        }
    )
    pq.write_table(table, path, row_group_size=row_group)
    return path


def _jsonl(pack: Callable[[bytes], bytes]) -> Callable[[Path, Sequence[Made]], Path]:
    def write(path: Path, pages: Sequence[Made]) -> Path:
        path.write_bytes(pack(b"".join(lines(pages))))
        return path

    return write


def _one_member(path: Path, pages: Sequence[Made]) -> Path:
    path.write_bytes(gzip.compress(b"".join(map(response, pages)), mtime=0))
    return path


WRITERS: dict[str, Callable[[Path, Sequence[Made]], Path]] = {
    "pages.warc": lambda path, pages: warc(path, [response(p) for p in pages]),
    "pages.warc.gz": lambda path, pages: warc(path, [response(p) for p in pages]),
    "one-member.warc.gz": _one_member,
    "pages.jsonl": _jsonl(bytes),
    "pages.ndjson": _jsonl(bytes),
    "pages.jsonl.gz": _jsonl(gzip.compress),
    "pages.jsonl.zst": _jsonl(zstd),
    "pages.parquet": parquet,
}


def captured(home: Path) -> set[tuple[object, ...]]:
    """What a home holds of each capture, whatever container it came from."""
    columns = ["url", "digest", "fetched_at", "status", "media_type", "payload_bytes", "record_type", "source"]
    return {tuple(row.values()) for row in read_captures(home, columns).to_pylist()}
