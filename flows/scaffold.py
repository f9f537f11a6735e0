"""A new source, ready to fill in: its parser, its first golden, and its entry in the registry.

Whatever a person has to fill in stands in a line with ``TO DO`` and says what to do; `tests/golden/test_new_sources.py`
fails with those lines until they are gone.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import json
import keyword
import re
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path
from string import Template

import parsers
from flows.errors import UsageError
from parsers import registry as own_registry
from parsers.registry import GROUP, HOST, NAME, RESERVED

REGISTRY = Path("parsers/registry.py")
_GOLDENS = Path("tests/golden")

_MODULE = Template('''"""$name: codes of $host.

TO DO: say in one paragraph what stands on a page of this site, in which order, and what may be missing.
"""

from __future__ import annotations

from parsers.page import Reading
from parsers.source import Coverage, Source


def read(reading: Reading) -> Coverage:
    """Claim the blocks of a page."""
    # TO DO: go through reading.page.blocks and say of each what it is: reading.claim(block, record) makes a record of
    # it, reading.set_aside(block, "site_menu") leaves it out by a rule with a name. The rest is listed in `unmapped`.
    # Return the tables that the page showed whole, and why others are missing (docs/adding-a-source.md, step 3).
    raise NotImplementedError("TO DO: write read() in $module")


SOURCE = Source(
    name="$name",
    version=1,
    hosts=("$host",),  $host_to_do
    marks=(
        r"to do\\b",  # TO DO: patterns for lines that each page has, folded: lower case, no colon at the end
    ),
    read=read,
    never_empty=(),  # TO DO: the tables that no whole page leaves without a row, as "descriptors"
    # TO DO: where the code alone makes a page's address, that address, as "https://www.example.org/codes/{code}"; and
    # what the path of a page's address looks like, as r"/codes/[^/]+". The crawler goes by them; without, leave them.
    address=None,
    pages=r"",
)
''')
_PAGE_HTML = """<!doctype html>
<html>
<head><meta charset="utf-8"><title>TO DO: a page of the site in your own words, with the site's layout</title></head>
<body>
<main>
<h1>TO DO: its headings and labels as they stand on the site, each sentence your own (Synthetic ...)</h1>
</main>
</body>
</html>
"""
_PAGE_TEXT = "TO DO: the same page as a text extract, as trafilatura or a person would write it down\n"
_PYPROJECT = Template("""[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "cptflow-$dashed"
version = "0.1.0"
description = "Pages of $host as a source of cptflow"
dependencies = ["cptflow"]

[project.entry-points."$group"]
$name = "cptflow_$name:SOURCE"

[tool.hatch.build.targets.wheel]
include = ["cptflow_$name.py"]
""")


def in_checkout(root: Path, name: str, host: str | None) -> list[Path]:
    """Write the source ``name`` into the checkout of cptflow at ``root``; returns the files, the registry's last.

    Raises `UsageError`, before anything is written, for a folder that is no checkout, a name or a host that cannot be
    used, and a file that is there already.
    """
    registry = root / REGISTRY
    if not _is_checkout(root):
        raise UsageError(
            f"{root} is no checkout of cptflow: there is no {REGISTRY} of it. Change to the folder that you cloned, or "
            "write a package of your own: cptflow new-source NAME --package FOLDER"
        )
    text = registry.read_text("utf-8")
    _check(name, host, text)
    first = root / _GOLDENS / name / "first"
    new = {
        root / "parsers" / f"{name}.py": _module(name, host, f"parsers/{name}.py"),
        first / "case.json": _case(host or _invented(name)),
        first / "page.html": _PAGE_HTML,
        first / "page.txt": _PAGE_TEXT,
    }
    registered = _registered(text, name)
    _write(new)
    registry.write_text(registered, "utf-8")
    return [*new, registry]


def as_package(folder: Path, name: str, host: str | None) -> list[Path]:
    """Write a package that brings the source ``name`` to an installed cptflow; returns its files. Raises `UsageError`
    as `in_checkout` does."""
    _check(name, host, inspect.getsource(own_registry))
    values = {"name": name, "dashed": name.replace("_", "-"), "host": host or _invented(name), "group": GROUP}
    module = f"cptflow_{name}.py"
    new = {folder / "pyproject.toml": _PYPROJECT.substitute(values), folder / module: _module(name, host, module)}
    _write(new)
    return list(new)


def _is_checkout(root: Path) -> bool:
    try:
        project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]["name"]
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError):
        return False
    return project == "cptflow" and (root / REGISTRY).is_file() and (root / _GOLDENS).is_dir()


def _check(name: str, host: str | None, registry: str) -> None:
    if not NAME.fullmatch(name) or keyword.iskeyword(name) or name in RESERVED:
        raise UsageError(
            f"{name!r} cannot name a source: a name is at most 40 lower-case letters, digits and underscores, a letter "
            f"first, and no word of Python, nor one of {', '.join(RESERVED)}. Ex: examplecodes"
        )
    if host is not None and not HOST.fullmatch(host):
        raise UsageError(f"--host {host!r} is no host: its name alone in lower case, as in www.example.org")
    for source in parsers.sources():
        if source.name == name:
            raise UsageError(f"There is a source {name} already. Choose another name.")
        if host in source.hosts:
            raise UsageError(f"The host {host} is of the source {source.name} already: its pages have a parser.")
    if taken := _taken(name, registry):
        raise UsageError(
            f"{name!r} cannot name a source: {taken}, and a module goes by the source's name. Ex: {name}codes"
        )


def _taken(name: str, registry: str) -> str | None:
    """What ``name`` is already, where a module of that name beside ``registry`` (the registry's text) is imported."""
    if name in vars(parsers) or find_spec(f"parsers.{name}"):
        return "it is a module or a function of cptflow's parsers"
    try:
        nodes = list(ast.walk(ast.parse(registry)))
    except SyntaxError as error:
        raise UsageError(f"{REGISTRY} is no Python: line {error.lineno}. Mend it first.") from error
    if any(getattr(node, key, None) == name for node in nodes for key in ("id", "name", "asname", "arg")):
        return f"it is a word that {REGISTRY} uses"
    if name in vars(builtins) or keyword.issoftkeyword(name):
        return "it is a word of Python"
    if name in sys.stdlib_module_names:
        return "it is a module of Python's standard library"
    spec = find_spec(name)  # a folder without a module in it has no origin, and hides nothing
    return "it is an installed module" if spec and spec.origin else None


def _module(name: str, host: str | None, module: str) -> str:
    to_do = "" if host else "# TO DO: the hosts that show these pages"
    text = _MODULE.substitute(name=name, host=host or _invented(name), host_to_do=to_do, module=module)
    return re.sub(r" +$", "", text, flags=re.MULTILINE)


def _invented(name: str) -> str:
    return f"www.{name.replace('_', '-')}.example"


def _case(host: str) -> str:
    case = {
        "url": f"https://{host}/codes/99213",
        "text_by": "hand",
        "shows": "TO DO: the page's real form of address above; by hand or trafilatura; here what this case shows",
    }
    return json.dumps(case, indent=1) + "\n"


def _registered(text: str, name: str) -> str:
    """The registry's text with ``name`` among its imports, which are in order, and at the end of its sources."""
    imports = re.search(r"from parsers import \(\n((?:    \w+,\n)+)\)", text)
    sources = re.search(r"^BUILT_IN: .*= \(\n((?:    \w+\.SOURCE,\n)+)\)", text, re.MULTILINE)
    if not imports or not sources:
        raise UsageError(f"{REGISTRY} has been rewritten: add {name} to its imports and to BUILT_IN there yourself.")
    lines = sorted([*imports[1].splitlines(keepends=True), f"    {name},\n"])
    with_source = text[: sources.end(1)] + f"    {name}.SOURCE,\n" + text[sources.end(1) :]
    return with_source[: imports.start(1)] + "".join(lines) + with_source[imports.end(1) :]


def _write(new: dict[Path, str]) -> None:
    if there := [str(path) for path in new if path.exists()]:
        raise UsageError(f"Nothing was written: {', '.join(there)} is there already, and is never overwritten.")
    for path, text in new.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
