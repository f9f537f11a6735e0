"""A year, and six weeks, as they are: what is true in which week, what goes wrong, and who is to hear of it.

Each call says what happens in a week (0 is that of BEGIN), and with ``told`` in which one users are to hear of it.
Nothing in here is computed from what the pipeline does.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from tests.flows.alerts import world
from tests.flows.alerts.world import Answers, Code, Trouble

BEGIN = dt.datetime(2025, 1, 6, 4, tzinfo=dt.UTC)
"""A Monday, when the first pages are fetched; two hours later comes the first run."""
WEEKS = 52
A, B, C = "codingahead", "openpayer", "genhealth"

_TYPES = {
    "short": ("default", "descriptor_changed", "short"),
    "long": ("default", "descriptor_changed", "long"),
    "title": ("default", "descriptor_changed", "title"),
    "mue": ("default", "indicator_changed", "mue"),
    "global_days": ("default", "indicator_changed", "global_days"),
}


@dataclass(frozen=True, order=True)
class Truth:
    """A true change, and the week in which ``rule`` is to tell it, once."""

    week: int
    rule: str
    code: str
    change_type: str
    what: str
    before: str
    after: str

    def __str__(self) -> str:
        values = f": {_short(self.before) or '–'} -> {_short(self.after) or '–'}" if self.before or self.after else ""
        return f"{self.code} {self.change_type} {self.what}".rstrip() + values


@dataclass
class Script:
    """``codes``: the world week by week. ``shows``: from which week on a site shows which codes."""

    now: dict[str, Code] = field(default_factory=dict)
    codes: dict[int, dict[str, Code]] = field(default_factory=dict)
    shows: dict[str, list[tuple[int, str]]] = field(default_factory=lambda: defaultdict(list))
    truths: list[Truth] = field(default_factory=list)
    troubles: dict[tuple[int, str], list[Trouble]] = field(default_factory=lambda: defaultdict(list))
    unfinished: set[tuple[int, str]] = field(default_factory=set)
    """crawls that got no answer somewhere"""
    notes: dict[int, list[str]] = field(default_factory=lambda: defaultdict(list))
    operators: list[tuple[int, str, str]] = field(default_factory=list)
    acts: dict[int, str] = field(default_factory=dict)
    """what a person or a machine does: restore, upgrade, rewrite, retry, fail, late"""
    away: range = range(0)
    """weeks in which the archive, one of the users' channels, cannot be reached"""

    # What is true

    def show(self, week: int, source: str, codes: list[str]) -> None:
        for code in codes:
            self.now.setdefault(code, world.as_it_began(code))
            self._note_world(week)
            self.shows[source].append((week, code))

    def revise(self, week: int, code: str, what: str, value: str | int, told: int) -> None:
        before = getattr(self.now[code], what)
        self._change(week, code, f"{code} {what}: {_short(str(before))} -> {_short(str(value))}", **{what: value})
        rule, change_type, column = _TYPES[what]
        self._truth(told, rule, code, change_type, column, str(before), str(value))

    def advise(self, week: int, code: str, advice: str, told: int) -> None:
        """Another advice for the first modifier."""
        (modifier, words, before), *others = self.now[code].modifiers
        modifiers = ((modifier, words, advice), *others)
        self._change(week, code, f"{code} modifier {modifier}: other advice", modifiers=modifiers)
        self._truth(told, "billing", code, "modifier_changed", f"modifier {modifier}", before, advice)

    def record(self, week: int, code: str, day: str, action: str, told: int | None = None, **others: object) -> None:
        """An event in a code's history, and what comes with it. Without ``told`` the code's headline says it all."""
        history = ((day, action, f"Synthetic: code {action.lower()}."), *self.now[code].history)
        self._change(week, code, f"{code} {action.lower()} on {day}", history=history, **others)
        if told is not None:
            self._truth(told, "history", code, "history_event_added", action.lower(), "", day)

    def withdraw(self, week: int, code: str, told: int) -> None:
        """The newest event of a code's history is no more."""
        (day, action, _), *history = self.now[code].history
        self._change(week, code, f"{code} is not to be {action.lower()} on {day}", history=tuple(history))
        self._truth(told, "history", code, "history_event_added", action.lower(), day, "")

    def add(self, week: int, source: str, codes: list[str], told: int | None = None) -> None:
        """New codes, which no site showed before."""
        self.show(week, source, codes)
        for code in codes:
            self.notes[week].append(f"{code} is new")
            self.headline(told or week, code, "code_added")

    def headline(self, week: int, code: str, change_type: str) -> None:
        self._truth(week, "default", code, change_type, "", "", "")

    # What goes wrong, and what is done

    def trouble(self, week: int, source: str, note: str, trouble: Trouble, *, unfinished: bool = False) -> None:
        self.troubles[week, source].append(trouble)
        self.notes[week] += [f"{source}: {note}"] if note else []
        if unfinished:
            self.unfinished.add((week, source))

    def act(self, week: int, what: str, note: str) -> None:
        self.acts[week] = what
        self.notes[week].append(note)

    def condition(self, name: str, begins: int, ends: int) -> None:
        self.operators += [(begins, name, "begins"), (ends, name, "ends")]

    # What sites show of it

    def answers(self, week: int, source: str) -> Answers:
        shown = [code for since, code in self.shows[source] if since <= week]
        latest = max(known for known in self.codes if known <= week)
        answers = world.answers_of(source, self.codes[latest], shown)
        for trouble in self.troubles[week, source]:
            answers = trouble(answers)
        return answers

    def sources(self, week: int) -> Iterator[str]:
        return (source for source in (A, B, C) if any(since <= week for since, _ in self.shows[source]))

    def date(self, week: int) -> dt.datetime:
        return BEGIN + dt.timedelta(weeks=week, days=3 if self.acts.get(week) == "late" else 0)

    def _change(self, week: int, code: str, note: str, **values: object) -> None:
        self.now[code] = replace(self.now[code], **values)  # type: ignore[arg-type]
        self.notes[week].append(note)
        self._note_world(week)

    def _note_world(self, week: int) -> None:
        assert week >= max(self.codes, default=0), "weeks come in their order"
        self.codes[week] = dict(self.now)

    def _truth(self, *told: int | str) -> None:
        self.truths.append(Truth(*told))  # type: ignore[arg-type]


def whole_year() -> Script:
    year = Script()
    codes = world.real_codes(140)
    old, new = codes[:130], codes[130:]
    year.show(0, A, old)
    year.show(0, B, old[:104])
    _spring(year, old, new)
    _summer(year, old, new)
    _autumn(year, old)
    _winter(year, old, new)
    return year


def _spring(year: Script, old: list[str], new: list[str]) -> None:
    year.away = range(3, 16)
    year.notes[3].append("the receiver of the channel archive cannot be reached from now on")
    year.condition("delivery_failed:archive", 13, 16)
    year.revise(3, old[1], "short", "Synthetic TST REVISED", told=3)
    year.revise(4, old[2], "mue", 7, told=4)
    year.revise(5, old[14], "short", "Synthetic TST TWO AT ONCE", told=5)
    year.revise(5, old[14], "mue", 7, told=5)
    year.add(6, A, new[:1])
    year.show(7, B, new[:1])
    year.notes[7].append(f"{B} shows {new[0]}, too, which is nothing new")

    year.revise(8, old[3], "mue", 6, told=9)  # which nobody can see
    year.trouble(8, A, "503 at every address", world.all_of(world.unwell), unfinished=True)
    year.condition(f"suspect:{A}", 8, 9)

    year.revise(10, old[4], "long", "Synthetic descriptor, revised behind a gate", told=11)
    year.trouble(10, A, "10 pages behind a gate", world.some(old[:10], world.gated))
    year.trouble(12, B, "8 pages cut off", world.some(old[40:48], world.cut_in_table))
    for week in (12, 13):
        year.trouble(week, A, "a value that CMS does not know", world.some(old[13:14], world.unknown_days))
    year.revise(13, old[5], "mue", 8, told=13)
    year.act(13, "upgrade", f"a new parser reads all short descriptors of {A} otherwise")

    year.record(14, old[20], "2025-04-01", "Deleted", replaced_by="99499")
    year.headline(14, old[20], "code_deleted")

    year.trouble(16, A, "12 pages in another layout", world.some(old[60:72], world.another_layout))
    year.act(16, "retry", "the archive is there again, and a person has all tried again")
    year.trouble(17, A, "12 pages in another layout", world.some(old[60:72], world.another_layout))
    year.condition(f"layout_changed:{A}", 16, 18)


def _summer(year: Script, old: list[str], new: list[str]) -> None:
    year.advise(19, old[30], "Synthetic advice, revised in a week of nonsense", told=20)
    year.add(19, A, new[5:6], told=20)
    year.trouble(19, A, "nonsense on 100 of its pages", world.some(old[:100], world.nonsense))
    year.condition(f"run_stopped:mass_change:{A}", 19, 20)

    year.record(21, old[23], "2025-12-01", "Deleted", told=21)
    year.trouble(22, A, "2 values that CMS does not know", world.some(old[6:8], world.unknown_days))
    year.trouble(23, A, "2 values that CMS does not know", world.some(old[6:8], world.unknown_days))
    year.revise(24, old[7], "global_days", _other_days(year.now[old[7]].global_days), told=24)
    year.notes[24].append(f"{old[6]} is back with the value that it had")

    year.withdraw(25, old[23], told=25)
    year.show(26, C, old[10:110])
    year.notes[26].append(f"{C} is a new source of 100 known codes, and one that is new")
    year.add(26, C, new[1:2])

    for week in (27, 28):
        year.trouble(week, A, "a value that CMS does not know", world.some(old[12:13], world.unknown_days))
    year.revise(28, old[8], "mue", 9, told=28)
    year.act(28, "restore", "a person restored the snapshot of week 24, and the run goes on from all pages")

    year.trouble(30, B, "12 pages say a thing twice", world.some(old[50:62], world.twice_the_modifier))
    year.trouble(31, B, "12 pages say a thing twice", world.some(old[50:62], world.twice_the_modifier))
    year.condition(f"quarantine:{B}", 30, 32)
    year.record(31, old[21], "2025-09-03", "Deleted", told=31)
    year.notes[35].append(f"{old[21]}: the day of its deletion has come")
    year.headline(35, old[21], "code_deleted")


def _autumn(year: Script, old: list[str]) -> None:
    year.trouble(33, A, f"no {old[112]}, no answer for three", world.some(old[112:113], world.missing), unfinished=True)
    year.trouble(33, A, "the crawl is incomplete", world.silent(old[80:83]), unfinished=True)
    year.trouble(34, A, f"no {old[112]}", world.some(old[112:113], world.missing))
    for week in range(36, 49):
        year.trouble(week, A, f"no {old[115]}" if week < 38 else "", world.some(old[115:116], world.missing))
    year.headline(37, old[115], "code_deleted")
    year.trouble(38, A, f"no {old[116]}, this once", world.some(old[116:117], world.missing))

    year.record(39, old[20], "2025-10-01", "Added", replaced_by=None)
    year.headline(39, old[20], "code_reinstated")
    there, back = 5, year.now[old[22]].mue
    year.revise(40, old[22], "mue", there, told=40)
    year.revise(41, old[22], "mue", back, told=41)
    year.act(42, "rewrite", f"a new parser of {B} reads the same")
    year.revise(43, old[22], "mue", there, told=43)


def _winter(year: Script, old: list[str], new: list[str]) -> None:
    year.revise(44, old[31], "title", "Synthetic title, revised while robots were checked", told=46)
    for week in (44, 45):
        year.trouble(week, B, "a robot check in place of its pages", world.all_of(world.robot_check))
    year.condition(f"suspect:{B}", 44, 46)
    year.condition(f"stale:{B}", 45, 46)

    year.revise(47, old[10], "mue", 6, told=48)
    year.trouble(47, A, "503 at 40 of its addresses", world.some(old[60:100], world.unwell), unfinished=True)
    year.condition(f"suspect:{A}", 47, 48)
    year.act(48, "late", "nothing runs on Monday; somebody sees to it on Thursday")
    year.condition("schedule", 48, 48)
    year.notes[49].append(f"{old[115]} is there again")
    year.headline(49, old[115], "code_reinstated")

    year.revise(50, old[9], "mue", 6, told=51)
    year.act(50, "fail", "the run fails")
    year.condition("run_failed", 50, 51)
    for code in old[90:95]:
        year.revise(51, code, "long", f"Synthetic descriptor of the yearly release for {code}", told=51)
    year.add(51, A, new[2:5])


def _short(value: str) -> str:
    return value if len(value) <= 26 else f"{value[:13]}…{value[-12:]}"


def _other_days(days: str) -> str:
    return next(other for other in ("000", "010", "090") if other != days)


def six_weeks() -> Script:
    """A little of everything, with few codes: no band, and no floor but that of an outage."""
    weeks = Script()
    *old, new = world.real_codes(13)
    weeks.show(0, A, old)
    weeks.show(0, B, old[:6])
    weeks.revise(1, old[1], "mue", 7, told=1)
    weeks.revise(1, old[2], "mue", 7, told=2)
    weeks.trouble(1, A, "one page behind a gate", world.some(old[2:3], world.gated))
    weeks.advise(2, old[3], "Synthetic advice, revised", told=2)
    weeks.trouble(2, A, "two pages in another layout", world.some(old[8:10], world.another_layout))
    weeks.condition(f"layout_changed:{A}", 2, 4)
    weeks.revise(3, old[4], "long", "Synthetic descriptor, revised in an outage", told=4)
    weeks.trouble(3, A, "503 at every address", world.all_of(world.unwell), unfinished=True)
    weeks.condition(f"suspect:{A}", 3, 4)
    weeks.record(4, old[5], "2025-02-01", "Deleted")
    weeks.headline(4, old[5], "code_deleted")
    weeks.act(4, "upgrade", f"a new parser reads all short descriptors of {A} otherwise")
    weeks.show(5, B, old[6:7])
    weeks.add(5, A, [new])
    return weeks
