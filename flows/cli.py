"""The command line: `cptflow`. The commands are in ``flows/commands``; here is what errors end in."""

from __future__ import annotations

import sys
import tempfile
import traceback
from pathlib import Path
from typing import Annotated

import typer

from flows.commands import alerts, crawl, doctor, history, keeping, new_source, query, raw, run, serve, show, snapshots
from flows.terminal import document, tell

INTERRUPTED = 130

app = typer.Typer(
    name="cptflow",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Scraped CPT pages in; validated, versioned Parquet tables and a list of what changed out.",
    epilog="Exit status: 0 published or nothing new, 1 unexpected, 2 bad usage or settings, "
    "3 expectations stopped publication, 4 another run holds the home.",
)
app.command()(run.run)
app.command()(run.land)
app.command()(run.parse)
app.command()(crawl.crawl)
app.command()(snapshots.changes)
app.command()(show.show)
app.command()(query.query)
app.command()(serve.serve)
app.command("new-source")(new_source.new_source)
app.command()(doctor.doctor)
snapshots.app.command()(keeping.verify)
snapshots.app.command()(keeping.expire)
snapshots.app.command()(keeping.pin)
snapshots.app.command()(history.restore)
snapshots.app.command()(history.diff)
app.add_typer(snapshots.app, name="snapshots")
app.add_typer(raw.app, name="raw")
app.add_typer(alerts.app, name="alerts")


def main() -> None:
    """The console script: run a command, and turn what it raises into words for people and an exit status."""
    try:
        app()
    except SystemExit as end:
        if end.code == INTERRUPTED:
            tell("Interrupted. Nothing needs repair: the same command goes on from here.")
        wrong_usage = getattr(end.__context__, "format_message", None)
        if wrong_usage and "--json" in sys.argv:
            _document("UsageError", wrong_usage(), end.code)
        raise
    except Exception as error:
        sys.exit(_told(error))


@app.callback()
def _every_command(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of unexpected errors.")] = False,
) -> None:
    """Options of every command."""


def _told(error: Exception) -> int:
    """Tell an error; returns the exit status. What follows `--json` is JSON, also then."""
    if isinstance(error, OSError) and error.filename:
        error = _of_the_disk(error)
    status, message = _status(error), str(error)
    if status is None:
        status, message = 1, f"Unexpected {type(error).__name__}: {error}. {_traceback(error)}"
    for line in message.splitlines():
        tell(line, style="red")
    if "--json" in sys.argv:
        _document(type(error).__name__, message, status)
    return status


def _document(kind: str, message: str, status: object) -> None:
    document({"error": {"type": kind, "message": message, "exit_status": status}})


def _of_the_disk(error: OSError) -> Exception:
    """What the disk refuses to a command other than a run, which names its step itself."""
    from flows.errors import DiskFailed

    return DiskFailed("cptflow", Path(error.filename), error, "Nothing was published")


def _status(error: Exception) -> int | None:
    """The exit status of an error that says all in its message; None for one that nobody expected."""
    from flows.errors import CptflowError
    from parsers import SourceError
    from raw.errors import NothingToExport, RawError, TargetUnusable, UnusableInput
    from warehouse.history import BeforeTheFirst, Expired
    from warehouse.snapshots import SnapshotError, UnknownSnapshot

    if isinstance(error, CptflowError):
        return error.exit_status
    asked_wrongly = UnusableInput | TargetUnusable | NothingToExport | UnknownSnapshot | BeforeTheFirst | Expired
    if isinstance(error, asked_wrongly | SourceError):
        return 2
    return 1 if isinstance(error, RawError | SnapshotError) else None


def _traceback(error: Exception) -> str:
    """Where the traceback is."""
    text = "".join(traceback.format_exception(error))
    if "--debug" in sys.argv:
        sys.stderr.write(text)
        return "Its traceback stands above."
    with tempfile.NamedTemporaryFile("w", prefix="cptflow-", suffix=".txt", delete=False) as file:
        file.write(text)
    return f"Its traceback is in {file.name}; `cptflow --debug ...` shows it."
