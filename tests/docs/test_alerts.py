"""The page about alerts: its examples load, its program works, its numbers are those of the code."""

import base64
import datetime as dt
import json
import re
import time
import tomllib
from pathlib import Path

import jsonschema
import pytest

from flows.alert_settings import When
from flows.alerts.feed import FILE as FEED_FILE
from flows.alerts.feed import MAX_ENTRIES
from flows.alerts.outbox import PAUSES
from flows.alerts.webhook import signature
from flows.settings import Settings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/alerts.md").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")
SCHEMA = json.loads((ROOT / "docs/alert-webhook.schema.json").read_text("utf-8"))


def blocks(language, page=PAGE):
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


@pytest.mark.parametrize("example", blocks("toml") + blocks("toml", README))
def test_every_example_of_settings_is_allowed(example, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    settings = Settings(**tomllib.loads(example))

    assert tomllib.loads(example).keys() <= settings.model_fields_set


def test_the_examples_show_every_kind_of_channel_and_each_time_of_telling():
    read = [tomllib.loads(example) for example in blocks("toml")]
    rules = [rule for one in read for rule in one.get("rules", {}).values()]
    kinds = {channel.get("kind", "apprise") for one in read for channel in one.get("channels", {}).values()}

    assert len(read) >= 4
    assert kinds == {"apprise", "webhook"}
    assert {"daily", "weekly"} <= {rule.get("when", "run") for rule in rules}
    assert all(f"`{when}`" in PAGE for when in When.__args__)


def test_the_json_in_it_is_as_the_schema_says():
    [example] = blocks("json")

    jsonschema.validate(json.loads(example), SCHEMA)


def test_the_program_in_it_knows_our_messages_from_others():
    [program] = blocks("python")
    made = {}
    exec(program, made)  # the reader's program, to the letter
    is_ours, body, now = made["is_ours"], b'{"version":1}', int(time.time())
    key = "whsec_" + base64.b64encode(b"Synthetic key of 24 bytes").decode()
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(now),
        "webhook-signature": f"v1,AAAA {signature(key, 'msg_1', now, body)}",
    }
    old = {"webhook-timestamp": str(now - 600), "webhook-signature": signature(key, "msg_1", now - 600, body)}

    assert is_ours(headers, body, key)
    assert not is_ours(headers, body + b" ", key)
    assert not is_ours(headers | {"webhook-id": "msg_2"}, body, key)
    assert not is_ours(headers | {"webhook-signature": "v1,AAAA"}, body, key)
    assert not is_ours(headers | old, body, key)


def test_the_pauses_between_tries_are_those_of_the_outbox():
    told = "tried again after 1, 5 and 15 minutes, 1, 3, 6, 12, 24 and 24 hours"
    numbers = [int(number) for number in re.findall(r"\d+", told)]

    assert told in " ".join(PAGE.split())
    assert (
        *(dt.timedelta(minutes=number) for number in numbers[:3]),
        *(dt.timedelta(hours=number) for number in numbers[3:]),
    ) == PAUSES


def test_the_feed_is_where_and_as_long_as_it_says():
    assert f"`<home>/{FEED_FILE}` is Atom: the last hundred messages" in PAGE
    assert MAX_ENTRIES == 100
