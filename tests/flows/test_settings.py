"""Settings: file, then variables, then options; what is not allowed is an error that names the place."""

from pathlib import Path

import pytest

from flows.errors import SettingsError, UsageError
from flows.settings import load, unknown_variables


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_defaults(folder):
    settings = load()

    assert settings.home == Path("data")
    assert settings.engine == "inline"
    assert settings.trust == ("codingahead", "openpayer", "genhealth")


def test_the_file_the_environment_and_options_in_rising_order(folder, monkeypatch):
    (folder / "cptflow.toml").write_text('home = "a"\nengine = "processes"\nworkers = 2\ntrust = ["openpayer"]\n')
    monkeypatch.setenv("CPTFLOW_WORKERS", "3")
    monkeypatch.setenv("CPTFLOW_HOME", "b")

    settings = load(home="c", engine=None)

    assert (settings.home, settings.engine, settings.workers) == (Path("c"), "processes", 3)
    assert settings.trust == ("openpayer",)


def test_another_file_may_be_named(folder, monkeypatch):
    (folder / "other.toml").write_text("batch_pages = 7\n")
    monkeypatch.setenv("CPTFLOW_CONFIG", "other.toml")

    assert load().batch_pages == 7


def test_a_list_in_a_variable_is_separated_by_commas(monkeypatch):
    monkeypatch.setenv("CPTFLOW_TRUST", "openpayer, codingahead")

    assert load().trust == ("openpayer", "codingahead")


def test_a_source_that_does_not_exist_cannot_be_trusted(folder, monkeypatch):
    monkeypatch.setenv("CPTFLOW_TRUST", "openpayer,codingahed")

    with pytest.raises(SettingsError, match="no source codingahed; there are codingahead, openpayer"):
        load()


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("option", "option --workers: workers = '0' is not allowed. Allowed: a whole number of processes from 1"),
        ("variable", "environment: CPTFLOW_WORKERS = '0' is not allowed. Allowed: a whole number"),
        ("file", "cptflow.toml, line 1: workers = 0 is not allowed. Allowed: a whole number"),
    ],
)
def test_a_bad_value_is_told_with_its_place_and_what_is_allowed(folder, monkeypatch, place, said):
    if place == "variable":
        monkeypatch.setenv("CPTFLOW_WORKERS", "0")
    if place == "file":
        (folder / "cptflow.toml").write_text("workers = 0\n")

    with pytest.raises(SettingsError) as caught:
        load(workers="0" if place == "option" else None)

    assert said in str(caught.value)
    assert caught.value.exit_status == 2


@pytest.mark.parametrize(
    ("home", "said"),
    [
        ("", "it is empty"),
        ("page.html", "there is a file of that name"),
        ("copy", "it is this machine's working copy of s3://bucket/prefix; give that address"),
    ],
)
def test_a_home_must_be_a_folder_or_an_address(folder, home, said):
    (folder / "page.html").touch()
    (folder / "copy").mkdir()
    (folder / "copy" / ".home.json").write_text('{"address": "s3://bucket/prefix"}')

    with pytest.raises(SettingsError, match=said) as caught:
        load(home=home)

    assert caught.value.value == home


def test_a_home_at_an_address_has_a_working_copy_of_its_own_in_the_cache(folder, monkeypatch):
    monkeypatch.setenv("CPTFLOW_CACHE", "there")
    first, same, other = (load(home=f"s3://bucket/{name}").home for name in ("prefix", "prefix/", "pre-fix"))

    assert str(first) == "s3://bucket/prefix"
    assert first == same
    assert first.copy.parent == other.copy.parent == Path("there")
    assert first.copy != other.copy
    assert load(home="file:///srv/home").home == Path("/srv/home")


def test_a_misspelt_key_is_told_with_the_known_ones(folder):
    (folder / "cptflow.toml").write_text('hoem = "a"\n')

    with pytest.raises(
        SettingsError, match=r"toml, line 1: hoem = 'a' is not allowed. Allowed: only cache, home, engine"
    ):
        load()


@pytest.mark.parametrize("content", [b"home = ", b"\xff"])
def test_a_broken_file_is_named(folder, content):
    (folder / "cptflow.toml").write_bytes(content)

    with pytest.raises(UsageError, match=r"cptflow\.toml: not a settings file in TOML"):
        load()


def test_a_missing_file_that_was_named_is_an_error(monkeypatch):
    monkeypatch.setenv("CPTFLOW_CONFIG", "gone.toml")

    with pytest.raises(UsageError, match=r"gone\.toml, which is not there"):
        load()


def test_misspelt_variables_are_found(monkeypatch):
    monkeypatch.setenv("CPTFLOW_HOEM", "a")

    assert "CPTFLOW_HOEM" in unknown_variables()
    assert "CPTFLOW_HOME" not in unknown_variables()


SOURCE = """
contact = "data-team@example.org"
[sources.codingahead]
floor = 0.7
[sources.codingahead.crawl]
codes = "codes.txt"
"""


def test_a_source_has_a_table_of_its_own(folder):
    (folder / "cptflow.toml").write_text(SOURCE)

    settings = load()

    source = settings.sources["codingahead"]
    assert (settings.contact, source.floor, source.crawl.codes) == ("data-team@example.org", 0.7, Path("codes.txt"))
    assert (source.crawl.delay, source.crawl.hosts) == (1.0, ())


def test_the_sources_in_a_variable_are_json(monkeypatch):
    monkeypatch.setenv("CPTFLOW_SOURCES", '{"openpayer": {"floor": 0.5}}')

    assert load().sources["openpayer"].floor == 0.5


def test_sources_in_a_variable_that_are_no_json_are_told(monkeypatch):
    monkeypatch.setenv("CPTFLOW_SOURCES", "openpayer")

    with pytest.raises(UsageError, match=r"CPTFLOW_SOURCES holds JSON; a table in cptflow\.toml is easier"):
        load()


@pytest.mark.parametrize(
    ("line", "other", "said"),
    [
        ("floor = 0.7", "floor = 7", r"sources\.codingahead\.floor = 7 is not allowed\. Allowed: the share of"),
        ("codes =", "code =", r"sources\.codingahead\.crawl\.code = 'codes\.txt' .* only codes, sitemap, addresses"),
        ("codes =", 'sitemap = "x"\ncodes =', r"give one of codes, sitemap and addresses, not codes and sitemap"),
        ('codes = "codes.txt"', "delay = 2", r"give one of codes, sitemap and addresses, not none"),
        ('codes = "codes.txt"', 'codes = "a"\ndelay = -1', r"crawl\.delay = -1 .* least seconds between two requests"),
        ("[sources.codingahead]", "[sources.codinghead]", r"there is no source codinghead; there are codingahead"),
        ("floor = 0.7", "flor = 0.7", r"sources\.codingahead\.flor = 0\.7 .* only floor, refresh_days, crawl"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_the_table_of_a_source_is_told_by_its_place(folder, line, other, said):
    (folder / "cptflow.toml").write_text(SOURCE.replace(line, other))

    with pytest.raises(SettingsError, match=said):
        load()
