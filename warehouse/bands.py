"""What a snapshot owes its parent, as rules over a few hundred measures (``measures.py``), within the bands of the
settings (``limits.py``).

Outside a narrow band a rule warns. Outside a wide one it stops publication, until newer pages bring the measure back or
a person lets it pass by the rule's name, NAME:SOURCE. Sources and columns stand together under one name, so that there
are few to type.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from warehouse.expectations import Codes, Stop
from warehouse.gx import open_batches, run_suite
from warehouse.limits import BANDS, NAMES, Bands
from warehouse.measures import Measure, Read, measure
from warehouse.rules import NONE, RowRule

if TYPE_CHECKING:
    import pandas as pd

_EXPECTATION = "ExpectColumnValuesToBeBetween"
_MASS = ("added", "deleted", "changed")
_NAME_OF = {band: "mass_change" if band in _MASS else band for band in (*NAMES[:-1], *_MASS)}
_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Judged:
    """``suite``: a summary, ready for JSON. ``stopped``: one for each name that a person would have to let pass.
    ``accepted``: what one did let pass, with what was found."""

    suite: dict[str, Any]
    stopped: list[Stop]
    accepted: tuple[dict[str, str], ...]


@dataclass(frozen=True, slots=True)
class _Outside:
    """A measure and the rule whose band it is outside of."""

    measure: Measure
    rule: RowRule


def band_rules(limits: Bands) -> tuple[RowRule, ...]:
    """The rules, in the order in which they are told; each looks at the deviations of its own measures."""
    return tuple(_rules(limits))


def _rules(limits: Bands) -> Iterator[RowRule]:
    for band, what in (
        ("rows", "the rows of a table for each code"),
        ("nulls", "the share of nulls in a column"),
        ("mix", "the share of a value in its column"),
    ):
        narrow, wide = getattr(limits, f"{band}_warn"), getattr(limits, f"{band}_stop")
        # A column that fills up is what a better parser or a richer page does: worth a word, and no stop.
        lowest = None if band == "nulls" else -wide
        yield _within(band, lowest, wide, f"{what} must be near the parent's")
        yield _within(f"{band}_narrow", -narrow, narrow, f"{what} should be near the parent's", "warning")
    yield _within("codes", -limits.codes_lost, limits.codes_gained, "the number of codes must be near the parent's")
    for band in _MASS:
        yield _within(band, None, getattr(limits, band), f"not so many codes are {band} at once")


def _within(name: str, low: float | None, high: float, message: str, severity: str = "critical") -> RowRule:
    """``low`` and ``high``: of the deviation, which stands in a column of the band's name."""
    band = name.removesuffix("_narrow")
    arguments = {"column": band, "min_value": low, "max_value": high}
    return RowRule(name, BANDS, (band,), _EXPECTATION, arguments, message, severity, NONE)


def within_bands(
    parent_id: str,
    parent: Read,
    child: Mapping[str, pa.Table],
    changes: pa.Table,
    limits: Bands,
    accept: Collection[str] = (),
) -> Judged:
    """Whether ``child``, the validated tables, may follow ``parent``; ``changes`` lead from one to the other.

    ``accept``: names that a person lets pass. Raises RuleCouldNotRun. The suite is as that of a table, with these keys
    in each of its rules, one for each NAME:SOURCE that was measured: rule (the name), expectation, severity, success,
    accepted, measures (how many), broken_rows (how many of them are outside), allowed_rows; and of the measure that is
    furthest out: source, what, unit (rows, codes or share), value, before, low, high (null: no edge), message.
    """
    return judge(parent_id, measure(parent, child, changes, limits), limits, accept)


def judge(parent_id: str, measures: Sequence[Measure], limits: Bands, accept: Collection[str] = ()) -> Judged:
    """Hold ``measures`` against the bands. Raises RuleCouldNotRun."""
    rules = band_rules(limits)
    broken = run_suite(open_batches(), BANDS, _frame(measures), rules) if measures else []
    outside = [
        _Outside(measures[place], one.rule) for one in broken for place in one.rows if isinstance(one.rule, RowRule)
    ]
    by_name: dict[str, list[Measure]] = {}
    for one in measures:
        by_name.setdefault(_name(one), []).append(one)
    told, stopped, accepted = [], [], []
    for name in sorted(by_name, key=lambda name: (NAMES.index(name.partition(":")[0]), name)):
        wide, narrow = (
            [one for one in outside if _name(one.measure) == name and one.rule.severity == severity]
            for severity in ("critical", "warning")
        )
        entry = _entry(name, by_name[name], wide or narrow, rules, accepted=bool(wide) and name in accept)
        told.append(entry)
        if entry["accepted"]:
            rule, _, source = name.partition(":")
            accepted.append(
                {"rule": rule, "source": source, "found": f"{source}: {'; '.join(map(_words, _ordered(wide)))}"}
            )
        elif wide:
            stopped.append(_stop(name, wide, by_name[name], parent_id))
    suite = {"table": BANDS, "parent": parent_id, "rows": len(measures), "held_back": 0}
    suite |= {"success": all(entry["success"] for entry in told), "rules": told}
    return Judged(suite, stopped, tuple(accepted))


def _name(one: Measure) -> str:
    return f"{_NAME_OF[one.band]}:{one.source}"


def _frame(measures: Sequence[Measure]) -> pd.DataFrame:
    """A row for each measure; its deviation stands in the column of its band."""
    columns = {
        band: pa.array([one.deviation if one.band == band else None for one in measures], pa.float64())
        for band in _NAME_OF
    }
    frame: pd.DataFrame = pa.table(columns).to_pandas()
    return frame


def _entry(
    name: str, measures: Sequence[Measure], outside: Sequence[_Outside], rules: Sequence[RowRule], *, accepted: bool
) -> dict[str, Any]:
    """``outside``: of the wide bands; where there is nothing, of the narrow ones."""
    wide = {rule.name: rule for rule in rules if rule.severity == "critical"}
    worst = _ordered(outside or [_Outside(one, wide[one.band]) for one in measures])[0]
    low, high = _edges(worst)
    return {
        "rule": name,
        "source": worst.measure.source,
        "expectation": _EXPECTATION,
        "severity": worst.rule.severity,
        "success": not outside,
        "accepted": accepted,
        "measures": len(measures),
        "broken_rows": len(outside),
        "allowed_rows": 0,
        "what": worst.measure.what,
        "unit": worst.measure.unit,
        "value": worst.measure.value,
        "before": worst.measure.before,
        "low": low,
        "high": high,
        "message": f"{worst.measure.source}: {_words(worst)}",
    }


def _ordered(some: Sequence[_Outside]) -> list[_Outside]:
    """The furthest out first."""
    return sorted(some, key=_distance, reverse=True)


def _distance(one: _Outside) -> float:
    """1 at the edge of the band, more outside."""
    deviation = one.measure.deviation or 0.0
    edge = one.rule.arguments["max_value"] if deviation > 0 else one.rule.arguments["min_value"]
    if edge is None:
        return 0.0
    assert isinstance(edge, float)
    return abs(deviation) / (abs(edge) or 1e-9)


def _edges(one: _Outside) -> tuple[float | None, float]:
    """The band in the measure's unit; a mass has no lower edge."""
    low, high = one.rule.arguments["min_value"], one.rule.arguments["max_value"]
    assert isinstance(low, float | None)
    assert isinstance(high, float)
    expected = one.measure.expected
    if one.measure.band in _MASS:
        return None, high
    if one.measure.unit == "share":
        return round(max(0.0, expected + low), 9) if low is not None else 0.0, round(min(1.0, expected + high), 9)
    return round(max(0.0, expected * (1 + (low or 0.0))), 3), round(expected * (1 + high), 3)


def _words(one: _Outside) -> str:
    """Ex: "rows of descriptors: 3,000 found, 5,000 before; 3,500 to 6,500 are within the band"."""
    measure, (low, high) = one.measure, _edges(one)
    if low is None:
        found = f"{_number(measure):,} of {measure.of:,} at once ({measure.value:.1%})"
        return f"{measure.what}: {found}; up to {high:.1%} are within the band"
    if measure.unit == "share":
        found = f"{measure.value:.1%} found, {measure.before:.1%} before"
        return f"{measure.what}: {found}; {low:.1%} to {high:.1%} are within the band"
    found = f"{measure.value:,} found, {measure.before:,} before"
    return f"{measure.what}: {found}; {low:,.0f} to {high:,.0f} are within the band"


def _number(mass: Measure) -> int:
    return round(mass.value * mass.of)


def _named(measure: Measure) -> str:
    """Ex: " (99201, 99202, 99203 and 48 more)", for a person to look at"""
    if not measure.codes:
        return ""
    first, more = measure.codes[:_EXAMPLES], _number(measure) - _EXAMPLES
    return f" ({', '.join(first)}{f' and {more:,} more' if more > 0 else ''})"


def _stop(name: str, outside: Sequence[_Outside], measures: Sequence[Measure], parent_id: str) -> Stop:
    """No command stands in it: which one helps depends on all that stops the run (``limits.all_to_accept``)."""
    ordered = _ordered(outside)
    worst = ordered[0]
    low, high = _edges(worst)
    told = "; ".join(f"{_words(one)}{_named(one.measure)}" for one in ordered[:_EXAMPLES])
    more = f"; and {len(ordered) - _EXAMPLES} more" if len(ordered) > _EXAMPLES else ""
    limit = low if low is not None and worst.measure.value < low else high
    message = (
        f"compared with {parent_id}, {worst.measure.source}: {told}{more}. Most likely a site or a parser has changed: "
        "look at its pages with `cptflow parse`. Newer pages that bring it back need nothing. If it is really so, a "
        f"person may let it pass as {name}."
    )
    codes = tuple(Codes(one.band, _number(one), one.codes) for one in measures if one.codes)
    return Stop(name, BANDS, worst.measure.value, limit, message, accept=name, codes=codes)
