"""How much of a page is read before it is refused. Exceeding a limit is an outcome (`rejected`), never a crash.

Real pages of the known sites are below 1 MB, 3,000 tags and 400 blocks.
"""

from __future__ import annotations

import time

MAX_BYTES = 5 * 1024 * 1024
MAX_TAGS = 50_000  # comments count too
MAX_TEXTS = 200_000  # runs of text in HTML: a tag, an entity and a bare "<" end one
MAX_DEPTH = 150
MAX_BLOCKS = 20_000
MAX_BLOCK_CHARACTERS = 100_000
MAX_RECORDS = 5_000
MAX_SECONDS = 20.0
MAX_MEMORY = 400 * 1024 * 1024  # bytes of a process that parses the worst page under these limits: held by tests


class LimitExceeded(Exception):
    """A page is over a limit. ``retry`` says whether the same bytes may pass next time (time alone)."""

    def __init__(self, what: str, limit: float, found: float | str, *, retry: bool = False) -> None:
        self.what, self.limit, self.found, self.retry = what, limit, found, retry
        super().__init__(f"{what}: limit {limit:g}, found {found}")


class Deadline:
    """The page's time limit, asked between steps: one step is bounded by the other limits."""

    def __init__(self, seconds: float | None = None) -> None:
        self.seconds = MAX_SECONDS if seconds is None else seconds
        self._start = time.monotonic()

    def check(self) -> None:
        """Raise `LimitExceeded` once the time is over."""
        spent = time.monotonic() - self._start
        if spent > self.seconds:
            raise LimitExceeded("seconds", self.seconds, f"{spent:.1f}", retry=True)
