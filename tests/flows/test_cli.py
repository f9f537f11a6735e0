"""The command line: exit statuses, one JSON document where it is asked for, errors and help for people."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flows.lock import hold
from flows.settings import Settings
from tests.flows.pages import SAMPLES, folder, page, run_inline
from warehouse import snapshots

COMMANDS = (
    "run", "land", "crawl", "parse", "snapshots", "changes", "show", "query", "raw", "new-source", "serve", "doctor",
)  # fmt: skip


def test_status_0_published_then_nothing_new(cptflow, tmp_path):
    pages = folder(tmp_path / "pages", {"99213": page("99213", short="Synthetic VISIT")})
    status, out, _ = cptflow("run", pages, "--home", "h")
    again, out_again, _ = cptflow("run", pages, "--home", "h")

    assert (status, again) == (0, 0)
    assert re.search(r"published snapshot 20260101T060000Z-[0-9a-f]{8} \(as of 2026-01-01\)", out)
    assert re.search(r"parsed +1 +1 +read whole", out)
    assert "cptflow show 99213 --home h" in out
    assert "nothing new, nothing was parsed; nothing was published" in out_again


def test_landing_alone_keeps_the_pages_and_a_run_goes_on_from_there(cptflow, tmp_path):
    pages = folder(tmp_path / "pages", {"99213": page("99213")})
    (pages / "broken.jsonl").write_text('{"url": "https://www.codingahead.com/cpt/codes/99214", "te\n')

    status, out, _ = cptflow("land", pages, "--home", "h")
    landed = json.loads(cptflow("land", pages, "--home", "h", "--json")[1])
    ran, out_run, _ = cptflow("run", "--home", "h")

    assert (status, ran) == (0, 0)
    assert "landed, and nothing else was done" in out
    assert "Landed 1 new page, 0 revisits of pages held, 0 held already; the home holds 1 capture." in out
    assert re.search(r"broken\.jsonl.*line 1", out)
    assert (landed["status"], landed["landed"]["already_held"], landed["parsed"]) == ("landed", 1, 0)
    assert "published snapshot" in out_run
    assert len(snapshots.list_snapshots(Path("h"))) == 1


def test_each_input_is_a_run_and_the_summary_tells_what_changed_in_words(cptflow):
    status, out, _ = cptflow("run", "--each", *SAMPLES, "--home", "h")

    assert status == 0
    assert out.count("published snapshot") == 2
    assert "1 code deleted:\n  0714T Synthetic TST PRDCT INJ, from 2026-01-01 on, replaced by 0738T\n" in out
    assert re.search(r"20610  indicator mue +2 +1 +codingahead\n", out)
    assert re.search(r"27447 +partial +history_events cut off", out)
    assert len(snapshots.list_snapshots(Path("h"))) == 2


def test_status_3_and_the_rule_where_expectations_stop(cptflow, home, tmp_path):
    codes = [f"{number:05}" for number in range(10000, 10030)]
    bad = folder(tmp_path / "bad", {code: page(code, added="2199-01-01") for code in codes}, day="2026-02-01")
    status, out, _ = cptflow("run", bad, "--home", home)

    assert status == 3
    assert "STOPPED publication; `current` is as it was" in out
    assert re.search(r"on history_events: .*30", out)


def test_status_4_names_the_holder(home, tmp_path):
    with hold(home, "20260101T000000Z-beef"):
        script = Path(sys.executable).with_name("cptflow")
        command = [str(script), "run", str(SAMPLES[0]), "--home", str(home)]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)

    assert answer.returncode == 4
    assert f"held by run 20260101T000000Z-beef (process {os.getpid()} on " in answer.stderr
    assert answer.stdout == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "nowhere", "--home", "h"], "cannot land 'nowhere'"),
        (["run", "--home", "h"], "There is no home at h, and no input"),
        (["run", "--home", "memory://bucket/x"], "The home memory://bucket/x cannot be written"),
        (["run", "--engine", "dask"], "option --engine: engine = 'dask' is not allowed. Allowed: inline"),
        (["run", "--workers", "0"], "option --workers: workers = 0 is not allowed"),
        (["run", "--wrokers", "2"], "No such option: --wrokers"),
        (["parse", "nowhere.html"], "nowhere.html cannot be read: No such file"),
        (["changes", "--home", "h"], "There is no snapshot in h yet. Make one: cptflow run FOLDER --home h"),
        (["show", "99213", "--home", "h"], "There is no snapshot in h yet"),
        (["serve", "--cron", "99 * * * *", "--home", "h"], "Invalid cron string"),
        (["serve", "nowhere", "--home", "h"], "cannot land 'nowhere'"),
    ],
)
def test_status_2_what_is_wrong_and_what_is_allowed(cptflow, words, said):
    status, out, err = cptflow(*words)

    assert (status, out) == (2, "")
    assert said in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["show", "99999"], "99999 is in no table of snapshot "),
        (["snapshots", "show", "nope"], "There is no snapshot 'nope'"),
        (["changes", "nope"], "There is no snapshot 'nope'"),
        (["changes", "--type", "code_lost"], "There are: code_added, code_deleted"),
        (["changes", "--since", "soon"], "--since 'soon' is no day"),
        (["query", "DROP TABLE codes"], "`query` runs one SELECT; this is DROP"),
    ],
)
def test_status_2_for_what_is_not_there(cptflow, published, words, said):
    status, out, err = cptflow(*words, "--home", published)

    assert (status, out) == (2, "")
    assert said in err


@pytest.mark.parametrize(
    "words",
    [
        ["run"],
        ["snapshots"],
        ["changes"],
        ["changes", "--code", "0714T"],
        ["show", "0714T"],
        ["query", "SELECT * FROM codes"],
        ["doctor"],
        ["show", "99999"],
        ["query", "SELEKT"],
    ],
    ids=" ".join,
)
def test_with_json_standard_output_is_one_document(cptflow, home, words):
    _, out, _ = cptflow(*words, "--home", home, "--json")

    assert json.loads(out)


def a_snapshot_whose_folder_is_gone(home):
    shutil.rmtree((home / "warehouse" / "current").resolve())


def a_folder_in_place_of_the_link(home):
    current = home / "warehouse" / "current"
    files = current.resolve()
    current.unlink()
    shutil.copytree(files, current)


@pytest.mark.parametrize("broken", [a_snapshot_whose_folder_is_gone, a_folder_in_place_of_the_link])
def test_law_11_a_broken_current_is_told_by_every_command(cptflow, home, broken):
    broken(home)
    for words in (["run"], ["snapshots"], ["changes"], ["show", "99213"], ["query", "SELECT 1"]):
        status, out, err = cptflow(*words, "--home", home, "--json")
        assert status == 1, words
        assert json.loads(out)["error"]["type"] == "BrokenSnapshot", words
        assert "Unexpected" not in err, words
    status, out, _ = cptflow("doctor", "--home", home)
    assert status == 1
    assert re.search(r"WRONG +snapshot .*current", out)


def test_with_json_snapshots_show_is_json_wherever_the_option_stands(cptflow, published):
    snapshot_id = snapshots.current_id(published)
    before = cptflow("snapshots", "--json", "--home", published, "show", snapshot_id)[1]

    assert json.loads(before)["snapshot_id"] == snapshot_id
    assert cptflow("snapshots", "show", snapshot_id, "--json", "--home", published)[1] == before


def test_with_json_a_query_keeps_columns_of_one_name_and_has_null_for_no_number(cptflow, published):
    sql = "SELECT 1 AS a, 2 AS a, 3 AS a_1, 'nan'::DOUBLE AS n, ['inf'::DOUBLE, 1] AS list, MAP {1: 2} AS map"
    out = cptflow("query", sql, "--home", published, "--json")[1]

    row = {"a": 1, "a_1": 2, "a_1_1": 3, "n": None, "list": [None, 1], "map": {"1": 2}}
    assert json.loads(out, parse_constant=pytest.fail) == [row]


def test_all_inputs_are_looked_at_before_the_first_run(cptflow, tmp_path):
    pages = folder(tmp_path / "pages", {"99213": page("99213")})
    status, out, _ = cptflow("run", "--each", "--json", pages, "nosuch", "--home", "h")

    assert status == 2
    assert json.loads(out)["error"]["type"] == "UnusableInput"
    assert not Path("h").exists()


def test_with_json_wrong_usage_is_a_document_too(cptflow):
    status, out, err = cptflow("run", "--json", "--bogus")

    assert status == 2
    assert json.loads(out)["error"] == {
        "type": "UsageError",
        "message": "No such option: --bogus",
        "exit_status": 2,
    }
    assert "No such option: --bogus" in err


def test_the_report_of_each_run_is_printed_as_json(cptflow, tmp_path):
    pages = [folder(tmp_path / name, {"99213": page("99213")}, day=f"2026-01-0{name}") for name in "12"]
    status, out, _ = cptflow("run", "--each", *pages, "--home", "h", "--json")

    assert status == 0
    assert [run["status"] for run in json.loads(out)["runs"]] == ["published", "nothing_new"]


def test_parse_needs_no_home(cptflow, tmp_path):
    place = folder(tmp_path / "pages", {"99213": page("99213")}) / "99213.txt"
    status, out, _ = cptflow("parse", place, "--json")
    result = json.loads(out)

    assert status == 0
    assert (result["outcome"], result["code"], result["url"]) == ("parsed", "99213", "file:99213.txt")
    assert result["records"]["history_events"] == [
        {"event_on": "2020-01-01", "action": "added", "ordinal": 1, "notes": "Code added."}
    ]
    assert not list(tmp_path.glob("**/*.parquet"))


def test_parse_refuses_a_page_over_the_limit_without_reading_it_whole(cptflow, tmp_path):
    big = tmp_path / "99213.html"
    with big.open("wb") as file:
        file.truncate(3_000_000_000)
    status, out, _ = cptflow("parse", big)

    assert status == 0
    assert "rejected" in out


def test_an_unexpected_error_names_the_file_with_its_traceback(cptflow, published, monkeypatch):
    def fails(home):
        raise RuntimeError("synthetic failure")

    monkeypatch.setattr(snapshots, "list_snapshots", fails)
    status, out, err = cptflow("snapshots", "--home", published)
    debug_status, _, debug_err = cptflow("--debug", "snapshots", "--home", published)

    assert (status, out, debug_status) == (1, "", 1)
    assert "Unexpected RuntimeError: synthetic failure" in err
    file = Path(re.search(r"Its traceback is in (\S+);", err)[1])
    assert "synthetic failure" in file.read_text()
    file.unlink()
    assert "Traceback (most recent call last)" in debug_err


def test_ctrl_c_ends_with_130_and_words(cptflow, published, monkeypatch):
    def interrupted(home):
        raise KeyboardInterrupt

    monkeypatch.setattr(snapshots, "list_snapshots", interrupted)
    status, _, err = cptflow("snapshots", "--home", published)

    assert status == 130
    assert "Nothing needs repair" in err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(cptflow, command):
    _, listing, _ = cptflow("--help")
    status, out, _ = cptflow(command, "--help")

    assert status == 0
    assert re.search(rf"^│ {command} +\w", listing, re.MULTILINE)
    assert len(out.splitlines()) > 5


def test_help_imports_nothing_slow():
    script = "import sys; from flows import cli; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()

    assert "typer" in modules
    assert not {"pyarrow", "pandas", "duckdb", "prefect", "great_expectations", "pydantic_settings"} & set(modules)


def test_doctor_finds_a_damaged_snapshot_and_a_misspelt_variable(cptflow, home, monkeypatch):
    healthy = json.loads(cptflow("doctor", "--home", home, "--json")[1])["findings"]
    codes = home / "warehouse" / "current" / "codes.parquet"
    codes.write_bytes(codes.read_bytes()[:-1])
    monkeypatch.setenv("CPTFLOW_HOEM", "x")
    status, out, _ = cptflow("doctor", "--home", home)

    assert next(found for found in healthy if found["what"] == "snapshot")["good"]
    assert status == 1
    assert re.search(r"WRONG +snapshot .*codes\.parquet has \d+ bytes", out)
    assert re.search(r"WRONG +variables +CPTFLOW_HOEM", out)
    assert "take its folder back from a backup" in out


def test_doctor_names_the_holder_of_the_lock(cptflow, home):
    with hold(home, "20260101T000000Z-beef"):
        out = cptflow("doctor", "--home", home)[1]

    assert f"held by run 20260101T000000Z-beef, process {os.getpid()}" in out


def test_changes_between_two_snapshots_and_since_a_day(cptflow, published):
    first, second = (manifest["snapshot_id"] for manifest in snapshots.list_snapshots(published))

    def told(*words):
        return json.loads(cptflow("changes", *words, "--home", published, "--json")[1])

    as_of = snapshots.read_manifest(published, second)["as_of"]
    assert told() == told("--since", "2026-01-01") == told("--since", "2025-01-01")
    assert told("--since", as_of) == told() != [], "its own moment is no earlier one"
    assert told("--since", "2026-12-31") == []
    assert {row["event_id"] for row in told(first, second)} == {row["event_id"] for row in told()}
    assert {row["code"] for row in told(first, "--type", "code_deleted")} == {"0714T"}
    backwards = told(second, first, "--code", "0714T", "--type", "code_reinstated")
    assert [(row["before"], row["after"]) for row in backwards] == [("deleted", "active")]
    assert cptflow("changes", first, first, "--home", published)[1].endswith("nothing\n")


def test_show_tells_all_of_a_code(cptflow, published):
    out = cptflow("show", "0714t", "--home", published)[1]
    document = json.loads(cptflow("show", "0714T", "--home", published, "--json")[1])

    assert re.search(r"status +deleted\n", out)
    assert re.search(r"codingahead +replaced_by +CPT +0738T", out)
    assert document["codes"][0]["deleted_on"] == "2026-01-01"
    assert {change["change_type"] for change in document["changes"]} >= {"code_deleted", "relation_changed"}


def test_settings_of_a_file_reach_the_run(cptflow, tmp_path):
    (tmp_path / "cptflow.toml").write_text('home = "from-file"\n')
    pages = folder(tmp_path / "pages", {"99213": page("99213")})

    assert cptflow("run", pages)[0] == 0
    assert run_inline(Path("from-file")).status == "nothing_new"
    assert Settings().home == Path("from-file")
