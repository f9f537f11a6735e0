"""What a home holds, counted by source, day and status."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from raw.captures import read_captures
from raw.errors import IndexUnreadable
from raw.stats import Count, Stats, stats
from tests.raw.landing_zone import PAGES, URL, landed, write_manifest, write_page

FIRST, SECOND = "20260301T120000Z-0001", "20260302T120000Z-0002"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """One page fetched three times: new, confirmed, other bytes; a second; and two that were never known to HTTP."""
    pages = tmp_path / "pages"
    write_page(pages / "old.html", b"Synthetic old")
    write_page(pages / "new.html", b"Synthetic newer")
    write_page(pages / "local.txt", b"Synthetic local", "2026-01-31T12:00:00Z")
    fetched = (("old.html", "2026-01-05T00:00:00Z", 200), ("old.html", "2026-01-06T01:59:59.999999+02:00", 304))
    write_manifest(pages, *({"file": f, "url": URL + "1", "fetched_at": d, "status": s} for f, d, s in fetched))
    (pages / "new.html").rename(tmp_path / "new.html")
    landed(tmp_path / "home", pages, run_id=FIRST)
    (tmp_path / "new.html").rename(pages / "new.html")
    lines = [{"file": "new.html", "url": URL + "1", "fetched_at": "2026-01-06T00:00:00Z", "status": 200}]
    write_manifest(pages, *lines, {"file": "new.html", "url": URL + "2", "fetched_at": "2026-01-06T09:00:00Z"})
    assert landed(tmp_path / "home", pages, run_id=SECOND).problems == ()
    return tmp_path / "home"


def test_counts_by_source_and_day_in_utc(home: Path) -> None:
    found = stats(home)
    lengths = {row["fetched_at"]: row["length"] for row in read_captures(home).to_pylist()}
    january = sorted((moment, length) for moment, length in lengths.items())
    disk = [length for _, length in january]
    fifth, sixth = date(2026, 1, 5), date(2026, 1, 6)
    assert [count[:7] for count in found.by_day if count.source == "codingahead"] == [
        ("codingahead", fifth, 2, 1, 1, 1, 13),
        ("codingahead", sixth, 2, 2, 2, 0, 30),
    ]
    assert [count.disk_bytes for count in found.by_day if count.source == "codingahead"] == [
        disk[0] + disk[1],
        disk[2] + disk[3],
    ]
    assert [count[:7] for count in found.by_source] == [
        ("codingahead", None, 4, 2, 3, 1, 43),
        ("local", None, 2, 2, 2, 0, 13 + 15),
    ]


def test_totals(home: Path) -> None:
    found = stats(home)
    assert found.total == Count(None, None, 6, 4, 5, 1, 71, sum(read_captures(home)["length"].to_pylist()))
    assert found.by_status == {200: 2, 304: 1, None: 3}
    assert (found.runs, found.warc_files) == (2, 4)
    assert (found.first_day, found.last_day) == (date(2026, 1, 5), date(2026, 1, 31))


def test_nothing_is_held_of_an_empty_home(tmp_path: Path) -> None:
    assert stats(tmp_path / "home") == Stats(Count(None, None, 0, 0, 0, 0, 0, 0), (), (), {}, 0, 0, None, None)


def test_an_index_that_cannot_be_read_is_named(home: Path) -> None:
    index = home / f"raw/captures/{FIRST}.parquet"
    index.write_bytes(PAGES["2026-02/0005T.html"])
    with pytest.raises(IndexUnreadable) as raised:
        stats(home)
    assert raised.value.path == index
