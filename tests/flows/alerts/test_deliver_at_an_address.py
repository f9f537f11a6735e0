"""Delivery for a home at an address: it is held while messages are made and noted, not while they are on their way."""

import datetime as dt

import pytest

from flows.alert_settings import ChannelSettings, OperatorSettings
from flows.alerts import deliver as delivering
from flows.alerts.deliver import deliver
from flows.alerts.outbox import open_outbox
from flows.alerts.sending import Sent
from flows.alerts.webhook import Outcome
from flows.errors import HomeHeld
from flows.home import reading, writing
from flows.remote import lease as leases
from flows.remote import session
from flows.settings import Settings
from tests.flows.alerts.made import NOW, message
from tests.flows.stores import MemoryStore, machine

LATER = NOW + dt.timedelta(hours=1)


class Killed(BaseException):
    """The machine is gone, and all that was only on it."""


@pytest.fixture
def address(monkeypatch, tmp_path):
    monkeypatch.setattr(session, "open_store", MemoryStore.open)
    monkeypatch.setenv("HOOK", "https://hooks.example/a")
    monkeypatch.setenv("HOOK_KEY", "c3ludGhldGlj")
    return f"memory://{tmp_path.name}"


class Receiver:
    """In place of processes that send: ``meanwhile`` happens while a message is on its way."""

    def __init__(self, monkeypatch):
        self.got, self.ok, self.meanwhile = [], True, lambda: None
        monkeypatch.setattr(delivering, "send_all", self.send)

    def send(self, batches, without=()):
        for batch in batches:
            for form in batch.job["messages"]:
                self.got.append(form)
                self.meanwhile()
                yield Sent(batch.channel, form["message_id"], Outcome(self.ok, None if self.ok else "refused"))

    def ids(self):
        return [form["message_id"] for form in self.got]


@pytest.fixture
def receiver(monkeypatch):
    return Receiver(monkeypatch)


def settings_of(home, **operators):
    channels = {"hook": ChannelSettings(kind="webhook", url="env:HOOK", key="env:HOOK_KEY")}
    return Settings(home=home, channels=channels, operators=OperatorSettings(channels=("hook",), **operators))


def put(home, *names):
    with writing(home, "run") as place, open_outbox(place.folder) as outbox:
        for name in names:
            outbox.add_message(message(name), ["hook"])


def states(home):
    with open_outbox(reading(home)) as outbox:
        return {one.message_id: (one.state, one.attempts) for one in outbox.deliveries()}


def test_a_run_can_have_the_home_while_messages_are_on_their_way(address, receiver, tmp_path):
    first, second = machine(address, tmp_path / "first"), machine(address, tmp_path / "second")
    put(first, "one", "two")
    receiver.meanwhile = lambda: [put(first, f"of-{len(receiver.got)}"), put(second, f"other-{len(receiver.got)}")]
    done = deliver(settings_of(first), NOW)
    assert (len(done.attempts), done.failed, done.waiting) == (2, (), 4)
    assert {name for name, (state, _) in states(second).items() if state == "sent"} == {"msg_one", "msg_two"}
    assert len(states(second)) == 6, "what others wrote meanwhile stays"


@pytest.mark.parametrize("ok", [True, False])
def test_law_6_what_was_sent_while_a_run_took_the_home_is_noted_by_the_next_delivery(address, receiver, tmp_path, ok):
    home, runs = machine(address, tmp_path / "first"), machine(address, tmp_path / "second")
    put(home, "one")
    receiver.ok = ok
    with pytest.MonkeyPatch.context() as patch:
        held = writing(runs, "run")
        receiver.meanwhile = held.__enter__
        done = deliver(settings_of(home), NOW)
        assert [attempt.error for attempt in done.attempts] == [None if ok else "refused"]
        assert deliver(settings_of(home), NOW).elsewhere
        held.__exit__(None, None, None)
        patch.setattr(receiver, "meanwhile", lambda: None)
        deliver(settings_of(home), NOW)
    assert receiver.ids() == ["msg_one"]
    assert states(runs) == {"msg_one": ("sent", 0) if ok else ("waiting", 1)}
    deliver(settings_of(home), NOW)
    assert states(runs) == {"msg_one": ("sent", 0) if ok else ("waiting", 1)}, "each attempt is noted once"


def test_law_6_what_a_machine_sent_that_was_lost_meanwhile_is_repeated_under_the_same_id(
    address, receiver, tmp_path, monkeypatch
):
    run = "20260301T060000000000Z-ab12"
    first = machine(address, tmp_path / "first")
    with writing(first, run) as place, open_outbox(place.folder) as outbox:
        outbox.note_run(run)

    def die():
        raise Killed

    receiver.meanwhile = die
    with pytest.raises(Killed):
        deliver(settings_of(first, run_every_hours=24), NOW + dt.timedelta(days=3))
    receiver.meanwhile = lambda: None
    monkeypatch.setattr(leases, "_is_over", lambda *_: True)
    deliver(settings_of(machine(address, tmp_path / "second"), run_every_hours=24), NOW + dt.timedelta(days=3, hours=1))
    assert [form["payload"]["conditions"][0]["kind"] for form in receiver.got] == ["schedule", "schedule"]
    assert receiver.got[0] == receiver.got[1], "the same, word for word, with the time when it was made"


def test_machines_agree_on_the_schedule_whichever_of_them_ran(address, receiver, tmp_path):
    runs, watches = machine(address, tmp_path / "first"), machine(address, tmp_path / "second")
    for name in ("20260301T060000000000Z-ab12", "20260302T060000000000Z-ab12"):
        with writing(runs, name) as place, open_outbox(place.folder) as outbox:
            (place.folder / "runs").mkdir(exist_ok=True)
            (place.folder / "runs" / f"{name}.json").write_text("{}")
            outbox.note_run(name)
    for home in (runs, watches, runs):
        deliver(settings_of(home, run_every_hours=24), NOW)
    assert receiver.got == []
    for home in (watches, runs, watches):
        deliver(settings_of(home, run_every_hours=24), NOW + dt.timedelta(days=2))
    assert len(receiver.got) == 1


def test_a_home_that_a_run_holds_is_left_alone(address, receiver, tmp_path):
    home = machine(address, tmp_path / "first")
    put(home, "one")
    with writing(machine(address, tmp_path / "second"), "run"):
        assert deliver(settings_of(home), NOW).elsewhere
        with pytest.raises(HomeHeld):
            put(home, "two")
    assert receiver.got == []


@pytest.mark.parametrize("same_machine", [True, False])
def test_a_run_waits_for_a_delivery_that_has_the_home_for_a_moment(address, tmp_path, monkeypatch, same_machine):
    home = machine(address, tmp_path / "first")
    held = writing(home if same_machine else machine(address, tmp_path / "second"), "alerts-20260302T080000Z")
    held.__enter__()
    waited = []

    def ends(seconds):
        waited.append(seconds)
        held.__exit__(None, None, None)

    monkeypatch.setattr(session, "sleep", ends)
    put(home, "one")
    assert len(waited) == 1
    assert states(home) == {"msg_one": ("waiting", 0)}


def test_a_run_does_not_wait_for_a_delivery_that_keeps_the_home(address, tmp_path, monkeypatch):
    monkeypatch.setattr(session, "_MOMENTS", 0.05)
    with (
        writing(machine(address, tmp_path / "second"), "alerts-20260302T080000Z"),
        pytest.raises(HomeHeld, match="alerts-20260302"),
        writing(machine(address, tmp_path / "first"), "run"),
    ):
        pass
