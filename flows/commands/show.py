"""`cptflow show`: everything known of a code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.commands.options import At, Home, Json

if TYPE_CHECKING:
    from flows.commands.current import Place
    from flows.terminal import Block


def show(
    code: Annotated[str, typer.Argument(metavar="CODE", help="A CPT or HCPCS code.", show_default=False)],
    at: At = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Everything known of a code, now or at a date, from all tables, and how it changed until then.

    Ends with 2 where the code is not known.
    """
    from flows import terminal
    from flows.changes import expired_until
    from flows.commands.current import snapshot_at

    place = snapshot_at(home, at)
    known = _known(place, code.upper())
    expired = expired_until(place.home, place.snapshot_id)
    if json:
        head = {"snapshot_id": place.snapshot_id, "code": code.upper(), "expired_snapshots": expired}
        terminal.document({**head, **known})
    else:
        terminal.show([*_heading(place, at), *_in_words(place, known, expired)])


def _heading(place: Place, at: str | None) -> list[Block]:
    from flows.terminal import Line

    if at is None:
        return []
    when = f"at the end of {at} (UTC)" if len(at) <= len("2026-01-31") else f"at {at}"
    return [Line(f"As it was {when}: snapshot {place.snapshot_id}", "bold")]


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
            f"{code} is in no table of snapshot {place.snapshot_id}. No page of it was read by then, or it is "
            f'spelt otherwise: cptflow query "SELECT code, title FROM codes" --home {place.shown}'
        )
    known["changes"] = _changes(place, code)
    return known


def _changes(place: Place, code: str) -> list[dict[str, Any]]:
    """Changes of the code with the snapshots that are kept up to this one, oldest first, each with its snapshot."""
    from flows.changes import of_snapshot, select
    from warehouse import snapshots

    ids = [manifest["snapshot_id"] for manifest in snapshots.list_snapshots(place.home)]
    ids = ids[: ids.index(place.snapshot_id) + 1]
    return [{"snapshot_id": i, **change} for i in ids for change in select(of_snapshot(place.home, i), code, None)]


def _in_words(place: Place, known: dict[str, list[dict[str, Any]]], expired: int) -> list[Block]:
    """``expired``: how many snapshots have expired with their changes."""
    from flows.changes import context, expired_in_words, in_words
    from flows.terminal import Grid, Line

    blocks: list[Block] = []
    for name, rows in known.items():
        if name == "code_versions" and len(rows) == 1:
            continue
        if name == "codes":
            values = [(column, value) for column, value in rows[0].items() if value is not None]
            blocks += [Grid(f"{rows[0]['code']} in {place.snapshot_id}", ("", ""), values), Line()]
        elif name != "changes":
            columns = tuple(c for c in rows[0] if c not in ("code", "document_id") and any(row[c] for row in rows))
            if name == "code_versions":  # what is the same in all of them stands in `codes`
                columns = ("version", *(c for c in columns if len({row[c] for row in rows}) > 1 and c != "version"))
            blocks += [Grid(name, columns, [[row[column] for column in columns] for row in rows]), Line()]
    told = in_words(known["changes"], context(place.home, place.snapshot_id), all_rows=True)
    span = "in the snapshots that are kept" if expired else "since the first snapshot"
    gone = [Line(f"  {expired_in_words(expired)}")] if expired else []
    return [*blocks, Line("How it changed:", "bold"), *(told or [Line(f"  not at all {span}")]), *gone]
