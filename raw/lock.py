"""The landing zone's own lock: held for the moments in which files appear under their names, or are swept."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock

_LOCK = ".lock"


def zone_lock(home: Path) -> FileLock:
    """A lock to be used with ``with``. A crawl and a run may land in one home; they wait here for each other.

    The kernel frees it when its holder dies.
    """
    (home / "raw").mkdir(parents=True, exist_ok=True)
    return FileLock(home / "raw" / _LOCK)
