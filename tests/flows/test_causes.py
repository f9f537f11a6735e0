"""Law 7 where several things changed at once: each change has its own cause, and the source's are told once."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from parsers import codingahead
from parsers.records import Descriptor
from tests.flows.pages import SAMPLES, folder, page, run_inline, without_validation
from tests.flows.test_pipeline import upgrade
from warehouse import snapshots
from warehouse.apply import apply, content
from warehouse.files import encode
from warehouse.tables import COMPARED

NOTE = "Code added."


def fixed(reading):
    """The next version of the parser: it used to miss how short descriptors end."""
    coverage = codingahead.read(reading)
    for claim in reading._claims:
        for record in claim.records:
            if isinstance(record, Descriptor) and record.kind == "short":
                object.__setattr__(record, "text", f"{record.text} MENDED")
    return coverage


def codes(count):
    return [f"{number:05}" for number in range(10000, 10000 + count)]


def landed(place, pages, day, **settings):
    report = run_inline(place.parent / "home", folder(place, pages, day=day), **settings)
    assert report.status == "published", report.stopped
    return report.snapshot_id


def told(home):
    """Rows of ``changes`` of the current snapshot, which lead from its parent's tables to its own."""
    current = snapshots.current_id(home)
    after = snapshots.read_tables(home, current)
    before = snapshots.read_tables(home, snapshots.read_manifest(home, current)["parent"])
    made = apply(after["changes"], before)
    assert all(made[table.name].equals(content(table, after)) for table in COMPARED)
    return after["changes"].to_pylist()


def check_upgrade(tmp_path, monkeypatch, count):
    """``count`` pages that a new parser version reads otherwise, of which three also changed at the source."""
    home, every = tmp_path / "home", codes(count)
    landed(tmp_path / "first", {code: page(code) for code in every}, "2026-01-01")
    upgrade(monkeypatch, fixed)
    changed = [every[1], every[count // 2], every[-1]]
    landed(tmp_path / "news", {code: page(code).replace(NOTE, f"Note {code}") for code in changed}, "2026-01-02")
    rows = told(home)
    source = [row for row in rows if row["cause"] == "source"]
    assert [(r["table_name"], r["code"], r["before"], r["after"]) for r in sorted(source, key=lambda r: r["code"])] == [
        ("history_events", code, NOTE, f"Note {code}") for code in changed
    ]
    others = Counter((row["cause"], row["table_name"], row["column_name"]) for row in rows if row not in source)
    assert others == {
        ("parser", "descriptors", "text"): count,
        ("parser", "codes", "short_descriptor"): count,
    }


def test_a_parser_that_was_mended_is_not_the_sources_news(tmp_path, monkeypatch):
    without_validation(monkeypatch)
    check_upgrade(tmp_path, monkeypatch, 12)


@pytest.mark.full
def test_a_parser_that_was_mended_on_500_pages_leaves_three_changes_to_the_source(tmp_path, monkeypatch):
    check_upgrade(tmp_path, monkeypatch, 500)


def test_where_parser_and_source_changed_the_same_value_both_are_told(tmp_path, monkeypatch):
    without_validation(monkeypatch)
    landed(tmp_path / "first", {code: page(code, short="A") for code in codes(2)}, "2026-01-01")
    upgrade(monkeypatch, fixed)
    landed(tmp_path / "news", {codes(1)[0]: page(codes(1)[0], short="B")}, "2026-01-02")
    of_codes = {(r["code"], r["cause"], r["before"], r["after"]) for r in told(tmp_path / "home") if not r["source"]}
    assert of_codes == {
        ("10000", "parser", "A", "A MENDED"),
        ("10000", "source", "A MENDED", "B MENDED"),
        ("10001", "parser", "A", "A MENDED"),
    }


def test_parser_schema_and_source_at_once(tmp_path, monkeypatch):
    """The parent was published before `history_events` had its notes, and `codes` its short descriptor."""
    without_validation(monkeypatch)
    home = tmp_path / "home"
    parent = landed(tmp_path / "first", {code: page(code, short="A") for code in codes(3)}, "2026-01-01")
    as_of_old(home, parent, {"history_events": "notes", "codes": "short_descriptor"})
    upgrade(monkeypatch, fixed)
    news = page("10000", short="B").replace("Status Code | Active Code", "Status Code | Bundled Code")
    landed(tmp_path / "news", {"10000": news}, "2026-01-02")
    rows = told(home)
    assert Counter((r["cause"], r["table_name"], r["column_name"]) for r in rows if r["cause"] != "source") == {
        ("schema", "history_events", "notes"): 3,
        ("schema", "codes", "short_descriptor"): 3,
        ("parser", "descriptors", "text"): 3,
    }
    source = {(r["table_name"], r["column_name"], r["before"], r["after"]) for r in rows if r["cause"] == "source"}
    assert ("codes", "short_descriptor", "A MENDED", "B MENDED") in source
    assert ("descriptors", "text", "A MENDED", "B MENDED") in source
    assert {table for table, *_ in source} == {"codes", "descriptors", "indicators"}


def as_of_old(home, snapshot_id, lacking):
    """The snapshot as an older cptflow published it, when these tables had a column less."""
    place = home / "warehouse/snapshots" / snapshot_id
    manifest = json.loads((place / "manifest.json").read_text())
    for table, column in lacking.items():
        rows = snapshots.read_table(home, snapshot_id, table).drop_columns(column)
        data = encode(rows)
        (place / f"{table}.parquet").write_bytes(data)
        manifest["files"][table] |= {"sha256": snapshots.sha256(data), "bytes": data.size, "schema": "of old"}
    (place / "manifest.json").write_text(json.dumps(manifest))


def test_another_order_of_trust_and_a_source_change_at_once(tmp_path, monkeypatch):
    without_validation(monkeypatch)
    home = tmp_path / "home"
    for sample in SAMPLES:
        run_inline(home, sample)
    news = page("0240U", short="Synthetic NEWS")
    landed(tmp_path / "news", {"0240U": news}, "2026-02-01", trust=("openpayer", "genhealth", "codingahead"))
    by_cause = Counter(row["cause"] for row in told(home))
    assert set(by_cause) == {"parser", "source"}
    assert {row["code"] for row in told(home) if row["cause"] == "source"} == {"0240U"}


def test_the_same_upgrade_again_and_what_the_source_said_before_is_told_once(tmp_path, monkeypatch):
    """Three runs: news, then an upgrade that is no news, then one that is, with news beside it."""
    without_validation(monkeypatch)
    home = tmp_path / "home"
    landed(tmp_path / "1", {code: page(code, short="A") for code in codes(2)}, "2026-01-01")
    landed(tmp_path / "2", {"10000": page("10000", short="B")}, "2026-01-02")
    upgrade(monkeypatch)
    assert run_inline(home).status == "nothing_new"
    upgrade(monkeypatch, fixed)
    landed(tmp_path / "3", {"10001": page("10001", short="C")}, "2026-01-03")
    of_codes = {(r["code"], r["cause"], r["before"], r["after"]) for r in told(home) if not r["source"]}
    assert of_codes == {
        ("10000", "parser", "B", "B MENDED"),
        ("10001", "parser", "A", "A MENDED"),
        ("10001", "source", "A MENDED", "C MENDED"),
    }
