"""Words and tables for people: Rich on a terminal, plain lines without one. Text of pages is only ever text."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# Control characters (law 10): C0 and C1 with ESC, and the marks that turn the direction of text around.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]+")


@dataclass(frozen=True, slots=True)
class Line:
    """One line. ``style`` is Rich's, and counts on a terminal only."""

    text: str = ""
    style: str = ""


@dataclass(frozen=True, slots=True)
class Grid:
    """A table: its title, its columns' names and its rows."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[object]]


Block = Line | Grid


def plain(value: object, width: int | None = None) -> str:
    """One line of harmless text; longer than ``width`` it is cut, and says so with an ellipsis."""
    text = "" if value is None else _CONTROL.sub(" ", str(value))
    text = text.encode("utf-8", "replace").decode("utf-8")
    return text if width is None or len(text) <= width else text[: width - 1].rstrip() + "…"


def say(line: str = "", *, style: str = "") -> None:
    """One line on standard output. ``line`` may hold text of pages; ``style`` counts on a terminal only."""
    _print(line, style, error=False)


def tell(line: str = "", *, style: str = "") -> None:
    """One line on standard error: logs, progress, errors."""
    _print(line, style, error=True)


def show(blocks: Iterable[Block]) -> None:
    """Blocks on standard output: drawn on a terminal, plain lines without one."""
    if not sys.stdout.isatty():
        sys.stdout.write(as_text(blocks) + "\n")
        sys.stdout.flush()
        return
    for block in blocks:
        if isinstance(block, Line):
            say(block.text, style=block.style)
        else:
            _draw(block)


def as_text(blocks: Iterable[Block]) -> str:
    """The same as plain text, columns aligned."""
    lines: list[str] = []
    for block in blocks:
        if isinstance(block, Line):
            lines.append(plain(block.text))
        else:
            lines += _aligned(block)
    return "\n".join(lines)


def document(value: object) -> None:
    """The one JSON document of a command with ``--json``."""
    json.dump(_for_json(value), sys.stdout, ensure_ascii=True, indent=2, default=str, allow_nan=False)
    sys.stdout.write("\n")


def _for_json(value: object) -> object:
    """JSON has neither NaN nor infinities, and names are text."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(name): _for_json(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_for_json(item) for item in value]
    return value


def _aligned(grid: Grid) -> list[str]:
    cells = [[plain(cell) for cell in row] for row in (grid.columns, *grid.rows)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(grid.columns))]
    lines = ["  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]
    return [plain(grid.title), *(line.rstrip() for line in lines if line.strip())]


def _draw(grid: Grid) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    headed = any(grid.columns)
    drawn = Table(
        box=box.SIMPLE_HEAD, title=Text(plain(grid.title), style="bold"), title_justify="left", show_header=headed
    )
    for column in grid.columns:
        drawn.add_column(Text(plain(column)), overflow="fold")
    for row in grid.rows:
        drawn.add_row(*(Text(plain(cell), justify="right" if isinstance(cell, int) else "left") for cell in row))
    Console().print(drawn)


def _print(line: str, style: str, *, error: bool) -> None:
    stream = sys.stderr if error else sys.stdout
    if not stream.isatty():
        stream.write(plain(line) + "\n")
        return
    from rich.console import Console
    from rich.text import Text

    Console(stderr=error).print(Text(plain(line), style=style))
