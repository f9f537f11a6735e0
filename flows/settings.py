"""Settings: ``cptflow.toml``, then ``CPTFLOW_*`` variables, then options, in rising order.

The file is ``cptflow.toml`` in the working directory, or the one that ``CPTFLOW_CONFIG`` names.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

import parsers
from flows.errors import SettingsError, UsageError

CONFIG_FILE = "cptflow.toml"
CONFIG_VARIABLE = "CPTFLOW_CONFIG"
PREFIX = "CPTFLOW_"


class Settings(BaseSettings):
    """What a user can set. Each description says what is allowed; errors repeat it."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    home: Path = Field(Path("data"), description="a folder on this machine, made when it is missing")
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
        ("codingahead", "openpayer"),
        min_length=1,
        description="sources, most trusted first: a list of names, in a variable separated by commas",
    )

    @field_validator("home", mode="before")
    @classmethod
    def _local_folder(cls, value: object) -> object:
        if isinstance(value, str) and "://" in value:
            raise ValueError("an address is not supported yet: this version writes to folders only")
        if not str(value).strip():
            raise ValueError("it is empty")
        path = Path(str(value)).expanduser()
        if path.exists() and not path.is_dir():
            raise ValueError("there is a file of that name")
        return path

    @field_validator("trust", mode="before")
    @classmethod
    def _names(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(name.strip() for name in value.split(",") if name.strip())
        return value

    @field_validator("trust")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        known = [parser.split("@")[0] for parser in parsers.live() if not parser.startswith("none@")]
        if unknown := [name for name in names if name not in known]:
            raise ValueError(f"there is no source {', '.join(unknown)}; there are {', '.join(known)}")
        return names

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
        raise _in_words(error, given) from None


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
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not a settings file in TOML: {error}.") from None
    except OSError as error:
        raise UsageError(f"{path}: the settings file cannot be read: {error.strerror}.") from None


def unknown_variables() -> list[str]:
    """``CPTFLOW_*`` variables that set nothing: most likely misspelt."""
    known = {f"{PREFIX}{name}".upper() for name in Settings.model_fields} | {CONFIG_VARIABLE}
    return sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)


def _in_words(error: ValidationError, options: dict[str, object]) -> SettingsError:
    """The first problem, with the place that holds the value: options win over variables over the file."""
    problem = error.errors()[0]
    key = str(problem["loc"][0])
    variable = f"{PREFIX}{key.upper()}"
    in_environment = {name.upper(): name for name in os.environ}
    if key in options:
        where, value = f"option --{key.replace('_', '-')}", options[key]
    elif variable in in_environment:
        where, value = "environment", os.environ[in_environment[variable]]
        key = in_environment[variable]
    else:
        file = config_file()
        where, value = str(file), read_file(file).get(key)
    field = Settings.model_fields.get(str(problem["loc"][0]))
    if field is None:
        return SettingsError(where, key, value, "only " + ", ".join(Settings.model_fields))
    why = f" ({problem['ctx']['error']})" if problem["type"] == "value_error" else ""
    return SettingsError(where, key, value, f"{field.description}{why}.")
