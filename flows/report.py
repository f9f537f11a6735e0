"""What a run saw, did and cost: ``<home>/runs/<run_id>.json``."""

from __future__ import annotations

import datetime as dt
import json
import os
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from flows.home import Address, folder_of
from flows.settings import Settings

Status = Literal["published", "nothing_new", "landed", "stopped", "failed"]
LIBRARIES = ("cptflow", "beautifulsoup4", "pandas", "pyarrow", "great-expectations", "prefect")


@dataclass(slots=True)
class Step:
    """One step: ``seconds`` by the clock, ``pages`` that it worked on where it works on pages."""

    step: str
    seconds: float
    pages: int | None = None
    failed: bool = False


@dataclass(slots=True)
class PageNote:
    """A page that a person should know of."""

    url: str
    code: str | None
    outcome: str
    reason: str | None
    traceback: str | None = None


@dataclass(slots=True)
class Report:
    """Filled while the run goes on, written whatever its end. Counts are of pages unless named otherwise."""

    run_id: str
    home: str
    """a folder; of a home at an address, that of its working copy"""
    inputs: list[str]
    engine: str
    workers: int
    trust: list[str]
    started_at: str
    address: str | None = None
    """of the home, where it is at one"""
    accept: list[str] = field(default_factory=list)
    """Rules that a person was ready to let pass; the manifest tells which would have held something back."""
    status: Status = "failed"
    exit_status: int = 1
    finished_at: str | None = None
    landed: dict[str, Any] = field(default_factory=dict)
    captures_in_home: int = 0
    captures: dict[str, int] = field(default_factory=dict)
    """Captures that this run landed, or found unparsed, by outcome."""
    captures_by_source: dict[str, dict[str, int]] = field(default_factory=dict)
    sources: list[dict[str, Any]] = field(default_factory=list)
    """How each source fared in each landing that is new since the last run."""
    waiting: dict[str, int] = field(default_factory=dict)
    """By source, captures of crawls that are not finished: they count when they are."""
    parsed: int = 0
    skipped: int = 0
    """Pages whose result was staged before."""
    notes: list[PageNote] = field(default_factory=list)
    """Pages with an outcome that a person may want to act on."""
    rows: dict[str, int] = field(default_factory=dict)
    quarantine: dict[str, dict[str, int]] = field(default_factory=dict)
    """Rows held back or marked, by severity and by rule."""
    suites: list[dict[str, Any]] = field(default_factory=list)
    stopped: list[dict[str, Any]] = field(default_factory=list)
    """Table rules that stopped publication."""
    snapshot_id: str | None = None
    """What `current` points to after the run."""
    parent_snapshot_id: str | None = None
    as_of: str | None = None
    changes: dict[str, dict[str, int]] = field(default_factory=dict)
    """Changes by type and by cause."""
    quality_page: str | None = None
    """The quality report's page of what was published, or stopped."""
    data_docs: str | None = None
    """The first page of Great Expectations' own Data Docs, where the settings ask for them."""
    quality_problem: str | None = None
    """Why there is no such page; the tables are as they are with one."""
    alerts: list[dict[str, Any]] = field(default_factory=list)
    """Messages that this run made, by audience and rule: how many, the ids of the first ones, items, conditions,
    channels."""
    alerts_problem: str | None = None
    """Why none could be made; the next run makes them."""
    steps: list[Step] = field(default_factory=list)
    peak_memory_bytes: dict[str, int | None] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    error: dict[str, str] | None = None

    @contextmanager
    def timed(self, name: str) -> Iterator[Step]:
        """Time a step, also where it raises."""
        step, begun = Step(name, 0.0), time.perf_counter()
        try:
            yield step
        except BaseException:
            step.failed = True
            raise
        finally:
            step.seconds = round(time.perf_counter() - begun, 3)
            self.steps.append(step)


def begin(run_id: str, inputs: list[str], settings: Settings) -> Report:
    return Report(
        run_id=run_id,
        home=str(folder_of(settings.home)),
        address=str(settings.home) if isinstance(settings.home, Address) else None,
        inputs=inputs,
        engine=settings.engine,
        workers=settings.workers,
        trust=list(settings.trust),
        started_at=_now(),
        versions={name: version(name) for name in LIBRARIES},
    )


def failed(report: Report, error: BaseException) -> None:
    """Note what ended the run."""
    report.status, report.exit_status = "failed", getattr(error, "exit_status", 1)
    report.error = {
        "type": type(error).__name__,
        "message": str(error),
        "traceback": "".join(traceback.format_exception(error)),
    }


def write(report: Report) -> Path:
    """Write the report, whole or not at all; returns its file."""
    report.finished_at = _now()
    file = report_file(Path(report.home), report.run_id)
    write_json(file, as_json(report))
    return file


def as_json(report: Report) -> dict[str, Any]:
    return asdict(report)


def report_file(home: Path, run_id: str) -> Path:
    return home / "runs" / f"{run_id}.json"


def write_json(file: Path, value: object) -> None:
    """Replace ``file`` in one step."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    temporary.write_text(json.dumps(value, indent=1, default=str) + "\n", encoding="utf-8")
    temporary.replace(file)


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
