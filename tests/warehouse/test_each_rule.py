"""Every rule catches something and lets something pass: two planted faults for each (issue 4, point 1).

The rules are taken from their declaration, so that a new one without both is red here; those of bands: test_bands.py.
"""

from __future__ import annotations

import itertools
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from tests.warehouse.faults import AS_OF, Fault, faults, faults_of_keys, faults_of_our_tables, planted_alone
from tests.warehouse.invented import TRUST, assembled, day, everything, page
from warehouse.compare import compare
from warehouse.expectations import _stop_of_rows, validate, validate_run_tables
from warehouse.frames import frame
from warehouse.gx import Broken, Rule, open_batches, run_suite
from warehouse.publishing import draft
from warehouse.rules import NONE, ORPHANS, RowRule, row_rules, table_rules
from warehouse.tables import SEVERITIES, TABLES, Table
from warehouse.versions import Standing, follow

CODES = 60
PARENT = "20260201T120000Z-0123abcd"
Tables = dict[str, pa.Table]
OF_ROWS = [(table, rule.name) for table in TABLES for rule in row_rules(table, AS_OF)]
OF_TABLES = [(table, rule) for table in TABLES for rule in table_rules(table, 1, CODES)]
# For each table rule, the rows that break it and those that just do not.
TABLE_FAULTS: dict[str, tuple[slice, slice]] = {
    "codes_found": (slice(0, 0), slice(0, 1)),
    "one_row": (slice(0, 0), slice(0, 1)),
    "every_code_open": (slice(2, None), slice(1, None)),  # the first state is over, the second goes on
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    """All tables of a second snapshot with 60 codes, the first of which has changed."""
    pages = [page(f"{n:05}", everything(n), unmapped=["Synthetic words"]) for n in range(CODES)]
    tables = assembled(tmp_path_factory.mktemp("home"), [(of, day(1)) for of in pages]).tables
    warning = {
        "table_name": "narratives", "row_key": "codingahead|00000|description|1", "rule": "list_lost",
        "message": "Synthetic words.", "severity": "warning",
    }  # fmt: skip
    tables["quarantine"] = pa.Table.from_pylist([warning], schema=tables["quarantine"].schema)
    rows = tables["codes"].to_pylist()
    old = {**tables, "codes": pa.Table.from_pylist([rows[0] | {"title": "Old"}, *rows[1:]], tables["codes"].schema)}
    versions = follow(None, old["codes"], Standing(1, day(1)), {1})
    made = draft(
        {
            **tables,
            "changes": compare(old, tables, PARENT),
            "code_versions": follow(versions, tables["codes"], Standing(2, day(2)), {1, 2}),
        },
        as_of=AS_OF, stands=Standing(2, day(2)), parent=PARENT, run_id="20260301T120000Z-3f9a", published_at=AS_OF,
        cptflow_version="0.1.0",
    )  # fmt: skip
    return dict(made.tables)


@pytest.fixture(scope="module")
def batches() -> Any:
    return open_batches()


@pytest.fixture(scope="module")
def planted(whole: Tables) -> list[Fault]:
    return [*faults(whole), *faults_of_our_tables(), *faults_of_keys()]


def broken(batches: Any, table: Table, rule: Rule, tables: Tables) -> list[Broken]:
    return run_suite(batches, table.name, frame(table, tables[table.name], tables, AS_OF), [rule])


@pytest.fixture(scope="module")
def caught(whole: Tables, planted: list[Fault], batches: Any) -> list[tuple[Fault, list[int], list[int]]]:
    """Each fault with the rows of its table that its rule catches where it stands alone: of what breaks the rule, and
    of what just does not.

    A suite costs the same for one row as for thousands, so a table's frames go through one together, one below the
    other: its rules look at each row by itself, but for those of what must be unique.
    """
    found = []
    for table in TABLES:
        rules = row_rules(table, AS_OF)
        unique = {rule.name: rule for rule in rules if rule.expectation.endswith("Unique")}
        own = [fault for fault in planted if fault.table is table]
        found += [
            (fault, *(_rows(broken(batches, table, unique[fault.rule], tables)) for tables in _planted(whole, fault)))
            for fault in own
            if fault.rule in unique
        ]
        by_row = [fault for fault in own if fault.rule not in unique]
        frames = [frame(table, tables[table.name], tables, AS_OF) for one in by_row for tables in _planted(whole, one)]
        starts = [*itertools.accumulate((len(one) for one in frames), initial=0)]
        stacked = pd.concat(frames, ignore_index=True)
        others = [rule for rule in rules if rule.name not in unique]
        rows = {one.rule.name: one.rows for one in run_suite(batches, table.name, stacked, others)}
        for place, fault in enumerate(by_row):
            bad, good = (
                [row - start for row in rows.get(fault.rule, []) if start <= row < end]
                for start, end in itertools.pairwise(starts[2 * place : 2 * place + 3])
            )
            found.append((fault, bad, good))
    return found


def _planted(whole: Tables, fault: Fault) -> list[Tables]:
    return [planted_alone(whole, fault, which) for which in ("bad", "good")]


def _rows(found: list[Broken]) -> list[int]:
    return [row for one in found for row in one.rows]


@pytest.mark.parametrize(("table", "name"), OF_ROWS, ids=[f"{table.name}.{name}" for table, name in OF_ROWS])
def test_a_row_rule_catches_a_fault_and_lets_pass_what_is_just_inside(
    caught: list[tuple[Fault, list[int], list[int]]], table: Table, name: str
) -> None:
    (rule,) = (rule for rule in row_rules(table, AS_OF) if rule.name == name)
    own = [one for one in caught if (one[0].table, one[0].rule) == (table, name)]
    assert own, f"no fault is planted for {table.name}.{name}: see faults.py"
    assert rule.severity in SEVERITIES
    for fault, bad, good in own:
        assert fault.row in bad, fault
        if not fault.added:
            assert len(bad) <= 2  # both of two open states, of two that overlap
        assert good == [], fault


@pytest.mark.parametrize(("table", "rule"), OF_TABLES, ids=[rule.name for _, rule in OF_TABLES])
def test_a_table_rule_catches_a_fault_and_lets_pass_what_is_just_inside(
    whole: Tables, batches: Any, table: Table, rule: Rule
) -> None:
    assert rule.name in TABLE_FAULTS, f"no fault is planted for {table.name}.{rule.name}"
    rows = whole[table.name]
    bad, good = (rows[some] for some in TABLE_FAULTS[rule.name])
    assert [one.rule for one in broken(batches, table, rule, {**whole, table.name: bad})] == [rule]
    assert broken(batches, table, rule, {**whole, table.name: good}) == []


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_table_of_another_shape_stops(whole: Tables, table: Table) -> None:
    check = validate_run_tables if table.kind == "run" else lambda tables, as_of: validate(tables, as_of, TRUST)
    lost = {**whole, table.name: whole[table.name].drop_columns(table.names[-1])}
    (stop,) = check(lost, AS_OF).stopped
    assert (stop.rule, stop.table, stop.observed, stop.limit) == ("schema", table.name, 1, 0)
    assert f"{table.names[-1]} is missing" in stop.message


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_table_and_every_column_has_a_rule(table: Table) -> None:
    """Beside its key: a rule that a column is part of the key of says nothing of the column."""
    rules = row_rules(table, AS_OF)
    assert {column for rule in rules if rule.name != "key_unique" for column in rule.columns} >= set(table.names)
    assert "key_unique" in {rule.name for rule in rules}


def test_each_rule_has_a_limit_of_its_kind() -> None:
    """Rules with limits of their own, by name; all others have the usual one of their severity and table."""
    rules = [rule for table in TABLES for rule in row_rules(table, AS_OF)]
    assert {rule.name: rule.limit for rule in rules if rule.limit} == {
        "document_known": ORPHANS,
        "code_known": ORPHANS,
        "deleted_has_evidence": NONE,
    }
    assert {rule.severity for rule in rules} == set(SEVERITIES)
    ours = {table.name for table in TABLES if table.kind == "run"} | {"quarantine"}
    for rule in rules:
        if rule.severity != "critical":
            assert rule.allowed(10**6) is None
        elif rule.table in ours:
            assert rule.allowed(10**6) == 0


def test_each_rule_stops_at_one_row_more_than_its_limit(whole: Tables) -> None:
    for table in TABLES:
        rows = pa.concat_tables([whole[table.name]] * (2000 // whole[table.name].num_rows + 1))
        for rule in row_rules(table, AS_OF):
            allowed = rule.allowed(rows.num_rows)
            if allowed is None:
                assert _stop_of_rows(table, rule, Broken(rule, [*range(rows.num_rows)], 0), rows) is None
                continue
            assert _stop_of_rows(table, rule, Broken(rule, [*range(allowed)], 0), rows) is None
            stop = _stop_of_rows(table, rule, Broken(rule, [*range(allowed + 1)], 0), rows)
            assert stop is not None
            assert (stop.rule, stop.table, stop.observed, stop.limit) == (rule.name, table.name, allowed + 1, allowed)
            assert rule.message in stop.message


def test_rows_of_pages_that_are_held_back_may_be_many_and_yet_not_all() -> None:
    assert [ORPHANS.of(rows) for rows in (1, 500, 1000, 2000, 20_000, 100_000)] == [200, 250, 500, 1000, 1000, 5000]


def test_law_3_one_code_that_is_deleted_without_evidence_stops(whole: Tables, planted: list[Fault]) -> None:
    fault = next(fault for fault in planted if fault.rule == "deleted_has_evidence")
    made = {name: rows for name, rows in whole.items() if name not in ("changes", "code_versions", "snapshot")}
    checked = validate(planted_alone(made, fault, "bad"), AS_OF, TRUST)
    (stop,) = checked.stopped
    assert (stop.rule, stop.table, stop.observed, stop.limit) == ("deleted_has_evidence", "codes", 1, 0)
    assert checked.tables["codes"].num_rows == CODES  # nobody is held back for it: nothing is published
    (told,) = (row for row in checked.tables["quarantine"].to_pylist() if row["rule"] == stop.rule)
    assert (told["severity"], told["column_name"], told["value"]) == ("critical", "status", "deleted")


EVIDENCE: list[tuple[str, dict[str, Any], bool]] = [
    ("attributes", {"attribute": "deletion_notice"}, True),
    ("attributes", {"attribute": "page_gone"}, True),
    ("attributes", {"attribute": "payer"}, False),
    ("history_events", {"action": "deleted", "event_on": AS_OF.date()}, True),
    ("history_events", {"action": "deleted", "event_on": AS_OF.date().replace(year=2027)}, False),
    ("history_events", {"action": "changed"}, False),
]


@pytest.mark.parametrize(("name", "values", "evident"), EVIDENCE)
def test_law_3_what_is_evidence_of_a_deletion(
    whole: Tables, batches: Any, name: str, values: dict[str, Any], evident: bool
) -> None:
    (codes,) = (table for table in TABLES if table.name == "codes")
    (rule,) = (rule for rule in row_rules(codes, AS_OF) if rule.name == "deleted_has_evidence")
    rows = whole["codes"].to_pylist()
    rows[0] |= {"status": "deleted", "deleted_on": None}
    told = whole[name].to_pylist()
    told[0] |= values
    tables = {**whole, "codes": pa.Table.from_pylist(rows, whole["codes"].schema)}
    tables[name] = pa.Table.from_pylist(told, whole[name].schema)
    assert (broken(batches, codes, rule, tables) == []) == evident


def test_what_tells_no_more_than_it_says_is_info_and_stays(whole: Tables, planted: list[Fault]) -> None:
    fault = next(fault for fault in planted if fault.rule == "replacement_known")
    made = {name: rows for name, rows in whole.items() if name not in ("changes", "code_versions", "snapshot")}
    checked = validate(planted_alone(made, fault, "bad"), AS_OF, TRUST)
    told = [row for row in checked.tables["quarantine"].to_pylist() if row["rule"] == fault.rule]
    assert [(row["severity"], row["value"]) for row in told] == [("info", "99999")]
    assert checked.tables["related_codes"].num_rows == whole["related_codes"].num_rows
    assert checked.stopped == []


def test_suites_name_each_rule_once(whole: Tables) -> None:
    made = {name: rows for name, rows in whole.items() if name not in ("changes", "code_versions", "snapshot")}
    suites = [*validate(made, AS_OF, TRUST).suites, *validate_run_tables(whole, AS_OF).suites]
    by_table = {suite["table"]: [rule["rule"] for rule in suite["rules"]] for suite in suites}
    for table in TABLES:
        declared: list[RowRule | Rule] = [*row_rules(table, AS_OF), *table_rules(table, 1, CODES)]
        assert sorted(by_table[table.name]) == sorted(["schema", *(rule.name for rule in declared)])
