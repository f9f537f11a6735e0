"""Files of many pages, by the ends of their names."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from raw.jsonl_input import read_jsonl
from raw.manifest import MANIFEST
from raw.pages import Container, Item
from raw.parquet_input import read_parquet
from raw.warc_input import read_warc

_READERS: dict[str, Callable[[Container], Iterator[Item]]] = {
    ".warc": read_warc,
    ".warc.gz": read_warc,
    ".jsonl": read_jsonl,
    ".jsonl.gz": read_jsonl,
    ".jsonl.zst": read_jsonl,
    ".ndjson": read_jsonl,
    ".ndjson.gz": read_jsonl,
    ".ndjson.zst": read_jsonl,
    ".parquet": read_parquet,
}
SUFFIXES = tuple(_READERS)


def is_container(name: str) -> bool:
    return name.lower().endswith(SUFFIXES) and name != MANIFEST


def read_container(container: Container) -> Iterator[Item]:
    """The container's pages. One that cannot be read is told, and raises nothing."""
    suffix = next(suffix for suffix in SUFFIXES if container.name.lower().endswith(suffix))
    try:
        yield from _READERS[suffix](container)
    except OSError as error:
        yield container.problem(None, "", f"cannot be read: {error.strerror or error}")
