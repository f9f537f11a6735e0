"""The pipeline as Prefect flows: crawl, then the same ``pipeline.run`` as on the command line, then the alerts.

Nothing else imports this module at its top, for Prefect takes two seconds to import. Deployments name the flows
``flows.schedule.scheduled_run`` and ``flows.schedule.deliver_alerts``.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, TypeVar

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import Field

from flows import crawl_process, pipeline, prefect_events, prefect_late, prefect_shown, settings
from flows import engine as engines
from flows.alerts.deliver import Delivered, deliver
from flows.errors import HomeHeld
from flows.home import DELIVERY, Address
from flows.prefect_tasks import AGAIN_AFTER, BATCH_SECONDS, PrefectEngine, as_task, withheld
from flows.progress import lines
from flows.report import Report
from flows.settings import Settings

FLOW = "cptflow"
DELIVER_SECONDS = 1800
HELD_AGAIN_AFTER = (30, 60, 120)
"""Seconds. A run that gave up where the home is held for moments would leave its work to the next one: a week later."""
BRIEF = ("alerts", "snapshots")
"""Commands that hold a home, for minutes at most. A run that holds it does the work itself; a crawl takes hours."""

T = TypeVar("T")
Inputs = list[str]
EngineName = Literal["inline", "processes"]
Workers = Annotated[int, Field(ge=1, le=256)]


@flow(name=FLOW, persist_result=False, log_prints=False)
def scheduled_run(
    inputs: Inputs | None = None,
    crawl: list[str] | None = None,
    home: str | None = None,
    engine: EngineName | None = None,
    workers: Workers | None = None,
) -> State[Any]:
    """Crawl, land, parse, validate, compare, publish, and tell the people who asked.

    What is not given comes from the settings.

    Args:
        inputs: What to land: folders (searched through), pages, WARC, JSONL or Parquet files, or addresses
            (s3://...). Without any, the run works on what the home holds, and on what the crawls bring.
        crawl: Sources to crawl first, by name, each as the settings say ([sources.NAME.crawl]). A crawl that fails
            keeps nothing else from being done.
        home: The home: a folder of the worker's machine, or an address (s3://bucket/prefix).
        engine: inline (one process) or processes (a pool of them).
        workers: Processes of the pool, 1 to 256.
    """
    settings.load(home=home, engine=engine, workers=workers)  # a mistake in them is told before anything is done
    if other := prefect_late.collapse():
        return Cancelled(message=f"Missed, with others: flow run {other.name!r} does its work.")
    problems: list[str] = []
    if crawl:
        crawled = crawl_sources(crawl, home, return_state=True)
        if not crawled.is_completed():
            problems.append(crawled.message or "A crawl failed.")
    ingested = ingest_pages(inputs, home, engine, workers, return_state=True)
    delivered = deliver_alerts(home, return_state=True)
    if not delivered.is_completed():
        problems.append(f"Alerts: {delivered.message}")
    if not ingested.is_completed():
        made = Cancelled if ingested.is_cancelled() else Failed
        return made(message=" ".join([ingested.message or "", *problems]))
    name = "With problems" if problems else "Completed"
    return Completed(name=name, message=" ".join([ingested.message or "", *problems]))


@flow(name="crawl", persist_result=False)
def crawl_sources(sources: list[str], home: str | None = None) -> State[Any]:
    """Fetch the pages of sources politely into raw, each in a process of its own, as `cptflow crawl` does.

    Args:
        sources: Names of the sources, which the settings must name for crawling.
        home: The home; without it the one of the settings.
    """
    chosen, log = settings.load(home=home), get_run_logger()
    # A home at an address has one writer at a time, and a crawl is one.
    at_once = 1 if isinstance(chosen.home, Address) else max(len(sources), 1)
    if not isinstance(chosen.home, Address):
        chosen.home.mkdir(parents=True, exist_ok=True)
    went: list[str] = []
    failed: dict[str, str] = {}
    with ThreadPoolTaskRunner[str](max_workers=at_once) as runner:
        futures = {}
        for source in dict.fromkeys(sources):
            # Its time limit is the crawl's own, max_seconds of the settings.
            work = lambda source=source: crawl_process.crawl(source, chosen, log.info)
            crawl = as_task(work, "crawl", source, "crawl", again_after=AGAIN_AFTER)
            futures[source] = runner.submit(crawl, {})
        for source, future in futures.items():
            result: object = future.result(raise_on_failure=False)
            if isinstance(result, str):
                went.append(result)
            else:
                failed[source] = str(result)
    if failed:
        return Failed(message=" ".join([*failed.values(), *went]))
    return Completed(message=". ".join(went))


@flow(name="ingest", persist_result=False)
def ingest_pages(
    inputs: Inputs | None = None,
    home: str | None = None,
    engine: EngineName | None = None,
    workers: Workers | None = None,
) -> State[Any]:
    """Land the inputs, then every step up to publication: what `cptflow run` does, step by step and batch by batch.

    Args:
        inputs: What to land; without any, what the home holds.
        home: The home; without it the one of the settings.
        engine: inline (one process) or processes (a pool of them).
        workers: Processes of the pool, 1 to 256.
    """
    chosen = settings.load(home=home, engine=engine, workers=workers)
    pauses = iter(HELD_AGAIN_AFTER)
    while True:
        try:
            report = _run(inputs or [], chosen)
            break
        except HomeHeld as error:
            pause = next(pauses, None) if is_brief(error.holder) else None
            if pause is None:
                return Cancelled(message=str(error))
            get_run_logger().info(f"Tried again in {pause} s: {error}")
            time.sleep(pause)
    prefect_shown.show(report, chosen, get_run_logger().warning)
    told = prefect_shown.headline(report, chosen)
    return Failed(message=told) if report.exit_status else Completed(message=told)


@flow(name="deliver", persist_result=False)
def deliver_alerts(home: str | None = None) -> State[Any]:
    """Send the alerts that are due, and tell Prefect what was published, as events.

    Digests, quiet hours, further attempts after a failure, and the alert that the schedule has not run, all wait for
    this: as a deployment of its own it runs every quarter of an hour.

    Args:
        home: The home; without it the one of the settings.
    """
    chosen, begun = settings.load(home=home), dt.datetime.now(dt.UTC)
    if other := prefect_late.collapse():
        return Cancelled(message=f"Missed, with others: flow run {other.name!r} does its work.")
    # Sending is not tried again here: each delivery has its own pauses, and the next of these runs goes on.
    sending = as_task(_hidden(chosen, "alerts", lambda: deliver(chosen)), "alerts", "alerts", seconds=DELIVER_SECONDS)
    telling = as_task(
        _hidden(chosen, "events", lambda: prefect_events.tell(chosen)),
        "events",
        "events",
        seconds=DELIVER_SECONDS,
        again_after=AGAIN_AFTER,
    )
    sent, told = sending(return_state=True), telling(return_state=True)
    if failed := [f"{state.message}" for state in (sent, told) if not state.is_completed()]:
        return Failed(message=" ".join(failed))
    prefect_shown.show_alerts(chosen, begun, "this delivery", get_run_logger().warning)
    return Completed(message=f"{_sent(sent.result())}; {told.result()} events told to Prefect.")


def is_brief(holder: Mapping[str, object] | None) -> bool:
    """Whether who holds a home, as HomeHeld tells it, is a delivery or a command of moments."""
    if holder is None:
        return False
    words = str(holder["command"]).split()  # Ex: cptflow snapshots restore 20260105T060000Z-0001
    return str(holder["run_id"]).startswith(DELIVERY) or (len(words) > 1 and words[1] in BRIEF)


def _run(inputs: Inputs, chosen: Settings) -> Report:
    """One run of the pipeline; begun anew, as a whole, where its error says that this can help."""
    engine = PrefectEngine(
        engines.make(chosen.engine, chosen.workers, BATCH_SECONDS), withhold=chosen.rights == "codes-only"
    )
    log = get_run_logger()
    progress = prefect_shown.pages_done(lines(log.info), log.warning)

    def once() -> Report:
        prefect_events.begin(chosen.home)
        return pipeline.run(inputs, chosen, engine, progress)

    return as_task(_hidden(chosen, "ingest", once), "ingest", "ingest", "run", again_after=AGAIN_AFTER)()


def _hidden(chosen: Settings, name: str, work: Callable[[], T]) -> Callable[[], T]:
    return withheld(name, work) if chosen.rights == "codes-only" else work


def _sent(delivered: Delivered) -> str:
    if delivered.elsewhere:
        return "Another process is delivering"
    failed, sent = len(delivered.failed), len(delivered.attempts) - len(delivered.failed)
    return (
        f"{len(delivered.made)} messages made, {sent} deliveries sent, {failed} failed, {delivered.waiting} waiting, "
        f"{delivered.dead} dead"
    )
