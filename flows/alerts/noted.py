"""How deliveries of this machine went that a home at an address does not know yet: ``alerts/.noted.jsonl`` in its copy.

While messages are on their way, another writer may have the home. What is in this file is brought into the outbox by
whoever of this machine delivers and holds the home next; until then other machines may send the same again (law 6).
"""

from __future__ import annotations

import datetime as dt
import json
import os
from pathlib import Path

from flows.alerts.outbox import Outbox

FILE = "alerts/.noted.jsonl"


def keep(folder: Path, message_id: str, channel: str, at: dt.datetime, error: str | None) -> None:
    """An attempt that has ended. ``error``: why it failed, without secrets."""
    told = {"message_id": message_id, "channel": channel, "at": at.isoformat(), "error": error}
    with (folder / FILE).open("a", encoding="utf-8") as file:
        file.write(json.dumps(told) + "\n")
        file.flush()
        os.fsync(file.fileno())


def bring_in(folder: Path, outbox: Outbox) -> None:
    """Note each attempt once, however often this is done."""
    for line in _lines(folder / FILE):
        try:
            told = json.loads(line)
            message_id, channel, error = told["message_id"], told["channel"], told["error"]
            at = dt.datetime.fromisoformat(told["at"])
        except (ValueError, KeyError, TypeError):  # half a line of a process that was killed: its message is sent again
            continue
        for delivery in outbox.deliveries(message_id=message_id, channel=channel, state="waiting"):
            if error is None:
                outbox.sent(message_id, channel, at)
            elif delivery.last_at is None or delivery.last_at < at:
                outbox.failed(message_id, channel, at, error)


def forget(folder: Path) -> None:
    """The home has it now."""
    (folder / FILE).unlink(missing_ok=True)


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
