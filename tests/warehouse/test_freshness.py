"""When each address was last looked at, beside the snapshots."""

from pathlib import Path

import pyarrow.parquet as pq

from tests.warehouse.invented import LIVE, capture, captures, day, everything, page
from warehouse.freshness import FRESHNESS, write_freshness
from warehouse.staging import read_results, stage


def test_freshness_tells_the_last_attempt_and_the_last_good_one(tmp_path: Path) -> None:
    good = page("0748T", everything())
    gated = page("0748T", outcome="gated", url=good.result.url)
    refused = page("1001T", everything(), source="openpayer")
    odd = page("2", outcome="unrecognised")
    tried = page("3", everything())  # not staged: to be tried again
    stage(tmp_path, [good, gated, refused, odd])
    seen = captures(
        [
            capture(good, day(1)),
            capture(good, day(2)),
            capture(gated, day(3)),
            capture(refused, day(1)),
            capture(refused, day(4), status=503),
            capture(odd, day(2)),
            capture(tried, day(5)),
        ]
    )
    write_freshness(tmp_path, seen, read_results(tmp_path, LIVE))
    found = pq.read_table(tmp_path / "warehouse/freshness.parquet")
    assert found.schema.equals(FRESHNESS.schema, check_metadata=True)
    told = {row["url"]: row for row in found.to_pylist()}
    assert [row["url"] for row in found.to_pylist()] == sorted(told)

    def brief(of: str) -> tuple[object, ...]:
        return tuple(told[of][name] for name in FRESHNESS.names[1:])

    assert brief(good.result.url) == ("codingahead", "0748T", day(3), "gated", day(2))
    assert brief(refused.result.url) == ("openpayer", "1001T", day(4), "blocked", day(1))
    assert brief(odd.result.url) == (None, None, day(2), "unrecognised", None)
    assert brief(tried.result.url) == (None, None, day(5), None, None)


def test_freshness_is_replaced_whole(tmp_path: Path) -> None:
    one = page("0748T", everything())
    stage(tmp_path, [one])
    for number in (1, 2):
        write_freshness(tmp_path, captures([capture(one, day(number))]), read_results(tmp_path, LIVE))
    rows = pq.read_table(tmp_path / "warehouse/freshness.parquet").to_pylist()
    assert [row["last_attempt_at"] for row in rows] == [day(2)]
    assert [path.name for path in (tmp_path / "warehouse").iterdir()] == ["freshness.parquet"]
