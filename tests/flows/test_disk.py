"""What the disk refuses is told with step, path and advice (law 11), and `current` is as it was (law 4)."""

import errno
import json
import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from flows import pipeline
from flows.checkup import examine
from flows.engine import ProcessPool
from flows.errors import DiskFailed
from flows.lock import LOCK
from flows.settings import Settings
from tests.flows import batches
from tests.flows.pages import folder, page, run_inline
from warehouse import snapshots

CPTFLOW = str(Path(sys.executable).with_name("cptflow"))


def refuses(number, path=None):
    def refused(*args, **kwargs):
        raise OSError(number, os.strerror(number), path)

    return refused


def test_law_11_the_step_the_path_and_the_systems_words(home, tmp_path, monkeypatch):
    before = snapshots.current_id(home)
    news = folder(tmp_path / "news", {"99999": page("99999")}, day="2026-02-01")
    monkeypatch.setattr(pipeline, "publish", refuses(errno.ENOSPC, "/somewhere/file"))
    with pytest.raises(DiskFailed) as caught:
        run_inline(home, news)
    report = json.loads(max((home / "runs").glob("2*.json")).read_text())

    assert (caught.value.exit_status, caught.value.path) == (1, "/somewhere/file")
    assert "Step publish: the system refused /somewhere/file: No space left on device." in str(caught.value)
    assert "`current` is as it was; running again goes on from here" in str(caught.value)
    assert (report["status"], report["error"]["type"], report["snapshot_id"]) == ("failed", "DiskFailed", before)
    assert [step["step"] for step in report["steps"] if step["failed"]] == ["publish"]
    monkeypatch.undo()
    assert run_inline(home, news).status == "published"


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "Make room on its disk"),
        (errno.EFBIG, "raise the limit on the size of files"),
        (errno.EACCES, "Give this user the right"),
        (errno.EROFS, "Give this user the right"),
        (errno.EIO, "See whether its disk is there and healthy"),
    ],
)
def test_law_11_what_to_do_depends_on_what_the_system_said(tmp_path, number, advice):
    error = DiskFailed("Step land", tmp_path, OSError(number, os.strerror(number)), "`current` is as it was")

    assert f"the system refused {tmp_path}: {os.strerror(number)}. " in str(error)
    assert advice in str(error)


@pytest.mark.parametrize("where", ["mark_seen", pytest.param("write", marks=pytest.mark.full)])
def test_a_disk_that_fills_after_publication_does_not_hide_the_snapshot(home, tmp_path, monkeypatch, where):
    news = folder(tmp_path / "news", {"99999": page("99999")}, day="2026-02-01")
    before = snapshots.current_id(home)
    monkeypatch.setattr(pipeline.planning if where == "mark_seen" else pipeline.reports, where, refuses(errno.ENOSPC))
    with pytest.raises(DiskFailed) as caught:
        run_inline(home, news)

    assert snapshots.current_id(home) != before
    assert f"`current` points to the new snapshot {snapshots.current_id(home)}" in str(caught.value)


def test_a_lock_that_cannot_be_written_is_told(home, monkeypatch):
    monkeypatch.setattr("flows.lock.hold", refuses(errno.EROFS, str(home / LOCK)))
    with pytest.raises(DiskFailed, match=re.escape(str(home / LOCK))):
        run_inline(home)


def test_a_workers_disk_error_is_the_disks_not_the_batchs():
    with pytest.raises(OSError, match="No space left") as caught:
        list(ProcessPool(2).map("parse", batches.finds_the_disk_full, [1, 2]))

    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, "/somewhere/file")


@pytest.mark.parametrize("kibibytes", [1, pytest.param(12, marks=pytest.mark.full)])
def test_a_real_limit_on_the_size_of_files(home, tmp_path, kibibytes):
    pages = {code: page(code) + "\n".join(f"Synthetic {number**5}" for number in range(3000)) for code in ("99999",)}
    news = folder(tmp_path / "news", pages, day="2026-02-01")
    before = snapshots.current_id(home)
    limit = kibibytes * 1024
    answer = subprocess.run(
        [CPTFLOW, "run", str(news), "--home", str(home)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )

    assert answer.returncode == 1
    assert re.search(r"Step \w+: the system refused .*File too large.*Make room", answer.stderr)
    assert "Unexpected" not in answer.stderr
    assert snapshots.current_id(home) == before


def test_doctor_works_on_a_read_only_home(home, monkeypatch):
    monkeypatch.setattr("flows.checkup.tempfile.TemporaryFile", refuses(errno.EROFS, str(home)))
    monkeypatch.setattr("flows.lock.FileLock", refuses(errno.EROFS, str(home / LOCK)))
    found = {finding.what: finding for finding in examine(Settings(home=home))}

    assert not found["home"].good
    assert "Read-only file system" in found["home"].found
    assert found["lock"].found == "free"
    assert found["snapshot"].good


def test_a_reading_command_that_may_not_read_is_told(home, monkeypatch, capsys):
    from flows import cli

    monkeypatch.setattr(snapshots, "list_snapshots", refuses(errno.EACCES, str(home / "warehouse")))
    monkeypatch.setattr(sys, "argv", ["cptflow", "snapshots", "--home", str(home)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    err = capsys.readouterr().err

    assert end.value.code == 1
    assert f"the system refused {home / 'warehouse'}: Permission denied" in err
    assert "Unexpected" not in err
