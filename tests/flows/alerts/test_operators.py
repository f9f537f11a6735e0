"""Operators hear of each thing that is wrong once when it begins and once when it has ended, and never in between."""

import datetime as dt
import json
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.alert_settings import ChannelSettings, OperatorSettings
from flows.alerts import conditions, in_run
from flows.alerts.conditions import SEVERITIES, Look
from flows.alerts.message import Condition, Message
from flows.alerts.operators import conditions_of_run, conditions_of_time, turn
from flows.alerts.outbox import PAUSES, open_outbox
from flows.lock import HOLDER, hold
from flows.report import Report, write
from flows.settings import Settings, SourceSettings
from warehouse.freshness import FRESHNESS
from warehouse.tables import FACTS, QUARANTINE

NOW = dt.datetime(2026, 3, 2, 6, tzinfo=dt.UTC)
GUIDE = Path(__file__).parents[3] / "docs" / "operating.md"


class Home:
    """A home in which nothing is but what a test puts there; ``hears`` what its operators are told."""

    def __init__(self, place, **operators):
        self.place, self.now, self.runs = place / "home", NOW, 0
        self.place.mkdir()
        self.settings = Settings(
            home=self.place,
            channels={"pager": ChannelSettings(url="env:PAGER")},
            operators=OperatorSettings(channels=("pager",), **operators),
            sources={"openpayer": SourceSettings(refresh_days=3)},
        )

    def run(self, status="nothing_new", **told):
        """A run ends, and writes its report; returns what operators are told of it."""
        self.now += dt.timedelta(hours=1)
        self.runs += 1
        exit_status = told.pop("exit_status", {"failed": 1, "stopped": 3}.get(status, 0))
        run_id = f"{self.now:%Y%m%dT%H%M%S%fZ}-{self.runs:04x}"
        report = Report(run_id, str(self.place), [], "inline", 1, [], "", status=status, exit_status=exit_status)
        for name, value in told.items():
            setattr(report, name, value)
        write(report)
        return self._told(conditions_of_run(report, self.place, self.settings, self.now))

    def time_passes(self, **by):
        self.now += dt.timedelta(**by)
        return self._told(conditions_of_time(self.place, self.settings, self.now))

    def freshness(self, *rows):
        """Each: url, source, last outcome, and how many days ago a page could be read there."""
        told = [
            {
                "url": url,
                "source": source,
                "code": None,
                "last_attempt_at": self.now,
                "last_outcome": outcome,
                "last_confirmed_at": None if days is None else self.now - dt.timedelta(days=days),
            }
            for url, source, outcome, days in rows
        ]
        file = self.place / "warehouse" / "freshness.parquet"
        file.parent.mkdir(exist_ok=True)
        pq.write_table(pa.Table.from_pylist(told, schema=FRESHNESS.schema), file)

    def snapshot(self, snapshot_id, rows, held_back):
        """One with so many rows of openpayer, and so many of them held back."""
        place = self.place / "warehouse" / "snapshots" / snapshot_id
        place.mkdir(parents=True)
        for table in FACTS:
            number = rows if table.name == "modifiers" else 0
            pq.write_table(pa.table({"source": pa.array(["openpayer"] * number)}), place / f"{table.name}.parquet")
        columns = {"table_name": "modifiers", "source": "openpayer"}
        told = [
            columns | {"row_key": str(number), "rule": rule, "severity": severity}
            for number in range(held_back)
            for rule, severity in (("a", "critical"), ("b", "critical"), ("c", "warning"))
        ]
        told += [columns | {"row_key": f"w{number}", "rule": "c", "severity": "warning"} for number in range(50)]
        told = [dict.fromkeys(QUARANTINE.names, "") | row for row in told]
        pq.write_table(pa.Table.from_pylist(told, schema=QUARANTINE.schema), place / "quarantine.parquet")
        return snapshot_id

    def _told(self, messages):
        """(name, begins or ends) of each; that they stand in the outbox, on their way, is looked at here."""
        with open_outbox(self.place) as outbox:
            for message in messages:
                assert outbox.message(message.message_id) == message
                assert [one.channel for one in outbox.deliveries(message_id=message.message_id)] == ["pager"]
                assert (message.audience, message.rule, message.items) == ("operators", "operators", ())
        self.last = [one for message in messages for one in message.conditions]
        assert all(one.severity == SEVERITIES[one.kind] and one.what and one.advice for one in self.last)
        return [(one.name, "ends" if one.ended_at else "begins") for one in self.last]


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


def error(kind="DiskFailed", message="Step land: the system refused /h\nMore"):
    return {"type": kind, "message": message, "traceback": ""}


def stop(rule="mass_change:openpayer"):
    return {
        "rule": rule,
        "table": "bands",
        "observed": 0.6,
        "limit": 0.25,
        "message": "Synthetic words",
        "accept": rule,
    }


def landing(source, good, captures=20, suspect=None):
    low = good / captures < 0.8 if suspect is None else suspect
    return {
        "source": source,
        "landing": "x",
        "captures": captures,
        "good": good,
        "least": 0.8,
        "suspect": low,
        "share": good / captures,
    }


def test_a_run_that_failed_is_told_once_until_a_run_ends_well(home):
    assert home.run("failed", error=error()) == [("run_failed", "begins")]
    assert "DiskFailed: Step land: the system refused /h" in home.last[0].what
    assert "More" not in home.last[0].what
    assert home.run("failed", error=error("WorkerDied")) == []
    assert home.run("landed") == []
    assert home.run("published") == [("run_failed", "ends")]
    assert home.run() == []
    assert home.run("failed", error=error()) == [("run_failed", "begins")], "it is told again"
    assert home.run("stopped", stopped=[stop()]) == [
        ("run_stopped:mass_change:openpayer", "begins"),
        ("run_failed", "ends"),
    ]


@pytest.mark.parametrize(
    ("kind", "message"),
    [("KeyError", "Synthetic words of a page"), ("BatchFailed", "parse: batch 1 failed: Synthetic words of a page")],
)
def test_law_10_words_of_an_unknown_error_may_be_a_pages_and_are_not_told(home, kind, message):
    home.run("failed", error=error(kind, message))
    assert "Synthetic" not in home.last[0].what + home.last[0].advice
    assert kind in home.last[0].what


def test_secrets_of_addresses_are_not_told(home):
    home.run("failed", error=error("StoreFailed", "s3://user:planted-token@bucket/home did not answer"))
    assert "planted" not in json.dumps([home.last[0].what, home.last[0].advice])
    assert "bucket/home did not answer" in home.last[0].what


@pytest.mark.parametrize(("status", "kind"), [(4, "LockLost"), (2, "UsageError"), (1, "KeyboardInterrupt")])
def test_a_home_that_is_held_a_wrong_command_and_a_person_are_no_failure(home, status, kind):
    assert home.run("failed", exit_status=status, error=error(kind)) == []


def test_each_rule_that_stops_runs_is_told_once(home):
    first, second = "run_stopped:mass_change:openpayer", "run_stopped:rows:codingahead"
    assert home.run("stopped", stopped=[stop()]) == [(first, "begins")]
    assert "--accept mass_change:openpayer" in home.last[0].advice
    assert "Synthetic" not in home.last[0].what, "a rule's message may repeat what pages say"
    assert home.run("stopped", stopped=[stop()]) == []
    assert home.run("failed", error=error()) == [("run_failed", "begins")], "which says nothing of the rules"
    assert home.run("stopped", stopped=[stop(), stop("rows:codingahead")]) == [
        (second, "begins"),
        ("run_failed", "ends"),
    ]
    assert home.run("stopped", stopped=[stop("rows:codingahead")]) == [(first, "ends")]
    assert home.run("published") == [(second, "ends")]


def test_a_rule_that_nobody_can_let_pass_is_named_with_its_table(home):
    told = stop() | {"accept": None, "rule": "modifier_form", "table": "modifiers", "observed": 40, "limit": 25}
    assert home.run("stopped", stopped=[told]) == [("run_stopped:modifiers.modifier_form", "begins")]
    assert "40 found, 25 allowed" in home.last[0].what
    assert "--accept" not in home.last[0].advice


def test_a_suspect_source_is_told_until_its_latest_landing_is_good(home):
    assert home.run(sources=[landing("openpayer", 2), landing("codingahead", 20)]) == [("suspect:openpayer", "begins")]
    assert "2 of 20" in home.last[0].what
    assert home.run(sources=[landing("openpayer", 3)]) == []
    assert home.run(sources=[landing("codingahead", 20)]) == [], "nothing new of it"
    assert home.run(sources=[landing("openpayer", 2, captures=2, suspect=False)]) == [], "two pages are too few to tell"
    assert home.run("failed", error=error(), sources=[landing("openpayer", 20)]) == [("run_failed", "begins")]
    told = [landing("openpayer", 2), landing("openpayer", 20)]
    assert home.run("stopped", stopped=[], sources=told) == [("run_failed", "ends"), ("suspect:openpayer", "ends")]


def test_a_layout_that_changed_is_told_until_no_page_stands_so(home):
    home.freshness(("a", "openpayer", "layout_changed", 9), ("b", "openpayer", "parsed", 1))
    assert home.run() == [("layout_changed:openpayer", "begins")]
    assert "1 page of openpayer" in home.last[0].what
    assert home.run() == []
    home.freshness(("a", "openpayer", "blocked", 9), ("b", "openpayer", "blocked", 1))
    assert home.run(sources=[landing("openpayer", 0)]) == [("suspect:openpayer", "begins")], "an outage mends no layout"
    assert home.run() == []
    home.freshness(("a", "openpayer", "parsed", 0), ("b", "openpayer", "parsed", 0))
    assert home.run(sources=[landing("openpayer", 20)]) == [
        ("layout_changed:openpayer", "ends"),
        ("suspect:openpayer", "ends"),
    ]


def test_quarantine_above_its_share_is_told_until_it_is_below(home):
    below, above = home.snapshot("below", 990, 10), home.snapshot("above", 980, 20)
    assert home.run("published", snapshot_id=below) == []
    assert home.run("published", snapshot_id=above) == [("quarantine:openpayer", "begins")]
    assert "20 of 1,000 rows of openpayer (2.0%)" in home.last[0].what
    assert home.run("published", snapshot_id=above) == []
    assert home.run(snapshot_id=above) == [], "the tables are as they were"
    assert home.run("published", snapshot_id=below) == [("quarantine:openpayer", "ends")]


def test_a_small_home_does_not_cry_over_a_handful_of_rows(home):
    assert home.run("published", snapshot_id=home.snapshot("few", 40, 40)) == []
    assert home.run("published", snapshot_id=home.snapshot("handful", 120, 5)) == []


def test_a_source_that_is_not_refreshed_in_its_own_time_is_told(home):
    home.freshness(
        ("a", "openpayer", "blocked", 9), ("b", "openpayer", "parsed", 2.5), ("c", "codingahead", "parsed", 13)
    )
    assert home.time_passes() == []
    assert home.time_passes(hours=13) == [("stale:openpayer", "begins")]
    assert "than 3 days ago" in home.last[0].what
    assert home.run() == []
    assert home.time_passes(hours=1) == []
    assert home.time_passes(days=1) == [("stale:codingahead", "begins")]
    home.freshness(("a", "openpayer", "parsed", 0), ("c", "codingahead", "blocked", 14.5))
    assert home.time_passes() == [("stale:openpayer", "ends")]


def test_a_source_without_any_readable_page_is_not_called_stale(home):
    home.freshness(("a", "openpayer", "gated", None), ("b", None, "unrecognised", None))
    assert home.time_passes(days=100) == []


def test_a_schedule_that_has_not_run_is_told_until_it_runs(tmp_path):
    home = Home(tmp_path, run_every_hours=24)
    assert home.time_passes(days=9) == [], "a home that never saw a run has no schedule"
    home.run()
    assert home.time_passes(hours=23) == []
    assert home.time_passes(hours=2) == [("schedule", "begins")]
    assert home.time_passes(days=3) == []
    home.run("failed", exit_status=4, error=error("LockLost"))
    assert home.time_passes() == [("schedule", "ends")]


def test_runs_of_another_machine_that_share_the_outbox_count_for_the_schedule(tmp_path):
    home = Home(tmp_path, run_every_hours=24)
    home.run()
    shutil.rmtree(home.place / "runs")
    assert home.time_passes(hours=2) == []
    assert home.time_passes(days=2) == [("schedule", "begins")]
    assert home.time_passes() == [], "no run of its own says nothing"
    home.run()
    shutil.rmtree(home.place / "runs")
    assert home.time_passes() == [("schedule", "ends")]


def test_without_a_set_time_no_schedule_is_missed(home):
    home.run()
    assert home.time_passes(days=300) == []


_DIES = """
import os, signal, sys
from pathlib import Path
from flows.lock import HOLDER, hold
with hold(Path(sys.argv[1]), sys.argv[2]):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(home, run_id):
    ended = subprocess.run([sys.executable, "-c", _DIES, str(home.place), run_id], check=False)
    assert ended.returncode == -signal.SIGKILL


def test_a_run_that_was_killed_is_told_until_a_run_ends(home):
    assert home.time_passes() == []
    killed(home, "20260302T060000Z-dead")
    assert home.time_passes() == [("run_killed", "begins")]
    assert "20260302T060000Z-dead" in home.last[0].what
    assert home.time_passes(hours=1) == []
    with hold(home.place, "20260302T070000Z-beef"):
        assert home.time_passes() == [], "a run is under way"
        assert home.run() == [("run_killed", "ends")]
    assert home.time_passes() == []


def test_a_holder_that_wrote_its_end_was_not_killed(home):
    """It had no time to take its name back, and no more than that."""
    home.run()
    run_id = next(home.place.glob("runs/*.json")).stem
    holder = {"pid": 1, "host": "h", "run_id": run_id, "started": "2026", "command": "cptflow run"}
    (home.place / HOLDER).write_text(json.dumps(holder), encoding="utf-8")
    assert home.time_passes() == []


def test_a_delivery_that_was_given_up_is_told_until_none_is(home):
    lost = Message("msg_" + "0" * 32, "users", "default", NOW, None, ())
    with open_outbox(home.place) as outbox:
        outbox.add_message(lost, ["billing"])
        for _ in range(len(PAUSES)):
            outbox.failed(lost.message_id, "billing", NOW, "refused")
        assert home.time_passes() == [], "it is still tried"
        outbox.failed(lost.message_id, "billing", NOW, "refused")
        assert home.time_passes() == [("delivery_failed:billing", "begins")]
        assert home.time_passes() == []
        outbox.ack(lost.message_id)
        assert home.time_passes() == [("delivery_failed:billing", "ends")]


def test_what_begins_and_ends_in_one_run_is_one_message(home):
    home.run("stopped", stopped=[stop(), stop("rows:openpayer")], sources=[landing("codingahead", 1)])
    with open_outbox(home.place) as outbox:
        (message,) = outbox.messages()
        assert len(message.conditions) == 3
        assert set(outbox.conditions()) == {one.name for one in message.conditions}


def test_without_a_channel_it_stands_in_the_list(tmp_path):
    settings = Settings(home=tmp_path)
    told = conditions_of_run(_failed(tmp_path), tmp_path, settings, NOW)
    with open_outbox(tmp_path) as outbox:
        assert outbox.messages() == list(told)
        assert outbox.deliveries() == []


def _failed(place):
    return Report("20260302T060000Z-0001", str(place), [], "inline", 1, [], "", error=error())


def test_what_a_person_acknowledged_ends_in_silence_and_is_told_when_it_begins_again(home):
    home.run("failed", error=error())
    with open_outbox(home.place) as outbox:
        outbox.ack_condition("run_failed", NOW)
    assert home.run("failed", error=error()) == []
    assert home.run() == []
    assert home.run("failed", error=error()) == [("run_failed", "begins")]
    assert home.run() == [("run_failed", "ends")]


def test_law_6_what_was_not_written_down_is_told_by_the_next_look(home, monkeypatch):
    """The condition and its message are written together, or not at all."""
    with monkeypatch.context() as patch:
        patch.setattr("flows.alerts.outbox.Outbox.add_message", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            home.run("failed", error=error())
    assert home.run("failed", error=error()) == [("run_failed", "begins")]


def test_a_look_that_fails_hides_nothing_of_the_run(home, monkeypatch):
    monkeypatch.setattr(conditions, "of_run", lambda *_: 1 / 0)
    report = Report("20260302T060000Z-0001", str(home.place), [], "inline", 1, [], "", status="stopped", exit_status=3)
    in_run.fill(home.place, report, home.settings)
    assert (report.status, report.exit_status) == ("stopped", 3)
    assert "division by zero" in report.alerts_problem


def test_changes_that_cannot_be_made_into_alerts_are_told_to_operators(home, monkeypatch):
    report = Report("20260302T060000Z-0001", str(home.place), [], "inline", 1, [], "", status="published")
    with monkeypatch.context() as patch:
        patch.setattr("flows.alerts.plan.plan", lambda *_: {}["Synthetic words of a page"])
        in_run.fill(home.place, report, home.settings)
        in_run.fill(home.place, replace(report, alerts_problem=None), home.settings)
    assert report.alerts_problem is not None
    with open_outbox(home.place) as outbox:
        (message,) = outbox.messages()
    assert [one.name for one in message.conditions] == ["alerts_failed"]
    assert "Synthetic" not in str(message)
    assert home.run("failed", error=error()) == [("run_failed", "begins")]
    assert home.run() == [("run_failed", "ends"), ("alerts_failed", "ends")][::-1]


NAMES = ("run_failed", "suspect:openpayer", "suspect:codingahead")


@given(st.lists(st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["found", "well"])), max_size=12))
def test_beginning_and_end_are_told_in_turn_whatever_looks_find(looks):
    still_open, told, truth = {}, {name: [] for name in NAMES}, {name: [] for name in NAMES}
    for hours, seen in enumerate(looks):
        found = tuple(_condition(name, hours) for name, what in seen.items() if what == "found")
        well = frozenset(name for name, what in seen.items() if what == "well")
        changed = turn(still_open, Look(found, well), NOW + dt.timedelta(hours=hours))
        still_open = changed.still_open
        for one in (*changed.begun, *changed.ended):
            told[one.name].append("ends" if one.ended_at else "begins")
        for name, what in seen.items():
            truth[name].append(what)
        assert set(still_open) == {name for name in NAMES if truth[name][-1:] == ["found"]}
    for name in NAMES:
        assert told[name][:1] in ([], ["begins"])
        assert all(before != after for before, after in pairwise(told[name]))
        turns = [what for before, what in pairwise(["well", *truth[name]]) if before != what]
        assert told[name] == [{"found": "begins", "well": "ends"}[what] for what in turns]


def _condition(name, hours):
    began = NOW + dt.timedelta(hours=hours)
    return Condition(name, name.partition(":")[0], None, "warning", began, None, "Synthetic", "Synthetic", None)


@pytest.mark.parametrize("kind", SEVERITIES)
def test_the_guide_has_a_section_for_each_kind(kind):
    text = GUIDE.read_text(encoding="utf-8").split("## Operators' alerts")[1].partition("\n## ")[0]
    (section,) = re.findall(rf"^### `{kind}`[^\n]*\n(.*?)(?=^### |\Z)", text, re.DOTALL | re.MULTILINE)
    assert "It ends" in section
