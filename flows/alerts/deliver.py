"""Deliver: plan what is not planned, and send what is due (law 6: at least once; a repeat carries the same id).

An attempt is written down when it has ended: whoever is killed in between sends again, under the same id.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from flows.alert_settings import FEED, Rights
from flows.alerts import secrets
from flows.alerts.errors import SecretMissing
from flows.alerts.items import as_allowed
from flows.alerts.message import Message
from flows.alerts.outbox import Delivery, Outbox, open_outbox
from flows.alerts.sending import Batch, send_all
from flows.errors import HomeHeld
from flows.home import writing
from flows.settings import Settings

LOCK = "alerts/.lock"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One delivery that was tried. ``error``: why it failed, without secrets."""

    channel: str
    message_id: str
    error: str | None


@dataclass(frozen=True, slots=True)
class Delivered:
    """What `deliver` did. ``made``: ids of new messages. ``waiting`` and ``dead``: deliveries that are left."""

    made: tuple[str, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    waiting: int = 0
    dead: int = 0
    next_at: dt.datetime | None = None
    """when the first of those that wait is due"""
    no_channel: tuple[str, ...] = ()
    """channels that deliveries wait for, and that the settings do not have"""
    elsewhere: bool = False
    """another process is delivering: nothing was done"""
    problems: tuple[str, ...] = ()
    """what could not be done beside sending, in words"""

    @property
    def failed(self) -> tuple[Attempt, ...]:
        return tuple(attempt for attempt in self.attempts if attempt.error is not None)


def deliver(settings: Settings, now: dt.datetime | None = None) -> Delivered:
    """Send what is due at ``now``, to each channel in the order in which messages were made.

    Not for as long as another process delivers. Raises OutboxError; of a home at an address as `flows.home.writing`,
    but for HomeHeld.
    """
    now = now or dt.datetime.now(dt.UTC)
    if isinstance(settings.home, Path):
        if not settings.home.is_dir():
            return Delivered()
        with _alone(settings.home) as alone:
            return _deliver(settings.home, settings, now) if alone else Delivered(elsewhere=True)
    try:
        with writing(settings.home, f"alerts-{now:%Y%m%dT%H%M%SZ}", alone=False) as place:
            return _deliver(place.folder, settings, now)
    except HomeHeld:
        return Delivered(elsewhere=True)


def as_json(delivered: Delivered) -> dict[str, Any]:
    return asdict(delivered)


def form_of(message: Message) -> dict[str, Any]:
    """A message as the process that sends takes it: in all its forms."""
    from flows.alerts.render import payload, render

    rendered = render(message)
    return {
        "message_id": message.message_id,
        "title": rendered.title,
        "text": rendered.text,
        "markdown": rendered.markdown,
        "html": rendered.html,
        "chat": rendered.chat,
        "payload": payload(message),
    }


def batch_of(channel: str, settings: Settings, messages: Sequence[dict[str, Any]]) -> Batch:
    """Raises SecretMissing."""
    chosen = settings.channels[channel]
    url = secrets.resolve(chosen.url, channel, "url")
    key = secrets.resolve(chosen.key, channel, "key") if chosen.key else None
    job = {"kind": chosen.kind, "url": url, "key": key, "timeout": chosen.timeout, "messages": list(messages)}
    return Batch(channel, job)  # type: ignore[arg-type]


def attempts_of(batches: Sequence[Batch], settings: Settings) -> Iterator[Attempt]:
    """Send, and tell each attempt when it has ended."""
    hidden = {batch.channel: [batch.job["url"], batch.job["key"] or ""] for batch in batches}
    for sent in send_all(batches, secrets.variables(settings.channels.values())):
        why = secrets.redacted(sent.outcome.error or "it failed", hidden[sent.channel])
        yield Attempt(sent.channel, sent.message_id, None if sent.outcome.ok else why)


@contextmanager
def _alone(home: Path) -> Iterator[bool]:
    """Whether this process is the one that delivers; the kernel frees the lock when its holder dies."""
    (home / LOCK).parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(home / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def _deliver(home: Path, settings: Settings, now: dt.datetime) -> Delivered:
    with open_outbox(home):  # begun, or an error that says what to do
        pass
    problems: list[str] = []
    made = _made(home, settings, now, problems)
    with open_outbox(home) as outbox:
        due = outbox.due(now)
        attempts = []
        with _going_on(problems, "The feed could not be written"):
            attempts += _write_feed(home, settings.rights, outbox, [one for one in due if one.channel == FEED], now)
        attempts += _send_due(outbox, settings, [one for one in due if one.channel != FEED], now)
        left = outbox.deliveries(state="waiting")
        dead = len(outbox.deliveries(state="dead"))
    with _going_on(problems, "The calendar could not be written"):
        from flows.alerts.calendar import write_calendar

        write_calendar(home, settings.rights)
    known = {FEED, *settings.channels}
    return Delivered(
        made=made,
        attempts=tuple(attempts),
        waiting=len(left),
        dead=dead,
        next_at=min((one.next_at for one in left if one.next_at and one.channel in known), default=None),
        no_channel=tuple(sorted({one.channel for one in left} - known)),
        problems=tuple(problems),
    )


def _made(home: Path, settings: Settings, now: dt.datetime, problems: list[str]) -> tuple[str, ...]:
    """Ids of the messages that are new: of changes, and of what time brought."""
    from flows.alerts.operators import conditions_of_time
    from flows.alerts.plan import plan

    made: list[Message] = []
    with _going_on(problems, "What changed could not be planned"):
        made += plan(home, settings, now)
    with _going_on(problems, "What is overdue could not be seen"):
        made += conditions_of_time(home, settings, now)
    return tuple(message.message_id for message in made)


@contextmanager
def _going_on(problems: list[str], what: str) -> Iterator[None]:
    """What is sent already, or due, does not wait for what cannot be done."""
    try:
        yield
    except Exception as error:
        problems.append(f"{what}: {type(error).__name__}: {error}")


def _write_feed(home: Path, rights: Rights, outbox: Outbox, due: Sequence[Delivery], now: dt.datetime) -> list[Attempt]:
    """The newest messages of the feed, those that are due among them."""
    from flows.alerts.feed import FILE, MAX_ENTRIES, write_feed

    if due or (outbox.planned() and not (home / FILE).exists()):
        with outbox.together():
            for delivery in due:
                outbox.sent(delivery.message_id, FEED, now)
            sent = outbox.messages(MAX_ENTRIES, sent_to=FEED)
            write_feed(home, [_allowed(message, rights) for message in sent])
    return [Attempt(FEED, delivery.message_id, None) for delivery in due]


def _send_due(outbox: Outbox, settings: Settings, due: Sequence[Delivery], now: dt.datetime) -> list[Attempt]:
    """All channels that the settings have; deliveries to others wait for their coming back."""
    batches, attempts = [], []

    def note(attempt: Attempt) -> None:
        if attempt.error is None:
            outbox.sent(attempt.message_id, attempt.channel, now)
        else:
            outbox.failed(attempt.message_id, attempt.channel, now, attempt.error)
        attempts.append(attempt)

    for channel in sorted({delivery.channel for delivery in due} & settings.channels.keys()):
        forms = []
        for delivery in due:
            if delivery.channel == channel:
                try:
                    forms.append(_form(outbox, delivery.message_id, settings.rights))
                except Exception as error:  # one message that cannot be put into words holds up no other
                    why = f"it could not be put into words ({type(error).__name__})"
                    note(Attempt(channel, delivery.message_id, why))
        try:
            batches.append(batch_of(channel, settings, forms))
        except SecretMissing as error:
            for form in forms:
                note(Attempt(channel, form["message_id"], str(error)))
    for attempt in attempts_of(batches, settings):
        note(attempt)
    return attempts


def _form(outbox: Outbox, message_id: str, rights: Rights) -> dict[str, Any]:
    message = outbox.message(message_id)
    assert message is not None, message_id
    return form_of(_allowed(message, rights))


def _allowed(message: Message, rights: Rights) -> Message:
    """What the owner has set since it was made counts, too."""
    return replace(message, items=tuple(as_allowed(item, rights) for item in message.items))
