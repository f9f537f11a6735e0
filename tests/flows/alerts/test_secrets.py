"""A token in every place that a setting can hold one is shown and kept nowhere; how secrets are found and hidden."""

import base64
import json
import os
import secrets as random_secrets
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pyarrow.parquet as pq
import pytest

from flows.alerts.errors import SecretMissing
from flows.alerts.secrets import redacted, resolve
from tests.flows.alerts.receivers import Log, http_receiver, nobody_listens
from tests.flows.pages import SAMPLES

CPTFLOW = str(Path(sys.executable).with_name("cptflow"))


def forms_of(token):
    """As it stands, in halves, in addresses, and in base64 wherever it begins in a text."""
    encoded = set()
    for before in range(3):
        whole = base64.b64encode(b"x" * before + token.encode())
        encoded.add(whole[4 if before else 0 : len(whole) // 4 * 4 - 4].decode())
    half = len(token) // 2
    return {token, token[:half], token[half:], quote(token, safe=""), *encoded}


def everything_in(home):
    """Bytes of each file, and the values of each table."""
    for file in sorted(path for path in home.rglob("*") if path.is_file()):
        yield str(file), file.name.encode() + file.read_bytes()
        if file.suffix == ".parquet":
            yield f"{file} as a table", repr(pq.read_table(file, partitioning=None).to_pylist()).encode()


SETTINGS = """
contact = "https://operator:{token}@ops.example/cptflow"

[sources.codingahead.crawl]
sitemap = "http://{user}{address}/sitemap.xml?key={token}"
hosts = ["{address}"]
allow_addresses = ["127.0.0.0/8"]
delay = 0

[operators]
channels = ["refuses"]

[rules.all]
channels = ["echoes", "refuses", "unknown", "odd", "mail", "json", "unset", "badkey", "feed"]
"""
CHANNELS = {
    "echoes": ("webhook", "http://user:{token}@{address}/echo/{token}?key={token}"),
    "refuses": ("webhook", "http://{refused}/{token}"),
    "unknown": ("webhook", "https://{token}.invalid/{token}"),
    "odd": ("webhook", "http://[{token}/ {token}"),
    "badkey": ("webhook", "http://{address}/fine/{token}"),
    "mail": ("apprise", "mailto://user:{token}@{refused}/?to={token}@example.org"),
    "json": ("apprise", "json://user:{token}@{address}/echo/{token}?+X-Token={token}"),
    "unset": ("apprise", None),
}


@pytest.mark.full
def test_a_token_in_every_place_of_the_settings_appears_nowhere(tmp_path):
    token = random_secrets.token_hex(16)
    log, home, said = Log(), tmp_path / "home", []
    with http_receiver(log) as receiver, nobody_listens() as refused:
        words = {"token": token, "refused": refused, "address": receiver.removeprefix("http://")}
        lines, environment = (
            [SETTINGS.format(user="", **words)],
            {"KEY": f"whsec_{base64.b64encode(token.encode()).decode()}"},
        )
        environment["BADKEY_KEY"] = f"!{token}"
        for name, (kind, url) in CHANNELS.items():
            key = f'key = "env:{"BADKEY_KEY" if name == "badkey" else "KEY"}"\n' if kind == "webhook" else ""
            lines.append(f'[channels.{name}]\nkind = "{kind}"\nurl = "env:{name.upper()}_URL"\n{key}timeout = 20\n')
            if url:
                environment[f"{name.upper()}_URL"] = url.format(**words)
        (tmp_path / "cptflow.toml").write_text("\n".join(lines))

        def command(*given, status, **variables):
            done = subprocess.run(
                [CPTFLOW, *map(str, given)],
                cwd=tmp_path,
                env=os.environ | environment | variables,
                capture_output=True,
                check=False,
            )
            said.append((" ".join(map(str, given)).replace(token, "TOKEN"), done.stdout + done.stderr))
            assert done.returncode in status, done.stdout + done.stderr
            return done.stdout.decode()

        at_home = ("--home", home)
        command("run", SAMPLES[0], *at_home, status=(0,))
        command("run", SAMPLES[1], *at_home, status=(0,))
        command("run", f"http://user:{token}@{refused}/pages.jsonl?sig={token}", *at_home, status=(1, 2))
        command("crawl", "codingahead", *at_home, status=(0, 1, 2, 3))
        (tmp_path / "user.toml").write_text(SETTINGS.format(user=f"crawler:{token}@", **words).partition("[op")[0])
        command("crawl", "codingahead", *at_home, status=(1, 2), CPTFLOW_CONFIG="user.toml")
        told = command("alerts", "test", *at_home, status=(1,))
        assert {line.partition(":")[0] for line in told.splitlines()} == {*CHANNELS}
        assert "401" in told
        assert "UNSET_URL" in told
        listed = json.loads(command("alerts", "list", "--json", *at_home, status=(0,)))
        for message in listed["messages"]:
            command("alerts", "retry", message["message_id"], *at_home, status=(0,))
        command("alerts", "deliver", "--json", *at_home, status=(1,))
        assert "401" in command("alerts", "list", *at_home, status=(0,))
        assert "UNSET_URL" in command("doctor", *at_home, status=(0, 1))
        address = f"s3://user:{token}@bucket-that-is-not-there/{token[:0]}home"
        away = {"AWS_ENDPOINT_URL": f"http://{refused}", "CPTFLOW_CACHE": str(tmp_path / "cache")}
        command("doctor", "--home", address, status=(0, 1), **away)
        literal = f'[channels.slip]\nurl = "https://hooks.example/{token}"\n'
        (tmp_path / "slip.toml").write_text(literal)
        command("doctor", *at_home, status=(1, 2), CPTFLOW_CONFIG="slip.toml")
        slip = f'{{"slip": {{"url": "https://hooks.example/{token}"}}}}'
        command("alerts", "list", *at_home, status=(2,), CPTFLOW_CHANNELS=slip)

    assert any(token in request["target"] for request in log.seen), "the receivers did get it"
    assert any("Basic" in request["headers"].get("Authorization", "") for request in log.seen)
    assert (home / "alerts/outbox.sqlite").stat().st_size > 0
    for place, data in [*said, *everything_in(home), *everything_in(tmp_path / "cache")]:
        for form in forms_of(token):
            assert form.encode() not in data, f"{place} holds the token: {_around(data, form.encode())}"


def _around(data, form):
    at = data.index(form)
    return data[max(0, at - 200) : at + 100]


def test_a_secret_comes_from_the_environment_and_its_absence_names_channel_and_variable(monkeypatch):
    monkeypatch.setenv("SYNTHETIC_URL", " https://hooks.example/a \n")
    assert resolve("env:SYNTHETIC_URL", "billing", "url") == "https://hooks.example/a"
    monkeypatch.delenv("SYNTHETIC_URL")
    with pytest.raises(SecretMissing, match=r"Channel billing: its url \(env:SYNTHETIC_URL\) is not set"):
        resolve("env:SYNTHETIC_URL", "billing", "url")
    monkeypatch.setenv("SYNTHETIC_URL", "  ")
    with pytest.raises(SecretMissing, match="is empty"):
        resolve("env:SYNTHETIC_URL", "billing", "url")


@pytest.mark.parametrize(
    "text",
    [
        "could not reach https://user:tokentokentoken@hooks.example/services/T000/secretpath?key=othersecret",
        "Authorization: Basic dG9rZW50b2tlbnRva2Vu",
        "no route to /services/T000/secretpath",
        "key%3Dothersecret and othersecret and tokentokentoken",
    ],
)
def test_nothing_of_an_address_is_left_in_words(text):
    address = "https://user:tokentokentoken@hooks.example/services/T000/secretpath?key=othersecret"
    hidden = redacted(text, [address, "", "tokentokentoken"])
    for word in ("tokentoken", "secretpath", "othersecret", "dG9rZW50"):
        assert word not in hidden
