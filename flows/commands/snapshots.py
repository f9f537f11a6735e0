"""`cptflow snapshots` and `cptflow changes`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.commands.options import Home, Json

if TYPE_CHECKING:
    from flows.commands.current import Place
    from flows.terminal import Block

app = typer.Typer(help="List the snapshots of a home, or show one.", invoke_without_command=True)


@app.callback()
def listing(context: typer.Context, home: Home = None, json: Json = False) -> None:
    """List the snapshots of a home, newest first; `snapshots show ID` tells all of one."""
    if context.invoked_subcommand is not None:
        context.obj = (home, json)
        return
    from flows import terminal
    from flows.commands.current import current_snapshot
    from warehouse import snapshots

    current = current_snapshot(home)
    manifests = list(reversed(snapshots.list_snapshots(current.home)))
    if json:
        terminal.document([_brief(manifest, current.snapshot_id) for manifest in manifests])
        return
    shown = ("snapshot_id", "as_of", "codes", "changes", "restored")
    rows = [
        ("*" if brief["current"] else "", *(brief[name] or "" if name == "restored" else brief[name] for name in shown))
        for brief in (_brief(manifest, current.snapshot_id) for manifest in manifests)
    ]
    title = f"Snapshots in {current.shown} (* is current)"
    grid = terminal.Grid(title, ("", "snapshot", "as of", "codes", "changes", "restored from"), rows)
    terminal.show([grid, *_missing(current)])


def _missing(place: Place) -> list[Block]:
    """What the list does not show, since nothing leads to it."""
    from flows.terminal import Line
    from warehouse.snapshots import history, outside_history

    known = history(place.home)
    if known.gap is None or not (outside := outside_history(place.home, known)):
        return []
    told = f"WARNING: {known.gap} is missing or cannot be read, and nothing leads to {', '.join(outside)}."
    return [Line(f"{told} See: cptflow snapshots verify", "yellow")]


@app.command()
def show(
    context: typer.Context,
    snapshot_id: Annotated[str, typer.Argument(metavar="ID", show_default=False)],
    home: Home = None,
    json: Json = False,
) -> None:
    """Everything about one snapshot: its parent, its files with rows and digests, and where its quality report is."""
    from flows import terminal
    from flows.commands.current import named_snapshot
    from warehouse import snapshots

    home_before, json_before = context.obj  # options may stand before `show` too
    place = named_snapshot(home or home_before, snapshot_id)
    manifest: dict[str, Any] = snapshots.read_manifest(place.home, place.snapshot_id)
    page, problem = _quality_page(place)
    if json or json_before:
        terminal.document({**manifest, "quality_page": page})
        return
    files = [(name, file["rows"], file["bytes"], file["sha256"]) for name, file in manifest["files"].items()]
    facts = [(name, value) for name, value in manifest.items() if not isinstance(value, dict | list)]
    facts += [("restored from", manifest["restored"]["snapshot_id"])] if "restored" in manifest else []
    terminal.show(
        [
            terminal.Grid(f"Snapshot {snapshot_id}", ("", ""), facts),
            terminal.Line(f"  in {place.folder}"),
            terminal.Line(problem, "yellow") if page is None else terminal.Line(f"  quality report: {page}"),
            terminal.Grid("Files", ("table", "rows", "bytes", "sha256"), files),
        ]
    )


def _quality_page(place: Place) -> tuple[str | None, str]:
    """The file of the snapshot's quality report, or None and why there is none."""
    from flows.quality import page_of
    from warehouse.snapshots import SnapshotError

    try:
        return str(page_of(place.home, place.snapshot_id)), ""
    except (OSError, SnapshotError) as error:
        return None, f"WARNING: its quality report is missing and could not be made: {error}"


def changes(
    before: Annotated[
        str | None, typer.Argument(metavar="[A]", help="Compare from this snapshot ...", show_default=False)
    ] = None,
    after: Annotated[
        str | None, typer.Argument(metavar="[B]", help="... to this one.  [default: current]", show_default=False)
    ] = None,
    code: Annotated[str | None, typer.Option(help="Only changes of this code.", show_default=False)] = None,
    type: Annotated[
        str | None, typer.Option(help="Only this type, as code_added or descriptor_changed.", show_default=False)
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(help="All snapshots that hold from this day (YYYY-MM-DD) on or later.", show_default=False),
    ] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """What changed: in the last snapshot, since a day, or between two snapshots."""
    from flows import terminal
    from flows.changes import context, expired_in_words, expired_since, in_words, select
    from flows.commands.current import current_snapshot

    place = current_snapshot(home)
    title, rows = _chosen(home, before, after, since)
    rows = select(rows, code, type)
    expired = expired_since(place.home, since) if since is not None else 0
    if json:
        if expired:
            terminal.tell(f"{title} {expired_in_words(expired)}")
        terminal.document(rows)
        return
    told = in_words(rows, context(place.home, place.snapshot_id), all_rows=code is not None)
    nothing = terminal.Line("  nothing in the snapshots that are kept" if expired else "  nothing")
    gone = [terminal.Line(f"  {expired_in_words(expired)}")] if expired else []
    terminal.show([terminal.Line(title, "bold"), *(told or [nothing]), *gone])


def _chosen(home: str | None, before: str | None, after: str | None, since: str | None) -> tuple[str, list[Any]]:
    """A title, and rows of ``changes``."""
    from flows.changes import between, of_snapshot, since_day
    from flows.commands.current import current_snapshot, named_snapshot
    from flows.errors import UsageError

    place = current_snapshot(home)
    if since is not None:
        if before is not None:
            raise UsageError("Give either two snapshots or --since, not both.")
        return f"Changes since {since}:", since_day(place.home, since)
    if before is None:
        return f"Changes in {place.snapshot_id}:", of_snapshot(place.home, place.snapshot_id)
    first = named_snapshot(home, before)
    last = named_snapshot(home, after) if after else place
    title = f"Changes from {first.snapshot_id} to {last.snapshot_id}:"
    return title, between(place.home, first.snapshot_id, last.snapshot_id)


def _brief(manifest: dict[str, Any], current: str) -> dict[str, Any]:
    return {
        "snapshot_id": manifest["snapshot_id"],
        "current": manifest["snapshot_id"] == current,
        "parent": manifest["parent"],
        "as_of": manifest["as_of"],
        "published_at": manifest["published_at"],
        "run_id": manifest["run_id"],
        "codes": manifest["files"]["codes"]["rows"],
        "changes": manifest["files"]["changes"]["rows"],
        "restored": manifest.get("restored", {}).get("snapshot_id"),
    }
