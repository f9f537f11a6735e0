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
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

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
FIRST = ({CODES[0]: "news", CODES[1]: "news"}, {CODES[0]: "news", CODES[2]: "news"}, {CODES[1]: "news"})
TO_BE_SEEN = {
    "published", "run after a restore finds nothing", "run undoes a restore", "news and a restore undone at once",
    "restore", "restore of what was restored", "expired", "states let go", "kept for what was restored",
    "upgrade", "read anew", "landing cut off", "run cut off before it published", "run cut off after publishing",
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
    """Begins with three snapshots, so that there is something to restore and to let go."""

    seen: Counter[str] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.place = Path(tempfile.mkdtemp())
        self.at = grown()[1].copy(self.place)

    def teardown(self) -> None:
        Home.seen += self.at.seen
        shutil.rmtree(self.place)

    @rule(found=FOUND)
    def land_and_run(self, found: dict[str, str]) -> None:
        self.at.run(found)

    @rule(found=FOUND, cut=st.none() | st.integers(1, 30))
    def land(self, found: dict[str, str], cut: int | None) -> None:
        self.at.land(found, cut)

    @rule(found=NEXT, cut=st.sampled_from([BEFORE, AFTER]) | st.integers(1, 100), again=NEXT)
    def run_is_cut_off(self, found, cut, again) -> None:
        self.at.run_cut_off(cut, found)
        self._go_on(again)

    @rule(reads_otherwise=st.booleans(), after=NEXT)
    def parser_is_upgraded(self, reads_otherwise: bool, after) -> None:
        self.at.upgrade(reads_otherwise)
        self._go_on(after)

    @rule(data=st.data(), cut=st.none() | st.sampled_from([BEFORE, AFTER]) | st.integers(1, 60), after=NEXT)
    def restore(self, data: st.DataObject, cut, after) -> None:
        older = self.at.model.kept[:-1] or self.at.model.kept
        self.at.restore(data.draw(st.sampled_from(older), label="restored"), cut)
        self._go_on(after)

    @rule(data=st.data(), pinned=st.booleans())
    def pin(self, data: st.DataObject, pinned: bool) -> None:
        self.at.pin(data.draw(st.sampled_from(self.at.model.kept)), pinned)

    @precondition(lambda self: len(self.at.model.kept) > 2)
    @rule(count=st.integers(1, 2), cut=st.none() | st.integers(1, 40), after=NEXT)
    def expire(self, count: int, cut: int | None, after) -> None:
        self.at.expire(count, cut)
        self._go_on(after)

    @precondition(lambda self: self.at.line[-1].replaced is None and not self.at.seen["all in one run"])
    @precondition(lambda self: len(self.at.line) > 6)
    @rule()
    def law_5_the_same_captures_in_one_run_give_the_same_bytes(self) -> None:
        self.at.law_5_the_same_captures_in_one_run_give_the_same_bytes()

    @invariant()
    def all_holds(self) -> None:
        self.at.check()

    def _go_on(self, found: dict[str, str] | None) -> None:
        if found is not None:
            self.at.check()
            self.at.run(found)


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


def at_random(examples: int, steps: int, *, derandomize: bool) -> Counter[str]:
    """What happened in all of them together."""
    Home.seen = Counter()
    chosen = settings(
        max_examples=examples, stateful_step_count=steps, derandomize=derandomize, deadline=None, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    run_state_machine_as_test(Home, settings=chosen)
    return Home.seen


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
    assert TO_BE_SEEN - {kind for kind, count in home.seen.items() if count} == set()


def test_a_home_is_as_its_model_says_whatever_happens():
    """The same examples each time: the long test looks for others."""
    seen = at_random(7, 9, derandomize=True)
    assert TO_BE_SEEN - {kind for kind, count in seen.items() if count} == set(), seen


@pytest.mark.full
def test_a_home_is_as_its_model_says_at_length():
    seen = at_random(25, 16, derandomize=False)
    assert TO_BE_SEEN - {kind for kind, count in seen.items() if count} == set(), seen
