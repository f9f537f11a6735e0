"""`cptflow snapshots verify`, `expire` and `pin`: whether snapshots are whole, which stay, and which go."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.commands.options import Home, Json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flows.settings import Settings
    from flows.terminal import Block, Grid
    from warehouse.expire import Plan


def verify(
    context: typer.Context,
    snapshot_ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID ...]", help="All that are kept by default.", show_default=False)
    ] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Every file of the snapshots against its manifest. Ends with 1 where anything is wrong, and names it.

    Without ids, what is missing of history is told too.
    """
    from flows import terminal
    from flows.commands.current import current_snapshot
    from warehouse.snapshots import damaged_history, stored_ids, verify

    home_before, json_before = context.obj  # options may stand before `verify` too
    place = current_snapshot(home or home_before, afresh=True).home
    digests: dict[tuple[int, int], str] = {}
    ids = snapshot_ids or stored_ids(place)
    problems = {name: verify(place, name, digests) for name in ids}
    if not snapshot_ids:
        problems |= {name: [problem] for name, problem in damaged_history(place).items() if not problems.get(name)}
    wrong = {name: found for name, found in problems.items() if found}
    if json or json_before:
        terminal.document({"clean": not wrong, "snapshots": problems})
    else:
        terminal.show(_verdict(place, len(problems), wrong))
    raise typer.Exit(1 if wrong else 0)


def expire(
    context: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without this it is only told.")] = False,
    home: Home = None,
    json: Json = False,
) -> None:
    """Let old snapshots go, by the settings' [keep]. Without --yes, it is told what would go, and nothing is done.

    The current snapshot stays, and so do pinned ones. What changed stays readable: manifests are kept.
    """
    from flows import settings, terminal
    from flows.commands.current import current_snapshot
    from flows.home import writing
    from warehouse.expire import bytes_freed, remove

    home_before, json_before = context.obj
    chosen = settings.load(home=home or home_before)
    place = current_snapshot(home or home_before).home
    if yes:
        kept = "Each snapshot is whole, or gone with its manifest kept"
        with _disk_told("Expiring", place, kept), writing(chosen.home, "expire") as workplace:
            _plan_alerts(workplace.folder, chosen)
            planned = _planned(workplace.folder, chosen)
            freed = bytes_freed(workplace.folder, planned)
            remove(workplace.folder, planned)
    else:
        planned = _planned(place, chosen)
        freed = bytes_freed(place, planned)
    if json or json_before:
        terminal.document(_as_json(planned, freed, done=yes))
    else:
        terminal.show(_in_words(f"{chosen.home}", planned, freed, done=yes))


def pin(
    context: typer.Context,
    snapshot_id: Annotated[str, typer.Argument(metavar="ID", show_default=False)],
    remove: Annotated[bool, typer.Option("--remove", help="Let it expire again.")] = False,
    home: Home = None,
    json: Json = False,
) -> None:
    """Keep a snapshot whatever its age, until `--remove`."""
    from flows import settings, terminal
    from flows.commands.current import current_snapshot, named_snapshot
    from flows.errors import UsageError
    from flows.home import folder_of, writing
    from warehouse.expire import read_pins, write_pins

    home_before, json_before = context.obj
    chosen = settings.load(home=home or home_before)
    if remove:
        current_snapshot(home or home_before)
    else:
        named_snapshot(home or home_before, snapshot_id)
    folder, kept = folder_of(chosen.home), "The pins are as they were"
    with _disk_told("Pinning", folder, kept), writing(chosen.home, "pin") as place:
        pins = {*read_pins(place.folder)}
        if remove and snapshot_id not in pins:
            raise UsageError(f"Snapshot {snapshot_id!a} is not pinned; pinned are {', '.join(sorted(pins)) or 'none'}.")
        pins = pins - {snapshot_id} if remove else pins | {snapshot_id}
        write_pins(place.folder, pins)
    if json or json_before:
        terminal.document({"pinned": sorted(pins)})
    else:
        terminal.say(f"Pinned in {chosen.home}: {', '.join(sorted(pins)) or 'none'}")


@contextmanager
def _disk_told(doing: str, home: Path, kept: str) -> Iterator[None]:
    """Raises DiskFailed for what the disk refuses."""
    from flows.errors import DiskFailed

    try:
        yield
    except OSError as error:
        raise DiskFailed(doing, home, error, kept) from error


def _plan_alerts(place: Path, chosen: Settings) -> None:
    """What alerts have not told yet may stand in the snapshots that go. Raises OutboxError: then nothing goes."""
    import datetime as dt

    from flows.alerts.outbox import open_outbox
    from flows.alerts.plan import plan

    with open_outbox(place):
        pass
    plan(place, chosen, dt.datetime.now(dt.UTC))


def _planned(place: Path, chosen: Settings) -> Plan:
    import datetime as dt

    import parsers
    from warehouse.expire import Keep, parsed_folders, plan, read_pins, survey

    rules = chosen.keep
    keep = Keep(rules.count, dt.timedelta(days=rules.age_days), dt.timedelta(hours=rules.grace_hours))
    stored, now = survey(place), dt.datetime.now(dt.UTC)
    return plan(stored, read_pins(place), keep, now, parsed_folders(place), parsers.live())


def _as_json(planned: Plan, freed: int, *, done: bool) -> dict[str, Any]:
    return {
        "done": done,
        "goes": list(planned.goes),
        "stays": {name: list(why) for name, why in planned.stays.items()},
        "parsed": list(planned.parsed),
        "bytes_freed": freed,
    }


def _in_words(place: str, planned: Plan, freed: int, *, done: bool) -> list[Block]:
    from flows.terminal import Grid, Line

    gone = [*planned.goes, *(f"parsed/{name}" for name in planned.parsed)]
    if not gone:
        return [Line(f"Nothing to let go in {place}."), _staying(planned)]
    title = f"Gone from {place}" if done else f"Would go from {place}"
    end = f"{freed:,} bytes freed." if done else f"{freed:,} bytes to be freed. Nothing was done yet: add --yes."
    return [Grid(title, ("",), [(name,) for name in gone]), _staying(planned), Line(end)]


def _staying(planned: Plan) -> Grid:
    from flows.terminal import Grid

    rows = [(name, "; ".join(why)) for name, why in planned.stays.items()]
    return Grid("Stays", ("snapshot", "because"), rows)


def _verdict(place: Path, count: int, wrong: dict[str, list[str]]) -> list[Block]:
    from flows.terminal import Grid, Line

    if not wrong:
        return [Line(f"{count} snapshots in {place}: every file is as it was written.")]
    rows = [(name, problem) for name, found in wrong.items() for problem in found]
    return [
        Grid(f"{len(wrong)} of {count} snapshots in {place} are damaged", ("snapshot", "problem"), rows),
        Line(
            f"Take the folders of these from a backup: {place}/warehouse/snapshots/ID (of one that has expired: "
            f"{place}/warehouse/expired/ID.json)"
        ),
    ]
