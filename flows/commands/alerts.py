"""`cptflow alerts`: what was told, what waits, what failed, and what a person can do about it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from flows.commands.options import Home, Json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flows.alerts.deliver import Delivered
    from flows.alerts.message import Message
    from flows.alerts.outbox import Outbox
    from flows.terminal import Block

app = typer.Typer(no_args_is_help=True, help="What was told to whom, what waits, and what could not be delivered.")

Id = Annotated[str, typer.Argument(metavar="ID", help="A message, or the start of its name.", show_default=False)]


@app.command("list")
def list_(
    state: Annotated[
        Literal["waiting", "sent", "dead", "acked"] | None,
        typer.Option(help="Only deliveries that are waiting, sent, dead (given up) or acked.", show_default=False),
    ] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Messages, and how far the delivery to each channel got; what rules tell later; what is wrong now."""
    from flows import settings, terminal
    from flows.alert_settings import FEED
    from flows.alerts import shown
    from flows.alerts.outbox import existing_outbox
    from flows.home import reading

    chosen = settings.load(home=home)
    with existing_outbox(reading(chosen.home)) as outbox:
        document = shown.as_document(outbox, {FEED, *chosen.channels}, chosen.rules, state)
    if json:
        terminal.document(document)
    else:
        terminal.show(shown.in_words(document, state))


@app.command()
def deliver(home: Home = None, json: Json = False) -> None:
    """Plan what no run has planned, and send what is due. For cron and the like, every few minutes.

    Ends with 1 where a delivery failed; it is kept and tried again.
    """
    from dataclasses import asdict

    from flows import settings, terminal
    from flows.alerts.deliver import deliver

    done = deliver(settings.load(home=home))
    if json:
        terminal.document(asdict(done))
    else:
        terminal.show(_in_words(done))
    raise typer.Exit(1 if done.failed or done.problems else 0)


@app.command()
def preview(
    rule: Annotated[
        str | None, typer.Argument(metavar="[RULE]", help="All of them by default.", show_default=False)
    ] = None,
    last: Annotated[int, typer.Option(min=1, help="The last so many snapshots.")] = 5,
    home: Home = None,
    json: Json = False,
) -> None:
    """What the rules would have sent for the last snapshots. Nothing is sent, and nothing is written."""
    from flows import settings, terminal
    from flows.alerts.preview import preview
    from flows.alerts.render import payload
    from flows.commands.current import current_snapshot

    chosen = settings.load(home=home)
    messages = preview(current_snapshot(home).home, chosen, last, rule)
    if json:
        terminal.document({"messages": [payload(message) for message in messages]})
    else:
        terminal.show(_previewed(messages, last))


@app.command()
def retry(
    message: Annotated[
        str | None,
        typer.Argument(
            metavar="[ID]", help="A message, or the start of its name; without it all dead ones.", show_default=False
        ),
    ] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Have dead deliveries tried again: they are due now, with all their tries. `cptflow alerts deliver` sends them."""
    import datetime as dt

    now = dt.datetime.now(dt.UTC)
    with _outbox(home) as outbox:
        changed = outbox.retry(now, _message_id(outbox, message) if message else None)
    _tell_changed(f"{len(changed)} deliveries are due now: cptflow alerts deliver", changed, as_json=json)


@app.command("test")
def try_out(
    channel: Annotated[
        str | None, typer.Argument(metavar="[CHANNEL]", help="All of them by default.", show_default=False)
    ] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Send a message that says that it is a test. Ends with 1 where a channel did not take it."""
    import datetime as dt
    from dataclasses import asdict

    from flows import settings, terminal
    from flows.alerts.trial import try_channels
    from flows.errors import UsageError

    chosen = settings.load(home=home)
    if not chosen.channels:
        raise UsageError("The settings name no channel. docs/alerts.md tells how: [channels.NAME] in cptflow.toml.")
    if channel is not None and channel not in chosen.channels:
        raise UsageError(f"There is no channel {channel!a}; there are {', '.join(chosen.channels)}.")
    names = [channel] if channel else list(chosen.channels)
    tried = list(try_channels(names, chosen, dt.datetime.now(dt.UTC)))
    if json:
        terminal.document({"tried": [asdict(attempt) for attempt in tried]})
    else:
        for attempt in tried:
            terminal.say(f"{attempt.channel}: {attempt.error or 'took the test message'}")
    raise typer.Exit(1 if any(attempt.error for attempt in tried) else 0)


@app.command()
def ack(
    what: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="A message, the start of its name, or an open condition.", show_default=False
        ),
    ],
    home: Home = None,
    json: Json = False,
) -> None:
    """Say that a person has seen it: no more tries of a message's deliveries, no more words on a condition."""
    import datetime as dt

    with _outbox(home) as outbox:
        if outbox.ack_condition(what, dt.datetime.now(dt.UTC)):
            changed, told = [], f"Condition {what} was seen. It ends without a message."
        else:
            changed = outbox.ack(_message_id(outbox, what))
            told = f"{len(changed)} deliveries are not tried any more."
    _tell_changed(told, changed, as_json=json)


@contextmanager
def _outbox(home: str | None) -> Iterator[Outbox]:
    """To be changed; what is changed at an address is sent there. Raises UsageError where there is no home."""
    from flows import settings
    from flows.alerts.outbox import open_outbox
    from flows.errors import UsageError
    from flows.home import Address, writing

    chosen = settings.load(home=home).home
    if not isinstance(chosen, Address) and not chosen.is_dir():
        raise UsageError(f"There is no home at {chosen}, and so no alert. Name another one with --home.")
    with writing(chosen, "alerts", alone=False) as place, open_outbox(place.folder) as outbox:
        yield outbox


def _message_id(outbox: Outbox, given: str) -> str:
    """The one message whose name begins so. Raises UsageError."""
    from flows.errors import UsageError

    names = [message.message_id for message in outbox.messages()]
    found = [name for name in names if name.startswith(given)] if given not in names else [given]
    if len(found) != 1:
        which = f"several begin so: {', '.join(found[:3])}" if found else "see cptflow alerts list"
        raise UsageError(f"There is no one message or open condition {given!a}; {which}.")
    return found[0]


def _tell_changed(told: str, changed: list[Any], *, as_json: bool) -> None:
    from dataclasses import asdict

    from flows import terminal

    if as_json:
        terminal.document({"changed": [asdict(delivery) for delivery in changed]})
    else:
        terminal.say(told)


def _previewed(messages: list[Message], last: int) -> Iterator[Block]:
    from flows.alerts.render import render
    from flows.terminal import Line

    if not messages:
        yield Line(f"Of the last {last} snapshots the rules would have told nothing.")
    for message in messages:
        yield Line(f"Rule {message.rule}, {message.made_at:%Y-%m-%d %H:%M} UTC", "bold")
        yield from (Line(f"  | {line}".rstrip()) for line in render(message).text.rstrip().splitlines())
        yield Line()


def _in_words(done: Delivered) -> Iterator[Block]:
    from flows.terminal import Line

    if done.elsewhere:
        yield Line("Another process is delivering; nothing was done here.")
        return
    for attempt in done.attempts:
        yield Line(
            f"{attempt.channel}: {attempt.message_id} {attempt.error or 'sent'}", "yellow" if attempt.error else ""
        )
    for problem in done.problems:
        yield Line(f"WARNING: {problem}", "bold yellow")
    for name in done.no_channel:
        yield Line(f"Deliveries to {name} wait: the settings have no such channel.", "yellow")
    left = f"{done.waiting} wait" + (f", the first until {done.next_at:%Y-%m-%d %H:%M} UTC" if done.next_at else "")
    yield Line(f"{len(done.attempts) - len(done.failed)} sent, {len(done.failed)} failed, {left}, {done.dead} dead.")
