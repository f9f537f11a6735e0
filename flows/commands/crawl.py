"""`cptflow crawl`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.options import Home, Json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flows.terminal import Block
    from raw.crawl.records import CrawlRecord

SHOWN_PROBLEMS = 10
UNFINISHED = 1


def crawl(
    source: Annotated[str, typer.Argument(help="The source, which the settings must name.", show_default=False)],
    home: Home = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="End an unfinished crawl as it stands, and begin another.")
    ] = False,
    json: Json = False,
) -> None:
    """Fetch a source's pages politely into raw, or go on with its unfinished crawl. `cptflow run` reads them then.

    Ends with 0 when it went through its list, complete or not; with 1 when it stopped before the end: the same
    command goes on from there. Nothing is fetched unless the settings name the source for crawling.
    """
    from flows import settings, terminal
    from flows.crawling import definition_of
    from flows.home import writing
    from flows.progress import shown_for_crawl
    from raw.crawl.crawl import crawl as do_crawl

    chosen = settings.load(home=home)
    definition = definition_of(source, chosen)
    if isinstance(chosen.home, Path):
        chosen.home.mkdir(parents=True, exist_ok=True)
    with writing(chosen.home, f"crawl of {source}", alone=False) as place, shown_for_crawl(source) as progress:
        record = do_crawl(place.folder, definition, progress, restart=restart)
    if json:
        terminal.document(_as_json(record))
    else:
        terminal.show(_in_words(record, chosen.home))
    raise typer.Exit(0 if record.finished_at else UNFINISHED)


def _in_words(record: CrawlRecord, home: object) -> Iterator[Block]:
    from flows.terminal import Grid, Line

    if record.finished_at is None:
        yield Line(f"Crawl {record.crawl_id} of {record.source} is not finished; what came is kept.", "bold yellow")
    elif record.complete:
        yield Line(f"Crawl {record.crawl_id} of {record.source}: complete.", "bold green")
    else:
        yield Line(
            f"Crawl {record.crawl_id} of {record.source}: finished, but not every address was answered. What came "
            "counts; what is missing from it says nothing of a code.",
            "bold yellow",
        )
    yield Line(
        f"Asked for {record.asked} addresses: {record.captured} captures, {record.unchanged} of them unchanged, "
        f"{record.not_found} not found (404 or 410)."
    )
    if record.errors:
        rows = [(kind, count) for kind, count in sorted(record.errors.items(), key=lambda error: (-error[1], error[0]))]
        yield Grid("Not answered well", ("kind", "addresses"), rows)
        told = [(problem.kind, problem.url, problem.message) for problem in record.problems[:SHOWN_PROBLEMS]]
        yield Grid("For example", ("kind", "address", "what happened"), told)
    yield Line("Next:")
    command = f"crawl {record.source}" if record.finished_at is None else "run"
    yield Line(f"  cptflow {command} --home {home}")


def _as_json(record: CrawlRecord) -> dict[str, object]:
    from dataclasses import asdict

    return asdict(record) | {"problems": [problem._asdict() for problem in record.problems]}
