"""A home with two snapshots, made once of the sample pages; tests that change it take a copy."""

import shutil

import pytest

from tests.flows.pages import SAMPLES, run_inline


@pytest.fixture(autouse=True)
def no_settings_of_the_tester(monkeypatch):
    for name in ("HOME", "ENGINE", "WORKERS", "BATCH_PAGES", "TRUST", "CONFIG", "CONTACT", "SOURCES"):
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
