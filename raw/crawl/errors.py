"""What can go wrong with a crawl as a whole. What goes wrong with one page is a kind in the crawl's record."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from raw.errors import RawError


class BadDefinition(RawError):
    """A crawl's definition cannot be followed; nothing was asked."""

    def __init__(self, source: str, field: str, found: str) -> None:
        super().__init__(source, field, found)
        self.source, self.field, self.found = source, field, found

    def __str__(self) -> str:
        return f"cannot crawl {self.source!r}: its {self.field} {self.found}. Nothing was asked."


class CrawlHeld(RawError):
    """Another process crawls this source."""

    retry_helps: ClassVar[bool] = True

    def __init__(self, source: str, lock: Path) -> None:
        super().__init__(source, lock)
        self.source, self.lock = source, lock

    def __str__(self) -> str:
        return f"another process crawls {self.source!r} (it holds {self.lock}). Wait for it, or end it."


class CrawlFailed(RawError):
    """The crawl's process ended without a word of its own. ``last_words``: the end of what it logged."""

    retry_helps: ClassVar[bool] = True

    def __init__(self, source: str, exit_code: int, last_words: str) -> None:
        super().__init__(source, exit_code, last_words)
        self.source, self.exit_code, self.last_words = source, exit_code, last_words

    def __str__(self) -> str:
        return (
            f"the crawl of {self.source!r} ended unexpectedly (exit code {self.exit_code}). What came is kept, and "
            f"the next crawl of it goes on from there. Its last words: {self.last_words or 'none'}"
        )


class CrawlUnreadable(RawError):
    """A file that tells how a crawl went cannot be read."""

    def __init__(self, path: Path, found: str) -> None:
        super().__init__(path, found)
        self.path, self.found = path, found

    def __str__(self) -> str:
        return (
            f"cannot read the crawl's record {self.path}: {self.found}. Restore the file from a copy of the home, or "
            "remove it: the pages of that crawl stay, but it counts for nothing then."
        )
