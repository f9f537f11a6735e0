"""`cptflow run` and `cptflow parse`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.options import Home, Json

if TYPE_CHECKING:
    from flows.report import Report
    from flows.settings import Settings
    from parsers.records import ParseResult

INPUTS = typer.Argument(
    metavar="INPUT",
    help="Folders (searched through), pages (.html, .htm, .txt, .md), WARC, JSONL or Parquet files, or their "
    "addresses (s3://...).",
    show_default=False,
)


def run(
    inputs: Annotated[list[str] | None, INPUTS] = None,
    home: Home = None,
    engine: Annotated[
        str | None, typer.Option(help="inline (this process) or processes (a pool).", show_default=False)
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Processes of the pool.", show_default=False)] = None,
    each: Annotated[bool, typer.Option("--each", help="One run for each input, in order.")] = False,
    accept: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RULE",
            help="Let a rule pass that held something back. Ex: mass_change:openpayer",
            show_default=False,
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Land pages, parse what is new, validate, compare, and publish a snapshot if anything changed.

    Ends with 0 when it published or found nothing new, 3 when expectations stopped publication, 4 when another
    run holds the home. Without an INPUT it works on what the home holds already.
    """
    from flows import settings, terminal, words
    from flows.report import as_json
    from raw.inputs import check_input

    chosen = settings.load(home=home, engine=engine, workers=workers)
    for name in inputs or []:  # all of them before the first run
        check_input(name)
    reports: list[Report] = []
    for group in [[name] for name in inputs] if each and inputs else [inputs or []]:
        reports.append(_one_run(group, chosen, accept or []))
        if not json:
            terminal.show(words.summary(reports[-1]))
        if reports[-1].exit_status:
            break
    if json:
        documents = [as_json(report) for report in reports]
        terminal.document({"runs": documents} if each else documents[0])
    raise typer.Exit(reports[-1].exit_status)


def land(
    inputs: Annotated[list[str], INPUTS],
    home: Home = None,
    json: Json = False,
) -> None:
    """Land pages and do no more: every page that is not held yet is kept as it came. `cptflow run` goes on from there.

    Ends with 0 when it landed what it could (the rest is named), 4 when another run holds the home.
    """
    from flows import engine, pipeline, settings, terminal, words
    from flows.progress import shown
    from flows.report import as_json

    with shown() as progress:
        report = pipeline.land_only(inputs, settings.load(home=home), engine.InProcess(), progress)
    if json:
        terminal.document(as_json(report))
    else:
        terminal.show(words.summary(report))


def parse(
    page: Annotated[Path, typer.Argument(help="A page: HTML, or a text extract of one.", show_default=False)],
    url: Annotated[
        str | None, typer.Option(help="The page's address.  [default: file:<name>]", show_default=False)
    ] = None,
    json: Json = False,
) -> None:
    """Read one page and show what comes out: outcome, records, what nobody claimed, warnings. Needs no home."""
    from flows import terminal
    from flows.parse_words import as_document, in_words

    result = _parse_file(page, url or f"file:{page.name}")
    if json:
        terminal.document(as_document(result))
    else:
        terminal.show(in_words(result))


def _one_run(inputs: list[str], settings: Settings, accept: list[str]) -> Report:
    from flows import engine, pipeline
    from flows.progress import shown

    with shown() as progress:
        return pipeline.run(inputs, settings, engine.make(settings.engine, settings.workers), progress, accept)


def _parse_file(page: Path, url: str) -> ParseResult:
    import parsers
    from flows.errors import UsageError
    from parsers.limits import MAX_BYTES

    try:
        with page.open("rb") as file:
            payload = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{page} cannot be read: {error.strerror}.") from None
    if len(payload) > MAX_BYTES:
        return parsers.result_too_large(url, page.stat().st_size)
    return parsers.parse(payload, url)
