"""A home with two snapshots, made once of the sample pages; tests that change it take a copy."""

import shutil
import sys

import pytest

from flows import cli
from tests.flows.pages import SAMPLES, run_inline
from warehouse import snapshots

pytest.register_assert_rewrite("tests.flows.modelled_home")


@pytest.fixture(autouse=True)
def no_settings_of_the_tester(monkeypatch):
    names = "HOME ENGINE WORKERS BATCH_PAGES TRUST CONFIG CONTACT SOURCES KEEP BANDS CACHE"
    names += " RIGHTS CHANNELS RULES OPERATORS"
    for name in names.split():
        monkeypatch.delenv(f"CPTFLOW_{name}", raising=False)


@pytest.fixture(scope="session")
def published(tmp_path_factory):
    """The home, to be read only."""
    home = tmp_path_factory.mktemp("published") / "home"
    for sample in SAMPLES:
        assert run_inline(home, sample).status == "published"
    return home


@pytest.fixture
def home(published, tmp_path):
    """A copy of the home."""
    return shutil.copytree(published, tmp_path / "home", symlinks=True)


@pytest.fixture
def cptflow(monkeypatch, capsys, tmp_path):
    """Runs a command in this process: its exit status, standard output and standard error."""
    monkeypatch.chdir(tmp_path)

    def command(*words):
        monkeypatch.setattr(sys, "argv", ["cptflow", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        out, err = capsys.readouterr()
        return end.value.code or 0, out, err

    return command


@pytest.fixture(scope="session")
def grown(published, tmp_path_factory):
    """The home as it was after its first run, near enough, and as it is after its second; to be read only."""
    first = shutil.copytree(published, tmp_path_factory.mktemp("grown") / "first", symlinks=True)
    before, last = snapshots.list_snapshots(first)
    run_id, folder = last["run_id"], snapshots.snapshots_folder(first)
    made = (folder / before["snapshot_id"] / snapshots.MANIFEST).stat().st_mtime_ns
    for pattern in (f"**/{run_id}*", "runs/.seen.json", "warehouse/freshness.parquet"):
        for file in [*first.glob(pattern)]:
            file.unlink()
    for file in (first / "parsed").rglob("*.parquet"):
        if file.stat().st_mtime_ns > made:
            file.unlink()
    shutil.rmtree(folder / last["snapshot_id"])
    link = first / "warehouse" / "current"
    link.unlink()
    link.symlink_to(f"snapshots/{before['snapshot_id']}")
    return first, published
