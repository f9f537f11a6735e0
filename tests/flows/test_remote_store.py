"""Objects of a store: each write says what it expects; a store that takes no notice is refused."""

import itertools

import pytest

from flows.errors import UsageError
from flows.home import Address
from flows.remote import lease as leases
from flows.remote import store as stores
from flows.remote.lease import POINTER, Lease, LeaseHeld, LeaseLost, Pointer, read_pointer
from flows.remote.store import Conflict, StoreFailed, StoreUnfit, open_store
from tests.flows.stores import MemoryStore, machine, new_bucket, s3_server, use

_NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def bucket():
    """An empty bucket of a server that is in the environment for as long as the module's tests run."""
    with s3_server() as endpoint, pytest.MonkeyPatch.context() as patch:
        use(patch, endpoint)
        yield new_bucket("objects")


@pytest.fixture
def s3_store(bucket, tmp_path):
    return open_store(machine(f"{bucket}/{next(_NUMBERS)}", tmp_path / "cache"))


@pytest.fixture(params=["memory", pytest.param("s3", marks=pytest.mark.full)])
def store(request, tmp_path):
    """What holds over S3 holds over the store in memory that quick tests use."""
    if request.param == "s3":
        return request.getfixturevalue("s3_store")
    return MemoryStore.open(machine(f"s3://objects/{next(_NUMBERS)}", tmp_path / "cache"))


@pytest.fixture
def clock(monkeypatch):
    """The time that leases go by; a list of one number, to be changed."""
    now = [1000.0]
    monkeypatch.setattr(leases, "_clock", lambda: now[0])
    return now


def test_an_object_is_written_once_or_in_place_of_the_one_that_was_seen(store):
    first = store.write("a/b", b"1", None)
    with pytest.raises(Conflict):
        store.write("a/b", b"2", None)
    second = store.write("a/b", b"2", first)
    with pytest.raises(Conflict):
        store.write("a/b", b"3", first)
    with pytest.raises(Conflict):
        store.write("gone", b"3", first)
    assert store.read("a/b")[:2] == (b"2", second)
    assert store.list() == {"a/b": (1, second)}


def test_names_are_removed_as_they_are_written(store):
    for name in ("a/x*", "a/x1", "a/[x]"):
        store.write(name, b"1", None)
    store.remove(["a/x*"])
    store.remove(["a/[x]"])
    assert [*store.list()] == ["a/x1"]


def test_markers_of_folders_are_no_files(store):
    """As the consoles of stores write them, where a person makes a folder."""
    store.write("raw/captures/x", b"1", None)
    for name in ("", "raw/", "raw/captures/", "empty/"):
        store.write(name, b"", None)
    assert [*store.list()] == ["raw/captures/x"]


@pytest.mark.full
def test_a_large_file_is_sent_as_a_file_and_created_once(s3_store, tmp_path, monkeypatch):
    monkeypatch.setattr(stores, "_LARGE", 3)
    (tmp_path / "file").write_bytes(b"1234")
    etag = s3_store.create("large", tmp_path / "file")
    assert s3_store.read("large")[:2] == (b"1234", etag)
    with pytest.raises(Conflict):
        s3_store.create("large", tmp_path / "file")


@pytest.mark.full
def test_what_is_not_there_is_none_and_a_bucket_that_is_not_there_is_told(s3_store, tmp_path):
    assert s3_store.read("nothing") is None
    missing = open_store(machine("s3://no-such-bucket/home", tmp_path))
    for ask in (missing.list, lambda: missing.read("a"), lambda: missing.write("a", b"", None)):
        with pytest.raises(StoreFailed, match=r"See whether the bucket is there") as failed:
            ask()
        assert failed.value.exit_status == 2


@pytest.mark.full
def test_a_store_that_honours_conditions_passes_the_probe_each_time(s3_store):
    s3_store.check_conditions()
    s3_store.check_conditions()
    assert [*s3_store.list()] == [stores.PROBE]


@pytest.mark.full
def test_a_store_that_ignores_conditions_is_refused_with_advice(monkeypatch, tmp_path):
    with s3_server(conditions=False) as endpoint:
        use(monkeypatch, endpoint)
        store = open_store(machine(new_bucket("careless"), tmp_path))
        with pytest.raises(StoreUnfit, match="it ignores If-None-Match") as refused:
            store.check_conditions()
    assert refused.value.exit_status == 2
    assert "AWS_ENDPOINT_URL" in str(refused.value)


def test_a_protocol_without_conditional_writes_is_refused(tmp_path):
    with pytest.raises(StoreUnfit, match="memory://"):
        open_store(machine("memory://somewhere/home", tmp_path)).check_conditions()


def test_a_missing_driver_is_told_with_what_to_install(tmp_path, monkeypatch):
    def no_driver(*_, **__):
        raise ImportError

    monkeypatch.setattr(stores.fsspec, "url_to_fs", no_driver)
    with pytest.raises(UsageError, match=r'pip install "cptflow\[s3\]"'):
        open_store(machine("s3://bucket/home", tmp_path))


def test_secrets_of_an_address_are_in_no_message(tmp_path):
    address = Address.at("s3://someone:pass%2Fword@bucket/home", tmp_path)
    error = StoreFailed("Writing x", address.given, OSError(f"cannot open {address.given}"))
    for text in (str(address), str(error), str(StoreUnfit(address, "no")), str(error.telling(None)), str(address.copy)):
        assert "pass" not in text


def test_one_writer_holds_the_lease_until_it_lets_go(store, clock):
    first = Lease(store, "run-1", 60)
    with pytest.raises(LeaseHeld, match="run-1") as held:
        Lease(store, "run-2", 60)
    assert held.value.exit_status == 4
    assert held.value.holder["run_id"] == "run-1"
    first.release()
    Lease(store, "run-2", 60)


def test_a_dead_holder_loses_the_lease(store, clock, monkeypatch):
    Lease(store, "run-1", 60)
    read = store.read
    monkeypatch.setattr(type(store), "read", lambda _, name: read(name)._replace(age=62.0))
    assert Lease(store, "run-2", 60).pointer.writer["run_id"] == "run-2"


def test_who_lives_is_told_by_the_stores_clock_not_by_ours(store):
    """`until` stands there for people: a machine whose clock is ahead of the writer's does not take over."""
    writer = {"run_id": "run-1", "seconds": 60, "until": "2001-01-01T00:00:00+00:00"}
    store.write(POINTER, Pointer(writer=writer).data(), None)
    with pytest.raises(LeaseHeld, match="run-1"):
        Lease(store, "run-2", 60)


def test_law_4_a_writer_past_its_lease_cannot_publish_even_where_nobody_took_it(store, clock):
    lease = Lease(store, "run-1", 60)
    clock[0] += 61
    with pytest.raises(LeaseLost, match="no sign of life"):
        lease.publish("snapshot", "0" * 64)
    assert read_pointer(store).snapshot_id is None


def test_law_4_a_writer_that_was_replaced_cannot_publish_whatever_it_believes(store, clock, monkeypatch):
    """Its own clock says that it is alive: the store's etag is what keeps it out."""
    stale = Lease(store, "run-1", 60)
    monkeypatch.setattr(leases, "_is_over", lambda *_: True)
    other = Lease(store, "run-2", 60)
    with pytest.raises(LeaseLost, match="run-2"):
        stale.publish("stale", "0" * 64)
    other.publish("other", "1" * 64)
    with pytest.raises(LeaseLost):
        stale.publish("stale", "0" * 64)
    stale.release()
    pointer = read_pointer(store)
    assert (pointer.snapshot_id, pointer.writer["run_id"]) == ("other", "run-2")


def test_renewing_keeps_the_lease_and_what_was_published_stays(store, clock):
    lease = Lease(store, "run-1", 60)
    for _ in range(3):
        clock[0] += 50
        lease._swap()
    lease.publish("snapshot", "0" * 64)
    lease.copied()
    lease.release()
    pointer = read_pointer(store)
    assert (pointer.snapshot_id, pointer.copied, pointer.writer) == ("snapshot", "snapshot", None)


def test_an_answer_that_was_lost_on_its_way_does_not_cost_the_lease(store, clock, monkeypatch):
    lease = Lease(store, "run-1", 60)
    write = type(store).write

    def answer_lost(self, *args):
        write(self, *args)
        raise StoreFailed("Writing", "s3://bucket", OSError("connection reset"))

    with monkeypatch.context() as patch:
        patch.setattr(type(store), "write", answer_lost)
        with pytest.raises(StoreFailed):
            lease.publish("snapshot", "0" * 64)
    lease.publish("snapshot", "0" * 64)
    assert read_pointer(store).snapshot_id == "snapshot"


def test_a_pointer_that_is_no_pointer_is_told(store):
    store.write(POINTER, b"<html>", None)
    with pytest.raises(StoreFailed, match="not what cptflow writes"):
        read_pointer(store)
