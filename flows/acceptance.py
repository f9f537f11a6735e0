"""What a person lets pass with ``cptflow run --accept RULE``; the manifest of the snapshot records it."""

from __future__ import annotations

from collections.abc import Sequence

import parsers
from flows.errors import UsageError

FLOOR = "floor"


def sources_let_pass(wanted: Sequence[str]) -> list[str]:
    """The sources whose floor is to be let pass. Raises UsageError. Ex: ``floor:codingahead``"""
    known = [source.name for source in parsers.sources()]
    sources = []
    for rule in wanted:
        name, _, source = rule.partition(":")
        if name != FLOOR or source not in known:
            rules = ", ".join(f"{FLOOR}:{name}" for name in known)
            raise UsageError(f"--accept {rule}: there is no such rule to let pass. There are {rules}.")
        sources.append(source)
    return sources
