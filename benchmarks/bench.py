"""``python -m benchmarks.bench docs/performance.md``: measure every step of the pipeline, and write the tables there.

The tables go between two markers; the prose around them stays. Nothing here asserts a time: read the ratios.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import platform
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from benchmarks.measure import Parts, Run, in_a_process, run_parts, run_pipeline
from benchmarks.pages import write_folder

BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
SEED = 1
REVISED = 0.01
WORKERS = (1, 2)
MONDAY = dt.datetime(2026, 1, 5, 6, tzinfo=dt.UTC)
_WORDS = {1: "one process", 2: "two processes"}


@dataclass(frozen=True, slots=True)
class Measured:
    """``first`` and ``parts`` by the number of processes; ``again``: later runs over the first home, by what is new."""

    pages: int
    bytes: int
    first: dict[int, Run]
    parts: dict[int, Parts]
    again: dict[str, Run]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench", description=__doc__)
    parser.add_argument("file", type=Path, help="Markdown file with the two markers")
    parser.add_argument("--pages", type=int, default=4000, help="how many pages, half HTML and half text (4000)")
    given = parser.parse_args()
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="cptflow-bench-") as place:
        measured = measure(Path(place), given.pages)
    text = render(measured, time.perf_counter() - begun)
    print(text)
    replace_between_markers(given.file, text)


def measure(place: Path, pages: int) -> Measured:
    """Generate the pages below ``place`` and run everything over them, one after the other."""
    size = write_folder(place / "monday", pages, SEED, fetched_at=MONDAY)
    homes = {workers: place / f"home{workers}" for workers in WORKERS}
    first = {}
    for workers, home in homes.items():
        print(f"first run, {_WORDS[workers]}", flush=True)
        first[workers] = in_a_process(run_pipeline, place / "monday", home, workers)
    home = homes[WORKERS[0]]
    print("later runs", flush=True)
    again = {"the same folder again": in_a_process(run_pipeline, place / "monday", home, 1)}
    for day, (name, revised) in enumerate((("nothing", 0.0), ("1 %", REVISED)), 1):
        write_folder(place / name, pages, SEED, fetched_at=MONDAY + dt.timedelta(days=day), revise=revised)
        again[f"fetched a day later, {name} changed"] = in_a_process(run_pipeline, place / name, home, 1)
    parts = {}
    for workers in WORKERS:
        print(f"the parts of parsing, and the baseline, {_WORDS[workers]}", flush=True)
        parts[workers] = in_a_process(run_parts, homes[WORKERS[1]], workers)
    return Measured(pages, size, first, parts, again)


def render(measured: Measured, seconds: float) -> str:
    """The tables as Markdown."""
    run = measured.first[1]
    packages = {**run.versions, **{name: version(name) for name in ("lxml", "warcio")}}
    versions = ", ".join(f"{name} {number}" for name, number in packages.items() if name != "prefect")
    return "\n".join(
        [
            f"`make bench` (`python -m benchmarks.bench docs/performance.md --pages {measured.pages}`), "
            f"{dt.datetime.now(dt.UTC):%Y-%m-%d}: {measured.pages} pages, half HTML and half text, "
            f"{measured.bytes / 1e6:.0f} MB; {os.cpu_count()} cores ({platform.machine()}), "
            f"Python {platform.python_version()}, {versions}. It took {seconds / 60:.1f} minutes.",
            "",
            *_steps_table(measured),
            "",
            *_ratios(measured),
            "",
            *_again_table(measured),
        ]
    )


def _steps_table(measured: Measured) -> list[str]:
    """Seconds, and pages in a second, on one and on two processes."""
    later = measured.again["fetched a day later, 1 % changed"]

    def step(name: str, *steps: str) -> list[str]:
        return _row(name, measured, [sum(measured.first[w].seconds[s] for s in steps) for w in WORKERS])

    def part(name: str, of: str) -> list[str]:
        return _row(name, measured, [getattr(measured.parts[w], of) / w for w in WORKERS])

    rows = [
        step("landing", "land"),
        step("the step `parse`, with its workers' start", "parse"),
        part("&nbsp;&nbsp;reading bytes back from WARC (processor time)", "read"),
        part("&nbsp;&nbsp;**parsing** (processor time)", "parse"),
        part("&nbsp;&nbsp;staging the results (processor time)", "stage"),
        step("assembling", "assemble"),
        step("validating (Great Expectations)", "validate"),
        _row("comparing (of the run with 1 % changed)", measured, [later.seconds["compare"], None]),
        step("publishing", "publish"),
        step("freshness", "freshness"),
        _row("**whole run**", measured, [measured.first[w].total for w in WORKERS]),
        part("**baseline**: the parse alone, BeautifulSoup + pandas (processor time)", "baseline"),
    ]
    return _table(["", *(f"{_WORDS[w]}, {unit}" for w in WORKERS for unit in ("s", "pages/s"))], rows)


def _row(name: str, measured: Measured, seconds: Sequence[float | None]) -> list[str]:
    cells = [name]
    for value in seconds:
        cells += ["", ""] if value is None else [f"{value:.2f}", f"{measured.pages / max(value, 1e-3):,.0f}"]
    return cells


def _ratios(measured: Measured) -> list[str]:
    one, two = measured.first[1], measured.first[2]
    parts = measured.parts[1]
    besides = one.total - one.seconds["parse"]
    later = measured.again["fetched a day later, 1 % changed"]
    return [
        f"- Parsing takes {parts.parse / parts.baseline:.2f} times as long as the baseline on the same pages.",
        f"- All that is not the step `parse` (landing, tables, rules, publishing) takes {besides / one.total:.0%} of a "
        f"first run on one process.",
        f"- Two processes: the step `parse` is {one.seconds['parse'] / two.seconds['parse']:.2f} times as fast, the "
        f"whole run {one.total / two.total:.2f} times.",
        f"- A run with 1 % changed pages takes {later.total / one.total:.0%} of the first run.",
        f"- Importing Great Expectations and pandas takes {one.imports:.1f} s more, once in each run that validates.",
    ]


def _again_table(measured: Measured) -> list[str]:
    runs = {
        f"first run, {_WORDS[1]}": measured.first[1],
        f"first run, {_WORDS[2]}": measured.first[2],
        **measured.again,
    }
    rows = []
    for name, run in runs.items():
        steps = [
            f"{run.seconds.get(s, 0.0):.2f}" for s in ("land", "parse", "assemble", "validate", "compare", "publish")
        ]
        memory = [_megabytes(run.peak.get(key)) for key in ("this_process", "largest_worker")]
        rows.append([name, str(run.seen), str(run.parsed), *steps, f"{run.total:.2f}", str(run.changes), *memory])
    header = "run|pages|parsed|land, s|parse|assemble|validate|compare|publish|all|changes|peak MB|of parsing".split(
        "|"
    )
    return _table(header, rows)


def _megabytes(size: int | None) -> str:
    return f"{size / 1e6:.0f}" if size else ""


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    rule = ["---", *("---:" for _ in header[1:])]
    return [f"| {' | '.join(cells)} |" for cells in (header, rule, *rows)]


def replace_between_markers(file: Path, text: str) -> None:
    """Put ``text`` between the markers of ``file``. Raises ValueError where they are missing."""
    before, begin, rest = file.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{file} lacks the lines {BEGIN} and {END}, between which the tables go")
    file.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
