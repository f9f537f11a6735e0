"""Deliver: plan what is not planned, and send what is due (law 6: at least once; a repeat carries the same id).

An attempt is written down when it has ended: whoever is killed in between sends again, under the same id.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from flows.alert_settings import FEED, Rights
from flows.alerts import noted, secrets
from flows.alerts.errors import NotPlanned, SecretMissing
from flows.alerts.items import as_allowed
from flows.alerts.message import Message
from flows.alerts.outbox import Delivery, Outbox, open_outbox
from flows.alerts.rules import quiet_until
from flows.alerts.sending import Batch, send_all
from flows.errors import HomeHeld
from flows.home import DELIVERY, Address, folder_of, writing
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

    Not for as long as another process of this machine delivers, or the home at an address is held. That is held here
    while messages are made, and while it is noted how they went; not while they are on their way. Raises OutboxError;
    of a home at an address as `flows.home.writing`, but for HomeHeld.
    """
    now = now or dt.datetime.now(dt.UTC)
    folder = folder_of(settings.home)
    if isinstance(settings.home, Path) and not folder.is_dir():
        return Delivered()
    with _alone(folder) as alone:
        if not alone:
            return Delivered(elsewhere=True)
        if isinstance(settings.home, Path):
            return _deliver(folder, settings, now)
        return _deliver_at(settings.home, settings, now)


def _deliver_at(home: Address, settings: Settings, now: dt.datetime) -> Delivered:
    run_id = f"{DELIVERY}{now:%Y%m%dT%H%M%SZ}"
    try:
        with writing(home, run_id, alone=False) as place:
            with open_outbox(place.folder) as outbox:
                noted.bring_in(place.folder, outbox)
            made = _made(place.folder, settings, now)
            with open_outbox(place.folder) as outbox:
                work = _work(place.folder, outbox, settings, now)
                before = _result(outbox, settings, made, work, work.attempts)
    except HomeHeld:
        return Delivered(elsewhere=True)
    noted.forget(home.copy)  # the store has it
    # What is sent stands at the store by now, so that whoever repeats it does so under the same id.
    sent = []
    for attempt in attempts_of(work.batches, settings):
        noted.keep(home.copy, attempt.message_id, attempt.channel, now, attempt.error)
        sent.append(attempt)
    if not sent:
        return before
    attempts = [*work.attempts, *sent]
    try:
        with writing(home, run_id, alone=False) as place, open_outbox(place.folder) as outbox:
            noted.bring_in(place.folder, outbox)
            done = _result(outbox, settings, made, work, attempts)
    except HomeHeld:  # by a run, say: the next delivery of this machine notes it
        return replace(before, attempts=tuple(attempts))
    noted.forget(home.copy)
    return done


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
    made = _made(home, settings, now)
    with open_outbox(home) as outbox:
        work = _work(home, outbox, settings, now)
        attempts = list(work.attempts)
        for attempt in attempts_of(work.batches, settings):
            _note(outbox, attempt, now)
            attempts.append(attempt)
        return _result(outbox, settings, made, work, attempts)


@dataclass(frozen=True, slots=True)
class _Made:
    """Ids of the messages that are new: of changes, and of what time brought."""

    ids: tuple[str, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Work:
    """What is to be sent, and what has ended without sending."""

    batches: tuple[Batch, ...]
    attempts: tuple[Attempt, ...]
    problems: tuple[str, ...]


def _result(outbox: Outbox, settings: Settings, made: _Made, work: _Work, attempts: Sequence[Attempt]) -> Delivered:
    left, known = outbox.deliveries(state="waiting"), {FEED, *settings.channels}
    return Delivered(
        made=made.ids,
        attempts=tuple(attempts),
        waiting=len(left),
        dead=len(outbox.deliveries(state="dead")),
        next_at=min((one.next_at for one in left if one.next_at and one.channel in known), default=None),
        no_channel=tuple(sorted({one.channel for one in left} - known)),
        problems=(*made.problems, *work.problems),
    )


def _made(home: Path, settings: Settings, now: dt.datetime) -> _Made:
    from flows.alerts.operators import conditions_of_time
    from flows.alerts.plan import plan

    made: list[Message] = []
    problems: list[str] = []
    with _going_on(problems, "What changed could not be planned"):
        try:
            made += plan(home, settings, now)
        except NotPlanned as error:
            made += error.made
            problems.append(str(error))
    with _going_on(problems, "What is overdue could not be seen"):
        made += conditions_of_time(home, settings, now)
    return _Made(tuple(message.message_id for message in made), tuple(problems))


def _work(home: Path, outbox: Outbox, settings: Settings, now: dt.datetime) -> _Work:
    """Write the feed and the calendar, and put what is due into words: on all channels that the settings have.
    Deliveries to others wait for their coming back."""
    due, problems, attempts = _due(outbox, settings, now), list[str](), list[Attempt]()
    with _going_on(problems, "The feed could not be written"):
        attempts += _write_feed(home, settings.rights, outbox, [one for one in due if one.channel == FEED], now)
    with _going_on(problems, "The calendar could not be written"):
        from flows.alerts.calendar import write_calendar

        write_calendar(home, settings.rights)
    batches = []
    for channel in sorted({delivery.channel for delivery in due} & settings.channels.keys()):
        batch, failed = _batch(outbox, settings, [one for one in due if one.channel == channel], channel)
        batches += batch
        attempts += failed
        for attempt in failed:
            _note(outbox, attempt, now)
    return _Work(tuple(batches), tuple(attempts), tuple(problems))


def _due(outbox: Outbox, settings: Settings, now: dt.datetime) -> list[Delivery]:
    """What is to be tried. Where its rule has quiet hours now, what was to be tried again waits for their end."""
    ends = {name: end for name, rule in settings.rules.items() if (end := quiet_until(rule, now)) > now}
    due = []
    for delivery in outbox.due(now):
        message = outbox.message(delivery.message_id) if ends else None
        if message is not None and message.audience == "users" and message.rule in ends:
            outbox.put_off(delivery.message_id, delivery.channel, ends[message.rule])
        else:
            due.append(delivery)
    return due


def _note(outbox: Outbox, attempt: Attempt, now: dt.datetime) -> None:
    if attempt.error is None:
        outbox.sent(attempt.message_id, attempt.channel, now)
    else:
        outbox.failed(attempt.message_id, attempt.channel, now, attempt.error)


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


def _batch(
    outbox: Outbox, settings: Settings, due: Sequence[Delivery], channel: str
) -> tuple[list[Batch], list[Attempt]]:
    """What one channel is to be sent, if anything, and what cannot be."""
    forms, failed = [], []
    for delivery in due:
        try:
            forms.append(_form(outbox, delivery.message_id, settings.rights))
        except Exception as error:  # one message that cannot be put into words holds up no other
            why = f"it could not be put into words ({type(error).__name__})"
            failed.append(Attempt(channel, delivery.message_id, why))
    try:
        return [batch_of(channel, settings, forms)] if forms else [], failed
    except SecretMissing as error:
        return [], failed + [Attempt(channel, form["message_id"], str(error)) for form in forms]


def _form(outbox: Outbox, message_id: str, rights: Rights) -> dict[str, Any]:
    message = outbox.message(message_id)
    assert message is not None, message_id
    return form_of(_allowed(message, rights))


def _allowed(message: Message, rights: Rights) -> Message:
    """What the owner has set since it was made counts, too."""
    return replace(message, items=tuple(as_allowed(item, rights) for item in message.items))
