"""Which snapshots stay and which go, and that going is all or nothing (law 4)."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.warehouse.drafts import drafted, published
from warehouse.expire import (
    HistoryBroken,
    Keep,
    PinsUnreadable,
    Plan,
    Stored,
    bytes_freed,
    parsed_folders,
    plan,
    read_pins,
    remove,
    survey,
    write_pins,
)
from warehouse.publishing import Draft
from warehouse.quality_trends import trend
from warehouse.snapshots import current_id, lineage, list_snapshots, snapshots_folder, verify

NOW = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
NONE = Keep(count=1, age=dt.timedelta(0), grace=dt.timedelta(0))


def weekly(count: int, **others: Any) -> list[Stored]:
    """So many snapshots, one a week, the last one today; ``others``: fields of single ones, by name of the id."""
    made = []
    for number in range(count):
        as_of = NOW - (count - 1 - number) * 7 * DAY
        last = number == count - 1
        one = Stored(f"s{number}", as_of, None if last else as_of + 7 * DAY)
        made.append(dataclasses.replace(one, **others.get(one.snapshot_id, {})))
    return made


def test_the_current_snapshot_always_stays():
    planned = plan(weekly(1), (), NONE, NOW + 1000 * DAY)
    assert planned == Plan({"s0": ("it is current", "the newest one")}, ())


def test_the_newest_stay():
    planned = plan(weekly(5), (), dataclasses.replace(NONE, count=2), NOW + DAY)
    assert planned.goes == ("s0", "s1", "s2")
    assert planned.stays["s3"] == ("one of the newest 2",)


def test_those_with_young_data_stay():
    planned = plan(weekly(5), (), dataclasses.replace(NONE, age=15 * DAY), NOW)
    assert planned.goes == ("s0", "s1")
    assert planned.stays["s2"] == ("its data is less than 15 days old",)


@pytest.mark.parametrize(("after", "goes"), [(-1, ()), (0, ("s0",)), (1, ("s0",))])
def test_a_reader_that_began_before_the_next_publication_has_the_time_of_grace(after: int, goes: tuple[str, ...]):
    left = NOW
    stored = weekly(2, s0={"left_at": left})
    planned = plan(stored, (), dataclasses.replace(NONE, grace=3 * DAY), left + 3 * DAY + dt.timedelta(seconds=after))
    assert planned.goes == goes
    if not goes:
        assert planned.stays["s0"] == ("it was current less than 72 hours ago: readers may have it open",)


def test_a_clock_that_was_set_back_removes_nothing():
    planned = plan(weekly(3), (), dataclasses.replace(NONE, grace=DAY), NOW - 100 * DAY)
    assert planned.goes == ()


def test_pinned_ones_stay():
    assert plan(weekly(3), ["s0", "gone long ago"], NONE, NOW).stays["s0"] == ("it is pinned",)


def test_what_one_that_stays_needs_stays_and_what_that_one_needs():
    stored = weekly(5, s4={"refers_to": frozenset({"s2"})}, s2={"refers_to": frozenset({"s0", "gone"})})
    planned = plan(stored, (), NONE, NOW)
    assert planned.goes == ("s1", "s3")
    assert (planned.stays["s2"], planned.stays["s0"]) == (("s4 needs it",), ("s2 needs it",))


def test_what_only_those_that_go_need_goes():
    assert plan(weekly(3, s1={"refers_to": frozenset({"s0"})}), (), NONE, NOW).goes == ("s0", "s1")


def test_a_snapshot_outside_history_takes_no_place_among_the_newest():
    stored = [*weekly(2), Stored("stray", NOW, NOW, in_history=False)]
    assert plan(stored, (), dataclasses.replace(NONE, count=2), NOW).goes == ("stray",)


def test_parse_results_go_that_are_neither_live_nor_named_by_what_stays():
    stored = weekly(2, s0={"parsers": frozenset({"a@1"})}, s1={"parsers": frozenset({"a@2"})})
    folders = ["a@1", "a@2", "a@3", "none@1", "b@7"]
    assert plan(stored, (), NONE, NOW, folders, ["a@3", "none@1"]).parsed == ("a@1", "b@7")
    assert plan(stored, ["s0"], NONE, NOW, folders, ["a@3", "none@1"]).parsed == ("b@7",)


@pytest.fixture
def three(home: Path, second: Draft, both: Any) -> list[str]:
    """Three snapshots in the home."""
    published(home, second)
    third = published(home, drafted(both[0], second.snapshot_id, 3, both[1]))
    return [str(second.parent), second.snapshot_id, third.snapshot_id]


def told(home: Path) -> list[dict[str, Any]]:
    """What history tells of each snapshot, whether it is kept or not."""
    whole = ("suites", "run_ids", "held_back")  # told in short once it has expired
    return [{name: value for name, value in one.items() if name not in whole} for one in lineage(home)]


def expired(home: Path, keep: Keep = NONE) -> Plan:
    planned = plan(survey(home), read_pins(home), keep, dt.datetime.now(dt.UTC) + DAY, parsed_folders(home), ())
    remove(home, planned)
    return planned


def test_what_went_is_told_by_its_manifest_and_history_goes_on_behind_it(home: Path, three: list[str]):
    write_pins(home, [three[0]])
    before = told(home)
    assert expired(home).goes == (three[1],)

    assert told(home) == before
    assert [manifest["snapshot_id"] for manifest in list_snapshots(home)] == [three[0], three[2]]
    assert {path.name for path in snapshots_folder(home).iterdir()} == {three[0], three[2]}
    assert json.loads((home / f"warehouse/expired/{three[1]}.json").read_text())["snapshot_id"] == three[1]
    assert [verify(home, name) for name in (three[0], three[2])] == [[], []]
    write_pins(home, [])
    assert expired(home).goes == (three[0],)
    assert told(home) == before


def test_law_8_what_stays_of_one_that_went_is_short_and_has_what_the_trends_tell(home: Path, three: list[str]):
    path = snapshots_folder(home) / three[0] / "manifest.json"
    long = {"rules": [{"rule": f"synthetic_{number}"} for number in range(500)]}
    suites = [{"table": "codes", "held_back": 3, **long}, {"table": "notices", "held_back": 0, **long}, {"bands": 1}]
    manifest = json.loads(path.read_text()) | {"suites": suites, "run_ids": ["synthetic"] * 500}
    path.write_text(json.dumps(manifest))
    before = trend(home, [manifest])[0]
    expired(home)

    kept = home / f"warehouse/expired/{three[0]}.json"
    assert kept.stat().st_size < 5_000 < len(json.dumps(manifest))
    after = trend(home, lineage(home))[0]
    assert (after.held_back, after.rows, after.as_of) == (before.held_back, before.rows, before.as_of)
    assert after.held_back == 3


def gap(home: Path, snapshot_id: str) -> None:
    shutil.rmtree(snapshots_folder(home) / snapshot_id)


def test_nothing_expires_behind_a_gap_in_history_until_each_that_may_have_been_part_is_pinned(
    home: Path, three: list[str], both: Any
):
    fourth = published(home, drafted(both[1], three[2], 4, both[0])).snapshot_id
    gap(home, three[2])
    with pytest.raises(HistoryBroken, match=rf"snapshots/{three[2]}.* from a backup.*cptflow snapshots pin ID") as told:
        expired(home)
    assert (told.value.gap, told.value.outside) == (three[2], (three[0], three[1]))
    assert {path.name for path in snapshots_folder(home).iterdir()} == {three[0], three[1], fourth}

    write_pins(home, [three[0]])
    with pytest.raises(HistoryBroken):
        expired(home)
    write_pins(home, [three[0], three[1]])
    assert expired(home).goes == ()


def test_nothing_expires_where_an_old_manifest_cannot_be_read(home: Path, three: list[str]):
    (snapshots_folder(home) / three[0] / "manifest.json").write_text("{")
    with pytest.raises(HistoryBroken):
        expired(home)


def test_old_snapshots_that_were_removed_by_hand_are_in_no_ones_way(home: Path, three: list[str]):
    gap(home, three[0])
    assert expired(home).goes == (three[1],)


def test_the_time_of_grace_begins_when_current_moved_not_when_a_killed_run_wrote_the_next_one(home: Path, three: Any):
    stored = {one.snapshot_id: one for one in survey(home)}
    manifest = lineage(home)[1]
    assert dt.datetime.fromisoformat(manifest["published_at"]) == dt.datetime(2026, 4, 2, tzinfo=dt.UTC)
    folder = snapshots_folder(home) / three[1]
    assert stored[three[0]].left_at == dt.datetime.fromtimestamp(folder.stat().st_mtime, dt.UTC)
    assert stored[three[2]].left_at is None


def test_a_snapshot_that_a_killed_run_left_becomes_younger_when_it_becomes_current(home: Path, second: Draft):
    published(home, second)
    folder = snapshots_folder(home) / second.snapshot_id
    os.utime(folder, (1.0, 1.0))
    (home / "warehouse/current").unlink()
    (home / "warehouse/current").symlink_to(f"snapshots/{second.parent}")  # as if killed before the flip
    published(home, second)
    assert folder.stat().st_mtime > 1e9


def test_a_snapshot_that_current_was_pointed_away_from_keeps_its_time_of_grace(home: Path, three: list[str]):
    (home / "warehouse/current").unlink()
    (home / "warehouse/current").symlink_to(f"snapshots/{three[0]}")
    for name in three:
        os.utime(snapshots_folder(home) / name, (1.0, 1.0))
    stray = {one.snapshot_id: one for one in survey(home)}[three[2]]
    assert not stray.in_history
    assert stray.left_at == dt.datetime.fromtimestamp((home / "warehouse/current").lstat().st_mtime, dt.UTC)
    now = stray.left_at + dt.timedelta(hours=1)
    assert three[2] in plan(survey(home), (), dataclasses.replace(NONE, grace=2 * DAY), now).stays


def test_a_stray_snapshot_that_cannot_be_read_is_left_to_a_person(home: Path, three: list[str]):
    stray = snapshots_folder(home) / "20200101T000000Z-00000000"
    stray.mkdir()
    assert expired(home).stays[stray.name] == ("its manifest cannot be read",)
    assert stray.is_dir()


def test_what_is_no_snapshot_is_in_nobodys_way(home: Path, three: list[str]):
    (snapshots_folder(home) / "notes").mkdir()
    (snapshots_folder(home) / "Thumbs.db").touch()
    assert expired(home).goes == (three[0], three[1])
    assert (snapshots_folder(home) / "notes").is_dir()


def test_a_home_without_a_snapshot_has_nothing_to_let_go(tmp_path: Path):
    assert survey(tmp_path) == []
    assert plan([], (), NONE, NOW) == Plan({}, ())


def test_the_current_snapshot_keeps_what_it_was_restored_over(home: Path, three: list[str]):
    path = snapshots_folder(home) / three[2] / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps(manifest | {"restored": {"snapshot_id": three[0], "replaced": three[1]}}))
    assert expired(home).goes == (three[0],)


def test_tables_that_lie_with_an_older_snapshot_at_a_store_do_not_keep_that_one(home: Path, three: list[str]):
    path = snapshots_folder(home) / three[2] / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"]["notices"]["stored_in"] = three[0]
    path.write_text(json.dumps(manifest))
    assert expired(home).goes == (three[0], three[1])


def test_a_file_that_others_share_frees_nothing(home: Path, three: list[str]):
    folder = snapshots_folder(home) / three[0]
    shared = [path for path in folder.iterdir() if path.stat().st_nlink > 1]
    assert shared
    own = sum(path.stat().st_size for path in folder.iterdir() if path not in shared)
    assert bytes_freed(home, Plan({}, (three[0],))) == own
    everything = {
        path.stat().st_ino: path.stat().st_size for name in three for path in folder.with_name(name).iterdir()
    }
    assert bytes_freed(home, Plan({}, tuple(three))) == sum(everything.values())


def test_parse_results_are_removed(home: Path):
    for name in ("a@1", "a@2"):
        (home / "parsed" / name / "results").mkdir(parents=True)
    remove(home, Plan({}, (), ("a@1",)))
    assert parsed_folders(home) == ["a@2"]


@pytest.mark.parametrize("content", ["", "{", "{}", "[1]"])
def test_nothing_expires_where_the_pins_cannot_be_read(home: Path, content: str):
    (home / "warehouse/pins.json").write_text(content)
    with pytest.raises(PinsUnreadable, match="Take it from a backup") as caught:
        read_pins(home)
    assert caught.value.path == home / "warehouse/pins.json"


def test_a_folder_that_is_there_is_kept_whatever_else_was_written(home: Path, three: list[str]):
    """As if killed between the manifest and the folder."""
    (home / "warehouse/expired").mkdir()
    (home / f"warehouse/expired/{three[0]}.json").write_text("{}")
    assert [manifest["snapshot_id"] for manifest in list_snapshots(home)] == three
    assert current_id(home) == three[2]
