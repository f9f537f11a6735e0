"""What the benchmark measures, each in a process of its own, so that peaks of memory and imports do not mix."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import ParamSpec, TypeVar

from flows import settings
from flows.engine import Engine, make
from flows.parsing import Batch
from parsers import parse
from parsers.limits import MAX_BYTES
from raw.captures import read_captures
from raw.warc import read_payload
from warehouse.gx_import import import_great_expectations
from warehouse.staging import StagedResult, stage

P = ParamSpec("P")
T = TypeVar("T")
B = TypeVar("B")


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the pipeline, by its own report.

    ``seconds`` by step; ``total``: seconds of all of them. In neither are ``start``, seconds until the pipeline's own
    modules are there, and ``imports``, seconds that the step ``validate`` had to wait for the import of Great
    Expectations, which goes on beside the steps before it. ``whole`` has them all. ``peak``: most bytes held, by this
    process (``this_process``), and by one that parsed (``largest_worker``): in a run on one process, by this one up to
    the end of parsing.
    """

    seconds: dict[str, float]
    total: float
    start: float
    imports: float
    seen: int
    parsed: int
    changes: int
    status: str
    peak: dict[str, int | None]
    versions: dict[str, str]

    @property
    def whole(self) -> float:
        return self.start + self.total + self.imports


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of the step ``parse`` and the baseline on the same pages: processor seconds, summed over workers."""

    read: float = 0.0
    parse: float = 0.0
    stage: float = 0.0
    baseline: float = 0.0

    def __add__(self, other: Parts) -> Parts:
        return Parts(
            self.read + other.read,
            self.parse + other.parse,
            self.stage + other.stage,
            self.baseline + other.baseline,
        )


def in_a_process(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do ``function`` in a new process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *args, **kwargs).result()


def run_pipeline(folder: Path, home: Path, workers: int, asked_at: float) -> Run:
    """What ``cptflow run folder --home home`` does. ``asked_at``: when this process was asked for, by the clock."""
    from flows import pipeline

    start = time.time() - asked_at
    engine = _ImportsApart(_settings(home, workers))
    begun = time.perf_counter()
    report = pipeline.run([str(folder)], _settings(home, workers), engine, lambda step, done, total: None)
    total = time.perf_counter() - begun - engine.imports
    seconds = {step.step: step.seconds for step in report.steps}
    if "validate" in seconds:
        seconds["validate"] -= engine.imports
    return Run(
        seconds=seconds,
        total=total,
        start=start,
        imports=engine.imports,
        seen=sum(report.landed[name] for name in ("landed", "revisits", "already_held")),
        parsed=report.parsed,
        changes=sum(report.changes.get("by_cause", {}).values()),
        status=report.status,
        peak=report.peak_memory_bytes,
        versions=report.versions,
    )


class _ImportsApart:
    """The engine that the settings name, with a clock on the imports that the step ``validate`` waits for."""

    def __init__(self, chosen: settings.Settings) -> None:
        self._engine: Engine = make(chosen.engine, chosen.workers)
        self.workers, self.imports = self._engine.workers, 0.0

    def step(self, name: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if name == "validate":
            begun = time.perf_counter()
            import_great_expectations()
            self.imports = time.perf_counter() - begun
        return self._engine.step(name, function, *args, **kwargs)

    def map(self, name: str, function: Callable[[B], T], batches: Sequence[B]) -> Iterator[T]:
        return self._engine.map(name, function, batches)


def run_parts(home: Path, workers: int) -> Parts:
    """The step ``parse`` over all pages of ``home`` once more, taken apart, and the baseline on the same pages.

    Batch by batch, one after the other, in processor time: what else the machine does hits all of them alike.
    """
    from flows import planning

    chosen = _settings(home, workers)
    pages = planning.pages_of(read_captures(home)).by_key.values()
    batches = planning.batches_of(home, pages, chosen.batch_pages, workers)
    return sum(make(chosen.engine, workers).map("parts", parts_of_batch, batches), Parts())


def parts_of_batch(batch: Batch) -> Parts:
    """What `flows.parsing.parse_batch` does, for good pages, with a clock between its parts."""
    from benchmarks.baseline import parse_pages

    marks = [time.process_time()]
    payloads = [read_payload(batch.home, page.file, page.offset, MAX_BYTES) for page in batch.pages]
    marks.append(time.process_time())
    results = [parse(payload, page.url) for page, payload in zip(batch.pages, payloads, strict=True)]
    marks.append(time.process_time())
    stage(batch.home, [StagedResult(page.document_id, r) for page, r in zip(batch.pages, results, strict=True)])
    marks.append(time.process_time())
    parse_pages((page.url, payload) for page, payload in zip(batch.pages, payloads, strict=True))
    marks.append(time.process_time())
    return Parts(*(end - begin for begin, end in pairwise(marks)))


def _settings(home: Path, workers: int) -> settings.Settings:
    return settings.load(home=home, engine="processes" if workers > 1 else "inline", workers=workers)
