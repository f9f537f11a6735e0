"""A message in the order and the words in which people are told it, before it becomes text, Markdown or HTML."""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from flows.alerts.difference import Piece, cut, difference, is_short
from flows.alerts.escaping import address, clean
from flows.alerts.message import Condition, Item, Message
from warehouse.tables import SEVERITIES

LONG_AGO = dt.timedelta(days=366)
"""A code that was valid for longer before it was seen here is not called new."""
TITLE_WIDTH = 160
WHAT_WIDTH = 120
DOCUMENT_WIDTH = 12
"""letters of a document's sha256, enough to find it by"""
WITHHELD = "text differs; left out (rights = codes-only)"
GUIDE = "docs/operating.md"

# Ex: https://www.codingahead.com/cpt/codes/20610
_SCHEME = re.compile(r"^https?://(www\.)?", re.IGNORECASE)

# What a code is called for its weightiest change, in the order in which codes are told.
_TAGS = {"code_deleted": "deleted", "code_added": "new", "code_reinstated": "valid again"}
_FIRST_SEEN, _CHANGED = "first seen", "changed"
_DAY_GONE = ("deleted", "deleted_on")  # as rules name the event in a history, and the column of codes
_ORDER = (*_TAGS.values(), _FIRST_SEEN, _CHANGED)
_MORE = {
    "code_added": ("new code", "new codes"),
    "code_deleted": ("deleted code", "deleted codes"),
    "code_reinstated": ("code valid again", "codes valid again"),
    "history_event_added": ("entry in a history", "entries in histories"),
}


@dataclass(frozen=True, slots=True)
class Told:
    """One item. What differs (``label``) has values side by side, or pieces of a difference, or neither."""

    label: str | None
    sentence: str | None
    values: tuple[str, str] | None
    pieces: tuple[Piece, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """Items of a code that one page tells. ``when``: and where. Ex: "Seen 2026-01-12 06:00 UTC at openpayer" """

    items: tuple[Told, ...]
    when: str
    url: str | None
    document: str | None
    event_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Code:
    code: str
    title: str | None
    tag: str
    seen: tuple[Seen, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """A condition of the pipeline. ``time``: when it began, or ended after how long."""

    tag: str
    name: str
    time: str
    what: str
    advice: str
    section: str
    event_id: str
    run_id: str | None


@dataclass(frozen=True, slots=True)
class Telling:
    """A message as it is told. ``more_at``: where the rest is, a command or an address."""

    title: str
    headline: str
    facts: tuple[str, ...]
    codes: tuple[Code, ...]
    problems: tuple[Problem, ...]
    more: str | None
    more_at: str | None
    message_id: str
    why: str


def telling(message: Message) -> Telling:
    codes = _codes(message.items)
    headline = _headline(codes, message)
    if message.audience == "users":
        why = f"Rule {message.rule} of cptflow picked this. A repeat carries the same ids."
    else:
        why = "cptflow tells its operators when something begins and when it ends. A repeat carries the same id."
    return Telling(
        title=cut(clean(f"cptflow: {headline} ({(message.as_of or message.made_at):%Y-%m-%d})"), TITLE_WIDTH),
        headline=headline[:1].upper() + headline[1:],
        facts=tuple(_facts(message)),
        codes=codes,
        problems=tuple(_problem(one) for one in message.conditions),
        more=_more(message.more),
        more_at=message.more_at if message.more else None,
        message_id=message.message_id,
        why=why,
    )


def condition_id(condition: Condition) -> str:
    """One for its beginning, another for its end. Ex: "suspect:openpayer/20260112T060000Z/began" """
    turn = "began" if condition.ended_at is None else "ended"
    return f"{condition.name}/{condition.began_at.astimezone(dt.UTC):%Y%m%dT%H%M%SZ}/{turn}"


def moment(time: dt.datetime) -> str:
    """Ex: "2026-01-12 06:00 UTC" """
    return f"{time.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"


# What it says at the top


def _headline(codes: Sequence[Code], message: Message) -> str:
    """Ex: "2 new codes, 1 deleted, 3 changed", "0714T deleted from 2026-01-01 on", "[recovered] suspect: openpayer" """
    parts = [_problems_counted(message.conditions)] if message.conditions else []
    more = sum((message.more or {}).values())
    if len(codes) == 1 and not parts and not more:
        return _one_code(codes[0], message.items)
    counts = Counter(code.tag for code in codes)
    for tag in _ORDER:
        if number := counts[tag]:
            parts.append(_counted(number, tag, is_first=not parts))
    if more:
        parts.append(f"{more:,} more {'change' if more == 1 else 'changes'}")
    return ", ".join(parts) or "nothing to tell"


def _counted(number: int, tag: str, *, is_first: bool) -> str:
    """Ex: "2 new codes"; "1 deleted" where it follows another count."""
    codes = "code" if number == 1 else "codes"
    if tag == "new":
        return f"{number:,} new" + (f" {codes}" if is_first else "")
    told = {_FIRST_SEEN: "first seen here"}.get(tag, tag)
    return f"{number:,} {codes} {told}" if is_first else f"{number:,} {told}"


def _one_code(code: Code, items: Sequence[Item]) -> str:
    told = {"new": "is new", _FIRST_SEEN: "first seen here", "valid again": "is valid again"}.get(code.tag, code.tag)
    days = {item.effective_on for item in items if item.change_type in _TAGS and item.effective_on}
    if code.tag == "deleted" and len(days) == 1:
        return f"{code.code} deleted from {days.pop()} on"
    return f"{code.code} {told}"


def _problems_counted(conditions: Sequence[Condition]) -> str:
    begun = [one for one in conditions if one.ended_at is None]
    ended = [one for one in conditions if one.ended_at is not None]
    told = [_name(begun[0]) if len(begun) == 1 else f"{len(begun):,} new problems"] if begun else []
    if ended:
        told.append(f"[recovered] {_name(ended[0]) if len(ended) == 1 else f'{len(ended):,} problems'}")
    return ", ".join(told)


def _facts(message: Message) -> Iterator[str]:
    if message.as_of is not None:
        yield f"Data as of {moment(message.as_of)}"
    yield f"Told {moment(message.made_at)}"
    if len(message.snapshot_ids) == 1:
        yield f"Snapshot {message.snapshot_ids[0]}"
    elif message.snapshot_ids:
        yield f"{len(message.snapshot_ids):,} snapshots, the last {message.snapshot_ids[-1]}"


def _more(more: Mapping[str, int] | None) -> str | None:
    """Ex: "and 23 more: 20 indicator changes, 3 descriptor changes" """
    if not more or not (number := sum(more.values())):
        return None
    most_first = sorted(more.items(), key=lambda counted: (-counted[1], counted[0]))
    return f"and {number:,} more: " + ", ".join(_counted_kind(*counted) for counted in most_first if counted[1])


def _counted_kind(kind: str, number: int) -> str:
    word = kind.removesuffix("_changed").replace("_", " ")
    one, many = _MORE.get(kind, (f"{word} change", f"{word} changes"))
    return f"{number:,} {one if number == 1 else many}"


# Codes and their items


def _codes(items: Iterable[Item]) -> tuple[Code, ...]:
    """By code, critical first, in the order deleted, new, valid again, first seen, changed."""
    by_code: dict[str, list[Item]] = {}
    for item in items:
        by_code.setdefault(item.code, []).append(item)
    made = ((min(_weight(item) for item in group), _code(code, group)) for code, group in by_code.items())
    ranked = sorted(made, key=lambda made: (made[0], _ORDER.index(made[1].tag), made[1].code))
    return tuple(code for _, code in ranked)


def _weight(item: Item) -> int:
    return SEVERITIES.index(item.severity) if item.severity in SEVERITIES else len(SEVERITIES)


def _code(code: str, items: Sequence[Item]) -> Code:
    items = sorted(items, key=lambda item: (_ORDER.index(_tag(item)), _weight(item)))
    title = next((clean(item.title) for item in items if item.title), "")
    pages = groupby(_together(items), key=_page)
    return Code(code, cut(title, TITLE_WIDTH) or None, _tag(items[0]), tuple(_seen(list(group)) for _, group in pages))


def _tag(item: Item) -> str:
    tag = _TAGS.get(item.change_type, _CHANGED)
    return _FIRST_SEEN if tag == "new" and _is_new_here_only(item) else tag


def _is_new_here_only(item: Item) -> bool:
    """Whether the code is new here only: it became valid long ago, or nobody says when it did."""
    return item.effective_on is None or item.effective_on < item.seen_at.date() - LONG_AGO


def _page(item: Item) -> tuple[object, ...]:
    return item.seen_at, item.sources, item.url, item.document_id, item.cause


def _together(items: Sequence[Item]) -> list[Item]:
    """In the order of ``items``, those that one page tells next to each other."""
    first: dict[tuple[object, ...], int] = {}
    for at, item in enumerate(items):
        first.setdefault(_page(item), at)
    return sorted(items, key=lambda item: first[_page(item)])


def _seen(items: Sequence[Item]) -> Seen:
    one = items[0]
    at = f" at {', '.join(one.sources)}" if one.sources else ""
    told_by = "" if one.cause == "source" else f"; told by a new {one.cause}, not by the source"
    document = one.document_id[:DOCUMENT_WIDTH] if one.document_id else None
    ids = tuple(item.event_id for item in items)
    return Seen(tuple(map(_told, items)), f"Seen {moment(one.seen_at)}{at}{told_by}", one.url, document, ids)


def _told(item: Item) -> Told:
    if (sentence := _sentence(item)) is not None:
        return Told(None, sentence, None, (), ())
    notes = [f"effective {item.effective_on}"] if item.effective_on and not _repeats_day(item) else []
    label = cut(clean(item.what), WHAT_WIDTH)
    before, after = clean(item.before), clean(item.after)
    if item.withheld_text and not before and not after:
        return Told(label, None, None, (), (WITHHELD, *notes))
    if before and after and before != after and is_short(before) and is_short(after):
        return Told(label, None, (before, after), (), tuple(notes))
    pieces = difference(before, after)
    if not pieces and item.before != item.after:
        notes.insert(0, "differs in spaces or characters that nobody sees")
    return Told(label, None, None, pieces, tuple(notes))


def _repeats_day(item: Item) -> bool:
    return str(item.effective_on) in (item.after or "", *item.what.split())


def _sentence(item: Item) -> str | None:
    """What says all of an item that is about the code itself, or about a day of its that is to come."""
    day = item.effective_on
    match item.change_type:
        case "code_added":
            return _added(day, item.seen_at.astimezone(dt.UTC).date(), is_new=not _is_new_here_only(item))
        case "code_deleted":
            gone = f"Not valid from {day} on" if day else "Not valid any more; since when is not told"
            return f"{gone}. {_replacement(item)}."
        case "code_reinstated":
            return f"Valid again from {day} on." if day else "Valid again; the day is not told."
    if item.column in _DAY_GONE:
        return _deletion_to_come(item)
    return None


def _deletion_to_come(item: Item) -> str | None:
    """A deletion that is announced, or not any more; None for one of the past."""
    day, seen = _day_gone(item), item.seen_at.astimezone(dt.UTC).date()
    if day is None or day <= seen or (item.before is None) == (item.after is None):
        return None
    if item.before is not None:
        return f"Withdrawn: it was to be deleted from {day} on."
    return f"Announced: not valid from {day} on." + (f" {_replacement(item)}." if item.replaced_by else "")


def _day_gone(item: Item) -> dt.date | None:
    if item.column == "deleted":
        return first_day_gone(item.effective_on) if item.effective_on else None
    try:
        return dt.date.fromisoformat(item.after or item.before or "")
    except ValueError:
        return None


def first_day_gone(day: dt.date) -> dt.date:
    """Sites write the last day of a code or the first day without it: as the table ``codes`` reads it."""
    return day + dt.timedelta(days=1) if (day.month, day.day) == (12, 31) else day


def _added(day: dt.date | None, seen: dt.date, *, is_new: bool) -> str:
    if day is None:
        return f"Seen here for the first time on {seen}; since when it is valid is not told."
    if not is_new:
        return f"Added {day}, seen here for the first time on {seen}."
    ahead = " (announced)" if day > seen else ""
    return f"Valid from {day} on{ahead}, seen here for the first time on {seen}."


def _replacement(item: Item) -> str:
    return f"Replaced by {', '.join(item.replaced_by)}" if item.replaced_by else "No replacement is named"


# Conditions


def _name(condition: Condition) -> str:
    """Ex: "run failed", "suspect: openpayer" """
    kind = condition.kind.replace("_", " ")
    return f"{kind}: {condition.subject}" if condition.subject else kind


def _problem(condition: Condition) -> Problem:
    has_ended = condition.ended_at is not None
    began = moment(condition.began_at)
    return Problem(
        tag="recovered" if has_ended else condition.severity,
        name=_name(condition),
        time=f"Ended {moment(condition.ended_at)}, began {began}" if condition.ended_at else f"Since {began}",
        what=("It was: " if has_ended else "") + condition.what,
        advice="Nothing is left to do." if has_ended else condition.advice,
        section=f'{GUIDE}, section "{condition.kind}"',
        event_id=condition_id(condition),
        run_id=condition.run_id,
    )


def link(url: str | None) -> tuple[str, str] | None:
    """Words and target of a link; None where ``url`` is no web address, and shown as text.

    The words are without https://www., which some readers make another link of.
    """
    target = address(url)
    return (cut(_SCHEME.sub("", clean(url)), WHAT_WIDTH), target) if target else None
