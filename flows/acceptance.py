"""What a person let pass with ``cptflow run --accept RULE``: ``<home>/warehouse/accepted.json``, only ever added to."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import parsers
from flows.errors import CptflowError, UsageError
from flows.report import write_json
from warehouse.health import Health

FLOOR = "floor"


@dataclass(frozen=True, slots=True)
class Accepted:
    """``landing`` of ``source`` counts although it is below the floor, as was said to the run ``run_id``."""

    rule: str
    source: str
    landing: str
    run_id: str
    accepted_at: str


class AcceptedUnreadable(CptflowError):
    """The list of what was accepted cannot be read; without it rows that were published would go back."""

    def __init__(self, file: Path, found: str) -> None:
        self.file, self.found = file, found
        super().__init__(f"{file} cannot be read: {found}. Restore it from a backup of the home, and run again.")


def check(wanted: Sequence[str]) -> list[str]:
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


def read(home: Path) -> list[Accepted]:
    """Raises AcceptedUnreadable."""
    file = _file(home)
    try:
        return [Accepted(**entry) for entry in json.loads(file.read_text(encoding="utf-8"))]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError) as error:
        raise AcceptedUnreadable(file, str(error)) from None


def accept(home: Path, sources: Sequence[str], found: Sequence[Health], run_id: str) -> list[Accepted]:
    """Let the suspect landings of ``sources`` pass from now on. Returns all that is accepted."""
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    more = [
        Accepted(FLOOR, health.source, health.landing, run_id, now)
        for health in found
        if health.suspect and health.source in sources
    ]
    accepted = [*read(home), *more]
    if more:
        write_json(_file(home), [asdict(one) for one in accepted])
    return accepted


def _file(home: Path) -> Path:
    return home / "warehouse" / "accepted.json"
