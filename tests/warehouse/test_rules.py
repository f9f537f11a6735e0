"""Every table has a suite, every column a rule, and every rule can fail: issue 2, point 6."""

import dataclasses
import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tests.warehouse.faults import AS_OF, Fault, faults, planted
from tests.warehouse.invented import TRUST, assembled, day, everything, page
from warehouse.columnar import joined
from warehouse.expectations import Validation, validate
from warehouse.gx import RuleCouldNotRun, open_batches, run_suite
from warehouse.rules import NONE, RowRule, row_rules, settings
from warehouse.tables import CODES, DOCUMENTS, FACTS, TABLES, UNMAPPED, Table

CODE_COUNT = 60
Faulty = tuple[list[Fault], dict[str, pa.Table], Validation]


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pa.Table]:
    """Tables of 60 codes without a fault, and a page that nobody could read."""
    pages = [page(f"{n:05}", everything(n), unmapped=["Synthetic words"]) for n in range(CODE_COUNT)]
    pages.append(page(outcome="unrecognised"))
    return assembled(tmp_path_factory.mktemp("home"), [(of, day(1)) for of in pages]).tables


@pytest.fixture(scope="module")
def all_faults(clean: dict[str, pa.Table]) -> list[Fault]:
    return faults(clean)


@pytest.fixture(scope="module", params=["which codes", "values of codes", "others"])
def faulty(request: pytest.FixtureRequest, clean: dict[str, pa.Table], all_faults: list[Fault]) -> Faulty:
    """Values of codes by themselves: where rows of facts are held back, they are derived again, without the faults."""
    some = [fault for fault in all_faults if group_of(fault) == request.param]
    tables = planted(clean, some, "bad")
    return some, tables, validate(tables, AS_OF, TRUST)


def group_of(fault: Fault) -> str:
    if fault.table is not CODES:
        return "others"
    return "which codes" if rule_of(fault).holds_back else "values of codes"


def rule_of(fault: Fault) -> RowRule:
    return next(rule for rule in row_rules(fault.table, AS_OF) if rule.name == fault.rule)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_column_has_a_rule(table: Table) -> None:
    rules = row_rules(table, AS_OF)
    assert {name for rule in rules if rule.name != "key_unique" for name in rule.columns} >= set(table.names)
    assert len({rule.name for rule in rules}) == len(rules)
    assert all(rule.table == table.name and rule.message for rule in rules)


@pytest.mark.parametrize("year", [1, 1960, 9999])
def test_a_wild_as_of_gives_ranges_all_the_same(year: int) -> None:
    for table in TABLES:
        for rule in row_rules(table, dt.datetime(year, 12, 31, 23, tzinfo=dt.UTC)):
            if (highest := rule.arguments.get("max_value")) is not None:
                assert rule.arguments["min_value"] <= highest, rule.name  # type: ignore[operator]


def test_every_row_rule_has_a_planted_fault(all_faults: list[Fault]) -> None:
    rules = {
        (table.name, rule.name)
        for table in (CODES, *FACTS, DOCUMENTS, UNMAPPED)
        for rule in row_rules(table, AS_OF)
        if rule.name != "key_unique"  # below, with rows of its own
    }
    assert {(fault.table.name, fault.rule) for fault in all_faults} == rules
    assert len(rules) > 80


def test_planted_faults_are_quarantined(
    faulty: Faulty,
) -> None:
    """With table, key, rule, column, value and message; and critical ones are not in their table."""
    some, tables, checked = faulty
    told = {(row["table_name"], row["row_key"], row["rule"]): row for row in checked.tables["quarantine"].to_pylist()}
    for fault in some:
        rows = tables[fault.table.name].slice(fault.row, 1)
        key = joined(rows, fault.table.key)[0].as_py()
        rule, shown_key = rule_of(fault), key if len(key) < 8000 else key[:8000] + "…"
        row = told.get((fault.table.name, shown_key, fault.rule))
        assert row is not None, f"{fault} was not caught"
        value = rows[rule.columns[0]][0].as_py()
        assert row["value"] == as_shown(value), fault
        assert (row["column_name"], row["message"], row["severity"]) == (rule.columns[0], rule.message, rule.severity)
        if "document_id" in rows.column_names:
            assert row["document_id"] == rows["document_id"][0].as_py()
        left = joined(checked.tables[fault.table.name], fault.table.key).to_pylist()
        rules = {name for t, k, name in told if (t, k) == (fault.table.name, shown_key)}
        held_back = any(r.holds_back for r in row_rules(fault.table, AS_OF) if r.name in rules)
        assert held_back or rule.severity != "critical" or rule.limit == NONE
        assert (key in left) != held_back, fault


def as_shown(value: Any) -> str | None:
    if isinstance(value, dt.datetime):
        return f"{value:%Y-%m-%dT%H:%M:%S}.{value.microsecond:06}Z"
    shown = None if value is None else str(value)
    return shown[:1000] + "…" if shown and len(shown) > 1000 else shown


def test_values_just_inside_pass(clean: dict[str, pa.Table], all_faults: list[Fault]) -> None:
    checked = validate(planted(clean, all_faults, "good"), AS_OF, TRUST)
    assert checked.tables["quarantine"].to_pylist() == []
    assert checked.stopped == []
    assert all(suite["success"] for suite in checked.suites)


def test_clean_tables_come_back_as_they_were(clean: dict[str, pa.Table]) -> None:
    checked = validate(clean, AS_OF, TRUST)
    assert {name: rows.equals(clean[name]) for name, rows in checked.tables.items()} == dict.fromkeys(clean, True)
    assert {suite["table"] for suite in checked.suites} == set(clean)
    assert all(suite["rules"] for suite in checked.suites)


def appended(tables: Mapping[str, pa.Table], name: str, **values: Any) -> dict[str, pa.Table]:
    """``tables`` with the first row of one of them once more, with other ``values``."""
    row = tables[name].slice(0, 1).to_pylist()[0] | values
    return {**tables, name: pa.concat_tables([tables[name], pa.Table.from_pylist([row], tables[name].schema)])}


OTHER = {
    "descriptors": ({"text": "Other"}, {"kind": "overview"}),
    "indicators": ({"raw_text": "Other"}, {"indicator": "betos"}),
    "history_events": ({"notes": "Other"}, {"ordinal": 2}),
    "narratives": ({"text": "Other"}, {"ordinal": 3}),
    "attributes": ({"value": "Other"}, {"ordinal": 3}),
    "modifiers": ({"when_to_use": "Other"}, {"modifier": "59"}),
    "related_codes": ({"description": "Other"}, {"related_code": "A00.1"}),
    "notices": ({"holder": "Other"}, {"ordinal": 2}),
    "codes": ({"title": "Other"}, None),
    "documents": ({"reason": "Other"}, {"url": "https://other.example"}),
    "unmapped": ({"text": "Other"}, {"block": 1}),
}


def test_rows_that_share_a_key_are_all_held_back(clean: dict[str, pa.Table]) -> None:
    tables = clean
    for name, (other, _) in OTHER.items():
        if name not in ("codes", "documents"):  # these take all their rows with them
            tables = appended(tables, name, **other)
    checked = validate(tables, AS_OF, TRUST)
    told = {row["table_name"]: row for row in checked.tables["quarantine"].to_pylist()}
    assert set(told) == set(OTHER) - {"codes", "documents"}
    for name, row in told.items():
        assert row["rule"] == "key_unique"
        assert " / " in row["value"]
        assert "Other" in row["value"]
        assert checked.tables[name].num_rows == clean[name].num_rows - 1


@pytest.mark.parametrize("name", ["codes", "documents"])
def test_conflicting_codes_and_documents_take_their_rows_along(clean: dict[str, pa.Table], name: str) -> None:
    checked = validate(appended(clean, name, **OTHER[name][0]), AS_OF, TRUST)
    assert checked.tables[name].num_rows == clean[name].num_rows - 1
    orphaned = "code_known" if name == "codes" else "document_known"
    rules = set(checked.tables["quarantine"]["rule"].to_pylist())
    assert rules == {"key_unique", orphaned}
    for table in FACTS:
        left = checked.tables[table.name]["code"].to_pylist()
        assert set(left) == set(clean["codes"]["code"].to_pylist()) - {clean[name]["code"][0].as_py()}


def test_keys_just_apart_pass(clean: dict[str, pa.Table]) -> None:
    tables = clean
    for name, (_, apart) in OTHER.items():
        if apart:
            tables = appended(tables, name, **apart)
    checked = validate(tables, AS_OF, TRUST)
    assert checked.tables["quarantine"].to_pylist() == []


def test_codes_are_derived_again_from_what_is_left(tmp_path: Path) -> None:
    """A row that is held back gives no value: the next source's stands in its place."""
    from parsers.records import Descriptor, HistoryEvent

    bad = [Descriptor("title", "x" * 4001), HistoryEvent(dt.date(2999, 12, 31), "deleted", 1, None)]
    good = [Descriptor("title", "Synthetic title"), HistoryEvent(dt.date(2020, 1, 1), "added", 1, None)]
    made = assembled(tmp_path, [(page(records=bad), day(1)), (page(records=good, source="openpayer"), day(1))])
    (before,) = made.tables["codes"].to_pylist()
    assert before["deleted_on"] == dt.date(3000, 1, 1)
    checked = validate(made.tables, made.as_of, TRUST)
    (code,) = checked.tables["codes"].to_pylist()
    assert (code["title"], code["deleted_on"], code["status"]) == ("Synthetic title", None, "active")
    assert sorted(checked.tables["quarantine"]["table_name"].to_pylist()) == ["descriptors", "history_events"]


def test_warnings_of_parsers_stay_beside_what_rules_find(clean: dict[str, pa.Table]) -> None:
    warning = {
        "table_name": "narratives", "row_key": "codingahead|00000|description|1", "rule": "list_lost",
        "message": "Synthetic words.", "severity": "warning",
    }  # fmt: skip
    quarantine = pa.Table.from_pylist([warning], schema=clean["quarantine"].schema)
    checked = validate({**clean, "quarantine": quarantine}, AS_OF, TRUST)
    assert checked.tables["quarantine"].equals(quarantine)
    assert checked.tables["narratives"].equals(clean["narratives"])


def test_a_rule_that_cannot_run_is_an_error_and_not_a_finding(clean: dict[str, pa.Table]) -> None:
    rule = RowRule("odd", "codes", ("code",), "ExpectColumnValuesToMatchRegex", {"column": "none", "regex": "x"}, "Odd")
    with pytest.raises(RuleCouldNotRun, match="none") as told:
        run_suite(open_batches(), "codes", clean["codes"].select(["code"]).to_pandas(), [rule])
    assert (told.value.table, told.value.rule) == ("codes", "odd")


def test_small_tables_may_have_a_few_broken_rows_and_large_ones_a_share() -> None:
    rule = row_rules(CODES, AS_OF)[0]
    assert [rule.allowed(rows) for rows in (1, 11, 20, 51, 1299, 1300, 100_000)] == [5, 5, 10, 25, 25, 26, 2000]
    assert dataclasses.replace(rule, severity="warning").allowed(3) is None


def test_settings_are_the_closed_lists_of_cms() -> None:
    assert {"status=A", "global_days=YYY", "diagnostic_imaging_family=99"} <= settings()
    assert not any(setting.startswith(("betos=", "ccs=", "mue=")) for setting in settings())


def test_rows_with_a_line_end_do_not_pass_as_codes(clean: dict[str, pa.Table]) -> None:
    """In Python, $ matches before a final line end; in a code it must not."""
    codes = clean["codes"]
    tables = {
        **clean,
        "codes": codes.set_column(0, codes.schema.field(0), pc.binary_join_element_wise(codes["code"], "\n", "")),
    }
    checked = validate(tables, AS_OF, TRUST)
    assert checked.tables["codes"].num_rows == 0
