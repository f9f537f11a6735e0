"""Law 6 for a home at an address: whatever write at the store is the last one, each change is told."""

import itertools
import shutil
from contextlib import suppress

import pytest

from flows.alert_settings import ChannelSettings
from flows.alerts import deliver as delivering
from flows.alerts.deliver import deliver
from flows.alerts.outbox import FILE, open_outbox
from flows.alerts.plan import plan
from flows.alerts.sending import Sent
from flows.alerts.webhook import Outcome
from flows.home import reading, writing
from flows.remote import lease as leases
from flows.remote.store import Store
from flows.settings import Settings
from tests.flows.alerts.made import NOW
from tests.flows.stores import become, driver, machine, new_bucket, s3_server, use
from warehouse.snapshots import current_id

pytestmark = pytest.mark.full
EVERY = {False: 17, True: 4}
"""A kill at each so many writes: of a run, of a delivery."""


class Killed(BaseException):
    """The machine is gone, and all that was only on it."""


@pytest.fixture(scope="module")
def bucket():
    with s3_server() as endpoint, pytest.MonkeyPatch.context() as patch:
        use(patch, endpoint)
        yield new_bucket("alerts")


@pytest.fixture
def got(monkeypatch):
    """What the receiver has, by message id, in place of processes that send."""
    got = {}

    def send(batches, without=()):
        for batch in batches:
            for form in batch.job["messages"]:
                got.setdefault(form["message_id"], []).append(form["payload"])
                yield Sent(batch.channel, form["message_id"], Outcome(True))

    monkeypatch.setattr(delivering, "send_all", send)
    monkeypatch.setattr(leases, "_is_over", lambda *_: True)
    monkeypatch.setenv("HOOK", "https://hooks.example/a")
    monkeypatch.setenv("HOOK_KEY", "c3ludGhldGlj")
    return got


def settings_of(home):
    channels = {"hook": ChannelSettings(kind="webhook", url="env:HOOK", key="env:HOOK_KEY")}
    return Settings(home=home, channels=channels)


def publish(home, outcome):
    """What a run does that ends with the snapshots of ``outcome``, and has planned its alerts."""
    with writing(home, "run") as place:
        become(place.folder, outcome)
        plan(place.folder, settings_of(home), NOW)


def events(payloads):
    return {(one["rule"], item["event_id"]) for one in payloads for item in one["items"]}


def expected(outcome, tmp_path):
    """What there is to tell between the two snapshots, by a home on a disk."""
    place = shutil.copytree(outcome, tmp_path / "expected", symlinks=True)
    (place / FILE).unlink()
    with open_outbox(place) as outbox:
        outbox.connection.execute("DELETE FROM planned WHERE snapshot_id = ?", (current_id(place),))
    return {(message.rule, item.event_id) for message in plan(place, settings_of(place), NOW) for item in message.items}


def test_law_6_a_machine_that_is_lost_at_any_write_loses_no_alert(bucket, grown, got, tmp_path, monkeypatch):
    wanted = expected(grown[1], tmp_path)
    assert len(wanted) >= 5
    write = Store.write
    for run, kills_delivery in enumerate((False, True)):
        address = f"{bucket}/{run}"
        publish(machine(address, tmp_path / f"first-{run}"), grown[0])
        got.clear()
        for n in itertools.count(2, EVERY[kills_delivery]):
            left = itertools.count(1)

            def mortal(*args, left=left, n=n):
                if next(left) >= n:
                    raise Killed
                return write(*args)

            fresh = machine(address, tmp_path / f"{run}-{n}")
            with monkeypatch.context() as patch, suppress(Killed):
                if kills_delivery:
                    publish(fresh, grown[1])
                patch.setattr(Store, "write", mortal)
                if kills_delivery:
                    deliver(settings_of(fresh))
                else:
                    publish(fresh, grown[1])
                break
            there = current_id(reading(machine(address, tmp_path / f"reader-{run}-{n}")))
            if there != current_id(grown[1]):
                assert not got, "nothing is told that is not published"
        for last in range(2):
            deliver(settings_of(machine(address, tmp_path / f"last-{run}-{last}")))
        told = [payloads for payloads in got.values() if payloads[0]["type"] == "changes"]
        assert events([payloads[0] for payloads in told]) == wanted
        assert all(payload == payloads[0] for payloads in told for payload in payloads), "a repeat is the same"
        assert len(told) == len({payload[0]["rule"] for payload in told}), "and has the same id"
        assert driver().exists(f"{address.removeprefix('s3://')}/alerts/feed.xml")
