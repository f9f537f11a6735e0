"""Which sources there are: ours, and those of installed packages (entry points of the group ``cptflow.sources``)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from parsers import (
    codingahead,
    genhealth,
    openpayer,
)
from parsers.records import RECORD_TYPES
from parsers.source import Source

BUILT_IN: tuple[Source, ...] = (
    codingahead.SOURCE,
    openpayer.SOURCE,
    genhealth.SOURCE,
)
GROUP = "cptflow.sources"

_OURS = "cptflow itself"
NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")  # it names folders and parsers. Ex: "codingahead"
HOST = re.compile(r"[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63})+")  # Ex: "www.openpayer.com"
RESERVED = ("none", "local", "other")  # what pages without a source are counted under


class SourceError(Exception):
    """A source of an installed package cannot be used, so nothing is read: the same page must not have one parser today
    and another tomorrow. ``package`` and ``entry_point`` say whose it is, ``problem`` what was found."""

    def __init__(self, package: str, entry_point: str, problem: str, advice: str) -> None:
        self.package, self.entry_point, self.problem = package, entry_point, problem
        super().__init__(
            f"The installed package {package} brings a source to cptflow (entry point {entry_point!r} of the group "
            f"{GROUP}) that cannot be used: {problem}. {advice}, or uninstall it: pip uninstall {package}"
        )


class SourceNotLoaded(SourceError):
    """The entry point leads to something that cannot be imported."""


class SourceUnfit(SourceError):
    """The entry point leads to something that is no `Source`, or to one that cannot be what it says."""


class SourceTaken(SourceError):
    """The source has a name or a host that another one has already."""


@dataclass(frozen=True, slots=True)
class Registry:
    """``sources``: ours first, then those of packages by name. ``by_host``: the source of each host."""

    sources: tuple[Source, ...]
    by_host: dict[str, Source]


def sources() -> tuple[Source, ...]:
    """Every source, ours first, then those of installed packages by name. Raises `SourceError` for one of a package
    that cannot be used."""
    return registered().sources


@cache
def registered() -> Registry:
    """The sources, looked up once in a process. Raises `SourceError`."""
    found = [(_OURS, "", source) for source in BUILT_IN]
    found += sorted(map(_load, entry_points(group=GROUP)), key=lambda entry: (entry[2].name, entry[0], entry[1]))
    names: dict[str, str] = {}
    by_host: dict[str, Source] = {}
    owners: dict[str, str] = {}
    for package, entry_point, source in found:
        for what, value, taken in (("name", source.name, names), *(("host", host, owners) for host in source.hosts)):
            if owner := taken.get(value):
                problem = f"its {what} {value!r} is taken by {owner}"
                raise SourceTaken(package, entry_point, problem, f"Give it a {what} of its own")
            taken[value] = _OURS if package == _OURS else f"the package {package}"
        by_host |= dict.fromkeys(source.hosts, source)
    return Registry(tuple(source for *_, source in found), by_host)


def _load(entry_point: EntryPoint) -> tuple[str, str, Source]:
    package = entry_point.dist.name if entry_point.dist else "(unnamed)"
    try:
        source = entry_point.load()
    except (Exception, SystemExit) as error:
        problem = f"loading {entry_point.value} raised {type(error).__name__}: {error}"
        raise SourceNotLoaded(package, entry_point.name, problem, "Mend or upgrade the package") from error
    if unfit := _unfit(source):
        advice = "See docs/adding-a-source.md for what a source is"
        raise SourceUnfit(package, entry_point.name, f"{entry_point.value} is {unfit}", advice)
    return package, entry_point.name, source


def _unfit(source: object) -> str | None:
    """What is wrong with a package's source: its name becomes a folder, and its marks one pattern."""
    if not isinstance(source, Source):
        return f"no parsers.source.Source but {type(source).__name__}"
    if not _is(NAME, source.name) or source.name in RESERVED:
        reserved = ", ".join(RESERVED)
        return (
            f"a source named {source.name!r}, where a name is at most 40 lower-case letters, digits and underscores, "
            f"the first one a letter, and none of {reserved}"
        )
    if not _is_count(source.version):
        return f"a source of version {source.version!r}, where a version is a whole number from 1 on"
    if not isinstance(source.hosts, tuple) or not all(_is(HOST, host) for host in source.hosts):
        return f"a source with the hosts {source.hosts!r}, where hosts are a tuple of names in lower case"
    if not isinstance(source.marks, tuple) or not source.marks or not all(map(_is_mark, source.marks)):
        return (
            f"a source with the marks {source.marks!r}, where marks are a tuple of patterns without groups, none of "
            "which is found in an empty text"
        )
    if not _is_count(source.enough_marks):
        return f"a source with enough_marks {source.enough_marks!r}, where it is a whole number from 1 on"
    tables = [record.table for record in RECORD_TYPES]
    if not isinstance(source.never_empty, tuple) or not all(name in tables for name in source.never_empty):
        return f"a source with never_empty {source.never_empty!r}, where it is a tuple of tables: {', '.join(tables)}"
    return None


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _is_mark(value: object) -> bool:
    try:
        pattern = re.compile(value) if isinstance(value, str) else None
    except re.error:
        return False
    return pattern is not None and pattern.groups == 0 and pattern.match("") is None
