"""What a flow run leaves in Prefect's UI: a summary, a table of changes, the quality report's place, progress, alerts.

Words of pages are text there, whatever they are (law 10). With ``rights = "codes-only"`` there are none of them. What
cannot be shown is told to whoever listens (``warn``) and fails no run: what it did is done.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.artifacts import (
    Artifact,
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from flows import words
from flows.alert_settings import Rights
from flows.alerts.escaping import clean
from flows.alerts.items import as_allowed, items_of
from flows.alerts.message import Item, Message
from flows.alerts.outbox import existing_outbox
from flows.alerts.render import render
from flows.errors import CptflowError
from flows.home import folder_of
from flows.progress import Progress
from flows.report import Report
from flows.settings import Settings
from raw.errors import RawError

Warn = Callable[[str], None]

SUMMARY, CHANGES, QUALITY, PAGES = "run-summary", "changes", "quality-report", "pages-parsed"
ALERTS, OPERATORS = "alerts", "operators-alerts"
MOST_ROWS = 200
MOST_MESSAGES = 20
CELL = 200
SECONDS_BETWEEN = 2.0
ABSENT = "–"


def show(report: Report, settings: Settings, warn: Warn) -> None:
    """The artifacts of a finished run, as far as they can be made."""
    run = f"cptflow run {report.run_id}"
    with _tried("The summary", warn):
        create_markdown_artifact(summary(report, settings), key=SUMMARY, description=run)
    if report.status == "published" and report.parent_snapshot_id and report.snapshot_id:
        with _tried("The table of changes", warn):
            items = items_of(Path(report.home), report.snapshot_id, settings.rights)
            rows, told = table(items)
            where = words.command(report, "changes")
            create_table_artifact(rows, key=CHANGES, description=f"{told} of {run}. All of them: `{where}`")
    if report.quality_page:
        page = Path(report.quality_page)
        with _tried("The place of the quality report", warn):
            create_link_artifact(page.absolute().as_uri(), key=QUALITY, link_text=page.name, description=str(page))
    show_alerts(settings, dt.datetime.fromisoformat(report.started_at), run, warn)


def show_alerts(settings: Settings, since: dt.datetime, what: str, warn: Warn) -> None:
    """The messages that were made from ``since`` on, as people get them: those for users and those for operators.

    A server that has no alert of a kind yet shows the last ones. Where there is no outbox, none is begun.
    """
    with _tried("The alerts", warn):
        with existing_outbox(folder_of(settings.home)) as outbox:
            messages = outbox.messages(MOST_MESSAGES) if outbox else []
        for key, audience in ((ALERTS, "users"), (OPERATORS, "operators")):
            last = [message for message in messages if message.audience == audience]
            made, told = [message for message in last if message.made_at >= since], what
            if last and not made and Artifact.get(key) is None:
                made, told = last, "earlier runs"
            if made:
                allowed = [_as_allowed(message, settings.rights) for message in reversed(made)]
                text = "\n\n---\n\n".join(render(message).markdown for message in allowed)
                create_markdown_artifact(text, key=key, description=f"Alerts for {audience}, of {told}")


def _as_allowed(message: Message, rights: Rights) -> Message:
    """One that was made before the rights were what they are, without words of pages."""
    return replace(message, items=tuple(as_allowed(item, rights) for item in message.items))


def summary(report: Report, settings: Settings) -> str:
    """The run's summary in Markdown."""
    if settings.rights == "full":
        return words.fenced(words.in_words(report))
    return words.fenced("\n".join(_codes_only(report)))


def headline(report: Report, settings: Settings) -> str:
    """One line, fit for a state's message and a log."""
    told = {
        "published": f"published snapshot {report.snapshot_id}",
        "nothing_new": "nothing new",
        "landed": "landed",
        "stopped": "expectations stopped publication: " + ", ".join(str(stop["rule"]) for stop in report.stopped),
        "failed": "failed",
    }[report.status]
    changes = sum(report.changes.get("by_change_type", {}).values())
    return f"Run {report.run_id}: {told}" + (f", with {changes} changes." if changes else ".")


def table(items: Sequence[Item]) -> tuple[list[dict[str, Any]], str]:
    """Rows of the table of changes, the first `MOST_ROWS`, and how many there are, in words."""
    rows = [
        {
            "code": item.code,
            "change": item.change_type.replace("_", " "),
            "what": _cell(item.what),
            "before": _cell(item.before),
            "after": _cell(item.after),
            "told by": ", ".join(item.sources) or "all sources" if item.cause == "source" else f"new {item.cause}",
            "effective": str(item.effective_on or ABSENT),
            "seen": f"{item.seen_at:%Y-%m-%d}",
        }
        for item in items[:MOST_ROWS]
    ]
    shown = f"The first {MOST_ROWS} of {len(items)} changes" if len(items) > MOST_ROWS else f"{len(items)} changes"
    return rows, shown


def pages_done(then: Progress, warn: Warn) -> Progress:
    """Progress that also stands in Prefect, over the pages to parse; ``then`` hears of everything.

    Where Prefect does not take it, that is told once, and not tried again.
    """
    shown: dict[str, tuple[UUID, float]] = {}
    refused: list[str] = []

    def show_progress(step: str, done: int, total: int) -> None:
        if step not in shown:
            made = create_progress_artifact(0.0, key=PAGES, description=f"{total} pages to parse")
            shown[step] = (UUID(str(made)), 0.0)
        artifact, last = shown[step]
        if done == total or time.monotonic() - last >= SECONDS_BETWEEN:
            update_progress_artifact(artifact, 100.0 * done / total, description=f"{done} of {total} pages parsed")
            shown[step] = (artifact, time.monotonic())

    def progress(step: str, done: int, total: int | None) -> None:
        then(step, done, total)
        if step == "parse" and total and not refused:
            with _tried("Progress", refused.append):
                show_progress(step, done, total)
            for told in refused:
                warn(told)

    return progress


@contextmanager
def _tried(what: str, warn: Warn) -> Iterator[None]:
    """Only our own errors are repeated: others may hold words of a page."""
    try:
        yield
    except Exception as error:
        found = str(error) if isinstance(error, CptflowError | RawError) else type(error).__name__
        warn(f"{what} cannot be shown in Prefect, and the run goes on: {found}")


def _cell(text: str | None) -> str:
    """Page text in a cell: short, one line; the UI makes a link of what looks like one in Markdown."""
    if text is None:
        return ABSENT
    line = clean(text).replace("](", "] (")
    return line if len(line) <= CELL else f"{line[: CELL - 1]}…"


def _codes_only(report: Report) -> list[str]:
    """What happened, in numbers, names of rules and paths: nothing that a page said."""

    def counts(title: str, counted: dict[str, int]) -> list[str]:
        told = ", ".join(f"{name} {count}" for name, count in counted.items())
        return [f"{title}: {told}"] if told else []

    landed = {name: value for name, value in report.landed.items() if isinstance(value, int)}
    return [
        f"Run {report.run_id}: {report.status.replace('_', ' ')}.",
        *counts("Landed", landed),
        *counts("Pages", report.captures),
        *(f"Stopped by {stop['rule']} on {stop['table']}" for stop in report.stopped),
        *counts("Rows", report.rows),
        *counts("Rows that broke a rule", report.quarantine.get("by_severity", {})),
        *counts("Changes by type", report.changes.get("by_change_type", {})),
        *counts("Changes by cause", report.changes.get("by_cause", {})),
        *([f"Snapshot: {report.snapshot_id}"] if report.snapshot_id else []),
        *([f"Quality: {report.quality_page}"] if report.quality_page else []),
        "Descriptors and prose are left out (rights = codes-only).",
    ]
