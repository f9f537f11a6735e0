"""Settings of alerts: channels, the rules of users, and what operators hear of. Part of ``flows/settings.py``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

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
        ("code_added", "code_deleted", "code_reinstated", "descriptor_changed", "indicator_changed"),
        description="types of change",
    )
    causes: tuple[str, ...] = Field(("source",), description="whose doing: source, parser, schema")
    sources: tuple[str, ...] = Field((), description="sites that tell it")
    categories: tuple[str, ...] = Field((), description="categories of codes: I, II, III, PLA, MAAA, HCPCS-II")
    codes: tuple[str, ...] = Field((), description="codes (99213), ranges (99202-99215) and prefixes (J*)")
    columns: tuple[str, ...] = Field((), description="indicators, kinds of descriptor and columns that differ: mue, short")
    severity: Literal["critical", "warning", "info"] = Field(
        "info", description="the least: critical (codes that come, go or come back), warning (values), info (all)"
    )
    when: When = Field("run", description="event (a message a code), run (one a run), daily or weekly (a digest)")
    at: str = Field("08:00", pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", description="when digests go out")
    weekday: Weekday = Field("monday", description="the day of weekly digests")
    quiet: str | None = Field(
        None,
        pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]$",
        description="hours in which nothing is sent; it goes out at their end. Ex: 20:00-07:00",
    )
    timezone: str = Field("UTC", description="the time zone of at, weekday and quiet. Ex: Europe/Berlin")
    limit: int = Field(50, ge=1, le=1000, description="most changes in one message; the rest is counted and linked")
    channels: tuple[Name, ...] = Field(
        (), description="names of channels, and feed; without any: feed and all channels that operators do not have"
    )


class OperatorSettings(BaseModel):
    """What the people who run cptflow hear of."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    channels: tuple[Name, ...] = Field((), description="names of the channels that they read")
    refresh_days: float = Field(
        14.0, gt=0, description="a source that no page was fetched of for so many days is not refreshed"
    )
    run_every_hours: float | None = Field(
        None, gt=0, description="the schedule has not run when the last run is longer ago than so many hours"
    )
    quarantine_share: float = Field(
        0.01, ge=0, le=1, description="share of a source's rows that may be held back in quarantine"
    )


DEFAULT_RULES = {"default": RuleSettings()}
