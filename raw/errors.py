"""What can go wrong in the landing zone.

The arguments are the evidence, so that an error passes whole from one process to another.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar


class RawError(Exception):
    """Base of the landing zone's errors. ``retry_helps``: whether the same call again can end otherwise."""

    retry_helps: ClassVar[bool] = False


class UnusableInput(RawError):
    """An input that holds no pages: the user named the wrong thing. ``path`` is free of credentials."""

    def __init__(self, path: str, found: str) -> None:
        super().__init__(path, found)
        self.path, self.found = path, found

    def __str__(self) -> str:
        return (
            f"cannot land {self.path!r}: {self.found}. Give a folder that holds pages (.html, .htm, .txt, .md), one "
            "such page, or a WARC, JSONL or Parquet file of pages: by path, or by an address such as "
            "s3://bucket/pages. Nothing was landed."
        )


class RunExists(RawError):
    """The run has landed already: an index file, once written, is never written again."""

    def __init__(self, run_id: str, index: Path) -> None:
        super().__init__(run_id, index)
        self.run_id, self.index = run_id, index

    def __str__(self) -> str:
        return f"run {self.run_id} has landed already ({self.index} is there). Land under a new run id."


class IndexUnreadable(RawError):
    """A file of the capture index cannot be read."""

    def __init__(self, path: Path, found: str) -> None:
        super().__init__(path, found)
        self.path, self.found = path, found

    def __str__(self) -> str:
        return (
            f"cannot read the capture index {self.path}: {self.found}. Restore the file from a copy of the "
            "home; the pages that it lists are still in raw/warc, but cannot be found without it."
        )


class RecordCorrupt(RawError):
    """The bytes at this place are not the record that was written there."""

    def __init__(self, file: str, offset: int, found: str) -> None:
        super().__init__(file, offset, found)
        self.file, self.offset, self.found = file, offset, found

    def __str__(self) -> str:
        return (
            f"cannot read the page in {self.file} at offset {self.offset}: {self.found}. "
            "Restore the file from a copy of the home."
        )


class PayloadTooLarge(RawError):
    """The payload is over the caller's limit; nothing of it was read."""

    def __init__(self, file: str, offset: int, size: int, limit: int) -> None:
        super().__init__(file, offset, size, limit)
        self.file, self.offset, self.size, self.limit = file, offset, size, limit

    def __str__(self) -> str:
        return (
            f"the page in {self.file} at offset {self.offset} has {self.size:,} bytes, over the limit of "
            f"{self.limit:,}; it was not read."
        )


class TargetUnusable(RawError):
    """An export cannot be written under this name: the user named the wrong thing."""

    def __init__(self, target: Path, found: str) -> None:
        super().__init__(target, found)
        self.target, self.found = target, found

    def __str__(self) -> str:
        return (
            f"cannot export to {str(self.target)!r}: {self.found}. Name a folder that is not there yet, or a file that "
            "ends in .warc.gz. Nothing was written."
        )


class NothingToExport(RawError):
    """No capture fits the filters. ``captures``: how many the home holds."""

    def __init__(self, home: Path, captures: int) -> None:
        super().__init__(home, captures)
        self.home, self.captures = home, captures

    def __str__(self) -> str:
        return (
            f"nothing to export: none of the {self.captures:,} captures in {self.home} fits. `cptflow raw stats` tells "
            "which sources and days are there. Nothing was written."
        )
