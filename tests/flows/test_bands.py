"""A snapshot that is too far from its parent stops, until newer pages bring it back or a person lets it pass."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from flows.words import in_words
from parsers import codingahead, registry
from parsers.records import Descriptor, Indicator
from tests.flows.pages import folder, page, run_inline, tables
from warehouse import snapshots
from warehouse.limits import BANDS

CODES = [f"{number:05}" for number in range(99201, 99221)]
SMALL = {"fewest": 20, "fewest_changed": 5}  # twenty codes in the place of a hundred
RULE = "mass_change:codingahead"


def pages(short="Synthetic STEP", codes=CODES):
    return {code: page(code, short=short) for code in codes}


def run(home, *inputs, accept=()):
    return run_inline(home, *inputs, accept=accept, bands=SMALL)


@pytest.fixture(scope="module")
def twenty(tmp_path_factory):
    """A home with a snapshot of twenty codes, to be read only; and the report of the run that made it."""
    place = tmp_path_factory.mktemp("twenty")
    return place / "home", run(place / "home", folder(place / "a", pages()))


@pytest.fixture
def first(twenty, tmp_path):
    """A copy of the home."""
    return shutil.copytree(twenty[0], tmp_path / "home", symlinks=True)


@pytest.fixture
def mass(tmp_path):
    """A folder in which a site changed six of them, and five are a quarter."""
    return folder(tmp_path / "mass", pages("Synthetic MASS", CODES[:6]), day="2026-01-08")


def shorts(home):
    codes = snapshots.read_table(home, snapshots.current_id(home), "codes")
    return set(codes["short_descriptor"].to_pylist())


def suite_of(suites):
    (suite,) = (suite for suite in suites if suite["table"] == BANDS)
    return suite


def test_a_mass_change_stops_at_each_run_until_a_person_lets_it_pass(twenty, first, mass, tmp_path):
    before = snapshots.current_id(first)
    for inputs in ([mass], []):
        report = run(first, *inputs)
        assert (report.status, report.exit_status) == ("stopped", 3)
        assert [stop["accept"] for stop in report.stopped] == [RULE]
        assert suite_of(report.suites)["success"] is False
        assert snapshots.current_id(first) == before
    told = in_words(report)
    assert "codes changed: 6 of 20 at once (30.0%); up to 25.0% are within the band" in told
    assert f"cptflow run --accept {RULE} --home {first}" in told.replace("\n", " ")

    passed = run(first, accept=[RULE])

    assert passed.status == "published"
    manifest = snapshots.read_manifest(first, passed.snapshot_id)
    (accepted,) = manifest["accepted"]
    assert (accepted["rule"], accepted["source"]) == ("mass_change", "codingahead")
    assert "6 of 20" in accepted["found"]
    (rule,) = (rule for rule in suite_of(manifest["suites"])["rules"] if rule["rule"] == RULE)
    assert (rule["accepted"], rule["success"], rule["broken_rows"]) == (True, False, 1)
    assert "Let pass, mass_change:codingahead" in in_words(passed)
    # Nothing was lost by the stop: the tables are those of a home that never knew one.
    other = shutil.copytree(twenty[0], tmp_path / "other", symlinks=True)
    assert run_inline(other, mass).status == "published"
    assert tables(first) == tables(other)


def test_what_was_let_pass_once_is_not_let_pass_again(first, mass, tmp_path):
    assert run(first, mass, accept=[RULE]).status == "published"
    assert run(first).status == "nothing_new"
    again = folder(tmp_path / "again", pages("Synthetic AGAIN", CODES[:6]), day="2026-01-15")
    assert run(first, again).status == "stopped"


def test_newer_pages_that_bring_it_back_need_no_person(first, mass, tmp_path):
    assert run(first, mass).status == "stopped"
    back = folder(tmp_path / "back", pages(codes=CODES[:3]), day="2026-01-15")
    report = run(first, back)
    assert report.status == "published"
    assert shorts(first) == {"Synthetic STEP", "Synthetic MASS"}
    assert snapshots.read_manifest(first, report.snapshot_id)["accepted"] == []


def test_a_change_just_inside_publishes(first, tmp_path):
    few = folder(tmp_path / "few", pages("Synthetic FEW", CODES[:5]), day="2026-01-08")
    report = run(first, few, accept=[RULE])
    assert report.status == "published"
    manifest = snapshots.read_manifest(first, report.snapshot_id)
    assert suite_of(manifest["suites"])["success"] is True
    assert manifest["accepted"] == []  # the rule stopped nothing


def test_another_rule_than_the_one_that_stopped_does_not_help(first, mass):
    report = run(first, mass, accept=["rows:codingahead"])
    assert report.status == "stopped"
    # The command to type repeats what was let pass already.
    assert f"cptflow run --accept rows:codingahead --accept {RULE} --home" in in_words(report).replace("\n", " ")


def test_a_first_snapshot_has_no_bands(twenty):
    assert twenty[1].status == "published"
    assert [suite for suite in twenty[1].suites if suite["table"] == BANDS] == []


def test_the_samples_are_too_few_for_bands(published):
    manifest = snapshots.read_manifest(published, snapshots.current_id(published))
    assert suite_of(manifest["suites"])["rules"] == []


@pytest.fixture
def newer_parser(monkeypatch):
    """Puts a newer version of a parser in force, which makes other records of what it reads."""

    def put(other):
        def read(reading):
            seen = codingahead.SOURCE.read(reading)
            reading._claims[:] = [replace(c, records=tuple(map(other, c.records))) for c in reading._claims]
            return seen

        newer = replace(codingahead.SOURCE, version=codingahead.SOURCE.version + 1, read=read)
        others = [source for source in registry.BUILT_IN if source.name != newer.name]
        monkeypatch.setattr(registry, "BUILT_IN", (newer, *others))
        registry.registered.cache_clear()

    yield put
    monkeypatch.undo()
    registry.registered.cache_clear()


def test_law_7_a_parser_that_changes_every_code_is_no_mass_change(first, newer_parser):
    """It alerts nobody."""
    newer_parser(lambda record: replace(record, text="Synthetic") if isinstance(record, Descriptor) else record)
    report = run(first)
    assert report.status == "published"
    assert set(report.changes["by_cause"]) == {"parser"}
    assert shorts(first) == {"Synthetic"}


def test_a_parser_that_loses_a_field_stops(first, newer_parser):
    newer_parser(lambda record: replace(record, value_code=None) if isinstance(record, Indicator) else record)
    report = run(first)
    assert (report.status, report.exit_status) == ("stopped", 3)
    assert {stop["accept"] for stop in report.stopped} == {"nulls:codingahead", "nulls:all"}
    assert "indicators.value_code is null: 100.0% found, 0.0% before" in in_words(report)


def test_a_parser_that_reads_no_page_any_more_stops(first, newer_parser):
    newer_parser(lambda record: 1 / 0)
    report = run(first)
    assert [stop["accept"] for stop in report.stopped] == ["codes:codingahead"]
    assert report.status == "stopped"


def test_the_command_stops_with_3_lets_pass_and_names_what_there_is(first, mass, tmp_path, cptflow):
    Path("cptflow.toml").write_text("[bands]\nfewest = 20\nfewest_changed = 5\n", encoding="utf-8")

    status, out, _ = cptflow("run", mass, "--home", first)
    assert status == 3
    assert "mass_change:codingahead" in out
    status, _, error = cptflow("run", "--accept", "mass_change:nobody", "--home", first)
    assert status == 2
    for name in ("floor:openpayer", "rows:genhealth", "codes:all", "nulls:codingahead", "mix:openpayer", RULE):
        assert name in error
    status, out, _ = cptflow("run", "--accept", RULE, "--json", "--home", first)
    assert status == 0
    report = json.loads(out)
    assert (report["status"], report["accept"]) == ("published", [RULE])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("fewest = 0", "bands.fewest = 0 is not allowed. Allowed: codes of a source"),
        ("rows_warn = 0.5", "rows_warn must not be more than rows_stop"),
        ("width = 1", "bands.width = 1 is not allowed. Allowed: only fewest"),
    ],
)
def test_a_band_that_is_not_allowed_is_told_with_its_place(cptflow, line, said):
    Path("cptflow.toml").write_text(f"[bands]\n{line}\n", encoding="utf-8")
    status, _, error = cptflow("run", "--home", "h")
    assert status == 2
    assert said in error
