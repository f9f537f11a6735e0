"""``python -m benchmarks.bench docs/performance.md``: measure every step of the pipeline, and write the tables there.

The tables go between two markers; the prose around them stays. Nothing here asserts a time: read the ratios.
"""

from __future__ import annotations

import argparse
import datetime as dt
import tempfile
import time
from pathlib import Path

from benchmarks.measure import Run, in_a_process, run_parts, run_pipeline
from benchmarks.pages import write_folder
from benchmarks.tables import BEGIN, END, WORDS, Many, Measured, render

SEED = 1
REVISED = 0.01
WORKERS = tuple(WORDS)
MONDAY = dt.datetime(2026, 1, 5, 6, tzinfo=dt.UTC)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench", description=__doc__)
    parser.add_argument("file", type=Path, help="Markdown file with the two markers")
    parser.add_argument("--pages", type=int, default=5000, help="how many pages, half HTML and half text (5000)")
    parser.add_argument("--many", type=int, default=20_000, help="how many for the run over many pages (20000)")
    given = parser.parse_args()
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="cptflow-bench-") as place:
        measured = measure(Path(place), given.pages, given.many)
    text = render(measured, time.perf_counter() - begun)
    print(text)
    replace_between_markers(given.file, text)


def measure(place: Path, pages: int, many: int) -> Measured:
    """Generate the pages below ``place`` and run everything over them, one after the other."""
    size = write_folder(place / "monday", pages, SEED, fetched_at=MONDAY)
    homes = {workers: place / f"home{workers}" for workers in WORKERS}
    first = {}
    for workers, home in homes.items():
        print(f"first run, {WORDS[workers]}", flush=True)
        first[workers] = _run(place / "monday", home, workers)
    home = homes[WORKERS[0]]
    print("later runs", flush=True)
    again = {"the same folder again": _run(place / "monday", home)}
    for day, (name, revised) in enumerate((("nothing", 0.0), ("1 %", REVISED)), 1):
        write_folder(place / name, pages, SEED, fetched_at=MONDAY + dt.timedelta(days=day), revise=revised)
        again[f"fetched a day later, {name} changed"] = _run(place / name, home)
    parts = {}
    for workers in WORKERS:
        print(f"the parts of parsing, and the baseline, {WORDS[workers]}", flush=True)
        parts[workers] = in_a_process(run_parts, homes[WORKERS[1]], workers)
    return Measured(pages, size, first, parts, again, _many(place / "many", many))


def _many(place: Path, pages: int) -> Many:
    """A first run over so many pages, and one a day later with 1 % of them changed."""
    print(f"{pages} pages, and 1 % of them changed", flush=True)
    runs = []
    for day, revised in enumerate((0.0, REVISED)):
        folder = place / f"day{day}"
        write_folder(folder, pages, SEED, fetched_at=MONDAY + dt.timedelta(days=day), revise=revised)
        runs.append(_run(folder, place / "home"))
    return Many(pages, *runs)


def _run(folder: Path, home: Path, workers: int = 1) -> Run:
    return in_a_process(run_pipeline, folder, home, workers, time.time())


def replace_between_markers(file: Path, text: str, first: str = BEGIN, last: str = END) -> None:
    """Put ``text`` between the markers of ``file``. Raises ValueError where they are missing."""
    before, begin, rest = file.read_text(encoding="utf-8").partition(first)
    _, end, after = rest.partition(last)
    if not (begin and end):
        raise ValueError(f"{file} lacks the lines {first} and {last}, between which the tables go")
    file.write_text(f"{before}{first}\n\n{text}\n\n{last}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
