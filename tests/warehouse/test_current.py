"""What `current` is: a link to a snapshot; where it is anything else, what to type is told."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.warehouse.drafts import published
from warehouse.publishing import Draft
from warehouse.snapshots import BrokenSnapshot, current_id, list_snapshots, require_current, verify


def typed(advice: str) -> None:
    """Do what the advice says to type."""
    (command,) = re.findall("Type: (.*)$", advice)
    subprocess.run(command, shell=True, check=True)


def test_a_current_whose_folder_is_gone_is_told_and_mended(home: Path, second: Draft) -> None:
    published(home, second)
    shutil.rmtree(home / "warehouse/snapshots" / second.snapshot_id)
    for reading in (current_id, require_current, list_snapshots, lambda home: published(home, second)):
        with pytest.raises(BrokenSnapshot, match=f"ln -sfn snapshots/{second.parent} ") as told:
            reading(home)
    assert told.value.snapshot_id == second.snapshot_id
    typed(str(told.value))
    assert current_id(home) == second.parent
    assert published(home, second).snapshot_id == second.snapshot_id


def test_a_current_without_any_snapshot_left_is_told_and_mended(home: Path, second: Draft) -> None:
    shutil.rmtree(home / "warehouse/snapshots")
    with pytest.raises(BrokenSnapshot, match="backup") as told:
        current_id(home)
    typed(str(told.value))
    assert current_id(home) is None


@pytest.mark.parametrize("kept", [True, False], ids=["with its snapshot", "without"])
def test_a_current_that_is_a_folder_is_told_and_mended(home: Path, second: Draft, kept: bool) -> None:
    """As a copy of a home is that was made with links followed."""
    link = home / "warehouse/current"
    link.unlink()
    shutil.copytree(home / "warehouse/snapshots" / str(second.parent), link)
    if not kept:
        shutil.rmtree(home / "warehouse/snapshots" / str(second.parent))
    with pytest.raises(BrokenSnapshot, match="is a folder, not a link") as told:
        current_id(home)
    typed(str(told.value))
    assert current_id(home) == second.parent
    assert verify(home, str(second.parent)) == []
