"""`cptflow snapshots restore` and `diff`: back to an earlier snapshot, and two of them side by side."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.options import Home, Json

if TYPE_CHECKING:
    from flows.restoring import Restored


def restore(
    context: typer.Context,
    snapshot_id: Annotated[str, typer.Argument(metavar="ID", show_default=False)],
    home: Home = None,
    json: Json = False,
) -> None:
    """Publish an earlier snapshot's tables anew. History stays, and restoring the one before undoes it.

    It holds until a run finds something new: that run goes on from all pages, as if nothing had been restored.
    """
    import datetime as dt

    from flows import settings, terminal
    from flows.commands.current import named_snapshot
    from flows.home import writing
    from flows.pipeline import new_run_id
    from flows.restoring import restore

    home_before, json_before = context.obj  # options may stand before `restore` too
    named_snapshot(home or home_before, snapshot_id)
    chosen = settings.load(home=home or home_before).home
    run_id = new_run_id(dt.datetime.now(dt.UTC))
    with writing(chosen, run_id) as place:
        done = restore(place.folder, snapshot_id, run_id, place.check)
    if json or json_before:
        terminal.document(asdict(done))
    else:
        terminal.say(_told(done, f"{chosen}"))


def diff(
    context: typer.Context,
    before: Annotated[str, typer.Argument(metavar="A", help="From this snapshot ...", show_default=False)],
    after: Annotated[str, typer.Argument(metavar="B", help="... to this one.", show_default=False)],
    home: Home = None,
    json: Json = False,
) -> None:
    """How two snapshots differ: rows by table, columns, causes, and the versions that they were made with."""
    from flows import terminal
    from flows.commands.current import named_snapshot
    from flows.differences import differences, in_words

    home_before, json_before = context.obj
    first, last = (named_snapshot(home or home_before, which) for which in (before, after))
    found = differences(first.home, first.snapshot_id, last.snapshot_id)
    if json or json_before:
        terminal.document(found)
    else:
        terminal.show(in_words(found, first.shown))


def _told(done: Restored, home: str) -> str:
    if done.snapshot_id is None:
        return f"Nothing to do: the current snapshot, {done.replaced}, has the same rows as {done.restored}."
    rows = sum(done.rows.values())
    problem = f"\nWARNING: the quality report could not be written: {done.quality_problem}"
    told = (
        f"Published {done.snapshot_id} with the tables of {done.restored}, in place of {done.replaced}: {rows} "
        f"{'change' if rows == 1 else 'changes'}, of which nobody is alerted. It holds until a run finds something "
        f"new. To undo it: cptflow snapshots restore {done.replaced} --home {home}"
    )
    return told + problem if done.quality_problem else told
