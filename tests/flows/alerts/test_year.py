"""A simulated year: every true change is told to users exactly once and nothing else is; operators hear what they must.

`script.py` says what is true, week by week, and what goes wrong; `world.py` makes pages of it. The pipeline is the
real one, with its expectations, and so are the outbox, the delivery and the receivers on the other end. Only the clock
is not.
"""

from __future__ import annotations

import datetime as dt
import itertools
import json
import types
from collections import Counter, defaultdict
from collections.abc import Iterable
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from flows import pipeline, publication, quality, report, restoring
from flows.alert_settings import ChannelSettings, OperatorSettings, RuleSettings
from flows.alerts import in_run
from flows.alerts.deliver import deliver
from flows.alerts.message import Item, Message
from flows.alerts.outbox import open_outbox
from flows.engine import InProcess
from flows.lock import hold
from flows.settings import Settings, SourceSettings
from parsers import codingahead, genhealth, openpayer, registry
from parsers.records import Descriptor
from raw.crawl.records import CrawlRecord, crawls_folder, write_crawl
from raw.landing import land
from tests.flows.alerts import script, world
from tests.flows.alerts.receivers import Log, http_receiver, nobody_listens
from tests.flows.alerts.script import WEEKS, A, Script, Truth
from tests.flows.pages import silent, without_validation
from warehouse import snapshots

KEY = "whsec_c3ludGhldGljLWtleS1vZi10aGUteWVhcg=="
READ_ANEW = " (read anew)"
CHANNELS = ("users", "archive", "pager")


@dataclass
class Receivers:
    """Where channels lead: to a receiver on loopback; the archive, while it is away, to a port that nobody serves."""

    log: Log
    url: str
    nowhere: str

    def lead(self, patch: pytest.MonkeyPatch, *, archive_away: bool = False) -> None:
        patch.setenv("YEAR_KEY", KEY)
        for name in CHANNELS:
            away = archive_away and name == "archive"
            patch.setenv(f"YEAR_{name.upper()}", f"http://{self.nowhere}/" if away else f"{self.url}/{name}")

    def got(self, channel: str) -> dict[str, dict]:
        """By message id; a repeat must say the same."""
        found: dict[str, dict] = {}
        for request in self.log.stored:
            if request["path"] == channel:
                body = json.loads(request["body"])
                assert found.setdefault(request["id"], body) == body
        return found


@pytest.fixture
def receivers():
    log = Log()
    with http_receiver(log) as url, nobody_listens() as nowhere:
        yield Receivers(log, url, nowhere)


class Clock:
    """Stands still, until it is set."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now = script.BEGIN
        clock = self

        class Stopped(dt.datetime):
            @classmethod
            def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:
                return clock.now

        stopped = types.SimpleNamespace(**{**vars(dt), "datetime": Stopped})
        for module in (pipeline, publication, report, in_run):
            patch.setattr(module, "dt", stopped)


@dataclass
class Told:
    """What a week's runs and deliveries told."""

    users: list[Truth] = field(default_factory=list)
    operators: list[tuple[int, str, str]] = field(default_factory=list)


class Year:
    """Lives through a script, week by week."""

    def __init__(
        self,
        place: Path,
        wanted: Script,
        patch: pytest.MonkeyPatch,
        settings: Settings,
        receivers: Receivers | None = None,
    ) -> None:
        self.place, self.script, self.patch, self.settings = place, wanted, patch, settings
        self.receivers = receivers
        self.home = Path(str(settings.home))
        self.clock = Clock(patch)
        self.versions = Counter[str]()
        self.status: dict[int, str] = {}
        self.current: dict[int, str | None] = {}
        self.told: dict[int, Told] = defaultdict(Told)
        self.heard: set[str] = set()
        self.event_ids: list[tuple[str, str]] = []

    def live(self, week: int) -> None:
        date, act = self.script.date(week), self.script.acts.get(week)
        if self.receivers:
            self.receivers.lead(self.patch, archive_away=week in self.script.away)
        if act == "late":
            self.clock.now = date - dt.timedelta(days=1)
            deliver(self.settings, now=self.clock.now)
            self._listen(week)
        if act in ("upgrade", "rewrite"):
            self._upgrade("codingahead" if act == "upgrade" else "openpayer")
        if act == "restore":
            self._restore(self.current[24], date)
        self.clock.now = date + dt.timedelta(hours=2)
        with _failing() if act == "fail" else nullcontext():
            self._run(week, date)
        self.current[week] = snapshots.current_id(self.home)
        if act == "retry":
            with open_outbox(self.home) as outbox:
                assert outbox.retry(self.clock.now)
        deliver(self.settings, now=self.clock.now + dt.timedelta(minutes=1))
        self._listen(week)

    def _run(self, week: int, date: dt.datetime) -> None:
        places = []
        for source in self.script.sources(week):
            answers = self.script.answers(week, source)
            place = world.write_folder(self.place / f"{week:02}" / source, source, answers, date.isoformat())
            if source == A:
                self._crawled(place, date, complete=(week, source) not in self.script.unfinished)
            else:
                places.append(str(place))
        try:
            told = pipeline.run(places, self.settings, InProcess(), silent)
        except RuntimeError:
            self.status[week] = "failed"
        else:
            self.status[week] = told.status
            assert told.alerts_problem is None, told.alerts_problem

    def _crawled(self, place: Path, date: dt.datetime, *, complete: bool) -> None:
        """As the crawler leaves it: its pages landed, and its record, which says whether each address answered."""
        crawl_id = f"{date:%Y%m%dT%H%M%S%fZ}-crawl"
        crawls_folder(self.home).mkdir(parents=True, exist_ok=True)
        land(self.home, f"{crawl_id}.0001", [str(place)], lambda url: A)
        record = CrawlRecord(crawl_id, A, date, date + dt.timedelta(hours=1), complete)
        write_crawl(self.home, record)

    def _upgrade(self, source: str) -> None:
        self.versions[source] += 1
        read = partial(_read_anew, codingahead.SOURCE.read)
        newer = [replace(s, version=s.version + self.versions[s.name]) for s in (openpayer.SOURCE, genhealth.SOURCE)]
        first = replace(codingahead.SOURCE, version=codingahead.SOURCE.version + self.versions["codingahead"])
        self.patch.setattr(registry, "BUILT_IN", (replace(first, read=read), *newer))
        registry.registered.cache_clear()

    def _restore(self, snapshot_id: str | None, date: dt.datetime) -> None:
        assert snapshot_id is not None
        run_id = f"{date - dt.timedelta(hours=1):%Y%m%dT%H%M%S%fZ}-0000"
        with hold(self.home, run_id):
            assert restoring.restore(self.home, snapshot_id, run_id).snapshot_id

    def _listen(self, week: int) -> None:
        """What is new in the outbox since it was asked last."""
        with open_outbox(self.home) as outbox:
            new = [message for message in reversed(outbox.messages()) if message.message_id not in self.heard]
        for message in new:
            self.heard.add(message.message_id)
            self._note(week, message)

    def _note(self, week: int, message: Message) -> None:
        told = self.told[week]
        assert message.audience == ("operators" if message.conditions else "users")
        for one in message.conditions:
            told.operators.append((week, one.name, "begins" if one.ended_at is None else "ends"))
        for item in message.items:
            self.event_ids.append((message.rule, item.event_id))
            told.users.append(_as_truth(week, message.rule, item))


def _as_truth(week: int, rule: str, item: Item) -> Truth:
    what, before, after = item.column or "", item.before or "", item.after or ""
    if item.change_type in ("code_added", "code_deleted", "code_reinstated"):
        what = before = after = ""
    elif item.change_type == "history_event_added":
        before, after = ("", str(item.effective_on)) if item.after else (str(item.effective_on), "")
    elif item.change_type == "modifier_changed":
        what = item.what
    return Truth(week, rule, item.code, item.change_type, what, before, after)


def _says(told: Truth, true: Truth) -> bool:
    """Whether what was told is what is true: sites and parsers put words around values."""
    same = ("week", "rule", "code", "change_type", "what")
    return all(getattr(told, name) == getattr(true, name) for name in same) and all(
        getattr(true, side) in getattr(told, side) for side in ("before", "after")
    )


def _read_anew(read, reading):
    coverage = read(reading)
    for claim in reading._claims:
        for record in claim.records:
            if isinstance(record, Descriptor) and record.kind == "short":
                object.__setattr__(record, "text", f"{record.text}{READ_ANEW}")
    return coverage


@contextmanager
def _failing():
    def fail(*_: object) -> None:
        raise RuntimeError("Synthetic failure")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "assemble", fail)
        yield


RULES = {
    "default": RuleSettings(channels=("feed",)),
    "billing": RuleSettings(types=("modifier_changed",), channels=("feed",)),
    "history": RuleSettings(types=("history_event_added",), channels=("feed",)),
}


def settings_of(home: Path) -> Settings:
    hooks = {
        name: ChannelSettings(kind="webhook", url=f"env:YEAR_{name.upper()}", key="env:YEAR_KEY") for name in CHANNELS
    }
    return Settings(
        home=home,
        channels=hooks,
        rules={
            name: rule.model_copy(update={"channels": ("users", "archive", "feed")}) for name, rule in RULES.items()
        },
        operators=OperatorSettings(channels=("pager",), run_every_hours=8 * 24, quarantine_share=0.003),
        sources={"openpayer": SourceSettings(refresh_days=14)},
    )


@pytest.fixture(autouse=True)
def parsers_as_they_were():
    yield
    registry.registered.cache_clear()


@pytest.mark.full
def test_a_year_of_weekly_runs_tells_each_true_change_once_and_nothing_else(tmp_path, monkeypatch, receivers):
    year = Year(tmp_path / "pages", script.whole_year(), monkeypatch, settings_of(tmp_path / "home"), receivers)
    for week in range(WEEKS):
        year.live(week)
    check(year)
    check_received(year, receivers)
    others = {week: status for week, status in year.status.items() if status not in ("published", "nothing_new")}
    assert others == {19: "stopped", 50: "failed"}


@pytest.mark.full
def test_six_weeks_tell_each_true_change_once_and_nothing_else(tmp_path, monkeypatch):
    without_validation(monkeypatch)
    monkeypatch.setattr(quality, "write_pages", lambda *_: tmp_path)
    settings = Settings(home=tmp_path / "home", rules=RULES)
    weeks = Year(tmp_path / "pages", script.six_weeks(), monkeypatch, settings)
    for week in range(6):
        weeks.live(week)
    check(weeks)


def check(year: Year) -> None:
    wanted, weeks = year.script, sorted(year.told)
    told = [one for week in weeks for one in year.told[week].users]
    operators = [one for week in weeks for one in year.told[week].operators]
    _show("What was true, and what users were told", _users_table(wanted, told))
    _show("What happened, and what operators were told", _operators_table(wanted, operators))

    missing = [str(true) for true in wanted.truths if sum(_says(one, true) for one in told) != 1]
    false = [str(one) for one in told if not any(_says(one, true) for true in wanted.truths)]
    assert (missing, false) == ([], []), "true changes that were not told once, and what was told and is not true"
    assert max(Counter(year.event_ids).values()) == 1, "no event is in two messages of a rule"
    assert Counter(operators) == Counter(wanted.operators)


def check_received(year: Year, receivers: Receivers) -> None:
    """They have each message of the outbox, and no other."""
    users, pager = receivers.got("users"), receivers.got("pager")
    assert receivers.got("archive") == users
    assert users.keys() | pager.keys() == year.heard
    told = [item["event_id"] for body in users.values() for item in body["items"]]
    assert sorted(told) == sorted(event_id for _, event_id in year.event_ids)
    turns = Counter(one["ended_at"] is None for body in pager.values() for one in body["conditions"])
    assert turns[True] == turns[False] == len(year.script.operators) / 2


def _users_table(wanted: Script, told: Iterable[Truth]) -> list[tuple[str, str, str]]:
    true_in, told_in = defaultdict(list), defaultdict(list)
    for one in wanted.truths:
        true_in[one.week].append(one)
    for one in told:
        told_in[one.week].append(one)
    rows = []
    for week in sorted(true_in.keys() | told_in.keys()):
        of_week = itertools.zip_longest(*_side_by_side(true_in[week], told_in[week]), fillvalue="")
        rows += [(str(week) if not place else "", str(a), str(b)) for place, (a, b) in enumerate(of_week)]
    return rows


def _side_by_side(true: list[Truth], told: list[Truth]) -> tuple[list[object], list[object]]:
    left, right, rest = [], [], list(told)
    for one in true:
        left.append(one)
        match = next((other for other in rest if _says(other, one)), None)
        right.append(match if match else "(not told)")
        if match:
            rest.remove(match)
    return [*left, *["(not true)"] * len(rest)], [*right, *rest]


def _operators_table(wanted: Script, told: Iterable[tuple[int, str, str]]) -> list[tuple[str, str, str]]:
    told_in = defaultdict(list)
    for week, name, turn in told:
        told_in[week].append(f"{name} {turn}")
    rows = []
    for week in sorted(wanted.notes.keys() | told_in.keys()):
        of_week = itertools.zip_longest(dict.fromkeys(wanted.notes[week]), told_in[week], fillvalue="")
        rows += [(str(week) if not place else "", note, one) for place, (note, one) in enumerate(of_week)]
    return rows


def _show(title: str, rows: list[tuple[str, str, str]]) -> None:
    shown = Table(title=title, title_justify="left")
    shown.add_column("week", justify="right")
    shown.add_column("what was true" if "true" in title else "what happened", overflow="fold")
    shown.add_column("what was told", overflow="fold")
    for row in rows:
        shown.add_row(*row)
    Console(width=190, markup=False).print(shown)
