"""What a snapshot owes its parent: two planted shifts for each band, one that it catches and one just inside."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pydantic import ValidationError

from parsers.records import Descriptor
from tests.warehouse.invented import assembled, day, everything, page
from warehouse.bands import Judged, band_rules, within_bands
from warehouse.compare import compare, no_changes
from warehouse.limits import BANDS, Bands, all_to_accept, as_options, is_rule_name, rule_names
from warehouse.tables import CHANGES, FACTS

PARENT = "20260201T120000Z-0123abcd"
CODES = 200
# 1 % of 200 codes is 2, and 25 would be an eighth of them.
LIMITS = Bands(fewest_changed=1)
Tables = dict[str, pa.Table]


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    """200 codes of one source, and 99 of another."""
    pages = [page(f"{n:05}", everything(n)) for n in range(CODES)]
    pages += [page(f"{n:05}", [Descriptor("short", "Synthetic")], source="openpayer") for n in range(99)]
    return assembled(tmp_path_factory.mktemp("home"), [(of, day(1)) for of in pages]).tables


def judged(
    parent: Mapping[str, pa.Table],
    child: Mapping[str, pa.Table],
    changes: pa.Table | None = None,
    limits: Bands = LIMITS,
    accept: Sequence[str] = (),
) -> Judged:
    def read(name: str, columns: Sequence[str]) -> pa.Table:
        return parent[name].select([column for column in columns if column in parent[name].column_names])

    return within_bands(PARENT, read, child, no_changes() if changes is None else changes, limits, accept)


def without(tables: Tables, name: str, rows: int) -> Tables:
    """``tables`` without the first ``rows`` of one source in a table."""
    mine = pc.equal(tables[name]["source"], "codingahead")
    kept = pa.concat_tables([tables[name].filter(mine).slice(rows), tables[name].filter(pc.invert(mine))])
    return {**tables, name: kept}


def with_values(tables: Tables, name: str, column: str, was: str, becomes: str | None, rows: int) -> Tables:
    """``tables`` with another value in the first ``rows`` that have this one."""
    values = tables[name][column].to_pylist()
    places = [place for place, value in enumerate(values) if value == was][:rows]
    assert len(places) == rows
    for place in places:
        values[place] = becomes
    changed = pa.chunked_array([pa.array(values, tables[name].schema.field(column).type)])
    return {**tables, name: tables[name].set_column(tables[name].column_names.index(column), column, changed)}


def with_codes(tables: Tables, more: int) -> Tables:
    """``tables`` with pages of ``more`` codes (fewer, where it is negative) of one source, of the same kind."""
    mine = tables["documents"].filter(pc.equal(tables["documents"]["source"], "codingahead"))
    if more < 0:
        return without(tables, "documents", -more)
    fresh = mine.slice(0, more)
    names = pc.binary_join_element_wise("9", pc.utf8_slice_codeunits(fresh["code"], 1, 5), "")
    fresh = fresh.set_column(fresh.column_names.index("code"), "code", names)
    return {**tables, "documents": pa.concat_tables([tables["documents"], fresh.cast(mine.schema)])}


def change(code: str, **values: Any) -> dict[str, Any]:
    told = {
        "event_id": "0" * 32, "change_type": "narrative_changed", "cause": "source", "source": "codingahead",
        "code": code, "table_name": "narratives", "row_key": "key", "parent_snapshot_id": PARENT,
    }  # fmt: skip
    return told | values


def changed(codes: int, cause: str = "source") -> pa.Table:
    """``changes`` in which a source changed so many of its codes, each twice."""
    rows = [change(f"{n:05}", cause=cause) for n in range(codes) for _ in range(2)]
    return pa.Table.from_pylist(rows, schema=CHANGES.schema)


def added(codes: int) -> pa.Table:
    return pa.Table.from_pylist([change(f"9{n:04}") for n in range(codes)], schema=CHANGES.schema)


def deleted(codes: int, *, told: bool = True) -> pa.Table:
    """``told``: by a row of the source; else their day has come."""
    ended = {"change_type": "code_deleted", "source": None, "table_name": "codes"}
    rows = [change(f"{n:05}", **ended) for n in range(codes)]
    rows += [change(f"{n:05}", table_name="history_events") for n in range(codes) if told]
    return pa.Table.from_pylist(rows, schema=CHANGES.schema)


Shift = Callable[[Tables], tuple[Tables, pa.Table | None]]


def tables_of(make: Callable[..., Tables], *given: Any) -> Shift:
    return lambda tables: (make(tables, *given), None)


def changes_of(changes: pa.Table) -> Shift:
    return lambda tables: (tables, changes)


# 800 indicators, a quarter of them without words; 400 events, half of them additions; 600 descriptors.
nulls = partial(tables_of, with_values, "indicators", "value_text", "Active Code", None)
events = partial(tables_of, with_values, "history_events", "action", "added", "other")
PLANTS: dict[str, tuple[str, Shift, Shift]] = {
    "rows": ("rows:codingahead", tables_of(without, "modifiers", 121), tables_of(without, "modifiers", 120)),
    "rows_narrow": ("rows:codingahead", tables_of(without, "modifiers", 41), tables_of(without, "modifiers", 40)),
    "nulls": ("nulls:codingahead", nulls(161), nulls(160)),
    "nulls_narrow": ("nulls:codingahead", nulls(41), nulls(40)),
    "mix": ("mix:codingahead", events(81), events(80)),
    "mix_narrow": ("mix:codingahead", events(21), events(20)),
    "codes": ("codes:codingahead", tables_of(with_codes, -5), tables_of(with_codes, -4)),
    "added": ("mass_change:codingahead", changes_of(added(21)), changes_of(added(20))),
    "deleted": ("mass_change:codingahead", changes_of(deleted(11)), changes_of(deleted(10))),
    "changed": ("mass_change:codingahead", changes_of(changed(51)), changes_of(changed(50))),
}


def told(found: Judged, name: str) -> dict[str, Any]:
    (entry,) = (rule for rule in found.suite["rules"] if rule["rule"] == name)
    return dict(entry)


def test_each_band_has_its_plants() -> None:
    assert {rule.name for rule in band_rules(LIMITS)} == set(PLANTS)


@pytest.mark.parametrize("rule", band_rules(LIMITS), ids=lambda rule: rule.name)
def test_a_band_catches_a_shift_and_lets_pass_what_is_just_inside(parent: Tables, rule: Any) -> None:
    name, bad, good = PLANTS[rule.name]
    outside, inside = (judged(parent, *shift(parent)) for shift in (bad, good))
    entry = told(outside, name)
    assert (entry["severity"], entry["success"], entry["broken_rows"] >= 1) == (rule.severity, False, True)
    assert not outside.suite["success"]
    assert [stop.accept for stop in outside.stopped] == ([name] if rule.severity == "critical" else [])
    for stop in outside.stopped:
        assert (stop.rule, stop.table) == (name, BANDS)
        assert entry["message"].partition(": ")[2] in stop.message
        assert f"let it pass as {name}." in stop.message
        assert "--accept" not in stop.message, "which command helps depends on all the stops of a run"
        assert PARENT in stop.message
    assert inside.stopped == []
    passed = told(inside, name)
    assert passed["success"] or (rule.severity, passed["severity"]) == ("critical", "warning")


@pytest.mark.parametrize(("more", "name"), [(51, "codes:codingahead"), (50, None)])
def test_codes_may_come_up_to_a_share(parent: Tables, more: int, name: str | None) -> None:
    # More codes with the rows of as many as before would be fewer rows for each.
    stops = judged(parent, with_codes(parent, more)).stopped
    assert {stop.accept for stop in stops} - {"rows:codingahead"} == ({name} if name else set())


def test_the_message_tells_what_was_measured_on_what_found_and_allowed(parent: Tables) -> None:
    (stop,) = judged(parent, *PLANTS["rows"][1](parent)).stopped
    assert "codingahead: rows of modifiers: 279 found, 400 before; 280 to 520 are within the band" in stop.message
    assert (stop.observed, stop.limit) == (279, 280)
    (stop,) = judged(parent, *PLANTS["nulls"][1](parent)).stopped
    assert "indicators.value_text is null: 45.1% found, 25.0% before; 0.0% to 45.0%" in stop.message
    (stop,) = judged(parent, *PLANTS["changed"][1](parent)).stopped
    assert "codes changed: 51 of 200 at once (25.5%); up to 25.0% are within the band" in stop.message
    assert (stop.observed, stop.limit) == (0.255, 0.25)


def test_what_a_person_lets_pass_is_told_with_what_was_found(parent: Tables) -> None:
    child, changes = PLANTS["changed"][1](parent)
    child = without(child, "modifiers", 400)
    both = judged(parent, child, changes)
    assert [stop.accept for stop in both.stopped] == ["rows:codingahead", "mass_change:codingahead"]
    one = judged(parent, child, changes, accept=["mass_change:codingahead", "mix:codingahead"])
    assert [stop.accept for stop in one.stopped] == ["rows:codingahead"]
    message = "codingahead: codes changed: 51 of 200 at once (25.5%); up to 25.0% are within the band"
    assert one.accepted == ({"rule": "mass_change", "source": "codingahead", "found": message},)
    entry = told(one, "mass_change:codingahead")
    assert (entry["accepted"], entry["success"]) == (True, False)


def test_one_name_stands_for_all_tables_and_columns_of_a_source(parent: Tables) -> None:
    child = parent
    for table in FACTS:
        child = without(child, table.name, 10**6)
    (stop,) = judged(parent, child).stopped
    assert stop.accept == "rows:codingahead"
    assert "and 5 more" in stop.message
    assert told(judged(parent, child), stop.accept)["broken_rows"] == len(FACTS)


def test_nothing_is_measured_of_a_source_with_few_codes(parent: Tables) -> None:
    """99 of openpayer, and 100 are the fewest."""
    names = {rule["rule"] for rule in judged(parent, parent).suite["rules"]}
    assert {name.partition(":")[2] for name in names} == {"codingahead", "all"}
    few = judged(parent, parent, limits=Bands(fewest=99))
    assert {rule["source"] for rule in few.suite["rules"]} == {"codingahead", "openpayer", "all"}
    none = judged(parent, parent, limits=Bands(fewest=201))
    assert (none.suite["rules"], none.suite["rows"], none.suite["success"]) == ([], 0, True)


def test_what_a_person_lets_pass_is_recorded_whole(parent: Tables) -> None:
    """Every measure that the name stands for, not only the one that is furthest out."""
    child = without(without(parent, "modifiers", 300), "history_events", 200)
    (one,) = judged(parent, child, accept=["rows:codingahead"]).accepted
    assert "codingahead: rows of modifiers: 100 found" in one["found"]
    assert "; rows of history_events: 200 found" in one["found"]


def test_a_mass_change_names_codes(parent: Tables) -> None:
    changes = pa.concat_tables([changed(51), added(3)])
    (stop,) = judged(parent, parent, changes).stopped
    assert "25.0% are within the band (00000, 00001, 00002 and 48 more)." in stop.message
    assert "90000" not in stop.message, "what is inside its band is no reason"
    shown = {one.kind: (one.number, one.codes) for one in stop.codes}
    assert shown == {
        "changed": (51, tuple(f"{n:05}" for n in range(20))),
        "added": (3, ("90000", "90001", "90002")),
    }
    (stop,) = judged(parent, *PLANTS["rows"][1](parent)).stopped
    assert stop.codes == ()


@pytest.mark.parametrize(
    ("table", "row_key"),
    [
        ("history_events", "codingahead|{code}|2026-01-01|deleted|1"),
        ("attributes", "codingahead|{code}|deletion_notice|1"),
        ("attributes", "codingahead|{code}|page_gone|1"),
    ],
)
def test_a_code_is_deleted_by_the_source_that_says_so(parent: Tables, table: str, row_key: str) -> None:
    """And not by another that gives it another descriptor in the same run, or another event."""
    rows = []
    for code in (f"{n:05}" for n in range(11)):
        said = change(code, table_name=table, row_key=row_key.format(code=code), after="{}")
        gave = change(code, source="openpayer", table_name="descriptors", row_key=f"openpayer|{code}|short", after="{}")
        event = change(
            code, source="openpayer", table_name="history_events", after="{}",
            row_key=f"openpayer|{code}|2026-01-01|changed|1",
        )  # fmt: skip
        rows += [change(code, change_type="code_deleted", source=None, table_name="codes"), said, gave, event]
    changes = pa.Table.from_pylist(rows, schema=CHANGES.schema)
    (stop,) = judged(parent, parent, changes, Bands(fewest=99, fewest_changed=1)).stopped
    assert stop.accept == "mass_change:codingahead"
    assert [(one.kind, one.number) for one in stop.codes] == [("deleted", 11)]


def test_so_few_codes_are_no_mass(parent: Tables) -> None:
    assert judged(parent, parent, deleted(24), limits=Bands()).stopped == []
    assert [stop.accept for stop in judged(parent, parent, deleted(25), limits=Bands()).stopped] == [
        "mass_change:codingahead"
    ]
    assert "codes:codingahead" not in {s.rule for s in judged(parent, with_codes(parent, -24), limits=Bands()).stopped}
    assert "codes:codingahead" in {s.rule for s in judged(parent, with_codes(parent, -25), limits=Bands()).stopped}


@pytest.mark.parametrize("cause", ["parser", "schema", "restore"])
def test_law_7_a_mass_change_is_the_sources_own(parent: Tables, cause: str) -> None:
    assert judged(parent, parent, changed(CODES, cause)).stopped == []


def test_deletions_whose_day_has_come_are_of_all_sources(parent: Tables) -> None:
    (stop,) = judged(parent, parent, deleted(11, told=False)).stopped
    assert stop.accept == "mass_change:all"
    assert judged(parent, parent, deleted(10, told=False)).stopped == []


def test_rows_are_held_against_the_codes_that_there_are(parent: Tables) -> None:
    """A site that has half of the codes has half of the rows: one band says so, not all of them."""
    gone = {f"{n:05}" for n in range(100)}
    child = dict(parent)
    for name in ("documents", *(table.name for table in FACTS)):
        mine = pc.and_(
            pc.is_in(parent[name]["code"], value_set=pa.array(sorted(gone))),
            pc.equal(parent[name]["source"], "codingahead"),
        )
        child[name] = parent[name].filter(pc.invert(mine))
    assert [stop.accept for stop in judged(parent, child).stopped] == ["codes:codingahead"]


def with_source(tables: Tables, source: str, codes: int) -> Tables:
    """``tables`` with pages of so many codes, which no other source has."""
    names = pa.array([f"8{n:04}" for n in range(codes)])
    made = dict(tables)
    for name in ("documents", "codes"):
        rows = tables[name].slice(0, codes)
        for column, values in (("code", names), ("source", pa.array([source] * codes))):
            if column in rows.column_names:
                rows = rows.set_column(rows.column_names.index(column), rows.schema.field(column), values)
        made[name] = pa.concat_tables([tables[name], rows])
    return made


@pytest.mark.parametrize(("source", "codes"), [("genhealth", 1), ("genhealth", 90), ("openpayer", 90)])
def test_the_shared_table_is_not_held_against_one_without_a_source(parent: Tables, source: str, codes: int) -> None:
    """A source that comes in brings codes, and fills columns of `codes`; there is nothing wrong with that, however many
    it has. (openpayer has 99, too few to be measured.)"""
    assert {"codes:all", "nulls:all"} <= {rule["rule"] for rule in judged(parent, parent).suite["rules"]}
    found = judged(parent, with_source(parent, source, codes))
    assert found.stopped == []
    assert {rule["rule"] for rule in found.suite["rules"] if rule["source"] == "all"} == {"mass_change:all"}


def test_what_a_small_source_loses_the_shared_table_tells(parent: Tables) -> None:
    before = with_source(parent, "genhealth", 90)
    documents = before["documents"].filter(pc.not_equal(before["documents"]["source"], "genhealth"))
    for left in (documents, pa.concat_tables([documents, before["documents"].slice(before["documents"].num_rows - 9)])):
        after = {**before, "documents": left, "codes": parent["codes"]}
        assert [stop.accept for stop in judged(before, after).stopped] == ["codes:all"]


def test_a_source_that_falls_under_the_fewest_is_still_measured(parent: Tables) -> None:
    """200 codes and then 199: it has no fewer nulls than before for that."""
    child, _ = nulls(161)(with_codes(parent, -1))
    stops = judged(parent, child, limits=Bands(fewest=200)).stopped
    assert [stop.accept for stop in stops] == ["nulls:codingahead"]
    fewer = without(child, "modifiers", 390)
    assert "rows:codingahead" in {stop.accept for stop in judged(parent, fewer, limits=Bands(fewest=200)).stopped}


def test_where_a_sources_codes_come_in_masses_the_source_says_so_and_not_the_shared_table_too(parent: Tables) -> None:
    large = Bands(fewest=99, fewest_changed=1)
    assert "nulls:all" in {rule["rule"] for rule in judged(parent, with_codes(parent, 50), limits=large).suite["rules"]}
    found = judged(parent, with_codes(parent, 51), limits=large)
    assert "all" not in {rule["source"] for rule in found.suite["rules"] if rule["rule"] != "mass_change:all"}


def test_law_10_what_a_page_says_reaches_no_terminal_as_it_is(parent: Tables) -> None:
    hostile = with_values(parent, "codes", "status_code", "A", "\x1b[31m" + "x" * 4000, 41)
    (stop,) = judged(parent, hostile).stopped
    assert (stop.accept, "\x1b" in stop.message, "\\x1b[31mxxx" in stop.message) == ("mix:all", False, True)
    assert len(stop.message) < 1000


def test_a_parent_that_lacks_a_table_or_a_column_is_measured_as_far_as_it_goes(parent: Tables) -> None:
    older = {**parent, "indicators": parent["indicators"].drop_columns("value_text")}
    found = judged(older, parent)
    assert found.stopped == []
    assert "indicators.value_text is null" not in {rule["what"] for rule in found.suite["rules"]}


def test_a_column_that_fills_up_is_told_and_stops_nothing(parent: Tables) -> None:
    empty = with_values(parent, "indicators", "value_text", "Active Code", None, 200)
    assert [stop.accept for stop in judged(parent, empty).stopped] == ["nulls:codingahead"]
    found = judged(empty, parent)
    assert found.stopped == []
    entry = told(found, "nulls:codingahead")
    assert (entry["severity"], entry["success"], entry["value"], entry["before"]) == ("warning", False, 0.25, 0.5)
    assert "25.0% found, 50.0% before; 45.0% to 55.0%" in entry["message"]


def test_a_source_that_is_gone_stops(parent: Tables) -> None:
    child = without(parent, "documents", 10**6)
    stops = {stop.accept: stop for stop in judged(parent, child, limits=Bands()).stopped}
    assert "codes: 0 found, 200 before" in stops["codes:codingahead"].message


def test_the_same_tables_are_within_all_bands(parent: Tables) -> None:
    found = judged(parent, parent)
    assert found.suite["success"]
    assert found.suite["rows"] == sum(rule["measures"] for rule in found.suite["rules"])
    assert all(rule["low"] is None or rule["low"] <= rule["value"] for rule in found.suite["rules"])
    assert all(rule["value"] <= rule["high"] for rule in found.suite["rules"])


def test_the_names_that_can_be_let_pass_are_those_that_stop() -> None:
    known = set(rule_names(["codingahead"]))
    assert {plant[0] for plant in PLANTS.values()} <= known
    assert "mass_change:all" in known
    assert "rows:all" not in known
    assert all(map(is_rule_name, known))
    assert is_rule_name("codes:oldsite")  # no longer registered, and still in a snapshot
    wrong = [
        "rows:all",
        "rows:",
        "rows",
        "rows:Old",
        "rows:codingahead:",
        "rows:old\n",
        "floor:codingahead",
        "keys:old",
    ]
    assert not any(map(is_rule_name, wrong))


def test_a_command_repeats_what_was_accepted_and_names_all_that_is_needed() -> None:
    stops = [{"accept": "codes:openpayer"}, {"accept": "mass_change:openpayer"}]
    rules = all_to_accept(["floor:openpayer", "codes:openpayer"], stops)
    assert rules == ["floor:openpayer", "codes:openpayer", "mass_change:openpayer"]
    assert as_options(rules[:2]) == ["--accept", "floor:openpayer", "--accept", "codes:openpayer"]
    assert all_to_accept(["floor:openpayer"], [*stops, {"accept": None}]) == []


def test_a_narrow_band_is_no_wider_than_the_wide_one() -> None:
    with pytest.raises(ValidationError, match="rows_warn must not be more than rows_stop"):
        Bands(rows_warn=0.4)


def test_real_changes_are_counted_by_code(tmp_path: Path) -> None:
    """As `compare` tells them: many rows of a code are one code."""
    pages = [page(f"{n:05}", everything(n)) for n in range(100)]
    news = [page(f"{n:05}", everything(n + 1)) for n in range(26)]
    old = assembled(tmp_path / "old", [(of, day(1)) for of in pages]).tables
    new = assembled(tmp_path / "new", [(of, day(1)) for of in pages] + [(of, day(2)) for of in news]).tables
    (stop,) = judged(old, new, compare(old, new, PARENT), Bands()).stopped
    assert "codes changed: 26 of 100 at once" in stop.message
