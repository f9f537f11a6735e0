"""Law 6: a delivery that is killed at any moment loses nothing, and repeats only under the same id."""

import json
import multiprocessing
import random
import re
import shutil
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor

import pytest

from flows.alerts.outbox import FILE
from tests.flows.alerts import kill_deliveries
from tests.flows.alerts.receivers import Log, http_receiver
from tests.flows.pages import SAMPLES, run_inline, without_validation

pytestmark = pytest.mark.full
KILLS = 100


@pytest.fixture
def unplanned(tmp_path, monkeypatch):
    """A home as a run leaves it that is killed after it published, and before it planned an alert."""
    without_validation(monkeypatch)
    home = tmp_path / "unplanned"
    run_inline(home, SAMPLES[0])
    begun = (home / FILE).read_bytes()
    run_inline(home, SAMPLES[1])
    shutil.rmtree(home / "alerts")
    (home / "alerts").mkdir()
    (home / FILE).write_bytes(begun)
    return home


def test_law_6_a_delivery_that_is_killed_at_100_moments_loses_nothing(unplanned, tmp_path, monkeypatch, capsys):
    log, seed = Log(), random.SystemRandom().randrange(1 << 32)
    with http_receiver(log) as address:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            killed, turns, wrong = pool.submit(
                kill_deliveries.rounds, unplanned, tmp_path, address, KILLS, seed
            ).result()
        # What there is to tell: of a delivery that nobody disturbed.
        expected = kill_deliveries.told_by(tmp_path / "first")
    assert wrong == []
    assert killed.total() >= KILLS
    assert set(killed) >= {"planning", "sending", "arrived", "noted"}, "kills are to fall into every part of it"

    arrived = defaultdict(Counter)
    bodies = defaultdict(set)
    for request in log.stored:
        turn = int(request["target"].rpartition("/")[2])
        message_id = request["id"] if request["path"] == "fine" else _named_in(request["body"])
        arrived[turn, request["path"]][message_id] += 1
        bodies[turn, request["path"], message_id].add(request["body"])
    users = {message_id for message_id, events in expected.items() if events}
    assert len(users) >= 5
    for turn in range(-1, turns):
        for path in kill_deliveries.CHANNELS:
            assert set(arrived[turn, path]) == users, f"seed {seed}, round {turn}, {path}"
    assert {len(forms) for forms in bodies.values()} == {1}, "a repeat is the same, word for word"
    repeats = sum(count - 1 for of in arrived.values() for count in of.values())
    with capsys.disabled():
        told = ", ".join(f"{killed[name]} after {name!r}" for name in kill_deliveries.MOMENTS)
        print(f"\n{killed.total()} kills in {turns} rounds (seed {seed}): {told}; {repeats} repeats, nothing lost")


def _named_in(body):
    # Ex: message msg_0123456789abcdef0123456789abcdef
    return re.findall(r"msg_[0-9a-f]{32}", json.loads(body)["message"])[-1]
