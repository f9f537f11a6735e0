"""What is left to be parsed, as the captures tell it."""

import itertools
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from flows.parsing import PageRef
from flows.planning import Pages, pages_of
from raw.captures import CAPTURES_SCHEMA

URL = "https://www.codingahead.com/cpt/codes/99213"
KEY = ("ab", URL)


def _capture(row, status, record_type="revisit", day=1, digest="ab"):
    return {
        "run_id": "r1",
        "url": URL,
        "source": "codingahead",
        "fetched_at": datetime(2026, 1, day, tzinfo=UTC),
        "status": status,
        "media_type": "text/html",
        "digest": f"sha256:{digest}",
        "payload_bytes": 5,
        "record_type": record_type,
        "file": "raw/warc/codingahead/r1.warc.gz",
        "offset": 100 * row,
        "length": 100,
    }


@pytest.mark.parametrize(
    ("statuses", "status", "recovered"),
    [
        ((503, 200), None, True),
        ((200, 503), None, True),
        ((404, None, 503), None, True),
        ((503, 404), 503, False),
        ((200, None), None, False),
    ],
)
def test_law_5_what_a_page_is_hangs_on_no_order_of_its_captures(statuses, status, recovered):
    """A clock that was set back puts a revisit before the capture that holds its bytes."""
    captures = [
        _capture(row, given, "revisit" if row else "response", day=row + 1) for row, given in enumerate(statuses)
    ]
    expected = Pages({KEY: PageRef(*KEY, status, captures[0]["file"], 0)}, frozenset({KEY} if recovered else ()))
    for order in itertools.permutations(captures):
        assert pages_of(pa.Table.from_pylist(order, CAPTURES_SCHEMA)) == expected


def test_a_revisit_whose_capture_was_lost_is_no_page():
    captures = [_capture(0, 200, "response"), _capture(1, 200, digest="cd"), _capture(2, 503, digest="cd")]
    pages = pages_of(pa.Table.from_pylist(captures, CAPTURES_SCHEMA))
    assert (set(pages.by_key), pages.recovered) == ({KEY}, frozenset())
