"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Home = Annotated[
    str | None,
    typer.Option(
        "--home",
        help="Folder with the pages, tables and reports, or its address (s3://bucket/prefix).  [default: data]",
        show_default=False,
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on standard output, and nothing else there.")
]
At = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="DATE",
        help="As it was at the end of this day (YYYY-MM-DD, UTC), or at a time (2026-01-31T12:00Z).",
        show_default=False,
    ),
]
