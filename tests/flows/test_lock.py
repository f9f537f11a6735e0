"""One run at a time in a home; the kernel frees the lock of a holder that was killed."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading

import pytest

from flows import pipeline
from flows.errors import HomeHeld, LockLost
from flows.lock import HOLDER, LOCK, hold, is_held, read_holder
from tests.flows.pages import folder, page, run_inline
from warehouse import snapshots

HOLD_UNTIL_TOLD = """
import sys
from pathlib import Path
from flows.lock import hold
with hold(Path(sys.argv[1]), "20260101T000000Z-beef"):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the home."""
    command = [sys.executable, "-c", HOLD_UNTIL_TOLD, str(tmp_path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_holder_is_turned_away_with_the_name_of_the_first(tmp_path, holder):
    with pytest.raises(HomeHeld) as caught, hold(tmp_path, "another"):
        pass

    assert caught.value.exit_status == 4
    assert caught.value.holder["pid"] == holder.pid
    assert "run 20260101T000000Z-beef" in str(caught.value)
    assert f"process {holder.pid} on" in str(caught.value)


def test_a_killed_holder_leaves_no_lock_behind(tmp_path, holder):
    assert is_held(tmp_path)
    holder.kill()
    holder.wait()

    assert not is_held(tmp_path)
    with hold(tmp_path, "20260102T000000Z-cafe"):
        assert read_holder(tmp_path)["pid"] == os.getpid()


def test_the_lock_is_freed_when_the_run_fails(tmp_path):
    with pytest.raises(ZeroDivisionError), hold(tmp_path, "20260101T000000Z-beef"):
        raise ZeroDivisionError

    assert not is_held(tmp_path)
    assert read_holder(tmp_path) is None


@pytest.mark.parametrize("content", ["", "{", "[]", json.dumps({"pid": 1})])
def test_a_holder_file_that_says_nothing_is_no_crash(tmp_path, holder, content):
    (tmp_path / HOLDER).write_text(content)

    with pytest.raises(HomeHeld, match="has not said who it is"), hold(tmp_path, "another"):
        pass


def test_a_lock_that_nobody_took_away_is_still_held(tmp_path):
    with hold(tmp_path, "20260101T000000Z-beef") as held:
        held.check()


def test_a_holder_whose_lock_was_removed_is_told_before_it_publishes(tmp_path):
    with hold(tmp_path, "20260101T000000Z-beef") as held:
        (tmp_path / LOCK).unlink()
        with pytest.raises(LockLost, match="another run may have taken the home") as caught:
            held.check()

    assert caught.value.exit_status == 4


def test_a_holder_that_was_overtaken_names_the_other_and_leaves_it_its_name(tmp_path):
    with hold(tmp_path, "20260101T000000Z-beef") as held:
        (tmp_path / LOCK).unlink()
        with hold(tmp_path, "20260102T000000Z-cafe") as other:
            with pytest.raises(LockLost, match="run 20260102T000000Z-cafe") as caught:
                held.check()
            other.check()
            assert caught.value.holder["pid"] == os.getpid()
            (tmp_path / HOLDER).rename(tmp_path / "kept")
        (tmp_path / "kept").rename(tmp_path / HOLDER)

    assert read_holder(tmp_path)["run_id"] == "20260102T000000Z-cafe"


def test_a_stopped_holder_keeps_the_home(tmp_path, holder):
    os.kill(holder.pid, signal.SIGSTOP)
    with pytest.raises(HomeHeld), hold(tmp_path, "another"):
        pass


def test_a_run_whose_lock_was_taken_away_publishes_nothing(home, tmp_path, monkeypatch):
    news = folder(tmp_path / "news", {"99999": page("99999")}, day="2026-02-01")
    before = snapshots.current_id(home)
    publish = pipeline.publish
    monkeypatch.setattr(pipeline, "publish", lambda *args: (home / LOCK).unlink() or publish(*args))
    with pytest.raises(LockLost):
        run_inline(home, news)
    assert snapshots.current_id(home) == before
    monkeypatch.undo()

    assert run_inline(home, news).status == "published"


def test_who_only_asks_whether_a_home_is_held_turns_no_run_away(tmp_path):
    (tmp_path / LOCK).touch()
    begun = threading.Event()

    def asks():
        with (tmp_path / LOCK).open("rb") as opened:  # as `is_held` does, a little longer
            fcntl.flock(opened, fcntl.LOCK_SH)
            begun.set()
            threading.Event().wait(0.02)

    asking = threading.Thread(target=asks)
    asking.start()
    begun.wait()
    with hold(tmp_path, "20260101T000000Z-beef") as held:
        held.check()
    asking.join()
