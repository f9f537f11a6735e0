"""Laws 4 and 11 at every single write of a run: it is killed there, or the disk refuses."""

import ctypes
import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from tests.faulty_disk import KILL
from tests.flows import fault_points
from tests.flows.pages import folder, page, run_inline
from warehouse import snapshots

CPTFLOW = str(Path(sys.executable).with_name("cptflow"))


@pytest.fixture
def news(tmp_path):
    return folder(tmp_path / "news", {"00100": page("00100", short="Synthetic NEW")}, day="2026-02-01")


@pytest.fixture
def small(tmp_path):
    """A home with three pages."""
    codes = ("00100", "00102", "00103")
    pages = folder(tmp_path / "pages", {code: page(code) for code in codes})
    assert run_inline(tmp_path / "small", pages).status == "published"
    return tmp_path / "small"


@pytest.mark.full
@pytest.mark.parametrize(
    ("first", "faults"), [(0, (KILL,)), (1, ("ENOSPC", "EIO", "EACCES", "EROFS"))], ids=["killed", "refused"]
)
def test_law_4_a_run_that_is_cut_off_at_its_writes(small, news, tmp_path, first, faults):
    """`current` is whole, no page is lost, the error is in words, and the next run ends as if nothing had happened.

    A snapshot's own writes meet each fault in tests/warehouse; here each other write of a run meets one.
    """
    scratch = tmp_path / "points"
    scratch.mkdir()
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        calls, wrong = pool.submit(fault_points.run, small, news, scratch, faults, first).result()
    assert wrong == []
    assert calls > 20


# From <linux/prctl.h> and <linux/capability.h>: root, too, obeys the rights of files without these two.
DROP, OVERRIDE, READ_SEARCH = 24, 1, 2


def as_somebody_without_special_rights():
    libc = ctypes.CDLL(None)
    for capability in (OVERRIDE, READ_SEARCH):
        libc.prctl(DROP, capability, 0, 0, 0)  # refused to who is not root, who obeys them anyway


@pytest.fixture
def read_only(home):
    """The home, in which nobody may write."""
    folders = [Path(place) for place, _, _ in os.walk(home)]
    for place in folders:
        for file in (f for f in place.iterdir() if f.is_file() and not f.is_symlink()):
            file.chmod(0o444)
        place.chmod(0o555)
    yield home
    for place in folders:
        place.chmod(0o755)


@pytest.mark.full
def test_law_11_a_read_only_home_is_told_and_can_be_read(read_only, tmp_path):
    news = folder(tmp_path / "news", {"99999": page("99999")}, day="2026-02-01")
    before = {path: path.lstat().st_mtime_ns for path in read_only.rglob("*")}

    def answer(*words):
        command = [CPTFLOW, *map(str, words), "--home", str(read_only)]
        return subprocess.run(
            command, capture_output=True, text=True, check=False, preexec_fn=as_somebody_without_special_rights
        )

    for words in (("run", news), ("snapshots", "expire", "--yes")):
        refused = answer(*words)
        assert refused.returncode == 1, refused
        assert "the system refused" in refused.stderr
        assert "Permission denied. Give this user the right" in refused.stderr
        assert "Unexpected" not in refused.stderr
    for words in (("snapshots", "verify"), ("snapshots", "expire")):
        assert answer(*words).returncode == 0, words
    assert {path: path.lstat().st_mtime_ns for path in read_only.rglob("*")} == before
    assert snapshots.verify(read_only, snapshots.current_id(read_only)) == []
