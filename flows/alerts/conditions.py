"""What is wrong with the pipeline, as a run's report, the home's books and the outbox tell it: one look at each kind.

Each look names what it found wrong, and what it saw to be well; of the rest it says nothing, and that stays as it was.
No words of pages stand in here.
"""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from flows.alerts.message import Condition
from flows.home import Address
from flows.lock import is_held, read_holder
from flows.report import Report, report_file
from flows.settings import Settings
from raw.addresses import without_secrets
from warehouse import snapshots
from warehouse.health import FEWEST
from warehouse.rules import USUAL
from warehouse.tables import FACTS, QUARANTINE

SEVERITIES = {
    "run_failed": "critical",
    "run_stopped": "critical",
    "run_killed": "critical",
    "suspect": "warning",
    "layout_changed": "warning",
    "quarantine": "warning",
    "alerts_failed": "critical",
    "delivery_failed": "critical",
    "stale": "warning",
    "schedule": "critical",
}
"""All kinds of condition. docs/operating.md has a section for each."""

_LINE = 300
_SHOWN = 5
_BY_HAND = ("KeyboardInterrupt",)
# Their messages hold paths, ids and the system's words. Any other error may repeat what stands on a page.
_TELLABLE = frozenset(
    "BrokenSnapshot CapturesLost CrawlLost CrawlUnreadable DamagedAtStore DiskFailed IndexUnreadable ParentMoved "
    "RunExists StoreFailed StoreUnfit UnknownSnapshot WorkerDied".split()
)
# Ex: 20260105T060000123456Z-ab12
_RUN_ID = re.compile(r"^(\d{8}T\d{6}(?:\d{6})?)Z-")


@dataclass(frozen=True, slots=True)
class Look:
    """What one look found: conditions that hold, and names of which it saw that they do not."""

    found: tuple[Condition, ...] = ()
    well: frozenset[str] = frozenset()

    def __add__(self, other: Look) -> Look:
        return Look(self.found + other.found, self.well | other.well)


@dataclass(frozen=True, slots=True)
class Seen:
    """What every look needs. ``still_open``: names of the conditions that were open before it."""

    home: Path
    settings: Settings
    now: dt.datetime
    still_open: frozenset[str]
    run_id: str | None = None

    def condition(self, kind: str, subject: str | None, what: str, advice: str) -> Condition:
        name = kind if subject is None else f"{kind}:{subject}"
        return Condition(name, kind, subject, SEVERITIES[kind], self.now, None, what, advice, self.run_id)

    def of_all(self, kind: str, found: Iterable[Condition]) -> Look:
        """Of a kind of which everything is known: what is not found is well."""
        made = tuple(found)
        rest = {name for name in self.still_open if name.partition(":")[0] == kind}
        return Look(made, frozenset(rest - {condition.name for condition in made}))


def of_run(report: Report, seen: Seen) -> Look:
    """What a run says that held the home. One that only landed pages says nothing but that it failed."""
    looks: list[Callable[[Report, Seen], Look]] = [_failed]
    if report.status not in ("failed", "landed"):
        looks += [_stopped, _suspect, _quarantine, _unplanned]
    found = sum((look(report, seen) for look in looks), Look())
    return found + _layouts(seen, {condition.name for condition in found.found} | (seen.still_open - found.well))


def of_time(seen: Seen, dead: Sequence[str], newest_run: str | None) -> Look:
    """What time brings by itself. ``dead``: the channel of each delivery that was given up. ``newest_run``: the last
    one of any machine that the outbox tells of."""
    return _stale(seen) + _schedule(seen, newest_run) + _killed(seen) + _undelivered(seen, dead)


# What a run says


def _failed(report: Report, seen: Seen) -> Look:
    """Not where a person ended it, another writer holds the home (4), or the command made no sense (2)."""
    if report.status != "failed":
        well = {"run_killed"} | ({"run_failed"} if report.status != "landed" else set())
        return Look(well=frozenset(well & seen.still_open))
    error = report.error or {"type": "an error", "message": ""}
    if report.exit_status in (2, 4) or error["type"] in _BY_HAND:
        return Look()
    said = f": {_first_line(error['message'])}" if error["type"] in _TELLABLE else ""
    advice = f"Read the run report {report_file(Path(report.home), report.run_id)}, mend the cause, and run again."
    return Look((seen.condition("run_failed", None, f"A run failed with {error['type']}{said}", advice),))


def _stopped(report: Report, seen: Seen) -> Look:
    """One for each rule: a second one that stops the run is news, too."""

    def each() -> Iterator[Condition]:
        for stop in report.stopped:
            rule = stop["accept"] or f"{stop['table']}.{stop['rule']}"
            figures = f"{_figure(stop['observed'])} found, {_figure(stop['limit'])} allowed"
            what = f"Expectations stopped publication by {rule}: {figures}. The tables stay as they are."
            yield seen.condition("run_stopped", rule, what, _advice_for_stop(report, stop))

    return seen.of_all("run_stopped", each())


def _advice_for_stop(report: Report, stop: dict[str, Any]) -> str:
    page = f" The quality report tells more: {report.quality_page}." if report.quality_page else ""
    if stop["accept"] is None:
        return f"Mend the parser, or land good pages of a later time.{page}"
    return (
        "Newer pages that bring it back need nothing. If it is really so, let it pass: "
        f"cptflow run --accept {stop['accept']}.{page}"
    )


def _suspect(report: Report, seen: Seen) -> Look:
    """By the latest landing of each source that is large enough to be judged."""
    latest = {one["source"]: one for one in report.sources if one["captures"] >= FEWEST}
    found = tuple(
        seen.condition(
            "suspect",
            source,
            f"Source {source} is suspect: {one['good']} of {one['captures']} pages could be read "
            f"({one['share']:.0%}; {one['least']:.0%} are needed). Its new pages are held back, the old rows stay.",
            "See what its pages turned out to be in the run report, and fetch them again. If it is really so, let it "
            f"pass: cptflow run --accept floor:{source}.",
        )
        for source, one in latest.items()
        if one["suspect"]
    )
    return Look(found, frozenset(f"suspect:{source}" for source, one in latest.items() if not one["suspect"]))


def _quarantine(report: Report, seen: Seen) -> Look:
    """Of a snapshot that this run published; any other is as it was."""
    if report.status != "published" or report.snapshot_id is None:
        return Look()
    rows = Counter[str]()
    for table in FACTS:
        rows.update(_by_value(snapshots.read_table(seen.home, report.snapshot_id, table.name, ("source",))["source"]))
    told = snapshots.read_table(
        seen.home, report.snapshot_id, QUARANTINE.name, ("table_name", "row_key", "source", "severity")
    )
    told = told.filter(pc.and_(pc.equal(told["severity"], "critical"), pc.is_valid(told["source"])))
    held = _by_value(told.group_by(["table_name", "row_key", "source"]).aggregate([])["source"])

    def each() -> Iterator[Condition]:
        for source, number in sorted(held.items()):
            total = rows[source] + number
            if total < seen.settings.bands.fewest or number <= USUAL.handful:
                continue
            if number / total > seen.settings.operators.quarantine_share:
                what = (
                    f"{number:,} of {total:,} rows of {source} ({number / total:.1%}) are held back in quarantine; up "
                    f"to {seen.settings.operators.quarantine_share:.1%} is usual."
                )
                advice = (
                    "Look at them: cptflow query \"SELECT rule, count(*) FROM quarantine WHERE source = '"
                    f"{source}' GROUP BY rule\". The site or its parser has changed."
                )
                yield seen.condition("quarantine", source, what, advice)

    return seen.of_all("quarantine", each())


def _unplanned(report: Report, seen: Seen) -> Look:
    """The error's words stay in the report: they may be a page's."""
    if report.alerts_problem is None:
        return seen.of_all("alerts_failed", ())
    what = "What changed could not be made into alerts. The snapshot stands, and users have not heard of it yet."
    advice = (
        f"alerts_problem in the run report {report_file(Path(report.home), report.run_id)} tells why. Mend it; the "
        "next run, or cptflow alerts deliver, makes them up."
    )
    return seen.of_all("alerts_failed", [seen.condition("alerts_failed", None, what, advice)])


def _layouts(seen: Seen, troubled: Collection[str]) -> Look:
    """Addresses whose latest capture is in a layout that the parser does not know any more.

    ``troubled``: names of conditions that hold now. A suspect source says nothing of a layout: where an outage hides
    the pages in question, it has not come back.
    """
    standing: Counter[str] = Counter()
    if (rows := _freshness(seen.home, ["source", "last_outcome"])) is not None:
        standing.update(_by_value(rows.filter(pc.equal(rows["last_outcome"], "layout_changed"))["source"]))
    found = tuple(
        seen.condition(
            "layout_changed",
            source,
            f"{number:,} {'page' if number == 1 else 'pages'} of {source} came in a layout that its parser does not "
            "know. Their old rows stay.",
            "Look at one with cptflow parse, mend the parser and raise its version: the next run reads them again.",
        )
        for source, number in sorted(standing.items())
    )
    look = seen.of_all("layout_changed", found)
    hidden = {name for name in look.well if f"suspect:{name.partition(':')[2]}" in troubled}
    return replace(look, well=look.well - hidden)


# What time brings


def _stale(seen: Seen) -> Look:
    """Sources that the home has readable pages of, the latest of them too old."""
    rows = _freshness(seen.home, ["source", "last_confirmed_at"])
    if rows is None:
        return Look()
    latest = rows.filter(pc.is_valid(rows["source"])).group_by(["source"]).aggregate([("last_confirmed_at", "max")])

    def each() -> Iterator[Condition]:
        for source, at in sorted(zip(*(column.to_pylist() for column in latest.columns), strict=True)):
            of_source = seen.settings.sources.get(source)
            days = (of_source and of_source.refresh_days) or seen.settings.operators.refresh_days
            if at is not None and seen.now - at > dt.timedelta(days=days):
                what = f"No readable page of {source} was fetched since {at:%Y-%m-%d}: longer than {days:g} days ago."
                advice = f"See whether its crawl, or what brings its pages, still runs: cptflow crawl {source}."
                yield seen.condition("stale", source, what, advice)

    return seen.of_all("stale", each())


def _schedule(seen: Seen, newest_run: str | None) -> Look:
    """By the runs of this machine, and of all that share the outbox."""
    hours = seen.settings.operators.run_every_hours
    names = [newest_run or "", *(file.stem for file in (seen.home / "runs").glob("*.json"))]
    last = max(filter(None, map(_begun_at, names)), default=None)
    if hours is not None and last is None:
        return Look()
    late = hours is not None and last is not None and seen.now - last > dt.timedelta(hours=hours)
    what = f"No run began since {last:%Y-%m-%d %H:%M} UTC: longer than {hours:g} hours ago." if late else ""
    advice = "See whether the schedule still runs (cptflow serve, cron or the systemd timer), and run."
    return seen.of_all("schedule", [seen.condition("schedule", None, what, advice)] if late else [])


def _killed(seen: Seen) -> Look:
    """A holder that left its name and holds the home no more: it had no time to take it back.

    Of a home at an address nobody on this machine can tell; there a lost lease shows to the next writer.
    """
    if isinstance(seen.settings.home, Address):
        return Look()
    holder = read_holder(seen.home)
    if holder is not None and (is_held(seen.home) or read_holder(seen.home) != holder):
        return Look()  # a run is under way, or has just ended
    if holder is None or report_file(seen.home, str(holder["run_id"])).exists():
        return seen.of_all("run_killed", [])
    what = f"Run {holder['run_id']} on {holder['host']} was killed before it ended. Nothing needs repair."
    advice = "See what ended it (memory, a restart, a person), and run again: it goes on from there."
    return seen.of_all("run_killed", [seen.condition("run_killed", None, what, advice)])


def _undelivered(seen: Seen, dead: Sequence[str]) -> Look:
    each = (
        seen.condition(
            "delivery_failed",
            channel,
            f"{number:,} {'message' if number == 1 else 'messages'} could not be delivered to {channel}, and "
            f"{'is' if number == 1 else 'are'} not tried again.",
            "cptflow alerts list tells why. Mend the channel, and then: cptflow alerts retry.",
        )
        for channel, number in sorted(Counter(dead).items())
    )
    return seen.of_all("delivery_failed", each)


# How it is read


def _freshness(home: Path, columns: list[str]) -> pa.Table | None:
    try:
        return pq.read_table(home / "warehouse" / "freshness.parquet", columns=columns, partitioning=None)
    except FileNotFoundError:
        return None


def _by_value(values: pa.ChunkedArray) -> dict[str, int]:
    return {row["values"]: row["counts"] for row in pc.value_counts(values.drop_null()).to_pylist()}


def _begun_at(run_id: str) -> dt.datetime | None:
    told = _RUN_ID.match(run_id)
    if told is None:
        return None
    form = "%Y%m%dT%H%M%S%f" if len(told[1]) > len("20260105T060000") else "%Y%m%dT%H%M%S"
    return dt.datetime.strptime(told[1], form).replace(tzinfo=dt.UTC)


def _first_line(message: str) -> str:
    """Without secrets of addresses, and cut."""
    line = (message.splitlines() or [""])[0]
    for address in re.findall(r"\S+://\S+", line):  # Ex: s3://key:secret@bucket/home
        line = line.replace(address, without_secrets(address, address))
    return line if len(line) <= _LINE else f"{line[: _LINE - 1]}…"


def _figure(number: float) -> str:
    return f"{number:,.0f}" if number == int(number) else f"{number:.3g}"
