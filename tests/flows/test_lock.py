"""One run at a time in a home; the kernel frees the lock of a holder that was killed."""

import json
import os
import subprocess
import sys

import pytest

from flows.errors import HomeHeld
from flows.lock import HOLDER, hold, is_held, read_holder

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
