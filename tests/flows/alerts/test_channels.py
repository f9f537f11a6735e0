"""Law 6 against receivers on loopback that fail in every way: each message arrives, a repeat has the same id."""

import base64
import datetime as dt
import json
import threading
from collections import Counter

import pytest
from standardwebhooks import Webhook

from flows.alert_settings import ChannelSettings
from flows.alerts.deliver import deliver
from flows.alerts.outbox import PAUSES, open_outbox
from flows.settings import Settings
from tests.flows.alerts.made import NOW, item, message
from tests.flows.alerts.receivers import Log, certificate, http_receiver, nobody_listens, smtp_receiver

pytestmark = pytest.mark.full
KEY = "whsec_" + base64.b64encode(b"synthetic key of thirty-two bytes").decode()
MESSAGES = ("one", "two", "three")
IDS = [f"msg_{name}" for name in MESSAGES]


@pytest.fixture
def log():
    return Log()


@pytest.fixture
def receiver(log):
    with http_receiver(Log()) as elsewhere, http_receiver(log, elsewhere=f"{elsewhere}/fine") as address:
        yield address


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


def webhooks(monkeypatch, home, addresses, timeout=5.0):
    """Settings with a signed webhook for each address, by name."""
    monkeypatch.setenv("SYNTHETIC_KEY", KEY)
    for name, address in addresses.items():
        monkeypatch.setenv(f"SYNTHETIC_{name.upper()}", address)
    channels = {
        name: ChannelSettings(
            kind="webhook", url=f"env:SYNTHETIC_{name.upper()}", key="env:SYNTHETIC_KEY", timeout=timeout
        )
        for name in addresses
    }
    return Settings(home=home, channels=channels)


def apprises(monkeypatch, home, addresses, timeout=20.0):
    for name, address in addresses.items():
        monkeypatch.setenv(f"SYNTHETIC_{name.upper()}", address)
    channels = {name: ChannelSettings(url=f"env:SYNTHETIC_{name.upper()}", timeout=timeout) for name in addresses}
    return Settings(home=home, channels=channels)


def put(home, channels, names=MESSAGES):
    home.mkdir(exist_ok=True)
    with open_outbox(home) as outbox:
        for number, name in enumerate(names):
            outbox.add_message(message(name, item(f"9999{number}"), item("0001F")), list(channels))


def deliver_all(settings, rounds=5):
    """Deliver, and again after each pause, until nothing waits. Returns what each call did."""
    now, done = NOW, []
    for pause in (dt.timedelta(0), *PAUSES[:rounds]):
        now += pause
        done.append(deliver(settings, now))
        if not done[-1].waiting:
            return done
    raise AssertionError(f"{done[-1].waiting} deliveries still wait: {done[-1].failed}")


def states(home):
    with open_outbox(home) as outbox:
        return Counter((one.channel, one.state) for one in outbox.deliveries())


FAILING = ("error", "lost", "reset", "hang", "drip", "oversize", "elsewhere")


def test_law_6_every_message_arrives_at_receivers_that_fail_in_every_way(home, log, receiver, monkeypatch):
    paths = [*FAILING, "fine"]
    with nobody_listens() as refusing:
        addresses = {path: f"{receiver}/{path}/hook" for path in paths} | {"refused": f"http://{refusing}/"}
        settings = webhooks(monkeypatch, home, addresses, timeout=2.0)
        put(home, addresses)
        first = deliver(settings, NOW)
        assert log.ids("fine") == IDS, "in the order of their making, at the first call"
        failed = {attempt.channel: attempt.error for attempt in first.failed}
        assert sorted(failed) == sorted({*FAILING, "refused"} - {"oversize"})
        assert "was refused" in failed["refused"]
        assert "500" in failed["error"]
        assert "redirects are not followed" in failed["elsewhere"]
        assert "no answer" in failed["hang"] + failed["drip"]
    settings = webhooks(monkeypatch, home, addresses | {"refused": f"{receiver}/refused"}, timeout=2.0)
    deliver_all(settings)

    for path in (*paths, "refused"):
        assert set(log.ids(path)) == set(IDS), path
    assert Counter(log.ids("lost")) == {"msg_one": 2, "msg_two": 1, "msg_three": 1}, (
        "it had stored what it never confirmed"
    )
    assert {state for _, state in states(home)} == {"sent"}
    bodies = {(request["id"], request["body"]) for request in log.seen}
    assert len(bodies) == len(IDS), "a repeat is the same message, word for word"
    for request in log.seen:
        payload = Webhook(KEY).verify(request["body"], {name.lower(): it for name, it in request["headers"].items()})
        assert payload["message_id"] == request["id"]
        assert [one["event_id"] for one in payload["items"]] == [f"event-9999{IDS.index(request['id'])}", "event-0001F"]


def test_law_6_a_redirect_to_another_host_is_never_followed(home, log, monkeypatch):
    theirs = Log()
    with http_receiver(theirs) as elsewhere, http_receiver(log, elsewhere=f"{elsewhere}/stolen") as address:
        settings = webhooks(monkeypatch, home, {"elsewhere": f"{address}/elsewhere"})
        put(home, ["elsewhere"])
        deliver_all(settings)
    assert theirs.seen == []
    assert set(log.ids("elsewhere")) == set(IDS)


def test_law_6_a_channel_that_hangs_does_not_hold_up_another(home, log, receiver, monkeypatch):
    settings = webhooks(monkeypatch, home, {"hang": f"{receiver}/hang", "fine": f"{receiver}/fine"}, timeout=50.0)
    put(home, ["hang", "fine"])
    done = []
    work = threading.Thread(target=lambda: done.append(deliver(settings, NOW)))
    work.start()
    try:
        log.wait_for(lambda: any(one["path"] == "hang" for one in log.seen) and log.ids("fine") == IDS)
        assert log.ids("hang") == []
        assert not done, "the first message of the one that hangs is still on its way"
    finally:
        log.released.set()
        work.join()
    assert Counter((one.channel, one.error is None) for one in done[0].attempts) == {
        ("fine", True): 3,
        ("hang", False): 1,
        ("hang", True): 2,
    }


def test_law_6_a_message_that_is_never_taken_does_not_block_those_behind_it(home, log, receiver, monkeypatch):
    settings = webhooks(monkeypatch, home, {"poison": f"{receiver}/hang"}, timeout=1.0)
    put(home, ["poison"])
    done = deliver(settings, NOW)
    assert log.ids("hang") == ["msg_two", "msg_three"]
    assert [(attempt.message_id, attempt.error is None) for attempt in done.attempts] == [
        ("msg_one", False),
        ("msg_two", True),
        ("msg_three", True),
    ]


def test_law_6_what_is_refused_for_good_is_kept_with_its_reason_and_sent_when_it_is_mended(
    home, log, receiver, monkeypatch
):
    settings = webhooks(monkeypatch, home, {"hook": f"{receiver}/gone"})
    put(home, ["hook"], ["one"])
    now = NOW
    for pause in (*PAUSES, dt.timedelta(0)):
        assert "410 (Gone)" in deliver(settings, now).failed[0].error
        now += pause
    assert states(home) == {("hook", "dead"): 1}
    assert deliver(settings, now).attempts == (), "it is given up"
    with open_outbox(home) as outbox:
        outbox.retry(now)
    assert deliver(webhooks(monkeypatch, home, {"hook": f"{receiver}/fine"}), now).failed == ()
    assert log.ids("fine") == ["msg_one"]


def test_law_6_a_channel_that_the_settings_lost_keeps_its_deliveries(home, log, receiver, monkeypatch):
    settings = webhooks(monkeypatch, home, {"hook": f"{receiver}/fine"})
    put(home, ["hook"])
    without = deliver(Settings(home=home), NOW)
    assert (without.no_channel, without.waiting, without.attempts) == (("hook",), 3, ())
    deliver(settings, NOW)
    assert log.ids("fine") == IDS


def test_law_6_a_secret_that_is_missing_keeps_the_message(home, log, receiver, monkeypatch):
    settings = webhooks(monkeypatch, home, {"hook": f"{receiver}/fine", "other": f"{receiver}/other"})
    put(home, ["hook", "other"])
    monkeypatch.delenv("SYNTHETIC_HOOK")
    told = {attempt.channel: attempt.error for attempt in deliver(settings, NOW).failed}
    assert "hook" in told["hook"]
    assert "SYNTHETIC_HOOK" in told["hook"]
    assert log.ids("other") == IDS, "another channel is not held up by it"
    monkeypatch.setenv("SYNTHETIC_HOOK", f"{receiver}/fine")
    deliver(settings, NOW + PAUSES[0])
    assert log.ids("fine") == IDS


def test_mail_and_json_get_every_message_by_apprise(home, log, receiver, monkeypatch):
    with smtp_receiver(log) as smtp:
        mail = f"mailto://{smtp}/?from=cptflow@example.org&to=billing@example.org&name=cptflow"
        addresses = {"mail": mail, "json": f"{receiver.replace('http', 'json')}/json"}
        settings = apprises(monkeypatch, home, addresses)
        put(home, addresses, MESSAGES[:2])  # Apprise leaves seconds between two mails
        assert deliver(settings, NOW).failed == ()
    mails = [request["mail"] for request in log.stored if request["path"] == "mail"]
    assert len(mails) == 2
    for mail, message_id in zip(mails, IDS[:2], strict=True):
        forms = {part.get_content_type(): part.get_content() for part in mail.walk() if not part.is_multipart()}
        assert message_id in forms["text/html"]
        assert message_id in forms["text/plain"]
        assert "0001F" in mail["Subject"] + forms["text/plain"]
    told = [json.loads(request["body"]) for request in log.stored if request["path"] == "json"]
    assert [one for one, message_id in zip(told, IDS[:2], strict=True) if message_id in one["message"]] == told


def test_law_6_a_message_in_many_parts_arrives_once_though_all_parts_take_longer_than_the_timeout(
    home, log, receiver, monkeypatch
):
    address = f"{receiver.replace('http', 'rocket')}/%23billing".replace("://", "://synthetic/token@")
    settings = apprises(monkeypatch, home, {"chat": address}, timeout=2.0)
    home.mkdir()
    with open_outbox(home) as outbox:
        told = [item(f"{number:05d}", title="Synthetic words of a title. " * 6) for number in range(20)]
        outbox.add_message(message("long", *told), ["chat"])
    log.refused = (3,)
    assert "503" in deliver(settings, NOW).failed[0].error
    assert len(log.seen) == 3, "what follows a part that was refused is not sent twice"
    log.stored.clear()
    assert deliver(settings, NOW + PAUSES[0]).failed == ()
    parts = [json.loads(request["body"])["text"] for request in log.stored]
    assert len(parts) >= 7
    assert max(map(len, parts)) <= 1000
    for number in range(20):
        assert "".join(parts).count(f"event event-{number:05d}") == 1


def test_law_6_mail_that_a_server_refuses_is_tried_again_and_why_is_told(home, log, receiver, monkeypatch):
    with nobody_listens() as refusing:
        addresses = {
            "mail": f"mailto://{refusing}/?from=cptflow@example.org&to=billing@example.org",
            "json": f"{receiver.replace('http', 'json')}/error",
            "odd": "nosuchservice://token@host",
        }
        settings = apprises(monkeypatch, home, addresses)
        put(home, addresses, ["one"])
        why = {attempt.channel: attempt.error for attempt in deliver(settings, NOW).failed}
    assert "no connection" in why["mail"]
    assert "500" in why["json"]
    assert "none that Apprise knows" in why["odd"]
    with smtp_receiver(log) as smtp:
        addresses["mail"] = f"mailto://{smtp}/?from=cptflow@example.org&to=billing@example.org"
        settings = apprises(monkeypatch, home, addresses)
        deliver(settings, NOW + PAUSES[0])
    assert len(log.ids("mail")) == 1
    assert len(log.ids("error")) == 1


def test_a_certificate_is_looked_at_and_plain_http_leaves_this_machine_never(home, log, tmp_path, monkeypatch):
    signed = certificate(tmp_path)
    with http_receiver(log, certificate=signed) as address:
        addresses = {"secure": f"{address}/secure", "plain": "http://hooks.example/x", "none": "ftp://hooks.example/x"}
        settings = webhooks(monkeypatch, home, addresses)
        put(home, addresses, ["one"])
        why = {attempt.channel: attempt.error for attempt in deliver(settings, NOW).failed}
        assert "TLS failed" in why["secure"]
        assert "https://" in why["plain"]
        assert "no web address" in why["none"]
        monkeypatch.setenv("SSL_CERT_FILE", str(signed))
        deliver(settings, NOW + PAUSES[0])
    assert log.ids("secure") == ["msg_one"]


def test_while_one_process_delivers_another_has_nothing_to_do(home, log, receiver, monkeypatch):
    settings = webhooks(monkeypatch, home, {"hang": f"{receiver}/hang"}, timeout=50.0)
    put(home, ["hang"])
    work = threading.Thread(target=deliver, args=(settings, NOW))
    work.start()
    try:
        log.wait_for(lambda: log.seen)
        assert deliver(settings, NOW).elsewhere
    finally:
        log.released.set()
        work.join()
    assert len(log.seen) == len(IDS)
