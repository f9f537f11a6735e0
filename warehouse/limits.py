"""How far a snapshot may be from its parent: the settings ``[bands]``, each with its default and the reason for it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from warehouse.tables import NAME_PATTERN

BANDS = "bands"
"""The name of their suite, in the place of a table's."""
ALL = "all"
"""Stands in the place of a source for the table ``codes``, which the sources share."""
NAMES = ("rows", "codes", "nulls", "mix", "mass_change")
"""What is measured; NAME:SOURCE is what a person types to let it pass."""


class Bands(BaseModel):
    """Shares, 1 for all. Outside a narrow band (warn) a run tells of it, outside a wide one (stop) it ends."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fewest: int = Field(
        default=100,
        ge=1,
        description="codes of a source, and rows that a share is taken of, of which fewer are not measured: chance "
        "moves a share of 100 rows by up to 5 % (one standard deviation), which is the narrow band; the wide one is "
        "four times that",
    )
    fewest_changed: int = Field(
        default=25,
        ge=0,
        description="codes lost, gained, added, deleted or changed of which fewer are no mass, whatever their share: "
        "a person can look through so many",
    )
    codes_lost: float = Field(
        default=0.02,
        ge=0,
        description="share of a source's codes that may go: a code stays when its page is gone, so that only pages "
        "that a parser no longer reads, or rows held back, take one away, and of these 2 % is the limit too",
    )
    codes_gained: float = Field(
        default=0.25,
        ge=0,
        description="share of a source's codes that may come, whoever caused it: no release of CPT or HCPCS brings "
        "as many",
    )
    rows_warn: float = Field(
        default=0.1,
        ge=0,
        description="narrow band of a table's rows for each code of a source: a site that grows adds a row or two",
    )
    rows_stop: float = Field(
        default=0.3,
        ge=0,
        description="wide band of the same: a third more or less is another layout, or a parser that lost one",
    )
    nulls_warn: float = Field(
        default=0.05,
        ge=0,
        description="narrow band of the share of nulls in a column, up or down: more than chance moves it",
    )
    nulls_stop: float = Field(
        default=0.2,
        ge=0,
        description="wide band of the same, upwards: a field that sites gave, and give no longer; one that fills up "
        "stops no run",
    )
    mix_warn: float = Field(
        default=0.05,
        ge=0,
        description="narrow band of each value's share in a column, up or down: more than chance moves it",
    )
    mix_stop: float = Field(
        default=0.2, ge=0, description="wide band of the same: values are read as others than they are"
    )
    added: float = Field(
        default=0.1,
        ge=0,
        description="share of a source's codes that it may add at once: the yearly release of CPT adds about 3 %, the "
        "largest quarter of HCPCS no more",
    )
    deleted: float = Field(
        default=0.05, ge=0, description="share that it may delete at once: the yearly release of CPT deletes about 1 %"
    )
    changed: float = Field(
        default=0.25,
        ge=0,
        description="share of which it may change anything else at once: a yearly release revises a few of a hundred; "
        "a site that writes its pages anew changes most, and each would be told to those who asked",
    )

    @model_validator(mode="after")
    def _narrow_in_wide(self) -> Bands:
        for name in ("rows", "nulls", "mix"):
            if getattr(self, f"{name}_warn") > getattr(self, f"{name}_stop"):
                raise ValueError(f"{name}_warn must not be more than {name}_stop")
        return self


def rule_names(sources: Sequence[str]) -> list[str]:
    """All that a person may let pass of ``sources``. Ex: ``rows:openpayer``"""
    of_sources = [f"{name}:{source}" for source in sources for name in NAMES]
    return [*of_sources, *(f"{name}:{ALL}" for name in NAMES if name != "rows")]


def is_rule_name(rule: str) -> bool:
    """Whether ``rule`` has the form of one. A snapshot may hold sources that are no longer registered."""
    _, _, source = rule.partition(":")
    return re.fullmatch(NAME_PATTERN, source) is not None and rule in rule_names([source] if source != ALL else [])


def all_to_accept(accepted: Sequence[str], stopped: Sequence[Mapping[str, Any]]) -> list[str]:
    """What to let pass so that the next run is not ``stopped`` for the same reasons, nor for one that was ``accepted``
    in this one: that counted for this run. None of it, where a reason is none that a person may let pass."""
    if not all(stop.get("accept") for stop in stopped):
        return []
    return list(dict.fromkeys([*accepted, *(stop["accept"] for stop in stopped)]))


def as_options(rules: Sequence[str]) -> list[str]:
    """Words of a command. Ex: ``--accept rows:openpayer --accept codes:openpayer``"""
    return [word for rule in rules for word in ("--accept", rule)]
