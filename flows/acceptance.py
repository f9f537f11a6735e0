"""What a person lets pass with ``cptflow run --accept RULE``; the manifest of the snapshot records it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import parsers
from flows.errors import UsageError
from warehouse.limits import is_rule_name, rule_names

FLOOR = "floor"


@dataclass(frozen=True, slots=True)
class Accepted:
    """``rules``: all of them, as they were typed. ``floors``: the sources whose latest landing is let pass. ``bands``:
    rules as ``rows:openpayer``."""

    rules: tuple[str, ...] = ()
    floors: tuple[str, ...] = ()
    bands: frozenset[str] = frozenset()


def let_pass(wanted: Sequence[str]) -> Accepted:
    """The rules that a person typed. Raises UsageError. Ex: ``floor:codingahead``, ``mass_change:openpayer``

    A band's source may be one that is not registered, for the parent snapshot may hold it; the summary of a run tells
    of each rule that let nothing pass.
    """
    sources = [source.name for source in parsers.sources()]
    floors = {f"{FLOOR}:{source}": source for source in sources}
    for rule in wanted:
        if rule not in floors and not is_rule_name(rule):
            known = ", ".join((*floors, *rule_names(sources)))
            raise UsageError(f"--accept {rule}: there is no such rule to let pass. There are {known}.")
    return Accepted(
        tuple(wanted),
        tuple(floors[rule] for rule in dict.fromkeys(wanted) if rule in floors),
        frozenset(rule for rule in wanted if is_rule_name(rule)),
    )
