"""A home and its model side by side: what is done to a home is done to the model, and both are held together."""

from __future__ import annotations

import builtins
import datetime as dt
import io
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Literal

import pytest

import parsers
from flows import pipeline
from flows.engine import InProcess
from flows.restoring import restore
from flows.settings import Settings, SourceSettings
from parsers import codingahead, genhealth, openpayer, registry
from parsers.records import Descriptor
from tests.faulty_disk import KILL, FaultyDisk
from tests.flows.home_model import Delta, Model, Snapshot
from tests.flows.pages import folder, page, run_inline, silent, tables
from warehouse import expire, publishing, snapshots
from warehouse.apply import apply, content
from warehouse.history import BeforeTheFirst, Expired, in_force
from warehouse.tables import COMPARED

LONG_AFTER = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)
GATE = "Synthetic site\nCreate a free account to unlock this content\n"
Cut = int | Literal["before current moves", "after current moved"]
"""Where the process dies: at a call that changes the home, from 1, or on one side of the call that publishes."""
BEFORE: Cut = "before current moves"
AFTER: Cut = "after current moved"


class Killed(BaseException):
    """The process would be dead here."""


class Dying(FaultyDisk):
    """From the place ``cut`` on nothing is written any more, whoever tries in whatever handler. The kernel still frees
    the lock."""

    def __init__(self, home: Path, cut: Cut) -> None:
        super().__init__(home, KILL, 0, lambda calls: None)
        self.cut = cut
        self.dead = False

    def call(self, name: str, where: object, path: object = None, half: Callable[[], object] = lambda: None) -> None:
        self.calls += 1
        moves = name in ("rename", "replace") and Path(str(path)).name.startswith(publishing._LINK)
        if self.dead:
            raise Killed
        if self.calls == self.cut or (moves and self.cut == BEFORE):
            self.dead = True
            half()
            raise Killed
        if moves and self.cut == AFTER:
            self.cut = self.calls + 1

    def concerns(self, path: object, options: dict[str, object]) -> bool:
        of_lock = isinstance(path, str | Path) and Path(path).name.startswith(".lock")
        return not of_lock and super().concerns(path, options)


class ModelledHome:
    """``place``: a folder of its own. ``seen``: how often each kind of thing happened."""

    def __init__(self, place: Path) -> None:
        self.place, self.home = place, place / "home"
        self.home.mkdir(parents=True)
        self.settings = Settings(home=self.home, sources={"codingahead": SourceSettings(floor=0)})
        self.now = dt.datetime(2025, 12, 31, 6, tzinfo=dt.UTC)
        self.latest = 0
        self.pages: dict[str, str] = {}
        self.landings: list[Path] = []
        self.model = Model()
        self.seen: Counter[str] = Counter()
        self._checked = 0
        self._dates_checked: list[bool] = []
        self.put_parser_in_force()

    def copy(self, place: Path) -> ModelledHome:
        other = ModelledHome(place)
        shutil.copytree(self.home, other.home, symlinks=True, dirs_exist_ok=True)
        for name in ("now", "latest", "pages", "landings", "model"):
            setattr(other, name, deepcopy(getattr(self, name)))
        other.put_parser_in_force()
        return other

    @property
    def line(self) -> list[Snapshot]:
        return self.model.line

    # What happens to a home

    def land(self, found: Mapping[str, str], cut: Cut | None = None) -> None:
        place = self._captured(found)
        if cut is not None:
            self._killed(partial(self._run_with, pipeline.land_only, place), cut)
            self.seen["landing cut off"] += 1
        self._run_with(pipeline.land_only, place)

    def run(self, found: Mapping[str, str] | None = None) -> None:
        """Land what is ``found`` and run, or run only."""
        places = [self._captured(found)] if found else []
        expected = self.model.expected()
        report = self._run_with(pipeline.run, *places)
        assert report.status == ("published" if expected else "nothing_new")
        restored = self.line and self.line[-1].replaced
        if expected:
            assert report.snapshot_id is not None
            self._count_published(expected)
            self.model.add(expected, report.snapshot_id)
        else:
            self.seen["run after a restore finds nothing"] += bool(restored)

    def run_cut_off(self, cut: Cut, found: Mapping[str, str] | None = None) -> None:
        """It has published, or it has not; the next run goes on from there."""
        if found:
            self.land(found)
        expected, before = self.model.expected(), snapshots.current_id(self.home)
        died = self._killed(partial(self._run_with, pipeline.run), cut)
        now = snapshots.current_id(self.home)
        if expected and isinstance(cut, str):
            assert died
            assert (now != before) == (cut == AFTER)
        if now != before:
            assert expected is not None
            assert now is not None
            self.model.add(expected, now)
        if died:
            self.seen["run cut off"] += 1
            self.seen["run cut off after publishing"] += now != before

    def upgrade(self, reads_otherwise: bool) -> None:
        version, variant = self.model.reading
        self.model.reading = version + 1, variant + reads_otherwise
        self.put_parser_in_force()
        self.seen["upgrade"] += 1

    def restore(self, wanted: Snapshot, cut: Cut | None = None) -> None:
        """Or try to: ``cut`` is where it ends."""
        expected, restored_before = self.model.restored(wanted), self.line[-1].replaced
        run_id = f"{self.now:%Y%m%dT%H%M%S}000000Z-{len(self.line):04x}"
        before = snapshots.current_id(self.home)
        work = partial(restore, self.home, wanted.snapshot_id, run_id)
        if cut is None:
            assert (work().snapshot_id is None) == (expected is None)
        else:
            self._killed(work, cut)
        if (now := snapshots.current_id(self.home)) != before:
            assert expected is not None
            assert now is not None
            self.seen["restore of what was restored" if restored_before else "restore"] += 1
            self.model.add(expected, now)

    def pin(self, one: Snapshot, pinned: bool = True) -> None:
        self.model.pins = self.model.pins | {one.snapshot_id} if pinned else self.model.pins - {one.snapshot_id}
        expire.write_pins(self.home, self.model.pins)

    def expire(self, count: int, cut: Cut | None = None) -> None:
        if cut is not None:
            self._killed(partial(self._expire, count), cut)
        self._expire(count)
        before = len(self.model.kept)
        self.model.expire(count)
        self.seen["expired"] += before - len(self.model.kept)
        current = self.line[-1]
        if current.replaced and current.number - current.replaced >= count and self.line[current.replaced - 1].kept:
            self.seen["kept for what was restored"] += self._only_referred_to(current.replaced, count)

    def put_parser_in_force(self, reading: tuple[int, int] | None = None) -> None:
        """The model's parser, or the one of another ``reading``."""
        version, variant = reading or self.model.reading
        ours = replace(codingahead.SOURCE, version=version, read=partial(_read, variant))
        registry.BUILT_IN = (ours, openpayer.SOURCE, genhealth.SOURCE)
        registry.registered.cache_clear()

    # What holds whatever happened

    def check(self) -> None:
        """All that may have changed since it was checked last: what a snapshot holds does not, if it is whole."""
        self.law_4_current_is_whole_and_history_is_what_was_kept()
        if not self.line:
            return
        if (kept := [one.kept for one in self.line]) != self._dates_checked:
            self.a_date_leads_to_what_held_then()
            self._dates_checked = kept
        if self.line[-1].number != self._checked:
            self.tables_are_those_of_the_model()
            self.law_7_each_change_is_told_once_with_its_cause()
            self.changes_add_up()
            self.versions_are_the_states_that_were_kept()
            self._checked = self.line[-1].number

    def law_4_current_is_whole_and_history_is_what_was_kept(self) -> None:
        current = snapshots.current_id(self.home)
        assert current == (self.line[-1].snapshot_id if self.line else None)
        if current:
            assert snapshots.verify(self.home, current) == []
        assert [m["number"] for m in snapshots.lineage(self.home)] == [one.number for one in self.line]
        listed = [manifest["snapshot_id"] for manifest in snapshots.list_snapshots(self.home)]
        assert listed == [one.snapshot_id for one in self.model.kept]

    def tables_are_those_of_the_model(self) -> None:
        last = self.line[-1]
        codes = self._rows("codes")
        manifest = snapshots.read_manifest(self.home, last.snapshot_id)
        assert {row["code"]: row["short_descriptor"] for row in codes} == last.texts
        assert dt.datetime.fromisoformat(manifest["as_of"]) == last.as_of
        assert dt.datetime.fromisoformat(manifest["valid_from"]) == last.valid_from

    def law_7_each_change_is_told_once_with_its_cause(self) -> None:
        found: dict[str, Delta] = {}
        for change in self._rows("changes"):
            if change["table_name"] == "codes":
                assert change["column_name"] in ("short_descriptor", None)
                of_cause = found.setdefault(change["cause"], {})
                assert change["code"] not in of_cause
                of_cause[change["code"]] = _short(change, "before"), _short(change, "after")
        assert found == {cause: of_cause for cause, of_cause in self.line[-1].changes.items() if of_cause}

    def changes_add_up(self) -> None:
        if len(self.line) > 1 and self.line[-2].kept:
            before, after = (snapshots.read_tables(self.home, one.snapshot_id) for one in self.line[-2:])
            made = apply(after["changes"], before)
            assert all(made[table.name].equals(content(table, after)) for table in COMPARED)

    def versions_are_the_states_that_were_kept(self) -> None:
        rows = self._rows("code_versions")
        names = ("code", "short_descriptor", "first_snapshot", "last_snapshot", "valid_from", "valid_to")
        assert {tuple(row[name] for name in names) for row in rows} == self.line[-1].versions
        assert len({(row["code"], row["version"]) for row in rows}) == len(rows) == len(self.line[-1].versions)

    def a_date_leads_to_what_held_then(self) -> None:
        """On both sides of each border."""
        borders = {one.valid_from for one in self.line}
        for moment in sorted(borders | {border - dt.timedelta(microseconds=1) for border in borders}):
            held = self.model.held_at(moment)
            if held is None:
                with pytest.raises(BeforeTheFirst):
                    in_force(self.home, moment)
            elif held.kept:
                assert in_force(self.home, moment)["snapshot_id"] == held.snapshot_id
            else:
                with pytest.raises(Expired):
                    in_force(self.home, moment)

    def law_5_the_same_captures_in_one_run_give_the_same_bytes(self) -> None:
        """For a snapshot that a run made."""
        last, other = self.line[-1], self.place / f"once-{len(self.line)}"
        self.put_parser_in_force(last.reading)
        run_inline(other, *self.landings[: last.landings], sources=self.settings.sources)
        assert tables(other) == tables(self.home)
        self.put_parser_in_force()
        self.seen["all in one run"] += 1

    # How it is done

    def _rows(self, table: str) -> list[dict[str, object]]:
        rows: list[dict[str, object]] = snapshots.read_table(self.home, self.line[-1].snapshot_id, table).to_pylist()
        return rows

    def _captured(self, found: Mapping[str, str]) -> Path:
        """A folder of pages of the next day, which the model has noted."""
        self.now += dt.timedelta(days=1)
        model, bodies = self.model, {}
        for code, kind in found.items():
            if kind == "gated":
                bodies[code] = GATE
                continue
            if kind == "news" or code not in model.words:
                self.latest += 1
                model.words[code] = self.latest
            if kind != "same" or code not in self.pages:
                self.pages[code] = page(code, short=f"Synthetic {model.words[code]}", views=self.now.toordinal())
            model.well_at[code] = self.now
            bodies[code] = self.pages[code]
        place = folder(self.place / f"{self.now:%Y-%m-%d}", bodies, day=f"{self.now:%Y-%m-%d}")
        self.landings.append(place)
        model.landings = len(self.landings)
        return place

    def _run_with(self, function: Callable[..., pipeline.Report], *places: Path) -> pipeline.Report:
        return function([str(place) for place in places], self.settings, InProcess(), silent)

    def _count_published(self, expected: Snapshot) -> None:
        restored = bool(self.line and self.line[-1].replaced)
        self.seen["published"] += 1
        self.seen["run undoes a restore"] += restored and bool(expected.changes["restore"])
        self.seen["news and a restore undone at once"] += restored and bool(expected.changes["source"])
        self.seen["read anew"] += bool(expected.changes.get("parser"))
        was_kept = [one.kept for one in self.line]
        self.seen["states let go"] += any(not before and after for before, after in pairwise(was_kept))

    def _only_referred_to(self, number: int, count: int) -> bool:
        newest = [one.number for one in self.model.kept[-count:]]
        return number not in newest and self.line[number - 1].snapshot_id not in self.model.pins

    def _expire(self, count: int) -> None:
        keep = expire.Keep(count, dt.timedelta(0), dt.timedelta(0))
        stored, parsed = expire.survey(self.home), expire.parsed_folders(self.home)
        pins = expire.read_pins(self.home)
        expire.remove(self.home, expire.plan(stored, pins, keep, LONG_AFTER, parsed, parsers.live()))

    def _killed(self, work: Callable[[], object], cut: Cut) -> bool:
        """Whether it got as far as ``cut``."""
        with pytest.MonkeyPatch.context() as patch:
            for name in dir(os):
                if callable(getattr(os, name)) and name.islower():
                    patch.setattr(os, name, getattr(os, name))  # so that it is as before when the context ends
            patch.setattr(io, "open", io.open)
            patch.setattr(builtins, "open", builtins.open)
            disk = Dying(self.home, cut)
            disk.install()
            with suppress(Killed):
                work()
        return disk.dead


def _read(variant: int, reading):
    coverage = codingahead.read(reading)
    for claim in reading._claims:
        for record in claim.records:
            if variant and isinstance(record, Descriptor) and record.kind == "short":
                object.__setattr__(record, "text", f"{record.text} read anew {variant}")
    return coverage


def _short(change: Mapping[str, str | None], side: str) -> str | None:
    value = change[side]
    if value is None or change["column_name"] is not None:
        return value
    short: str = json.loads(value)["short_descriptor"]
    return short
