"""The pages of the run over all codes are pages that the parsers know."""

import datetime as dt
import json

from benchmarks.bench import replace_between_markers
from benchmarks.size import BEGIN, END, SizedRun, rendered, write_pages
from parsers import parse

DAY = dt.datetime(2026, 1, 5, 6, tzinfo=dt.UTC)


def test_each_code_has_a_readable_page_on_three_sources(tmp_path):
    write_pages(tmp_path / "pages", ["99213", "G0105"], DAY, share=1.0)

    lines = (tmp_path / "pages" / "manifest.jsonl").read_text().splitlines()
    entries = [json.loads(line) for line in lines]
    results = [parse((tmp_path / "pages" / entry["file"]).read_bytes(), entry["url"]) for entry in entries]

    assert [(r.source, r.code, r.outcome) for r in results] == [
        (source, code, "parsed") for source in ("codingahead", "openpayer", "genhealth") for code in ("99213", "G0105")
    ]


def test_the_share_of_each_step_is_told_of_the_cold_run(tmp_path):
    file = tmp_path / "page.md"
    file.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    cold = SizedRun({"validate": 10.0, "imports": 2.0}, {"validate": 5 * 10**8}, 80.0, {"codes": 1000}, 0, 3)
    later = SizedRun({"validate": 9.0, "imports": 2.0, "compare": 4.0}, {}, 30.0, {"codes": 1000}, 7, 1)

    replace_between_markers(file, rendered(1000, cold, later, 120.0), BEGIN, END)

    text = file.read_text()
    assert "| validate | 10.0 | 12.5% | 500 | 9.0 |" in text
    assert "Validating takes 12.5% of the cold run" in text
    assert "Comparing takes 5.0% of the cold run" in text
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "\nold\n" not in text
