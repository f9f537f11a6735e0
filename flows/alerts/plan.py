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
from flows.alerts.errors import NotPlanned
from flows.alerts.items import as_allowed, items_of
from flows.alerts.message import Item, Message
from flows.alerts.outbox import Entry, Outbox, open_outbox
from flows.alerts.rules import channels_of, due_at, group_of, matches, quiet_until
from flows.alerts.withheld import State, let_through, state_before, state_unmoved
from flows.settings import Settings
from warehouse import snapshots
from warehouse.tables import SEVERITIES

Manifest = Mapping[str, Any]
MOST_MESSAGES = 50
"""That a rule makes of one snapshot."""
# What readers of damaged tables and manifests raise beside SnapshotError; Ex: a table without one of its columns
_UNREADABLE = (OSError, LookupError, ValueError, TypeError)


def plan(home: Path, settings: Settings, now: dt.datetime) -> tuple[Message, ...]:
    """Plan all snapshots that are not planned yet, and make messages of what is due. Returns the new messages.

    ``home``: a folder. A rule tells what is planned from now on; what older snapshots changed is never told by it.
    A snapshot that cannot be read is planned as soon as it can. Raises OutboxError; NotPlanned, when all is done that
    can be.
    """
    line: Sequence[Manifest] = ()
    with open_outbox(home) as outbox:
        try:
            line = snapshots.lineage(home) if snapshots.current_id(home) else ()
            errors, behind = _plan_all(outbox, home, line, settings, now)
        except snapshots.SnapshotError as error:
            errors, behind = [error], 0
        made = gather(outbox, settings, now, {manifest["snapshot_id"]: manifest for manifest in line})
    if errors:
        raise NotPlanned(errors, behind, made)
    return made


def _plan_all(
    outbox: Outbox, home: Path, line: Sequence[Manifest], settings: Settings, now: dt.datetime
) -> tuple[list[Exception], int]:
    """What could not be planned, and how many snapshots wait behind it: where what it held back may explain theirs."""
    planned, state = outbox.planned(), outbox.withheld()
    left = [place for place, manifest in enumerate(line) if manifest["snapshot_id"] not in planned]
    errors: list[Exception] = []
    for number, place in enumerate(left, 1):
        try:
            items, state = _items(home, line, place, state, settings.rights)
        except (snapshots.SnapshotError, *_UNREADABLE) as error:
            errors.append(error)
            passed = _passed_by(home, line, place, state)
            if passed is None:
                return errors, len(left) - number
            state = passed
        else:
            entries = list(_entries(settings, items, now))
            with outbox.together():
                undone = _undone(line[:place])
                waiting = (
                    [entry for entry in outbox.open_entries() if entry.item.snapshot_id in undone] if undone else []
                )
                taken_back = _taken_back(waiting, items)
                left_over = [entry for entry in entries if _thing(entry.rule, entry.item) not in taken_back]
                if outbox.add_plan(line[place]["snapshot_id"], left_over, state):
                    outbox.drop([entry for entry in waiting if _thing(entry.rule, entry.item) in taken_back])
    return errors, 0


def _passed_by(home: Path, line: Sequence[Manifest], place: int, state: State) -> State | None:
    """The state after a snapshot, whatever changed in it; None where that cannot be told."""
    try:
        return state_unmoved(home, line[place], state_before(home, line, place, state))
    except (snapshots.SnapshotError, *_UNREADABLE):
        return None


def gather(
    outbox: Outbox, settings: Settings, now: dt.datetime, manifests: Mapping[str, Manifest]
) -> tuple[Message, ...]:
    """Messages of what is due, put on the channels of their rules. What a rule picked that is gone since, waits for it;
    so does what a person has restored away, for a run that goes on from it.

    ``manifests``: by snapshot id, as far as they can be read.
    """
    made = []
    undone = _undone(list(manifests.values()))
    with outbox.together():
        due = [entry for entry in outbox.due_entries(now) if entry.item.snapshot_id not in undone]
        for name, entries in together(due):
            if (rule := settings.rules.get(name)) is not None:
                items = [as_allowed(entry.item, settings.rights) for entry in entries]
                message = message_of(name, rule, items, now, manifests, settings.home)
                if outbox.add_message(message, channels_of(settings, rule), entries, not_before=quiet_until(rule, now)):
                    made.append(message)
    return tuple(made)


def _taken_back(waiting: Sequence[Entry], items: Sequence[Item]) -> set[tuple[str, str, str]]:
    """Things of which a rule has told nothing, as a person had restored them away, and that a run finds as they were
    before: nothing has happened to them. Of several things of one name, or without their words, nobody can say that."""
    first: dict[tuple[str, str, str], Item] = {}
    last: dict[tuple[str, str, str], Item] = {}
    for entry in waiting:
        thing = _thing(entry.rule, entry.item)
        last[thing] = entry.item
        first.setdefault(thing, entry.item)
    unclear = {_thing(entry.rule, entry.item) for entry in waiting if entry.item.withheld_text}
    each = Counter((_thing(entry.rule, entry.item), entry.item.snapshot_id) for entry in waiting)
    unclear |= {thing for (thing, _), number in each.items() if number > 1}
    ends = {(item.code, item.what, item.before): item.after for item in items}
    return {
        thing
        for thing, item in last.items()
        if thing not in unclear and ends.get((item.code, item.what, item.after), item.after) == first[thing].before
    }


def _thing(rule: str, item: Item) -> tuple[str, str, str]:
    return rule, item.code, item.what


def _undone(line: Sequence[Manifest]) -> set[str]:
    """Snapshots that a person has put back, as long as no run goes on from them: what they changed waits."""
    places = {manifest["snapshot_id"]: place for place, manifest in enumerate(line)}
    stands = len(line) - 1
    while stands >= 0 and (restored := line[stands].get("restored")):
        stands = min(places.get(restored["snapshot_id"], -1), stands - 1)
    return {manifest["snapshot_id"] for manifest in line[stands + 1 :]} if stands >= 0 else set()


def together(entries: Sequence[Entry]) -> list[tuple[str, list[Entry]]]:
    """The entries of each message, with their rule, in the order of the first of each. Of a snapshot that gave a rule
    more than `MOST_MESSAGES` all are in one."""
    each = Counter((rule, of) for rule, _, of in {(one.rule, one.group, one.item.snapshot_id) for one in entries})
    groups: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in entries:
        of = entry.item.snapshot_id
        groups[entry.rule, of if each[entry.rule, of] > MOST_MESSAGES else entry.group].append(entry)
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


def _order(item: Item) -> tuple[int, str, str, str, str]:
    return SEVERITIES.index(item.severity), item.code, item.what, item.snapshot_id, item.event_id
