"""Deliveries that are killed by SIGKILL at random moments. For a process of its own: it forks."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flows.alert_settings import ChannelSettings, RuleSettings
from flows.alerts import deliver as delivering
from flows.alerts import sending
from flows.alerts.outbox import Outbox, existing_outbox, open_outbox
from flows.settings import Settings
from tests.flows.alerts.made import NOW

MOMENTS = ("begun", "planning", "planned", "sending", "feed", "arrived", "noted")
"""Where a kill comes: after the moment of that name, and before the next one."""
CHANNELS = ("fine", "json")


def settings_of(home: Path) -> Settings:
    """A message for each code, and one for all of them, on two channels and in the feed."""
    channels = {
        "fine": ChannelSettings(kind="webhook", url="env:SYNTHETIC_FINE", key="env:SYNTHETIC_KEY"),
        "json": ChannelSettings(url="env:SYNTHETIC_JSON"),
    }
    rules = {"each": RuleSettings(when="event"), "all": RuleSettings(when="run")}
    return Settings(home=home, channels=channels, rules=rules)


def rounds(unplanned: Path, scratch: Path, address: str, kills: int, seed: int) -> tuple[Counter[str], int, list[str]]:
    """Deliver, killed again and again and at last let through, from a home with a snapshot that is not planned.

    Returns how many kills came after which moment, how many rounds there were, and what was wrong at the end of some.
    """
    moment = random.Random(seed)
    killed: Counter[str] = Counter()
    wrong: list[str] = []
    turn, seconds = 0, _undisturbed(shutil.copytree(unplanned, scratch / "first", symlinks=True), address)
    while killed.total() < kills and not wrong:
        home = shutil.copytree(unplanned, scratch / "home", symlinks=True)
        _receivers(address, turn)
        for _ in range(12):
            name = moment.choice(list(seconds))
            if (reached := _killed(home, name, moment)) is None:
                break
            killed[reached] += 1
        _killed(home, None, moment)
        wrong += [f"seed {seed}, round {turn}: {found}" for found in _harm(home)]
        shutil.rmtree(home)
        turn += 1
    return killed, turn, wrong


def _receivers(address: str, turn: int) -> None:
    os.environ["SYNTHETIC_KEY"] = "c3ludGhldGljIGtleQ=="
    os.environ["SYNTHETIC_FINE"] = f"{address}/fine/{turn}"
    os.environ["SYNTHETIC_JSON"] = f"{address.replace('http', 'json')}/json/{turn}"


def _undisturbed(home: Path, address: str) -> dict[str, int]:
    """How often each moment comes, in this process, which has imported then what its children need."""
    _receivers(address, -1)
    seen: Counter[str] = Counter()
    # In a child, so that nothing of it stays here but what was imported.
    child, listen = _forked(home)
    with os.fdopen(listen) as told:
        seen.update(line.strip() for line in told)
    assert os.waitpid(child, 0)[1] == 0
    assert set(MOMENTS) == set(seen), seen
    delivering.deliver(settings_of(home), NOW)
    return dict(seen)


def _forked(home: Path) -> tuple[int, int]:
    """A child that delivers, and a pipe in which it tells each moment."""
    listen, tell = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(listen)
            _telling(lambda name: os.write(tell, f"{name}\n".encode()))
            delivering.deliver(settings_of(home), NOW)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(70)
    os.close(tell)
    return child, listen


def _telling(tell: Callable[[str], object]) -> None:
    """Have the functions of a delivery tell where it is."""

    def around(owner: Any, name: str, before: str | None, after: str | None) -> None:
        function = getattr(owner, name)

        def told(*args: Any, **others: Any) -> Any:
            if before:
                tell(before)
            found = function(*args, **others)
            if after:
                tell(after)
            return found

        setattr(owner, name, told)

    around(delivering, "_made", "planning", "planned")
    around(sending, "_send", "sending", None)
    around(delivering, "_write_feed", None, "feed")
    around(Outbox, "sent", "arrived", "noted")
    tell("begun")


def _killed(home: Path, name: str | None, moment: random.Random) -> str | None:
    """Kill a delivery a little after it tells ``name`` for the first to fourth time; None where it ended before."""
    child, listen = _forked(home)
    times, reached = moment.randint(1, 4) if name in ("arrived", "noted") else 1, "begun"
    with os.fdopen(listen) as told:
        for line in told:
            reached = line.strip()
            times -= reached == name
            if not times:
                break
        if name:
            time.sleep(moment.choice((0, 0.002, 0.02, 0.3)) * moment.random())
            os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        for line in told:
            reached = line.strip()
    assert os.WIFSIGNALED(status) or status == 0, f"the delivery ended with {status}"
    return reached if os.WIFSIGNALED(status) else None


def _harm(home: Path) -> list[str]:
    with open_outbox(home) as outbox:
        outbox.check()
        left = [
            f"{one.message_id} to {one.channel} is {one.state}" for one in outbox.deliveries() if one.state != "sent"
        ]
        return left + [f"{entry.rule}: {entry.item.event_id} is told by nobody" for entry in outbox.open_entries()]


def told_by(home: Path) -> dict[str, tuple[str, ...]]:
    """By message id, the events that the outbox has in it: of messages for users."""
    with existing_outbox(home) as outbox:
        assert outbox is not None
        return {
            message.message_id: tuple(sorted(item.event_id for item in message.items)) for message in outbox.messages()
        }
