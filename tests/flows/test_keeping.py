"""`cptflow snapshots verify`, `expire` and `pin`."""

import json

import pytest

from flows import cli
from flows.checkup import examine
from flows.lock import hold
from flows.settings import Settings
from warehouse import snapshots

ALL_GO = {"CPTFLOW_KEEP": '{"count": 1, "age_days": 0, "grace_hours": 0}'}


@pytest.fixture
def answer(home, monkeypatch, capsys):
    """What a command says: exit status, standard output, standard error."""

    def answer(*words):
        monkeypatch.setattr("sys.argv", ["cptflow", "snapshots", *words, "--home", str(home)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        said = capsys.readouterr()
        return end.value.code or 0, said.out, said.err

    return answer


@pytest.fixture
def ids(home):
    return [manifest["snapshot_id"] for manifest in snapshots.list_snapshots(home)]


def test_whole_snapshots_are_told_so(answer, ids):
    status, out, _ = answer("verify")
    assert status == 0
    assert "2 snapshots" in out
    assert json.loads(answer("verify", ids[0], "--json")[1]) == {"clean": True, "snapshots": {ids[0]: []}}


def test_damage_is_told_by_snapshot_and_file_and_ends_with_1(answer, ids, home):
    broken = home / "warehouse/snapshots" / ids[0] / "codes.parquet"
    broken.unlink()
    status, out, _ = answer("verify")
    assert status == 1
    assert f"{ids[0]}  codes: codes.parquet is missing" in out
    assert ids[1] not in out
    assert answer("verify", ids[1])[0] == 0
    assert answer("verify", "20200101T000000Z-00000000")[0] == 2


def test_a_file_that_cannot_be_read_is_a_finding(answer, ids, monkeypatch):
    def refuses(path):
        raise OSError(5, "Input/output error", str(path))

    monkeypatch.setattr("pathlib.Path.read_bytes", refuses)
    status, out, _ = answer("verify", ids[1])
    assert status == 1
    assert "codes: codes.parquet cannot be read (Input/output error)" in out


def test_nothing_goes_by_default_and_each_is_told_why(answer, ids):
    status, out, _ = answer("expire", "--yes")
    assert status == 0
    assert "Nothing to let go" in out
    assert f"{ids[0]}  it was current less than 72 hours ago: readers may have it open; one of the newest 30" in out
    assert f"{ids[1]}  it is current" in out


def test_what_would_go_is_told_first_and_goes_with_yes(answer, ids, home, monkeypatch):
    for name, value in ALL_GO.items():
        monkeypatch.setenv(name, value)
    before = json.loads(answer("expire", "--json")[1])
    _, told, _ = answer("expire")
    there = [manifest["snapshot_id"] for manifest in snapshots.list_snapshots(home)]
    done = json.loads(answer("expire", "--yes", "--json")[1])

    assert (before["done"], before["goes"], there) == (False, [ids[0]], ids)
    assert before["bytes_freed"] > 0
    assert "Nothing was done yet: add --yes." in told
    assert done == before | {"done": True}
    assert [manifest["snapshot_id"] for manifest in snapshots.list_snapshots(home)] == [ids[1]]
    assert snapshots.verify(home, ids[1]) == []
    assert answer()[1].count("2026") >= 1
    assert json.loads(answer("expire", "--json")[1])["goes"] == []


def test_a_pinned_snapshot_stays_until_the_pin_is_removed(answer, ids, monkeypatch):
    for name, value in ALL_GO.items():
        monkeypatch.setenv(name, value)
    assert answer("pin", ids[0])[0] == 0
    assert json.loads(answer("expire", "--yes", "--json")[1])["stays"][ids[0]] == ["it is pinned"]
    assert json.loads(answer("pin", ids[0], "--remove", "--json")[1]) == {"pinned": []}
    assert json.loads(answer("expire", "--json")[1])["goes"] == [ids[0]]
    assert answer("pin", ids[0], "--remove")[0] == 2
    assert answer("pin", "20200101T000000Z-00000000")[0] == 2


@pytest.mark.parametrize("words", [("expire", "--yes"), ("pin", "ID")])
def test_what_changes_the_home_waits_for_no_run(answer, home, ids, words):
    with hold(home, "20260101T000000Z-beef"):
        status, _, err = answer(*(ids[0] if word == "ID" else word for word in words))
        assert answer("expire")[0] == 0
    assert status == 4
    assert "run 20260101T000000Z-beef" in err


def test_a_full_disk_is_told_without_a_traceback(answer, ids, home, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    for name, value in ALL_GO.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("warehouse.expire.replace_file", full)
    status, _, err = answer("expire", "--yes")
    assert status == 1
    assert f"Expiring: the system refused {home}: No space left on device. Make room on its disk" in err
    assert "Unexpected" not in err
    assert [manifest["snapshot_id"] for manifest in snapshots.list_snapshots(home)] == ids
    assert "Pinning: the system refused" in answer("pin", ids[0])[2]


@pytest.mark.parametrize("value", ['{"count": 0}', '{"age_days": -1}', '{"grace_hours": -1}', '{"weeks": 3}', "thirty"])
def test_rules_that_make_no_sense_are_refused(answer, monkeypatch, value):
    monkeypatch.setenv("CPTFLOW_KEEP", value)
    status, _, err = answer("expire")
    assert status == 2
    assert "CPTFLOW_KEEP" in err or "keep." in err


@pytest.mark.parametrize("damage", ["{", None])
def test_an_old_manifest_that_cannot_be_read_is_named_by_verify_list_and_doctor(answer, ids, home, damage):
    manifest = home / "warehouse/snapshots" / ids[0] / "manifest.json"
    manifest.unlink() if damage is None else manifest.write_text(damage)

    status, out, _ = answer("verify")
    assert status == 1
    assert f"{ids[0]}  manifest.json" in out
    assert answer()[0] == 0
    assert f"WARNING: {ids[0]} is missing or cannot be read" in " ".join(answer()[1].split())
    assert answer("expire")[0] == 1
    findings = examine(Settings(home=home))
    assert [(f.found.split(":")[0], f.good) for f in findings if f.what == "history"] == [(ids[0], False)]


def test_a_manifest_of_one_that_expired_is_looked_at_by_verify(answer, ids, home, monkeypatch):
    for name, value in ALL_GO.items():
        monkeypatch.setenv(name, value)
    answer("expire", "--yes")
    assert answer("verify")[0] == 0
    (home / f"warehouse/expired/{ids[0]}.json").write_text("{")
    status, out, _ = answer("verify")
    assert status == 1
    assert f"{ids[0]}  its manifest in warehouse/expired cannot be read" in out
