"""Plan: what the rules pick of each new snapshot goes into the outbox, and what is due of that becomes messages.

The snapshots themselves say what is not planned yet. So whoever plans may be killed at any moment: the next one plans
what is left, and what was planned stays as it is.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from flows.alert_settings import Rights, RuleSettings
from flows.alerts.items import as_allowed, items_of
from flows.alerts.message import Item, Message
from flows.alerts.outbox import Entry, Outbox, open_outbox
from flows.alerts.rules import channels_of, due_at, group_of, matches
from flows.alerts.withheld import State, let_through, state_before
from flows.settings import Settings
from warehouse import snapshots
from warehouse.tables import SEVERITIES

Manifest = Mapping[str, Any]


def plan(home: Path, settings: Settings, now: dt.datetime) -> tuple[Message, ...]:
    """Plan all snapshots that are not planned yet, and make messages of what is due. Returns the new messages.

    ``home``: a folder. A rule tells what is planned from now on; what older snapshots changed is never told by it.
    Raises OutboxError, SnapshotError.
    """
    with open_outbox(home) as outbox:
        line = snapshots.lineage(home) if snapshots.current_id(home) else []
        planned, state = outbox.planned(), outbox.withheld()
        for place, manifest in enumerate(line):
            if manifest["snapshot_id"] not in planned:
                items, state = _items(home, line, place, state, settings.rights)
                outbox.add_plan(manifest["snapshot_id"], list(_entries(settings, items, now)), state)
        return gather(outbox, settings, now, {manifest["snapshot_id"]: manifest for manifest in line})


def gather(
    outbox: Outbox, settings: Settings, now: dt.datetime, manifests: Mapping[str, Manifest]
) -> tuple[Message, ...]:
    """Messages of what is due, put on the channels of their rules. What a rule picked that is gone since, waits for it.

    ``manifests``: by snapshot id, as far as they can be read.
    """
    made = []
    for rule, entries in together(outbox.due_entries(now)):
        if rule in settings.rules:
            items = [as_allowed(entry.item, settings.rights) for entry in entries]
            message = message_of(rule, settings.rules[rule], items, now, manifests, settings.home)
            if outbox.add_message(message, channels_of(settings, settings.rules[rule]), entries):
                made.append(message)
    return tuple(made)


def together(entries: Sequence[Entry]) -> list[tuple[str, list[Entry]]]:
    """The entries of each message, with their rule, in the order of the first of each."""
    groups: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in entries:
        groups[entry.rule, entry.group].append(entry)
    return [(rule, group) for (rule, _), group in groups.items()]


def message_of(
    name: str,
    rule: RuleSettings,
    items: Sequence[Item],
    now: dt.datetime,
    manifests: Mapping[str, Manifest],
    home: object,
) -> Message:
    """One message of a rule: critical items first, then by code; those beyond the rule's limit are counted."""
    items = sorted(items, key=_order)
    ids = sorted(item.event_id for item in items)
    of = {item.snapshot_id: item.parent_snapshot_id for item in items}
    line = sorted(of, key=lambda snapshot_id: (manifests.get(snapshot_id, {}).get("number", 0), snapshot_id))
    as_of = [dt.datetime.fromisoformat(manifests[one]["as_of"]) for one in line if one in manifests]
    told, left = items[: rule.limit], items[rule.limit :]
    return Message(
        message_id="msg_" + hashlib.sha256("\n".join([name, *ids]).encode()).hexdigest()[:32],
        audience="users",
        rule=name,
        made_at=now,
        as_of=max(as_of, default=None),
        snapshot_ids=tuple(line),
        items=tuple(told),
        more=dict(Counter(item.change_type for item in left)) or None,
        more_at=f"cptflow changes {of[line[0]]} {line[-1]} --home {shlex.quote(str(home))}" if left else None,
    )


def would_tell(
    home: Path, line: Sequence[Manifest], first: int, settings: Settings
) -> Iterator[tuple[Manifest, list[Item]]]:
    """Each snapshot of the lineage from the place ``first`` on, with its items. Raises SnapshotError."""
    state: State = {}
    for place in range(first, len(line)):
        items, state = _items(home, line, place, state, settings.rights)
        yield line[place], items


def _items(home: Path, line: Sequence[Manifest], place: int, state: State, rights: Rights) -> tuple[list[Item], State]:
    """What a snapshot tells, and the state of what is withheld after it. A first one tells nothing, nor does one that
    a person restored, or that expired before it was planned."""
    manifest = line[place]
    if manifest["parent"] is None or manifest.get("restored") or not snapshots.is_kept(home, manifest["snapshot_id"]):
        return [], state
    state = state_before(home, line, place, state)
    passed, state = let_through(home, manifest, state)
    return items_of(home, manifest["snapshot_id"], rights, passed), state


def _entries(settings: Settings, items: Sequence[Item], now: dt.datetime) -> Iterator[Entry]:
    for name, rule in settings.rules.items():
        due = due_at(rule, now)
        yield from (Entry(name, group_of(rule, item, due), item, due) for item in items if matches(rule, item))


def _order(item: Item) -> tuple[int, str, str, str]:
    return SEVERITIES.index(item.severity), item.code, item.what, item.event_id
