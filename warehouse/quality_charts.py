"""Small charts as inline SVG. A chart holds shapes only: its words stand beside it as text, and its numbers in a table.

Shapes are drawn in a box of 100 by 100 that the page stretches; lines keep their width (``vector-effect``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

Value = float | int | None
Format = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Series:
    """``values``: one a snapshot, None where it is not known. ``color``: 1 to 6, a place in the page's palette."""

    label: str
    values: tuple[Value, ...]
    color: int


@dataclass(frozen=True, slots=True)
class Chart:
    """``ticks``: words of the axis, the highest first. ``labels``: one a snapshot. ``svg``: shapes."""

    title: str
    series: tuple[Series, ...]
    labels: tuple[str, ...]
    ticks: tuple[str, ...]
    svg: Markup
    told: Format

    @property
    def is_empty(self) -> bool:
        return not any(value is not None for one in self.series for value in one.values)


def whole(value: float) -> str:
    """Ex: 17,004"""
    return f"{value:,.0f}"


def percent(value: float) -> str:
    """Ex: 0.4 %, 80 %"""
    return f"{100 * value:.1f}".removesuffix(".0") + "\u00a0%"


def lines(title: str, labels: Sequence[str], series: Sequence[Series], told: Format = whole) -> Chart:
    """Lines over an axis that need not begin at zero, as small differences are what people look for."""
    known = [value for one in series for value in one.values if value is not None]
    low, high = _axis(min(known, default=0), max(known, default=0), 0.001 if told is percent else 1)
    shapes = [_grid()] + [_line(one, low, high, len(labels)) for one in series]
    ticks = tuple(told(value) for value in (high, (low + high) / 2, low))
    return Chart(title, tuple(series), tuple(labels), ticks, _svg(title, _words(labels, series, told), shapes), told)


def bars(title: str, labels: Sequence[str], series: Sequence[Series]) -> Chart:
    """Bars from zero, one a snapshot, the series one upon the other."""
    totals = [sum(one.values[place] or 0 for one in series) for place in range(len(labels))]
    _, high = _axis(0, max(totals, default=0), 1)
    shapes = [_grid()] + [_bar(place, label, series, high, len(labels)) for place, label in enumerate(labels)]
    ticks = tuple(whole(value) for value in (high, high / 2, 0))
    svg = _svg(title, _words(labels, series, whole), shapes)
    return Chart(title, tuple(series), tuple(labels), ticks, svg, whole)


def spark(values: Sequence[int | None], words: str) -> Markup:
    """A line without an axis, for a row of a table."""
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return Markup()
    low, high = min(known), max(known)
    if low == high:
        low, high = low - 1, high + 1
    line = _line(Series("", tuple(values), 1), low - (high - low) * 0.15, high + (high - low) * 0.15, len(values))
    return _svg(words, "", [line], "spark")


def shares(parts: Sequence[tuple[str, int, str]], words: str) -> Markup:
    """One bar of 100 %. ``parts``: label, number, CSS class."""
    total, left, shapes = sum(number for _, number, _ in parts) or 1, 0.0, []
    for label, number, css in parts:
        width = 100 * number / total
        box = Markup('<rect class="{}" x="{:.2f}" y="0" width="{:.2f}" height="100"><title>{}: {}</title></rect>')
        shapes.append(box.format(css, left, width, label, whole(number)))
        left += width
    return _svg(words, "", shapes, "shares")


def band(value: float, before: float | None, low: float | None, high: float | None, words: str) -> Markup:
    """The allowed range as a bar, the value in the parent as a thin mark, the value now as a thick one."""
    known = [one for one in (value, before, low, high) if one is not None and math.isfinite(one)]
    least, most = min(known), max(known)
    pad = (most - least) * 0.12 or abs(most) * 0.1 or 1
    left, right = least - pad, most + pad

    def at(one: float | None, otherwise: float) -> float:
        return otherwise if one is None or not math.isfinite(one) else 100 * (one - left) / (right - left)

    first, last = at(low, 0), at(high, 100)
    outside = (low is not None and value < low) or (high is not None and value > high)
    shapes = [
        Markup('<rect class="track" x="0" y="42" width="100" height="16"/>'),
        Markup('<rect class="range" x="{:.2f}" y="30" width="{:.2f}" height="40"/>').format(first, last - first),
    ]
    if before is not None and math.isfinite(before):
        shapes.append(Markup('<path class="before" d="M{0:.2f} 14V86"/>').format(at(before, 0)))
    css = "now out" if outside else "now"
    shapes.append(Markup('<path class="{}" d="M{:.2f} 8V92"/>').format(css, at(value, 0)))
    return _svg(words, "", shapes, "band")


def _svg(title: str, description: str, shapes: Sequence[Markup], css: str = "plot") -> Markup:
    told = Markup("<desc>{}</desc>").format(description) if description else Markup()
    return Markup(
        '<svg class="{}" viewBox="0 0 100 100" preserveAspectRatio="none" role="img" aria-label="{}">'
        "<title>{}</title>{}{}</svg>"
    ).format(css, title, title, told, Markup().join(shapes))


def _grid() -> Markup:
    return Markup('<path class="grid" d="M0 0H100M0 50H100M0 100H100"/>')


def _line(series: Series, low: float, high: float, count: int) -> Markup:
    """A path through what is known; a value that stands alone is a dot, and so is the last one."""
    points = [
        None if value is None else (_across(place, count), 100 - 100 * (value - low) / (high - low))
        for place, value in enumerate(series.values)
    ]
    moves = [
        f"{'L' if before else 'M'}{point[0]:.2f} {point[1]:.2f}"
        for before, point in pairwise([None, *points])
        if point is not None
    ]
    known = [point for point in points if point is not None]
    dots = [f"M{known[-1][0]:.2f} {known[-1][1]:.2f}h0"] if known else []
    dots += [
        f"M{point[0]:.2f} {point[1]:.2f}h0"
        for before, point, after in zip([None, *points], points, [*points[1:], None], strict=False)
        if point and not before and not after
    ]
    path = Markup('<path class="line c{0}" d="{1}"/><path class="dot c{0}" d="{2}"/>')
    return path.format(series.color, "".join(moves), "".join(dots))


def _across(place: int, count: int) -> float:
    """From edge to edge, with room for the dot at the end; a point by itself stands in the middle."""
    return 2 + 96 * place / (count - 1) if count > 1 else 50.0


def _bar(place: int, label: str, series: Sequence[Series], high: float, count: int) -> Markup:
    step = 100 / count
    width = min(step * 0.62, 12)
    left, top, boxes = place * step + (step - width) / 2, 100.0, []
    for one in series:
        value = one.values[place] or 0
        height = 100 * value / high
        top -= height
        box = '<rect class="c{}" x="{:.2f}" y="{:.2f}" width="{:.2f}" height="{:.2f}"/>'
        boxes.append(Markup(box).format(one.color, left, top, width, height))
    told = ", ".join(f"{one.label} {whole(one.values[place] or 0)}" for one in series)
    return Markup("<g><title>{}: {}</title>{}</g>").format(label, told, Markup().join(boxes))


def _axis(low: float, high: float, finest: float) -> tuple[float, float]:
    """Round ends of an axis with two steps between them. ``finest``: the smallest step that makes sense."""
    if low == high and low > 0:  # a flat line runs through the middle
        step = _round_up(max(finest, low * 0.001))
        return low - step, low + step
    step = _round_up(max((high - low) / 2, finest))
    bottom = math.floor(low / step) * step
    while bottom + 2 * step < high:
        step = _round_up(step * 1.01)
        bottom = math.floor(low / step) * step
    return bottom, bottom + 2 * step


def _round_up(step: float) -> float:
    """The next of 1, 2, 2.5, 5, 10 and their tenfold and tenth parts. Ex: 13 -> 20"""
    scale = 10.0 ** math.floor(math.log10(step))
    return next(nice * scale for nice in (1, 2, 2.5, 5, 10, 20) if nice * scale >= step * (1 - 1e-9))


def _words(labels: Sequence[str], series: Sequence[Series], told: Format) -> str:
    """What the chart shows, in a sentence for who cannot see it."""
    parts = []
    for one in series:
        known = [(label, value) for label, value in zip(labels, one.values, strict=True) if value is not None]
        if known:
            (first, begun), (last, ended) = known[0], known[-1]
            parts.append(f"{one.label}: {told(begun)} on {first}, {told(ended)} on {last}")
    return "; ".join(parts)
