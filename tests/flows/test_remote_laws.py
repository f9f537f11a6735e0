"""What a home at an address holds after anything that can happen, over a store in memory that honours conditions."""

import datetime as dt
import itertools
import shutil
import threading

import pytest

from flows.home import reading, writing
from flows.remote import lease as leases
from flows.remote import session
from flows.remote.lease import POINTER, LeaseHeld, LeaseLost, Pointer
from flows.remote.manifests import DamagedAtStore
from flows.remote.store import StoreFailed
from tests.flows.stores import MemoryStore, become, machine, same_machine, whole
from warehouse.expire import HistoryBroken, survey
from warehouse.snapshots import current_id, damaged_history, list_snapshots, read_manifest, verify

_NUMBERS = itertools.count()


@pytest.fixture
def address(monkeypatch):
    monkeypatch.setattr(session, "open_store", MemoryStore.open)
    return f"s3://memory/{next(_NUMBERS)}"


@pytest.fixture
def home(address, tmp_path):
    return machine(address, tmp_path / "one")


@pytest.fixture
def other(address, tmp_path):
    return machine(address, tmp_path / "other")


def objects(address):
    return {name: data for name, (data, _, _) in MemoryStore.homes[address].items()}


def publish(home, outcome, then=lambda: None):
    """What a run does that ends with the home ``outcome``."""
    with writing(home, "run") as place:
        become(place.folder, outcome)
        then()


def test_law_4_what_one_machine_published_another_reads_whole(home, other, address, grown):
    publish(home, grown[1])
    folder = reading(other)
    assert current_id(folder) == current_id(grown[1]) == whole(objects(address))
    assert [manifest["snapshot_id"] for manifest in list_snapshots(folder)] == [current_id(g) for g in grown]
    assert verify(folder, current_id(folder)) == []
    assert not (folder / "raw").exists()


def test_copies_of_the_current_tables_tell_their_snapshot(home, address, grown):
    publish(home, grown[0])
    publish(home, grown[1])
    copies = {n: held for n, held in MemoryStore.homes[address].items() if n.startswith("warehouse/current/")}
    current = grown[1] / "warehouse" / "current"
    tables = {f"warehouse/current/{file.name}": file.read_bytes() for file in current.iterdir()}
    assert copies.keys() == tables.keys()
    for name, (data, _, metadata) in copies.items():
        assert metadata == {"snapshot-id": current_id(grown[1])}
        assert name.endswith("manifest.json") or data == tables[name]


def test_law_8_a_block_that_does_nothing_sends_nothing_but_its_lease(home, address, grown, monkeypatch):
    publish(home, grown[1])
    before = objects(address)
    written, fetched, write = [], [], MemoryStore.write
    monkeypatch.setattr(MemoryStore, "write", lambda self, *args: written.append(args[0]) or write(self, *args))
    monkeypatch.setattr(MemoryStore, "fetch", lambda self, names, targets: fetched.extend(names))
    with writing(home, "run"):
        pass
    assert ({*written}, fetched, objects(address)) == ({POINTER}, [], before)


def test_unchanged_tables_are_stored_once_and_read_back_whole(home, other, address, grown):
    publish(home, grown[0])
    publish(home, grown[1])
    first, second = (current_id(outcome) for outcome in grown)
    files = read_manifest(home.copy, second)["files"]
    shared = [name for name, file in files.items() if file.get("stored_in") == first]
    assert shared
    assert not any(f"warehouse/snapshots/{second}/{name}.parquet" in objects(address) for name in shared)
    folder = reading(other) / "warehouse"
    for name in shared:
        assert (folder / f"snapshots/{first}/{name}.parquet").samefile(folder / f"current/{name}.parquet")


def test_what_expire_removes_goes_but_for_tables_that_a_kept_snapshot_refers_to(home, other, address, grown):
    publish(home, grown[0])
    publish(home, grown[1])
    old, new = (current_id(outcome) for outcome in grown)
    with writing(home, "expire") as place:
        folder, expired = place.folder / "warehouse" / "snapshots" / old, place.folder / "warehouse" / "expired"
        expired.mkdir()
        (folder / "manifest.json").rename(expired / f"{old}.json")
        shutil.rmtree(folder)
        shutil.rmtree(place.folder / "parsed" / "openpayer@1")
    files = read_manifest(home.copy, new)["files"].values()
    left = {name for name in objects(address) if name.startswith(f"warehouse/snapshots/{old}/")}
    assert left == {f"warehouse/snapshots/{old}/{file['file']}" for file in files if file.get("stored_in") == old}
    assert left
    assert not any(name.startswith("parsed/openpayer@1/") for name in objects(address))
    assert whole(objects(address)) == new
    assert [manifest["snapshot_id"] for manifest in list_snapshots(reading(other))] == [new]


def test_what_another_machine_removed_goes_from_the_copy_too(home, other, grown):
    publish(home, grown[1])
    with writing(other, "expire") as place:
        shutil.rmtree(place.folder / "parsed" / "openpayer@1")
    with writing(home, "run") as place:
        assert not (place.folder / "parsed" / "openpayer@1").exists()
        assert (place.folder / "parsed" / "codingahead@1").exists()


def test_pages_that_could_not_be_sent_stay_and_are_sent_by_the_next_run(home, other, address, grown, monkeypatch):
    publish(home, grown[0])

    def unreachable(*_):
        raise StoreFailed("Writing", address, OSError("no route to host"))

    with monkeypatch.context() as patch:
        patch.setattr(MemoryStore, "create", unreachable)
        with pytest.raises(StoreFailed, match="Nothing was published"):
            publish(home, grown[1])
    assert current_id(reading(home)) == current_id(grown[0]) == whole(objects(address))
    with writing(home, "run"):
        pass
    for part in ("raw/captures", "raw/warc", "parsed"):
        sent = {name for name in objects(address) if name.startswith(f"{part}/")}
        assert sent == {f.relative_to(grown[1]).as_posix() for f in (grown[1] / part).rglob("*") if f.is_file()}


def test_a_block_that_fails_publishes_nothing_and_keeps_its_pages(home, address, grown):
    publish(home, grown[0])
    with pytest.raises(ZeroDivisionError):
        publish(home, grown[1], then=lambda: 1 / 0)
    assert whole(objects(address)) == current_id(grown[0])
    assert b'"writer": null' in objects(address)[POINTER]
    indexes = {f"raw/captures/{file.name}" for file in (grown[1] / "raw" / "captures").glob("*.parquet")}
    assert {name for name in objects(address) if name.startswith("raw/captures/")} == indexes
    assert current_id(reading(home)) == current_id(grown[0])


def test_warc_files_come_when_they_are_asked_for(home, other, grown):
    publish(home, grown[1])
    warcs = sorted(file.relative_to(grown[1]).as_posix() for file in grown[1].glob("raw/warc/*/*.warc.gz"))
    with writing(other, "run") as place:
        assert [*place.folder.glob("raw/warc/*/*")] == []
        place.fetch(warcs[:1])
        assert (place.folder / warcs[0]).read_bytes() == (grown[1] / warcs[0]).read_bytes()
    folder = reading(other, raw=True)
    assert sorted(file.relative_to(folder).as_posix() for file in folder.glob("raw/warc/*/*.warc.gz")) == warcs


def test_damage_at_the_store_is_found_and_named(home, other, address, grown):
    publish(home, grown[0])
    name = f"warehouse/snapshots/{current_id(grown[0])}/codes.parquet"
    data, etag, told = MemoryStore.homes[address][name]
    MemoryStore.homes[address][name] = (data[:-1] + b"x", etag, told)
    reading(home)  # what was fetched before is whole
    for again in (lambda: reading(home, afresh=True), lambda: reading(other)):
        with pytest.raises(DamagedAtStore, match=r"codes\.parquet is not the file that was written"):
            again()
    del MemoryStore.homes[address][name.replace("codes.parquet", "manifest.json")]
    with pytest.raises(DamagedAtStore, match=r"manifest\.json is missing"):
        reading(other)


def test_law_4_a_writer_that_was_replaced_during_its_block_changes_nothing(home, address, grown, monkeypatch):
    publish(home, grown[0])
    taken = Pointer(current_id(grown[0]), writer={"run_id": "run-2", "host": "elsewhere"}).data()

    def take():
        MemoryStore.open(home).write(POINTER, taken, MemoryStore.homes[address][POINTER][1])

    with pytest.raises(LeaseLost, match="run-2 on elsewhere has taken over"):
        publish(home, grown[1], then=take)
    assert objects(address)[POINTER] == taken
    with pytest.raises(LeaseHeld, match="run-2"):
        publish(home, grown[1])


@pytest.mark.full
def test_law_4_readers_beside_publications_always_find_a_whole_snapshot(home, other, address, grown):
    """One goes through the working copy of its machine, one by the pointer and the objects that it leads to."""
    publish(home, grown[0])
    done, problems = threading.Event(), []

    def read():
        while not done.is_set():
            try:
                whole(objects(address))
                folder = reading(other)
                problems.extend(verify(folder, current_id(folder)))
            except Exception as error:
                problems.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for outcome in [grown[1], grown[0]] * 3:
            publish(home, outcome)
    finally:
        done.set()
        reader.join()
    assert problems == []


class Killed(BaseException):
    """The process is gone: nothing that it would still have done happens."""


@pytest.fixture
def killed_at(monkeypatch):
    """``killed_at(n)``: the n-th write from now on does not happen, nor what comes after it; 0: all goes on."""
    left, lock = [-1], threading.Lock()

    def mortal(method, cost):
        def call(*args, **kwargs):
            with lock:
                if left[0] == 0:
                    raise Killed
                left[0] -= cost if left[0] > 0 else 0
                if left[0] == 0:
                    raise Killed
            return method(*args, **kwargs)

        return call

    for name, cost in {"write": 1, "create": 0, "remove": 1, "read": 0, "list": 0, "fetch": 0}.items():
        monkeypatch.setattr(MemoryStore, name, mortal(getattr(MemoryStore, name), cost))

    def kill(n):
        left[0] = n or -1

    return kill


@pytest.mark.full
def test_law_4_a_kill_at_any_write_leaves_a_whole_snapshot_and_needs_no_repair(
    home, address, grown, tmp_path, killed_at, monkeypatch
):
    publish(home, grown[0])
    before = dict(MemoryStore.homes[address])
    publish(same_machine(home, tmp_path / "undisturbed"), grown[1])
    after = objects(address)
    monkeypatch.setattr(leases, "_is_over", lambda *_: True)  # of the dead writer, in time
    seen = []
    for n in itertools.count(1):
        MemoryStore.homes[address] = dict(before)
        killed_at(n)
        try:
            publish(same_machine(home, tmp_path / f"killed-{n}"), grown[1])
        except Killed:
            killed_at(0)
        else:
            break
        seen.append(whole(objects(address)))
        folder = reading(same_machine(home, tmp_path / f"reader-{n}"))
        assert (current_id(folder), verify(folder, seen[-1])) == (seen[-1], [])
        publish(machine(address, tmp_path / f"next-{n}"), grown[1])
        assert objects(address) == after
        if n % 5 == 0:  # the machine whose process was killed goes on as well
            with writing(machine(address, tmp_path / f"killed-{n}"), "run"):
                pass
            assert objects(address) == after
    killed_at(0)
    assert len(seen) > 40
    assert [*dict.fromkeys(seen)] == [current_id(outcome) for outcome in grown]
    assert seen == sorted(seen)


def test_fetching_a_snapshot_begins_no_new_time_of_grace(other, home, grown):
    publish(home, grown[1])
    folder = reading(other)
    ids = [current_id(outcome) for outcome in grown]
    expected = [dt.datetime.fromisoformat(read_manifest(folder, name)["published_at"]) for name in ids]
    times = [(folder / "warehouse" / "snapshots" / name).stat().st_mtime for name in ids]
    assert [dt.datetime.fromtimestamp(time, dt.UTC) for time in times] == expected
    assert {one.snapshot_id: one.left_at for one in survey(folder)} == {ids[0]: expected[1], ids[1]: None}
    assert (folder / "warehouse" / "current").lstat().st_mtime == times[1]
    reading(other, afresh=True)
    assert survey(folder)[0].left_at == expected[1]


def test_a_manifest_at_the_store_that_cannot_be_read_is_told_as_damage(other, home, address, grown):
    publish(home, grown[1])
    name = f"warehouse/snapshots/{current_id(grown[0])}/manifest.json"
    MemoryStore.homes[address][name] = (b"{", "another", {})
    with pytest.raises(DamagedAtStore, match=r"manifest\.json cannot be read"):
        reading(other, afresh=True)


def test_snapshots_behind_a_gap_at_the_store_are_fetched_so_that_people_are_told_and_none_expires(
    other, home, address, grown
):
    publish(home, grown[1])
    old, store = current_id(grown[0]), MemoryStore.homes[address]
    behind = "20200101T000000Z-00000000"
    for name in [name for name in store if name.startswith(f"warehouse/snapshots/{old}/")]:
        data = (
            store[name][0].replace(old.encode(), behind.encode()) if name.endswith("manifest.json") else store[name][0]
        )
        store[name.replace(old, behind)] = (data, f"copied {name}", {})
    del store[f"warehouse/snapshots/{old}/manifest.json"]

    folder = reading(other)
    assert verify(folder, behind) == []
    assert set(damaged_history(folder)) == {old}
    with pytest.raises(HistoryBroken):
        survey(folder)
