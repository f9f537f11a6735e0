"""Publication is all or nothing (law 4), and what was published can be read and verified."""

import dataclasses
import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.warehouse.drafts import SUITES, drafted, published
from tests.warehouse.invented import TRUST, day
from warehouse import publishing
from warehouse.history import in_force
from warehouse.publishing import Draft, publish
from warehouse.snapshots import (
    BrokenSnapshot,
    NoSnapshot,
    ParentMoved,
    UnknownSnapshot,
    changed_schemas,
    current_id,
    damaged_history,
    history,
    list_snapshots,
    needs_rebase,
    outside_history,
    read_manifest,
    read_table,
    read_tables,
    require_current,
    snapshots_folder,
    verify,
)
from warehouse.tables import TABLES, fingerprint
from warehouse.versions import Standing, stands_after, versions_after


def test_a_snapshot_is_read_back_as_it_was_made(home: Path, second: Draft) -> None:
    done = published(home, second)
    assert done.path.resolve() == (home / "warehouse" / "current").resolve()
    assert current_id(home) == done.snapshot_id == second.snapshot_id
    assert list(read_tables(home, done.snapshot_id)) == [table.name for table in TABLES]
    for table in TABLES:
        rows = read_table(home, done.snapshot_id, table.name)
        assert rows.equals(second.tables[table.name])
        assert rows.schema.equals(table.schema, check_metadata=True)
    (own,) = read_table(home, done.snapshot_id, "snapshot").to_pylist()
    assert (own["codes"], own["changes"]) == (1, second.tables["changes"].num_rows)
    assert verify(home, done.snapshot_id) == []


def test_the_manifest_tells_what_was_published(home: Path, second: Draft) -> None:
    done = published(home, second)
    manifest = read_manifest(home, done.snapshot_id)
    assert manifest == done.manifest
    assert manifest["parent"] == second.parent
    assert manifest["as_of"] == "2026-03-02T12:00:00.000000+00:00"
    assert manifest["parsers"] == {"codingahead": 1}
    assert manifest["run_ids"] == [second.run_id]
    assert manifest["trust"] == list(TRUST)
    assert manifest["suites"] == SUITES
    codes = manifest["files"]["codes"]
    assert (codes["rows"], codes["schema"]) == (1, fingerprint(TABLES[0]))
    assert codes["bytes"] == (done.path / "codes.parquet").stat().st_size


def test_snapshots_are_listed_oldest_first(home: Path, second: Draft) -> None:
    published(home, second)
    assert [manifest["snapshot_id"] for manifest in list_snapshots(home)] == [second.parent, second.snapshot_id]


def test_ids_tell_time_and_content(both: tuple[dict[str, pa.Table], dict[str, pa.Table]]) -> None:
    first, other_run = drafted(both[0], None, 1), dataclasses.replace(drafted(both[0], None, 1), run_id="other")
    assert first.snapshot_id.startswith("20260301T120000Z-")
    assert first.snapshot_id == other_run.snapshot_id
    assert first.snapshot_id[-8:] != drafted(both[1], None, 1).snapshot_id[-8:]
    assert first.snapshot_id[-8:] != drafted(both[0], "20260201T120000Z-0123abcd", 1).snapshot_id[-8:]


class Killed(BaseException):
    """Stands for SIGKILL: no handler of the code under test catches it."""


STEPS = (
    (publishing, "write_durably"),
    (publishing, "sync_folder"),
    (shutil, "rmtree"),
    *((Path, name) for name in ("mkdir", "rename", "symlink_to", "replace", "unlink")),
)


def kill_before(monkeypatch: pytest.MonkeyPatch, step: int) -> Callable[[], int]:
    """Raise Killed in place of the ``step``-th thing done to the disk, after half of the bytes if it is a write."""
    done = 0

    def wrapped(what: Callable[..., Any], name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal done
            done += 1
            if done == step:
                if name == "write_durably":
                    args[0].write_bytes(bytes(args[1])[: len(args[1]) // 2])
                raise Killed
            return what(*args, **kwargs)

        return call

    for place, name in STEPS:
        monkeypatch.setattr(place, name, wrapped(getattr(place, name), name))
    return lambda: done


def test_law_4_a_run_killed_at_any_step_leaves_a_whole_snapshot(
    home: Path, second: Draft, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """And the next run needs no repair, and leaves nothing of the killed one."""
    step, killed = 0, True
    while killed:
        step += 1
        place = tmp_path_factory.mktemp("copy") / "home"
        shutil.copytree(home, place, symlinks=True)
        with pytest.MonkeyPatch.context() as patched:
            kill_before(patched, step)
            try:
                published(place, second)
                killed = False
            except Killed:
                pass
        now = current_id(place)
        assert now in (second.parent, second.snapshot_id)
        assert verify(place, str(now)) == []
        assert now in [manifest["snapshot_id"] for manifest in list_snapshots(place)]
        if now == second.parent:
            again = dataclasses.replace(second, run_id="20260301T120009Z-ffff")
            assert published(place, again).snapshot_id == second.snapshot_id
        assert verify(place, second.snapshot_id) == []
        assert [manifest["snapshot_id"] for manifest in list_snapshots(place)] == [second.parent, second.snapshot_id]
        assert [path.name for path in (place / "warehouse/snapshots").iterdir() if path.name.startswith(".")] == []
        assert sorted(path.name for path in (place / "warehouse").iterdir()) == ["current", "snapshots"]
    assert step > len(TABLES) + 5


def test_law_4_readers_see_whole_snapshots_while_others_are_published(
    home: Path, both: tuple[dict[str, pa.Table], dict[str, pa.Table]]
) -> None:
    torn: list[str] = []
    seen: set[str] = set()
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            folder = (home / "warehouse" / "current").resolve(strict=True)
            tables = {path.stem: pq.read_table(path) for path in sorted(folder.glob("*.parquet"))}
            own = tables["snapshot"].to_pylist()[0]
            seen.add(own["snapshot_id"])
            whole = len(tables) == len(TABLES) and own["changes"] == tables["changes"].num_rows
            if not whole or own["snapshot_id"] != folder.name:
                torn.append(folder.name)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for run in range(2, 10):
            published(home, drafted(both[run % 2], current_id(home), run, both[(run + 1) % 2]))
    finally:
        done.set()
        reader.join()
    assert torn == []
    assert len(seen) > 1


def test_a_snapshot_that_was_never_current_is_used_if_whole_and_tells_of_the_run_that_publishes_it(
    home: Path, second: Draft, both: Any
) -> None:
    published(home, second)
    (home / "warehouse/current").unlink()
    (home / "warehouse/current").symlink_to(f"snapshots/{second.parent}")  # as if killed before the flip
    assert [manifest["snapshot_id"] for manifest in list_snapshots(home)] == [second.parent]
    later = drafted(both[1], second.parent, 2, both[0], run_id="20260501T000000Z-0000")
    kept = (snapshots_folder(home) / second.snapshot_id / "codes.parquet").stat().st_ino
    done = publish(home, later, run_ids=["r"], suites=[], trust=[], accepted=[{"rule": "floor", "source": "s"}])

    assert current_id(home) == done.snapshot_id == second.snapshot_id
    assert (done.path / "codes.parquet").stat().st_ino == kept
    assert (done.manifest["run_id"], done.manifest["accepted"]) == (later.run_id, [{"rule": "floor", "source": "s"}])
    assert read_table(home, done.snapshot_id, "snapshot")["run_id"].to_pylist() == [later.run_id]
    assert verify(home, done.snapshot_id) == []


def test_publishing_never_deletes_a_snapshot(
    home: Path, second: Draft, both: tuple[dict[str, pa.Table], dict[str, pa.Table]]
) -> None:
    published(home, second)
    (home / "warehouse/current").unlink()
    (home / "warehouse/current").symlink_to(f"snapshots/{second.parent}")
    other = drafted(both[1], second.parent, 3, both[0])
    published(home, other)
    folders = {path.name for path in (home / "warehouse/snapshots").iterdir()}
    assert folders == {second.parent, second.snapshot_id, other.snapshot_id}
    assert [manifest["snapshot_id"] for manifest in list_snapshots(home)] == [second.parent, other.snapshot_id]


def test_history_survives_a_current_that_points_back(home: Path, second: Draft, both: Any) -> None:
    published(home, second)
    third = published(home, drafted(both[0], second.snapshot_id, 3, both[1])).snapshot_id
    (home / "warehouse/current").unlink()
    (home / "warehouse/current").symlink_to(f"snapshots/{second.parent}")
    fourth = published(home, drafted(both[1], second.parent, 4, both[0])).snapshot_id
    folders = {path.name for path in (home / "warehouse/snapshots").iterdir()}
    assert folders == {second.parent, second.snapshot_id, third, fourth}


def test_stray_files_are_in_nobodys_way(home: Path, second: Draft) -> None:
    place = home / "warehouse/snapshots"
    for name in (".DS_Store", "Thumbs.db"):
        (place / name).write_bytes(b"x")
    (home / "warehouse/current/.DS_Store").write_bytes(b"x")
    assert verify(home, str(current_id(home))) == []
    published(home, second)
    assert [manifest["snapshot_id"] for manifest in list_snapshots(home)] == [second.parent, second.snapshot_id]
    assert {".DS_Store", "Thumbs.db"} <= {path.name for path in place.iterdir()}


def test_the_list_ends_where_older_snapshots_are_gone(home: Path, second: Draft) -> None:
    published(home, second)
    shutil.rmtree(home / "warehouse/snapshots" / str(second.parent))
    assert [manifest["snapshot_id"] for manifest in list_snapshots(home)] == [second.snapshot_id]


def test_a_writer_whose_parent_is_no_longer_current_cannot_publish(home: Path, second: Draft) -> None:
    published(home, second)
    with pytest.raises(ParentMoved, match="run again") as told:
        published(home, dataclasses.replace(second, snapshot_id="20260302T120000Z-00000000"))
    assert (told.value.parent, told.value.current) == (second.parent, second.snapshot_id)
    assert current_id(home) == second.snapshot_id


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda f: (f / "codes.parquet").unlink(), "codes: codes.parquet is missing"),
        (lambda f: (f / "codes.parquet").write_bytes(b""), "codes: codes.parquet has 0 bytes"),
        (lambda f: flip(f / "codes.parquet"), "codes: codes.parquet is not the file that was written"),
        (lambda f: (f / "extra.parquet").touch(), "extra.parquet is no part of it"),
        (lambda f: (f / "manifest.json").unlink(), "manifest.json is missing"),
        (lambda f: (f / "manifest.json").write_text("{"), "manifest.json cannot be read"),
    ],
)
def test_damage_is_found(home: Path, damage: Callable[[Path], Any], problem: str) -> None:
    damage(home / "warehouse" / "current")
    (found,) = verify(home, str(current_id(home)))
    assert found.startswith(problem)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_errors_say_what_to_do(tmp_path: Path, home: Path) -> None:
    with pytest.raises(NoSnapshot, match="cptflow run"):
        require_current(tmp_path / "other")
    assert current_id(tmp_path / "other") is None
    assert list_snapshots(tmp_path / "other") == []
    for name in ("20260301T120000Z-ffffffff", "../snapshots", "..", "", ".staging-x", "/etc", "a\x1b[31m"):
        with pytest.raises(UnknownSnapshot, match="cptflow snapshots") as told:
            read_table(home, name, "codes")
        assert "\x1b" not in str(told.value)
    now = require_current(home)
    (home / "warehouse/current/codes.parquet").write_bytes(b"no parquet")
    with pytest.raises(BrokenSnapshot, match=r"codes\.parquet cannot be read") as broken:
        read_table(home, now, "codes")
    assert broken.value.snapshot_id == now
    with pytest.raises(BrokenSnapshot, match=r"nonsense\.parquet is missing"):
        read_table(home, now, "nonsense")


def test_a_disk_that_is_full_leaves_current_as_it_was(
    home: Path, second: Draft, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(publishing, "write_durably", full)
        with pytest.raises(OSError, match="No space left"):
            published(home, second)
    assert current_id(home) == second.parent
    assert published(home, second).snapshot_id == second.snapshot_id


def test_rebasing_is_needed_where_parsers_or_schemas_differ(home: Path, both: Any) -> None:
    manifest = read_manifest(home, str(current_id(home)))
    documents = both[0]["documents"]
    assert not needs_rebase(manifest, documents)
    place = documents.schema.get_field_index("parser_version")
    newer = documents.set_column(place, documents.schema.field(place), pa.array([2], pa.int32()))
    assert needs_rebase(manifest, newer)
    other = json.loads(json.dumps(manifest))
    other["files"]["codes"]["schema"] = "another"
    del other["files"]["notices"]
    assert changed_schemas(manifest) == frozenset()
    assert changed_schemas(other) == {"codes", "notices"}
    assert needs_rebase(other, documents)


def test_a_folder_named_like_a_partition_adds_no_column(tmp_path: Path, both: Any) -> None:
    home = tmp_path / "a=b"
    done = published(home, drafted(both[0], None, 1))
    assert read_table(home, done.snapshot_id, "codes").column_names[0] == "code"
    assert "a" not in read_table(home, done.snapshot_id, "codes").column_names


def test_damage_is_mended_from_a_backup_and_never_by_deleting(home: Path) -> None:
    (home / "warehouse/current/codes.parquet").unlink()
    with pytest.raises(BrokenSnapshot, match="backup") as told:
        read_table(home, require_current(home), "codes")
    assert "delete the" not in str(told.value)


def test_a_damaged_snapshot_of_the_same_id_is_replaced(home: Path, second: Draft) -> None:
    folder = home / "warehouse/snapshots" / second.snapshot_id
    folder.mkdir()
    (folder / "codes.parquet").write_bytes(b"half")
    published(home, second)
    assert verify(home, second.snapshot_id) == []


def test_older_snapshots_stay_even_damaged_ones(home: Path, second: Draft) -> None:
    published(home, second)
    (home / "warehouse/snapshots" / str(second.parent) / "manifest.json").unlink()
    third = drafted(dict(second.tables), second.snapshot_id, 3)
    published(home, third)
    assert (home / "warehouse/snapshots" / str(second.parent)).is_dir()


@pytest.fixture
def three(home: Path, second: Draft, both: Any) -> list[str]:
    """Three snapshots in the home."""
    published(home, second)
    third = published(home, drafted(both[0], second.snapshot_id, 3, both[1]))
    return [str(second.parent), second.snapshot_id, third.snapshot_id]


def expire_badly(home: Path, snapshot_id: str) -> None:
    shutil.rmtree(snapshots_folder(home) / snapshot_id)
    (home / "warehouse/expired").mkdir()
    (home / "warehouse/expired" / f"{snapshot_id}.json").write_text("{")


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda home, name: (snapshots_folder(home) / name / "manifest.json").unlink(), "manifest.json is missing"),
        (lambda home, name: (snapshots_folder(home) / name / "manifest.json").write_text("{"), "cannot be read"),
        (lambda home, name: (snapshots_folder(home) / name / "manifest.json").write_text("[]"), "it is no manifest"),
        (lambda home, name: (snapshots_folder(home) / name / "manifest.json").write_bytes(b"\xff"), "cannot be read"),
        (expire_badly, "warehouse/expired cannot be read"),
        (lambda home, name: shutil.rmtree(snapshots_folder(home) / name), "its folder is gone"),
    ],
)
def test_an_old_manifest_that_cannot_be_read_ends_the_list_stops_no_publication_and_is_told(
    home: Path, three: list[str], both: Any, damage: Callable[[Path, str], Any], problem: str
) -> None:
    assert damaged_history(home) == {}
    damage(home, three[1])

    assert [manifest["snapshot_id"] for manifest in list_snapshots(home)] == [three[2]]
    assert (history(home).gap, outside_history(home, history(home))[0]) == (three[1], three[0])
    ((name, told),) = damaged_history(home).items()
    assert name == three[1]
    assert problem in told
    stands = stands_after(home, three[2], day(4))
    assert stands == Standing(4, day(4))
    versions_after(home, three[2], both[1]["codes"], stands)
    assert published(home, drafted(both[1], three[2], 4, both[0])).snapshot_id == current_id(home)
    with pytest.raises(BrokenSnapshot, match="its manifest is gone or cannot be read"):
        in_force(home, day(1))


def test_a_current_manifest_that_cannot_be_read_is_an_error(home: Path, three: list[str]) -> None:
    (home / "warehouse/current/manifest.json").write_text("{")
    with pytest.raises(BrokenSnapshot, match=r"manifest\.json cannot be read"):
        list_snapshots(home)
    assert set(damaged_history(home)) == {three[2]}


def test_old_snapshots_that_were_removed_by_hand_are_no_damage(home: Path, three: list[str]) -> None:
    for name in three[:2]:
        shutil.rmtree(snapshots_folder(home) / name)
    assert damaged_history(home) == {}


def test_law_8_the_place_in_history_is_read_from_the_parent_alone(
    home: Path, three: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("warehouse.versions.lineage", lambda _: pytest.fail("all of history was read"))
    assert stands_after(home, three[2], day(2)) == Standing(4, day(3))
