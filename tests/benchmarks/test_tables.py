"""What the tables of docs/performance.md tell: whole times, with start and imports, and peaks up to parsing's end."""

from __future__ import annotations

import pytest

from benchmarks.bench import replace_between_markers
from benchmarks.measure import Parts, Run
from benchmarks.tables import BEGIN, END, Many, Measured, render

STEPS = ("land", "parse", "assemble", "validate", "compare", "publish", "freshness")


def run(total: float, pages: int, parsed: int, parsing_peak: int) -> Run:
    return Run(
        seconds=dict.fromkeys(STEPS, total / len(STEPS)),
        total=total,
        start=1.0,
        imports=2.0,
        seen=pages,
        parsed=parsed,
        changes=3,
        status="published",
        peak={"this_process": 900_000_000, "largest_worker": parsing_peak},
        versions={"cptflow": "0.0"},
    )


@pytest.fixture
def measured() -> Measured:
    first = {1: run(50, 5000, 5000, 200_000_000), 2: run(30, 5000, 5000, 100_000_000)}
    again = {"fetched a day later, 1 % changed": run(7, 5000, 50, 200_000_000)}
    many = Many(20_000, run(197, 20_000, 20_000, 230_000_000), run(6, 20_000, 200, 210_000_000))
    return Measured(5000, 10_000_000, first, {1: Parts(1, 2, 1, 2), 2: Parts(1, 2, 1, 2)}, again, many)


def test_start_and_imports_count_in_both_runs_over_many_pages(measured):
    assert "20,000 pages, fetched again a day later with 1 % of them changed: 200 are parsed" in render(measured, 60)
    assert "takes 4.5% of the first run's time" in render(measured, 60)  # 9 of 200 seconds
    assert "| a day later, 1 % changed | 20000 | 200 | 1.00 | 2.00 |" in render(measured, 60)


def test_memory_of_landing_and_parsing_is_compared_and_not_that_of_validation(measured):
    told = "hold at most 200 MB for 5,000 pages and 230 MB for 20,000: 1.15 times as much"
    assert told in render(measured, 60)


def test_the_tables_go_between_the_markers_and_the_prose_stays(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    replace_between_markers(page, "new")
    assert page.read_text(encoding="utf-8") == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    page.write_text("no markers\n", encoding="utf-8")
    with pytest.raises(ValueError, match="lacks the lines"):
        replace_between_markers(page, "new")
