"""What stops publication: broken table rules, and row rules that too many rows break."""

import datetime as dt
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tests.warehouse.invented import TRUST, assembled, day, everything, page
from warehouse.compare import compare, no_changes
from warehouse.expectations import Stop, validate, validate_run_tables
from warehouse.publishing import draft
from warehouse.rules import USUAL
from warehouse.tables import CHANGES
from warehouse.versions import Standing, follow

AS_OF = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
Tables = dict[str, pa.Table]


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    """30 codes, 60 modifiers."""
    pages = [page(f"{n:05}", everything(n)) for n in range(30)]
    return assembled(tmp_path_factory.mktemp("home"), [(of, day(1)) for of in pages]).tables


@pytest.fixture(scope="module")
def whole(tables: Tables) -> Tables:
    """All tables of a second snapshot."""
    narrower = {**tables, "codes": tables["codes"].slice(1)}
    parent = "20260201T120000Z-0123abcd"
    changes = compare(narrower, tables, parent)
    stands = Standing(2, AS_OF)
    versions = follow(None, tables["codes"], stands, {2})
    made = draft(
        {**tables, "changes": changes, "code_versions": versions},
        as_of=AS_OF, stands=stands, parent=parent, run_id="20260301T120000Z-3f9a", published_at=AS_OF,
        cptflow_version="0.1.0",
    )  # fmt: skip
    return dict(made.tables)


def with_column(tables: Tables, table: str, column: str, values: pa.Array | pa.ChunkedArray) -> Tables:
    rows = tables[table]
    place = rows.schema.get_field_index(column)
    return {**tables, table: rows.set_column(place, rows.schema.field(place), values)}


def only(stops: list[Stop]) -> Stop:
    (stop,) = stops
    return stop


@pytest.mark.parametrize("broken", [USUAL.few, USUAL.few + 1])
def test_rows_over_the_limit_stop_and_tell_by_how_much(tables: Tables, broken: int) -> None:
    modifiers = tables["modifiers"]["modifier"].to_pylist()
    bad = pa.array([f"?{n}?" for n in range(broken)] + modifiers[broken:])
    checked = validate(with_column(tables, "modifiers", "modifier", bad), AS_OF, TRUST)
    assert checked.tables["modifiers"].num_rows == 60 - broken
    if broken == USUAL.few:
        assert checked.stopped == []
        return
    stop = only(checked.stopped)
    assert (stop.rule, stop.table, stop.observed, stop.limit) == ("modifier_form", "modifiers", 26, 25)
    assert "26 of 60 rows (43.3%)" in stop.message
    assert "25 (2%; 25 or half of a small table) may" in stop.message
    assert "'?0?'" in stop.message
    assert "cptflow parse" in stop.message


@pytest.mark.parametrize(("broken", "of"), [(2, 2), (5, 5), (7, 14), (6, 6), (8, 14)])
def test_a_handful_or_half_of_a_small_table_may_break(tables: Tables, broken: int, of: int) -> None:
    small = {**tables, "modifiers": tables["modifiers"].slice(0, of)}
    bad = pa.array(["?"] * broken + ["26"] * (of - broken))
    stops = validate(with_column(small, "modifiers", "modifier", bad), AS_OF, TRUST).stopped
    assert ("modifier_form" in {stop.rule for stop in stops}) == (broken > max(USUAL.handful, of // 2))


def test_warnings_never_stop(tables: Tables) -> None:
    before = pa.array([dt.date(2000, 1, 1)] * 30)
    checked = validate(with_column(tables, "codes", "deleted_on", before), AS_OF, TRUST)
    assert checked.stopped == []
    assert checked.tables["quarantine"]["rule"].to_pylist() == ["dates_in_order"] * 30
    assert checked.tables["codes"].num_rows == 30


def test_pages_without_codes_stop(tables: Tables) -> None:
    empty = {name: rows.slice(0, 0) for name, rows in tables.items()}
    stop = only(validate({**empty, "documents": tables["documents"]}, AS_OF, TRUST).stopped)
    assert (stop.rule, stop.table, stop.observed, stop.limit) == ("codes_found", "codes", 0, 1)
    assert "Rows expected: 1; found: 0" in stop.message
    assert validate(empty, AS_OF, TRUST).stopped == []  # nothing was read, and nothing is there


def test_tables_that_are_not_as_declared_stop(tables: Tables) -> None:
    wide = tables["notices"].cast(
        pa.schema([f.with_type(pa.int64()) if f.name == "year" else f for f in tables["notices"].schema])
    )
    stop = only(validate({**tables, "notices": wide}, AS_OF, TRUST).stopped)
    assert (stop.rule, stop.table, stop.observed) == ("schema", "notices", 1)
    assert "year is int64, declared int32" in stop.message
    lost = {**tables, "notices": tables["notices"].drop_columns("holder")}
    assert "holder is missing" in only(validate(lost, AS_OF, TRUST).stopped).message
    turned = {**tables, "notices": tables["notices"].select(tables["notices"].column_names[::-1])}
    assert "order" in only(validate(turned, AS_OF, TRUST).stopped).message
    nullable = tables["codes"].cast(pa.schema([f.with_nullable(True) for f in tables["codes"].schema]))
    assert (
        "code is string, declared string, required"
        in only(validate({**tables, "codes": nullable}, AS_OF, TRUST).stopped).message
    )
    assert (
        "code is missing"
        in only(validate({k: v for k, v in tables.items() if k != "codes"}, AS_OF, TRUST).stopped).message
    )


def test_a_quarantine_that_breaks_its_own_rules_stops(tables: Tables) -> None:
    odd = [{"table_name": "codes", "row_key": "x", "rule": "r", "message": "m", "severity": "grave"}]
    rows = {**tables, "quarantine": pa.Table.from_pylist(odd, schema=tables["quarantine"].schema)}
    stop = only(validate(rows, AS_OF, TRUST).stopped)
    assert (stop.rule, stop.table, stop.observed, stop.limit) == ("severity_known", "quarantine", 1, 0)


def test_run_tables_pass_as_they_are_made(whole: Tables) -> None:
    checked = validate_run_tables(whole, AS_OF)
    assert checked.stopped == []
    assert [suite["table"] for suite in checked.suites] == ["changes", "code_versions", "snapshot"]
    assert whole["changes"]["change_type"].to_pylist() == ["code_added"]
    assert validate_run_tables({**whole, "changes": no_changes()}, AS_OF).stopped != []  # the count no longer agrees


BAD_CHANGES = {
    "event_id": "short",
    "change_type": "code_vanished",
    "cause": "chance",
    "source": "Not A Name",
    "code": "999",
    "table_name": "",
    "row_key": "",
    "column_name": "no column",
    "before": "x" * 200_001,
    "after": "x" * 200_001,
    "effective_on": dt.date(1965, 12, 31),
    "parent_snapshot_id": "yesterday",
}


def test_every_column_of_changes_is_guarded(whole: Tables) -> None:
    assert set(BAD_CHANGES) == set(CHANGES.names)
    bad = pa.Table.from_pylist([BAD_CHANGES], schema=CHANGES.schema)
    stops = validate_run_tables({**whole, "changes": bad}, AS_OF).stopped
    assert {stop.rule.rsplit("_", 1)[0] for stop in stops if stop.table == "changes"} >= set(BAD_CHANGES)


BAD_SNAPSHOTS = {
    "snapshot_id": ("latest", "snapshot_id_form"),
    "parent_snapshot_id": ("first", "parent_snapshot_id_form"),
    "published_at": (dt.datetime(1965, 1, 1, tzinfo=dt.UTC), "published_at_plausible"),
    "run_id": ("", "run_id_length"),
    "codes": (31, "codes_counted"),
    "documents": (29, "documents_counted"),
    "changes": (0, "changes_counted"),
    "cptflow_version": ("x" * 65, "cptflow_version_length"),
}


@pytest.mark.parametrize("column", BAD_SNAPSHOTS)
def test_every_column_of_snapshot_is_guarded(whole: Tables, column: str) -> None:
    value, rule = BAD_SNAPSHOTS[column]
    rows = with_column(whole, "snapshot", column, pa.array([value], whole["snapshot"].schema.field(column).type))
    stop = only([stop for stop in validate_run_tables(rows, AS_OF).stopped if stop.table == "snapshot"])
    assert (stop.rule, stop.limit) == (rule, 0)


def test_a_snapshot_has_one_row_and_events_have_one_id(whole: Tables) -> None:
    twice = {**whole, "snapshot": pa.concat_tables([whole["snapshot"]] * 2)}
    assert {stop.rule for stop in validate_run_tables(twice, AS_OF).stopped} == {"one_row", "key_unique"}
    again = {**whole, "changes": pa.concat_tables([whole["changes"]] * 2)}
    assert "key_unique" in {stop.rule for stop in validate_run_tables(again, AS_OF).stopped}


def test_stops_name_rows_without_control_characters(tables: Tables, tmp_path: Path) -> None:
    """Law 10: what a page says does not reach a terminal as it is."""
    hostile = pc.binary_join_element_wise(tables["modifiers"]["modifier"], "\x1b[31m\n", "")
    stop = only(validate(with_column(tables, "modifiers", "modifier", hostile), AS_OF, TRUST).stopped)
    assert "\x1b" not in stop.message
    assert "\\x1b" in stop.message


def test_validation_is_quiet(
    tables: Tables, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """No progress bars, no log lines, no telemetry: `--json` has standard output to itself."""
    with caplog.at_level("INFO"):
        validate({**tables, "codes": tables["codes"].slice(1)}, AS_OF, TRUST)
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []
    assert os.environ["GX_ANALYTICS_ENABLED"] == "false"
