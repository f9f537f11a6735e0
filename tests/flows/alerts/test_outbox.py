"""The outbox keeps what it was given, whatever ends the process that uses it (law 6)."""

import datetime as dt
import shutil
import sqlite3
import tempfile
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from flows.alerts.errors import OutboxDamaged, OutboxError, OutboxTooNew
from flows.alerts.message import Condition
from flows.alerts.outbox import FILE, PAUSES, VERSION, existing_outbox, open_outbox
from tests.flows.alerts.made import NOW, SNAPSHOT, entry, item, message
from warehouse import snapshots

CHANNELS = ("billing", "feed", "mail")
WRONG = Condition("suspect:openpayer", "suspect", "openpayer", "warning", NOW, None, "Synthetic.", "Look.", "run")


def test_snapshots_that_are_there_when_the_outbox_begins_count_as_told(published, tmp_path):
    home = shutil.copytree(published, tmp_path / "home", symlinks=True, ignore=shutil.ignore_patterns("alerts"))
    with open_outbox(home) as outbox:
        assert outbox.planned() == {manifest["snapshot_id"] for manifest in snapshots.lineage(home)}
        assert len(outbox.planned()) == 2


def test_law_6_what_was_killed_before_it_was_written_whole_is_not_there_at_all(tmp_path):
    class Killed(BaseException):
        pass

    def write_and_die():
        with open_outbox(tmp_path) as outbox, outbox.together():
            outbox.add_plan(SNAPSHOT, [entry("99999")], {"kept": 1})
            outbox.add_message(message("one"), ["feed"], outbox.due_entries(NOW))
            raise Killed

    with pytest.raises(Killed):
        write_and_die()
    with open_outbox(tmp_path) as outbox:
        assert (outbox.planned(), outbox.open_entries(), outbox.messages(), outbox.withheld()) == (
            frozenset(),
            [],
            [],
            {},
        )


def test_items_and_messages_come_back_as_they_were_given(tmp_path):
    odd = item(
        "0001F", before="Synthetic \u2028 \x00 ß", after="", effective_on=dt.date(2026, 7, 1), replaced_by=("1",)
    )
    with open_outbox(tmp_path) as outbox:
        outbox.add_message(message("odd", odd), ["feed"])
        outbox.set_conditions({WRONG.name: WRONG})
    with open_outbox(tmp_path) as outbox:
        assert outbox.messages() == [message("odd", odd)]
        assert outbox.conditions() == {WRONG.name: WRONG}


def test_a_snapshot_is_planned_once_and_an_event_is_picked_once_by_each_rule(tmp_path):
    with open_outbox(tmp_path) as outbox:
        assert outbox.add_plan("a", [entry("99999"), entry("99999", rule="other")], {"first": 1})
        assert not outbox.add_plan("a", [entry("11111")], {"second": 2})
        assert outbox.add_plan("b", [entry("99999")], {"third": 3})
        assert [(one.rule, one.item.code) for one in outbox.open_entries()] == [
            ("default", "99999"),
            ("other", "99999"),
        ]
        assert outbox.withheld() == {"third": 3}


def test_entries_are_due_when_their_time_has_come_and_are_in_one_message_only(tmp_path):
    later = NOW + dt.timedelta(days=1)
    with open_outbox(tmp_path) as outbox, open_outbox(tmp_path) as other:
        outbox.add_plan("a", [entry("99999"), entry("11111", due_at=later)], {})
        due = outbox.due_entries(NOW)
        assert [one.item.code for one in due] == ["99999"]
        assert outbox.add_message(message("one"), ["feed"], due)
        both = [*due, *outbox.due_entries(later)]
        assert not other.add_message(message("two"), ["feed"], both), "another process has told one of them meanwhile"
        assert other.message("msg_two") is None
        assert [one.item.code for one in other.due_entries(later)] == ["11111"], "the other one is still to be told"


def test_a_message_that_is_there_already_changes_nothing(tmp_path):
    with open_outbox(tmp_path) as outbox:
        assert outbox.add_message(message("one"), ["feed", "mail"])
        outbox.sent("msg_one", "mail", NOW)
        assert not outbox.add_message(message("one", item("11111")), ["feed", "mail", "billing"])
        assert [(one.channel, one.state) for one in outbox.deliveries()] == [("feed", "waiting"), ("mail", "sent")]
        assert outbox.messages(sent_to="mail") == [message("one")]
        assert outbox.messages(sent_to="feed") == []


def test_a_message_of_quiet_hours_waits_for_their_end(tmp_path):
    morning = NOW + dt.timedelta(hours=11)
    with open_outbox(tmp_path) as outbox:
        outbox.add_message(message("night"), ["mail"], not_before=morning)
        assert outbox.due(morning - dt.timedelta(seconds=1)) == []
        assert [one.message_id for one in outbox.due(morning)] == ["msg_night"]


def test_the_oldest_message_is_due_first(tmp_path):
    with open_outbox(tmp_path) as outbox:
        for name in ("z", "b", "a"):
            outbox.add_message(message(name), ["mail"])
        outbox.failed("msg_z", "mail", NOW, "refused")
        outbox.retry(NOW, "msg_z")
        assert [one.message_id for one in outbox.due(NOW)] == ["msg_z", "msg_b", "msg_a"]


def test_a_condition_that_a_person_has_seen_stays_seen_until_it_begins_anew(tmp_path):
    with open_outbox(tmp_path) as outbox:
        outbox.set_conditions({WRONG.name: WRONG})
        assert outbox.ack_condition(WRONG.name, NOW)
        assert not outbox.ack_condition("no such", NOW)
        outbox.set_conditions({WRONG.name: WRONG})
        assert outbox.acked_conditions() == {WRONG.name}
        outbox.set_conditions({})
        outbox.set_conditions({WRONG.name: WRONG})
        assert outbox.acked_conditions() == frozenset()


@pytest.mark.parametrize("damage", [b"no database " * 100, None])
def test_a_damaged_outbox_says_what_to_do_and_what_is_lost(tmp_path, damage):
    with open_outbox(tmp_path) as outbox:
        outbox.add_message(message("one"), ["mail"])
    file = tmp_path / FILE
    data = file.read_bytes()
    file.write_bytes(damage or data[: len(data) // 3] + b"\xff" * 6000)
    with pytest.raises(OutboxDamaged) as told, open_outbox(tmp_path) as outbox:
        outbox.check()
    assert str(file) in str(told.value)
    for word in ("backup", "remove it", "lost", "published all the same"):
        assert word in str(told.value)


def test_the_outbox_of_a_newer_version_is_left_alone(tmp_path):
    with open_outbox(tmp_path):
        pass
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(OutboxTooNew, match="newer cptflow"), open_outbox(tmp_path):
        pass
    assert (tmp_path / FILE).read_bytes() == before


def test_an_outbox_that_cannot_be_written_says_what_becomes_of_the_news(tmp_path):
    (tmp_path / "alerts").write_text("a file in its place")
    with pytest.raises(OutboxError, match="Nothing is lost"), open_outbox(tmp_path):
        pass


def test_looking_at_a_home_without_alerts_makes_nothing(tmp_path):
    with existing_outbox(tmp_path) as outbox:
        assert outbox is None
    assert list(tmp_path.iterdir()) == []


def test_an_outbox_that_was_killed_while_it_began_is_begun_anew(tmp_path):
    (tmp_path / FILE).parent.mkdir()
    (tmp_path / FILE).touch()
    with existing_outbox(tmp_path) as outbox:
        assert outbox is None
    with open_outbox(tmp_path) as outbox:
        assert outbox.add_message(message("one"), ["mail"])


class Deliveries(RuleBasedStateMachine):
    """Messages on their way, with failures, restarts and people in between, against a model in plain Python."""

    @initialize()
    def begin(self):
        self.home = Path(tempfile.mkdtemp(prefix="cptflow-outbox-"))
        self.now = NOW
        self.model: dict[tuple[str, str], tuple[str, int, dt.datetime | None]] = {}
        self.made = 0
        self._open()

    def _open(self):
        self.context = open_outbox(self.home)
        self.outbox = self.context.__enter__()

    def _close(self):
        self.outbox.connection.close()
        self.context.__exit__(None, None, None)  # else whichever thread collects it closes it

    @rule(channels=st.sets(st.sampled_from(CHANNELS)))
    def add(self, channels):
        name = f"{self.made:03d}"
        self.made += 1
        assert self.outbox.add_message(message(name, made_at=self.now), sorted(channels))
        self.model |= {(f"msg_{name}", channel): ("waiting", 0, self.now) for channel in channels}

    @rule(minutes=st.integers(0, 2000))
    def wait(self, minutes):
        self.now += dt.timedelta(minutes=minutes)

    @rule(data=st.data(), fails=st.booleans(), crashes=st.booleans())
    @precondition(lambda self: any(self._due()))
    def try_one(self, data, fails, crashes):
        message_id, channel = data.draw(st.sampled_from(self._due()))
        if crashes:  # the receiver has it, and nobody wrote that down: it is due as before
            return
        _, failures, _ = self.model[message_id, channel]
        if not fails:
            self.outbox.sent(message_id, channel, self.now)
            self.model[message_id, channel] = ("sent", failures, None)
            return
        self.outbox.failed(message_id, channel, self.now, "refused")
        pause = PAUSES[failures] if failures < len(PAUSES) else None
        now = ("waiting", failures + 1, self.now + pause) if pause else ("dead", failures + 1, None)
        self.model[message_id, channel] = now

    @rule()
    def crash(self):
        """The process ends without a word; what it had begun to write is rolled back by whoever opens the file."""
        self.outbox.connection.execute("BEGIN IMMEDIATE")
        self.outbox.connection.execute("DELETE FROM deliveries")
        self._close()
        self._open()

    @rule(data=st.data(), all_dead=st.booleans())
    @precondition(lambda self: self.model)
    def retry(self, data, all_dead):
        message_id = None if all_dead else data.draw(st.sampled_from(sorted({name for name, _ in self.model})))
        self.outbox.retry(self.now, message_id)
        states = ("dead",) if all_dead else ("dead", "waiting")
        for key, (state, _, _) in self.model.items():
            if state in states and message_id in (None, key[0]):
                self.model[key] = ("waiting", 0, self.now)

    @rule(data=st.data())
    @precondition(lambda self: self.model)
    def ack(self, data):
        message_id = data.draw(st.sampled_from(sorted({name for name, _ in self.model})))
        self.outbox.ack(message_id)
        for key, (state, failures, _) in self.model.items():
            if key[0] == message_id and state != "sent":
                self.model[key] = ("acked", failures, None)

    def _due(self):
        return sorted(key for key, (state, _, at) in self.model.items() if state == "waiting" and at <= self.now)

    @invariant()
    def nothing_is_lost(self):
        if not hasattr(self, "outbox"):
            return
        found = {
            (one.message_id, one.channel): (one.state, one.attempts, one.next_at) for one in self.outbox.deliveries()
        }
        assert found == self.model
        assert sorted((one.message_id, one.channel) for one in self.outbox.due(self.now)) == self._due()
        assert {one.message_id for one in self.outbox.messages()} == {
            f"msg_{number:03d}" for number in range(self.made)
        }

    def teardown(self):
        if hasattr(self, "outbox"):
            self._close()
            shutil.rmtree(self.home)


TestDeliveries = Deliveries.TestCase
TestDeliveries.settings = hypothesis_settings(stateful_step_count=15, deadline=None)


def test_pauses_grow_and_a_delivery_is_given_up_after_the_last(tmp_path):
    assert all(shorter <= longer for shorter, longer in pairwise(PAUSES))
    now = NOW
    with open_outbox(tmp_path) as outbox:
        outbox.add_message(message("one"), ["mail"])
        for pause in PAUSES:
            outbox.failed("msg_one", "mail", now, "refused")
            assert outbox.due(now + pause - dt.timedelta(seconds=1)) == []
            now += pause
            assert [one.message_id for one in outbox.due(now)] == ["msg_one"]
        outbox.failed("msg_one", "mail", now, "still refused")
        (dead,) = outbox.deliveries(state="dead")
        assert (dead.attempts, dead.error, dead.next_at) == (len(PAUSES) + 1, "still refused", None)
        assert outbox.due(now + dt.timedelta(days=1000)) == []
