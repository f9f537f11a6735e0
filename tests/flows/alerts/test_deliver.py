"""Alerts in a run, their delivery, and the commands: whatever happens in between, each change is told (law 6)."""

import datetime as dt
import json
import shutil
import sqlite3
from collections import Counter
from contextlib import closing

import pytest

from flows import pipeline
from flows.alert_settings import ChannelSettings, RuleSettings
from flows.alerts import deliver as delivering
from flows.alerts import in_run, summary
from flows.alerts.deliver import deliver
from flows.alerts.outbox import FILE, PAUSES, open_outbox
from flows.alerts.sending import Sent
from flows.alerts.webhook import Outcome
from flows.engine import InProcess
from flows.report import report_file
from flows.settings import Settings
from flows.terminal import as_text
from tests.flows.alerts.made import NOW, entry, item, message
from tests.flows.pages import folder, page, run_inline, silent, without_validation
from warehouse import snapshots


class Killed(BaseException):
    """Stands for the end of the process."""


class Receivers:
    """In place of processes that send: ``fails`` says which channels refuse."""

    def __init__(self, monkeypatch):
        self.got, self.fails = [], set()
        monkeypatch.setattr(delivering, "send_all", self.send)

    def send(self, batches, without=()):
        for batch in batches:
            for form in batch.job["messages"]:
                ok = batch.channel not in self.fails
                self.got += [(batch.channel, form)] if ok else []
                yield Sent(batch.channel, form["message_id"], Outcome(ok, None if ok else "the receiver answered 500"))

    def codes(self, channel):
        return Counter(one["code"] for name, form in self.got if name == channel for one in form["payload"]["items"])


@pytest.fixture
def receivers(monkeypatch):
    return Receivers(monkeypatch)


@pytest.fixture
def with_channel(home, monkeypatch):
    monkeypatch.setenv("HOOK", "https://hooks.example/a")
    monkeypatch.setenv("HOOK_KEY", "c3ludGhldGlj")
    channels = {"hook": ChannelSettings(kind="webhook", url="env:HOOK", key="env:HOOK_KEY")}
    return Settings(home=home, channels=channels)


def news(tmp_path, *codes, day="2026-02-01"):
    return folder(tmp_path / f"news-{codes[0]}", {code: page(code) for code in codes}, day=day)


def killed_run(home, settings, *inputs):
    """A run whose process ends when it has published and not yet planned."""

    def die(*_):
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(in_run, "fill", die)
        with pytest.raises(Killed):
            pipeline.run([str(path) for path in inputs], settings, InProcess(), silent)


def test_law_6_what_a_killed_run_published_is_told_by_the_next_delivery(
    home, tmp_path, with_channel, receivers, monkeypatch
):
    without_validation(monkeypatch)
    deliver(with_channel)
    receivers.got.clear()
    before = snapshots.current_id(home)
    killed_run(home, with_channel, news(tmp_path, "99999"))
    assert snapshots.current_id(home) != before
    done = deliver(with_channel)
    assert receivers.codes("hook") == {"99999": 1}
    assert len(done.made) >= 1
    deliver(with_channel)
    assert receivers.codes("hook") == {"99999": 1}


def test_law_6_expire_plans_what_goes(home, tmp_path, with_channel, receivers, cptflow, monkeypatch):
    without_validation(monkeypatch)
    monkeypatch.setenv("CPTFLOW_KEEP", '{"count": 1, "age_days": 0, "grace_hours": 0}')
    killed_run(home, with_channel, news(tmp_path, "99999"))
    middle = snapshots.current_id(home)
    killed_run(home, with_channel, news(tmp_path, "99998", day="2026-03-01"))
    status, out, err = cptflow("snapshots", "expire", "--yes", "--home", home)
    assert (status, middle in out) == (0, True), err
    assert not snapshots.is_kept(home, middle)
    with open_outbox(home) as outbox:
        told = Counter(one.code for sent in outbox.messages() for one in sent.items)
    assert told["99999"] == 1
    assert told["99998"] == 1


@pytest.mark.parametrize("damage", ["no database", "a newer version"])
def test_law_6_an_outbox_that_cannot_be_used_stops_no_publication_and_is_told(home, tmp_path, monkeypatch, damage):
    without_validation(monkeypatch)
    if damage == "no database":
        (home / FILE).write_bytes(b"damaged " * 1000)
    else:
        with sqlite3.connect(home / FILE) as connection:
            connection.execute("PRAGMA user_version = 99")
    before = (home / FILE).read_bytes()
    report = run_inline(home, news(tmp_path, "99999"))
    assert (report.status, report.exit_status) == ("published", 0)
    assert str(home / FILE) in report.alerts_problem
    assert "WARNING" in as_text(summary.blocks(report, None))
    assert (home / FILE).read_bytes() == before


def test_law_6_what_is_published_while_no_outbox_can_be_begun_is_told_by_the_next_delivery(
    home, tmp_path, with_channel, receivers, monkeypatch
):
    without_validation(monkeypatch)
    shutil.rmtree(home / "alerts")
    (home / "alerts").write_text("a file in its place")
    assert run_inline(home, news(tmp_path, "99999")).alerts_problem is not None
    (home / "alerts").unlink()
    deliver(with_channel)
    assert receivers.codes("hook") == {"99999": 1}
    shutil.rmtree(home / "alerts")
    deliver(with_channel)
    run_inline(home, news(tmp_path, "99998", day="2026-03-01"))
    shutil.rmtree(home / "alerts")
    deliver(with_channel)
    assert receivers.codes("hook")["99998"] == 0, "an outbox that a person removed begins with what it had told"


def test_law_6_a_run_whose_alerts_fail_in_any_way_ends_as_it_was(home, tmp_path, monkeypatch):
    without_validation(monkeypatch)

    class Away(InProcess):
        def step(self, name, function, *args, **kwargs):
            if name == "alerts":
                raise ConnectionError("Synthetic: the engine's API is away")
            return function(*args, **kwargs)

    report = pipeline.run([str(news(tmp_path, "99999"))], Settings(home=home), Away(), silent)
    assert (report.status, report.exit_status, report.alerts_problem) == ("published", 0, None)

    def fail(*_):
        raise RuntimeError("Synthetic")

    monkeypatch.setattr(in_run, "_fill", fail)
    report = run_inline(home, news(tmp_path, "99998", day="2026-03-01"))
    assert (report.status, report.exit_status) == ("published", 0)
    assert "Synthetic" in report.alerts_problem
    assert report_file(home, report.run_id).exists()


def test_law_6_a_run_waits_but_shortly_for_an_outbox_that_another_process_writes(
    home, tmp_path, with_channel, receivers, monkeypatch
):
    without_validation(monkeypatch)
    monkeypatch.setattr(in_run, "PATIENCE", 0.05)
    with closing(sqlite3.connect(home / FILE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert "locked" in run_inline(home, news(tmp_path, "99999")).alerts_problem
    deliver(with_channel)
    assert receivers.codes("hook") == {"99999": 1}


def test_a_run_ends_with_the_alert_that_it_made_and_says_that_only_the_feed_has_it(home, tmp_path, monkeypatch):
    without_validation(monkeypatch)
    report = run_inline(home, news(tmp_path, "99999"))
    (told,) = (one for one in report.alerts if one["audience"] == "users")
    assert (told["rule"], told["items"], told["channels"]) == ("default", 1, ["feed"])
    shown = as_text(summary.blocks(report, deliver(Settings(home=home))))
    assert "Alert of rule default, in the feed only" in shown
    assert "99999" in shown
    assert told["message_ids"][0] in shown
    assert "99999" in (home / "alerts/feed.xml").read_text("utf-8")


def test_a_run_ends_with_what_could_not_be_delivered_and_what_to_type(
    home, tmp_path, with_channel, receivers, monkeypatch
):
    without_validation(monkeypatch)
    receivers.fails = {"hook"}
    report = run_inline(home, news(tmp_path, "99999"), channels=with_channel.channels)
    shown = as_text(summary.blocks(report, deliver(with_channel)))
    assert "hook (waiting)" in shown
    assert "the receiver answered 500" in shown
    assert "alerts deliver" in shown


def test_law_6_a_channel_that_fails_gets_it_after_its_pause_under_the_same_id(home, with_channel, receivers):
    with open_outbox(home) as outbox:
        outbox.add_message(message("one"), ["hook", "feed"])
    receivers.fails = {"hook"}
    failed = deliver(with_channel, NOW)
    assert ("hook", "msg_one") in {(attempt.channel, attempt.message_id) for attempt in failed.failed}
    receivers.fails = set()
    assert "msg_one" not in {form["message_id"] for _, form in receivers.got}
    deliver(with_channel, NOW + PAUSES[0])
    assert [form["message_id"] for _, form in receivers.got].count("msg_one") == 1
    assert failed.next_at is not None


def test_words_that_the_owner_withholds_since_are_left_out_of_what_was_made_before(home, with_channel, receivers):
    secret_words = "Synthetic words of a holder"
    with open_outbox(home) as outbox:
        told = item(change_type="descriptor_changed", before=secret_words, after=f"{secret_words}, new")
        outbox.add_message(message("one", told), ["hook", "feed"])
    deliver(Settings(**dict(with_channel) | {"rights": "codes-only"}), NOW)
    (form,) = (form for _, form in receivers.got if form["message_id"] == "msg_one")
    assert secret_words not in json.dumps(form)
    assert secret_words not in (home / "alerts/feed.xml").read_text("utf-8")
    assert "99999" in form["text"]


def test_a_message_that_cannot_be_put_into_words_holds_up_no_other(home, with_channel, receivers, monkeypatch):
    form_of = delivering.form_of

    def broken(told):
        if told.message_id == "msg_poison":
            raise ValueError("Synthetic")
        return form_of(told)

    monkeypatch.setattr(delivering, "form_of", broken)
    with open_outbox(home) as outbox:
        outbox.add_message(message("poison"), ["hook"])
        outbox.add_message(message("good", item("11111")), ["hook"])
    why = {attempt.message_id: attempt.error for attempt in deliver(with_channel, NOW).attempts}
    assert "ValueError" in why["msg_poison"]
    assert why["msg_good"] is None


def test_what_is_tried_again_waits_for_the_end_of_quiet_hours(home, with_channel, receivers):
    rule = RuleSettings(quiet="20:00-07:00", channels=("hook",))
    settings = with_channel.model_copy(update={"rules": {"default": rule}})
    evening, night, morning = (NOW.replace(hour=hour, minute=45) for hour in (19, 20, 7))
    receivers.fails = {"hook"}
    with open_outbox(home) as outbox:
        outbox.add_message(message("one", made_at=evening), ["hook"])
    assert len(deliver(settings, evening).attempts) == 1
    receivers.fails = set()

    waiting = deliver(settings, night)

    assert (waiting.attempts, waiting.next_at) == ((), (NOW + dt.timedelta(days=1)).replace(hour=7))
    assert [one.error for one in deliver(settings, morning + dt.timedelta(days=1)).attempts] == [None]


def test_what_a_rule_picked_that_is_gone_since_is_named_by_the_list_and_the_doctor(home, cptflow):
    with open_outbox(home) as outbox:
        outbox.add_plan("S", [entry("99999", rule="renamed")], {})

    assert "Rule renamed: 1 change not told" in cptflow("alerts", "list", "--home", home)[1]
    assert json.loads(cptflow("alerts", "list", "--json", "--home", home)[1])["no_rule"] == ["renamed"]
    assert "what renamed picked waits: the settings have no such rule" in cptflow("doctor", "--home", home)[1]


def test_the_commands_tell_what_waits_and_a_person_can_give_it_up_or_try_again(
    home, with_channel, receivers, cptflow, monkeypatch
):
    given = json.dumps({name: one.model_dump() for name, one in with_channel.channels.items()})
    monkeypatch.setenv("CPTFLOW_CHANNELS", given)
    receivers.fails = {"hook"}
    with open_outbox(home) as outbox:
        outbox.add_message(message("one"), ["hook", "gone"])
    assert cptflow("alerts", "deliver", "--home", home)[0] == 1
    status, out, _ = cptflow("alerts", "list", "--home", home)
    assert status == 0
    assert "the receiver answered 500" in out
    assert "Deliveries to gone wait" in out
    with open_outbox(home) as outbox:
        for _ in PAUSES:
            outbox.failed("msg_one", "hook", NOW, "Synthetic")
    listed = json.loads(cptflow("alerts", "list", "--state", "dead", "--json", "--home", home)[1])
    assert [one["message_id"] for one in listed["messages"]] == ["msg_one"]
    assert "1 deliveries were given up, to hook" in cptflow("doctor", "--home", home)[1]
    receivers.fails = set()
    assert cptflow("alerts", "retry", "--home", home)[0] == 0
    cptflow("alerts", "deliver", "--home", home)
    assert "msg_one" in {form["message_id"] for _, form in receivers.got}
    assert cptflow("alerts", "ack", "msg_o", "--home", home)[0] == 0
    left = json.loads(cptflow("alerts", "list", "--json", "--home", home)[1])
    (told,) = (one for one in left["messages"] if one["message_id"] == "msg_one")
    states = {one["channel"]: one["state"] for one in told["deliveries"]}
    assert states == {"hook": "sent", "gone": "acked"}


def test_a_test_message_says_so_and_a_channel_that_is_not_there_is_named(
    home, with_channel, receivers, cptflow, monkeypatch
):
    assert cptflow("alerts", "test", "--home", home)[0] == 2
    given = json.dumps({name: one.model_dump() for name, one in with_channel.channels.items()})
    monkeypatch.setenv("CPTFLOW_CHANNELS", given)
    assert cptflow("alerts", "test", "nobody", "--home", home)[0] == 2
    assert cptflow("alerts", "test", "--home", home)[:2] == (0, "hook: took the test message\n")
    ((_, form),) = receivers.got
    assert form["payload"]["type"] == "test"
    assert "test" in form["title"]
    receivers.fails = {"hook"}
    assert cptflow("alerts", "test", "hook", "--home", home)[:2] == (1, "hook: the receiver answered 500\n")


def test_a_home_that_is_not_there_has_no_alerts_and_is_not_made(tmp_path, cptflow):
    assert deliver(Settings(home=tmp_path / "none"), NOW).attempts == ()
    assert cptflow("alerts", "retry", "--home", tmp_path / "none")[0] == 2
    assert cptflow("alerts", "list", "--home", tmp_path / "none")[0] == 0
    assert not (tmp_path / "none").exists()
