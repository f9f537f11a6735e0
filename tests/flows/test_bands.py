"""A snapshot that is too far from its parent stops, until newer pages bring it back or a person lets it pass."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from flows.words import in_words
from parsers import codingahead, registry
from parsers.records import Descriptor, Indicator
from tests.flows.pages import folder, page, run_inline, tables, without_validation
from warehouse import snapshots
from warehouse.limits import BANDS

CODES = [f"{number:05}" for number in range(99201, 99221)]
SMALL = {"fewest": 20, "fewest_changed": 5}  # twenty codes in the place of a hundred
RULE = "mass_change:codingahead"


def pages(short="Synthetic STEP", codes=CODES):
    return {code: page(code, short=short) for code in codes}


def run(home, *inputs, accept=()):
    return run_inline(home, *inputs, accept=accept, bands=SMALL)


def command_of(report):
    """The one that the summary ends with, as words; it is the quality page's too."""
    *_, last = in_words(report).splitlines()
    (shown,) = BeautifulSoup(Path(report.quality_page).read_text(encoding="utf-8"), "lxml").select("#stopped .cmd")
    assert shown.get_text() == last.strip()
    return last.split()


@pytest.fixture(scope="module")
def twenty(tmp_path_factory):
    """A home with a snapshot of twenty codes, to be read only; and the report of the run that made it."""
    place = tmp_path_factory.mktemp("twenty")
    return place / "home", run(place / "home", folder(place / "a", pages()))


@pytest.fixture
def copy(twenty, tmp_path):
    return shutil.copytree(twenty[0], tmp_path / "home", symlinks=True)


@pytest.fixture
def first(copy, monkeypatch):
    """A copy of the home, for runs without the rules over rows, which have no say in this."""
    without_validation(monkeypatch)
    return copy


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
    assert "codes changed: 6 of 20 at once (30.0%); up to 25.0% are within the band (99201, 99202, 99203 and 3" in told
    assert command_of(report) == ["cptflow", "run", "--accept", RULE, "--home", str(first)]
    page_of_stop = BeautifulSoup(Path(report.quality_page).read_text(encoding="utf-8"), "lxml")
    assert "6 codes changed: 99201 99202 99203 99204 99205 99206" in page_of_stop.select_one("#stopped").get_text()

    passed = run(first, accept=[RULE])

    assert passed.status == "published"
    manifest = snapshots.read_manifest(first, passed.snapshot_id)
    (accepted,) = manifest["accepted"]
    assert (accepted["rule"], accepted["source"]) == ("mass_change", "codingahead")
    assert "6 of 20" in accepted["found"]
    (rule,) = (rule for rule in suite_of(manifest["suites"])["rules"] if rule["rule"] == RULE)
    assert (rule["accepted"], rule["success"], rule["broken_rows"]) == (True, False, 1)
    assert "Let pass, mass_change:codingahead" in in_words(passed)
    assert "let nothing pass" not in in_words(passed)
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
    assert manifest["accepted"] == []
    assert f"WARNING: --accept {RULE} let nothing pass." in in_words(report)


def test_another_rule_than_the_one_that_stopped_does_not_help(first, mass):
    report = run(first, mass, accept=["rows:codingahead"])
    assert report.status == "stopped"
    assert "WARNING: --accept rows:codingahead let nothing pass." in in_words(report)


def test_what_was_accepted_in_a_run_that_stopped_is_part_of_the_command(first, tmp_path):
    """A landing that is suspect, let pass, brings a mass change: the second rule alone would hold it back again."""
    news = pages("Synthetic MASS", CODES[:10]) | dict.fromkeys(CODES[10:], "Synthetic words of nothing.")
    held_back = run(first, folder(tmp_path / "half", news, day="2026-01-08"))
    assert held_back.status == "nothing_new"
    assert "--accept floor:codingahead --home" in in_words(held_back)
    report = run(first, accept=["floor:codingahead"])
    assert report.status == "stopped"
    rules = ["floor:codingahead", RULE]
    assert command_of(report) == ["cptflow", "run", "--accept", rules[0], "--accept", RULE, "--home", str(first)]

    passed = run(first, accept=rules)

    assert passed.status == "published"
    assert [
        f"{one['rule']}:{one['source']}" for one in snapshots.read_manifest(first, passed.snapshot_id)["accepted"]
    ] == rules
    assert "let nothing pass" not in in_words(passed)


def test_all_that_stops_a_run_is_in_one_command(first, tmp_path):
    """Either rule alone would stop again."""
    more = pages("Synthetic MASS", CODES[:6]) | pages(codes=[f"{number:05}" for number in range(99301, 99307)])
    report = run(first, folder(tmp_path / "more", more, day="2026-01-08"))
    needed = [stop["accept"] for stop in report.stopped]
    assert {"codes:codingahead", RULE} <= set(needed)
    assert [word for word in command_of(report) if ":" in word] == needed
    assert run(first, accept=needed).status == "published"


def test_a_source_that_is_no_longer_registered_stops_and_can_be_let_pass(first, monkeypatch):
    others = [source for source in registry.BUILT_IN if source.name != "codingahead"]
    monkeypatch.setattr(registry, "BUILT_IN", tuple(others))
    registry.registered.cache_clear()
    try:
        left = {"trust": [source.name for source in others], "bands": SMALL}
        report = run_inline(first, **left)
        assert [stop["accept"] for stop in report.stopped] == ["codes:codingahead"]
        # The snapshot has no code any more; rules over rows would have a word to say.
        assert run_inline(first, accept=["codes:codingahead"], **left).status == "published"
    finally:
        monkeypatch.undo()
        registry.registered.cache_clear()


@pytest.mark.parametrize("rule", ["mass_change:codingahaed", "codes:codingahead"])
def test_a_rule_that_let_nothing_pass_is_told(first, mass, rule):
    """A source may be one that is not registered, so that a slip of the hand is no error."""
    report = run(first, mass, accept=[rule])
    assert report.status == "stopped"
    assert f"WARNING: --accept {rule} let nothing pass." in in_words(report)


def test_a_first_snapshot_has_no_bands(twenty):
    assert twenty[1].status == "published"
    assert [suite for suite in twenty[1].suites if suite["table"] == BANDS] == []


def test_few_codes_are_too_few_for_bands(first, mass):
    """Six of twenty, as above, where the settings say nothing."""
    manifest = snapshots.read_manifest(first, run_inline(first, mass).snapshot_id)
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


def test_the_command_stops_with_3_lets_pass_and_names_what_there_is(copy, mass, tmp_path, cptflow):
    """With all rules."""
    first = copy
    Path("cptflow.toml").write_text("[bands]\nfewest = 20\nfewest_changed = 5\n", encoding="utf-8")

    status, out, _ = cptflow("run", mass, "--home", first)
    assert status == 3
    assert "mass_change:codingahead" in out
    status, _, error = cptflow("run", "--accept", "mass:codingahead", "--home", first)
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
