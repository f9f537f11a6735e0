"""What a home should hold, in memory: whatever is landed, read anew, restored or let go, by a few lines each."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import itemgetter

CODES = tuple(f"{number:05}" for number in range(10000, 10012))
Texts = dict[str, str]
Delta = dict[str, tuple[str | None, str | None]]


@dataclass
class Snapshot:
    """What the model knows of one. ``words``: the number of the words on each code's page, as captured; ``texts``: what
    the tables hold of them. ``replaced``: of a restored one, the number of the last that a run made before it."""

    number: int
    snapshot_id: str
    texts: Texts
    words: dict[str, int]
    as_of: dt.datetime
    valid_from: dt.datetime
    changes: dict[str, Delta]
    versions: set[tuple[object, ...]] = field(default_factory=set)
    reading: tuple[int, int] = (1, 0)
    landings: int = 0
    replaced: int | None = None
    kept: bool = True


def text(number: int, variant: int) -> str:
    """What the parser's ``variant`` reads from a page."""
    return f"Synthetic {number}" + (f" read anew {variant}" if variant else "")


def delta(before: Mapping[str, str], after: Mapping[str, str]) -> Delta:
    codes = {*before, *after}
    return {code: (before.get(code), after.get(code)) for code in codes if before.get(code) != after.get(code)}


@dataclass
class Model:
    """``reading``: the parser's version, and what it makes of a page. ``words`` and ``well_at``: of each code's page,
    the number of its words and when it was fetched well last. ``line``: all snapshots, oldest first."""

    reading: tuple[int, int] = (1, 0)
    landings: int = 0
    words: dict[str, int] = field(default_factory=dict)
    well_at: dict[str, dt.datetime] = field(default_factory=dict)
    line: list[Snapshot] = field(default_factory=list)
    pins: set[str] = field(default_factory=set)

    @property
    def kept(self) -> list[Snapshot]:
        return [one for one in self.line if one.kept]

    def expected(self) -> Snapshot | None:
        """The snapshot that a run publishes now; None where it has no news."""
        variant = self.reading[1]
        texts = {code: text(number, variant) for code, number in self.words.items()}
        if not texts:
            return None
        changes: dict[str, Delta] = {}
        if self.line:
            parent = self.line[-1]
            made = self.line[parent.replaced - 1] if parent.replaced else parent
            read_anew = {code: text(number, variant) for code, number in made.words.items()}
            changes = {
                "restore": delta(parent.texts, made.texts),
                "parser": delta(made.texts, read_anew),
                "source": delta(read_anew, texts),
            }
            if not changes["parser"] and not changes["source"]:
                return None
        as_of = max(self.well_at.values())
        return Snapshot(
            len(self.line) + 1, "", texts, dict(self.words), as_of, self._valid_from(as_of), changes,
            reading=self.reading, landings=self.landings,
        )  # fmt: skip

    def restored(self, one: Snapshot) -> Snapshot | None:
        """The snapshot that restoring ``one`` publishes now; None where it changes nothing."""
        parent = self.line[-1]
        if not delta(parent.texts, one.texts):
            return None
        return replace(
            one,
            number=len(self.line) + 1,
            valid_from=self._valid_from(one.as_of),
            changes={"restore": delta(parent.texts, one.texts)},
            replaced=parent.replaced or parent.number,
        )

    def add(self, one: Snapshot, snapshot_id: str) -> None:
        self.line.append(replace(one, snapshot_id=snapshot_id, kept=True))
        self.line[-1].versions = set(self._versions())

    def expire(self, count: int) -> None:
        current = self.line[-1]
        stays = {one.number for one in self.kept[-count:]} | {current.number, current.replaced}
        stays |= {one.number for one in self.line if one.snapshot_id in self.pins}
        for one in self.line:
            one.kept = one.kept and one.number in stays

    def held_at(self, moment: dt.datetime) -> Snapshot | None:
        held = [one for one in self.line if one.valid_from <= moment]
        return held[-1] if held else None

    def _valid_from(self, as_of: dt.datetime) -> dt.datetime:
        return max(as_of, self.line[-1].valid_from) if self.line else as_of

    def _versions(self) -> list[tuple[object, ...]]:
        found: list[tuple[object, ...]] = []
        for code in CODES:
            states = [(one.texts.get(code), one) for one in self.line]
            for short, run in groupby(states, itemgetter(0)):
                held = [one for _, one in run]
                if short is None or not any(one.kept for one in held):
                    continue
                following = self.line[held[-1].number :]
                until = (held[-1].number, following[0].valid_from) if following else (None, None)
                found.append((code, short, held[0].number, until[0], held[0].valid_from, until[1]))
        return found
