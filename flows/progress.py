"""Progress of a run on standard error: a bar on a terminal, lines without one."""

from __future__ import annotations

import datetime as dt
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from flows.terminal import tell

Progress = Callable[[str, int, int | None], None]
"""Told the step, how many pages are done, and of how many (None: unknown)."""

SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def shown() -> Iterator[Progress]:
    """Show progress while the block runs."""
    if not sys.stderr.isatty():
        yield lines(lambda line: tell(f"{dt.datetime.now(dt.UTC):%H:%M:%S} {line}"))
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks = {}

        def progress(step: str, done: int, total: int | None) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=total)
            bars.update(tasks[step], completed=done, total=total)

        yield progress


def lines(write: Callable[[str], None]) -> Progress:
    """A line when a step begins, and one now and then while it goes on."""
    last: dict[str, float] = {}

    def progress(step: str, done: int, total: int | None) -> None:
        now = time.monotonic()
        if step in last and now - last[step] < SECONDS_BETWEEN_LINES and done != total:
            return
        last[step] = now
        of = f" of {total}" if total is not None else ""
        pages = f": {done}{of} pages" if done or total else ""
        write(f"{step}{pages}")

    return progress
