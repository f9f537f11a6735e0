"""`--at`, `snapshots diff`, and changes between any two snapshots of a real home."""

import datetime as dt
import json
import shutil
from itertools import permutations

import pyarrow as pa
import pytest

from flows.changes import between, compared_tables
from flows.differences import differences
from flows.restoring import restore
from tests.flows.pages import folder, page, run_inline, without_validation
from tests.flows.test_pipeline import upgrade
from warehouse import snapshots
from warehouse.apply import apply, content
from warehouse.expire import Plan, remove
from warehouse.history import BeforeTheFirst, Expired, in_force
from warehouse.tables import CHANGES, COMPARED

PAGES = (
    {"99213": page("99213", short="Synthetic A"), "99214": page("99214")},
    {"99213": page("99213", short="Synthetic B")},
    {"99213": page("99213", short="Synthetic C"), "99215": page("99215")},
)

EXPIRED_ONE = [
    "  not at all in the snapshots that are kept",
    "  1 snapshot has expired, and its single changes with it",
]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A home with three snapshots, of 1, 2 and 3 January, and a fourth that restored the first."""
    place = tmp_path_factory.mktemp("time")
    with pytest.MonkeyPatch.context() as patch:
        without_validation(patch)
        for number, pages in enumerate(PAGES, 1):
            assert run_inline(place / "home", folder(place / str(number), pages, day=f"2026-01-0{number}")).snapshot_id
        restore(place / "home", ids(place / "home")[0], "20260301T120000000000Z-3f9a")
    return place / "home"


@pytest.fixture
def home(made, tmp_path):
    return shutil.copytree(made, tmp_path / "home", symlinks=True)


def ids(home):
    return [manifest["snapshot_id"] for manifest in snapshots.list_snapshots(home)]


def short_of(out, code="99213"):
    return json.loads(out)["codes"][0]["short_descriptor"]


@pytest.mark.parametrize(
    ("at", "number"),
    [
        ("2026-01-01", 0),
        ("2026-01-02", 1),
        ("2026-01-02T05:59:59Z", 0),
        ("2026-01-02T06:00Z", 1),
        ("2026-01-02T06:00", 1),
        ("2026-01-02T07:30+02:00", 0),
        ("2026-01-03", 3),
        ("2030-01-01", 3),
    ],
)
def test_a_day_means_its_end_and_a_time_itself(made, cptflow, at, number):
    """The fourth snapshot took the place of the third: it holds from the same time."""
    status, out, _ = cptflow("query", "SELECT snapshot_id FROM snapshot", "--at", at, "--home", made, "--json")
    assert (status, json.loads(out)) == (0, [{"snapshot_id": ids(made)[number]}])


def test_show_tells_a_code_as_it_was_and_from_which_snapshot(made, cptflow):
    first, second, *_ = ids(made)
    status, out, _ = cptflow("show", "99213", "--at", "2026-01-02", "--home", made)
    assert status == 0
    assert f"99213 in {second}" in out
    assert "As it was at the end of 2026-01-02 (UTC)" in out
    assert "Synthetic A" in out
    assert "Synthetic C" not in out, "that came later"
    versions = out.split("code_versions\n")[1].splitlines()[0]
    assert versions.split()[:4] == ["version", "short_descriptor", "valid_from", "valid_to"]
    assert "code_versions" not in cptflow("show", "99214", "--at", "2026-01-02", "--home", made)[1], "it has one state"
    document = cptflow("show", "99213", "--at", "2026-01-01", "--home", made, "--json")[1]
    assert (json.loads(document)["snapshot_id"], short_of(document)) == (first, "Synthetic A")
    assert json.loads(document)["changes"] == []
    status, _, err = cptflow("show", "99215", "--at", "2026-01-02", "--home", made)
    assert status == 2
    assert f"99215 is in no table of snapshot {second}" in err


def test_before_the_first_snapshot_there_is_nothing_and_the_first_is_named(made, cptflow):
    status, _, err = cptflow("show", "99213", "--at", "2025-12-31", "--home", made)
    assert status == 2
    assert "At 2025-12-31 23:59 UTC there was no snapshot" in err
    assert f"The first one is {ids(made)[0]}, which holds from 2026-01-01 06:00 UTC on." in err
    with pytest.raises(BeforeTheFirst):
        in_force(made, dt.datetime(2026, 1, 1, 5, 59, tzinfo=dt.UTC))


def test_a_time_in_another_zone_is_told_in_utc(home, cptflow):
    _, err = cptflow("show", "99213", "--at", "2026-01-01T10:00+05:00", "--home", home)[1:]
    assert "At 2026-01-01 05:00 UTC there was no snapshot" in err
    second = ids(home)[1]
    remove(home, Plan(stays={}, goes=(second,)))
    _, err = cptflow("show", "99213", "--at", "2026-01-03T01:00+05:00", "--home", home)[1:]
    assert f"What held at 2026-01-02 20:00 UTC in {home}, snapshot {second}, has expired" in err


@pytest.mark.parametrize("at", ["yesterday", "2026-13-01", "2026-01-01T25:00Z", "01.02.2026", ""])
def test_what_is_no_date_is_told(made, cptflow, at):
    status, _, err = cptflow("query", "SELECT 1", "--at", at, "--home", made)
    assert status == 2
    assert "is no day and no time. Write it as 2026-01-31" in err


def test_an_expired_snapshot_is_not_answered_for_by_another(home, cptflow):
    first, second, third, fourth = ids(home)
    remove(home, Plan(stays={}, goes=(second, third)))
    status, _, err = cptflow("show", "99213", "--at", "2026-01-02", "--home", home)
    assert status == 2
    assert f"snapshot {second}, has expired" in err
    assert f"the last before it is {first} and the next is {fourth}" in err
    assert short_of(cptflow("show", "99213", "--at", "2026-01-01", "--home", home, "--json")[1]) == "Synthetic A"
    with pytest.raises(Expired) as told:
        in_force(home, dt.datetime(2026, 1, 2, 12, tzinfo=dt.UTC))
    assert (told.value.before, told.value.after) == (first, fourth)
    assert [m["number"] for m in snapshots.lineage(home)] == [1, 2, 3, 4]
    assert ids(home) == [first, fourth]


def test_code_versions_lose_the_states_of_expired_snapshots_with_the_next_one(home, tmp_path, monkeypatch):
    without_validation(monkeypatch)
    _, second, _, _ = ids(home)
    remove(home, Plan(stays={}, goes=(second,)))
    news = folder(tmp_path / "news", {"99214": page("99214", short="Synthetic N")}, day="2026-01-05")
    report = run_inline(home, news)
    rows = snapshots.read_table(home, report.snapshot_id, "code_versions").to_pylist()
    of_code = [(r["short_descriptor"], r["first_snapshot"], r["last_snapshot"]) for r in rows if r["code"] == "99213"]
    assert of_code == [
        ("Synthetic A", 1, 1),
        ("Synthetic C", 3, 3),
        ("Synthetic A", 4, 4),
        ("Synthetic C", 5, None),
    ]


def test_changes_between_any_two_snapshots_add_up(made):
    for before, after in permutations(ids(made), 2):
        old, new = compared_tables(made, before), compared_tables(made, after)
        rows = pa.Table.from_pylist([dict(row) for row in between(made, before, after)], schema=CHANGES.schema)
        assert all(apply(rows, old)[table.name].equals(content(table, new)) for table in COMPARED)


def test_the_changes_of_each_snapshot_lead_from_the_first_to_the_last(made):
    line = ids(made)
    tables = compared_tables(made, line[0])
    for snapshot_id in line[1:]:
        tables = apply(snapshots.read_table(made, snapshot_id, "changes"), tables)
        wanted = compared_tables(made, snapshot_id)
        assert all(tables[table.name].equals(content(table, wanted)) for table in COMPARED)


def test_the_history_of_a_code_and_its_versions_tell_the_same(made):
    for number, snapshot_id in enumerate(ids(made), 1):
        codes = snapshots.read_table(made, snapshot_id, "codes").to_pylist()
        versions = snapshots.read_table(made, ids(made)[-1], "code_versions").to_pylist()
        held = [r for r in versions if r["first_snapshot"] <= number <= (r["last_snapshot"] or number)]
        assert [(r["code"], r["short_descriptor"]) for r in held] == [(r["code"], r["short_descriptor"]) for r in codes]


def test_diff_counts_rows_columns_and_causes(made):
    first, second, third, fourth = ids(made)
    found = differences(made, second, third)
    assert found["tables"]["codes"] == {
        "before": 2, "after": 3, "added": 1, "removed": 0, "changed": 1, "columns": {"short_descriptor": 1},
    }  # fmt: skip
    assert found["tables"]["documents"] == {"before": 2, "after": 3}
    assert set(found["causes"]) == {"source"}
    assert found["made_with"] == {}
    assert differences(made, third, second)["tables"]["codes"]["removed"] == 1
    assert differences(made, first, third)["causes"] is None, "what lies between may have several causes"
    assert set(differences(made, third, fourth)["causes"]) == {"restore"}
    assert all(not table.get("changed") for table in differences(made, first, fourth)["tables"].values())


def test_diff_tells_what_snapshots_were_made_with(home, tmp_path, monkeypatch):
    without_validation(monkeypatch)
    versions = upgrade(monkeypatch)
    before = snapshots.current_id(home)
    news = folder(tmp_path / "news", {"99214": page("99214", short="Synthetic N")}, day="2026-01-05")
    report = run_inline(home, news, trust=("openpayer", "codingahead"))
    found = differences(home, before, report.snapshot_id)["made_with"]
    newer = versions["codingahead"]
    assert found == {
        "trust": [["codingahead", "openpayer", "genhealth"], ["openpayer", "codingahead"]],
        "parser codingahead": [newer - 1, newer],
    }


def test_the_command_diff_tells_both_and_leads_to_the_single_changes(made, cptflow):
    _, second, third, _ = ids(made)
    status, out, _ = cptflow("snapshots", "diff", second, third, "--home", made)
    assert status == 0
    assert f"From {second} to {third}:" in out
    assert "By cause: source " in out
    assert out.endswith(f"Each single change: cptflow changes {second} {third} --home {made}\n")
    document = json.loads(cptflow("snapshots", "diff", second, third, "--home", made, "--json")[1])
    assert document == differences(made, second, third)
    status, _, err = cptflow("snapshots", "diff", second, "20990101T000000Z-00000000", "--home", made)
    assert status == 2
    assert "There is no snapshot '20990101T000000Z-00000000'" in err


def test_changes_since_a_day_are_those_of_the_snapshots_that_hold_from_then_on(made, cptflow):
    """A restored snapshot is as of an older day, and yet what changed with it changed then."""
    document = json.loads(cptflow("changes", "--since", "2026-01-03", "--home", made, "--json")[1])
    assert {change["cause"] for change in document} == {"source", "restore"}
    assert len(document) == sum(m["files"]["changes"]["rows"] for m in snapshots.list_snapshots(made)[2:])


def test_show_tells_how_many_snapshots_have_expired_with_their_single_changes(home, cptflow):
    first, second, third, fourth = ids(home)

    def told(*words):
        return cptflow("show", *words, "--home", home)[1].split("How it changed:\n")[1]

    def document(*words):
        return json.loads(cptflow("show", *words, "--home", home, "--json")[1])

    assert told("99213", "--at", "2026-01-01") == "  not at all since the first snapshot\n"
    assert "expired" not in told("99213")
    remove(home, Plan(stays={}, goes=(first,)))
    assert "expired" not in told("99213"), "nothing had changed with the first"
    assert document("99213")["expired_snapshots"] == 0
    remove(home, Plan(stays={}, goes=(second,)))
    assert told("99213").endswith("  1 snapshot has expired, and its single changes with it\n")
    assert "Synthetic C" in told("99213")
    assert told("99214", "--at", "2026-01-03T06:00Z").splitlines() == EXPIRED_ONE
    remove(home, Plan(stays={}, goes=(third,)))
    assert told("99214").splitlines() == [
        EXPIRED_ONE[0],
        "  2 snapshots have expired, and their single changes with them",
    ]
    assert {change["snapshot_id"] for change in document("99213")["changes"]} == {fourth}
    assert document("99213")["expired_snapshots"] == 2


def test_changes_since_a_day_tell_how_many_snapshots_have_expired_since(home, cptflow):
    first, second, third, _ = ids(home)
    assert "expired" not in "".join(cptflow("changes", "--since", "2026-01-01", "--home", home)[1:])
    remove(home, Plan(stays={}, goes=(first, second, third)))
    two = "  2 snapshots have expired, and their single changes with them\n"
    one = "  1 snapshot has expired, and its single changes with it\n"
    assert cptflow("changes", "--since", "2026-01-02", "--home", home)[1].endswith(two)
    assert cptflow("changes", "--since", "2026-01-03", "--home", home)[1].endswith(one)
    assert "expired" not in cptflow("changes", "--home", home)[1]
    nothing = cptflow("changes", "--since", "2026-01-03", "--code", "99300", "--home", home)[1]
    assert nothing.splitlines()[1] == "  nothing in the snapshots that are kept"
    _, out, err = cptflow("changes", "--since", "2026-01-03", "--home", home, "--json")
    assert {change["cause"] for change in json.loads(out)} == {"restore"}
    assert err == f"Changes since 2026-01-03: {one.strip()}\n", "the document has rows only"


def test_the_list_of_snapshots_tells_what_was_restored(made, cptflow):
    first, *_, last = ids(made)
    listed = json.loads(cptflow("snapshots", "--home", made, "--json")[1])
    assert [one["restored"] for one in listed] == [first, None, None, None]
    assert f"restored from    {first}" in cptflow("snapshots", "show", last, "--home", made)[1]
    assert cptflow("snapshots", "--home", made)[1].count(first) == 2
