"""The process that sends messages to one channel: ``python -m flows.alerts.send``, started by ``deliver``.

On standard input one JSON document (``Job``), which alone holds secrets. On standard output a line of JSON when it is
ready, then one for each message, in their order: ``message_id``, ``ok``, ``error``; and an empty line before each
request of a message that may take several. Nothing else is written anywhere.
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
from functools import partial
from typing import IO, TYPE_CHECKING, Any, TypedDict

from flows.alerts.webhook import Outcome, answered, post

if TYPE_CHECKING:
    from apprise import NotifyBase


_PAUSE = 0.5
"""Seconds between two requests to a service of which Apprise knows nothing better. Teams takes 60 in 30 s."""


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
    alive = partial(print, file=told, flush=True)
    send = _by_webhook(job) if job["kind"] == "webhook" else _by_apprise(job["url"], alive)
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


def _by_apprise(url: str, alive: Callable[[], None]) -> Callable[[Mapping[str, Any]], Outcome]:
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
    for plugin in service:
        _paced(plugin, alive)

    def send(message: Mapping[str, Any]) -> Outcome:
        if not known:
            return Outcome(False, "its address is none that Apprise knows: mailto://, slack://, ...")
        heard.found = None
        # One after the other, each in the form that it prefers; all of them, also where one fails.
        taken = [_notify(plugin, message) for plugin in service]
        if all(taken):
            return Outcome(True)
        return heard.found or Outcome(False, "the service did not take it")

    return send


def _paced(plugin: NotifyBase, alive: Callable[[], None]) -> None:
    """Have it tell before each request that it is alive, and wait between two only as long as services ask for."""
    import apprise

    if plugin.request_rate_per_sec == apprise.NotifyBase.request_rate_per_sec:  # seconds; one that nobody thought about
        plugin.request_rate_per_sec = _PAUSE
    throttle: Callable[..., None] = plugin.throttle

    def told(*args: object, **others: object) -> None:
        throttle(*args, **others)
        alive()

    plugin.throttle = told  # type: ignore[method-assign]


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
    send, failed = type(plugin).send, list[bool]()

    def unless_one_failed(*args: Any, **others: Any) -> bool:  # noqa: ANN401 - as Apprise gives them
        """The parts behind one that was refused come with the next attempt."""
        if not failed and not send(plugin, *args, **others):
            failed.append(True)
        return not failed

    plugin.send = unless_one_failed  # type: ignore[method-assign]
    if overflow:
        plugin.overflow_mode = overflow
    # A service without titles would put it before the body as it is; the body tells it too.
    title = message["title"] if plugin.title_maxlen > 0 else ""
    return bool(one.notify(body=body, title=title, body_format=form))


if __name__ == "__main__":
    main()
