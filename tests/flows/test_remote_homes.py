"""Homes at an address, over moto's S3 on loopback: what holds for a home on a disk holds there."""

import itertools
import os
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from http.server import ThreadingHTTPServer

import localbucket
import pandas as pd
import pyarrow.parquet as pq
import pytest

from flows.home import reading, writing
from flows.remote import lease as leases
from flows.remote.store import Store, StoreUnfit
from tests.flows.pages import SAMPLES, run_inline, tables
from tests.flows.stores import (
    become,
    driver,
    machine,
    new_bucket,
    objects,
    s3_server,
    same_machine,
    use,
    whole,
)
from warehouse.snapshots import current_id

pytestmark = pytest.mark.full

_NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def bucket():
    with s3_server() as endpoint, pytest.MonkeyPatch.context() as patch:
        use(patch, endpoint)
        yield new_bucket("homes")


@pytest.fixture
def address(bucket):
    return f"{bucket}/{next(_NUMBERS)}"


def publish(home, outcome):
    """What a run does that ends with the home ``outcome``."""
    with writing(home, "run") as place:
        become(place.folder, outcome)


def test_two_machines_run_in_turns_and_readers_find_one_snapshot(address, published, tmp_path):
    one, other = machine(address, tmp_path / "one"), machine(address, tmp_path / "other")
    assert run_inline(one, SAMPLES[0]).status == "published"
    report = run_inline(other, SAMPLES[1])
    assert (report.status, report.parent_snapshot_id) == ("published", current_id(one.copy))
    assert run_inline(one).status == "nothing_new"
    assert tables(one.copy) == tables(other.copy) == tables(published)  # of the same pages, on a disk

    # As an analyst reads: pandas and pyarrow, by address.
    files, base = driver(), address.removeprefix("s3://")
    current = f"{base}/warehouse/current/codes.parquet"
    with files.open(current) as file:
        codes = pd.read_parquet(file)
    assert codes["code"].is_unique
    assert len(codes) == pq.read_table(f"{base}/warehouse/current/codes.parquet", filesystem=files).num_rows
    copied = [path for path in files.find(f"{base}/warehouse/current") if path.endswith(".parquet")]
    assert {files.metadata(path)["snapshot-id"] for path in copied} == {whole(objects(address))}
    for path in copied:
        assert files.cat(path) == (one.copy / "warehouse" / "current" / path.rpartition("/")[2]).read_bytes()


def test_a_run_on_another_machine_fetches_only_the_pages_that_it_reads(address, tmp_path):
    one, other = machine(address, tmp_path / "one"), machine(address, tmp_path / "other")
    run_inline(one, SAMPLES[0])
    assert run_inline(other).status == "nothing_new"
    assert [*other.copy.glob("raw/warc/*/*.warc.gz")] == []
    shutil.rmtree(one.copy / "parsed" / "openpayer@1")
    files = driver()
    files.rm(f"{address.removeprefix('s3://')}/parsed/openpayer@1", recursive=True)
    with writing(one, "as if that parser were new"):
        pass
    assert run_inline(other).parsed == 8
    assert {file.parent.name for file in other.copy.glob("raw/warc/*/*.warc.gz")} == {"openpayer"}
    reading(other, raw=True)
    assert {f.name for f in other.copy.glob("raw/warc/*/*.gz")} == {f.name for f in one.copy.glob("raw/warc/*/*.gz")}


class Killed(BaseException):
    """The process is gone."""


def test_law_4_a_kill_during_a_push_leaves_a_whole_snapshot_and_needs_no_repair(address, grown, tmp_path, monkeypatch):
    """Some writes, over S3; `test_remote_laws` goes through all of them."""
    monkeypatch.setattr(leases, "_is_over", lambda *_: True)
    home = machine(address, tmp_path / "one")
    publish(home, grown[0])
    write, seen = Store.write, []
    for n in itertools.count(9, 9):
        left = itertools.count(1)

        def mortal(*args, left=left, n=n):
            if next(left) >= n:
                raise Killed
            return write(*args)

        with monkeypatch.context() as patch, suppress(Killed):
            patch.setattr(Store, "write", mortal)
            publish(same_machine(home, tmp_path / f"{n}"), grown[1])
            break
        seen.append(whole(objects(address)))
        assert current_id(reading(machine(address, tmp_path / f"reader-{n}"))) == seen[-1]
    assert len(seen) >= 3
    assert whole(objects(address)) == current_id(grown[1])
    before = objects(address)
    publish(machine(address, tmp_path / "fresh"), grown[1])
    assert objects(address) == before


WRITER = """
import sys
from pathlib import Path
from flows.home import Address, writing
from flows.errors import CptflowError
from flows.remote import lease
from tests.flows.stores import become

lease.SECONDS = float(sys.argv[4])
home = Address.at(sys.argv[1], Path(sys.argv[2]))
try:
    with writing(home, sys.argv[2].rpartition("/")[2]) as place:
        become(place.folder, Path(sys.argv[3]))
        print("made", flush=True)
        sys.stdin.readline()
except CptflowError as error:
    print(type(error).__name__, error, flush=True)
    sys.exit(error.exit_status)
"""


@pytest.fixture
def writer(address, tmp_path):
    """``writer(name, outcome)``: another process that holds the home, has made ``outcome``, and waits for a line."""
    begun = []

    def begin(name, outcome, seconds=120):
        command = [sys.executable, "-c", WRITER, address, str(tmp_path / name), str(outcome), str(seconds)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        begun.append(process)
        return process

    yield begin
    for process in begun:
        process.kill()
        process.communicate()


def ended(process):
    """Let it go on; its exit status and last words."""
    words, _ = process.communicate("\n", timeout=60)
    return process.returncode, words


def test_law_4_of_two_writers_at_once_one_wins_and_the_other_gets_exit_4(address, grown, tmp_path, writer):
    publish(machine(address, tmp_path / "begun"), grown[0])
    both = [writer(name, grown[1]) for name in ("run-1", "run-2")]
    said = [process.stdout.readline() for process in both]
    assert sorted(line.split()[0] for line in said) == ["LeaseHeld", "made"]
    wins, loses = both if said[0] == "made\n" else both[::-1]
    assert ended(wins)[0] == 0
    assert ended(loses)[0] == 4
    assert f"held by run run-{said.index('made' + chr(10)) + 1}" in "".join(said)
    assert whole(objects(address)) == current_id(grown[1])


def test_law_4_a_writer_that_was_stopped_past_its_lease_cannot_publish(address, grown, tmp_path, writer):
    publish(machine(address, tmp_path / "begun"), grown[0])
    stopped = writer("stopped", grown[1], seconds=2)
    assert stopped.stdout.readline() == "made\n"
    os.kill(stopped.pid, signal.SIGSTOP)
    other = machine(address, tmp_path / "other")
    while True:  # until its lease has run out
        try:
            publish(other, grown[0])
            break
        except leases.LeaseHeld:
            signal.sigtimedwait([], 0.2)
    before = objects(address)
    os.kill(stopped.pid, signal.SIGCONT)
    status, words = ended(stopped)
    assert (status, "LeaseLost" in words, "Nothing was published" in words) == (4, True, True)
    assert objects(address) == before
    assert whole(before) == current_id(grown[0])


def test_law_4_not_even_where_nobody_took_its_lease(address, grown, tmp_path, writer):
    publish(machine(address, tmp_path / "begun"), grown[0])
    stopped = writer("stopped", grown[1], seconds=0.5)
    assert stopped.stdout.readline() == "made\n"
    os.kill(stopped.pid, signal.SIGSTOP)
    begun = leases._clock()
    while leases._clock() < begun + 1:
        signal.sigtimedwait([], 0.1)
    os.kill(stopped.pid, signal.SIGCONT)
    status, words = ended(stopped)
    assert (status, "no sign of life" in words) == (4, True)
    assert whole(objects(address)) == current_id(grown[0])


def test_a_server_that_honours_half_of_the_conditions_is_refused_and_can_be_read(grown, tmp_path, monkeypatch):
    class Quiet(localbucket.S3Handler):
        data_root = tmp_path / "served"

        def log_message(self, *_):
            """Nothing."""

    Quiet.data_root.mkdir()
    home = machine("s3://shelf/home", tmp_path / "cache")
    with ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            use(monkeypatch, f"http://127.0.0.1:{server.server_port}")
            new_bucket("shelf")
            with pytest.raises(StoreUnfit, match="it ignores If-Match"):
                publish(home, grown[0])
            assert current_id(reading(home)) is None
        finally:
            server.shutdown()
            thread.join()
