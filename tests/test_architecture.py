"""The house: imports run one way, and what is slow to import is imported where it is used."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "raw": set(),
    "parsers": set(),
    "warehouse": {"parsers"},
    "flows": {"raw", "parsers", "warehouse"},
}
# What a parser has no business with: a parse depends on bytes, url and version alone (law 2).
IMPURE = {
    "asyncio", "fsspec", "http.client", "io", "multiprocessing", "os", "pandas", "pathlib", "prefect", "pyarrow",
    "random", "shutil", "socket", "subprocess", "tempfile", "threading", "urllib.request",
}  # fmt: skip
SLOW = {"great_expectations", "prefect"}
# The only module with Prefect at its top, where its decorators are needed; nothing imports it at the top.
PREFECT_MODULES = {Path("flows/schedule.py"), *(m.relative_to(ROOT) for m in (ROOT / "flows").glob("prefect_*.py"))}
IN_A_FUNCTION = {Path("flows/alerts/secrets.py")}
"""Secret blocks, where a channel names one."""


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imports(module: Path, *, top: bool = False) -> Iterator[str]:
    """Full names of what a module imports; with ``top`` only what importing it imports."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    nodes = _at_import(tree.body) if top else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative imports hide where they lead"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _at_import(body: list[ast.stmt]) -> Iterator[ast.AST]:
    for node in body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        for inner in ("body", "orelse", "handlers", "finalbody"):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield from _at_import(getattr(node, inner, []))


def is_of(name: str, packages: set[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_run_one_way(package):
    forbidden = set(MAY_IMPORT) - MAY_IMPORT[package] - {package}
    wrong = [(str(m), name) for m in modules(package) for name in imports(m) if is_of(name, forbidden)]

    assert modules(package), "no modules, no test"
    assert not wrong


def test_law_2_parsers_do_no_input_or_output():
    wrong = [(str(m), name) for m in modules("parsers") for name in imports(m) if is_of(name, IMPURE)]

    assert not wrong


def test_only_flows_know_prefect_and_the_pipeline_does_not():
    knowing = {
        m.relative_to(ROOT) for p in MAY_IMPORT for m in modules(p) if any(is_of(n, {"prefect"}) for n in imports(m))
    }

    assert knowing == PREFECT_MODULES | IN_A_FUNCTION


def test_slow_libraries_are_imported_where_they_are_used():
    slow = SLOW | {".".join(module.with_suffix("").parts) for module in PREFECT_MODULES}
    wrong = [
        (str(m), name)
        for package in MAY_IMPORT
        for m in modules(package)
        for name in imports(m, top=True)
        if is_of(name, slow) and m.relative_to(ROOT) not in PREFECT_MODULES
    ]

    assert not wrong


def test_pandas_is_not_on_the_way_of_the_pipelines_own_modules():
    wrong = [(str(m), name) for m in modules("flows") for name in imports(m, top=True) if is_of(name, {"pandas"})]

    assert not wrong
