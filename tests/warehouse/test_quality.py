"""The quality report: one page that tells what was checked and what broke, and takes nothing of a page for markup."""

from __future__ import annotations

import json
import math
import re
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from bs4 import BeautifulSoup, Tag
from hypothesis import given
from hypothesis import strategies as st

from tests.warehouse.drafts import drafted
from tests.warehouse.invented import TRUST, assembled, day, everything, page
from warehouse.publishing import publish
from warehouse.quality import Quality, of_snapshot, of_stopped_run
from warehouse.quality_charts import Series, bars, lines, percent
from warehouse.quality_page import BROKEN_SHOWN, render
from warehouse.quality_rules import EXAMPLES, RULES_WITH_EXAMPLES
from warehouse.snapshots import expired_manifest, snapshots_folder
from warehouse.tables import QUARANTINE

EVIL = (
    "<script>alert(1)</script>",
    '"><img src=http://127.0.0.1:1/x onerror=alert(2)>',
    "javascript:alert(3)",
    "</style></title></bdi></td><svg onload=alert(4)>",
    "{{ 7 * 7 }}{% raw %}",
)
Tables = dict[str, pa.Table]


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    """Four codes of one source, and a page that nobody knows."""
    seen = [(page(f"{10000 + k}", everything(k), unmapped=["Synthetic rest"]), day(1)) for k in range(4)]
    seen.append((page(outcome="unrecognised"), day(1)))
    return assembled(tmp_path_factory.mktemp("tables"), seen).tables


def broken(count: int, tables: Tables, **values: str) -> pa.Table:
    """Rows of quarantine, all of one rule."""
    row = {
        "table_name": "history_events",
        "rule": "event_on_plausible",
        "source": "codingahead",
        "code": "10000",
        "document_id": tables["documents"]["document_id"][0].as_py(),
        "column_name": "event_on",
        "value": "1950-01-01",
        "message": "Synthetic message",
        "severity": "critical",
        **values,
    }
    rows = [{"row_key": f"codingahead|{number:05}", **row} for number in range(count)]
    return pa.Table.from_pylist(rows, schema=QUARANTINE.schema)


def suite(table: str, rules: list[dict[str, Any]], **told: Any) -> dict[str, Any]:
    success = all(rule["success"] for rule in rules)
    return {"table": table, "rows": 9, "held_back": 0, "success": success, "rules": rules, **told}


def rule(name: str, rows: int = 0, **told: Any) -> dict[str, Any]:
    return {"rule": name, "severity": "critical", "success": not rows, "broken_rows": rows, "allowed_rows": 25, **told}


def band(name: str, **told: Any) -> dict[str, Any]:
    measured = {"source": "codingahead", "accepted": False, "measures": 3, "what": "descriptors", "unit": "rows"}
    values = {"value": 3000, "before": 5000, "low": 3500.0, "high": 6500.0, "message": "Synthetic message"}
    return rule(name, **measured, **values, **told)


def published(home: Path, tables: Tables, number: int = 1, parent: str | None = None, **told: Any) -> str:
    """Publish a snapshot of ``tables`` as they are; returns its id."""
    made = drafted(tables, parent, number, tables if parent else None)
    told = {"suites": [suite("codes", [rule("code_form")])], **told}
    return publish(home, made, run_ids=[made.run_id], trust=TRUST, **told).snapshot_id


def shown(quality: Quality) -> BeautifulSoup:
    return BeautifulSoup(render(quality), "lxml")


def cell(row: Tag, label: str) -> str:
    found = row.find("td", attrs={"data-label": label})
    assert found is not None
    return found.get_text().strip()


def rows_of(soup: BeautifulSoup, section: str) -> dict[str, Tag]:
    """The rows of a section's table, by what each is of."""
    return {(row.strong or row.td).get_text(): row for row in soup.select(f"#{section} tbody tr")}


def test_the_page_tells_the_numbers_of_the_manifest(tmp_path: Path, tables: Tables) -> None:
    faulty = {**tables, "quarantine": broken(7, tables)}
    told = suite("history_events", [rule("key_unique"), rule("event_on_plausible", 7)], held_back=7)
    first = published(tmp_path, tables)
    second = published(tmp_path, faulty, 2, first, suites=[suite("codes", [rule("code_form")]), told])
    manifest = json.loads((snapshots_folder(tmp_path) / second / "manifest.json").read_text())
    soup = shown(of_snapshot(tmp_path, second, None))

    rows = rows_of(soup, "tables")
    for name, file in manifest["files"].items():
        if name != "snapshot":
            assert cell(rows[name], "rows") == str(file["rows"])
            assert cell(rows[name], "before") == str(0 if name == "quarantine" else file["rows"])
    assert cell(rows["quarantine"], "difference") == "+7"
    events = rows["history_events"]
    assert [cell(events, label) for label in ("checks", "failed", "held back")] == ["2", "1", "7"]
    assert "Published, with warnings" in soup.h1.get_text()
    assert "3 checks run, 1 of them failed; 7 rows held back" in " ".join(soup.header.get_text(" ").split())
    text = soup.get_text(" ")
    assert all(words in text for words in (second, first, manifest["run_id"]))


def test_a_broken_rule_stands_with_its_count_limit_message_and_examples(tmp_path: Path, tables: Tables) -> None:
    faulty = {**tables, "quarantine": broken(7, tables)}
    only = [suite("history_events", [rule("event_on_plausible", 7)])]
    card = shown(of_snapshot(tmp_path, published(tmp_path, faulty, suites=only), None)).select_one("#broken article")
    assert card is not None
    text = " ".join(card.get_text(" ").split())

    assert "critical" in text
    assert "history_events · event_on_plausible" in text
    assert "7 rows , limit 25" in text
    assert "Synthetic message" in text
    examples = card.select("tbody tr")
    assert [cell(row, "row") for row in examples] == [f"codingahead|{n:05}" for n in range(EXAMPLES)]
    assert cell(examples[0], "value") == "1950-01-01"
    assert cell(examples[0], "page").startswith("https://www.codingahead.example/")
    assert "and 2 more" in text


def test_sources_are_told_by_outcome_codes_and_share(tmp_path: Path, tables: Tables) -> None:
    fared = {"source": "codingahead", "captures": 5, "good": 4, "share": 0.8, "least": 0.9, "suspect": True}
    notes = [{"url": "file:x.html", "code": None, "outcome": "unrecognised", "reason": "Synthetic reason"}]
    run = {"sources": [fared], "notes": notes, "captures": {"parsed": 4, "unrecognised": 3}}
    soup = shown(of_snapshot(tmp_path, published(tmp_path, tables), run))
    source, nameless = (" ".join(card.get_text(" ").split()) for card in soup.select("article.source"))

    assert "codingahead suspect parser version 1" in source
    assert "parsed 4 codes read 4 read in this run 4 of 5 (80 %) floor 90 %" in source
    assert nameless.startswith("no source recognised")
    assert nameless.endswith("unrecognised 1")
    assert "Published, with warnings" in soup.h1.get_text(), "its changes were held back"
    assert "file:x.html" in rows_of(soup, "sources")["no code"].get_text()
    assert "and 2 more, in the run report" in soup.get_text(" ")


@pytest.mark.parametrize(
    ("told", "quarantined", "verdict"),
    [
        ({}, {}, "published"),
        ({}, {"severity": "info"}, "published"),
        ({}, {"severity": "warning"}, "warnings"),
        ({"suites": [suite("bands", [band("rows:codingahead", rows=1, severity="warning")])]}, {}, "warnings"),
        ({"accepted": [{"rule": "rows", "source": "codingahead", "found": "Synthetic words"}]}, {}, "accepted"),
    ],
)
def test_the_verdict(
    tmp_path: Path, tables: Tables, told: dict[str, Any], quarantined: dict[str, str], verdict: str
) -> None:
    rows = broken(1, tables, **quarantined) if quarantined else tables["quarantine"]
    snapshot_id = published(tmp_path, {**tables, "quarantine": rows}, **told)
    assert of_snapshot(tmp_path, snapshot_id, None).verdict == verdict


def test_a_stopped_run_says_why_first_and_how_to_let_it_pass(tmp_path: Path, tables: Tables) -> None:
    current = published(tmp_path, tables)
    stop = {"rule": "rows:codingahead", "table": "bands", "observed": 3000, "limit": 3500, "message": "Synthetic stop"}
    codes = [{"kind": "changed", "number": 51, "codes": [f"{n:05}" for n in range(20)]}]
    mass = stop | {"rule": "mass_change:codingahead", "codes": codes}
    run = {
        "run_id": "20260302T120000Z-3f9a",
        "as_of": "2026-03-02T12:00:00+00:00",
        "versions": {"cptflow": "0.1.0"},
        "suites": [suite("bands", [band("rows:codingahead", rows=1)], parent=current)],
        "accept": ["floor:codingahead"],
        "stopped": [{**stop, "accept": "rows:codingahead"}, {**mass, "accept": "mass_change:codingahead"}],
    }
    fewer = {**tables, "descriptors": tables["descriptors"].slice(0, 3)}
    soup = shown(of_stopped_run(tmp_path, run, fewer))

    assert soup.h1.get_text() == "Stopped: nothing was published"
    first = soup.select_one("section")
    assert first is not None
    assert first["id"] == "stopped"
    assert "Synthetic stop" in first.get_text()
    assert [command.get_text() for command in first.select(".cmd")] == [
        "cptflow run --accept floor:codingahead --accept rows:codingahead --accept mass_change:codingahead "
        f"--home {tmp_path}"
    ]
    assert "51 codes changed: 00000 00001" in first.get_text()
    assert "00019 and 31 more" in first.get_text()
    nobody_may = {**run, "stopped": [*run["stopped"], stop]}
    assert shown(of_stopped_run(tmp_path, nobody_may, fewer)).select(".cmd") == []
    assert current in soup.header.get_text()
    rows = rows_of(soup, "tables")["descriptors"]
    assert (cell(rows, "rows"), cell(rows, "before")) == ("3", str(tables["descriptors"].num_rows))
    measured = rows_of(soup, "bands")["rows:codingahead"]
    assert (cell(measured, "now"), cell(measured, "allowed"), cell(measured, "result")) == (
        "3,000", "3,500 to 6,500", "outside",
    )  # fmt: skip


def hostile(home: Path, tables: Tables) -> bytes:
    """A page with EVIL in all that comes from a page, a manifest or a run report."""
    evil = " ".join(EVIL)
    pages = tables["documents"]
    urls = pa.array([f"https://x.example/{number}{evil}" for number in range(pages.num_rows)])
    pages = pages.set_column(pages.column_names.index("url"), pages.schema.field("url"), urls)
    rows = broken(2, tables, value=evil, message=evil, column_name=evil)
    rows = rows.set_column(0, rows.schema.field(0), pa.array([evil, "codes"]))
    made = {**tables, "documents": pages, "quarantine": rows}
    accepted = [{"rule": evil, "source": evil, "found": evil}]
    suites = [suite(evil, [rule(evil, 1)]), suite("bands", [band(evil) | {"what": evil}])]
    snapshot_id = published(home, made, suites=suites, accepted=accepted)
    notes = [{"url": f"{word}", "code": word, "outcome": "failed", "reason": word} for word in EVIL]
    fared = {"source": evil, "captures": 1, "good": 1, "share": 1.0, "least": None, "suspect": False}
    quality = of_snapshot(home, snapshot_id, {"notes": notes, "sources": [fared], "captures": {"failed": 5}})
    return render(quality, previous=True)


def test_law_10_markup_of_pages_and_manifests_shows_as_text(tmp_path: Path, tables: Tables) -> None:
    soup = BeautifulSoup(hostile(tmp_path, tables), "lxml")

    text = soup.get_text()
    assert all(word in text for word in EVIL)
    assert soup.find(["script", "img", "iframe", "object", "embed", "form", "base", "audio", "video"]) is None
    assert [name for tag in soup.find_all(True) for name in tag.attrs if name.startswith("on")] == []
    assert all(re.fullmatch(r"#[a-z-]+|[\w./-]+|data:,", str(tag["href"])) for tag in soup.find_all(href=True))
    assert "49" not in [tag.get_text().strip() for tag in soup.find_all("bdi")], "nothing is a template"


def test_law_10_unseen_characters_show_by_their_numbers(tmp_path: Path, tables: Tables) -> None:
    rows = broken(1, tables, value="Synthetic \u202edrow\x1b[31m\u200b\x00")
    text = shown(of_snapshot(tmp_path, published(tmp_path, {**tables, "quarantine": rows}), None)).get_text()

    assert r"Synthetic \u202edrow\x1b[31m\u200b\x00" in text
    assert not re.search("[\u202e\x1b\u200b\x00]", text)


def test_the_page_refers_to_nothing_from_elsewhere(tmp_path: Path, tables: Tables) -> None:
    source = hostile(tmp_path, tables).decode()
    soup = BeautifulSoup(source, "lxml")

    refers = ("src", "srcset", "href", "xlink:href", "action", "poster", "data", "background", "style")
    values = [str(tag[name]) for tag in soup.find_all(True) for name in refers if tag.has_attr(name)]
    assert [value for value in values if re.search(r"//|[a-z]+:(?!,)", value) and "width:" not in value] == []
    styles = "".join(tag.get_text() for tag in soup.find_all("style"))
    assert not re.search(r"url\(|@import|@font-face|expression", styles)
    policy = soup.find("meta", attrs={"http-equiv": "Content-Security-Policy"})
    assert policy is not None
    assert str(policy["content"]).startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:;")


def test_a_hundred_thousand_rows_held_back_make_a_page_that_opens(tmp_path: Path, tables: Tables) -> None:
    one = broken(850, tables, value='"' * 300, message="'" * 600, column_name="<" * 60)
    place, field = one.column_names.index("rule"), one.schema.field("rule")
    rules = [pa.repeat(f"rule_{number}", one.num_rows) for number in range(2 * BROKEN_SHOWN)]
    many = pa.concat_tables(one.set_column(place, field, rule) for rule in rules)
    assert many.num_rows > 100_000
    pages = tables["documents"]
    urls = pa.array([f"https://x.example/{number}/" + "&" * 8000 for number in range(pages.num_rows)])
    pages = pages.set_column(pages.column_names.index("url"), pages.schema.field("url"), urls)
    snapshot_id = published(tmp_path, {**tables, "quarantine": many, "documents": pages})
    source = render(of_snapshot(tmp_path, snapshot_id, None))
    soup = BeautifulSoup(source, "lxml")

    assert len(source) < 500_000
    cards = soup.select("#broken article")
    assert len(cards) == BROKEN_SHOWN
    assert [len(card.select("tbody tr")) for card in cards] == [EXAMPLES] * RULES_WITH_EXAMPLES + [0] * (
        BROKEN_SHOWN - RULES_WITH_EXAMPLES
    )
    assert "and 845 more" in cards[0].get_text()
    assert f"and {BROKEN_SHOWN} more rules" in " ".join(soup.get_text(" ").split())


def test_trends_tell_the_last_snapshots_and_what_is_left_of_expired_ones(tmp_path: Path, tables: Tables) -> None:
    first = published(tmp_path, tables)
    second = published(tmp_path, {**tables, "quarantine": broken(3, tables, severity="warning")}, 2, first)
    third = published(tmp_path, tables, 3, second)
    expired_manifest(tmp_path, first).parent.mkdir(parents=True)
    folder = snapshots_folder(tmp_path) / first
    (folder / "manifest.json").rename(expired_manifest(tmp_path, first))
    shutil.rmtree(folder)

    quality = of_snapshot(tmp_path, third, None)
    assert [point.snapshot_id for point in quality.trend] == [first, second, third]
    assert [point.warnings for point in quality.trend] == [None, 3, 0]
    assert [point.codes and point.codes["active"] for point in quality.trend] == [None, 4, 4]
    assert len({point.rows for point in quality.trend}) == 1
    soup = shown(quality)
    chart = next(figure for figure in soup.select("figure") if "Active codes" in figure.get_text())
    assert [[c.get_text() for c in row.find_all("td")] for row in chart.select("tbody tr")] == [
        ["2026-03-01", "–"], ["2026-03-02", "4"], ["2026-03-03", "4"],
    ]  # fmt: skip
    assert [point.snapshot_id for point in of_snapshot(tmp_path, second, None).trend] == [first, second]


def test_every_chart_says_in_words_what_it_shows(tmp_path: Path, tables: Tables) -> None:
    first = published(tmp_path, tables)
    soup = shown(of_snapshot(tmp_path, published(tmp_path, tables, 2, first), None))

    plots = soup.select("svg.plot")
    assert len(plots) == 6
    assert all(plot["role"] == "img" and plot.title.get_text() for plot in plots)
    words = [description.get_text() for plot in plots if (description := plot.find("desc")) is not None]
    assert "Active codes: 4 on 2026-03-01, 4 on 2026-03-02" in words
    assert len(soup.select("figure details table")) == 6


@given(st.lists(st.none() | st.integers(0, 10**9), min_size=1, max_size=12), st.booleans())
def test_what_a_chart_draws_stays_inside_its_axis(values: list[int | None], stacked: bool) -> None:
    labels = [f"day {number}" for number in range(len(values))]
    series = [Series("Synthetic", tuple(values), 1)]
    chart = bars("Synthetic", labels, series) if stacked else lines("Synthetic", labels, series)
    top, _, bottom = (float(tick.replace(",", "")) for tick in chart.ticks)

    assert all(bottom - 1 <= value <= top + 1 for value in values if value is not None)
    shapes = re.sub(r"<(title|desc)>.*?</\1>", "", str(chart.svg))
    drawn = [
        float(n) for d in re.findall(r' (?:d|x|y|width|height)="([^"]*)"', shapes) for n in re.findall(r"-?[\d.]+", d)
    ]
    assert all(math.isfinite(number) and -0.01 <= number <= 100.01 for number in drawn)


def test_small_shares_have_an_axis_that_tells_them_apart() -> None:
    chart = lines("Synthetic", ["a", "b"], [Series("Synthetic", (0.001, 0.004), 1)], percent)
    assert len(set(chart.ticks)) == 3
