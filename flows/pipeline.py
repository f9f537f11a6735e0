"""The pipeline: its steps, in order, over one home. No Prefect in here; ``flows/schedule.py`` wraps these steps."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import ParamSpec, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

import parsers
from flows import acceptance, counting, planning, quality
from flows import report as reports
from flows.acceptance import Accepted
from flows.alerts import in_run
from flows.engine import Engine
from flows.errors import CptflowError, DiskFailed, UsageError
from flows.home import Address, copied_address, folder_of, writing
from flows.outcomes import note_outcomes
from flows.parsing import Batch, parse_batch, peak_memory_bytes
from flows.planning import Key
from flows.progress import Progress
from flows.publication import Basis, changes_since, check, check_bands, check_captures, is_news, publish
from flows.report import Report, Step
from flows.settings import Settings
from parsers.records import ParseResult
from raw.captures import read_captures
from raw.inputs import check_input, shown_input
from raw.landing import land
from warehouse import snapshots, staging
from warehouse.assemble import Assembled, assemble
from warehouse.freshness import write_freshness
from warehouse.gx import Results, keeping
from warehouse.gx_import import importing_meanwhile
from warehouse.memory import keep_what_is_freed

P = ParamSpec("P")
T = TypeVar("T")

_WITH_SUITES = ("validate", "bands", "publish")
"""Steps that check the tables of this run; `compare` may check those of the parent anew."""


@dataclass(frozen=True, slots=True)
class _Run:
    """What every step needs."""

    home: Path
    settings: Settings
    engine: Engine
    progress: Progress
    report: Report
    still_held: Callable[[], None]
    fetch: Callable[[Iterable[str]], None]
    """has WARC files in the home before they are read"""
    gx_results: Results = field(default_factory=dict)
    """what the suites found, for Data Docs where they are wanted"""

    def step(self, name: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        self.progress(name, 0, None)
        kept = self.gx_results if self.settings.data_docs and name in _WITH_SUITES else None
        with self.report.timed(name), keeping(kept):
            return self.engine.step(name, function, *args, **kwargs)


def run(
    inputs: Sequence[str], settings: Settings, engine: Engine, progress: Progress, accept: Sequence[str] = ()
) -> Report:
    """Land ``inputs``, then every step up to publication; returns (and writes) the run report.

    ``accept``: rules that a person lets pass this time. Ex: ``floor:codingahead``. Raises UnusableInput, UsageError,
    BrokenSnapshot, HomeHeld before anything is done. Whatever else is raised stands in the report.
    """
    accepted = acceptance.let_pass(accept)
    return _reported(inputs, settings, engine, progress, lambda run: _steps_and_page(run, inputs, accepted))


def land_only(inputs: Sequence[str], settings: Settings, engine: Engine, progress: Progress) -> Report:
    """Land ``inputs`` and no more; returns (and writes) the run report. Raises as `run` does."""
    return _reported(inputs, settings, engine, progress, lambda run: _only_land(run, inputs))


def new_run_id(now: dt.datetime) -> str:
    """``now`` is in UTC, and told to the microsecond: the order of ids is the order of runs."""
    return f"{now:%Y%m%dT%H%M%S%fZ}-{secrets.token_hex(2)}"


def _reported(
    inputs: Sequence[str], settings: Settings, engine: Engine, progress: Progress, work: Callable[[_Run], None]
) -> Report:
    """Do ``work`` while holding the home, and write down how it went."""
    keep_what_is_freed()
    for name in inputs:
        check_input(name)
    home = folder_of(settings.home)
    if not isinstance(settings.home, Address):
        _make_home(home, inputs)
    run_id = new_run_id(dt.datetime.now(dt.UTC))
    report = reports.begin(run_id, [shown_input(name) for name in inputs], settings)
    with _disk_told(home, report):
        report.snapshot_id = snapshots.current_id(home)
        with _sending_told(report), writing(settings.home, run_id) as place:
            if isinstance(settings.home, Address):
                report.snapshot_id = snapshots.current_id(home)
                _check_any_pages(settings.home, inputs)
            run = _Run(home, settings, engine, progress, report, place.check, place.fetch)
            with _alerts_made(run), _failure_told(report), _disk_told(home, report):
                work(run)
            _write(report)
    return report


@contextmanager
def _alerts_made(run: _Run) -> Iterator[None]:
    """Alerts of what the block published or found, also where it fails; after a failure the report is written again."""
    in_run.begin(run.home, run.report)
    try:
        yield
    except Exception:
        with suppress(Exception):  # the error that is under way says more
            in_run.fill(run.home, run.report, run.settings)
            _write(run.report)
        raise
    run.progress("alerts", 0, None)
    # Not by way of the engine, which may fail by itself: what was published stays so.
    with run.report.timed("alerts"):
        in_run.fill(run.home, run.report, run.settings)


@contextmanager
def _failure_told(report: Report) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        reports.failed(report, error)
        with suppress(OSError):  # a full disk; the error that is under way says more
            _write(report)
        raise


@contextmanager
def _sending_told(report: Report) -> Iterator[None]:
    """Let the report tell what fails after the run's own work: sending it to a home at an address."""
    try:
        yield
    except CptflowError as error:
        if report.finished_at is not None and report.error is None:
            report.snapshot_id = getattr(error, "published", None) or report.parent_snapshot_id
            with _failure_told(report):
                raise
        raise


def _write(report: Report) -> None:
    report.peak_memory_bytes["this_process"] = peak_memory_bytes()
    reports.write(report)


@contextmanager
def _disk_told(home: Path, report: Report) -> Iterator[None]:
    """Raises DiskFailed for what the disk refuses, with the step that met it and what `current` points to."""
    try:
        yield
    except OSError as error:
        failed = next((step.step for step in report.steps if step.failed), None)
        doing = f"Step {failed}" if failed else "Keeping the home's books"
        new = report.snapshot_id if report.status == "published" else None
        with suppress(OSError, snapshots.SnapshotError):
            if (now := snapshots.current_id(home)) != report.snapshot_id:
                new = now
        kept = f"`current` points to the new snapshot {new}" if new else "`current` is as it was"
        if copied_address(home):  # its snapshots are sent when the work has ended well
            kept = "Nothing was published"
        raise DiskFailed(doing, home, error, kept) from error


def _steps_and_page(run: _Run, inputs: Sequence[str], accepted: Accepted) -> None:
    _steps(run, inputs, accepted)
    if run.report.status == "nothing_new":
        _mend_quality(run)


def _steps(run: _Run, inputs: Sequence[str], accepted: Accepted) -> None:
    """A run that was killed anywhere in here needs no repair: what there is to do is read from the home each time."""
    report, home, trust = run.report, run.home, run.settings.trust
    report.accept = [*accepted.rules]
    report.snapshot_id = parent = snapshots.current_id(home)
    _land(run, inputs)
    index, live, terms = read_captures(home), parsers.live(), counting.read_terms(home, parent, run.settings)
    fresh, not_staged = _parse(run, index, live)
    report.captures_in_home, report.waiting = index.num_rows, counting.waiting(index, terms)
    seen = planning.read_seen(home)
    looked_at = planning.rests_on(index, live, trust, not_staged, terms.key())
    if not accepted.floors and ((parent is None and not index.num_rows) or seen.is_of(parent, looked_at)):
        report.status, report.exit_status = "nothing_new", 0
        return
    check_captures(parent, home, index)
    with importing_meanwhile():
        captures, results = counting.captures_of(home, index, terms), staging.read_results(home, live)
        run_ids = pc.unique(captures.filter(pc.is_valid(captures["landing"]))["run_id"]).to_pylist()
        new_runs = {*run_ids} - {*seen.run_ids}
        note_outcomes(report, counting.of_runs(index, run_ids), new_runs, fresh, results, not_staged)
        counted = run.step("count", counting.count, report, captures, results, terms, accepted.floors, new_runs)
        run.step("freshness", write_freshness, home, captures, results)
        if counted.run_ids:
            _publish_news(run, parent, Basis(home, counted, live, trust, run.still_held), accepted)
        else:
            report.status, report.exit_status = "nothing_new", 0
    if report.status != "stopped":
        planning.mark_seen(home, planning.Seen(report.snapshot_id, looked_at, tuple(sorted(run_ids))))


def _only_land(run: _Run, inputs: Sequence[str]) -> None:
    _land(run, inputs)
    run.report.captures_in_home = read_captures(run.home, ("run_id",)).num_rows
    run.report.status, run.report.exit_status = "landed", 0


def _publish_news(run: _Run, parent: str | None, basis: Basis, accepted: Accepted) -> None:
    """Assemble, validate, compare, hold against the parent, publish; the report tells how far it went."""
    report = run.report
    assembled = run.step("assemble", assemble, basis.counted.captures, basis.home, basis.live, basis.trust)
    made = run.step("validate", check, assembled, basis.trust, report)
    if not report.stopped:
        changes = run.step("compare", changes_since, parent, made, basis)
        basis = run.step("bands", check_bands, parent, made, changes, basis, run.settings.bands, accepted.bands, report)
        # A first snapshot without a code would make every code of the next one new.
        if not report.stopped and (is_news(changes) if parent else made.tables["codes"].num_rows):
            run.step("publish", publish, parent, made, changes, basis, report)
    if report.stopped:
        report.status, report.exit_status = "stopped", 3
    else:
        report.status = "nothing_new" if report.snapshot_id == parent else "published"
        report.exit_status = 0
    if report.status != "nothing_new":
        _tell_quality(run, made)


def _tell_quality(run: _Run, made: Assembled) -> None:
    """Write the quality report. What was published, or stopped, stays so where that fails."""
    report = run.report
    try:
        report.quality_page = str(run.step("quality", quality.write_pages, run.home, report, made.tables))
        if run.settings.data_docs:
            report.data_docs = str(run.step("data_docs", quality.write_gx_docs, run.home, report, run.gx_results))
    except Exception as error:
        report.quality_problem = str(error) or type(error).__name__


def _mend_quality(run: _Run) -> None:
    """What a run that was stopped, killed or undone left may tell of something else than what is current."""
    try:
        if made := quality.bring_up_to_date(run.home):
            run.report.quality_page = str(made)
    except Exception as error:
        run.report.quality_problem = str(error) or type(error).__name__


def _make_home(home: Path, inputs: Sequence[str]) -> None:
    if not inputs and not home.is_dir():
        raise UsageError(
            f"There is no home at {home}, and no input to land in it. Give a folder of pages: cptflow run FOLDER"
        )
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"The home {home} cannot be made: {error.strerror}. Name another one with --home.") from None


def _check_any_pages(home: Address, inputs: Sequence[str]) -> None:
    if not inputs and not (home.copy / "raw").is_dir():
        raise UsageError(
            f"There are no pages in {home} yet, and no input to land in it. Give a folder of pages: cptflow run FOLDER"
        )


def _land(run: _Run, inputs: Sequence[str]) -> None:
    if not inputs:
        return
    run.progress("land", 0, None)
    with run.report.timed("land") as step:
        landed = run.engine.step(
            "land",
            land,
            run.home,
            run.report.run_id,
            inputs,
            parsers.source_of,
            lambda seen: run.progress("land", seen, None),
            fetch=lambda file: run.fetch([file]),
        )
        step.pages = landed.landed + landed.revisits + landed.already_held
    run.report.landed = asdict(landed) | {"problems": [problem._asdict() for problem in landed.problems]}


def _parse(run: _Run, index: pa.Table, live: Sequence[str]) -> tuple[set[Key], dict[Key, ParseResult]]:
    """Parse what no live parser has parsed. Returns the keys of those pages, and the results that were not staged."""
    pages = planning.pages_of(index)
    pending = planning.unparsed(run.home, pages, live)
    run.report.parsed, run.report.skipped = len(pending), len(pages.by_key) - len(pending)
    not_staged: dict[Key, ParseResult] = {}
    if pending:
        run.fetch({page.file for page in pending})
        batches = planning.batches_of(run.home, pending, run.settings.batch_pages, run.engine.workers)
        run.progress("parse", 0, len(pending))
        with run.report.timed("parse") as step:
            not_staged = _work_through(run, batches, step, len(pending))
    return {(page.document_id, page.url) for page in pending}, not_staged


def _work_through(run: _Run, batches: Sequence[Batch], step: Step, total: int) -> dict[Key, ParseResult]:
    not_staged: dict[Key, ParseResult] = {}
    step.pages = peak = 0
    for done in run.engine.map("parse", parse_batch, batches):
        step.pages += done.pages
        peak = max(peak, done.peak_memory_bytes or 0)
        not_staged |= {(held.document_id, held.result.url): held.result for held in done.not_staged}
        run.progress("parse", step.pages, total)
    run.report.peak_memory_bytes["largest_worker"] = peak or None
    return not_staged
