"""`cptflow raw stats`, `verify` and `export`: what a home holds, whether it is whole, and a way out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.commands.options import Home, Json

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from flows.progress import Progress
    from flows.terminal import Block
    from raw.export import Exported
    from raw.stats import Count, Stats
    from raw.verify import Verified

app = typer.Typer(help="What a home holds: count it, verify it, write it out again.", no_args_is_help=True)

_RECORDS_BETWEEN_WORDS = 50


@app.command()
def stats(home: Home = None, json: Json = False) -> None:
    """What is held, by source and day: captures, pages, bytes, and how much of it came again unchanged."""
    from flows import terminal
    from raw.stats import stats

    place = _held(home)
    found = stats(place)
    if json:
        terminal.document(_as_json(found))
    else:
        terminal.show(_in_words(place, found))


@app.command()
def verify(home: Home = None, json: Json = False) -> None:
    """Read every record against its digest and the index, every file to its end. Ends with 1 where anything is wrong.

    Nothing is changed; a crawl or a run may go on meanwhile.
    """
    from flows import progress, terminal
    from raw.verify import verify

    place = _held(home)
    with progress.shown() as show:
        report = verify(place, _now_and_then(show, "verifying"))
    if json:
        terminal.document(
            {
                "clean": not report.faults,
                "files": report.files,
                "records": report.records,
                "captures": report.captures,
                "faults": [fault._asdict() for fault in report.faults],
                "faults_by_kind": dict(report.kinds),
                "waiting": report.waiting,
                "leftovers": report.leftovers,
            }
        )
    else:
        terminal.show(_verdict(place, report))
    raise typer.Exit(1 if report.faults else 0)


@app.command()
def export(
    target: Annotated[
        Path,
        typer.Argument(metavar="TARGET", help="A WARC file that ends in .warc.gz, or a folder.", show_default=False),
    ],
    source: Annotated[str | None, typer.Option(help="Only captures of this source.", show_default=False)] = None,
    url: Annotated[str | None, typer.Option(help="Only addresses that begin with this.", show_default=False)] = None,
    since: Annotated[
        str | None,
        typer.Option(help="Only what was fetched on this day (YYYY-MM-DD, UTC) or later.", show_default=False),
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="Only what was fetched on this day or earlier.", show_default=False)
    ] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Write captures out again, to a new WARC file or folder, either of which `cptflow run` takes.

    Ends with 1 where captures had to be left out because their record is damaged.
    """
    from datetime import timedelta

    from flows import progress, terminal
    from raw.export import Chosen, export

    place = _held(home)
    last = _day("--until", until)
    before = last + timedelta(days=1) if last else None
    chosen = Chosen(source=source, since=_day("--since", since), before=before, url=url)
    with progress.shown() as show:
        result = export(place, target, chosen, _now_and_then(show, "exporting"))
    if json:
        written = {name: getattr(result, name) for name in ("captures", "bodies", "bytes", "companions")}
        problems = [problem._asdict() for problem in result.problems]
        terminal.document({"target": target, **written, "problems": problems})
    else:
        terminal.show(_written(target, result))
    raise typer.Exit(1 if result.problems else 0)


def _held(home: str | None) -> Path:
    """The home's folder. Raises UsageError where it holds no pages."""
    from flows import settings
    from flows.errors import UsageError
    from flows.home import reading

    chosen = settings.load(home=home).home
    folder = reading(chosen, raw=True)
    if not (folder / "raw").is_dir():
        raise UsageError(f"There are no pages in {chosen} yet. Land some: cptflow run FOLDER --home {chosen}")
    return folder


def _day(option: str, value: str | None) -> datetime | None:
    """The day's beginning, UTC. Raises UsageError."""
    from datetime import UTC, datetime

    from flows.errors import UsageError

    if value is None:
        return None
    try:
        return datetime.strptime(value, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise UsageError(f"{option} must be a day such as 2026-01-31, and is {value!r}.") from None


def _now_and_then(show: Progress, step: str) -> Callable[[int, int], None]:
    """Progress for each record costs more than the record."""

    def tell(done: int, total: int) -> None:
        if done % _RECORDS_BETWEEN_WORDS == 0 or done == total:
            show(step, done, total)

    return tell


def _as_json(found: Stats) -> dict[str, Any]:
    return {
        "total": found.total._asdict(),
        "by_source": [count._asdict() for count in found.by_source],
        "by_day": [count._asdict() for count in found.by_day],
        "by_status": {"unknown" if status is None else status: n for status, n in found.by_status.items()},
        "runs": found.runs,
        "warc_files": found.warc_files,
        "first_day": found.first_day,
        "last_day": found.last_day,
    }


def _in_words(home: Path, found: Stats) -> list[Block]:
    from flows.terminal import Grid, Line

    if not found.total.captures:
        return [Line(f"{home} holds no captures.")]
    total = found.total
    counts = ("captures", "pages", "new bytes", "revisits", "size of pages", "on disk")
    statuses = [("unknown" if status is None else status, n) for status, n in found.by_status.items()]
    return [
        Line(
            f"{home} holds {_number(total.captures, 'capture')} of {_number(total.pages, 'page')}, fetched from "
            f"{found.first_day} to {found.last_day}: {_number(found.runs, 'run')}, "
            f"{_number(found.warc_files, 'WARC file')}",
            "bold",
        ),
        Line(),
        Grid("By source", ("source", *counts), [(c.source or "all", *_numbers(c)) for c in (*found.by_source, total)]),
        Line(),
        Grid(
            "By source and day (UTC)",
            ("source", "day", *counts),
            [(c.source, c.day, *_numbers(c)) for c in found.by_day],
        ),
        Line(),
        Grid("By HTTP status", ("status", "captures"), statuses),
    ]


def _numbers(count: Count) -> tuple[object, ...]:
    sizes = (_size(count.payload_bytes), _size(count.disk_bytes))
    return (count.captures, count.pages, count.bodies, count.revisits, *sizes)


def _number(count: int, name: str) -> str:
    """Ex: 1 run; 2,000 runs."""
    return f"{count:,} {name}{'' if count == 1 else 's'}"


def _size(size: float) -> str:
    """Ex: 45.2 KiB."""
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:,.1f} {unit}"
        size /= 1024
    return f"{size:,.1f} GiB"


def _verdict(home: Path, report: Verified) -> list[Block]:
    from flows.terminal import Line

    blocks: list[Block] = []
    for fault in report.faults:
        where = fault.file if fault.offset is None else f"{fault.file}, offset {fault.offset}"
        blocks += [Line(f"WRONG {where}: {fault.found}", "red"), Line(f"      what to do: {fault.mend}")]
    told = report.kinds.total()
    if told > len(report.faults):
        blocks.append(Line(f"... and {told - len(report.faults):,} more"))
    read = f"{home}: {_number(report.files, 'WARC file')} with {_number(report.records, 'record')} read"
    if told:
        kinds = ", ".join(f"{count:,} {kind.replace('_', ' ')}" for kind, count in report.kinds.items())
        blocks.append(Line(f"{read}; {report.captures:,} are as they were written. Wrong: {kinds}", "bold red"))
    else:
        blocks.append(Line(f"{read}; every one is as it was written, and the index names them all", "bold green"))
    for files, what in (
        (report.waiting, "waiting for the next crawl, which goes on with it"),
        (report.leftovers, "unfinished file of a run under way or killed; the next run sweeps it"),
    ):
        blocks += [Line(f"{file}: {what}") for file in files]
    return blocks


def _written(target: Path, result: Exported) -> list[Block]:
    from flows.terminal import Line

    blocks: list[Block] = []
    for problem in result.problems:
        where = problem.file if problem.where is None else f"{problem.file}, offset {problem.where}"
        blocks.append(Line(f"LEFT OUT {problem.message} ({where})", "red"))
    again = result.captures - result.bodies
    blocks.append(
        Line(
            f"{target} holds {result.captures:,} captures: {result.bodies:,} with their bytes ({_size(result.bytes)}), "
            f"{again:,} of the same bytes again",
            "bold",
        )
    )
    if result.companions:
        blocks.append(Line(f"{result.companions:,} of them were not asked for: a 304 confirms their bytes"))
    if result.problems:
        blocks.append(Line(f"{len(result.problems):,} were left out. `cptflow raw verify` tells what to do", "red"))
    blocks.append(Line(f"To land them elsewhere: cptflow run {target} --home ANOTHER"))
    return blocks
