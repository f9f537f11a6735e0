"""A home at an address, for as long as something is done in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import TypeVar

from flows.errors import CptflowError, DiskFailed, HomeHeld
from flows.home import DELIVERY, Address, Workplace
from flows.lock import hold, is_held
from flows.remote.copy import Copy, as_it_was, fetching, open_copy, show_readers
from flows.remote.lease import leased, read_pointer
from flows.remote.manifests import DamagedAtStore
from flows.remote.pull import fetch_warcs, pull_alerts, pull_pages, pull_warehouse
from flows.remote.push import (
    Push,
    begin_alerts,
    push_alerts,
    push_alerts_of_known,
    push_pages,
    push_reports,
    push_warehouse,
)
from flows.remote.store import Store, StoreFailed, open_store, told_of_publication
from flows.terminal import tell

T = TypeVar("T")

_MOMENTS = 30.0
"""Seconds that a run waits for a delivery of alerts."""


@contextmanager
def writing(home: Address, run_id: str) -> Iterator[Workplace]:
    """As `flows.home.writing`."""
    store, lease = open_store(home), None
    try:
        with ExitStack() as held:
            store.check_conditions()
            copy = open_copy(home)
            with fetching(home.copy):  # commands of this machine that read wait until the copy is up to date
                here = _held(held, run_id, lambda: hold(home.copy, run_id))
                lease = _held(held, run_id, lambda: leased(store, run_id))
                push = Push(store, copy, lease, store.list())
                pull_warehouse(store, copy, push.listing, lease.pointer)
                pull_pages(store, copy, push.listing)
                pull_alerts(store, copy, push.listing)
                begin_alerts(push)
                show_readers(home.copy)
            with _sent_at_the_end(push):
                yield Workplace(
                    home.copy,
                    _all_of(here.check, lease.check),
                    lambda files: fetch_warcs(store, copy, push.listing, files),
                )
    except StoreFailed as error:
        raise error.telling(lease.published if lease else None, lease.tried if lease else None) from None
    except OSError as error:
        if error.errno is None:  # no system's
            raise
        kept = told_of_publication(lease.published if lease else None, lease.tried if lease else None)
        raise DiskFailed(f"Keeping the working copy of {home}", home.copy, error, kept) from error


def _held(held: ExitStack, run_id: str, make: Callable[[], AbstractContextManager[T]]) -> T:
    """Hold it, at once or when a delivery has let go of it: those are short, and come often. Raises HomeHeld."""
    last = monotonic() + _MOMENTS
    while True:
        try:
            return held.enter_context(make())
        except HomeHeld as error:
            by = str((error.holder or {}).get("run_id"))
            if run_id.startswith(DELIVERY) or not by.startswith(DELIVERY) or monotonic() > last:
                raise
        sleep(0.2)


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
            push_alerts_of_known(push)
        raise
    push_pages(push)
    push_alerts_of_known(push)
    push_warehouse(push)
    push_alerts(push)
    push_reports(push)


def reading(home: Address, *, raw: bool = False, afresh: bool = False) -> Path:
    """As `flows.home.reading`. While a run of this machine works in the copy, its snapshots are read as that found
    them."""
    store = open_store(home)
    copy = open_copy(home)
    with fetching(home.copy):
        if is_held(home.copy):
            tell(f"A run of this machine is at work in {home}; this is what it found there when it began.")
            return as_it_was(home.copy)
        for last in (False, True):
            try:
                _pull(store, copy, raw=raw, afresh=afresh)
                break
            except (DamagedAtStore, StoreFailed) as error:
                # A writer may have published, and removed what it no longer keeps, since the listing.
                if last or (not isinstance(error, DamagedAtStore) and not isinstance(error.error, FileNotFoundError)):
                    raise
    return home.copy


def _pull(store: Store, copy: Copy, *, raw: bool, afresh: bool) -> None:
    pointer = read_pointer(store)
    listing = store.list()
    pull_warehouse(store, copy, listing, pointer, afresh=afresh)
    pull_alerts(store, copy, listing)
    if raw:
        pull_pages(store, copy, listing, warcs=True)
