"""A home at an address, for as long as something is done in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from flows.errors import CptflowError
from flows.home import Address, Workplace
from flows.lock import hold, is_held
from flows.remote.copy import Copy, fetching, open_copy
from flows.remote.lease import leased, read_pointer
from flows.remote.pull import DamagedAtStore, fetch_warcs, forget_snapshots, pull_pages, pull_warehouse
from flows.remote.push import Push, push_pages, push_reports, push_warehouse
from flows.remote.store import Store, StoreFailed, open_store
from flows.terminal import tell


@contextmanager
def writing(home: Address, run_id: str) -> Iterator[Workplace]:
    """As `flows.home.writing`."""
    store, lease = open_store(home), None
    try:
        with ExitStack() as held:
            store.check_conditions()
            copy = open_copy(home)
            with fetching(home.copy):  # not while a command of this machine reads the copy in
                here = held.enter_context(hold(home.copy, run_id))
            lease = held.enter_context(leased(store, run_id))
            push = Push(store, copy, lease, store.list())
            pull_warehouse(store, copy, push.listing, lease.pointer)
            pull_pages(store, copy, push.listing)
            with _sent_at_the_end(push):
                yield Workplace(
                    home.copy,
                    _all_of(here.check, lease.check),
                    lambda files: fetch_warcs(store, copy, push.listing, files),
                )
    except StoreFailed as error:
        raise error.telling(lease.published if lease else None) from None


def _all_of(*checks: Callable[[], None]) -> Callable[[], None]:
    def check() -> None:
        for one in checks:
            one()

    return check


@contextmanager
def _sent_at_the_end(push: Push) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with suppress(CptflowError, OSError):  # what ended the block says more
            push_pages(push)
            push_reports(push)
        raise
    push_pages(push)
    push_warehouse(push)
    push_reports(push)


def reading(home: Address, *, raw: bool = False, afresh: bool = False) -> Path:
    """As `flows.home.reading`. While a run of this machine works in the copy, it is read as it stands."""
    store = open_store(home)
    copy = open_copy(home)
    with fetching(home.copy):
        if is_held(home.copy):
            tell(f"A run of this machine is at work in {home}; this is what it found there when it began.")
            return home.copy
        if afresh:
            forget_snapshots(copy)
        for last in (False, True):
            try:
                _pull(store, copy, raw)
                break
            except (DamagedAtStore, StoreFailed) as error:
                # A writer may have published, and removed what it no longer keeps, since the listing.
                if last or (not isinstance(error, DamagedAtStore) and not isinstance(error.error, FileNotFoundError)):
                    raise
    return home.copy


def _pull(store: Store, copy: Copy, raw: bool) -> None:
    pointer = read_pointer(store)
    listing = store.list()
    pull_warehouse(store, copy, listing, pointer)
    if raw:
        pull_pages(store, copy, listing, warcs=True)
