"""The outbox: which snapshots are planned, what is to be told of them, and how far each delivery got (law 6).

One SQLite file, ``<home>/alerts/outbox.sqlite``. What is in it is on the disk when a method returns, all of it or
nothing; a process may be killed at any moment. Several processes may use it: each method is one transaction, and what
two of them plan at once is planned once.
"""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from flows.alerts.errors import OutboxDamaged, OutboxError, OutboxTooNew
from flows.alerts.message import Condition, Item, Message
from flows.alerts.stored import as_json, condition_from_json, item_from_json, message_from_json
from warehouse import snapshots

FILE = "alerts/outbox.sqlite"
VERSION = 1
PAUSES = tuple(dt.timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 180, 360, 720, 1440, 1440))
"""After each failure, how long to wait. When they are used up, the delivery is dead."""
PATIENCE = 30.0
"""Seconds to wait for another process that writes."""

State = Literal["waiting", "sent", "dead", "acked"]

_TABLES = """
CREATE TABLE planned (snapshot_id TEXT PRIMARY KEY);
CREATE TABLE withheld (state TEXT NOT NULL);
CREATE TABLE entries (
    number INTEGER PRIMARY KEY, rule TEXT NOT NULL, event_id TEXT NOT NULL, family TEXT NOT NULL, due_at TEXT NOT NULL,
    item TEXT, message_id TEXT, UNIQUE (rule, event_id)
);
CREATE INDEX entries_open ON entries (due_at) WHERE message_id IS NULL;
CREATE TABLE messages (number INTEGER PRIMARY KEY, message_id TEXT NOT NULL UNIQUE, message TEXT NOT NULL);
CREATE TABLE deliveries (
    message_id TEXT NOT NULL, channel TEXT NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL,
    next_at TEXT, last_at TEXT, error TEXT, PRIMARY KEY (message_id, channel)
);
CREATE INDEX deliveries_waiting ON deliveries (next_at) WHERE state = 'waiting';
CREATE TABLE conditions (name TEXT PRIMARY KEY, condition TEXT NOT NULL, acked_at TEXT);
CREATE TABLE runs (run_id TEXT NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """An item that a rule picked, and that is in no message yet. ``group``: what may share a message with it."""

    rule: str
    group: str
    item: Item
    due_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message on its way to one channel. ``attempts``: failures since it began or was asked to try again."""

    message_id: str
    channel: str
    state: State
    attempts: int
    next_at: dt.datetime | None
    """when it is tried next; None where it is not"""
    last_at: dt.datetime | None
    error: str | None
    """of the last attempt, without secrets"""


@contextmanager
def open_outbox(home: Path, patience: float = PATIENCE) -> Iterator[Outbox]:
    """The outbox of a home, begun where there is none: all snapshots that are there then count as told, but for the
    last ones if they say that alerts could not be begun before them.

    ``patience``: seconds to wait for another process that writes. Raises OutboxDamaged, OutboxTooNew, OutboxError;
    BrokenSnapshot where a new one cannot tell what is there.
    """
    file = home / FILE
    with _told(file):
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _refused(file, str(error)) from error
        with closing(_connect(file, "rwc", patience)) as connection:
            yield _begun(connection, file, home)


@contextmanager
def existing_outbox(home: Path) -> Iterator[Outbox | None]:
    """The outbox as it stands, to be looked at; None where there is none. Raises as `open_outbox`."""
    file = home / FILE
    if not file.exists() or not file.stat().st_size:
        yield None
        return
    with _told(file), closing(_connect(file, "rw")) as connection:
        yield Outbox(connection, file) if _version(connection, file) else None


@dataclass(slots=True)
class Outbox:
    """Times are in UTC. Made by `open_outbox`."""

    connection: sqlite3.Connection
    file: Path

    @contextmanager
    def together(self) -> Iterator[None]:
        """All that is written in the block, or nothing of it."""
        if self.connection.in_transaction:
            yield
            return
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.connection.rollback()
            raise
        self.connection.commit()

    def planned(self) -> frozenset[str]:
        """Ids of the snapshots whose changes went past the rules already."""
        return frozenset(row[0] for row in self._all("SELECT snapshot_id FROM planned"))

    def withheld(self) -> dict[str, Any]:
        """What `add_plan` was given last."""
        rows = self._all("SELECT state FROM withheld")
        state: dict[str, Any] = json.loads(rows[0][0]) if rows else {}
        return state

    def add_plan(self, snapshot_id: str, entries: Sequence[Entry], withheld: Mapping[str, Any]) -> bool:
        """What the rules picked of a snapshot. False, and nothing is changed, where it was planned before."""
        with self.together():
            if not self._do("INSERT OR IGNORE INTO planned VALUES (?)", snapshot_id):
                return False
            for entry in entries:
                self._do(
                    "INSERT OR IGNORE INTO entries (rule, event_id, family, due_at, item) VALUES (?, ?, ?, ?, ?)",
                    *(entry.rule, entry.item.event_id, entry.group, _text(entry.due_at), _json(as_json(entry.item))),
                )
            self._do("DELETE FROM withheld")
            self._do("INSERT INTO withheld VALUES (?)", _json(withheld))
        return True

    def drop(self, entries: Sequence[Entry]) -> None:
        """Entries that are in no message, and are not to be told."""
        for entry in entries:
            self._do(
                "DELETE FROM entries WHERE rule = ? AND event_id = ? AND message_id IS NULL",
                *(entry.rule, entry.item.event_id),
            )

    def due_entries(self, now: dt.datetime) -> list[Entry]:
        """Those that are in no message yet and whose time has come, in the order in which they were planned."""
        return self._entries("due_at <= ?", _text(now))

    def open_entries(self) -> list[Entry]:
        """Those that are in no message yet, in the order in which they were planned."""
        return self._entries("TRUE")

    def add_message(
        self,
        message: Message,
        channels: Sequence[str],
        entries: Sequence[Entry] = (),
        not_before: dt.datetime | None = None,
    ) -> bool:
        """A message, its delivery on each channel, and the entries that are in it from now on.

        False, and nothing is changed, where it is there already, or another process has put one of the entries into
        a message meanwhile.
        """
        with self.together():
            here = _json(as_json(message))
            if not self._do(
                "INSERT OR IGNORE INTO messages (message_id, message) VALUES (?, ?)", message.message_id, here
            ):
                return False
            if any(not self._put(entry, message.message_id) for entry in entries):
                self._do("UPDATE entries SET message_id = NULL WHERE message_id = ?", message.message_id)
                self._do("DELETE FROM messages WHERE message_id = ?", message.message_id)
                return False
            # What is in a message is kept there.
            self._do("UPDATE entries SET item = NULL WHERE message_id = ?", message.message_id)
            for channel in dict.fromkeys(channels):
                next_at = _text(not_before or message.made_at)
                self._do(
                    "INSERT INTO deliveries VALUES (?, ?, 'waiting', 0, ?, NULL, NULL)",
                    message.message_id,
                    channel,
                    next_at,
                )
        return True

    def message(self, message_id: str) -> Message | None:
        rows = self._all("SELECT message FROM messages WHERE message_id = ?", message_id)
        return message_from_json(json.loads(rows[0][0])) if rows else None

    def messages(self, limit: int | None = None, *, sent_to: str | None = None) -> list[Message]:
        """The newest first; with ``sent_to`` only those that this channel has."""
        sent = "WHERE message_id IN (SELECT message_id FROM deliveries WHERE channel = ? AND state = 'sent')"
        rows = self._all(
            f"SELECT message FROM messages {sent if sent_to else ''} ORDER BY number DESC LIMIT ?",
            *([sent_to] if sent_to else []),
            -1 if limit is None else limit,
        )
        return [message_from_json(json.loads(row[0])) for row in rows]

    def deliveries(
        self, *, message_id: str | None = None, state: State | None = None, channel: str | None = None
    ) -> list[Delivery]:
        """In the order in which their messages were made, oldest first."""
        wanted = {"message_id": message_id, "state": state, "channel": channel}
        given = {name: value for name, value in wanted.items() if value is not None}
        return self._deliveries(" AND ".join(["TRUE", *(f"{name} = ?" for name in given)]), *given.values())

    def due(self, now: dt.datetime) -> list[Delivery]:
        """Deliveries to be tried, those of the oldest messages first."""
        return self._deliveries("state = 'waiting' AND next_at <= ?", _text(now))

    def sent(self, message_id: str, channel: str, now: dt.datetime) -> None:
        """A delivery that succeeded. One that a person gave up meanwhile has been sent all the same."""
        self._do(
            "UPDATE deliveries SET state = 'sent', next_at = NULL, last_at = ?, error = NULL "
            "WHERE message_id = ? AND channel = ?",
            *(_text(now), message_id, channel),
        )

    def failed(self, message_id: str, channel: str, now: dt.datetime, error: str) -> None:
        """A delivery that failed: it waits for the next pause, or is dead after the last. ``error``: redacted."""
        with self.together():
            rows = self._all(
                "SELECT attempts FROM deliveries WHERE message_id = ? AND channel = ? AND state = 'waiting'",
                *(message_id, channel),
            )
            for (failures,) in rows:
                pause = PAUSES[failures] if failures < len(PAUSES) else None
                self._do(
                    "UPDATE deliveries SET state = ?, attempts = ?, next_at = ?, last_at = ?, error = ? "
                    "WHERE message_id = ? AND channel = ?",
                    *("waiting" if pause else "dead", failures + 1, _text(now + pause) if pause else None),
                    *(_text(now), error, message_id, channel),
                )

    def put_off(self, message_id: str, channel: str, until: dt.datetime) -> None:
        """A delivery that waits is not tried before."""
        self._do(
            "UPDATE deliveries SET next_at = ? WHERE message_id = ? AND channel = ? AND state = 'waiting'",
            *(_text(until), message_id, channel),
        )

    def retry(self, now: dt.datetime, message_id: str | None = None) -> list[Delivery]:
        """Try dead deliveries again, or all open ones of a message: now, and with all pauses before them."""
        states = "state = 'dead'" if message_id is None else "state IN ('dead', 'waiting') AND message_id = ?"
        with self.together():
            found = self._deliveries(states, *([message_id] if message_id else []))
            for delivery in found:
                self._do(
                    "UPDATE deliveries SET state = 'waiting', attempts = 0, next_at = ? "
                    "WHERE message_id = ? AND channel = ?",
                    *(_text(now), delivery.message_id, delivery.channel),
                )
        return found

    def ack(self, message_id: str) -> list[Delivery]:
        """Give up the deliveries of a message that are dead or wait; those that were tried for good."""
        with self.together():
            found = self._deliveries("state IN ('dead', 'waiting') AND message_id = ?", message_id)
            self._do(
                "UPDATE deliveries SET state = 'acked', next_at = NULL WHERE message_id = ? AND state != 'sent'",
                message_id,
            )
        return found

    def conditions(self) -> dict[str, Condition]:
        """The open conditions, by name."""
        rows = self._all("SELECT name, condition FROM conditions ORDER BY name")
        return {name: condition_from_json(json.loads(told)) for name, told in rows}

    def set_conditions(self, conditions: Mapping[str, Condition]) -> None:
        """The conditions that are open from now on: all of them. One that stays keeps whether a person has seen it."""
        with self.together():
            before = dict(self._all("SELECT name, acked_at FROM conditions"))
            began = self.conditions()
            self._do("DELETE FROM conditions")
            for name, condition in conditions.items():
                stays = name in began and began[name].began_at == condition.began_at
                self._do(
                    "INSERT INTO conditions VALUES (?, ?, ?)",
                    *(name, _json(as_json(condition)), before[name] if stays else None),
                )

    def ack_condition(self, name: str, now: dt.datetime) -> bool:
        """A person has seen an open condition. False where there is none of that name."""
        return bool(self._do("UPDATE conditions SET acked_at = ? WHERE name = ?", _text(now), name))

    def acked_conditions(self) -> frozenset[str]:
        """Names of the open conditions that a person has seen."""
        return frozenset(row[0] for row in self._all("SELECT name FROM conditions WHERE acked_at IS NOT NULL"))

    def note_run(self, run_id: str) -> None:
        """A run of any machine that has the home. The order of ids is the order of runs."""
        self._do("INSERT INTO runs VALUES (?)", run_id)
        self._do("DELETE FROM runs WHERE run_id < (SELECT max(run_id) FROM runs)")

    def newest_run(self) -> str | None:
        """The one that began last of those that were noted."""
        newest: str | None = self._all("SELECT max(run_id) FROM runs")[0][0]
        return newest

    def check(self) -> None:
        """Raises OutboxDamaged where the file is not what was written."""
        found = str(self._all("PRAGMA quick_check(1)")[0][0])
        if found != "ok":
            raise OutboxDamaged(self.file, found)

    def _put(self, entry: Entry, message_id: str) -> bool:
        return bool(
            self._do(
                "UPDATE entries SET message_id = ? WHERE rule = ? AND event_id = ? AND message_id IS NULL",
                *(message_id, entry.rule, entry.item.event_id),
            )
        )

    def _entries(self, where: str, *values: str) -> list[Entry]:
        rows = self._all(
            f"SELECT rule, family, item, due_at FROM entries WHERE message_id IS NULL AND {where} ORDER BY number",
            *values,
        )
        return [Entry(rule, group, item_from_json(json.loads(item)), _time(due)) for rule, group, item, due in rows]

    def _deliveries(self, where: str, *values: str) -> list[Delivery]:
        rows = self._all(
            "SELECT message_id, channel, state, attempts, next_at, last_at, error "
            f"FROM deliveries d JOIN messages m USING (message_id) WHERE {where} ORDER BY m.number, channel",
            *values,
        )
        return [
            Delivery(message_id, to, state, failures, next_at and _time(next_at), last_at and _time(last_at), error)
            for message_id, to, state, failures, next_at, last_at, error in rows
        ]

    def _all(self, statement: str, *values: str | int) -> list[Any]:
        return self.connection.execute(statement, values).fetchall()

    def _do(self, statement: str, *values: str | int | None) -> int:
        """Returns how many rows were changed."""
        return self.connection.execute(statement, values).rowcount


def _begun(connection: sqlite3.Connection, file: Path, home: Path) -> Outbox:
    outbox = Outbox(connection, file)
    if not _version(connection, file):
        there = snapshots.lineage(home)
        while there and there[-1].get("untold"):
            there.pop()
        with outbox.together():
            if not _version(connection, file):  # nobody else was first
                for statement in _TABLES.split(";"):
                    connection.execute(statement)
                connection.executemany("INSERT INTO planned VALUES (?)", [(told["snapshot_id"],) for told in there])
                connection.execute(f"PRAGMA user_version = {VERSION}")
    return outbox


def _connect(file: Path, mode: str, patience: float = PATIENCE) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{file.absolute().as_uri()}?mode={mode}", uri=True, timeout=patience, isolation_level=None
    )
    try:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA synchronous = FULL")
    except BaseException:
        connection.close()
        raise
    return connection


def _version(connection: sqlite3.Connection, file: Path) -> int:
    """0 where it has not begun. Raises OutboxTooNew."""
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > VERSION:
        raise OutboxTooNew(file, version, VERSION)
    return version


@contextmanager
def _told(file: Path) -> Iterator[None]:
    """Raises OutboxDamaged and OutboxError for what SQLite and the forms in the file refuse."""
    try:
        yield
    except sqlite3.Error as error:
        code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise OutboxDamaged(file, str(error)) from error
        raise _refused(file, str(error)) from error


def _refused(file: Path, found: str) -> OutboxError:
    advice = (
        "See whether the disk has room and this user the right to write there. Nothing is lost: what could not be "
        "written is planned and sent by the next run, or by cptflow alerts deliver."
    )
    return OutboxError(file, found, advice)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _text(time: dt.datetime) -> str:
    """So that the order of texts is the order of times."""
    return time.astimezone(dt.UTC).isoformat(timespec="microseconds")


def _time(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)
