"""`snapshots restore`: an earlier snapshot published anew; what a later run makes of it is told with its cause."""

import json
import re
import shutil
import subprocess
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows import planning, publication, restoring
from flows.lock import hold
from flows.restoring import CannotRestore, restore
from tests.flows.pages import folder, page, run_inline, without_validation
from warehouse import snapshots
from warehouse.apply import apply, content
from warehouse.expectations import validate_run_tables
from warehouse.files import encode
from warehouse.snapshots import BrokenSnapshot, UnknownSnapshot
from warehouse.tables import COMPARED, TABLES

RUN_ID = "20260301T120000000000Z-3f9a"


@pytest.fixture(autouse=True)
def fast(monkeypatch, request):
    """Only the command itself runs with all its checks."""
    if "cptflow" not in request.fixturenames:
        without_validation(monkeypatch)


@pytest.fixture
def land(tmp_path):
    """Lands a page for each code with these short descriptors, a day later each time, and runs."""
    days = iter(range(1, 29))

    def land(**shorts):
        number = next(days)
        pages = {code.removeprefix("c"): page(code.removeprefix("c"), short=text) for code, text in shorts.items()}
        place = folder(tmp_path / f"pages{number}", pages, day=f"2026-01-{number:02}")
        report = run_inline(tmp_path / "home", place)
        assert report.status == "published"
        return report.snapshot_id

    return land


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


def changes_of(home, snapshot_id):
    """(cause, table, before, after) of each value that the snapshot tells as changed."""
    rows = snapshots.read_table(home, snapshot_id, "changes").to_pylist()
    return {(r["cause"], r["table_name"], r["before"], r["after"]) for r in rows}


def shorts(home, snapshot_id=None):
    rows = snapshots.read_table(home, snapshot_id or snapshots.current_id(home), "codes").to_pylist()
    return {row["code"]: row["short_descriptor"] for row in rows}


def adds_up(home):
    """Whether each kept snapshot is its parent's tables with its changes made to them."""
    for manifest in snapshots.list_snapshots(home)[1:]:
        before, after = (snapshots.read_tables(home, manifest[name]) for name in ("parent", "snapshot_id"))
        made = apply(after["changes"], before)
        assert all(made[table.name].equals(content(table, after)) for table in COMPARED)
    return True


def test_the_tables_are_published_anew_and_history_is_kept(home, land):
    first = land(c99213="A", c99214="X")
    second = land(c99213="B")
    done = restore(home, first, RUN_ID)

    assert (done.restored, done.replaced) == (first, second)
    assert snapshots.current_id(home) == done.snapshot_id not in (first, second)
    assert [m["snapshot_id"] for m in snapshots.list_snapshots(home)] == [first, second, done.snapshot_id]
    assert snapshots.verify(home, done.snapshot_id) == []
    for table in TABLES:
        if table.kind != "run":
            then, now = (snapshots.read_table(home, which, table.name) for which in (first, done.snapshot_id))
            assert encode(now).equals(encode(then)), "byte for byte"
    assert changes_of(home, done.snapshot_id) == {
        ("restore", "codes", "B", "A"),
        ("restore", "descriptors", "B", "A"),
    }
    assert adds_up(home)
    old, new = (snapshots.read_manifest(home, which) for which in (first, done.snapshot_id))
    assert new["restored"] == {"snapshot_id": first, "replaced": second}
    assert all(new[name] == old[name] for name in ("run_ids", "trust", "parsers", "as_of"))


def test_time_goes_on_and_the_states_in_between_stay_told(home, land):
    first = land(c99213="A")
    second = land(c99213="B")
    restore(home, first, RUN_ID)
    line = snapshots.lineage(home)
    assert [m["number"] for m in line] == [1, 2, 3]
    assert line[2]["valid_from"] == line[1]["valid_from"] > line[0]["valid_from"]
    rows = snapshots.read_table(home, line[2]["snapshot_id"], "code_versions").to_pylist()
    assert [(r["short_descriptor"], r["first_snapshot"], r["last_snapshot"]) for r in rows] == [
        ("A", 1, 1),
        ("B", 2, 2),
        ("A", 3, None),
    ]
    assert rows[1]["valid_from"] == rows[1]["valid_to"], "the source never took B back: it held at no time"
    assert second == line[1]["snapshot_id"]


@pytest.mark.parametrize("seen", ["kept", "lost"])
def test_law_5_it_holds_until_there_is_news(home, land, seen):
    first = land(c99213="A")
    land(c99213="B")
    done = restore(home, first, RUN_ID)
    if seen == "lost":
        (home / "runs/.seen.json").unlink()
    for _ in range(2):
        report = run_inline(home)
        assert (report.status, report.exit_status, report.snapshot_id) == ("nothing_new", 0, done.snapshot_id)
        if seen == "kept":
            assert [step.step for step in report.steps] == ["alerts"], "it was not even looked at"
    assert shorts(home) == {"99213": "A"}


def test_law_7_what_a_run_brings_back_is_not_told_as_the_sources_news(home, land):
    """The source told B long ago, and that it did was alerted then. Its only news is Y."""
    first = land(c99213="A", c99214="X")
    land(c99213="B")
    done = restore(home, first, RUN_ID)
    news = land(c99214="Y")
    assert snapshots.read_manifest(home, news)["parent"] == done.snapshot_id
    assert changes_of(home, news) == {
        ("restore", "codes", "A", "B"),
        ("restore", "descriptors", "A", "B"),
        ("source", "codes", "X", "Y"),
        ("source", "descriptors", "X", "Y"),
    }
    assert shorts(home) == {"99213": "B", "99214": "Y"}
    assert adds_up(home)


def test_law_7_news_of_what_was_undone_is_told_from_what_the_source_said_last(home, land):
    first = land(c99213="A")
    land(c99213="B")
    restore(home, first, RUN_ID)
    news = land(c99213="C")
    assert {row for row in changes_of(home, news) if row[1] == "codes"} == {
        ("restore", "codes", "A", "B"),
        ("source", "codes", "B", "C"),
    }
    assert adds_up(home)


def test_restoring_what_was_replaced_undoes_it_and_the_next_run_has_its_own_news_only(home, land):
    first = land(c99213="A", c99214="X")
    second = land(c99213="B")
    restore(home, first, RUN_ID)
    undone = restore(home, second, RUN_ID)
    assert shorts(home) == {"99213": "B", "99214": "X"}
    assert snapshots.read_manifest(home, undone.snapshot_id)["restored"]["replaced"] == second, "the last of a run"
    assert run_inline(home).status == "nothing_new"
    news = land(c99214="Y")
    assert {cause for cause, *_ in changes_of(home, news)} == {"source"}
    assert adds_up(home)


def test_law_7_with_a_new_cptflow_as_well_each_has_its_cause(home, land, monkeypatch):
    first = land(c99213="A", c99214="X")
    land(c99213="B")
    restore(home, first, RUN_ID)
    monkeypatch.setattr(publication, "version", lambda name: "99")
    news = land(c99214="Y")
    assert {(cause, after) for cause, _, _, after in changes_of(home, news)} == {("restore", "B"), ("source", "Y")}


def test_the_current_snapshot_and_one_with_the_same_rows_are_nothing_to_do(home, land):
    first = land(c99213="A")
    second = land(c99213="B")
    assert restore(home, second, RUN_ID).snapshot_id is None
    assert snapshots.current_id(home) == second
    done = restore(home, first, RUN_ID)
    assert restore(home, first, RUN_ID).snapshot_id is None
    assert snapshots.current_id(home) == done.snapshot_id


def test_law_4_a_damaged_or_unknown_snapshot_is_refused(home, land):
    first = land(c99213="A")
    second = land(c99213="B")
    file = home / "warehouse/snapshots" / first / "notices.parquet"
    whole = file.read_bytes()
    file.unlink()  # it may be linked to
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(BrokenSnapshot, match=r"notices\.parquet is not the file that was written"):
        restore(home, first, RUN_ID)
    with pytest.raises(UnknownSnapshot):
        restore(home, "20990101T000000Z-00000000", RUN_ID)
    assert snapshots.current_id(home) == second


def reshape(home, snapshot_id, table, change):
    """As if an older cptflow had written the table: its file and its digest."""
    place = home / "warehouse/snapshots" / snapshot_id
    rows = change(pq.read_table(place / f"{table}.parquet"))
    data = encode(rows)
    (place / f"{table}.parquet").unlink()
    (place / f"{table}.parquet").write_bytes(data)
    manifest = json.loads((place / "manifest.json").read_text())
    manifest["files"][table] |= {"sha256": snapshots.sha256(data), "bytes": data.size, "schema": "of old"}
    (place / "manifest.json").write_text(json.dumps(manifest))


def test_tables_of_an_older_schema_become_todays(home, land):
    first = land(c99213="A")
    land(c99213="B")
    reshape(home, first, "codes", lambda rows: rows.drop_columns("mue_code").append_column("gone", rows["code"]))
    done = restore(home, first, RUN_ID)
    codes = snapshots.read_table(home, done.snapshot_id, "codes")
    assert codes.schema.equals(next(t.schema for t in TABLES if t.name == "codes"), check_metadata=True)
    assert codes["mue_code"].null_count == 1
    assert shorts(home) == {"99213": "A"}
    assert adds_up(home)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda rows: rows.drop_columns("category"), "it has no codes.category, which is required today"),
        (
            lambda rows: rows.set_column(
                rows.column_names.index("added_on"), "added_on", pa.array(["long ago"] * rows.num_rows)
            ),
            "codes.added_on is date32.day. today, and its values are not",
        ),
    ],
    ids=["a required column is missing", "values of another type"],
)
def test_tables_that_cannot_become_todays_are_refused_in_words(home, land, change, problem):
    first = land(c99213="A")
    second = land(c99213="B")
    reshape(home, first, "codes", change)
    with pytest.raises(CannotRestore, match=problem) as told:
        restore(home, first, RUN_ID)
    assert told.value.snapshot_id == first
    assert snapshots.current_id(home) == second


def test_a_run_that_had_stopped_looks_again_after_a_restore(home, land, tmp_path):
    """Only what the last run looked at, with its outcome current, counts as seen."""
    first = land(c99213="A")
    second = land(c99213="B")
    planning.mark_seen(home, replace(planning.read_seen(home), snapshot_id=first))
    done = restore(home, first, RUN_ID)
    assert planning.read_seen(home).snapshot_id == first
    assert not planning.read_seen(home).is_of(done.snapshot_id, planning.read_seen(home).rests_on)
    assert second == done.replaced


def test_the_replaced_snapshots_landings_stay_settled(home, land):
    """What a person let pass then is not judged again when a run goes on from a restored snapshot."""
    first = land(c99213="A")
    second = land(c99213="B")
    restore(home, first, RUN_ID)
    news = land(c99213="C")
    runs = [set(snapshots.read_manifest(home, which)["run_ids"]) for which in (first, second, news)]
    assert runs[0] < runs[1] < runs[2]


def test_where_the_replaced_snapshot_is_lost_the_way_out_is_told(home, land, tmp_path):
    first = land(c99213="A")
    second = land(c99213="B")
    restore(home, first, RUN_ID)
    shutil.rmtree(home / "warehouse/snapshots" / second)
    news = folder(tmp_path / "news", {"99213": page("99213", short="C")}, day="2026-02-01")
    with pytest.raises(BrokenSnapshot, match=f"{second}.*its folder is gone") as told:
        run_inline(home, news)
    (command,) = re.findall("Type: (.*)$", str(told.value))
    subprocess.run(command, shell=True, check=True)
    assert run_inline(home).status == "published"
    assert shorts(home) == {"99213": "C"}


@pytest.mark.full
def test_the_command_tells_what_happened_and_how_to_undo_it(home, land, cptflow):
    first = land(c99213="A")
    second = land(c99213="B")
    status, out, _ = cptflow("snapshots", "restore", first, "--home", home)
    current = snapshots.current_id(home)
    words = " ".join(out.split())
    assert status == 0
    assert f"Published {current} with the tables of {first}, in place of {second}: 2 changes" in words
    assert f"To undo it: cptflow snapshots restore {second} --home {home}" in words
    status, out, _ = cptflow("snapshots", "restore", first, "--home", home, "--json")
    nothing_done = {"snapshot_id": None, "restored": first, "replaced": current, "rows": {}, "quality_problem": None}
    assert (status, json.loads(out)) == (0, nothing_done)
    assert cptflow("changes", "--home", home)[1].count("restore") == 1


@pytest.mark.full
def test_the_command_is_turned_away_while_a_run_holds_the_home(home, land, cptflow):
    first = land(c99213="A")
    second = land(c99213="B")
    with hold(home, "another"):
        status, _, err = cptflow("snapshots", "restore", first, "--home", home)
    assert status == 4
    assert "is held by" in err
    assert snapshots.current_id(home) == second


def test_a_snapshot_from_years_before_the_events_of_today_can_be_restored_and_undone(home, tmp_path, monkeypatch):
    for module in (publication, restoring):
        monkeypatch.setattr(module, "validate_run_tables", validate_run_tables)

    def event(text):
        return text.replace("Code added. |", "Code added. |\n2026-01-01 | Changed | Synthetic change. |")

    old = run_inline(home, folder(tmp_path / "old", {"99213": page("99213")}, day="2022-01-01")).snapshot_id
    run_inline(home, folder(tmp_path / "new", {"99213": event(page("99213"))}, day="2026-02-01"))
    done = restore(home, old, RUN_ID)
    assert "2026-01-01" in str(snapshots.read_table(home, done.snapshot_id, "changes")["effective_on"].to_pylist()[0])
    assert restore(home, done.replaced, RUN_ID).snapshot_id == snapshots.current_id(home)
