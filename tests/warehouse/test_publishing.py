"""Unchanged tables are stored once, everything is on the disk before `current` moves, and a stale writer is refused."""

from __future__ import annotations

import dataclasses
import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.warehouse.drafts import drafted, published
from tests.warehouse.invented import TRUST
from warehouse.publishing import Draft, publish
from warehouse.snapshots import ParentMoved, current_id, read_tables, snapshots_folder, verify
from warehouse.tables import TABLES


def same_file(home: Path, made: Draft) -> set[str]:
    """Tables of ``made`` whose file is its parent's."""
    old, new = (snapshots_folder(home) / str(name) for name in (made.parent, made.snapshot_id))
    return {table.name for table in TABLES if (new / f"{table.name}.parquet").samefile(old / f"{table.name}.parquet")}


def unchanged(home: Path, made: Draft) -> set[str]:
    old = snapshots_folder(home) / str(made.parent)
    return {name for name, data in made.files.items() if (old / f"{name}.parquet").read_bytes() == data.to_pybytes()}


def test_a_table_that_did_not_change_is_stored_once(home: Path, second: Draft):
    expected = unchanged(home, second)
    published(home, second)
    assert same_file(home, second) == expected
    assert expected
    assert "changes" not in expected
    assert verify(home, second.snapshot_id) == verify(home, str(second.parent)) == []
    assert read_tables(home, second.snapshot_id) == dict(second.tables)


@pytest.mark.parametrize("damage", ["flipped", "cut", "missing"])
def test_a_damaged_file_of_the_parent_is_not_linked(home: Path, second: Draft, damage: str):
    name = min(unchanged(home, second))
    path = snapshots_folder(home) / str(second.parent) / f"{name}.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.unlink() if damage == "missing" else path.write_bytes(data if damage == "flipped" else data[:-1])
    published(home, second)
    assert verify(home, second.snapshot_id) == []
    assert len(verify(home, str(second.parent))) == 1


@pytest.mark.parametrize("number", [errno.EPERM, errno.EXDEV, errno.EMLINK, errno.ENOTSUP])
def test_a_disk_that_knows_no_links_has_copies(home: Path, second: Draft, monkeypatch: pytest.MonkeyPatch, number: int):
    def refuses(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuses)
    published(home, second)
    assert same_file(home, second) == set()
    assert verify(home, second.snapshot_id) == []


def inode(path: Path | int) -> tuple[int, int]:
    found = os.stat(path)  # noqa: PTH116
    return found.st_dev, found.st_ino


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> Callable[[], set[tuple[int, int]]]:
    """What was on the disk for sure when `current` moved."""
    done: set[tuple[int, int]] = set()
    before_flip: list[set[tuple[int, int]]] = []
    fsync, replace = os.fsync, Path.replace

    def noted(descriptor: int) -> None:
        fsync(descriptor)
        done.add(inode(descriptor))

    def flipped(path: Path, target: Path) -> Any:
        if target.name == "current":
            before_flip.append(set(done))
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(Path, "replace", flipped)
    return lambda: before_flip[-1]


def everything(home: Path, snapshot_id: str) -> list[Path]:
    folder = snapshots_folder(home) / snapshot_id
    return [home, home / "warehouse", snapshots_folder(home), folder, *folder.iterdir()]


def test_law_4_all_is_on_the_disk_before_current_moves(home: Path, second: Draft, synced: Any):
    published(home, second)
    assert [path for path in everything(home, second.snapshot_id) if inode(path) not in synced()] == []


def test_law_4_so_it_is_at_the_first_publication(tmp_path: Path, both: Any, synced: Any):
    first = drafted(both[0], None, 1)
    published(tmp_path / "new", first)
    assert [path for path in everything(tmp_path / "new", first.snapshot_id) if inode(path) not in synced()] == []


def test_law_4_the_names_that_a_killed_run_made_are_on_the_disk_before_current_moves(
    home: Path, second: Draft, synced: Any
):
    published(home, second)
    (home / "warehouse/current").unlink()
    (home / "warehouse/current").symlink_to(f"snapshots/{second.parent}")
    published(home, second)
    assert inode(snapshots_folder(home)) in synced()


def test_a_writer_that_lost_the_lock_is_refused_after_all_else_and_before_current_moves(home: Path, second: Draft):
    class Lost(Exception):
        pass

    def lost() -> None:
        assert verify(home, second.snapshot_id) == []
        raise Lost

    with pytest.raises(Lost):
        publish(home, second, run_ids=[], suites=[], trust=TRUST, still_held=lost)
    assert current_id(home) == second.parent
    assert published(home, second).snapshot_id == current_id(home)


def test_a_writer_that_was_overtaken_while_it_wrote_is_refused(home: Path, second: Draft, both: Any):
    other = drafted(both[1], second.parent, 3, both[0])
    with pytest.raises(ParentMoved):
        publish(home, second, run_ids=[], suites=[], trust=TRUST, still_held=lambda: published(home, other) and None)
    assert current_id(home) == other.snapshot_id


@pytest.mark.parametrize("left", [".staging-20260101T000000Z-dead", ".expired-20260101T000000Z-01234567"])
def test_what_a_killed_run_or_expiry_left_is_swept(home: Path, second: Draft, left: str):
    (snapshots_folder(home) / left).mkdir()
    (snapshots_folder(home) / left / "codes.parquet").write_bytes(b"half")
    published(home, second)
    assert not (snapshots_folder(home) / left).exists()


def test_a_full_disk_is_not_left_fuller(home: Path, second: Draft, monkeypatch: pytest.MonkeyPatch):
    def full(path: Path, data: pa.Buffer) -> None:
        path.write_bytes(memoryview(data)[:10])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    before = sorted(home.rglob("*"))
    monkeypatch.setattr("warehouse.publishing.write_durably", full)
    with pytest.raises(OSError, match="No space left"):
        published(home, dataclasses.replace(second))
    assert sorted(home.rglob("*")) == before


def test_a_writer_whose_unfinished_work_was_swept_by_another_ends_as_one_that_lost_the_lock(
    home: Path, second: Draft, monkeypatch: pytest.MonkeyPatch
):
    class Lost(Exception):
        pass

    def lost() -> None:
        raise Lost

    def swept(path: Path, data: object) -> None:
        shutil.rmtree(path.parent)
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))

    monkeypatch.setattr("warehouse.publishing.write_durably", swept)
    with pytest.raises(Lost):
        publish(home, second, run_ids=[], suites=[], trust=TRUST, still_held=lost)
    with pytest.raises(FileNotFoundError):
        publish(home, second, run_ids=[], suites=[], trust=TRUST, still_held=lambda: None)
    assert current_id(home) == second.parent
