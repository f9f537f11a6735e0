"""The process that sends messages to one channel: ``python -m flows.alerts.send``, started by ``deliver``.

On standard input one JSON document (``Job``), which alone holds secrets. On standard output a line of JSON when it is
ready, then one for each message, in their order: ``message_id``, ``ok``, ``error``, ``retryable``. Nothing else is
written anywhere.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import IO, TYPE_CHECKING, Any, TypedDict

from flows.alerts.webhook import Outcome, answered, post

if TYPE_CHECKING:
    from apprise import NotifyBase


class Job(TypedDict):
    """``messages``: each with message_id, title, text, markdown, html, chat, payload."""

    kind: str
    url: str
    key: str | None
    timeout: float
    messages: list[dict[str, Any]]


def main() -> None:
    told = _only_our_own_output()
    job: Job = json.loads(sys.stdin.buffer.read())
    send = _by_webhook(job) if job["kind"] == "webhook" else _by_apprise(job["url"])
    _tell(told, None, Outcome(True))
    for message in job["messages"]:
        try:
            outcome = send(message)
        except Exception as error:  # a plugin's own, whose words may hold the address
            outcome = Outcome(False, f"sending failed ({type(error).__name__})")
        _tell(told, message["message_id"], outcome)


def _tell(to: IO[str], message_id: str | None, outcome: Outcome) -> None:
    """``message_id``: None for being ready."""
    print(json.dumps({"message_id": message_id} | asdict(outcome)), file=to, flush=True)


def _only_our_own_output() -> IO[str]:
    """Standard output for us; what libraries write there or to standard error goes nowhere."""
    told = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    return told


def _by_webhook(job: Job) -> Callable[[Mapping[str, Any]], Outcome]:
    def send(message: Mapping[str, Any]) -> Outcome:
        return post(job["url"], job["key"], message["message_id"], message["payload"], time.time(), job["timeout"])

    return send


class _Heard(logging.Handler):
    """What Apprise says when it fails, of which only the status of an answer and the kind of failure is kept."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.found: Outcome | None = None

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        # Ex: Failed to send JSON notification: Unauthorized, error=401.
        if status := re.search(r"error=([1-5][0-9]{2})\b", text):
            self.found = answered(int(status[1]))
        elif "onnection" in text and self.found is None:  # Ex: A Connection error occurred sending JSON
            self.found = Outcome(False, "no connection, or the server refused the message")


def _by_apprise(url: str) -> Callable[[Mapping[str, Any]], Outcome]:
    import apprise

    heard = _Heard()
    logger = logging.getLogger("apprise")
    logger.handlers, logger.propagate = [heard], False
    asset = apprise.AppriseAsset(
        app_id="cptflow",
        app_desc="cptflow",
        image_url_mask="",  # pictures would be loaded from another host
        async_mode=False,
        interpret_emojis=False,
        storage_mode=apprise.PersistentStoreMode.MEMORY,
    )
    service = apprise.Apprise(asset=asset)
    known = service.add(url) and len(service) > 0

    def send(message: Mapping[str, Any]) -> Outcome:
        if not known:
            return Outcome(False, "its address is none that Apprise knows: mailto://, slack://, ...", retryable=False)
        heard.found = None
        # One after the other, each in the form that it prefers; all of them, also where one fails.
        taken = [_notify(plugin, message) for plugin in service]
        if all(taken):
            return Outcome(True)
        return heard.found or Outcome(False, "the service did not take it")

    return send


def _notify(plugin: NotifyBase, message: Mapping[str, Any]) -> bool:
    import apprise

    forms = {apprise.NotifyFormat.HTML: "html", apprise.NotifyFormat.MARKDOWN: "markdown"}
    form, body, overflow = plugin.notify_format, message[forms.get(plugin.notify_format, "text")], None
    if len(body) > plugin.body_maxlen:  # in parts, which only plain text can be cut into
        form, body, overflow = apprise.NotifyFormat.TEXT, message["text"], apprise.OverflowMode.SPLIT
    elif form == apprise.NotifyFormat.MARKDOWN:  # each chat has its own, which Apprise makes of HTML
        form, body = apprise.NotifyFormat.HTML, message["chat"]
    one = apprise.Apprise(asset=plugin.asset)
    one.add(plugin)
    if overflow:
        plugin.overflow_mode = overflow
    # A service without titles would put it before the body as it is; the body tells it too.
    title = message["title"] if plugin.title_maxlen > 0 else ""
    return bool(one.notify(body=body, title=title, body_format=form))


if __name__ == "__main__":
    main()
