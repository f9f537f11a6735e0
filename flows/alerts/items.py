"""Items of a snapshot: what a person would say happened to each code, with all that a message tells of it.

What stands on the page of a new code is told by the code being new; what a history says of a deletion, by the code
being deleted; a cell of ``codes``, by the row of the source that it was taken from. A site that is read for the first
time is no change in the world.
"""

from __future__ import annotations

import datetime as dt
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from flows.alert_settings import Rights, form
from flows.alerts.message import Item
from flows.alerts.pages import Facts, facts_of
from flows.alerts.rules import severity_of
from flows.alerts.withheld import Passed, all_passed
from flows.things import HEADLINES, Change, Difference, by_thing, differences, label, own_key, value_in_codes
from warehouse import snapshots
from warehouse.tables import CODE_PATTERN, SEVERITIES

# How many sites know a code says how we look, not what it is.
_NEVER_TOLD = ("source_count",)
_NOTICES = ("deletion_notice", "page_gone")
# Ex: "https://www.example.org/", "file:"
_SITE = re.compile(r"(?:[a-z][a-z0-9+.-]*:(?://[^/]*/?)?)?", re.IGNORECASE)
# Parts of an address that say what kind of page it is, and nothing of its code.
_PLAIN = (
    "cpt cpt4 cpt-4 cpt-code cpt-codes hcpcs hcpcs-code hcpcs-codes hcpcs-level-ii code codes billing billing-code "
    "billing-codes medical-code medical-codes lookup page pages en us en-us"
).split()
# Ex: "0748T", "cpt-99213.html"
_OF_CODE = re.compile(rf"(?:(?:{'|'.join(_PLAIN)})[-_])?(?:{CODE_PATTERN.strip('^$')})(?:\.html?)?", re.IGNORECASE)
_CATEGORIES = {"N": "I", "F": "II", "T": "III", "U": "PLA", "M": "MAAA", "A": "HCPCS-II"}


@dataclass(frozen=True, slots=True)
class _Found:
    """What one item tells. ``rows``: the leading one first. ``sources`` and ``table``: whose pages show it."""

    rows: tuple[Change, ...]
    what: str
    before: str | None
    after: str | None
    sources: tuple[str, ...]
    table: str | None
    column: str | None
    effective_on: dt.date | None


def items_of(home: Path, snapshot_id: str, rights: Rights, passed: Passed | None = None) -> list[Item]:
    """The changes of a snapshot as items: critical ones first, then by code.

    ``passed``: those of its changes that are not withheld; by default all but those of a restore. With ``rights``
    "codes-only" no words of pages are in them. Raises SnapshotError.
    """
    if passed is None:
        passed = all_passed(home, snapshots.read_manifest(home, snapshot_id))
    if not passed.changes:
        return []
    return items_from(passed.changes, facts_of(home, snapshot_id, passed.changes, passed.seen_first), rights)


def items_from(changes: Sequence[Change], facts: Facts, rights: Rights) -> list[Item]:
    """Changes as items: critical ones first, then by code. Each change is behind one of them, or behind none."""
    by_code: dict[tuple[str, str], list[Change]] = defaultdict(list)
    for change in changes:
        if change["column_name"] not in _NEVER_TOLD:
            by_code[change["code"], change["cause"]].append(change)
    items = [
        _item(found, facts, rights)
        for of_code in by_code.values()
        for found in _found(sorted(of_code, key=lambda change: str(change["event_id"])), facts)
    ]
    return sorted(items, key=lambda item: (SEVERITIES.index(item.severity), item.code, item.what, item.event_id))


def as_allowed(item: Item, rights: Rights) -> Item:
    """The item without words of pages, where ``rights`` ask for it and it was made with them."""
    if rights == "full" or item.rights == "codes-only":
        return item
    states = item.change_type in HEADLINES
    return replace(
        item,
        title=None,
        url=item.url and address_allowed(item.url, rights),
        before=item.before if states else None,
        after=item.after if states else None,
        withheld_text=not states,
        rights="codes-only",
    )


def address_allowed(url: str, rights: Rights) -> str:
    """The address; with codes only, just its site where it has more than a code in it. Ex: /codes/12345-some-words"""
    site = _SITE.match(url)
    start = site[0] if site else ""
    parts = url[len(start) :].strip("/").split("/")
    plain = all(part.lower() in _PLAIN or _OF_CODE.fullmatch(part) for part in parts if part)
    return url if rights == "full" or plain else start


def _found(rows: Sequence[Change], facts: Facts) -> Iterator[_Found]:
    """What happened to one code, by one cause. ``rows``: in the order of their event ids."""
    whole = next((row for row in rows if row["table_name"] == "codes" and row["column_name"] is None), None)
    if whole is not None and whole["change_type"] != "code_added":
        yield _of_code(whole, rows, "active", None, facts)
        return
    if whole is not None and facts.is_new(whole["code"]):
        yield _of_code(whole, rows, None, facts.status(whole["code"]), facts)
        return
    news = [row for row in rows if row is not whole and not facts.first_sight(row)]
    told: list[_Found] = []
    status = next((row for row in rows if row["change_type"] in HEADLINES and row is not whole), None)
    if status is not None:
        evidence = [row for row in rows if _tells_of(status, row)]
        if headline := _headline(status, evidence, facts):
            told.append(headline)
        news = [row for row in news if row is not status and not any(row is one for one in evidence)]
    told += _values([row for row in news if row["table_name"] != "codes"], facts)
    yield from _with_cells(told, [row for row in news if row["table_name"] == "codes"], rows)


def _of_code(leading: Change, rows: Sequence[Change], before: str | None, after: str | None, facts: Facts) -> _Found:
    """A code that came or went, with all that its pages say."""
    others = [row for row in rows if row is not leading]
    sources = facts.in_order({row["source"] for row in others})
    table = next((row["table_name"] for row in others if row["source"] in sources[:1]), None)
    on = leading["effective_on"]
    return _Found((leading, *others), "code", before, after, sources, table, None, on)


def _headline(status: Change, evidence: Sequence[Change], facts: Facts) -> _Found | None:
    """A code that was deleted or is valid again; None where a site that is read for the first time says so of a code
    of which nothing was known."""
    told = [row for row in evidence if row["table_name"] != "codes"]
    if status["before"] == "unknown" and told and all(facts.first_sight(row) for row in told):
        return None
    code, deleted = status["code"], status["change_type"] == "code_deleted"
    sources = facts.in_order({row["source"] for row in told if row["table_name"] != "related_codes"})
    sources = sources or facts.tellers(code)
    table = "attributes" if told and all(row["table_name"] == "attributes" for row in told) else "history_events"
    days = [row["effective_on"] for row in told if row["effective_on"] and row["after"] is not None]
    on = (status["effective_on"] or facts.deleted_on(code)) if deleted else max(days, default=None)
    return _Found((status, *evidence), "code", status["before"], status["after"], sources, table, None, on)


def _tells_of(status: Change, row: Change) -> bool:
    """Whether a row says no more than that the code was deleted, or is valid again."""
    if row is status:
        return False
    table, key = row["table_name"], own_key(row)
    if table == "codes":
        return row["column_name"] in ("added_on", "changed_on", "deleted_on")
    if table == "history_events":
        return key["action"] in (("deleted",) if status["change_type"] == "code_deleted" else ("added", "deleted"))
    if table == "attributes":
        return key["attribute"] in _NOTICES
    return table == "related_codes" and key["relation"] == "replaced_by"


def _values(rows: Sequence[Change], facts: Facts) -> list[_Found]:
    """What differs in the rows of the sources; what several of them say alike is one thing."""
    alike: dict[tuple[str, str | None, str | None], list[Difference]] = defaultdict(list)
    for thing in by_thing(rows).values():
        for one in differences(thing):
            alike[one.what, one.before, one.after].append(one)
    found = []
    for (what, before, after), same in alike.items():
        sources = facts.in_order({one.rows[0]["source"] for one in same})
        same.sort(key=lambda one: sources.index(one.rows[0]["source"]))
        first = same[0].rows[0]
        behind = tuple(row for one in same for row in one.rows)
        column, table = column_of(first), first["table_name"]
        found.append(_Found(behind, what, before, after, sources, table, column, first["effective_on"]))
    return found


def _with_cells(told: list[_Found], cells: Sequence[Change], rows: Sequence[Change]) -> Iterator[_Found]:
    """Each cell of ``codes`` goes with what the sources say of the same; alone it stands where none of them says a
    thing, and it is no news where only a site that is read for the first time does."""
    more: dict[int, list[Change]] = defaultdict(list)
    alone = []
    for cell in cells:
        place = next((n for n, found in enumerate(told) if _is_taken_from(cell, found.rows[0])), None)
        if place is not None:
            more[place].append(cell)
        elif not any(_is_taken_from(cell, row) for row in rows):
            alone.append(cell)
    for place, found in enumerate(told):
        yield _Found(
            (*found.rows, *more[place]), found.what, found.before, found.after, found.sources, found.table,
            found.column, found.effective_on,
        )  # fmt: skip
    for cell in alone:
        yield _Found((cell,), label(cell), cell["before"], cell["after"], (), None, column_of(cell), None)


def _is_taken_from(cell: Change, row: Change) -> bool:
    """Whether a cell of ``codes`` may be taken from a source's row."""
    column, table = column_of(cell), row["table_name"]
    if table in ("indicators", "descriptors"):
        return (
            table == ("indicators" if cell["column_name"].endswith("_code") else "descriptors")
            and column_of(row) == column
        )
    if table == "history_events" or (table == "attributes" and own_key(row)["attribute"] in _NOTICES):
        return cell["column_name"] in ("status", "added_on", "changed_on", "deleted_on")
    return row["table_name"] == "codes" and row["change_type"] in HEADLINES and cell["column_name"].endswith("_on")


def column_of(change: Change) -> str | None:
    """What differs, as rules name it. Ex: "mue", "short", "deleted_on", "replaced_by", "payer" """
    if change["table_name"] == "codes":
        column: str = change["column_name"]
        return column.removesuffix("_descriptor").removesuffix("_code")
    return next(iter(_naming(own_key(change), change["table_name"])), None)


def _naming(key: Mapping[str, str], table: str) -> Iterable[str]:
    part = {
        "indicators": "indicator",
        "descriptors": "kind",
        "history_events": "action",
        "narratives": "section",
        "attributes": "attribute",
        "modifiers": "modifier",
        "related_codes": "relation",
    }.get(table)
    return [key[part]] if part else []


def _item(found: _Found, facts: Facts, rights: Rights) -> Item:
    leading = found.rows[0]
    code, kind = leading["code"], leading["change_type"]
    page = facts.page(code, found.sources[0] if found.sources else None, found.table)
    before, after, withheld = _sides(found, rights)
    return Item(
        event_id=leading["event_id"],
        event_ids=tuple(dict.fromkeys(row["event_id"] for row in found.rows)),
        change_type=kind,
        cause=leading["cause"],
        severity=severity_of(kind),
        code=code,
        category=_CATEGORIES.get(form(code), "I"),
        title=None if rights == "codes-only" else facts.title(code),
        sources=found.sources,
        column=found.column,
        what=found.what,
        before=before,
        after=after,
        withheld_text=withheld,
        effective_on=found.effective_on,
        seen_at=page.fetched_at if page else facts.as_of,
        url=address_allowed(page.url, rights) if page else None,
        document_id=page.document_id if page else None,
        replaced_by=facts.replaced_by(code) if kind == "code_deleted" else (),
        snapshot_id=facts.snapshot_id,
        parent_snapshot_id=leading["parent_snapshot_id"],
        rights=rights,
    )


def _sides(found: _Found, rights: Rights) -> tuple[str | None, str | None, bool]:
    """Before and after, and whether words were left out."""
    full = (found.before, found.after)
    if rights == "full" or found.what == "code":  # states of a code are no words of a site
        return (*full, False)
    table = found.rows[0]["table_name"]
    before, after = (
        next((text for row in found.rows if row["table_name"] == table and (text := value_in_codes(row, side))), None)
        for side in ("before", "after")
    )
    if before == after and full[0] != full[1]:
        before, after = None, None
    return before, after, (before, after) != full
