"""``python -m benchmarks.size docs/performance.md``: the whole fee schedule on three sources, a million rows and more.

A cold run over one page for each real code on each source, and a run a day later with 1 % of them changed: what
validating, comparing and publishing take of them, in time and memory.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import ParamSpec, TypeVar

from benchmarks.bench import MONDAY, REVISED, SEED, replace_between_markers
from benchmarks.genhealth import genhealth_text, genhealth_url
from benchmarks.measure import in_a_process
from benchmarks.pages import SOURCES, codes_of, one_page
from benchmarks.tables import table
from flows import settings
from flows.engine import Engine, make
from warehouse.gx_import import import_great_expectations

P = ParamSpec("P")
T = TypeVar("T")
B = TypeVar("B")

BEGIN, END = "<!-- size: begin -->", "<!-- size: end -->"
STEPS = ("land", "parse", "count", "assemble", "validate", "compare", "bands", "publish", "quality")


@dataclass(frozen=True, slots=True)
class SizedRun:
    """Seconds and highest resident memory (bytes, up to the step's end) by step; rows by table."""

    seconds: dict[str, float]
    peak: dict[str, int]
    whole: float
    rows: dict[str, int]
    changes: int
    parsed: int


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.size", description=__doc__)
    parser.add_argument("file", type=Path, help="Markdown file with the two markers")
    parser.add_argument("--codes", type=int, default=0, help="how many codes (all that there are)")
    given = parser.parse_args()
    begun = time.perf_counter()
    codes = codes_of(SEED)[: given.codes or None]
    runs = []
    with tempfile.TemporaryDirectory(prefix="cptflow-size-") as name:
        place = Path(name)
        for day, share in enumerate((0.0, REVISED)):
            print(f"{len(codes)} codes on three sources, day {day}", flush=True)
            folder = place / f"day{day}"
            write_pages(folder, codes, MONDAY + dt.timedelta(days=day), share)
            runs.append(in_a_process(sized_run, folder, place / "home"))
    cold, later = runs
    text = rendered(len(codes), cold, later, time.perf_counter() - begun)
    print(text)
    replace_between_markers(given.file, text, BEGIN, END)


def write_pages(folder: Path, codes: Sequence[str], fetched_at: dt.datetime, share: float) -> None:
    """A text extract for each code on each source, ``share`` of them revised, with a manifest."""
    revised = Random(f"{SEED}|revised")
    lines = []
    for source in (*SOURCES, "genhealth"):
        (folder / source).mkdir(parents=True)
        for code in codes:
            changed = revised.random() < share
            if source == "genhealth":
                url = genhealth_url(code)
                payload = genhealth_text(code, Random(f"{SEED}|{source}|{code}"), revised=changed).encode()
            else:
                page = one_page(source, code, "text", SEED, revised=changed)
                url, payload = page.url, page.payload
            file = f"{source}/{code}.txt"
            (folder / file).write_bytes(payload)
            lines.append(json.dumps({"file": file, "url": url, "fetched_at": fetched_at.isoformat(), "status": 200}))
    (folder / "manifest.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def sized_run(folder: Path, home: Path) -> SizedRun:
    """``cptflow run folder --home home``, on one process; waiting for Great Expectations is a step of its own."""
    from flows import pipeline

    chosen = settings.load(home=home)
    engine = _PeakAfterEach(make(chosen.engine, chosen.workers))
    begun = time.perf_counter()
    report = pipeline.run([str(folder)], chosen, engine, lambda step, done, total: None)
    whole = time.perf_counter() - begun
    seconds = {step.step: step.seconds for step in report.steps} | {"imports": engine.imports}
    seconds["validate"] -= engine.imports
    changes = sum(report.changes.get("by_cause", {}).values())
    return SizedRun(seconds, engine.peak, whole, report.rows, changes, report.parsed)


class _PeakAfterEach:
    """The engine that the settings name; notes the process' highest memory after each step."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self.workers = engine, engine.workers
        self.peak: dict[str, int] = {}
        self.imports = 0.0

    def step(self, name: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if name == "validate":
            begun = time.perf_counter()
            import_great_expectations()
            self.imports = time.perf_counter() - begun
        done = self._engine.step(name, function, *args, **kwargs)
        self._note(name)
        return done

    def map(self, name: str, function: Callable[[B], T], batches: Sequence[B]) -> Iterator[T]:
        yield from self._engine.map(name, function, batches)
        self._note(name)

    def _note(self, name: str) -> None:
        self.peak[name] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def rendered(codes: int, cold: SizedRun, later: SizedRun, seconds: float) -> str:
    """The table and the two ratios as Markdown."""
    rows = [
        [
            step,
            f"{cold.seconds.get(step, 0):.1f}",
            f"{cold.seconds.get(step, 0) / cold.whole:.1%}",
            f"{cold.peak[step] / 1e6:.0f}" if step in cold.peak else "",
            f"{later.seconds.get(step, 0):.1f}",
            f"{later.peak[step] / 1e6:.0f}" if step in later.peak else "",
        ]
        for step in STEPS
    ]
    rows.append(["imports", f"{cold.seconds['imports']:.1f}", "", "", f"{later.seconds['imports']:.1f}", ""])
    rows.append(["**whole run**", f"{cold.whole:.1f}", "", "", f"{later.whole:.1f}", ""])
    header = ["step", "cold run, s", "share", "peak so far, MB", "1 % changed, s", "peak so far, MB"]
    total = sum(cold.rows.values())
    return "\n".join(
        [
            f"`make bench-size` (`python -m benchmarks.size docs/performance.md`), {dt.datetime.now(dt.UTC):%Y-%m-%d}: "
            f"{codes:,} codes on three sources, {codes * 3:,} text extracts, {total:,} rows in all tables; one "
            f"process. It took {seconds / 60:.1f} minutes.",
            "",
            *table(header, rows),
            "",
            f"- Validating takes {cold.seconds['validate'] / cold.whole:.1%} of the cold run, with its wait for Great "
            "Expectations, which is imported beside other steps, "
            f"{(cold.seconds['validate'] + cold.seconds['imports']) / cold.whole:.1%}.",
            f"- Comparing takes {later.seconds['compare'] / cold.whole:.1%} of the cold run's time, in the run that "
            f"follows it ({later.parsed:,} pages parsed, {later.changes:,} changes).",
        ]
    )


if __name__ == "__main__":
    main()
