"""`cptflow new-source`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def new_source(
    name: Annotated[str, typer.Argument(help="The source's name. Ex: examplecodes", show_default=False)],
    host: Annotated[
        str | None, typer.Option(help="The host that shows the pages. Ex: www.example.org", show_default=False)
    ] = None,
    package: Annotated[
        Path | None,
        typer.Option(help="Write an installable package into this folder instead.", show_default=False),
    ] = None,
) -> None:
    """Write a new source, ready to fill in: parser, first golden and registry entry, in a checkout of cptflow.

    The tests fail with what is to do until it is filled in. Nothing is overwritten.
    """
    from flows import scaffold
    from flows.terminal import say

    files = scaffold.as_package(package, name, host) if package else scaffold.in_checkout(Path.cwd(), name, host)
    for file in files:
        say(f"{'changed' if file.name == scaffold.REGISTRY.name else 'written'}  {_shown(file)}")
    if package:
        say(f"Fill in the lines with TO DO, then: pip install -e {package}; cptflow parse PAGE --url ADDRESS")
    else:
        say("Fill in the lines with TO DO; docs/adding-a-source.md goes through them. `make test` names what is left.")


def _shown(file: Path) -> Path:
    return file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file
