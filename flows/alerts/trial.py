"""A test message to channels: whether they work, before anything depends on it."""

from __future__ import annotations

import datetime as dt
import html
import secrets
from collections.abc import Iterable, Iterator
from typing import Any

from flows.alerts.deliver import Attempt, attempts_of, batch_of
from flows.alerts.errors import SecretMissing
from flows.settings import Settings


def try_channels(names: Iterable[str], settings: Settings, now: dt.datetime) -> Iterator[Attempt]:
    """Send each channel a message that says that it is a test, and that nothing has changed."""
    batches = []
    for name in names:
        message_id = f"msg_test_{secrets.token_hex(8)}"
        try:
            batches.append(batch_of(name, settings, [_form(name, message_id, now)]))
        except SecretMissing as error:
            yield Attempt(name, message_id, str(error))
    yield from attempts_of(batches, settings)


def _form(channel: str, message_id: str, now: dt.datetime) -> dict[str, Any]:
    from flows.alerts.escaping import markdown
    from flows.alerts.render import PAYLOAD_VERSION

    title = "cptflow: this is a test"
    lines = [
        f"This is a test of channel {channel}. Nothing has changed, and there is nothing to do.",
        f"Sent {now:%Y-%m-%d %H:%M} UTC, message {message_id}",
    ]
    return {
        "message_id": message_id,
        "title": title,
        "text": "\n\n".join([title, *lines]) + "\n",
        "markdown": "\n\n".join(markdown(line) for line in [title, *lines]) + "\n",
        "html": "".join(f"<p>{html.escape(line)}</p>\n" for line in [title, *lines]),
        "chat": "".join(f"<p>{html.escape(line)}</p>\n" for line in [title, *lines]),
        "payload": {
            "version": PAYLOAD_VERSION,
            "type": "test",
            "message_id": message_id,
            "rule": "test",
            "title": title,
            "made_at": now.isoformat(timespec="seconds").replace("+00:00", "Z"),
            "as_of": None,
            "snapshot_ids": [],
            "items": [],
            "conditions": [],
            "more": {},
            "more_at": None,
        },
    }
