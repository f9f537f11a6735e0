"""A home against a small model of it: whatever is landed, run, upgraded, restored, pinned, expired or cut off, its
tables, changes and versions are those that the model tells, each change once and with its cause.

Real pages are landed, parsed, staged, assembled, compared and published. Left out are Great Expectations, which takes
a second in each run, and the quality page: they have no say in what is modelled here.
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from flows import pipeline, report, restoring
from flows.commands.current import snapshot_at
from parsers import registry
from tests.flows.home_model import CODES
from tests.flows.modelled_home import AFTER, BEFORE, ModelledHome
from tests.flows.pages import without_validation
from warehouse.history import Expired

# What a landing brings of a page: other words, the same bytes, the same words beside another counter, or a wall.
KINDS = st.sampled_from(["news", "news", "same", "counter", "gated"])
# Pages by code, with those that come again and again among them.
FOUND = st.dictionaries(st.sampled_from([*CODES, *CODES[:2] * 8]), KINDS, min_size=1, max_size=3)
NEWS = st.dictionaries(st.sampled_from(CODES[:3]), st.just("news"), min_size=1, max_size=2)
# After a thing that a next run has to do with: nothing, a run, or a run that finds something new.
NEXT = st.none() | st.just({}) | NEWS
THINGS = ("run", "land", "run_cut_off", "upgrade", "restore", "restore", "restore", "expire", "expire", "pin")
Draw = Callable[[Any], Any]
FIRST = ({CODES[0]: "news", CODES[1]: "news"}, {CODES[0]: "news", CODES[2]: "news"}, {CODES[1]: "news"})
# What has to happen at random; and in the story.
OFTEN = {"published", "restore", "run undoes a restore", "expired", "upgrade", "run cut off"}
EACH = {
    *OFTEN, "run after a restore finds nothing", "news and a restore undone at once", "restore of what was restored",
    "states let go", "kept for what was restored", "read anew", "landing cut off", "run cut off after publishing",
    "all in one run",
}  # fmt: skip


@cache
def grown() -> tuple[tempfile.TemporaryDirectory[str], ModelledHome]:
    """A home with three snapshots, to be copied."""
    place = tempfile.TemporaryDirectory()
    home = ModelledHome(Path(place.name))
    for found in FIRST:
        home.run(found)
        home.check()
    return place, home


class Home(RuleBasedStateMachine):
    """Begins with three snapshots, so that there is something to restore and to let go, and with one of each thing that
    is worth most, in whatever order."""

    seen: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.place = Path(tempfile.mkdtemp())
        self.at = grown()[1].copy(self.place)

    def teardown(self) -> None:
        Home.seen += self.at.seen
        shutil.rmtree(self.place)

    @initialize(order=st.permutations(("restore", "expire", "upgrade", "run_cut_off")), data=st.data())
    def one_of_each_happens(self, order: list[str], data: st.DataObject) -> None:
        for thing in order:
            self.happens(thing, data)
            self.at.check()

    # One rule: among several Hypothesis leaves some out in each example, and a few examples then see little.
    @rule(thing=st.sampled_from(THINGS), data=st.data())
    def anything_happens(self, thing: str, data: st.DataObject) -> None:
        self.happens(thing, data)

    def happens(self, thing: str, data: st.DataObject) -> None:
        after = getattr(self, thing)(data.draw)
        if after is not None:
            self.at.check()
            self.at.run(after)

    # Each returns what the next run finds, None where none follows at once.

    def land(self, draw: Draw) -> dict[str, str] | None:
        self.at.land(draw(FOUND), draw(st.none() | st.integers(1, 30)))
        return draw(st.none() | st.just({}))

    def run(self, draw: Draw) -> dict[str, str] | None:
        return draw(FOUND)

    def run_cut_off(self, draw: Draw) -> dict[str, str] | None:
        self.at.run_cut_off(draw(st.sampled_from([BEFORE, AFTER]) | st.integers(1, 100)), draw(NEWS))
        return draw(NEXT)

    def upgrade(self, draw: Draw) -> dict[str, str] | None:
        self.at.upgrade(draw(st.booleans()))
        return draw(NEXT)

    def restore(self, draw: Draw) -> dict[str, str] | None:
        for _ in range(draw(st.sampled_from([2, 1]))):  # one on top of another
            others = self.at.model.kept[:-1] or self.at.model.kept
            cut = draw(st.none() | st.none() | st.sampled_from([BEFORE, AFTER]) | st.integers(1, 60))
            self.at.restore(draw(st.sampled_from(others)), cut)
            self.at.check()
        return draw(NEXT)

    def pin(self, draw: Draw) -> dict[str, str] | None:
        self.at.pin(draw(st.sampled_from(self.at.model.kept)), draw(st.booleans()))
        return None

    def expire(self, draw: Draw) -> dict[str, str] | None:
        self.at.expire(draw(st.integers(1, max(1, len(self.at.model.kept) - 1))), draw(st.none() | st.integers(1, 40)))
        return draw(NEXT)

    @precondition(lambda self: self.at.line[-1].replaced is None)
    @precondition(lambda self: len(self.at.line) > 9 and not self.at.seen["all in one run"])
    @rule()
    def law_5_the_same_captures_in_one_run_give_the_same_bytes(self) -> None:
        self.at.law_5_the_same_captures_in_one_run_give_the_same_bytes()

    @invariant()
    def all_holds(self) -> None:
        self.at.check()


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch):
    """Rules let everything pass, no power fails, and the parsers are put back afterwards."""
    before = registry.BUILT_IN
    without_validation(monkeypatch)
    for module, name in ((pipeline, "_tell_quality"), (pipeline, "_mend_quality"), (restoring, "_tell_quality")):
        monkeypatch.setattr(module, name, lambda *args: None)
    monkeypatch.setattr(report, "version", cache(report.version))
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    yield
    registry.BUILT_IN = before
    registry.registered.cache_clear()


def at_random(examples: int, steps: int, *, afresh: bool) -> Counter[str]:
    """What happened in all of them together. ``afresh``: other examples each time, and one that fails made small."""
    Home.seen = Counter()
    chosen = settings(
        max_examples=examples, stateful_step_count=steps, derandomize=not afresh, deadline=None, database=None,
        phases=[Phase.generate, Phase.shrink] if afresh else [Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    run_state_machine_as_test(Home, settings=chosen)
    return Home.seen


def missing(wanted: set[str], seen: Counter[str]) -> set[str]:
    return {kind for kind in wanted if not seen[kind]}


def test_a_home_is_as_its_model_says_after_one_of_each_thing(tmp_path):
    home = ModelledHome(tmp_path / "one")

    def done(work, *args):
        work(*args)
        home.check()

    for found in FIRST:
        done(home.run, found)
    first, second, third = home.line
    done(home.restore, first)
    done(home.run)
    done(home.run, {CODES[0]: "news", CODES[3]: "news"})
    assert set(home.line[-1].changes["restore"]) == {CODES[0], CODES[1], CODES[2]}
    done(home.upgrade, True)
    done(home.run)
    home.law_5_the_same_captures_in_one_run_give_the_same_bytes()
    done(home.restore, second)
    done(home.restore, first)
    assert home.line[-1].replaced == 6, "the last that a run made"
    done(home.pin, third)
    done(home.expire, 1)
    assert [one.number for one in home.model.kept] == [3, 6, 8]
    done(home.run)
    done(home.land, {CODES[1]: "counter", CODES[4]: "gated"}, 5)
    done(home.run)
    done(home.run_cut_off, BEFORE, {CODES[1]: "news"})
    done(home.run)
    done(home.run_cut_off, AFTER, {CODES[2]: "news"})
    done(home.run)
    done(home.upgrade, False)
    done(home.run)
    days = {one.valid_from.date() for one in home.line}
    for day in sorted(days):
        held = home.model.held_at(dt.datetime.combine(day, dt.time.max, dt.UTC))
        if held.kept:
            assert snapshot_at(str(home.home), f"{day}").snapshot_id == held.snapshot_id
        else:
            with pytest.raises(Expired):
                snapshot_at(str(home.home), f"{day}")
    assert missing(EACH, home.seen) == set()


def test_a_home_is_as_its_model_says_whatever_happens():
    """The same examples each time: the long test looks for others."""
    seen = at_random(4, 2, afresh=False)
    assert missing(OFTEN, seen) == set(), seen


@pytest.mark.full
def test_a_home_is_as_its_model_says_at_length():
    seen = at_random(10, 11, afresh=True)
    assert missing(OFTEN, seen) == set(), seen
