"""`cptflow new-source`: what it writes fails with what is to do, and passes once that is done."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flows import cli, scaffold
from flows.errors import UsageError

ROOT = Path(__file__).parents[2]
PLUGIN = ROOT / "tests/parsers/plugin/cptflow_syntheticcodes.py"
PAGE = ["Synthetic Step", "Synthetic facts", "Synthetic words of a new source.", "Synthetic end"]
EXPECTED = {
    "outcome": "parsed",
    "reason": None,
    "code": "99213",
    "truncated": False,
    "covered_tables": ["descriptors", "narratives"],
    "records": {
        "descriptors": [{"kind": "title", "text": "Synthetic Step"}],
        "narratives": [{"section": "summary", "ordinal": 1, "text": "Synthetic words of a new source."}],
    },
    "unmapped": [],
    "warnings": [],
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """As much of a checkout as the command asks for."""
    root = tmp_path / "checkout"
    (root / "parsers").mkdir(parents=True)
    (root / "tests/golden").mkdir(parents=True)
    shutil.copy(ROOT / "pyproject.toml", root)
    shutil.copy(ROOT / "parsers/registry.py", root / "parsers")
    return root


def _tree(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_it_writes_parser_golden_and_registry_entry_and_nothing_else(checkout: Path):
    before = _tree(checkout)
    scaffold.in_checkout(checkout, "example_codes", "codes.example.com")
    after = _tree(checkout)
    golden = {f"tests/golden/example_codes/first/{name}" for name in ("case.json", "page.html", "page.txt")}
    assert {name for name in after if after[name] != before.get(name)} == {
        "parsers/example_codes.py",
        "parsers/registry.py",
        *golden,
    }
    registry = after["parsers/registry.py"].decode()
    added = [line.strip() for line in registry.splitlines() if "example_codes" in line]
    assert added == ["example_codes,", "example_codes.SOURCE,"]
    assert registry.index("openpayer.SOURCE") < registry.index("example_codes.SOURCE")
    assert 'hosts=("codes.example.com",)' in after["parsers/example_codes.py"].decode()
    assert json.loads(after["tests/golden/example_codes/first/case.json"])["url"].startswith(
        "https://codes.example.com"
    )
    compile(after["parsers/example_codes.py"], "example_codes.py", "exec")


def test_what_it_writes_is_in_the_projects_form(checkout: Path):
    scaffold.in_checkout(checkout, "example_codes", None)
    scaffold.as_package(checkout / "package", "example_codes", None)
    for words in (["check"], ["format", "--check"]):
        ruff = [
            str(Path(sys.executable).with_name("ruff")),
            *words,
            "--no-cache",
            "parsers/example_codes.py",
            "package",
        ]
        done = subprocess.run(ruff, cwd=checkout, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("name", "host", "said"),
    [
        ("Example", None, "cannot name a source: .*lower-case letters"),
        ("1example", None, "cannot name a source"),
        ("../example", None, "cannot name a source"),
        ("class", None, "no word of Python"),
        ("local", None, "none, local, other"),
        ("x" * 41, None, "at most 40"),
        ("openpayer", None, "There is a source openpayer already"),
        ("registry", None, "a module or a function of cptflow's parsers"),
        ("live", None, "a module or a function of cptflow's parsers"),
        ("re", None, r"a word that parsers.registry\.py uses"),
        ("cache", None, r"a word that parsers.registry\.py uses"),
        ("dataclass", None, r"a word that parsers.registry\.py uses"),
        ("entry_point", None, r"a word that parsers.registry\.py uses"),
        ("print", None, "it is a word of Python"),
        ("match", None, "it is a word of Python"),
        ("json", None, "module of Python's standard library"),
        ("pytest", None, "an installed module"),
        ("warehouse", None, "an installed module"),
        ("example", "https://x.example/", "is no host"),
        ("example", "genhealth.ai", "host genhealth.ai is of the source genhealth already"),
    ],
)
def test_a_name_or_host_that_cannot_be_used_writes_nothing(checkout: Path, name: str, host: str | None, said: str):
    before = _tree(checkout)
    with pytest.raises(UsageError, match=said):
        scaffold.in_checkout(checkout, name, host)
    assert _tree(checkout) == before


@pytest.mark.parametrize("name", ["re", "cache", "dataclass", "json", "page"])
def test_a_package_is_named_by_the_same_rules(tmp_path: Path, name: str):
    with pytest.raises(UsageError, match=f"'{name}' cannot name a source: it is .*Ex: {name}codes"):
        scaffold.as_package(tmp_path / "package", name, None)
    assert not (tmp_path / "package").exists()


def test_an_empty_folder_of_the_name_hides_nothing(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "examplefolder").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert scaffold.in_checkout(checkout, "examplefolder", None)


def test_a_module_of_the_parsers_is_never_overwritten(checkout: Path):
    (checkout / "parsers/example.py").write_text("mine")
    with pytest.raises(UsageError, match=r"parsers.example\.py is there already, and is never overwritten"):
        scaffold.in_checkout(checkout, "example", None)


def test_a_registry_that_is_no_python_is_named(checkout: Path):
    (checkout / "parsers/registry.py").write_text("BUILT_IN: = ()\n")
    with pytest.raises(UsageError, match=r"parsers.registry\.py is no Python: line 1"):
        scaffold.in_checkout(checkout, "example", None)


def test_nothing_is_overwritten(checkout: Path):
    page = checkout / "tests/golden/example/first/page.html"
    page.parent.mkdir(parents=True)
    page.write_text("mine")
    before = _tree(checkout)
    with pytest.raises(UsageError, match=r"Nothing was written: .*page\.html is there already"):
        scaffold.in_checkout(checkout, "example", None)
    assert _tree(checkout) == before


def test_a_registry_that_was_rewritten_is_left_to_its_writer(checkout: Path):
    (checkout / "parsers/registry.py").write_text("BUILT_IN = ()\n")
    before = _tree(checkout)
    with pytest.raises(UsageError, match="add example to its imports and to BUILT_IN there yourself"):
        scaffold.in_checkout(checkout, "example", None)
    assert _tree(checkout) == before


def test_elsewhere_than_in_a_checkout_it_says_where_to_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["cptflow", "new-source", "example"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    told = capsys.readouterr().err
    assert end.value.code == 2
    assert "no checkout of cptflow" in told
    assert "--package FOLDER" in told
    assert list(tmp_path.iterdir()) == []


def _run(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(root)}
    return subprocess.run(
        [sys.executable, *words], cwd=root, env=environment, capture_output=True, text=True, check=False
    )


def _tests(root: Path) -> subprocess.CompletedProcess[str]:
    folders = ("tests/golden", "tests/parsers", "tests/docs")
    return _run(root, "-m", "pytest", "-q", "-p", "no:cacheprovider", *folders, "-k", "examplecodes or changelog")


@pytest.mark.full
def test_a_new_source_fails_with_what_is_to_do_and_passes_once_it_is_done(tmp_path: Path):
    root = tmp_path / "cptflow"
    aside = shutil.ignore_patterns(".git", ".venv", "data", ".*_cache", ".hypothesis", "__pycache__", "*.egg-info")
    shutil.copytree(ROOT, root, ignore=aside)
    command = "from flows.cli import main; main()"
    written = _run(root, "-c", command, "new-source", "examplecodes", "--host", "codes.example.com")
    assert written.returncode == 0, written.stderr
    module, golden = root / "parsers/examplecodes.py", root / "tests/golden/examplecodes/first"

    told = _tests(root)
    assert told.returncode == 1, told.stdout
    for words in (
        "parsers/examplecodes.py:14: # TO DO: go through reading.page.blocks",
        "TO DO: write read() in parsers/examplecodes.py",
        "tests/golden/examplecodes/first/page.html:6: <h1>TO DO: its headings",
        "examplecodes/first/expected.json is missing: `make goldens` writes a candidate",
        "CHANGELOG.md has to tell of the parser `examplecodes` (version 1)",
    ):
        assert words in told.stdout, words

    parser = PLUGIN.read_text("utf-8").replace("syntheticcodes", "examplecodes")
    module.write_text(parser.replace("codes.synthetic.example", "codes.example.com").replace("version=3", "version=1"))
    body = "".join(f"<p>{line}</p>" for line in PAGE)
    (golden / "page.html").write_text(f"<!doctype html><html><body><main>{body}</main></body></html>\n")
    (golden / "page.txt").write_text("\n".join(PAGE) + "\n")
    (golden / "expected.json").write_text(json.dumps(EXPECTED))
    case = (golden / "case.json").read_text().replace("TO DO: ", "all of the page: ")
    (golden / "case.json").write_text(case)
    changelog = root / "CHANGELOG.md"
    changelog.write_text(changelog.read_text("utf-8") + "- Parser `examplecodes` (version 1).\n", "utf-8")

    done = _tests(root)
    assert done.returncode == 0, done.stdout
    shown = _run(root, "-c", command, "parse", str(golden / "page.html"), "--url", "https://codes.example.com/99213")
    assert "parser examplecodes@1" in shown.stdout, shown.stdout + shown.stderr


@pytest.mark.full
def test_a_new_package_is_installed_and_says_what_is_to_do(tmp_path: Path):
    package, site = tmp_path / "package", tmp_path / "site"
    scaffold.as_package(package, "example_codes", "codes.example.com")
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(site), str(package)], check=True, capture_output=True)
    (tmp_path / "page.txt").write_text("to do\nSynthetic words.\n")
    environment = os.environ | {"PYTHONPATH": str(site)}
    words = ["parse", str(tmp_path / "page.txt"), "--url", "https://codes.example.com/99213", "--json"]
    cptflow = str(Path(sys.executable).with_name("cptflow"))
    told = subprocess.run([cptflow, *words], env=environment, capture_output=True, text=True, check=True)
    result = json.loads(told.stdout)
    assert (result["source"], result["outcome"]) == ("example_codes", "failed")
    assert "TO DO: write read() in cptflow_example_codes.py" in result["reason"]
