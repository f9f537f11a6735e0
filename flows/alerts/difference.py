"""Two wordings side by side, word by word: what stayed, what went, what came. Long ones are cut around what differs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

from flows.alerts.escaping import clean

AROUND = 8
"""words that are shown before and after what differs"""
PLACES = 8
"""places that differ that are shown"""
LONGEST = 300
"""characters of what went, or came, in one place"""
LEAD_IN = 40
"""characters in front of where two long words or wordings part"""
SHORT = 24
"""characters of a value that is best shown whole"""
ALIKE = 0.3
"""share of words in common below which one wording has simply taken the place of the other"""
MAX_PRODUCT = 1_000_000
"""words of one times words of the other beyond which nobody looks for what they share: it would take seconds"""

Words = Sequence[str]


@dataclass(frozen=True, slots=True)
class Piece:
    """Words that stand together, and what became of them."""

    kind: Literal["same", "gone", "new"]
    text: str


@dataclass(frozen=True, slots=True)
class _Place:
    """A place that differs, and the words that follow it in both."""

    gone: Words
    new: Words
    same: Words


def is_short(value: str) -> bool:
    """Whether a value is best shown whole. Ex: "2", "YYY", "2026-01-01" """
    return len(value) <= SHORT and len(value.split()) <= 2


def difference(before: str | None, after: str | None) -> tuple[Piece, ...]:
    """The way from ``before`` to ``after`` as a reader sees it; nothing where both look the same."""
    old, new = clean(before).split(), clean(after).split()
    return () if old == new else tuple(_pieces(_places(old, new)))


def _places(old: Words, new: Words) -> list[_Place]:
    """The first of them is the beginning that both share, which may be empty."""
    head = _shared(old, new)
    tail = _shared(old[head:][::-1], new[head:][::-1])
    inner = old[head : len(old) - tail], new[head : len(new) - tail]
    places = [_Place((), (), old[:head]), *_inner(*inner, old[len(old) - tail :])]
    if sum(len(place.same) for place in places) < ALIKE * max(len(old), len(new)):
        return [_Place((), (), ()), _Place(old, new, ())]
    return places


def _shared(one: Words, other: Words) -> int:
    """How many words both begin with."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def _inner(old: Words, new: Words, tail: Words) -> Iterator[_Place]:
    gone: list[str] = []
    came: list[str] = []
    steps = SequenceMatcher(None, old, new, autojunk=False).get_opcodes() if len(old) * len(new) < MAX_PRODUCT else None
    for what, i, j, k, m in steps or [("replace", 0, len(old), 0, len(new))]:
        # A lone "of" that both have amid other words is no help to a reader.
        if what == "equal" and (j - i > 1 or len(old[i]) > 3):
            yield _Place(gone, came, old[i:j])
            gone, came = [], []
        else:
            gone, came = [*gone, *old[i:j]], [*came, *new[k:m]]
    yield _Place(gone, came, tail)


def _pieces(places: list[_Place]) -> Iterator[Piece]:
    shown = places[: PLACES + 1]
    for at, place in enumerate(shown):
        gone, new = _shortened(" ".join(place.gone), " ".join(place.new))
        if gone:
            yield Piece("gone", gone)
        if new:
            yield Piece("new", new)
        if same := _around(place.same, first=at == 0, last=at == len(places) - 1):
            yield Piece("same", same)
    if len(places) > len(shown):
        yield Piece("same", "…")


def _shortened(gone: str, new: str) -> tuple[str, str]:
    """Both, where they are long from shortly before the letter where they part."""
    if max(len(gone), len(new)) <= LONGEST:
        return gone, new
    start = max(_shared(gone, new) - LEAD_IN, 0) if gone and new else 0
    return _from(gone, start), _from(new, start)


def _from(text: str, start: int) -> str:
    shown = text[start : start + LONGEST]
    return ("…" if start and shown else "") + shown + ("…" if len(text) > start + LONGEST else "")


def _around(words: Words, *, first: bool, last: bool) -> str:
    """Of words that stayed, those next to what differs."""
    head, tail = (0 if first else AROUND), (0 if last else AROUND)
    if len(words) <= head + tail + 2:
        return cut(" ".join(words), LONGEST)
    kept = [*words[:head], "…", *words[len(words) - tail :]]
    return cut(" ".join(kept), LONGEST)


def cut(text: str, limit: int) -> str:
    """``text``, shortened with an ellipsis where it is longer than ``limit`` characters."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"
