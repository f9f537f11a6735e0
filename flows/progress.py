"""Progress of a run on standard error: a bar on a terminal, lines without one."""

from __future__ import annotations

import datetime as dt
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from flows.terminal import tell
from raw.crawl.records import Progress as CrawlProgress

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


@contextmanager
def shown_for_crawl(source: str) -> Iterator[Callable[[CrawlProgress], None]]:
    """Show how far a crawl is, while the block runs: done, left, rate, errors by kind."""
    if not sys.stderr.isatty():
        last = [-SECONDS_BETWEEN_LINES]

        def line(progress: CrawlProgress) -> None:
            if time.monotonic() - last[0] >= SECONDS_BETWEEN_LINES or progress.left == 0:
                last[0] = time.monotonic()
                tell(f"{dt.datetime.now(dt.UTC):%H:%M:%S} crawl {source}: {_how_far(progress)}")

        yield line
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("crawl {task.fields[source]}"), BarColumn(), TextColumn("{task.description}"))
    with Bars(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("begins", total=None, source=source)

        def bar(progress: CrawlProgress) -> None:
            total = None if progress.left is None else progress.done + progress.left
            bars.update(task, completed=progress.done, total=total, description=_how_far(progress))

        yield bar


def _how_far(progress: CrawlProgress) -> str:
    left = "reading the sitemap" if progress.left is None else f"{progress.left} left"
    errors = ", ".join(f"{kind} {count}" for kind, count in sorted(progress.errors.items()))
    return f"{progress.done} done, {left}, {progress.rate:.2f} a second, errors: {errors or 'none'}"


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
