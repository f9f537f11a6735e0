"""Docs say what is there: each command, option, setting, outcome and limit; each link leads somewhere."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from pydantic.fields import FieldInfo
from typer.main import get_command

from flows.alert_settings import ChannelSettings, OperatorSettings, RuleSettings
from flows.cli import app
from flows.settings import CrawlSettings, KeepSettings, Settings, SourceSettings
from parsers import limits
from parsers.registry import BUILT_IN
from warehouse.limits import NAMES, Bands
from warehouse.tables import OUTCOMES, TABLES

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])
REFERENCE = (ROOT / "docs/reference.md").read_text("utf-8")
COMMANDS = get_command(app).commands  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_and_option_is_in_the_reference(name: str):
    rows = [line for line in REFERENCE.splitlines() if line.startswith(f"| `cptflow {name}")]
    assert rows, f"docs/reference.md has no row for `cptflow {name}`"
    found = [COMMANDS[name], *getattr(COMMANDS[name], "commands", {}).values()]
    options = {o for c in found for p in c.params for o in p.opts if o.startswith("--")} - {"--help"}
    assert {option for option in options if f"`{option}`" not in "".join(rows)} == set()


def test_every_command_in_the_reference_is_there():
    named = set(re.findall(r"^\| `cptflow ([a-z-]+)", REFERENCE, re.MULTILINE))
    assert named == set(COMMANDS)


def test_every_option_that_the_reference_names_is_there():
    documented = set(re.findall(r"`(--[a-z-]+)`", REFERENCE))
    commands = [c for top in COMMANDS.values() for c in (top, *getattr(top, "commands", {}).values())]
    options = {option for command in commands for param in command.params for option in param.opts}
    assert documented <= options | {"--debug"}


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_every_setting_is_in_the_reference_with_its_default(name: str):
    row = next((line for line in REFERENCE.splitlines() if line.startswith(f"| `{name}` |")), None)
    assert row is not None, f"docs/reference.md has no row for the setting {name}"
    assert f"`CPTFLOW_{name.upper()}`" in row
    default = Settings.model_fields[name].default
    if isinstance(default, tuple):
        assert ",".join(default) in row
    elif isinstance(default, str | int | Path):
        assert str(default).lower() in row.lower()


@pytest.mark.parametrize(
    ("name", "field"),
    [*SourceSettings.model_fields.items(), *CrawlSettings.model_fields.items()],
    ids=[*SourceSettings.model_fields, *CrawlSettings.model_fields],
)
def test_every_setting_of_a_source_is_in_the_reference_with_its_default(name: str, field: FieldInfo):
    if name == "crawl":
        assert "In the table `[sources.NAME.crawl]`" in REFERENCE
        return
    row = next((line for line in REFERENCE.splitlines() if line.startswith(f"| `{name}` |")), None)
    assert row is not None, f"docs/reference.md has no row for the setting {name} of a source"
    default = str(field.default) if field.default else "the source's own" if name == "hosts" else "none"
    assert row.split("|")[2].strip() == default


@pytest.mark.parametrize(("name", "field"), Bands.model_fields.items(), ids=Bands.model_fields)
def test_every_band_is_in_the_reference_with_its_default_and_its_reason(name: str, field: FieldInfo):
    assert f"| `{name}` | {field.default} | {field.description} |" in REFERENCE


@pytest.mark.parametrize("name", NAMES)
def test_every_rule_that_can_be_let_pass_is_in_the_reference(name: str):
    assert f"| `{name}:SOURCE` |" in REFERENCE


@pytest.mark.parametrize(("name", "field"), KeepSettings.model_fields.items(), ids=[*KeepSettings.model_fields])
def test_every_rule_of_keeping_is_in_the_reference_with_its_default(name: str, field: FieldInfo):
    row = next((line for line in REFERENCE.splitlines() if line.startswith(f"| `{name}` |")), None)
    assert row is not None, f"docs/reference.md has no row for the setting {name} of [keep]"
    assert row.split("|")[2].strip() == str(field.default)


@pytest.mark.parametrize(
    ("table", "name", "field"),
    [
        (table, name, field)
        for table, model in (
            ("[channels.NAME]", ChannelSettings),
            ("[rules.NAME]", RuleSettings),
            ("[operators]", OperatorSettings),
        )
        for name, field in model.model_fields.items()
    ],
)
def test_every_setting_of_alerts_is_in_the_reference_with_its_default(table: str, name: str, field: FieldInfo):
    section = REFERENCE.split(f"In the table `{table}`")[1].split("In the table `")[0]
    row = next((line for line in section.splitlines() if line.startswith(f"| `{name}` |")), None)
    assert row is not None, f"docs/reference.md has no row for the setting {name} of {table}"
    default = ",".join(field.default) if isinstance(field.default, tuple) else field.default
    told = "required" if field.is_required() else str(default or "none")
    assert row.split("|")[2].strip().strip("`") == told


def test_the_settings_example_is_allowed():
    example = re.search(r"```toml\n(.*?)```", REFERENCE, re.DOTALL)
    assert example is not None
    Settings(**tomllib.loads(example[1]))


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_every_outcome_is_in_the_reference(outcome: str):
    assert f"| `{outcome}` |" in REFERENCE


def test_every_limit_is_in_the_reference_with_its_value():
    told = {
        "bytes": f"{limits.MAX_BYTES // 1024**2} MiB",
        "tags (and comments)": f"{limits.MAX_TAGS:,}",
        "runs of text": f"{limits.MAX_TEXTS:,}",
        "nested tags": f"{limits.MAX_DEPTH}",
        "blocks": f"{limits.MAX_BLOCKS:,}",
        "characters in one block": f"{limits.MAX_BLOCK_CHARACTERS:,}",
        "records": f"{limits.MAX_RECORDS:,}",
        "seconds": f"{limits.MAX_SECONDS:g} (tried again at the next run)",
    }
    assert len(told) + 1 == len([name for name in vars(limits) if name.startswith("MAX_")])
    assert f"no more than {limits.MAX_MEMORY // 1024**2} MiB of memory" in REFERENCE
    for what, value in told.items():
        assert f"| {what} | {value} |" in REFERENCE


def test_every_parser_warning_is_in_the_reference():
    source = "".join(path.read_text("utf-8") for path in (ROOT / "parsers").glob("*.py"))
    rules = set(re.findall(r'ParseWarning\(\s*"([a-z_]+)"', source)) | set(
        re.findall(r'problem = \("([a-z_]+)"', source)
    )
    documented = set(re.findall(r"^\| `([a-z_]+)` \|", REFERENCE.split("## Warnings of the parsers")[1], re.MULTILINE))
    assert rules - documented == set()
    assert {rule for rule in documented if f'"{rule}"' not in source} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_and_paths_lead_somewhere(page: Path):
    text = page.read_text("utf-8")
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text)]
    missing = [link for link in links if link and "://" not in link and not (page.parent / link).exists()]
    assert missing == []


def test_the_readme_names_what_is_there():
    readme = (ROOT / "README.md").read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)\b", readme)) - {"it"} <= targets
    assert {"run", "test", "test-full"} <= targets
    assert [table.name for table in TABLES if table.name not in readme and table.name != "snapshot"] == []
    assert "American Medical Association" in readme


def test_the_changelog_names_each_parser_version():
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    missing = [words for s in BUILT_IN if (words := f"`{s.name}` (version {s.version})") not in changelog]
    assert not missing, f"CHANGELOG.md has to tell of the parser {', '.join(missing)}"
