"""The quality report as one HTML page: no script, nothing from elsewhere, every word of others as text."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from warehouse.quality import Quality, SourceLine
from warehouse.quality_charts import Chart, Series, band, bars, lines, percent, shares, spark, whole
from warehouse.tables import SNAPSHOT_ID_PATTERN

if TYPE_CHECKING:
    from jinja2 import Template

BROKEN_SHOWN = 60
STOPS_SHOWN = 20
# Control characters, and marks that hide or turn the direction of text around: shown by their numbers.
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
_CHANGES = (  # told as one in the chart, with its colour
    ("Codes added or back", ("code_added", "code_reinstated"), 3),
    ("Codes deleted", ("code_deleted",), 2),
    ("Descriptors", ("descriptor_changed",), 1),
    ("Indicators", ("indicator_changed",), 4),
    ("History", ("history_event_added",), 5),
    ("Other facts", (), 6),
)
_OUTCOME_CSS = {"parsed": "good", "partial": "part", "not_found": "none", "gated": "wall", "blocked": "wall"}


def render(quality: Quality, *, from_docs: bool = False, previous: bool = False) -> bytes:
    """The page in UTF-8, as it stands in ``warehouse/docs/quality``, or ``from_docs`` itself.

    ``previous``: whether the parent has a page to lead to.
    """
    return (
        _template()
        .render(
            q=quality,
            changes=_change_rows(quality),
            charts=[chart for chart in _charts(quality) if not chart.is_empty],
            links=_links(quality, "quality/" if from_docs else "", previous),
            broken_shown=BROKEN_SHOWN,
            stops_shown=STOPS_SHOWN,
        )
        .encode()
    )


@cache
def _template() -> Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # a tenth of a second, for who makes a page

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_harmless,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"cut": cut, "number": _number, "when": _when, "percent": _percent, "words": _words}
    environment.globals |= {"spark": spark, "outcome_bar": _outcome_bar, "band_bar": band, "signed": _signed}
    return environment.get_template("quality.html")


def cut(text: object, limit: int) -> str:
    """``text``, shortened with an ellipsis where it is longer than ``limit`` characters."""
    words = "" if text is None else str(text)
    return words if len(words) <= limit else words[: limit - 1] + "…"


def _harmless(value: object) -> object:
    """What the template puts into the page: text without characters that nobody sees (law 10)."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), value)
    return value


def _links(quality: Quality, folder: str, previous: bool) -> dict[str, str | None]:
    """Paths relative to the page. ``folder``: where the pages of snapshots are, seen from it."""
    docs, warehouse = ("", "../") if folder else ("../", "../../")
    snapshot, parent = quality.snapshot_id, quality.parent
    own = f"{warehouse}snapshots/{snapshot}/" if snapshot and re.fullmatch(SNAPSHOT_ID_PATTERN, snapshot) else None
    before = previous and parent and re.fullmatch(SNAPSHOT_ID_PATTERN, parent)
    return {
        "manifest": f"{own}manifest.json" if own else None,
        "tables": own,
        "dictionary": f"{docs}data-dictionary.md",
        "previous": f"{folder}{parent}.html" if before else None,
    }


def _charts(quality: Quality) -> list[Chart]:
    points = quality.trend
    labels = [str(point.as_of)[:10] for point in points]

    def codes(status: str) -> tuple[int | None, ...]:
        return tuple(None if point.codes is None else point.codes.get(status, 0) for point in points)

    held = Series("Rows held back", tuple(point.held_back for point in points), 2)
    warnings = Series("Rows with a warning", tuple(point.warnings for point in points), 5)
    unmapped = Series("Text that no parser claimed", tuple(point.unmapped for point in points), 6)
    return [
        lines("Active codes", labels, [Series("Active codes", codes("active"), 3)]),
        lines("Deleted codes", labels, [Series("Deleted codes", codes("deleted"), 2)]),
        lines("Rows in all tables", labels, [Series("Rows", tuple(point.rows for point in points), 1)]),
        bars("Rows that broke a rule", labels, [held, warnings]),
        bars("Changes by type", labels, _changes(quality)),
        lines("Text that no parser claimed", labels, [unmapped], percent),
    ]


def _changes(quality: Quality) -> list[Series]:
    named = {kind for _, kinds, _ in _CHANGES for kind in kinds}

    def counted(changes: Mapping[str, int] | None, kinds: tuple[str, ...]) -> int | None:
        if changes is None:
            return None
        return sum(number for kind, number in changes.items() if (kind in kinds if kinds else kind not in named))

    return [
        Series(label, tuple(counted(point.changes, kinds) for point in quality.trend), color)
        for label, kinds, color in _CHANGES
    ]


def _change_rows(quality: Quality) -> list[tuple[str, dict[str, int], int]]:
    """Type, number by cause, number in all; the most frequent first."""
    rows: dict[str, dict[str, int]] = {}
    for (kind, cause), number in quality.changes.items():
        rows.setdefault(kind, {})[cause] = number
    return sorted(((kind, row, sum(row.values())) for kind, row in rows.items()), key=lambda row: (-row[2], row[0]))


def _outcome_bar(source: SourceLine) -> Markup:
    parts = [(name, number, f"o-{_OUTCOME_CSS.get(name, 'bad')}") for name, number in source.outcomes.items()]
    told = ", ".join(f"{number} {name}" for name, number in source.outcomes.items())
    return shares(parts, f"Pages of {source.name}: {told}")


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return whole(value) if float(value).is_integer() else f"{value:,.4g}"


def _percent(value: float | None) -> str:
    return "–" if value is None else percent(value)


def _signed(now: int | None, before: int | None) -> str:
    """Ex: +3, −1, ±0; nothing where there is nothing to compare with."""
    if now is None or before is None:
        return ""
    return "±0" if now == before else f"{now - before:+,}".replace("-", "−")


def _when(value: object) -> str:
    """Ex: 2026-01-05 07:10 UTC"""
    try:
        return f"{dt.datetime.fromisoformat(str(value)).astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"
    except ValueError:
        return str(value)


def _words(name: str) -> str:
    """Ex: code_added -> code added"""
    return str(name).replace("_", " ")
