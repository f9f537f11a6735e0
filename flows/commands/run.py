"""`cptflow run` and `cptflow parse`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.commands.options import Home, Json

if TYPE_CHECKING:
    from flows.alerts.deliver import Delivered
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
    from dataclasses import asdict

    from flows import settings, terminal, words
    from flows.alerts import summary
    from flows.report import as_json
    from raw.inputs import check_input

    chosen = settings.load(home=home, engine=engine, workers=workers)
    for name in inputs or []:  # all of them before the first run
        check_input(name)
    reports: list[Report] = []
    documents: list[dict[str, Any]] = []
    for group in [[name] for name in inputs] if each and inputs else [inputs or []]:
        report, delivered = _one_run(group, chosen, accept or [])
        reports.append(report)
        documents.append(as_json(report) | {"delivered": delivered and asdict(delivered)})
        if not json:
            terminal.show([*words.summary(report), *summary.blocks(report, delivered)])
        if report.exit_status:
            break
    if json:
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


def _one_run(inputs: list[str], settings: Settings, accept: list[str]) -> tuple[Report, Delivered | None]:
    """A run, and the delivery of alerts after it has let go of the home."""
    from flows import engine, pipeline
    from flows.progress import shown

    try:
        with shown() as progress:
            report = pipeline.run(inputs, settings, engine.make(settings.engine, settings.workers), progress, accept)
    except Exception as error:
        if getattr(error, "exit_status", 1) not in (2, 4):  # nothing was begun, or another run has the home
            _deliver(settings)
        raise
    return report, _deliver(settings)


def _deliver(settings: Settings) -> Delivered | None:
    """Whatever goes wrong here is told, and changes nothing of how the run ended."""
    from flows.alerts.deliver import deliver
    from flows.terminal import tell

    try:
        return deliver(settings)
    except Exception as error:
        told = str(error) or type(error).__name__
        tell(f"WARNING: alerts could not be delivered; they are kept for the next time. {told}", style="bold yellow")
        return None


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
