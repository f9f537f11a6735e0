"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Home = Annotated[
    str | None,
    typer.Option("--home", help="Folder with the pages, tables and reports.  [default: data]", show_default=False),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on standard output, and nothing else there.")
]
