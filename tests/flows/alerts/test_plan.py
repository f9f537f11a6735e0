"""Planning: each change goes past the rules once, whoever is killed when; what is due of it becomes messages."""

from __future__ import annotations

import datetime as dt
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from flows.alert_settings import RuleSettings
from flows.alerts import outbox as outboxes
from flows.alerts.errors import NotPlanned
from flows.alerts.message import Message
from flows.alerts.outbox import open_outbox
from flows.alerts.plan import plan
from flows.alerts.preview import preview
from flows.errors import UsageError
from flows.settings import Settings
from parsers.records import Descriptor, HistoryEvent, Indicator, Record, RelatedCode
from tests.flows.alerts.small_home import SmallHome
from tests.warehouse.invented import page
from warehouse import snapshots
from warehouse.expire import Plan, remove

X = "10001"
NOW = dt.datetime(2026, 3, 10, 12, tzinfo=dt.UTC)
MUE = ("indicators", f"codingahead|{X}|mue")


def site(*records: Record, code: str = X):
    return page(code, records)


def mue(value: str) -> Indicator:
    return Indicator("mue", value, value, value)


def settings(home: SmallHome, **rules: RuleSettings) -> Settings:
    return Settings(home=home.home, rules=rules or {"default": RuleSettings()})


def rule(**values: object) -> RuleSettings:
    return RuleSettings(**values)  # type: ignore[arg-type]


def told(messages: tuple[Message, ...] | list[Message]) -> list[tuple[str, str | None, str | None]]:
    return [(item.code, item.before, item.after) for message in messages for item in message.items]


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    made = SmallHome(tmp_path_factory.mktemp("begun"))
    made.add(site(mue("3")))
    begin(made)
    return made


@pytest.fixture
def home(begun, tmp_path):
    """With one snapshot, and an outbox."""
    return begun.copied_to(tmp_path)


def begin(home: SmallHome) -> None:
    with open_outbox(home.home):
        pass


def test_what_was_there_before_the_outbox_is_never_told(tmp_path):
    home = SmallHome(tmp_path)
    home.add(site(mue("3")))
    home.add(site(mue("4")))

    assert plan(home.home, settings(home), NOW) == ()

    home.add(site(mue("5")))
    assert told(plan(home.home, settings(home), NOW)) == [(X, "4", "5")]


def test_a_home_without_any_snapshot_is_planned_too(tmp_path):
    home = SmallHome(tmp_path)

    assert plan(home.home, settings(home), NOW) == ()

    home.add(site(mue("3")))
    assert plan(home.home, settings(home), NOW) == ()
    home.add(site(mue("4")))
    assert told(plan(home.home, settings(home), NOW)) == [(X, "3", "4")]


def test_a_change_is_told_once_in_a_message_that_says_of_which_snapshot(home):
    home.add(site(mue("4")))

    (message,) = plan(home.home, settings(home), NOW)

    assert (message.audience, message.rule, message.made_at) == ("users", "default", NOW)
    assert message.snapshot_ids == (home.ids[1],)
    assert message.as_of == dt.datetime.fromisoformat(snapshots.read_manifest(home.home, home.ids[1])["as_of"])
    assert (message.more, message.more_at) == (None, None)
    with open_outbox(home.home) as outbox:
        assert [delivery.channel for delivery in outbox.deliveries(message_id=message.message_id)] == ["feed"]
    assert plan(home.home, settings(home), NOW) == ()


def test_snapshots_that_nobody_planned_are_planned_later_in_their_order(home):
    home.add(site(mue("4")))
    home.add(site(mue("5")))

    messages = plan(home.home, settings(home), NOW)

    assert told(messages) == [(X, "3", "4"), (X, "4", "5")]
    assert [message.snapshot_ids for message in messages] == [(home.ids[1],), (home.ids[2],)]


class Killed(BaseException):
    pass


def test_law_6_planning_that_is_killed_at_any_write_is_done_again_to_the_same_messages(home, monkeypatch):
    rules = {"all": rule(when="event"), "digest": rule(limit=1)}
    home.add(site(mue("4")), site(code="10002"))
    file = home.home / outboxes.FILE
    before = file.read_bytes()
    expected = plan(home.home, settings(home, **rules), NOW)
    assert len(expected) == 3

    done, finished, moment = outboxes.Outbox._do, False, 0
    while not finished:
        file.write_bytes(before)
        writes = iter(range(moment))

        def dying(self, *args, left=writes):
            if next(left, None) is None:
                raise Killed
            return done(self, *args)

        with monkeypatch.context() as patch, suppress(Killed):
            patch.setattr(outboxes.Outbox, "_do", dying)
            plan(home.home, settings(home, **rules), NOW)
            finished = True
        plan(home.home, settings(home, **rules), NOW)
        with open_outbox(home.home) as outbox:
            assert outbox.messages() == [*reversed(expected)]
            assert len(outbox.deliveries()) == len(expected)
            assert outbox.open_entries() == []
        moment += 1
    assert moment > 10


def test_a_new_rule_tells_only_what_is_planned_from_then_on(home):
    home.add(site(mue("4")))
    plan(home.home, settings(home), NOW)
    home.add(site(mue("5")))

    messages = plan(home.home, settings(home, default=rule(), late=rule()), NOW)

    assert [(message.rule, told([message])) for message in messages] == [
        ("default", [(X, "4", "5")]), ("late", [(X, "4", "5")]),
    ]  # fmt: skip


def test_what_is_beyond_the_limit_is_counted_with_the_command_that_lists_it(home):
    home.add(site(mue("4"), Descriptor("short", "Synthetic")), site(code="10009"), site(code="10008"))

    (message,) = plan(home.home, settings(home, default=rule(limit=1)), NOW)

    assert [(item.change_type, item.code) for item in message.items] == [("code_added", "10008")]
    assert message.more == {"code_added": 1, "descriptor_changed": 1, "indicator_changed": 1}
    assert message.more_at == f"cptflow changes {home.ids[0]} {home.ids[1]} --home {home.home}"


def test_a_digest_holds_what_came_until_its_time(home):
    weekly = settings(home, default=rule(when="weekly"))
    home.add(site(mue("4")))
    assert plan(home.home, weekly, NOW) == ()  # a Tuesday
    home.add(site(mue("4"), Descriptor("short", "Synthetic")))
    assert plan(home.home, weekly, NOW + dt.timedelta(days=1)) == ()

    (message,) = plan(home.home, weekly, NOW + dt.timedelta(days=6))

    assert message.snapshot_ids == (home.ids[1], home.ids[2])
    assert {item.column for item in message.items} == {"mue", "short"}


def test_a_rule_that_is_gone_sends_nothing_and_holds_up_no_other(home):
    home.add(site(mue("4")))
    later = rule(when="daily")
    assert plan(home.home, settings(home, gone=later, default=later), NOW) == ()

    messages = plan(home.home, settings(home, default=later), NOW + dt.timedelta(days=2))

    assert [message.rule for message in messages] == ["default"]


def test_what_is_held_back_and_comes_back_is_not_told_and_what_changed_meanwhile_is(home):
    home.add(site(mue("bad"), Descriptor("short", "Synthetic")), held=[MUE])
    assert [item.column for item in plan(home.home, settings(home), NOW)[0].items] == ["short"]
    home.add(site(mue("3"), Descriptor("short", "Synthetic")))
    assert plan(home.home, settings(home), NOW) == ()
    home.add(site(mue("bad"), Descriptor("short", "Synthetic")), held=[MUE])
    home.add(site(mue("4"), Descriptor("short", "Synthetic")))

    (message,) = plan(home.home, settings(home), NOW)

    (item,) = message.items
    assert (item.before, item.after, item.column) == ("3", "4", "mue")
    assert item.snapshot_id == home.ids[-1]


def test_an_outbox_that_begins_during_a_quarantine_knows_what_was_before(tmp_path):
    home = SmallHome(tmp_path)
    home.add(site(mue("3")))
    home.add(site(mue("bad")), held=[MUE])
    begin(home)
    home.add(site(mue("3")))
    assert plan(home.home, settings(home), NOW) == ()


def test_a_code_that_is_held_back_is_neither_gone_nor_new_when_it_comes_back(home):
    home.add(site(code="10002"))
    plan(home.home, settings(home), NOW)
    everything = settings(home, default=rule(types=()))
    home.add(site(mue("3"), Descriptor("short", "Synthetic")), held=[("codes", X)])
    assert plan(home.home, everything, NOW) == ()
    home.add(site(mue("4"), Descriptor("short", "Synthetic")))

    (message,) = plan(home.home, everything, NOW)

    assert {(item.column, item.before, item.after) for item in message.items} == {
        ("mue", "3", "4"), ("short", None, "Synthetic"),
    }  # fmt: skip


def test_what_a_person_restored_is_not_told_nor_that_a_run_undoes_it(home):
    everything = settings(home, default=rule(types=()))
    first = home.ids[0]
    home.add(site(mue("bad"), Descriptor("short", "Synthetic")), held=[MUE])
    plan(home.home, everything, NOW)
    home.restore(first)
    assert plan(home.home, everything, NOW) == ()
    home.add(site(mue("4"), Descriptor("short", "Synthetic")))

    (message,) = plan(home.home, everything, NOW)

    assert told([message]) == [(X, "3", "4")]
    assert "restore" in set(snapshots.read_table(home.home, home.ids[-1], "changes")["cause"].to_pylist())


ADDED = HistoryEvent(dt.date(2020, 1, 1), "added", 1, None)
GONE = HistoryEvent(dt.date(2026, 1, 1), "deleted", 1, None)
BAD_CHANGE = HistoryEvent(dt.date(2026, 1, 15), "changed", 1, "Synthetic")
DIAGNOSIS = RelatedCode("diagnosis", "ICD-10", "Z00", None)


@pytest.mark.parametrize(
    ("bad", "held"),
    [
        (BAD_CHANGE, ("history_events", f"codingahead|{X}|2026-01-15|changed|1")),
        (DIAGNOSIS, ("related_codes", f"codingahead|{X}|diagnosis|ICD-10|Z00")),
    ],
)
def test_a_deletion_is_told_at_once_whatever_else_of_the_code_stays_in_quarantine(home, bad, held):
    home.add(site(mue("3"), ADDED))
    plan(home.home, settings(home), NOW)
    home.add(site(mue("3"), ADDED, GONE, bad), held=[held])

    (message,) = plan(home.home, settings(home), NOW)

    assert [(item.change_type, item.effective_on) for item in message.items] == [("code_deleted", GONE.event_on)]
    home.add(site(mue("3"), ADDED, GONE))
    assert plan(home.home, settings(home), NOW) == ()


def test_a_code_is_not_deleted_because_the_history_of_the_site_that_counts_is_held_back(home):
    """Then that of another site takes its place, and goes again."""
    everything = settings(home, default=rule(types=()))
    first = page(X, (mue("3"), HistoryEvent(dt.date(2020, 1, 1), "changed", 1, None)))
    second = page(X, (mue("3"), GONE), source="openpayer")
    home.add(first, second)
    home.add(first, second)
    plan(home.home, everything, NOW)
    home.add(page(X, (mue("3"), BAD_CHANGE)), held=[("history_events", f"codingahead|{X}|2026-01-15|changed|1")])
    assert snapshots.read_table(home.home, home.ids[-1], "codes", ["status"])["status"].to_pylist() == ["deleted"]
    assert plan(home.home, everything, NOW) == ()

    home.add(first)
    assert plan(home.home, everything, NOW) == ()


def test_what_the_site_that_counts_says_is_told_whatever_is_held_back_of_another_one(home):
    second = page(X, (mue("3"), ADDED), source="openpayer")
    home.add(site(mue("3"), ADDED), second)
    plan(home.home, settings(home), NOW)
    bad = page(X, (mue("3"), HistoryEvent(dt.date(2026, 1, 15), "added", 1, None)), source="openpayer")
    home.add(site(mue("3"), ADDED, GONE), bad, held=[("history_events", f"openpayer|{X}|2026-01-15|added|1")])

    (message,) = plan(home.home, settings(home), NOW)

    assert [item.change_type for item in message.items] == ["code_deleted"]


def test_a_code_that_a_person_restored_to_life_is_not_told_as_deleted_by_a_digest_while_it_stands(home):
    daily = settings(home, default=rule(when="daily"))
    before = home.add(site(mue("3"), ADDED))
    deleted = home.add(site(mue("3"), ADDED, GONE))
    plan(home.home, daily, NOW)
    home.restore(before)

    assert plan(home.home, daily, NOW + dt.timedelta(days=1)) == ()
    home.restore(deleted)
    (message,) = plan(home.home, daily, NOW + dt.timedelta(days=2))
    assert [item.change_type for item in message.items] == ["code_deleted"]


def test_what_a_person_restored_away_is_told_when_a_run_goes_on_from_it(home):
    daily = settings(home, default=rule(when="daily"))
    before = home.add(site(mue("3"), ADDED))
    home.add(site(mue("3"), ADDED, GONE))
    home.restore(before)
    plan(home.home, daily, NOW)
    assert plan(home.home, daily, NOW + dt.timedelta(days=1)) == ()

    home.add(site(mue("4"), ADDED, GONE))
    messages = plan(home.home, daily, NOW + dt.timedelta(days=1)) + plan(home.home, daily, NOW + dt.timedelta(days=2))

    kinds = sorted(item.change_type for message in messages for item in message.items)
    assert kinds == ["code_deleted", "indicator_changed"]


def test_what_a_person_restored_away_and_a_run_finds_as_it_was_before_is_not_told(home):
    rules = {"default": rule(when="daily"), "gone": rule(when="daily", types=("code_deleted",))}
    daily = settings(home, **rules)
    before = home.add(site(mue("3"), ADDED))
    home.add(site(mue("4"), ADDED, GONE))
    plan(home.home, daily, NOW)
    home.restore(before)
    plan(home.home, daily, NOW)

    home.add(site(mue("4"), ADDED))

    messages = [message for days in (1, 2, 3) for message in plan(home.home, daily, NOW + dt.timedelta(days=days))]
    assert told(messages) == [(X, "3", "4")]
    with open_outbox(home.home) as outbox:
        assert outbox.open_entries() == []


def test_without_words_nobody_can_say_that_what_a_person_restored_away_is_as_it_was_before(home):
    daily = settings(home, default=rule(when="daily")).model_copy(update={"rights": "codes-only"})
    before = home.add(site(mue("3"), Descriptor("short", "Synthetic")))
    home.add(site(mue("3"), Descriptor("short", "Synthetic b")))
    plan(home.home, daily, NOW)
    home.restore(before)

    home.add(site(mue("3"), Descriptor("short", "Synthetic c")))

    messages = [message for days in (1, 2, 3) for message in plan(home.home, daily, NOW + dt.timedelta(days=days))]
    assert [item.what for message in messages for item in message.items] == ["descriptor short"] * 3


def damage(home: SmallHome, snapshot_id: str, *tables: str) -> dict[Path, bytes]:
    """Take tables of a snapshot away; what they were."""
    files = [home.home / "warehouse" / "snapshots" / snapshot_id / f"{table}.parquet" for table in tables]
    content = {file: file.read_bytes() for file in files}
    for file in files:
        file.unlink()
    return content


def test_law_6_a_snapshot_that_cannot_be_read_holds_up_neither_digests_nor_those_behind_it_and_is_told_later(home):
    rules = {"default": rule(), "digest": rule(when="daily")}
    home.add(site(mue("4")))
    plan(home.home, settings(home, digest=rules["digest"]), NOW)
    bad = home.add(site(mue("5")))
    home.add(site(mue("6")))
    later = NOW + dt.timedelta(days=2)
    content = damage(home, bad, "changes")

    with pytest.raises(NotPlanned, match=bad) as error:
        plan(home.home, settings(home, **rules), later)

    made = {message.rule: told([message]) for message in error.value.made}
    assert made == {"digest": [(X, "3", "4")], "default": [(X, "5", "6")]}
    with pytest.raises(NotPlanned):
        plan(home.home, settings(home, **rules), later)

    for file, was in content.items():
        file.write_bytes(was)
    assert told(plan(home.home, settings(home, default=rule()), later)) == [(X, "4", "5")]
    assert plan(home.home, settings(home, default=rule()), later) == ()


@pytest.mark.parametrize("tables", [("changes",), ("quarantine",)])
def test_behind_a_snapshot_that_cannot_be_read_all_wait_where_it_may_hold_something_back(home, tables):
    bad = home.add(site(mue("bad")), held=[MUE])
    home.add(site(mue("3")))
    content = damage(home, bad, *tables)

    with pytest.raises(NotPlanned, match="1 behind it waits") as error:
        plan(home.home, settings(home), NOW)

    assert error.value.made == ()
    for file, was in content.items():
        file.write_bytes(was)
    assert plan(home.home, settings(home), NOW) == ()


def test_a_line_that_cannot_be_read_holds_up_no_digest(home):
    digest = settings(home, digest=rule(when="daily"))
    home.add(site(mue("4")))
    plan(home.home, digest, NOW)
    manifest = home.home / "warehouse" / "snapshots" / home.ids[-1] / "manifest.json"
    manifest.write_text("{")

    with pytest.raises(NotPlanned) as error:
        plan(home.home, digest, NOW + dt.timedelta(days=1))

    assert told(error.value.made) == [(X, "3", "4")]


def test_a_digest_whose_time_nobody_saw_does_not_go_out_in_quiet_hours(home):
    digest = settings(home, digest=rule(when="daily", quiet="20:00-07:00"))
    home.add(site(mue("4")))
    plan(home.home, digest, NOW)
    night = dt.datetime(2026, 3, 12, 2, tzinfo=dt.UTC)

    (message,) = plan(home.home, digest, night)

    with open_outbox(home.home) as outbox:
        assert outbox.due(night) == []
        assert [one.message_id for one in outbox.due(night.replace(hour=7))] == [message.message_id]


def test_a_snapshot_that_expired_before_it_was_planned_is_passed_over(home):
    gone = home.add(site(mue("4")))
    home.add(site(mue("5")))
    remove(home.home, Plan(stays={}, goes=(gone,)))

    assert told(plan(home.home, settings(home), NOW)) == [(X, "4", "5")]


def test_words_that_were_planned_do_not_leave_once_the_rights_forbid_it(home):
    daily = settings(home, default=rule(when="daily"))
    home.add(site(mue("3"), Descriptor("short", "Confidential")))
    plan(home.home, daily, NOW)

    (message,) = plan(home.home, daily.model_copy(update={"rights": "codes-only"}), NOW + dt.timedelta(days=1))

    assert "Confidential" not in repr(message)
    assert message.items[0].withheld_text


def test_a_preview_tells_what_would_have_been_sent_and_touches_nothing(tmp_path):
    home = SmallHome(tmp_path)
    home.add(site(mue("3")))
    copy = shutil.copytree(home.home, tmp_path / "copy", symlinks=True)
    for value in ("4", "5", "6"):
        home.add(site(mue(value)))
    rules = settings(home, default=rule(), weekly=rule(when="weekly"), codes=rule(types=("code_added",)))

    assert told(preview(home.home, rules, 2, "default")) == [(X, "4", "5"), (X, "5", "6")]
    assert {message.rule: len(message.items) for message in preview(home.home, rules, 9, "weekly")} == {"weekly": 3}
    assert preview(home.home, rules, 5, "codes") == []
    assert len(preview(home.home, rules)) == 4
    assert not (home.home / "alerts").exists()

    home.home.rename(tmp_path / "later")
    home.home = copy
    begin(home)
    shutil.rmtree(copy / "warehouse")
    shutil.copytree(tmp_path / "later" / "warehouse", copy / "warehouse", symlinks=True)
    sent = plan(copy, settings(home), NOW)
    seen = preview(copy, settings(home))
    assert [replace(message, made_at=NOW) for message in seen] == list(sent)


def test_a_preview_knows_what_is_held_back(home):
    home.add(site(mue("bad")), held=[MUE])
    home.add(site(mue("4")))

    assert told(preview(home.home, settings(home), 1)) == [(X, "3", "4")]


def test_a_preview_of_a_rule_that_there_is_not_names_those_there_are(home):
    with pytest.raises(UsageError, match=r"no rule 'biling'\. There are: default"):
        preview(home.home, settings(home), 5, "biling")
