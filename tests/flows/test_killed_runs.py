"""Law 4: a run that is killed at any moment leaves the last good snapshot, and the next run needs no repair."""

import multiprocessing
import random
import signal
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor

import pytest

from flows import pipeline
from flows.engine import InProcess
from flows.settings import Settings
from tests.flows import kill_moments
from tests.flows.pages import folder, page, run_inline, silent
from warehouse import snapshots


class Killed(BaseException):
    """Stands for the end of the process."""


class DiesAt(InProcess):
    """An engine that ends before, or after, a step."""

    def __init__(self, name, *, after):
        super().__init__()
        object.__setattr__(self, "at", (name, after))

    def step(self, name, function, *args, **kwargs):
        if (name, False) == self.at:
            raise Killed
        result = function(*args, **kwargs)
        if (name, True) == self.at:
            raise Killed
        return result

    def map(self, name, function, batches):
        done = self.step(name, lambda: [function(batch) for batch in batches[: len(batches) // 2 + 1]])
        yield from done


STEPS = ("land", "parse", "freshness", "assemble", "validate", "compare", "bands", "publish")
QUICK = (("parse", True), ("publish", False))


@pytest.mark.parametrize(
    ("step", "after"),
    [
        pytest.param(step, after, marks=() if (step, after) in QUICK else pytest.mark.full)
        for step in STEPS
        for after in (False, True)
    ],
)
def test_law_4_a_run_that_ended_anywhere_needs_no_repair(home, tmp_path, step, after):
    news = folder(tmp_path / "news", {"99999": page("99999"), "99998": page("99998")}, day="2026-02-01")
    before = snapshots.current_id(home)
    settings = Settings(home=home, batch_pages=1)

    with pytest.raises(Killed):
        pipeline.run([str(news)], settings, DiesAt(step, after=after), silent)
    if (step, after) != ("publish", True):
        assert snapshots.current_id(home) == before
        assert snapshots.verify(home, before) == []
    run_inline(home, news)

    current = snapshots.current_id(home)
    assert snapshots.read_manifest(home, current)["parent"] == before
    assert {"99998", "99999"} <= set(snapshots.read_table(home, current, "codes")["code"].to_pylist())
    assert [step.step for step in run_inline(home, news).steps] == ["land", "alerts"]


KILL_AT_PUBLISH = """
import os, signal, sys
from pathlib import Path
from flows import pipeline
from tests.flows import kill_moments
from tests.flows.pages import run_inline
pipeline.publish = lambda *args: os.kill(os.getpid(), signal.SIGKILL)
run_inline(Path(sys.argv[1]), Path(sys.argv[2]))
"""


@pytest.mark.full
def test_law_4_a_run_killed_by_the_system_leaves_no_lock_and_the_last_snapshot(home, tmp_path):
    news = folder(tmp_path / "news", {"99999": page("99999")}, day="2026-02-01")
    before = snapshots.current_id(home)
    killed = subprocess.run([sys.executable, "-c", KILL_AT_PUBLISH, str(home), str(news)], check=False)

    assert killed.returncode == -signal.SIGKILL
    assert snapshots.current_id(home) == before
    assert run_inline(home, news).status == "published"


@pytest.mark.full
def test_law_4_a_run_over_2000_pages_that_is_killed_at_200_random_moments(tmp_path):
    """After each kill `current` is whole and no page is lost; in the end all is as if nothing had happened."""
    seed = random.randrange(1_000_000)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        killed, wrong = pool.submit(kill_moments.rounds, tmp_path, 200, seed).result()

    print(f"seed {seed}: {dict(killed)}")
    assert wrong == []
    assert killed.total() >= 200
    assert {"land", "parse", "publish"} <= killed.keys()
