"""Which sources there are: ours, and those of installed packages, which are told apart from broken ones in words."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import parsers
from parsers import registry
from parsers.registry import BUILT_IN, SourceError, SourceNotLoaded, SourceTaken, SourceUnfit

PLUGIN = Path(__file__).parent / "plugin"
CPTFLOW = str(Path(sys.executable).with_name("cptflow"))
URL = "https://codes.synthetic.example/99213"
PAGE = "Synthetic Step\nSynthetic facts\nSynthetic words of an installed package.\nSynthetic end\n"

_MODULE = """from parsers.source import Coverage, Source

SOURCE = Source(name="{name}", version=1, hosts=({host!r},), marks=(r"x {name}$",), read=lambda reading: Coverage(()))
"""
Install = Callable[..., Path]


def _with(setting: str) -> str:
    """A source with one more setting."""
    return _MODULE.format(name="a", host="a.example").replace("version=1", f"version=1, {setting}")


def install(place: Path, package: str, module: str | None) -> Path:
    """Put a package into ``place`` as pip would: its module, and what it says of itself."""
    dist = place / f"{package.replace('-', '_')}-1.0.dist-info"
    dist.mkdir(parents=True)
    (dist / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    name = package.replace("-", "_")
    (dist / "entry_points.txt").write_text(f"[cptflow.sources]\n{name} = {name}:SOURCE\n")
    if module is not None:
        (place / f"{name}.py").write_text(module)
    return place


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs packages for this test, into a folder on the path of this process."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    registry.registered.cache_clear()

    def anew(*words: str | None) -> Path:
        registry.registered.cache_clear()
        return install(tmp_path, *words)

    yield anew
    registry.registered.cache_clear()
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def test_without_packages_the_sources_are_ours():
    assert parsers.sources() == BUILT_IN


def test_sources_of_packages_come_after_ours_by_name_and_everyone_sees_them(installed: Install):
    alone = parsers.live()
    for name in ("zeta", "alpha"):
        installed(f"synthetic-{name}", _MODULE.format(name=name, host=f"{name}.example"))
    assert [source.name for source in parsers.sources()] == [*(s.name for s in BUILT_IN), "alpha", "zeta"]
    assert {"alpha@1", "zeta@1"} <= set(parsers.live())
    assert alone[-1] not in parsers.live(), "a page that no parser knew may be known now"
    assert parsers.source_of("https://zeta.example/x") == "zeta"
    assert parsers.parse(b"A synthetic page.", "https://alpha.example/99213").outcome == "layout_changed"


@pytest.mark.parametrize(
    ("module", "error", "said"),
    [
        ("import no_such_module_here\n", SourceNotLoaded, "ModuleNotFoundError: No module named 'no_such_module_here'"),
        ("SOURCE: = 1\n", SourceNotLoaded, "SyntaxError"),
        ("raise SystemExit(3)\n", SourceNotLoaded, "SystemExit: 3"),
        ("source = 1\n", SourceNotLoaded, "AttributeError"),
        (None, SourceNotLoaded, "ModuleNotFoundError"),
        ("SOURCE = 'a string'\n", SourceUnfit, "is no parsers.source.Source but str"),
        (_MODULE.format(name="../evil", host="a.example"), SourceUnfit, "named '../evil'"),
        (_MODULE.format(name="none", host="a.example"), SourceUnfit, "none of none, local, other"),
        (_MODULE.format(name="a", host="A.example/x"), SourceUnfit, "hosts ('A.example/x',)"),
        (_MODULE.format(name="a", host="a.example").replace("version=1", "version=0"), SourceUnfit, "version 0"),
        (_MODULE.format(name="a", host="a.example").replace("x a$", "(x"), SourceUnfit, "marks ('(x',)"),
        (_MODULE.format(name="a", host="a.example").replace("x a$", "(x)"), SourceUnfit, "without groups"),
        (_MODULE.format(name="a", host="a.example").replace("version=1", "version=True"), SourceUnfit, "version True"),
        (_MODULE.format(name="a", host="a.example").replace("x a$", ""), SourceUnfit, "found in an empty text"),
        (_MODULE.format(name="a", host="a.example").replace("x a$", "(?:x a)?"), SourceUnfit, "found in an empty text"),
        (_with("enough_marks=0"), SourceUnfit, "enough_marks 0, where it is a whole number from 1 on"),
        (_with("enough_marks=True"), SourceUnfit, "enough_marks True"),
        (
            _with("never_empty=('descriptor',)"),
            SourceUnfit,
            "never_empty ('descriptor',), where it is a tuple of tables",
        ),
        (_with("never_empty='descriptors'"), SourceUnfit, "never_empty 'descriptors'"),
        (_with("never_empty=(['descriptors'],)"), SourceUnfit, "never_empty (['descriptors'],)"),
        (_MODULE.format(name="openpayer", host="a.example"), SourceTaken, "its name 'openpayer' is taken by cptflow"),
        (
            _MODULE.format(name="a", host="genhealth.ai"),
            SourceTaken,
            "its host 'genhealth.ai' is taken by cptflow itself. Give it a host of its own",
        ),
    ],
)
def test_a_package_that_cannot_be_used_is_named_with_what_to_do(
    installed: Install, module: str | None, error: type[SourceError], said: str
):
    installed("synthetic-broken", module)
    for ask in (parsers.sources, parsers.live, lambda: parsers.parse(b"x", "")):
        with pytest.raises(SourceError) as caught:
            ask()
    assert type(caught.value) is error
    assert (caught.value.package, caught.value.entry_point) == ("synthetic-broken", "synthetic_broken")
    for words in (said, "synthetic-broken", "'synthetic_broken'", "pip uninstall synthetic-broken"):
        assert words in str(caught.value)


def test_two_packages_with_one_name_are_both_named(installed: Install):
    for package in ("synthetic-one", "synthetic-two"):
        installed(package, _MODULE.format(name="same", host=f"{package}.example"))
    with pytest.raises(SourceTaken, match=r"synthetic-two .* 'same' is taken by the package synthetic-one"):
        parsers.sources()


def _cptflow(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(place)}
    return subprocess.run([CPTFLOW, *words], cwd=place, env=environment, capture_output=True, text=True, check=False)


def test_a_broken_package_is_told_to_a_person_without_a_traceback(tmp_path: Path):
    (tmp_path / "page.txt").write_text(PAGE)
    install(tmp_path / "site", "synthetic-broken", "import no_such_module_here\n")
    told = _cptflow(tmp_path / "site", "parse", str(tmp_path / "page.txt"), "--json")
    assert told.returncode == 2
    assert "Traceback" not in told.stderr
    assert re.search(r"package synthetic-broken brings a source .*pip uninstall synthetic-broken", told.stderr)
    assert json.loads(told.stdout)["error"]["type"] == "SourceNotLoaded"


def test_importing_the_parsers_loads_no_package(tmp_path: Path):
    install(tmp_path, "synthetic-broken", "import no_such_module_here\n")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    subprocess.run([sys.executable, "-c", "import parsers"], env=environment, check=True, capture_output=True)


@pytest.mark.full
def test_an_installed_package_is_a_source_like_ours(tmp_path: Path):
    """pip installs it; its page lands, is parsed, and stands in the tables."""
    site, pages = tmp_path / "site", tmp_path / "pages"
    source = tmp_path / "package"
    source.mkdir()
    for file in PLUGIN.glob("*.*"):
        (source / file.name).write_bytes(file.read_bytes())
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(site), str(source)], check=True, capture_output=True)
    pages.mkdir()
    (pages / "page.txt").write_text(PAGE)
    entry = {"file": "page.txt", "url": URL, "fetched_at": "2026-01-01T00:00:00Z", "status": 200}
    (pages / "manifest.jsonl").write_text(json.dumps(entry) + "\n")

    parsed = json.loads(_cptflow(site, "parse", str(pages / "page.txt"), "--url", URL, "--json").stdout)
    assert (parsed["source"], parsed["outcome"], parsed["code"]) == ("syntheticcodes", "parsed", "99213")
    home = str(tmp_path / "home")
    run = _cptflow(site, "run", str(pages), "--home", home, "--engine", "processes", "--workers", "2")
    assert run.returncode == 0, run.stderr
    sql = (
        "select d.source, d.text, n.text as words, o.parser, o.parser_version from descriptors d "
        "join narratives n using (source, code) join documents o on o.document_id = d.document_id"
    )
    rows = json.loads(_cptflow(site, "query", sql, "--home", home, "--json").stdout)
    assert [list(row.values()) for row in rows] == [
        ["syntheticcodes", "Synthetic Step", "Synthetic words of an installed package.", "syntheticcodes", 3]
    ]
    assert list((tmp_path / "home" / "raw" / "warc" / "syntheticcodes").glob("*.warc.gz"))
