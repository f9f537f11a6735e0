"""Rows of ``changes`` made into things: what a person would say differs in a code, with its value before and after."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import zip_longest
from typing import Any

from warehouse.apply import key_values
from warehouse.tables import BY_NAME

Change = Mapping[str, Any]
"""A row of the table ``changes``, by column."""

HEADLINES = ("code_added", "code_deleted", "code_reinstated")
PRESENT = "present"
"""Stands for a row that says no more than its key does."""
# Of an indicator, the page's own words say it best; its code in CMS terms next.
_INDICATOR_TOLD_BY = ("raw_text", "value_code", "value_text")


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that differs in a code. ``rows``: those of ``changes`` behind it, the one that tells it best first."""

    what: str
    before: str | None
    after: str | None
    rows: tuple[Change, ...]


def by_thing(rows: Iterable[Change], teller: str = "source") -> dict[tuple[str, str], list[Change]]:
    """The rows of each thing: by what it is, in words, and who tells it (the column ``teller``)."""
    things: dict[tuple[str, str], list[Change]] = defaultdict(list)
    for row in rows:
        things[label(row), row[teller] or ""].append(row)
    return things


def differences(changes: Sequence[Change]) -> list[Difference]:
    """What differs in one thing: values that went and came, side by side.

    Rows with ordinals are one thing together: a payer that goes moves all behind it up, and only it is told.
    """
    cells = _best_cells(changes)
    before = Counter(text for change in cells if (text := value(change, "before")) is not None)
    after = Counter(text for change in cells if (text := value(change, "after")) is not None)
    pairs = list(zip_longest((before - after).elements(), (after - before).elements()))
    leading = _leading(pairs, cells)
    taken = {id(change) for change in leading}
    others = [change for change in changes if id(change) not in taken]
    what = label(changes[0])
    return [
        Difference(what, old, new, (first, *([] if place else others)))
        for place, ((old, new), first) in enumerate(zip(pairs, leading, strict=True))
    ]


def label(change: Change) -> str:
    """What changed, in words. Ex: "descriptor short", "indicator mue", "attribute payer", "title"."""
    table = BY_NAME[change["table_name"]]
    if table.name == "codes":
        return str(change["column_name"] or "code")
    thing = table.name.removesuffix("s").replace("_", " ").replace("history event", "history")
    return " ".join([thing, *own_key(change).values()])


def own_key(change: Change) -> Mapping[str, str]:
    """What the row's key says beside whose it is. Ex: {"indicator": "mue"}"""
    return _own_key(change["table_name"], change["row_key"])


@lru_cache(maxsize=1024)  # a row is asked for several times on end
def _own_key(table_name: str, row_key: str) -> Mapping[str, str]:
    table = BY_NAME[table_name]
    key = zip(table.key, key_values(table, row_key), strict=True)
    return {name: part for name, part in key if name not in ("source", "code", "ordinal")}


def value(change: Change, side: str) -> str | None:
    """A cell's value, or those values of a whole row that are not in its key."""
    text: str | None = change[side]
    if text is None or change["column_name"] is not None:
        return text
    if change["table_name"] == "indicators":
        row = json.loads(text)
        return next((str(row[name]) for name in _INDICATOR_TOLD_BY if row.get(name) is not None), PRESENT)
    return " · ".join(cells_of(text)) or PRESENT


def value_in_codes(change: Change, side: str) -> str | None:
    """What of `value` is no site's words: codes, dates, states, and that something is there."""
    text: str | None = change[side]
    if text is None:
        return None
    table, column = change["table_name"], change["column_name"]
    if table == "codes":
        worded = column is None or column == "title" or column.endswith("_descriptor")
        return None if worded else text
    if table == "indicators":
        if column is None:
            code = json.loads(text)["value_code"]
            return None if code is None else str(code)
        return text if column == "value_code" else None
    whole = column is None and table in ("history_events", "modifiers", "related_codes")
    return PRESENT if whole else None


def values(change: Change) -> list[str]:
    """Every single value that a change tells: of a cell, or of a row with its key."""
    texts = [change[side] for side in ("before", "after") if change[side] is not None]
    if change["column_name"] is not None:
        return texts
    return [cell for row in texts for cell in cells_of(row)] + key_values(
        BY_NAME[change["table_name"]], change["row_key"]
    )


def cells_of(row: str) -> list[str]:
    """The values of a whole row."""
    return [str(cell) for cell in json.loads(row).values() if cell is not None]


def _best_cells(changes: Sequence[Change]) -> list[Change]:
    if changes[0]["table_name"] == "indicators" and changes[0]["column_name"] is not None:
        for name in _INDICATOR_TOLD_BY:
            if told := [change for change in changes if change["column_name"] == name]:
                return told
    return list(changes)


def _leading(pairs: Sequence[tuple[str | None, str | None]], cells: Sequence[Change]) -> list[Change]:
    """For each pair a row of its own, if possible one that tells a side of it."""
    free = list(cells)
    leading = []
    for old, new in pairs:
        telling = (c for c in free if (old and value(c, "before") == old) or (new and value(c, "after") == new))
        first = next(telling, free[0])
        free = [change for change in free if change is not first]
        leading.append(first)
    return leading
