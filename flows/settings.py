"""Settings: ``cptflow.toml``, then ``CPTFLOW_*`` variables, then options, in rising order.

The file is ``cptflow.toml`` in the working directory, or the one that ``CPTFLOW_CONFIG`` names.
"""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as NotReadable

import parsers
from flows.alert_settings import (
    DEFAULT_RULES,
    ChannelSettings,
    Name,
    OperatorSettings,
    Rights,
    RuleSettings,
    check_names,
)
from flows.errors import UsageError
from flows.home import Address, copied_address
from flows.setting_errors import in_words
from warehouse.health import DEFAULT_FLOOR
from warehouse.limits import Bands

Names = TypeVar("Names", tuple[str, ...], dict[str, "SourceSettings"])

CONFIG_FILE = "cptflow.toml"
CONFIG_VARIABLE = "CPTFLOW_CONFIG"
PREFIX = "CPTFLOW_"


def user_cache() -> Path:
    """Where programs keep what they can make again. Ex: ~/.cache/cptflow"""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cptflow"


class CrawlSettings(BaseModel):
    """How a source's pages are fetched. Exactly one of ``codes``, ``sitemap`` and ``addresses`` says which."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    codes: Path | None = Field(None, description="a file of codes, one a line, for sources with an address for each")
    sitemap: str | None = Field(
        None, description="address of a sitemap, a sitemap index or a robots.txt that names them"
    )
    addresses: Path | None = Field(None, description="a file of addresses, one a line")
    hosts: tuple[str, ...] = Field((), description="hosts that may be asked, in place of the source's own")
    delay: float = Field(1.0, ge=0, le=3600, description="least seconds between two requests to a host, from 0 to 3600")
    timeout: float = Field(60.0, gt=0, le=3600, description="most seconds for one page, up to 3600")
    max_bytes: int = Field(10 << 20, ge=1, le=1 << 30, description="most bytes of one page, up to 1 GiB")
    max_seconds: float | None = Field(
        None, gt=0, description="most seconds of a crawl, which goes on at the next call; without it there is no end"
    )
    allow_addresses: tuple[str, ...] = Field(
        (), description="networks (10.1.0.0/16) of private addresses that may be asked all the same"
    )

    @model_validator(mode="after")
    def _one_list(self) -> CrawlSettings:
        given = [name for name in ("codes", "sitemap", "addresses") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give one of codes, sitemap and addresses, not {' and '.join(given) or 'none'}")
        return self


class SourceSettings(BaseModel):
    """What a user can set of one source."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    floor: float = Field(
        DEFAULT_FLOOR,
        ge=0,
        le=1,
        description="the share of what the last good landing had that is good enough, from 0 to 1",
    )
    refresh_days: float | None = Field(
        None, gt=0, description="days without a page of it after which it is not refreshed; without it operators' own"
    )
    crawl: CrawlSettings | None = Field(None, description="how its pages are fetched; without it nothing is")


class KeepSettings(BaseModel):
    """Which snapshots `cptflow snapshots expire` leaves: each that one of these wants, and the pinned ones."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    count: int = Field(
        default=30,
        ge=1,
        le=1_000_000,
        description="the newest so many snapshots, at least 1: half a year of weekly runs",
    )
    age_days: int = Field(
        default=400,
        ge=0,
        le=36_500,
        description="those whose data (as of) is younger than so many days: a year ago can be asked for, with room",
    )
    grace_hours: float = Field(
        default=72.0,
        ge=0,
        le=8760,
        description="those that stopped being current less than so many hours ago, longer than the longest refresh of "
        "a reader, since it may still have them open: a refresh that hangs over a weekend ends well",
    )


class Settings(BaseSettings):
    """What a user can set. Each description says what is allowed; errors repeat it."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True, hide_input_in_errors=True)

    cache: Path = Field(
        default_factory=user_cache,
        description="a folder on this machine, for working copies of homes at an address",
    )
    home: Annotated[Path | Address, NoDecode, PlainSerializer(str)] = Field(
        Path("data"),
        description="a folder on this machine, made when it is missing, or an address (s3://bucket/prefix)",
    )
    engine: Literal["inline", "processes"] = Field(
        "inline", description="inline (this process) or processes (a pool of them)"
    )
    workers: int = Field(
        default_factory=lambda: os.cpu_count() or 1,
        ge=1,
        le=256,
        description="a whole number of processes from 1 to 256",
    )
    batch_pages: int = Field(200, ge=1, le=5000, description="a whole number of pages from 1 to 5000")
    trust: Annotated[tuple[str, ...], NoDecode] = Field(
        ("codingahead", "openpayer", "genhealth"),
        min_length=1,
        description="sources, most trusted first: a list of names, in a variable separated by commas",
    )

    data_docs: bool = Field(
        False, description="true or false: whether runs also write Great Expectations' own Data Docs"
    )
    contact: str | None = Field(
        None, description="an e-mail address or a web address of the operator, which crawls tell the sites"
    )
    sources: dict[str, SourceSettings] = Field(
        default_factory=dict, description="a table for each source: [sources.NAME] and [sources.NAME.crawl]"
    )

    bands: Bands = Field(
        default_factory=Bands, description="a table [bands]: how far a snapshot may be from its parent"
    )

    keep: KeepSettings = Field(
        default_factory=KeepSettings, description="a table [keep]: which snapshots `cptflow snapshots expire` leaves"
    )

    rights: Rights = Field(
        "full", description="full, or codes-only: no descriptors and no prose in anything that leaves the home"
    )
    channels: dict[Name, ChannelSettings] = Field(
        default_factory=dict,
        description="a table for each channel, [channels.NAME]; a name is a small letter and then small letters, "
        "digits, _ and -",
    )
    rules: dict[Name, RuleSettings] = Field(
        default_factory=lambda: dict(DEFAULT_RULES),
        description="a table for each rule, [rules.NAME]; a name is a small letter and then small letters, digits, "
        "_ and -",
    )
    operators: OperatorSettings = Field(
        default_factory=OperatorSettings, description="a table [operators]: what the people who run this hear of"
    )

    @field_validator("cache", mode="before")
    @classmethod
    def _folder(cls, value: object) -> Path:
        if not str(value).strip():
            raise ValueError("it is empty")
        path = Path(str(value)).expanduser()
        if path.exists() and not path.is_dir():
            raise ValueError("there is a file of that name")
        return path

    @field_validator("home", mode="before")
    @classmethod
    def _folder_or_address(cls, value: object, info: ValidationInfo) -> Path | Address:
        if isinstance(value, Address):
            return value
        if isinstance(value, str) and "://" in value:
            from raw.addresses import is_address, local_path

            if is_address(value):
                return Address.at(value, info.data.get("cache", user_cache()))
            value = local_path(value)
        path = cls._folder(value)
        if address := copied_address(path):
            raise ValueError(f"it is this machine's working copy of {address}; give that address")
        return path

    @field_validator("trust", mode="before")
    @classmethod
    def _names(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(name.strip() for name in value.split(",") if name.strip())
        return value

    @field_validator("trust", "sources")
    @classmethod
    def _known(cls, names: Names) -> Names:
        known = [source.name for source in parsers.sources()]
        if unknown := [name for name in names if name not in known]:
            raise ValueError(f"there is no source {', '.join(unknown)}; there are {', '.join(known)}")
        return names

    @model_validator(mode="after")
    def _names_are_there(self) -> Settings:
        check_names(self.channels, self.rules, self.operators)
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, _FileSource(settings_cls)


class _FileSource(PydanticBaseSettingsSource):
    """The settings file, read once with errors that name it."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return self().get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        return read_file(config_file())


def load(**options: object) -> Settings:
    """The settings in force. ``options`` that are None were not given.

    Raises SettingsError for a value that is not allowed, UsageError for a file that cannot be read.
    """
    given = {key: value for key, value in options.items() if value is not None}
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        file = config_file()
        raise in_words(error, Settings, PREFIX, given, file, read_file(file)) from None
    except NotReadable as error:  # Ex: CPTFLOW_SOURCES=codingahead
        field = re.search(r'field "(\w+)"', str(error))  # Ex: error parsing value for field "sources" from ...
        variable = f"{PREFIX}{field[1].upper()}" if field else "The variable"
        raise UsageError(f"{error}. {variable} holds JSON; a table in {CONFIG_FILE} is easier to write.") from None


def config_file() -> Path | None:
    """The settings file in use, None where there is none. Raises UsageError where a named one is missing."""
    named = os.environ.get(CONFIG_VARIABLE)
    path = Path(named or CONFIG_FILE)
    if path.is_file():
        return path
    if named:
        raise UsageError(f"{CONFIG_VARIABLE} names the settings file {named}, which is not there.")
    return None


def read_file(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not a settings file in TOML: {error}.") from None
    except tomllib.TOMLDecodeError as error:
        # Names may be addresses. Ex: Cannot declare ('channels', 'https://hooks.example/token') twice (at line 3, ...
        said = re.sub(r"\('.*'[,)]+|'[^']{2,}'", "a name", str(error))
        raise UsageError(f"{path}: not a settings file in TOML: {said}.") from None
    except OSError as error:
        raise UsageError(f"{path}: the settings file cannot be read: {error.strerror}.") from None


def unknown_variables() -> list[str]:
    """``CPTFLOW_*`` variables that set nothing: most likely misspelt."""
    known = {f"{PREFIX}{name}".upper() for name in Settings.model_fields} | {CONFIG_VARIABLE}
    return sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)
