"""Verifying a home: whole homes are clean, and each kind of damage is told with its place."""

from __future__ import annotations

import gzip
import hashlib
import random
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raw import verify as verifying
from raw.captures import read_captures
from raw.errors import IndexUnreadable
from raw.lock import zone_lock
from raw.verify import Fault, verify
from tests.raw.landing_zone import PAGES, URL, landed, scraped, tree, write_manifest, write_page

FIRST, SECOND = "20260301T120000Z-0001", "20260302T120000Z-0002"
SITE = f"raw/warc/codingahead/{FIRST}.warc.gz"
LATER = f"raw/warc/codingahead/{SECOND}.warc.gz"
LOCAL = f"raw/warc/local/{FIRST}.warc.gz"
INDEX = f"raw/captures/{FIRST}.parquet"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Two runs: responses and resources; then new bytes, a revisit of the same bytes, and a 304."""
    pages = scraped(tmp_path / "pages")
    landed(tmp_path / "home", pages, run_id=FIRST)
    write_page(pages / "2026-03/new.html", b"Synthetic new page")
    day = "2026-02-05T10:00:00Z"
    write_manifest(
        pages,
        {"file": "2026-01/0001T.html", "url": URL + "0001T", "fetched_at": day, "status": 304},
        {"file": "2026-01/0002T.htm", "url": URL + "0002T", "fetched_at": day},
        {"file": "2026-03/new.html", "url": URL + "0001T", "fetched_at": "2026-02-06T10:00:00Z", "status": 200},
    )
    assert landed(tmp_path / "home", pages, run_id=SECOND).problems == ()
    return tmp_path / "home"


def row_at(home: Path, number: int, file: str) -> dict[str, Any]:
    rows: list[dict[str, Any]] = [row for row in read_captures(home).to_pylist() if row["file"] == file]
    return rows[number]


def rewrite_index(home: Path, change: Callable[[dict[str, Any]], dict[str, Any] | None]) -> None:
    """Have each row of the first run's index changed, or left out."""
    table = pq.read_table(home / INDEX)
    rows = [row for row in map(change, table.to_pylist()) if row]
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), home / INDEX)


def places(faults: list[Fault]) -> list[tuple[str, str, int | None]]:
    return [(fault.kind, fault.file, fault.offset) for fault in faults]


def test_a_home_that_is_whole_is_clean_and_not_touched(home: Path) -> None:
    before = tree(home)
    seen: list[tuple[int, int]] = []
    report = verify(home, lambda *progress: seen.append(progress))
    assert report.faults == []
    assert (report.files, report.records, report.captures) == (3, 8, 8)
    assert seen == [(done, 8) for done in range(1, 9)]
    assert tree(home) == before
    assert (report.waiting, report.leftovers) == ((), ())


def test_a_folder_without_a_landing_zone_is_clean(tmp_path: Path) -> None:
    assert verify(tmp_path / "home").files == 0
    assert not (tmp_path / "home").exists()


def test_each_flipped_byte_is_told_at_its_record(home: Path) -> None:
    """Law 2: raw is immutable; and the records beside the damage are read all the same."""
    file = home / SITE
    intact, chance = file.read_bytes(), random.Random(3)
    rows = [row_at(home, 0, SITE), row_at(home, 1, SITE)]
    for row in rows:
        # Not the gzip header, of which four fields mean nothing, nor padding bits in the last byte of the data.
        for place in sorted(chance.sample(range(row["offset"] + 10, row["offset"] + row["length"] - 9), 20)):
            flipped = bytearray(intact)
            flipped[place] ^= 1 << chance.randrange(8)
            file.write_bytes(flipped)
            report = verify(home)
            assert places(report.faults) == [("damaged", SITE, row["offset"])], place
            assert report.captures == 7
            assert "restore the file from a copy" in report.faults[0].mend
            assert row["url"] in report.faults[0].found


@pytest.mark.parametrize("name", [SITE, LOCAL])
def test_each_length_of_a_truncated_file_is_told(home: Path, name: str) -> None:
    file = home / name
    intact = file.read_bytes()
    starts = [row["offset"] for row in read_captures(home).to_pylist() if row["file"] == name]
    for size in random.Random(5).sample(range(len(intact)), 40) + starts + [0]:
        file.write_bytes(intact[:size])
        [fault] = verify(home).faults
        whole = [start for start in (0, *starts) if start < size]
        cut = max(whole, default=0)
        on_a_border = size in starts
        assert (fault.kind, fault.file) == ("truncated", name)
        assert fault.offset == (size if on_a_border else cut or (0 if size else starts[0]))
        assert f"the file ends at byte {size}" in fault.found
        assert ("inside the record" in fault.found) == (not on_a_border and size > 0)
        gone = len([start for start in starts if start >= size])
        assert (f"{gone} capture" in fault.found) == (gone > 0)


def test_a_record_with_other_bytes_than_its_digest_is_told(home: Path) -> None:
    row = row_at(home, 0, SITE)
    data = (home / SITE).read_bytes()
    member = gzip.decompress(data[row["offset"] : row["offset"] + row["length"]])
    end = row["offset"] + row["length"]
    changed = gzip.compress(member.replace(b"Synthetic page", b"Synthetic fake"))
    (home / SITE).write_bytes(data[: row["offset"]] + changed + data[end:])
    faults = verify(home).faults
    assert places(faults)[0] == ("damaged", SITE, row["offset"])
    assert "its block has the digest sha256:" in faults[0].found


def test_bytes_of_another_page_with_good_digests_are_not_those_of_the_index(home: Path) -> None:
    payload = b"Synthetic other page"
    rewrite_index(home, lambda row: row | {"digest": f"sha256:{hashlib.sha256(payload).hexdigest()}"})
    kinds = verify(home).kinds
    assert kinds["misindexed"] == 5


def test_a_file_that_is_gone_is_told_with_what_is_lost(home: Path) -> None:
    (home / LOCAL).unlink()
    report = verify(home)
    assert places(report.faults) == [("missing_file", LOCAL, None)]
    assert report.faults[0].found == "is gone, and 3 captures with it"


def test_an_index_row_with_a_wrong_offset_is_told_and_its_record_is_in_no_index(home: Path) -> None:
    row = row_at(home, 1, SITE)
    for wrong in (row["offset"] + 1, row["offset"] - 1):
        rewrite_index(home, lambda r: r | {"offset": wrong} if r["url"] == row["url"] else r)  # noqa: B023
        faults = verify(home).faults
        assert places(faults) == [("misindexed", SITE, wrong), ("unindexed", SITE, row["offset"])]
        assert row["url"] in faults[0].found


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("url", "https://example.com/other"),
        ("status", 404),
        ("payload_bytes", 1),
        ("length", 1),
        ("record_type", "resource"),
        ("media_type", "text/plain"),
        ("etag", '"8"'),
        ("etag", None),
        ("last_modified", "Thu, 01 Jan 2026 00:00:01 GMT"),
        ("requested_url", URL + "0009T"),
        ("requested_url", None),
        ("source", "local"),
        ("run_id", SECOND),
    ],
)
def test_an_index_row_that_is_not_of_its_record_is_told(tmp_path: Path, column: str, value: object) -> None:
    pages = write_page(tmp_path / "in/1.html", b"Synthetic page").parent
    write_manifest(
        pages,
        {
            "file": "1.html",
            "url": URL + "0001T",
            "fetched_at": "2026-01-05T10:00:00Z",
            "status": 200,
            "requested_url": URL + "old",
            "etag": '"7"',
            "last_modified": "Thu, 01 Jan 2026 00:00:00 GMT",
        },
    )
    home = tmp_path / "home"
    landed(home, pages, run_id=FIRST)
    row = row_at(home, 0, SITE)
    rewrite_index(home, lambda r: r | {column: value} if r["url"] == row["url"] else r)
    [fault, *_] = verify(home).faults
    assert (fault.kind, fault.file, fault.offset) == ("misindexed", SITE, row["offset"])
    assert f"{column} is {row[column]}, the index says {value}" in fault.found


@pytest.mark.parametrize(("column", "value"), [("status", 404), ("etag", '"8"'), ("last_modified", "Synthetic")])
def test_what_is_known_of_a_page_without_http_is_compared_too(tmp_path: Path, column: str, value: object) -> None:
    pages = write_page(tmp_path / "in/1.html", b"Synthetic page").parent
    write_manifest(pages, {"file": "1.html", "url": "urn:x", "status": 200, "etag": '"7"', "last_modified": "x"})
    landed(tmp_path / "home", pages, run_id=FIRST)
    assert verify(tmp_path / "home").faults == []
    rewrite_index(tmp_path / "home", lambda row: row | {column: value})
    [fault] = verify(tmp_path / "home").faults
    assert (fault.kind, fault.file) == ("misindexed", LOCAL)


def test_an_index_of_an_earlier_version_is_clean(home: Path) -> None:
    """Without checksums of its pages, and without the columns that came later."""
    for index in (home / "raw/captures").glob("*.parquet"):
        table = pq.read_table(index).drop_columns(["requested_url", "etag", "last_modified"])
        pq.write_table(table, index, write_page_checksum=False)
    assert verify(home).faults == []
    assert read_captures(home).num_rows == 8


def test_each_flipped_byte_of_an_index_is_told_or_changes_nothing(home: Path) -> None:
    """Law 2: an index is written once. What verify finds clean is what a run reads."""
    before = read_captures(home)
    for place in _flips(home / INDEX, 40):
        report = verify(home)
        try:
            same = read_captures(home).equals(before)
        except IndexUnreadable:
            same = False
        assert same or report.faults, place


def test_damage_of_an_index_without_checksums_fails_no_verification(home: Path) -> None:
    rewrite_index(home, dict)
    for place in _flips(home / INDEX, 40):
        assert verify(home).files == 3, place


def _flips(file: Path, count: int) -> Iterator[int]:
    """Have one byte of the file flipped, then another."""
    intact, chance = file.read_bytes(), random.Random(11)
    for place in chance.sample(range(len(intact)), count):
        flipped = bytearray(intact)
        flipped[place] ^= 1 << chance.randrange(8)
        file.write_bytes(flipped)
        yield place


@pytest.mark.parametrize("column", ["url", "offset", "media_type", "record_type", "source", "fetched_at"])
def test_an_index_that_a_run_cannot_read_is_told(home: Path, column: str) -> None:
    """Nulls where none may be: read_captures refuses them, and so does verify."""
    table = pq.read_table(home / INDEX)
    at = table.column_names.index(column)
    field = table.schema.field(column).with_nullable(True)
    table = table.set_column(at, field, pa.nulls(table.num_rows, field.type))
    pq.write_table(table, home / INDEX)
    with pytest.raises(IndexUnreadable) as raised:
        read_captures(home)
    assert raised.value.path == home / INDEX
    faults = verify(home).faults
    assert places(faults)[0] == ("index_unreadable", INDEX, None)
    assert repr(column) in faults[0].found


@pytest.mark.parametrize(
    ("column", "value", "found"),
    [
        ("fetched_at", 1 << 62, "cannot be read"),
        ("file", "../outside.warc.gz", "names '../outside.warc.gz', which is no WARC file of a home"),
        ("file", "raw/warc/a\0/b.warc.gz", "is no WARC file of a home"),
        ("url", b"\xff\xfe", "UTF8"),
    ],
)
def test_an_index_of_nonsense_is_told(home: Path, column: str, value: object, found: str) -> None:
    table = pq.read_table(home / INDEX)
    field = table.schema.field(column)
    kind = pa.int64() if isinstance(value, int) else pa.binary() if isinstance(value, bytes) else pa.string()
    values = pa.array([value] * table.num_rows, kind)
    values = values.cast(field.type) if kind == pa.int64() else values.view(field.type)
    pq.write_table(table.set_column(table.column_names.index(column), field, values), home / INDEX)
    fault = verify(home).faults[0]
    assert fault[:3] == (INDEX, None, "index_unreadable")
    assert found in fault.found


def test_a_column_of_another_name_is_told(home: Path) -> None:
    table = pq.read_table(home / INDEX)
    pq.write_table(table.rename_columns([*table.column_names[:-1], "last_modifier"]), home / INDEX)
    assert "'last_modifier'" in verify(home).faults[0].found


def test_records_that_no_index_names_are_told_once_a_file(home: Path) -> None:
    rewrite_index(home, lambda row: None if row["file"] == LOCAL else row)
    [fault] = verify(home).faults
    assert (fault.kind, fault.file) == ("unindexed", LOCAL)
    assert fault.found.startswith("3 records from here on are in no index")


def test_a_lost_index_is_told_for_its_files_and_their_records_are_read_all_the_same(home: Path) -> None:
    (home / INDEX).unlink()
    report = verify(home)
    assert places(report.faults)[:2] == [("no_index", SITE, None), ("no_index", LOCAL, None)]
    assert f"restore {INDEX} from a copy" in report.faults[0].mend
    assert report.kinds == {"no_index": 2, "without_original": 2}
    assert report.records == 8


def test_a_revisit_without_its_original_is_told(home: Path) -> None:
    lost = row_at(home, 1, SITE)
    rewrite_index(home, lambda row: None if row["url"] == lost["url"] else row)
    kinds = {(fault.kind, fault.file): fault for fault in verify(home).faults}
    assert set(kinds) == {("unindexed", SITE), ("without_original", LATER)}
    revisit = kinds["without_original", LATER]
    assert lost["url"] in revisit.found
    assert revisit.offset == row_at(home, 1, LATER)["offset"]


def test_an_index_that_cannot_be_read_is_told_and_all_else_is_verified(home: Path) -> None:
    (home / INDEX).write_bytes(b"Synthetic")
    flipped = bytearray((home / SITE).read_bytes())
    flipped[-20] ^= 1
    (home / SITE).write_bytes(flipped)
    report = verify(home)
    assert report.faults[0][:3] == (INDEX, None, "index_unreadable")
    assert report.kinds == {"index_unreadable": 1, "damaged": 1, "without_original": 2}


def test_garbage_behind_the_last_record_is_told(home: Path) -> None:
    size = (home / SITE).stat().st_size
    with (home / SITE).open("ab") as file:
        file.write(b"Synthetic garbage")
    assert places(verify(home).faults) == [("damaged", SITE, size)]


def test_what_a_crawl_holds_waits_for_the_next_one(home: Path) -> None:
    """A crawl under way, or one that was killed: its last record may be cut."""
    (home / f"raw/warc/codingahead/{SECOND}-crawl.warc.gz.crawling").write_bytes(b"\x1f\x8bcut")
    (home / f"raw/captures/{SECOND}-crawl.crawling.jsonl").write_text('{"cut', "utf-8")
    (home / f"raw/captures/{SECOND}-crawl.parquet.crawling").write_bytes(b"cut")
    renamed = home / f"raw/warc/local/{SECOND}-crawl.warc.gz"
    renamed.write_bytes((home / LOCAL).read_bytes())
    report = verify(home)
    assert report.faults == []
    assert len(report.waiting) == 4
    assert report.leftovers == ()


def test_what_a_killed_run_left_is_swept_by_the_next(home: Path) -> None:
    third = "20260303T120000Z-0003"
    (home / f"raw/captures/{third}.parquet.partial").write_bytes(b"")
    (home / f"raw/warc/local/{third}.warc.gz").write_bytes(b"\x1f\x8bcut")
    (home / f"raw/warc/codingahead/{third}.warc.gz.partial").write_bytes(b"")
    report = verify(home)
    assert (report.faults, len(report.leftovers)) == ([], 3)


def test_a_run_that_commits_meanwhile_is_no_false_alarm(home: Path, tmp_path: Path) -> None:
    """Names are taken at one moment: WARC files that appear later are not looked at, nor is their index."""
    write_page(tmp_path / "more/a.html", b"Synthetic more")

    def land_more(seen: int, total: int) -> None:
        if seen == 1:
            landed(home, tmp_path / "more", run_id="20260303T120000Z-0003")

    report = verify(home, land_more)
    assert (report.faults, report.records) == ([], 8)
    assert verify(home).records == 9


def test_names_are_taken_under_the_lock_of_the_zone(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run renames its WARC files, then its index, under this lock: nobody sees the one without the other."""
    held: list[bool] = []
    glob = Path.glob

    def watched(self: Path, pattern: str) -> Any:
        held.append(zone_lock(home).is_locked or _locked_by_another(home))
        return glob(self, pattern)

    monkeypatch.setattr(verifying.Path, "glob", watched)
    verify(home)
    assert held
    assert all(held)


def _locked_by_another(home: Path) -> bool:
    lock = zone_lock(home)
    try:
        lock.acquire(blocking=False)
    except (TimeoutError, RuntimeError):
        return True
    lock.release()
    return False


def test_faults_without_end_are_counted_and_the_first_are_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifying, "MAX_FAULTS", 2)
    rewrite_index(home, lambda row: row | {"status": 500, "length": 1})
    report = verify(home)
    assert (len(report.faults), report.kinds.total()) == (2, 5)


def test_memory_does_not_grow_with_the_page(tmp_path: Path) -> None:
    pages = write_page(tmp_path / "pages/big.html", random.Random(1).randbytes(1 << 16) * 128).parent
    landed(tmp_path / "home", pages)
    tracemalloc.start()
    report = verify(tmp_path / "home")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (report.faults, report.records) == ([], 1)
    assert peak < 2 << 20


def test_every_kind_of_page_verifies(tmp_path: Path) -> None:
    """Empty pages, and pages that look like records."""
    pages = tmp_path / "pages"
    for number, payload in enumerate([b"", b"\r\n\r\n", b"WARC/1.1\r\n\r\n", b"\r\n", *PAGES.values()]):
        write_page(pages / f"{number}.html", payload)
    lines = [{"file": f"{n}.html", "url": f"https://example.com/{n}ü#code={n}", "status": 200} for n in range(4)]
    write_manifest(pages, *lines)
    landed(tmp_path / "home", pages)
    assert (verify(tmp_path / "home").faults, verify(tmp_path / "home").captures) == ([], 9)
