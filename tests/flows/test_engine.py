"""The engines: the same results from each, and a worker that dies or raises is an error that names its batch."""

import os
import time

import pytest

from flows.engine import InProcess, ProcessPool, make
from flows.errors import BatchFailed, WorkerDied
from tests.flows import batches


@pytest.mark.parametrize("engine", [InProcess(), ProcessPool(2)], ids=["inline", "processes"])
def test_every_batch_is_done_once(engine):
    results = list(engine.map("parse", batches.twice, list(range(9))))

    assert sorted(results) == [2 * number for number in range(9)]


@pytest.mark.parametrize("engine", [InProcess(), ProcessPool(2)], ids=["inline", "processes"])
def test_no_batches_no_results(engine):
    assert list(engine.map("parse", batches.twice, [])) == []


def test_a_pool_works_elsewhere_and_uses_its_workers_again():
    processes = list(ProcessPool(2).map("parse", batches.where, list(range(8))))

    assert os.getpid() not in processes
    assert len(set(processes)) <= 2


def test_a_killed_worker_is_an_error_that_names_the_batch():
    with pytest.raises(WorkerDied) as caught:
        list(ProcessPool(2).map("parse", batches.killed_at_three, list(range(6))))

    assert (caught.value.step, caught.value.batch, caught.value.exit_code) == ("parse", "3", -9)
    assert "signal 9" in str(caught.value)
    assert "--workers" in str(caught.value)


def test_a_batch_that_raises_is_named_with_the_workers_traceback():
    with pytest.raises(BatchFailed, match="three is too much") as caught:
        list(ProcessPool(2).map("parse", batches.raises_at_three, list(range(6))))

    assert caught.value.batch == "3"
    assert "raises_at_three" in caught.value.details


def test_a_batch_that_raises_does_not_wait_for_those_under_way():
    begun = time.monotonic()
    with pytest.raises(BatchFailed, match="one is too much"):
        list(ProcessPool(2).map("parse", batches.raises_while_others_sleep, [1, 2]))

    assert time.monotonic() - begun < 30


def test_the_settings_name_the_engine():
    assert make("inline", 4) == InProcess()
    assert make("processes", 4) == ProcessPool(4)
