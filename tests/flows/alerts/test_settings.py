"""Channels, rules and operators in the settings: a bad one is an error at start that names line and key, no secret."""

import json
from pathlib import Path

import pytest

from flows.alert_settings import ALERTING_CAUSES, COLUMNS, FEED
from flows.errors import SettingsError, UsageError
from flows.setting_errors import line_of
from flows.settings import load

SECRET = "slack://TOKEN-that-nobody-may-see/B/C"
GOOD = """
rights = "codes-only"

[channels.billing]
url = "env:BILLING_URL"

[channels.system]
kind = "webhook"
url = "block:system-url"
key = "env:SYSTEM_KEY"
timeout = 5

[channels.engineers]
url = "env:ENGINEERS_URL"

[rules.billing]
types = ["code_added", "code_deleted"]
codes = ["99213", "99202-99215", "J*"]
columns = ["mue", "short_descriptor", "deleted_on", "replaced_by"]
categories = ["I", "HCPCS-II"]
sources = ["codingahead"]
when = "weekly"
quiet = "20:00-07:00"
timezone = "Europe/Berlin"
channels = ["billing", "feed"]

[operators]
channels = ["engineers"]
refresh_days = 10
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def error_of(text: str) -> SettingsError:
    Path("cptflow.toml").write_text(text)
    with pytest.raises(SettingsError) as caught:
        load()
    assert caught.value.exit_status == 2
    return caught.value


def test_a_good_file():
    Path("cptflow.toml").write_text(GOOD)

    settings = load()

    assert settings.rights == "codes-only"
    assert settings.channels["system"].key == "env:SYSTEM_KEY"
    assert settings.rules["billing"].codes == ("99213", "99202-99215", "J*")
    assert settings.operators.channels == ("engineers",)
    assert list(settings.rules) == ["billing"]


def test_without_rules_there_is_one_for_codes_that_come_and_go_descriptors_and_indicators():
    rules = load().rules

    assert list(rules) == ["default"]
    assert rules["default"].types == (
        "code_added", "code_deleted", "code_reinstated", "descriptor_changed", "indicator_changed",
    )  # fmt: skip
    assert rules["default"].causes == ("source",)


def test_all_rules_can_be_turned_off():
    Path("cptflow.toml").write_text("rules = {}\n")

    assert load().rules == {}


def test_tables_can_be_json_in_a_variable(monkeypatch):
    monkeypatch.setenv("CPTFLOW_RULES", '{"new": {"types": ["code_added"]}}')
    monkeypatch.setenv("CPTFLOW_CHANNELS", '{"billing": {"url": "env:BILLING_URL"}}')
    monkeypatch.setenv("CPTFLOW_OPERATORS", '{"channels": ["billing"]}')

    settings = load()

    assert settings.rules["new"].types == ("code_added",)
    assert settings.operators.channels == tuple(settings.channels) == ("billing",)


@pytest.mark.parametrize(
    ("good", "bad", "line", "key", "said"),
    [
        ('"code_added"', '"code_addded"', 17, "rules.billing.types", "there is no code_addded; there are code_added"),
        ('"99213"', '"9921"', 18, "rules.billing.codes", "'9921' is no code, range or prefix"),
        ('"99213"', '"99215-99202"', 18, "rules.billing.codes", "is no range: two codes of one kind, the lower first"),
        ('"99213"', '"99202-0001T"', 18, "rules.billing.codes", "is no range"),
        ('"J*"', '"*"', 18, "rules.billing.codes", "'*' is no code, range or prefix"),
        ('"mue"', '"moo"', 19, "rules.billing.columns", "there is no moo"),
        ('"HCPCS-II"', '"IV"', 20, "rules.billing.categories", "there is no IV; there are I, II, III, PLA, MAAA"),
        ('"codingahead"', '"codinghead"', 21, "rules.billing.sources", "there is no codinghead; there are codingahead"),
        ('"weekly"', '"monthly"', 22, "rules.billing.when", "event (a message a code), run (one a run), daily or"),
        ("20:00-07:00", "20:00", 23, "rules.billing.quiet", "as 20:00-07:00"),
        ("20:00-07:00", "20:00-20:00", 23, "rules.billing.quiet", "it begins and ends at the same time"),
        ("Europe/Berlin", "Berlin", 24, "rules.billing.timezone", "there is no such time zone"),
        ("Europe/Berlin", "../../etc/passwd", 24, "rules.billing.timezone", "there is no such time zone"),
        ('"billing", "feed"', '"biling"', 25, "rules.billing.channels", "number 1 of the list is no channel; there "),
        ('["engineers"]', '["feed"]', 28, "operators.channels", "feed is the users'"),
        ('["engineers"]', '["enginers"]', 28, "operators.channels", "number 1 of the list is no channel; there are bi"),
        ("refresh_days = 10", "refresh_days = 0", 29, "operators.refresh_days", "= 0 is not allowed"),
        ("timeout = 5", "timeout = 5000", 11, "channels.system.timeout", "up to 600"),
        ('kind = "webhook"\n', "", 9, "channels.system.key", "only a webhook has a key"),
        ('key = "env:SYSTEM_KEY"\n', "", 7, "channels.system", "a webhook needs a key"),
        ("[channels.billing]", "[channels.feed]", 4, "channels.feed", "feed is the name of the channel that is always"),
        ('url = "block:system-url"\n', "", 7, "channels.system.url", "channels.system.url is missing. Allowed: where"),
        ("[channels.billing]", "[channels.BILLING]", 4, "channels.***", "a name is a small letter and then"),
        ("refresh_days", "refresh_dais", 29, "operators.refresh_dais", "only channels, refresh_days, run_every_hours"),
        ('"codes-only"', '"some"', 2, "rights", "rights = 'some' is not allowed. Allowed: full, or codes-only"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_file_line_and_key(good, bad, line, key, said):
    error = error_of(GOOD.replace(good, bad, 1))

    assert error.where == f"cptflow.toml, line {line}"
    assert error.key == key
    assert said in str(error)


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ('"env:BILLING_URL"', f'"{SECRET}"'),
        ('"env:SYSTEM_KEY"', f'"{SECRET}"'),
        ('"block:system-url"', f'["{SECRET}"]'),
        ("timeout = 5", f'timeout = "{SECRET}"'),
        ("timeout = 5", f'password = "{SECRET}"'),
        ('["billing", "feed"]', f'["{SECRET}"]'),
        ('["billing", "feed"]', f'"{SECRET}"'),
        ('["engineers"]', f'["{SECRET}"]'),
        ('when = "weekly"', f'when = "{SECRET}"'),
        ('when = "weekly"', f'url = "{SECRET}"'),
        ("[channels.billing]\nurl", "[chanels.billing]\nurl"),
        ("[channels.billing]\n", f'[channels.billing]\nurls = "{SECRET}"\n'),
        ("[channels.billing]\n", f'[channel.billing]\nurls = "{SECRET}"\n'),
        ('rights = "codes-only"', f'slack_token = "{SECRET}"'),
        ('rights = "codes-only"', f'rights = "{SECRET}"'),
        ("[channels.billing]", f'[channels."{SECRET}"]'),
        ("[channels.billing]", "[channels.TOKEN1]"),
        ("[channels.billing]\n", '[channels.billing]\nTOKEN1 = "x"\n'),
        ("[rules.billing]", f'[rules."{SECRET}"]'),
        ("[rules.billing]\n", '[rules.billing]\nxTOKEN1 = "x"\n'),
        ("[operators]\n", f'[operators]\n"{SECRET}" = "x"\n'),
        ('rights = "codes-only"', 'TOKEN1 = "x"'),
        ('rights = "codes-only"', f'[sources."{SECRET}"]'),
        ("[rules.billing]\n", f'[rules.billing]\ntypes = ["{SECRET}"]\n[rules.more]\n'),
    ],
)  # fmt: skip
def test_an_address_or_key_in_the_settings_is_refused_and_never_repeated(good, bad):
    for text in (GOOD, GOOD.replace('"env:BILLING_URL"', f'"{SECRET}"')):
        error = error_of(text.replace(good, bad, 1))

        assert "not shown: it may be a secret" in str(error)
        assert "TOKEN" not in str(error) + repr(error) + repr(vars(error))


@pytest.mark.parametrize("table", ["rules.billing", "operators"])
def test_what_stands_where_a_channel_is_named_is_not_repeated(table):
    error = error_of(f'[channels.mail]\nurl = "env:A"\n[{table}]\nchannels = ["mail", "secrettoken123"]\n')

    assert "number 2 of the list is no channel; there are" in str(error)
    assert "secrettoken" not in str(error) + repr(vars(error))


def test_a_table_that_stands_there_twice_is_told_by_its_line_without_its_name():
    Path("cptflow.toml").write_text(f'[channels."{SECRET}"]\n[channels."{SECRET}"]\n')
    with pytest.raises(UsageError, match="line 2") as caught:
        load()
    assert "TOKEN" not in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        json.dumps({"billing": {"url": SECRET}}),
        json.dumps({"billing": {"url": "env:X", "token": SECRET}}),
        json.dumps([SECRET]),
    ],
)
def test_an_address_in_a_variable_is_never_repeated(monkeypatch, value):
    monkeypatch.setenv("CPTFLOW_CHANNELS", value)

    with pytest.raises(SettingsError) as caught:
        load()

    assert str(caught.value).startswith("environment: CPTFLOW_CHANNELS")
    assert "TOKEN" not in str(caught.value) + repr(vars(caught.value))


@pytest.mark.parametrize("value", [{SECRET: {}}, {"TOKEN1": {}}, {"a": {"TOKEN1": "x"}}])
def test_a_name_in_a_variable_that_may_be_a_secret_is_not_repeated(monkeypatch, value):
    monkeypatch.setenv("CPTFLOW_RULES", json.dumps(value))

    with pytest.raises(SettingsError, match="environment: CPTFLOW_RULES") as caught:
        load()

    assert "TOKEN" not in str(caught.value) + repr(vars(caught.value))


def test_a_rule_of_a_file_and_one_of_a_variable_are_told_by_their_places(monkeypatch):
    monkeypatch.setenv("CPTFLOW_RULES", '{"new": {"types": ["code_added"]}}')
    assert error_of('[rules.old]\nlimit = 0\n').where == "cptflow.toml, line 2"  # fmt: skip

    monkeypatch.setenv("CPTFLOW_RULES", '{"new": {"limit": 0}}')
    error = error_of("[rules.old]\nlimit = 1\n")
    assert (error.where, error.key, error.value) == ("environment", "CPTFLOW_RULES.new.limit", 0)


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("a",), 1),
        (("t", "b"), 4),
        (("t", "inner", "c"), 5),
        (("t", "more", "names"), 8),
        (("t", "more", "names", "1"), 8),
        (("t", "more", "missing"), 7),
        (("q r", "x"), 13),
        (("gone",), None),
    ],
)
def test_the_line_of_a_key_is_found_as_people_write_toml(path, line):
    text = 'a = 1\n# b = 2\n[t]\nb = 2\ninner.c = 3\n\n[ t.more ]  # names\nnames = [\n  "a",\n  "b = 3",\n]\n'
    text += '["q r"]\nx = 1\n'

    assert line_of(text, path) == line


def test_every_name_that_a_rule_may_use_is_known():
    assert "restore" not in ALERTING_CAUSES
    assert {"mue", "title", "short", "short_descriptor", "mue_code", "status", "deleted_on", "deleted"} <= set(COLUMNS)
    assert FEED == "feed"
