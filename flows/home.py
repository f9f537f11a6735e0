"""Where a home is: a folder of this machine, or an address with a working copy of it on this machine.

What works in a home works in a folder, always: `writing` and `reading` say in which, and bring the copy of a home
at an address up to date, before and after.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Address:
    """A home at an fsspec address. ``copy``: the folder of this machine that holds its working copy.

    As a string it is fit to be shown: without user, password or signature.
    """

    given: str
    copy: Path

    @classmethod
    def at(cls, given: str, cache: Path) -> Address:
        """Each address has a folder of its own in ``cache``; nothing is made."""
        given = given.rstrip("/")
        words = re.sub(r"[^a-z0-9]+", "-", str(cls(given, cache)).lower()).strip("-")[-40:]
        # The same bucket of another server is another home.
        server = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        key = f"{given} {server}" if server and given.startswith("s3") else given
        return cls(given, cache / f"{words}-{hashlib.sha256(key.encode()).hexdigest()[:12]}")

    def __str__(self) -> str:
        from raw.addresses import without_secrets

        return without_secrets(self.given, self.given)


Home = Path | Address

DELIVERY = "alerts-"
"""What the name of a holder begins with that delivers alerts: it has a home at an address for moments only."""
MARKER = ".home.json"
"""In a working copy, and in no home: tells of which address it is the copy."""


def _nothing(files: Iterable[str]) -> None:
    """All files of a home on this machine are there."""


@dataclass(frozen=True, slots=True)
class Workplace:
    """The folder to work in. ``fetch``: have these WARC files (relative to the home) there before they are read;
    ``check``: raise where the home is no longer held, before anything is published."""

    folder: Path
    check: Callable[[], None]
    fetch: Callable[[Iterable[str]], None] = _nothing


@contextmanager
def writing(home: Home, run_id: str, *, alone: bool = True) -> Iterator[Workplace]:
    """Hold the home for as long as the block lasts, and keep what it does.

    A home at an address is fetched first, and what the block added to its copy is sent when it ends: pages and parse
    results whatever the end, a snapshot and whatever follows from it only where the block ends well. ``alone``: False
    where a local home need not be held, for what is done in it goes well beside a run (a crawl).

    Raises HomeHeld where another writer holds it; of a home at an address also StoreUnfit, StoreFailed and
    DamagedAtStore, and LeaseLost where it was no longer ours when the block ended.
    """
    from flows.lock import hold

    if isinstance(home, Address):
        from flows.remote import session

        with session.writing(home, run_id) as workplace:
            yield workplace
    elif alone:
        with hold(home, run_id) as held:
            yield Workplace(home, held.check)
    else:
        yield Workplace(home, lambda: None)


def reading(home: Home, *, raw: bool = False, afresh: bool = False) -> Path:
    """The folder to read the home in. Of a home at an address it is brought up to date: its tables, with ``raw`` its
    pages too; with ``afresh`` every snapshot is fetched again, and so seen to be as it was written.

    Raises StoreFailed, DamagedAtStore.
    """
    if not isinstance(home, Address):
        return home
    from flows.remote import session

    return session.reading(home, raw=raw, afresh=afresh)


def copied_address(folder: Path) -> str | None:
    """The address whose working copy a folder is; None where it is none."""
    try:
        return str(json.loads((folder / MARKER).read_text(encoding="utf-8"))["address"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def folder_of(home: Home) -> Path:
    """The folder of this machine, as it stands."""
    return home.copy if isinstance(home, Address) else home
