"""Parse results are stored once, in batches that are there whole or not at all."""

import dataclasses
import datetime as dt
from pathlib import Path

import pytest

from parsers.records import HistoryEvent, Indicator, Notice, ParseWarning
from tests.warehouse.invented import ALL_TABLES, LIVE, everything, page
from warehouse.staging import read_results, read_rows, stage, staged_keys
from warehouse.tables import FACTS


def files(home: Path) -> dict[str, bytes]:
    return {str(path.relative_to(home)): path.read_bytes() for path in home.rglob("*") if path.is_file()}


def test_what_was_staged_is_read_back(tmp_path: Path) -> None:
    warning = ParseWarning("list_lost", "narratives", "description|2", "text", "Synthetic:", "A list was lost.")
    staged = page("0748T", everything(), unmapped=["Synthetic"], warnings=[warning])
    stage(tmp_path, [staged])
    (result,) = read_results(tmp_path, LIVE).to_pylist()
    assert result["covered_tables"] == ",".join(ALL_TABLES)
    assert (result["document_id"], result["url"]) == (staged.document_id, staged.result.url)
    assert (result["unmapped"], result["blocks"], result["traceback"]) == (1, staged.result.blocks, None)
    for table in FACTS:
        rows = read_rows(tmp_path, LIVE, table.name).to_pylist()
        wanted = [dataclasses.asdict(record) for record in staged.result.records if record.table == table.name]
        assert [{name: row[name] for name in wanted[0]} for row in rows] == wanted
        assert {(row["source"], row["code"], row["url"]) for row in rows} == {
            ("codingahead", "0748T", staged.result.url)
        }
    assert read_rows(tmp_path, LIVE, "unmapped")["text"].to_pylist() == ["Synthetic"]
    assert read_rows(tmp_path, LIVE, "warnings")["rule"].to_pylist() == ["list_lost"]


def test_keys_are_those_of_live_parser_versions(tmp_path: Path) -> None:
    old, new = page("0748T", version=1), page("1001T", version=2)
    stage(tmp_path, [old, new])
    assert staged_keys(tmp_path, ["codingahead@2"]) == {(new.document_id, new.result.url)}
    assert staged_keys(tmp_path, ["codingahead@1", "codingahead@2"]) == {
        (old.document_id, old.result.url),
        (new.document_id, new.result.url),
    }
    assert staged_keys(tmp_path / "no home yet", LIVE) == set()


def test_law_4_rows_of_a_batch_without_its_results_do_not_exist(tmp_path: Path) -> None:
    stage(tmp_path, [page("0748T", everything())])
    (committed,) = (tmp_path / "parsed/codingahead@1/results").iterdir()
    committed.unlink()  # as a kill before the last write leaves it
    assert staged_keys(tmp_path, LIVE) == set()
    assert read_rows(tmp_path, LIVE, "descriptors").num_rows == 0


def test_law_4_leftovers_of_a_write_are_not_read(tmp_path: Path) -> None:
    stage(tmp_path, [page("0748T", everything())])
    folder = tmp_path / "parsed/codingahead@1/descriptors"
    (folder / ".half.parquet.tmp").write_bytes(b"PAR1 half a file")
    assert read_rows(tmp_path, LIVE, "descriptors").num_rows == 4


def test_the_same_batch_again_writes_the_same_files(tmp_path: Path) -> None:
    batch = [page("0748T", everything()), page("1001T", everything(2)), page("2", outcome="unrecognised")]
    stage(tmp_path, batch)
    before = files(tmp_path)
    stage(tmp_path, batch[::-1])
    assert files(tmp_path) == before


def test_a_page_in_two_batches_is_one_result(tmp_path: Path) -> None:
    first, second = page("0748T", everything()), page("1001T", everything())
    stage(tmp_path, [first])
    stage(tmp_path, [first, second])
    assert read_results(tmp_path, LIVE).num_rows == 2


def test_what_a_parser_read_stands_over_what_a_status_said(tmp_path: Path) -> None:
    """The same bytes came with status 404 (`none`) and with 200 (`parsed`)."""
    read = page("0748T", everything())
    refused = dataclasses.replace(
        read, result=dataclasses.replace(page(outcome="not_found").result, url=read.result.url, parser="none")
    )
    for order in ([read, refused], [refused, read]):
        for staged in order:
            stage(tmp_path, [staged])
    assert read_results(tmp_path, LIVE)["outcome"].to_pylist() == ["parsed"]


@pytest.mark.parametrize(
    "record",
    [
        Notice(1, "Synthetic", 10**12, "Synthetic"),
        Indicator("status", "A", "half a \ud800 character", "Synthetic"),
        HistoryEvent("yesterday", "added", 1, None),  # type: ignore[arg-type]
        Notice(1, "Synthetic", None, None),  # type: ignore[arg-type]
    ],
    ids=["number too large", "lone surrogate", "wrong type", "required and missing"],
)
def test_law_10_records_that_cannot_be_stored_fail_alone(tmp_path: Path, record: object) -> None:
    good, bad = page("0748T", everything()), page("1001T", [*everything(), record])  # type: ignore[list-item]
    stage(tmp_path, [good, bad])
    told = {row["url"]: row for row in read_results(tmp_path, LIVE).to_pylist()}
    assert told[good.result.url]["outcome"] == "parsed"
    assert told[bad.result.url]["outcome"] == "failed"
    assert "could not be stored" in told[bad.result.url]["reason"]
    assert "Traceback" in told[bad.result.url]["traceback"]
    assert set(read_rows(tmp_path, LIVE, "descriptors")["code"].to_pylist()) == {"0748T"}


def test_results_to_be_tried_again_are_refused(tmp_path: Path) -> None:
    tried = page("0748T")
    tried = dataclasses.replace(tried, result=dataclasses.replace(tried.result, retry=True))
    with pytest.raises(ValueError, match=tried.result.url):
        stage(tmp_path, [tried])
    assert not list(tmp_path.iterdir())


def test_dates_of_all_centuries_are_stored(tmp_path: Path) -> None:
    days = [dt.date.min, dt.date(1582, 10, 4), dt.date.max]
    stage(tmp_path, [page("0748T", [HistoryEvent(day, "other", 1, None) for day in days])])
    assert sorted(read_rows(tmp_path, LIVE, "history_events")["event_on"].to_pylist()) == days
