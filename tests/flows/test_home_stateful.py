"""A home against a small model of it: whatever is landed, run, upgraded, restored, pinned, expired or cut off, its
tables, changes and versions are those that the model tells, each change once and with its cause.

Real pages are landed, parsed, staged, assembled, compared and published. Great Expectations is left out: it takes a
second in each run, and has no say in what is modelled here.
"""

from __future__ import annotations

import builtins
import datetime as dt
import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import parsers
from flows import pipeline
from flows.engine import InProcess
from flows.restoring import restore
from flows.settings import Settings, SourceSettings
from parsers import codingahead, genhealth, openpayer, registry
from parsers.records import Descriptor
from tests.faulty_disk import KILL, FaultyDisk
from tests.flows.pages import folder, page, run_inline, silent, tables, without_validation
from warehouse import expire, snapshots
from warehouse.apply import apply, content
from warehouse.history import Expired, in_force
from warehouse.tables import COMPARED

CODES = tuple(f"{number:05}" for number in range(10000, 10020))
BEGIN = dt.datetime(2026, 1, 1, 6, tzinfo=dt.UTC)
LONG_AFTER = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)
GATE = "Synthetic site\nCreate a free account to unlock this content\n"
# What a landing brings of a page: other words, the same bytes, the same words beside another counter, or a wall.
KINDS = st.sampled_from(["news", "news", "same", "counter", "gated"])
# Pages by code, with those that come again and again among them.
FOUND = st.dictionaries(st.sampled_from([*CODES, *CODES[:3] * 5]), KINDS, min_size=1, max_size=5)
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


class Killed(BaseException):
    """The process would be dead here."""


class Dying(FaultyDisk):
    """From its ``at``-th call on nothing is written any more, whoever tries in whatever handler. The kernel still frees
    the lock."""

    def call(self, name: str, where: object, path: object = None, half: Callable[[], object] = lambda: None) -> None:
        self.calls += 1
        if self.calls >= self.at:
            if self.calls == self.at:
                half()
            raise Killed

    def concerns(self, path: object, options: dict[str, object]) -> bool:
        of_lock = isinstance(path, str | Path) and Path(path).name.startswith(".lock")
        return not of_lock and super().concerns(path, options)


class Home(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.place = Path(tempfile.mkdtemp())
        self.home = self.place / "home"
        self.home.mkdir()
        self.settings = Settings(home=self.home, sources={"codingahead": SourceSettings(floor=0)})
        self.now = BEGIN - dt.timedelta(days=1)
        self.latest = 0
        self.reading = (1, 0)  # the parser's version, and what it makes of a page
        self.words: dict[str, int] = {}
        self.pages: dict[str, str] = {}
        self.well_at: dict[str, dt.datetime] = {}
        self.landings: list[Path] = []
        self.line: list[Snapshot] = []
        self.pins: set[str] = set()
        self._put_parser_in_force(self.reading)

    def teardown(self) -> None:
        shutil.rmtree(self.place)

    # What happens to a home

    @initialize(found=FOUND)
    def first_landing(self, found: dict[str, str]) -> None:
        self._land(self._captured(found))

    @rule(found=FOUND)
    def land(self, found: dict[str, str]) -> None:
        self._land(self._captured(found))

    @rule(found=FOUND, at=st.integers(1, 60))
    def landing_is_cut_off_and_done_again(self, found: dict[str, str], at: int) -> None:
        place = self._captured(found)
        self._killed(partial(self._land, place), at)
        self._land(place)

    @rule()
    def run(self) -> None:
        expected = self._expected()
        report = self._run()
        assert report.status == ("published" if expected else "nothing_new")
        if expected:
            self._add(replace(expected, snapshot_id=report.snapshot_id))

    @rule(at=st.integers(1, 150))
    def run_is_cut_off(self, at: int) -> None:
        """It has published, or it has not; the next run goes on from there."""
        expected, before = self._expected(), snapshots.current_id(self.home)
        self._killed(self._run, at)
        if (now := snapshots.current_id(self.home)) != before:
            assert expected is not None
            self._add(replace(expected, snapshot_id=now))

    @rule(reads_otherwise=st.booleans())
    def parser_is_upgraded(self, reads_otherwise: bool) -> None:
        version, variant = self.reading
        self.reading = version + 1, variant + reads_otherwise
        self._put_parser_in_force(self.reading)

    @precondition(lambda self: self.line)
    @rule(data=st.data(), at=st.none() | st.integers(1, 60))
    def restore(self, data: st.DataObject, at: int | None) -> None:
        """Or try to: ``at`` is where it is cut off."""
        wanted = data.draw(st.sampled_from([one for one in self.line if one.kept]), label="restored")
        work = partial(restore, self.home, wanted.snapshot_id, f"{self.now:%Y%m%dT%H%M%S}000000Z-re{len(self.line):02}")
        before = snapshots.current_id(self.home)
        if at is None:
            assert (work().snapshot_id is None) == (not delta(self.line[-1].texts, wanted.texts))
        else:
            self._killed(work, at)
        if (now := snapshots.current_id(self.home)) != before:
            self._add(self._restored(wanted, str(now)))

    @precondition(lambda self: self.line)
    @rule(data=st.data(), pinned=st.booleans())
    def pin(self, data: st.DataObject, pinned: bool) -> None:
        one = data.draw(st.sampled_from([one.snapshot_id for one in self.line if one.kept]))
        self.pins = self.pins | {one} if pinned else self.pins - {one}
        expire.write_pins(self.home, self.pins)

    @precondition(lambda self: self.line)
    @rule(count=st.integers(1, 3), at=st.none() | st.integers(1, 40))
    def expire(self, count: int, at: int | None) -> None:
        if at is not None:
            self._killed(partial(self._expire, count), at)
        self._expire(count)
        current = self.line[-1]
        stays = {one.number for one in [one for one in self.line if one.kept][-count:]} | {current.number}
        stays |= {one.number for one in self.line if one.snapshot_id in self.pins} | {current.replaced}
        for one in self.line:
            one.kept = one.kept and one.number in stays

    @precondition(lambda self: self.line and self.line[-1].replaced is None)
    @rule()
    def law_5_the_same_captures_in_one_run_give_the_same_bytes(self) -> None:
        last, other = self.line[-1], Path(tempfile.mkdtemp())
        self._put_parser_in_force(last.reading)
        run_inline(other, *self.landings[: last.landings], sources=self.settings.sources)
        assert tables(other) == tables(self.home)
        self._put_parser_in_force(self.reading)
        shutil.rmtree(other)

    # What holds whatever happened

    @invariant()
    def law_4_current_is_whole_and_history_is_what_was_kept(self) -> None:
        current = snapshots.current_id(self.home)
        assert current == (self.line[-1].snapshot_id if self.line else None)
        if current:
            assert snapshots.verify(self.home, current) == []
        listed = [manifest["snapshot_id"] for manifest in snapshots.list_snapshots(self.home)]
        assert listed == [one.snapshot_id for one in self.line if one.kept]
        assert [m["number"] for m in snapshots.lineage(self.home)] == [one.number for one in self.line]

    @invariant()
    def tables_are_those_of_the_model(self) -> None:
        if self.line:
            last, codes = self.line[-1], snapshots.read_table(self.home, self.line[-1].snapshot_id, "codes")
            manifest = snapshots.read_manifest(self.home, last.snapshot_id)
            assert _pairs(codes.to_pylist(), "code", "short_descriptor") == last.texts
            assert dt.datetime.fromisoformat(manifest["as_of"]) == last.as_of
            assert dt.datetime.fromisoformat(manifest["valid_from"]) == last.valid_from

    @invariant()
    def law_7_each_change_is_told_once_with_its_cause(self) -> None:
        if self.line:
            last = self.line[-1]
            told = snapshots.read_table(self.home, last.snapshot_id, "changes").to_pylist()
            found: dict[str, Delta] = {}
            for change in told:
                if change["table_name"] == "codes":
                    assert change["column_name"] in ("short_descriptor", None)
                    of_cause = found.setdefault(change["cause"], {})
                    assert change["code"] not in of_cause
                    of_cause[change["code"]] = _short(change, "before"), _short(change, "after")
            assert found == {cause: of_cause for cause, of_cause in last.changes.items() if of_cause}

    @invariant()
    def changes_add_up(self) -> None:
        if len(self.line) > 1 and self.line[-2].kept:
            before, after = (snapshots.read_tables(self.home, one.snapshot_id) for one in self.line[-2:])
            made = apply(after["changes"], before)
            assert all(made[table.name].equals(content(table, after)) for table in COMPARED)

    @invariant()
    def versions_are_the_states_that_were_kept(self) -> None:
        if self.line:
            rows = snapshots.read_table(self.home, self.line[-1].snapshot_id, "code_versions").to_pylist()
            names = ("code", "short_descriptor", "first_snapshot", "last_snapshot", "valid_from", "valid_to")
            assert {tuple(row[name] for name in names) for row in rows} == self.line[-1].versions
            assert len({(row["code"], row["version"]) for row in rows}) == len(rows) == len(self.line[-1].versions)

    @invariant()
    def a_date_leads_to_what_held_then(self) -> None:
        for moment in {one.valid_from for one in self.line}:
            held = [one for one in self.line if one.valid_from <= moment][-1]
            if held.kept:
                assert in_force(self.home, moment)["snapshot_id"] == held.snapshot_id
            else:
                with pytest.raises(Expired):
                    in_force(self.home, moment)

    # How it is done, and what the model makes of it

    def _captured(self, found: Mapping[str, str]) -> Path:
        """A folder of pages of the next day, which the model has noted."""
        self.now += dt.timedelta(days=1)
        bodies = {}
        for code, kind in found.items():
            if kind == "gated":
                bodies[code] = GATE
                continue
            if kind == "news" or code not in self.words:
                self.latest += 1
                self.words[code] = self.latest
            if kind != "same" or code not in self.pages:
                self.pages[code] = page(code, short=f"Synthetic {self.words[code]}", views=self.now.toordinal())
            self.well_at[code] = self.now
            bodies[code] = self.pages[code]
        place = folder(self.place / f"{self.now:%Y-%m-%d}", bodies, day=f"{self.now:%Y-%m-%d}")
        self.landings.append(place)
        return place

    def _land(self, place: Path) -> None:
        pipeline.land_only([str(place)], self.settings, InProcess(), silent)

    def _run(self) -> pipeline.Report:
        return pipeline.run([], self.settings, InProcess(), silent)

    def _expire(self, count: int) -> None:
        keep = expire.Keep(count, dt.timedelta(0), dt.timedelta(0))
        stored, parsed = expire.survey(self.home), expire.parsed_folders(self.home)
        pins = expire.read_pins(self.home)
        expire.remove(self.home, expire.plan(stored, pins, keep, LONG_AFTER, parsed, parsers.live()))

    def _killed(self, work: Callable[[], object], at: int) -> None:
        with pytest.MonkeyPatch.context() as patch:
            for name in dir(os):
                if callable(getattr(os, name)) and name.islower():
                    patch.setattr(os, name, getattr(os, name))  # so that it is as before when the context ends
            patch.setattr(io, "open", io.open)
            patch.setattr(builtins, "open", builtins.open)
            Dying(self.home, KILL, at, lambda calls: None).install()
            with suppress(Killed):
                work()

    def _expected(self) -> Snapshot | None:
        """The snapshot that a run publishes now; None where it has no news."""
        variant = self.reading[1]
        texts = {code: text(number, variant) for code, number in self.words.items()}
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
        if not texts:
            return None
        as_of = max(self.well_at.values())
        return Snapshot(
            len(self.line) + 1, "", texts, dict(self.words), as_of, self._valid_from(as_of), changes,
            reading=self.reading, landings=len(self.landings),
        )  # fmt: skip

    def _restored(self, one: Snapshot, snapshot_id: str) -> Snapshot:
        parent = self.line[-1]
        return replace(
            one,
            number=len(self.line) + 1,
            snapshot_id=snapshot_id,
            valid_from=self._valid_from(one.as_of),
            changes={"restore": delta(parent.texts, one.texts)},
            replaced=parent.replaced or parent.number,
        )

    def _valid_from(self, as_of: dt.datetime) -> dt.datetime:
        return max(as_of, self.line[-1].valid_from) if self.line else as_of

    def _add(self, one: Snapshot) -> None:
        self.line.append(one)
        one.versions = set(self._versions())

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

    def _put_parser_in_force(self, reading: tuple[int, int]) -> None:
        version, variant = reading
        ours = replace(codingahead.SOURCE, version=version, read=partial(_read, variant))
        registry.BUILT_IN = (ours, openpayer.SOURCE, genhealth.SOURCE)
        registry.registered.cache_clear()


def _read(variant: int, reading):
    coverage = codingahead.read(reading)
    for claim in reading._claims:
        for record in claim.records:
            if variant and isinstance(record, Descriptor) and record.kind == "short":
                object.__setattr__(record, "text", f"{record.text} read anew {variant}")
    return coverage


def _pairs(rows: list[dict[str, str]], key: str, value: str) -> dict[str, str]:
    return {row[key]: row[value] for row in rows}


def _short(change: Mapping[str, str | None], side: str) -> str | None:
    value = change[side]
    if value is None or change["column_name"] is not None:
        return value
    short: str = json.loads(value)["short_descriptor"]
    return short


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch):
    """Rules let everything pass, no power fails, and the parsers are put back afterwards."""
    before = registry.BUILT_IN
    without_validation(monkeypatch)
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    yield
    registry.BUILT_IN = before
    registry.registered.cache_clear()


class TestHome(Home.TestCase):
    settings = settings(max_examples=6, stateful_step_count=12, deadline=None)


@pytest.mark.full
class TestHomeAtLength(Home.TestCase):
    settings = settings(max_examples=20, stateful_step_count=25, deadline=None)
