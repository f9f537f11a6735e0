"""`cptflow show`: everything known of a code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.commands.options import Home, Json

if TYPE_CHECKING:
    from flows.commands.current import Place
    from flows.terminal import Block


def show(
    code: Annotated[str, typer.Argument(metavar="CODE", help="A CPT or HCPCS code.", show_default=False)],
    home: Home = None,
    json: Json = False,
) -> None:
    """Everything known of a code now, from all tables, and how it changed. Ends with 2 where the code is not known."""
    from flows import terminal
    from flows.commands.current import current_snapshot

    place = current_snapshot(home)
    known = _known(place, code.upper())
    if json:
        terminal.document({"snapshot_id": place.snapshot_id, "code": code.upper(), **known})
    else:
        terminal.show(_in_words(place, known))


def _known(place: Place, code: str) -> dict[str, list[dict[str, Any]]]:
    """Rows of the code by table, tables without any left out. Raises UsageError where there are none at all."""
    import pyarrow.compute as pc

    from flows.errors import UsageError
    from warehouse import snapshots
    from warehouse.tables import TABLES

    known: dict[str, list[dict[str, Any]]] = {}
    for table in TABLES:
        if "code" in table.names and table.name != "changes":
            rows = snapshots.read_table(place.home, place.snapshot_id, table.name)
            found = rows.filter(pc.equal(rows["code"], code)).to_pylist()
            if found:
                known[table.name] = found
    if not known:
        raise UsageError(
            f"{code} is in no table of the current snapshot ({place.snapshot_id}). No page of it was read, or it is "
            f'spelt otherwise: cptflow query "SELECT code, title FROM codes" --home {place.home}'
        )
    known["changes"] = _changes(place, code)
    return known


def _changes(place: Place, code: str) -> list[dict[str, Any]]:
    """All changes of the code, oldest snapshot first, each with the snapshot that told it."""
    from flows.changes import of_snapshot, select
    from warehouse import snapshots

    ids = [manifest["snapshot_id"] for manifest in snapshots.list_snapshots(place.home)]
    return [{"snapshot_id": i, **change} for i in ids for change in select(of_snapshot(place.home, i), code, None)]


def _in_words(place: Place, known: dict[str, list[dict[str, Any]]]) -> list[Block]:
    from flows.changes import context, in_words
    from flows.terminal import Grid, Line

    blocks: list[Block] = []
    for name, rows in known.items():
        if name == "codes":
            values = [(column, value) for column, value in rows[0].items() if value is not None]
            blocks += [Grid(f"{rows[0]['code']} in {place.snapshot_id}", ("", ""), values), Line()]
        elif name != "changes":
            columns = tuple(c for c in rows[0] if c not in ("code", "document_id") and any(row[c] for row in rows))
            blocks += [Grid(name, columns, [[row[column] for column in columns] for row in rows]), Line()]
    told = in_words(known["changes"], context(place.home, place.snapshot_id), all_rows=True)
    return [*blocks, Line("How it changed:", "bold"), *(told or [Line("  not at all since the first snapshot")])]
