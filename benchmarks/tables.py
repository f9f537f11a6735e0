"""The tables of docs/performance.md, from what was measured."""

from __future__ import annotations

import datetime as dt
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version

from benchmarks.measure import Parts, Run

BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
WORDS = {1: "one process", 2: "two processes"}
"""What was run on how many processes."""


@dataclass(frozen=True, slots=True)
class Many:
    """The first run over ``pages`` pages, and the one a day later, 1 % of them changed; on one process."""

    pages: int
    first: Run
    later: Run


@dataclass(frozen=True, slots=True)
class Measured:
    """``first`` and ``parts`` by the number of processes; ``again``: later runs over the first home, by what is new."""

    pages: int
    bytes: int
    first: dict[int, Run]
    parts: dict[int, Parts]
    again: dict[str, Run]
    many: Many


def render(measured: Measured, seconds: float) -> str:
    """The tables as Markdown."""
    run = measured.first[1]
    packages = {**run.versions, **{name: version(name) for name in ("lxml", "warcio")}}
    versions = ", ".join(f"{name} {number}" for name, number in packages.items() if name != "prefect")
    return "\n".join(
        [
            f"`make bench` (`python -m benchmarks.bench docs/performance.md --pages {measured.pages} "
            f"--many {measured.many.pages}`), {dt.datetime.now(dt.UTC):%Y-%m-%d}: {measured.pages} pages, half HTML "
            f"and half text, {measured.bytes / 1e6:.0f} MB; {os.cpu_count()} cores ({platform.machine()}), "
            f"Python {platform.python_version()}, {versions}. It took {seconds / 60:.1f} minutes.",
            "",
            *_steps_table(measured),
            "",
            *_ratios(measured),
            "",
            *_runs_table(_runs(measured)),
            "",
            *_many_ratios(measured),
            "",
            *_runs_table({"first run": measured.many.first, "a day later, 1 % changed": measured.many.later}),
        ]
    )


def _steps_table(measured: Measured) -> list[str]:
    """Seconds, and pages in a second, on one and on two processes."""
    later = measured.again["fetched a day later, 1 % changed"]

    def step(name: str, *steps: str) -> list[str]:
        return _row(name, measured, [sum(measured.first[w].seconds[s] for s in steps) for w in WORDS])

    def part(name: str, of: str) -> list[str]:
        return _row(name, measured, [getattr(measured.parts[w], of) / w for w in WORDS])

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
        _row("**whole run**, without start and imports", measured, [measured.first[w].total for w in WORDS]),
        part("**baseline**: the parse alone, BeautifulSoup + pandas (processor time)", "baseline"),
    ]
    return table(["", *(f"{WORDS[w]}, {unit}" for w in WORDS for unit in ("s", "pages/s"))], rows)


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
        f"- A run with 1 % changed pages takes {later.whole / one.whole:.0%} of the first run.",
        f"- Starting takes {one.start:.1f} s. Great Expectations is imported beside the steps before `validate`, which "
        f"then waits another {one.imports:.1f} s for it.",
    ]


def _many_ratios(measured: Measured) -> list[str]:
    first, later = measured.many.first, measured.many.later
    few, many = (run.peak["largest_worker"] or 0 for run in (measured.first[1], first))
    return [
        f"- {measured.many.pages:,} pages, fetched again a day later with 1 % of them changed: {later.parsed:,} are "
        f"parsed, and the run takes {later.whole / first.whole:.1%} of the first run's time, start and imports counted "
        "in both.",
        f"- Landing and parsing hold at most {_megabytes(few)} MB for {measured.pages:,} pages and {_megabytes(many)} "
        f"MB for {measured.many.pages:,}: {many / few:.2f} times as much.",
    ]


def _runs(measured: Measured) -> dict[str, Run]:
    return {**{f"first run, {WORDS[w]}": measured.first[w] for w in WORDS}, **measured.again}


def _runs_table(runs: Mapping[str, Run]) -> list[str]:
    steps = ("land", "parse", "assemble", "validate", "compare", "publish")
    rows = []
    for name, run in runs.items():
        seconds = [run.start, run.imports, *(run.seconds.get(step, 0.0) for step in steps), run.whole]
        memory = [_megabytes(run.peak.get(key)) for key in ("this_process", "largest_worker")]
        rows.append([name, str(run.seen), str(run.parsed), *(f"{s:.2f}" for s in seconds), str(run.changes), *memory])
    header = ["run", "pages", "parsed", "start, s", "imports", *steps, "all", "changes", "peak MB", "of parsing"]
    return table(header, rows)


def _megabytes(size: int | None) -> str:
    return f"{size / 1e6:.0f}" if size else ""


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table, all columns but the first to the right."""
    rule = ["---", *("---:" for _ in header[1:])]
    return [f"| {' | '.join(cells)} |" for cells in (header, rule, *rows)]
