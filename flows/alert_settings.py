"""Settings of alerts: channels, the rules of users, and what operators hear of. Part of ``flows/settings.py``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic_core import PydanticCustomError

import parsers
from warehouse.tables import (
    ACTIONS,
    CATEGORIES,
    CAUSES,
    CHANGE_TYPES,
    CODE_PATTERN,
    CODES,
    DESCRIPTOR_KINDS,
    INDICATORS,
    RELATIONS,
)

FEED = "feed"
"""The channel that is always there: ``alerts/feed.xml``."""

# Ex: "env:BILLING_URL", "block:billing-url"
REFERENCE_PATTERN = r"^(env:[A-Za-z_][A-Za-z0-9_]*|block:[a-z0-9][a-z0-9-]*)$"
Reference = Annotated[str, Field(pattern=REFERENCE_PATTERN)]
NAME_PATTERN = r"^[a-z][a-z0-9_-]*$"
Name = Annotated[str, Field(pattern=NAME_PATTERN, max_length=50)]

Rights = Literal["full", "codes-only"]
When = Literal["event", "run", "daily", "weekly"]
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]

COLUMNS = tuple(dict.fromkeys([*INDICATORS, *DESCRIPTOR_KINDS, *CODES.compared, *ACTIONS, *RELATIONS]))
"""What a rule can name as differing: indicators, kinds of descriptor, columns of ``codes``, what a history tells, and
how codes are related."""
ALERTING_CAUSES = tuple(cause for cause in CAUSES if cause != "restore")
# Ex: "J*", "009*"
_PREFIX = re.compile(r"(?:[A-V][0-9]{0,3}|[0-9]{1,4})\*")


class ChannelSettings(BaseModel):
    """A way to tell people or programs. Secrets never stand in the settings: they are named here."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    kind: Literal["apprise", "webhook"] = Field(
        "apprise", description="apprise (an Apprise address: mailto://, slack://, ...) or webhook (signed JSON)"
    )
    url: Reference = Field(
        description="where its address is: env:NAME (an environment variable) or block:NAME (a Prefect Secret block)"
    )
    key: Reference | None = Field(
        None, description="webhook only: where the key is that signs it, env:NAME or block:NAME"
    )
    timeout: float = Field(30.0, gt=0, le=600, description="most seconds for one message, up to 600")


class RuleSettings(BaseModel):
    """Which changes are told, when, and where. A filter that is empty lets everything through."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    types: tuple[str, ...] = Field(
        default=("code_added", "code_deleted", "code_reinstated", "descriptor_changed", "indicator_changed"),
        description=f"a list of types of change: {', '.join(CHANGE_TYPES)}",
    )
    causes: tuple[str, ...] = Field(default=("source",), description=f"a list of causes: {', '.join(ALERTING_CAUSES)}")
    sources: tuple[str, ...] = Field(default=(), description="a list of sources, the sites that tell it")
    categories: tuple[str, ...] = Field(
        default=(), description=f"a list of categories of codes: {', '.join(CATEGORIES)}"
    )
    codes: tuple[str, ...] = Field(
        default=(), description="a list of codes (99213), ranges of one kind (99202-99215) and prefixes (J*)"
    )
    columns: tuple[str, ...] = Field(
        default=(),
        description="a list of what differs: an indicator (mue), a kind of descriptor (short), a column of codes "
        "(deleted_on), an action of the history (changed) or a relation (replaced_by)",
    )
    severity: Literal["critical", "warning", "info"] = Field(
        default="info",
        description="the least: critical (codes that come, go or come back), warning (values), info (all)",
    )
    when: When = Field(
        default="run", description="event (a message a code), run (one a run), daily or weekly (a digest)"
    )
    at: str = Field(
        default="08:00",
        pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$",
        description="when digests go out, from 00:00 to 23:59",
    )
    weekday: Weekday = Field(default="monday", description="the day of weekly digests, monday to sunday")
    quiet: str | None = Field(
        default=None,
        pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]$",
        description="hours in which nothing is sent, as 20:00-07:00; it goes out at their end",
    )
    timezone: str = Field(default="UTC", description="the time zone of at, weekday and quiet, as Europe/Berlin")
    limit: int = Field(
        default=50, ge=1, le=1000, description="most changes in one message, 1 to 1000; the rest is counted and linked"
    )
    channels: tuple[Name, ...] = Field(
        default=(),
        description="a list of names of channels, and feed; without any: feed and all that operators do not have",
    )

    @field_validator("types", "causes", "sources", "categories", "columns")
    @classmethod
    def _known(cls, names: tuple[str, ...], info: object) -> tuple[str, ...]:
        what = str(getattr(info, "field_name", ""))
        known = {
            "types": CHANGE_TYPES,
            "causes": ALERTING_CAUSES,
            "sources": tuple(source.name for source in parsers.sources()),
            "categories": CATEGORIES,
            "columns": COLUMNS,
        }[what]
        if unknown := [name for name in names if name not in known]:
            raise ValueError(f"there is no {', '.join(unknown)}; there are {', '.join(known)}")
        return names

    @field_validator("codes")
    @classmethod
    def _codes(cls, codes: tuple[str, ...]) -> tuple[str, ...]:
        for code in codes:
            low, dash, high = code.partition("-")
            if dash and not (_is_code(low) and _is_code(high) and form(low) == form(high) and low <= high):
                raise ValueError(f"{code!r} is no range: two codes of one kind, the lower first")
            if not (dash or _is_code(code) or _PREFIX.fullmatch(code)):
                raise ValueError(f"{code!r} is no code, range or prefix")
        return codes

    @field_validator("quiet")
    @classmethod
    def _hours(cls, quiet: str | None) -> str | None:
        if quiet is not None and len(set(quiet.split("-"))) == 1:
            raise ValueError("it begins and ends at the same time")
        return quiet

    @field_validator("timezone")
    @classmethod
    def _zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError):  # Ex: "Berlin", "../x", "Europe"
            raise ValueError("there is no such time zone") from None
        return name


class OperatorSettings(BaseModel):
    """What the people who run cptflow hear of."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    channels: tuple[Name, ...] = Field(default=(), description="a list of names of the channels that they read")
    refresh_days: float = Field(
        default=14.0, gt=0, description="a source that no page was fetched of for so many days is not refreshed"
    )
    run_every_hours: float | None = Field(
        default=None, gt=0, description="the schedule has not run when the last run is longer ago than so many hours"
    )
    quarantine_share: float = Field(
        default=0.01,
        ge=0,
        le=1,
        description="share of a source's rows that may be held back in quarantine, from 0 to 1",
    )


DEFAULT_RULES = {"default": RuleSettings()}


def form(code: str) -> str:
    """Codes of one form can be put in order. Ex: "N" (99213), "T" (0748T), "A" (J1745)"""
    return "A" if code[:1].isalpha() else code[-1:] if code[-1:].isalpha() else "N"


def check_names(
    channels: Mapping[str, ChannelSettings], rules: Mapping[str, RuleSettings], operators: OperatorSettings
) -> None:
    """What channels, rules and operators owe each other. Raises PydanticCustomError with the ``path`` of the first.

    Its words repeat nothing that stands where the name of a channel belongs: it may be an address.
    """
    for path, problem in _problems(channels, rules, operators):
        raise PydanticCustomError("owed", "{problem}", {"path": path, "problem": problem})


def _problems(
    channels: Mapping[str, ChannelSettings], rules: Mapping[str, RuleSettings], operators: OperatorSettings
) -> Iterator[tuple[tuple[str, ...], str]]:
    there = f"there are {', '.join([FEED, *channels])}"
    for name, channel in channels.items():
        if name == FEED:
            yield ("channels", name), f"{FEED} is the name of the channel that is always there; take another"
        if channel.kind == "webhook" and channel.key is None:
            yield ("channels", name), "a webhook needs a key, which signs what is sent: env:NAME or block:NAME"
        if channel.kind != "webhook" and channel.key is not None:
            yield ("channels", name, "key"), "only a webhook has a key"
    for name, rule in rules.items():
        for number, channel_name in enumerate(rule.channels, 1):
            if channel_name != FEED and channel_name not in channels:
                yield ("rules", name, "channels"), f"number {number} of the list is no channel; {there}"
    there = f"there are {', '.join(channels)}" if channels else "there is none yet"
    for number, channel_name in enumerate(operators.channels, 1):
        if channel_name == FEED:
            yield ("operators", "channels"), f"{FEED} is the users'; name channels of your own"
        if channel_name not in channels:
            yield ("operators", "channels"), f"number {number} of the list is no channel; {there}"


def _is_code(text: str) -> bool:
    return re.fullmatch(CODE_PATTERN, text) is not None
