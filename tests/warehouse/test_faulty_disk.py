"""Law 4 at every single write: the process is killed there, or the disk refuses."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.faulty_disk import FAULTS, KILL
from tests.warehouse import fault_points
from tests.warehouse.drafts import drafted, published
from warehouse.publishing import Draft
from warehouse.tables import TABLES


def in_a_process_of_its_own(work: Callable[..., tuple[int, list[str]]], *args: Any) -> tuple[int, list[str]]:
    """It forks at each point, and this process may have threads."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *args).result()


@pytest.mark.full
@pytest.mark.parametrize("fault", FAULTS)
def test_law_4_a_publication_that_is_cut_off_at_any_write(
    home: Path, second: Draft, tmp_path_factory: pytest.TempPathFactory, fault: str
):
    """``current`` is whole, nothing is lost, and the next publication ends as if nothing had happened."""
    scratch = tmp_path_factory.mktemp("points")
    calls, wrong = in_a_process_of_its_own(fault_points.publication, home, scratch, second, fault)
    assert wrong == []
    assert calls > 3 * len(TABLES)  # opened, written, synced


@pytest.mark.full
@pytest.mark.parametrize("fault", [KILL, "EIO", "EROFS"])
def test_law_4_an_expiry_that_is_cut_off_at_any_write(
    home: Path, second: Draft, both: Any, tmp_path_factory: pytest.TempPathFactory, fault: str
):
    """Each snapshot is whole or gone with its manifest kept, and the next expiry ends as if nothing had happened."""
    published(home, second)
    published(home, drafted(both[0], second.snapshot_id, 3, both[1]))
    (home / "parsed/a@1/results").mkdir(parents=True)
    (home / "parsed/a@1/results/x.parquet").write_bytes(b"x")
    scratch = tmp_path_factory.mktemp("points")
    goes = (str(second.parent), second.snapshot_id)
    calls, wrong = in_a_process_of_its_own(fault_points.expiry, home, scratch, goes, fault)
    assert wrong == []
    assert calls > 2 * len(TABLES)
