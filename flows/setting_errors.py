"""What is wrong in the settings, told with its place: file and line, variable or option, and key."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from flows.alert_settings import NAME_PATTERN
from flows.errors import SettingsError

# A table's head, and what a line sets. Ex: [rules.billing], [rules."billing"], codes = ["J*"], crawl.delay = 2
_HEAD = re.compile(r"\s*\[\[?\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?")
_KEY = re.compile(r"""\s*([A-Za-z0-9_-]+|"[^"]*"|'[^']*')(\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*\s*=""")
_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")
# What stands there may be an address or a key, pasted into the wrong place.
_MAY_BE_SECRET = re.compile(r"channel|url|key|token|secret|password|webhook", re.IGNORECASE)
# A key that is not known and looks like ours, so that it may be told, or a place in a list. Ex: refresh_dais, 12
_LIKE_OURS = re.compile(r"(?=.{1,24}$)[a-z]+(_[a-z]+)*|[0-9]{1,3}")
_HIDDEN = "***"


def in_words(
    error: ValidationError,
    model: type[BaseModel],
    prefix: str,
    options: Mapping[str, object],
    file: Path | None,
    written: Mapping[str, Any],
) -> SettingsError:
    """The first problem, with the place that holds the value: options win over variables over the file.

    ``written``: what ``file`` holds. A value that may be a secret is not told, nor a name or key that may be one.
    """
    problem = error.errors()[0]
    missing = problem["type"] == "missing"
    path = [str(part) for part in problem.get("ctx", {}).get("path", problem["loc"]) if part != "[key]"]
    shown = _fit_to_be_shown(model, path)
    key, variable = shown[0], f"{prefix}{path[0].upper()}"
    in_environment = {name.upper(): name for name in os.environ}
    if path[0] in options:
        where, value = f"option --{key.replace('_', '-')}", options[path[0]]
    elif variable in in_environment and not (len(path) > 1 and _holds(written, path)):
        key = in_environment[variable]
        where, value = "environment", _at(_parsed(os.environ[key]), path[1:]) if len(path) > 1 else os.environ[key]
        key = ".".join([key, *shown[1:]])
    else:
        where, value = _file_and_line(file, path), _at(written, path)
        key = ".".join(shown)
    hidden = shown != path or _may_be_secret(path, value)
    why = _why(problem.get("ctx", {}), value, hidden)
    allowed = f"{_allowed(model, path)}{f' ({why})' if why else ''}."
    return SettingsError(where, key, None if hidden else value, allowed, hidden=hidden, missing=missing)


def _why(ctx: Mapping[str, Any], value: object, hidden: bool) -> str | None:
    """The validator's own words, but for those that repeat what is hidden."""
    if "problem" in ctx:  # flows/alert_settings.py, which repeats nothing
        return str(ctx["problem"])
    why = str(ctx["error"]) if "error" in ctx else None
    if why is None or not hidden:
        return why
    # Ex: {"codinghead": {"floor": 0.7}} is hidden as a whole, and its names are not.
    names = [str(name) for name in value] if isinstance(value, Mapping) else []
    return why if names and all(re.fullmatch(NAME_PATTERN, name) for name in names) else None


def _fit_to_be_shown(model: type[BaseModel] | None, path: Sequence[str]) -> list[str]:
    """``path``, but for names and keys that a person may have taken from an address or made of a key."""
    shown, of_names = [], False
    for part in path:
        if of_names:
            of_names, fit = False, len(part) <= 50 and re.fullmatch(NAME_PATTERN, part) is not None
        elif model and part in model.model_fields:
            model, of_names = _table(model.model_fields[part].annotation)
            fit = True
        else:
            model, fit = None, _LIKE_OURS.fullmatch(part) is not None
        shown.append(part if fit else _HIDDEN)
    return shown


def line_of(text: str, path: Sequence[str]) -> int | None:
    """The line of a TOML text, from 1, that sets ``path`` or the most of it that a line names; None where none does.

    Read line by line, as people write settings; arrays over several lines are told by their first.
    """
    table: tuple[str, ...] = ()
    found: dict[tuple[str, ...], int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if head := _HEAD.fullmatch(line):
            table = _parts(head[1])
            named = table
        elif key := _KEY.match(line):
            named = (*table, *_parts(key[0].rpartition("=")[0]))
        else:
            continue
        for length in range(1, len(named) + 1):
            found.setdefault(named[:length], number)
    return next((found[part] for n in range(len(path), 0, -1) if (part := tuple(path[:n])) in found), None)


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in _PART.findall(text))


def _file_and_line(file: Path | None, path: Sequence[str]) -> str:
    try:
        line = line_of(file.read_text(encoding="utf-8"), path) if file else None
    except (OSError, UnicodeDecodeError):
        line = None
    return f"{file}, line {line}" if line else str(file or "the settings")


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _at(value: object, path: Sequence[str]) -> object:
    for part in path:
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, Sequence) and not isinstance(value, str) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
    return value


def _holds(written: Mapping[str, Any], path: Sequence[str]) -> bool:
    """Whether the file sets all of ``path``: tables of the file and of a variable are one, by key."""
    place: object = written
    for part in path:
        if isinstance(place, Mapping):
            if part not in place:
                return False
            place = place[part]
    return True


def _may_be_secret(path: Sequence[str], value: object) -> bool:
    from raw.addresses import without_secrets

    if isinstance(value, Mapping):  # a whole table, with whatever is in it
        return True
    texts = [str(one) for one in value] if isinstance(value, list | tuple) else [str(value)]
    if path[0] in ("home", "sources", "contact"):
        return any(without_secrets(text, text) != text for text in texts)
    # Ex: "slack://token@team" where the name of a channel belongs
    return any(_MAY_BE_SECRET.search(part) for part in path) or any("://" in text for text in texts)


def _allowed(model: type[BaseModel] | None, path: Sequence[str]) -> str:
    """What may stand at ``path``. Ex: ("sources", "openpayer", "crawl", "delay")"""
    said, of_names = "", False
    for part in path:
        if model is None:
            break
        if of_names:
            of_names = False
            continue
        field = model.model_fields.get(part)
        if field is None:
            return "only " + ", ".join(model.model_fields)
        said = str(field.description)
        model, of_names = _table(field.annotation)
    return said


def _table(annotation: object) -> tuple[type[BaseModel] | None, bool]:
    """The table that stands there, and whether there are several of it by name."""
    if get_origin(annotation) is dict:
        return _table(get_args(annotation)[1])[0], True
    for one in (annotation, *get_args(annotation)):
        if isinstance(one, type) and issubclass(one, BaseModel):
            return one, False
    return None, False
