"""Homes at an address after damage and mishaps, over a store in memory: nothing whole is lost, no name is trusted."""

import datetime as dt
import itertools
import json
import shutil
import sys

import pytest
from filelock import Timeout

from flows import planning
from flows.errors import DiskFailed
from flows.home import reading, writing
from flows.lock import read_holder
from flows.remote import session
from flows.remote.copy import fetching
from flows.remote.lease import POINTER, Lease, LeaseHeld, read_pointer
from flows.remote.manifests import DamagedAtStore
from flows.remote.store import StoreFailed
from tests.flows.pages import folder, page, run_inline, without_validation
from tests.flows.stores import MemoryStore, become, machine, whole
from warehouse import expire
from warehouse.snapshots import current_id, list_snapshots, read_manifest, require_current, verify

_NUMBERS = itertools.count()


@pytest.fixture
def address(monkeypatch):
    monkeypatch.setattr(session, "open_store", MemoryStore.open)
    return f"s3://damaged/{next(_NUMBERS)}"


@pytest.fixture
def home(address, tmp_path):
    return machine(address, tmp_path / "one")


@pytest.fixture
def other(address, tmp_path):
    return machine(address, tmp_path / "other")


@pytest.fixture
def held(address):
    return MemoryStore.homes.setdefault(address, {})


def publish(home, outcome):
    with writing(home, "run") as place:
        become(place.folder, outcome)


def objects(held):
    return {name: data for name, (data, _, _) in held.items()}


def let_go_of_all_but_current(home):
    with writing(home, "expire") as place:
        keep = expire.Keep(1, dt.timedelta(0), dt.timedelta(0))
        planned = expire.plan(expire.survey(place.folder), [], keep, dt.datetime(2100, 1, 1, tzinfo=dt.UTC))
        expire.remove(place.folder, planned)
    return planned.goes


class Killed(BaseException):
    """The process is gone."""


@pytest.mark.parametrize("calls", [0, 1])
@pytest.mark.parametrize("tables_lost", [0, 2])
def test_law_4_a_removal_that_was_cut_off_leaves_a_home_that_works(
    home, other, held, grown, monkeypatch, calls, tables_lost
):
    """Half way through a call. ``tables_lost``: before the manifest, as older versions removed them."""
    publish(home, grown[1])
    old, new = (current_id(outcome) for outcome in grown)
    left, remove = [calls], MemoryStore.remove

    def mortal(self, names):
        remove(self, names if left[0] else names[: len(names) // 2])
        if not left[0]:
            raise Killed
        left[0] -= 1

    with monkeypatch.context() as patch:
        patch.setattr(MemoryStore, "remove", mortal)
        with pytest.raises(Killed):
            let_go_of_all_but_current(home)
    stored = {file.get("stored_in") and file["file"] for file in read_manifest(home.copy, new)["files"].values()}
    own = [name for name in held if name.startswith(f"warehouse/snapshots/{old}/") and name.endswith(".parquet")]
    for name in [name for name in own if name.rpartition("/")[2] not in stored][:tables_lost]:
        del held[name]
    for at in (other, home):
        assert require_current(reading(at)) == new
        with writing(at, "run"):
            pass
    assert verify(home.copy, new) == []
    let_go_of_all_but_current(home)
    assert f"warehouse/snapshots/{old}/manifest.json" not in held
    assert whole(objects(held)) == new


def test_of_what_expires_the_manifest_goes_first(home, held, grown, monkeypatch):
    publish(home, grown[1])
    old, calls, remove = current_id(grown[0]), [], MemoryStore.remove
    monkeypatch.setattr(MemoryStore, "remove", lambda self, names: calls.append([*names]) or remove(self, names))
    assert let_go_of_all_but_current(home) == (old,)
    assert calls[0] == [f"warehouse/snapshots/{old}/manifest.json"]
    assert len(calls) > 1


def test_secrets_on_the_command_line_are_in_no_lock_and_no_message(home, other, held, monkeypatch):
    words = [
        "--home=s3://someone:SECRETPASS@bucket/home",
        "s3://someone:SECRETPASS@bucket/p",
        "https://h/p?sig=SIGNED1",
    ]
    monkeypatch.setattr(sys, "argv", ["/bin/cptflow", "run", *words])
    with writing(home, "run-1"):
        locked = read_holder(home.copy)
        with pytest.raises(LeaseHeld) as turned_away, writing(other, "run-2"):
            pass
        told = [json.dumps(locked), held[POINTER][0].decode(), str(turned_away.value)]
    assert locked["command"] == "cptflow run --home=s3://bucket/home s3://bucket/p https://h/p"
    for text in told:
        assert "cptflow run" in text
        assert "SECRET" not in text
        assert "SIGNED" not in text


def test_a_file_of_the_copy_that_lost_its_content_is_fetched_again_and_never_sent(home, held, grown):
    publish(home, grown[1])
    before = objects(held)
    victims = [*(home.copy / "raw").rglob("*.parquet"), *(home.copy / "parsed").rglob("*.parquet")]
    warcs = [*(home.copy / "raw").rglob("*.warc.gz")]
    assert victims
    assert warcs
    for file in victims + warcs:
        file.write_bytes(b"")
    with writing(home, "run") as place:
        place.fetch(file.relative_to(home.copy).as_posix() for file in warcs)
    for file in victims + warcs:
        assert file.read_bytes() == before[file.relative_to(home.copy).as_posix()]
    for file in warcs:  # nor where nothing asked for it
        file.write_bytes(b"")
    with writing(home, "run"):
        pass
    folder = reading(home, raw=True)
    assert [(folder / file.relative_to(home.copy)).stat().st_size > 0 for file in warcs] == [True] * len(warcs)
    assert objects(held) == before


def crawl(home, crawl_id, data):
    with writing(home, "crawl") as place:
        records = place.folder / "raw" / "crawls"
        records.mkdir(parents=True, exist_ok=True)
        (records / f"{crawl_id}.json").write_bytes(data)


DONE, GOES_ON = b'{"finished_at": "2026-01-01T00:00:00+00:00"}', b'{"finished_at": null}'


def test_a_finished_crawl_record_at_the_store_is_never_written_over(home, held):
    crawl(home, "C", DONE)
    for damaged in (b"", GOES_ON):
        crawl(home, "C", damaged)
        assert held["raw/crawls/C.json"][0] == DONE
    with writing(home, "run") as place:
        assert (place.folder / "raw/crawls/C.json").read_bytes() == DONE


def test_a_crawl_that_goes_on_is_sent_and_a_damaged_record_of_it_is_not(home, held):
    crawl(home, "C", GOES_ON)
    (home.copy / "raw/crawls/C.json").write_bytes(b"")
    with writing(home, "run") as place:
        assert (place.folder / "raw/crawls/C.json").read_bytes() == GOES_ON
    (home.copy / "raw/crawls/C.json").write_bytes(DONE)  # could not be sent by the run that wrote it
    with writing(home, "run"):
        pass
    assert held["raw/crawls/C.json"][0] == DONE


def changed_manifest(held, snapshot_id, change):
    """Of the current snapshot, the pointer too: somebody can write at the store."""
    from warehouse.snapshots import sha256

    name = f"warehouse/snapshots/{snapshot_id}/manifest.json"
    told = json.loads(held[name][0])
    change(told)
    data = json.dumps(told).encode()
    held[name] = (data, "changed", {})
    pointer = json.loads(held[POINTER][0])
    if pointer["snapshot_id"] == snapshot_id:
        held[POINTER] = (json.dumps(pointer | {"manifest_sha256": sha256(data)}).encode(), "changed", {})


@pytest.mark.parametrize(
    "change",
    [
        lambda told: told["files"]["codes"].update(file="../../../../evil.parquet"),
        lambda told: told["files"]["codes"].update(file="/evil.parquet"),
        lambda told: told["files"]["codes"].update(stored_in=".."),
        lambda told: told.update(parent="../../x"),
        lambda told: told.pop("files"),
        lambda told: told.pop("published_at"),
        lambda told: told.update(files=[]),
        lambda told: told.update(restored="synthetic"),
        lambda told: told.update(restored={"replaced": ".."}),
    ],
)
def test_a_manifest_that_names_what_is_no_table_is_damage_and_nothing_is_written(home, other, held, grown, change):
    publish(home, grown[0])
    changed_manifest(held, current_id(grown[0]), change)
    with pytest.raises(DamagedAtStore, match=r"manifest\.json"):
        reading(other)
    assert [*(other.copy / "warehouse" / "snapshots").iterdir()] == []


def test_names_at_the_store_that_are_no_files_of_the_home_are_passed_over(home, other, held, grown, tmp_path):
    publish(home, grown[0])
    for name in ("", "raw/", "raw/captures/", "raw/captures/../../../../evil.txt", "warehouse/../../evil.txt"):
        held[name] = (b"", f"marker {name}", {})
    held["warehouse/snapshots/../manifest.json"] = (b"{}", "x", {})
    folder = reading(other, raw=True)
    assert verify(folder, require_current(folder)) == []
    assert [*tmp_path.rglob("evil*")] == []


def test_reports_of_runs_stay_at_the_store_where_the_copy_lost_them(home, held, grown):
    publish(home, grown[1])
    reports = {name for name in held if name.startswith("runs/")}
    assert len(reports) > 1
    shutil.rmtree(home.copy / "runs")
    with writing(home, "run"):
        pass
    assert {name for name in held if name.startswith("runs/")} == reports


def damage(held, snapshot_id):
    """Returns the table that is damaged: one that no other snapshot refers to."""
    name = f"warehouse/snapshots/{snapshot_id}/codes.parquet"
    held[name] = (held[name][0][:-1] + b"x", "damaged", {})


def test_a_damaged_old_snapshot_keeps_nobody_from_work_and_verify_names_it(home, other, held, grown, capsys):
    publish(home, grown[1])
    old, new = (current_id(outcome) for outcome in grown)
    damage(held, old)
    folder = reading(other)
    assert (current_id(folder), verify(folder, new)) == (new, [])
    assert verify(folder, old) == ["codes: codes.parquet is missing"]
    assert [manifest["snapshot_id"] for manifest in list_snapshots(folder)] == [old, new]
    assert f"{old} in {other} is damaged" in capsys.readouterr().err
    with writing(other, "run"):
        pass
    with pytest.raises(DamagedAtStore, match="codes") as found:
        reading(home, afresh=True)
    assert {*found.value.problems} == {old}


def test_verifying_afresh_tells_of_all_damage_and_keeps_the_copy_that_is_whole(home, held, grown):
    publish(home, grown[1])
    both = [current_id(outcome) for outcome in grown]
    files = json.loads(held[f"warehouse/snapshots/{both[1]}/manifest.json"][0])["files"]
    own = next(file["file"] for file in files.values() if "stored_in" not in file)
    damage(held, both[0])
    held[f"warehouse/snapshots/{both[1]}/{own}"] = (b"x", "damaged", {})
    with pytest.raises(DamagedAtStore) as found:
        reading(home, afresh=True)
    assert [*found.value.problems] == both
    assert [verify(home.copy, snapshot_id) for snapshot_id in both] == [[], []]
    assert current_id(reading(home)) == both[1]


def test_a_reader_waits_while_a_run_of_its_machine_brings_the_copy_up_to_date(home, other, grown, monkeypatch):
    publish(home, grown[0])
    pulled, pull = [], session.pull_warehouse

    def watched(*args, **kwargs):
        with pytest.raises(Timeout):
            fetching(other.copy).acquire(timeout=0)
        pulled.append(True)
        return pull(*args, **kwargs)

    monkeypatch.setattr(session, "pull_warehouse", watched)
    with writing(other, "run"):
        fetching(other.copy).acquire(timeout=0).lock.release()
        assert current_id(reading(other)) == current_id(grown[0])
    assert pulled == [True]


def test_law_4_a_reader_beside_a_run_finds_no_snapshot_before_the_pointer_names_it(home, grown):
    publish(home, grown[0])
    old = current_id(grown[0])
    with writing(home, "run") as place:
        become(place.folder, grown[1])
        folder = reading(home)
        assert (current_id(folder), verify(folder, old)) == (old, [])
        assert [manifest["snapshot_id"] for manifest in list_snapshots(folder)] == [old]
    assert current_id(reading(home)) == current_id(grown[1])


def test_what_the_disk_refuses_in_a_run_at_an_address_is_no_publication(address, home, tmp_path, monkeypatch):
    without_validation(monkeypatch)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(planning, "mark_seen", full)
    with pytest.raises(DiskFailed, match="Nothing was published"):
        run_inline(home, folder(tmp_path / "in", {"10000": page("10000")}))
    assert read_pointer(MemoryStore.open(home)).snapshot_id is None


def test_what_the_disk_refuses_after_the_pointer_moved_is_told_with_it(home, grown, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(session, "push_reports", full)
    with pytest.raises(DiskFailed, match=f"Snapshot {current_id(grown[0])} is published"):
        publish(home, grown[0])


def test_the_same_bucket_of_another_server_has_a_copy_of_its_own(tmp_path, monkeypatch):
    copies = {machine("s3://bucket/home", tmp_path).copy}
    for name, server in (
        ("AWS_ENDPOINT_URL", "http://a"),
        ("AWS_ENDPOINT_URL", "http://b"),
        ("AWS_ENDPOINT_URL_S3", "http://c"),
    ):
        monkeypatch.setenv(name, server)
        copies.add(machine("s3://bucket/home", tmp_path).copy)
    assert len(copies) == 4


@pytest.mark.parametrize("back", [True, False])
def test_an_answer_that_was_lost_when_the_pointer_moved_takes_nothing_back(home, held, grown, monkeypatch, back):
    """The store is there again when the lease is let go (``back``), or it is not."""
    publish(home, grown[0])
    write, cut = MemoryStore.write, []

    def lost(self, name, data, expected, metadata=None):
        failed = StoreFailed("Writing", self.base, OSError("connection reset"))
        if cut and not back:
            raise failed
        etag = write(self, name, data, expected, metadata)
        if not cut and name == POINTER and json.loads(data)["snapshot_id"] == current_id(grown[1]):
            cut.append(True)
            raise failed
        return etag

    monkeypatch.setattr(MemoryStore, "write", lost)
    with pytest.raises(StoreFailed, match="is published" if back else "may have been published"):
        publish(home, grown[1])
    assert whole(objects(held)) == current_id(grown[1])


def test_many_objects_are_removed_some_at_a_time_and_not_past_the_lease(home, held, grown, monkeypatch):
    publish(home, grown[0])
    monkeypatch.setattr("flows.remote.push._REMOVED_AT_ONCE", 2)
    removed, remove, check = [], MemoryStore.remove, Lease.check
    monkeypatch.setattr(MemoryStore, "remove", lambda self, names: removed.append(len(names)) or remove(self, names))

    def once(self):
        if removed:
            raise self.lost("gone")
        check(self)

    monkeypatch.setattr(Lease, "check", once)
    with pytest.raises(session.CptflowError, match="gone"), writing(home, "run") as place:
        shutil.rmtree(place.folder / "parsed")
    assert removed == [2]
