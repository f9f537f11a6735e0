"""Which page each row is taken from."""

import dataclasses
import datetime as dt
from pathlib import Path

import pytest

from parsers.records import Descriptor, Narrative, Notice, Outcome, ParseWarning
from tests.warehouse.invented import LIVE, TRUST, assembled, capture, captures, day, everything, page
from warehouse.assemble import NothingCaptured, assemble
from warehouse.expectations import validate
from warehouse.staging import stage

BAD: tuple[Outcome, ...] = (
    "gated", "blocked", "not_found", "unrecognised", "layout_changed", "mismatched", "unidentified", "rejected",
    "failed",
)  # fmt: skip
FACTS_AND_CODES = (
    "codes", "descriptors", "indicators", "history_events", "narratives", "attributes", "modifiers", "related_codes",
    "notices",
)  # fmt: skip


def text(of: str) -> list[Descriptor]:
    return [Descriptor("short", of)]


def short(tables: dict) -> list[str]:
    return tables["descriptors"]["text"].to_pylist()


def test_rows_are_those_of_the_latest_page(tmp_path: Path) -> None:
    old, new = page(records=text("Synthetic old")), page(records=text("Synthetic new"))
    made = assembled(tmp_path, [(new, day(2)), (old, day(1))])
    assert short(made.tables) == ["Synthetic new"]
    assert made.tables["codes"]["short_descriptor"].to_pylist() == ["Synthetic new"]


def test_a_page_that_came_back_is_the_latest(tmp_path: Path) -> None:
    """The same bytes again (a revisit) are newer than what came between."""
    first, second = page(records=text("Synthetic first")), page(records=text("Synthetic second"))
    made = assembled(tmp_path, [(first, day(1)), (second, day(2)), (first, day(3))])
    assert short(made.tables) == ["Synthetic first"]
    assert made.as_of == day(3)
    (document,) = made.tables["documents"].to_pylist()
    assert document["fetched_at"] == day(1)


def test_ties_go_by_url_then_document_id(tmp_path: Path) -> None:
    pages = [page(records=text(f"Synthetic {host}"), url=f"https://{host}.example/0748T") for host in "cab"]
    made = assembled(tmp_path, [(of, day(1)) for of in pages])
    assert short(made.tables) == ["Synthetic a"]
    same_url = [page(records=text(words)) for words in ("Synthetic one", "Synthetic two", "Synthetic three")]
    first = min(same_url, key=lambda of: of.document_id)
    made = assembled(tmp_path / "other", [(of, day(1)) for of in same_url])
    assert short(made.tables) == [first.result.records[0].text]  # type: ignore[union-attr]


@pytest.mark.parametrize("outcome", BAD)
def test_law_3_a_page_that_was_not_read_changes_nothing(tmp_path: Path, outcome: Outcome) -> None:
    good = page(records=everything())
    before = assembled(tmp_path, [(good, day(1))])
    bad = page("0748T", outcome=outcome, url=good.result.url)
    after = assembled(tmp_path, [(good, day(1)), (bad, day(2))])
    for name in FACTS_AND_CODES:
        assert after.tables[name].equals(before.tables[name])
    assert after.as_of == before.as_of
    assert sorted(after.tables["documents"]["outcome"].to_pylist()) == sorted(["parsed", outcome])


def test_law_3_a_page_replaces_only_the_tables_that_it_covers(tmp_path: Path) -> None:
    whole = page(records=everything())
    cut = page(
        records=[*text("Synthetic new"), Narrative("description", 1, "Cut off.")],
        covers=["descriptors"],
        outcome="partial",
        truncated=True,
    )
    made = assembled(tmp_path, [(whole, day(1)), (cut, day(2))])
    assert short(made.tables) == ["Synthetic new"]
    assert made.tables["narratives"]["text"].to_pylist() == ["Synthetic prose 1.", "More synthetic prose."]
    assert made.tables["indicators"].num_rows == 4
    assert sorted(made.tables["documents"]["outcome"].to_pylist()) == ["parsed", "partial"]


def test_a_table_that_is_covered_and_empty_is_emptied(tmp_path: Path) -> None:
    made = assembled(tmp_path, [(page(records=everything()), day(1)), (page(records=text("Synthetic")), day(2))])
    assert short(made.tables) == ["Synthetic"]
    assert made.tables["modifiers"].num_rows == 0


def test_law_3_a_refused_fetch_with_the_same_bytes_confirms_nothing(tmp_path: Path) -> None:
    one = page(records=text("Synthetic"))
    stage(tmp_path, [one])
    seen = captures([capture(one, day(1)), capture(one, day(2), status=503)])
    made = assemble(seen, tmp_path, LIVE, TRUST)
    assert made.as_of == day(1)
    assert made.tables["documents"]["outcome"].to_pylist() == ["parsed"]
    only_refused = assemble(captures([capture(one, day(2), status=404)]), tmp_path, LIVE, TRUST)
    assert only_refused.tables["codes"].num_rows == 0
    (document,) = only_refused.tables["documents"].to_pylist()
    assert (document["outcome"], document["reason"], document["covered_tables"]) == ("not_found", "HTTP status 404", "")


@pytest.mark.parametrize("status", [None, 200, 203, 304])
def test_a_fetch_without_a_status_or_with_a_good_one_confirms(tmp_path: Path, status: int | None) -> None:
    one = page(records=text("Synthetic"))
    stage(tmp_path, [one])
    made = assemble(captures([capture(one, day(1)), capture(one, day(4), status=status)]), tmp_path, LIVE, TRUST)
    assert made.as_of == day(4)


def test_pages_that_are_not_staged_are_left_out(tmp_path: Path) -> None:
    known, unknown = page("0748T", everything()), page("1001T", everything())
    stage(tmp_path, [known])
    made = assemble(captures([capture(known, day(1)), capture(unknown, day(2))]), tmp_path, LIVE, TRUST)
    assert made.tables["codes"]["code"].to_pylist() == ["0748T"]
    assert made.as_of == day(1)


def test_results_of_other_parser_versions_are_left_out(tmp_path: Path) -> None:
    old = page(records=text("Synthetic old"), version=1)
    new = dataclasses.replace(page(records=text("Synthetic new"), version=2), document_id=old.document_id)
    stage(tmp_path, [old, new])
    seen = captures([capture(old, day(1))])
    assert short(assemble(seen, tmp_path, ["codingahead@1"], TRUST).tables) == ["Synthetic old"]
    assert short(assemble(seen, tmp_path, ["codingahead@2"], TRUST).tables) == ["Synthetic new"]


def test_the_same_row_twice_is_one_row_and_conflicts_stay_for_validation(tmp_path: Path) -> None:
    notice = Notice(1, "Synthetic", 2025, "Synthetic line")
    other = dataclasses.replace(notice, text="Another synthetic line")
    made = assembled(tmp_path, [(page(records=[notice, notice, other]), day(1))])
    assert made.tables["notices"]["text"].to_pylist() == ["Another synthetic line", "Synthetic line"]


def test_documents_are_those_in_use_and_the_latest_of_each_url(tmp_path: Path) -> None:
    one, two, three = (page(records=text(f"Synthetic {n}")) for n in range(3))
    gated = page("0748T", outcome="gated", url=one.result.url)
    made = assembled(tmp_path, [(one, day(1)), (two, day(2)), (three, day(3)), (gated, day(4))])
    assert set(made.tables["documents"]["document_id"].to_pylist()) == {three.document_id, gated.document_id}


def test_a_page_that_covers_no_table_makes_no_code(tmp_path: Path) -> None:
    """An address is no evidence that there is such a code."""
    made = assembled(tmp_path, [(page(outcome="partial", covers=[]), day(1))])
    assert made.tables["codes"].num_rows == 0
    assert made.tables["documents"]["outcome"].to_pylist() == ["partial"]
    assert validate(made.tables, made.as_of, TRUST).stopped == []
    whole = page(records=everything())
    made = assembled(tmp_path, [(whole, day(1)), (page(outcome="partial", covers=[]), day(2))])
    assert made.tables["codes"]["code"].to_pylist() == ["0748T"]
    assert made.as_of == day(1)


def test_unmapped_texts_are_those_of_pages_in_use(tmp_path: Path) -> None:
    old, new = page(unmapped=["Synthetic old"]), page(unmapped=["Synthetic new", "Synthetic newer"])
    made = assembled(tmp_path, [(old, day(1)), (new, day(2))])
    assert made.tables["unmapped"]["text"].to_pylist() == ["Synthetic new", "Synthetic newer"]


def test_parse_warnings_of_pages_in_use_are_told_and_their_rows_stay(tmp_path: Path) -> None:
    def warn(table: str, rule: str) -> ParseWarning:
        return ParseWarning(rule, table, "description|1", "text", "Synthetic " * 200, "Synthetic words.")

    whole = page(records=everything(1), warnings=[warn("narratives", "list_lost"), warn("descriptors", "superseded")])
    cut = page(records=text("Synthetic"), covers=["descriptors"], outcome="partial", warnings=[warn("notices", "cut")])
    made = assembled(tmp_path, [(whole, day(1)), (cut, day(2))])
    told = {row["rule"]: row for row in made.tables["quarantine"].to_pylist()}
    assert set(told) == {"list_lost", "cut"}
    assert told["list_lost"]["row_key"] == "codingahead|0748T|description|1"
    assert told["list_lost"]["severity"] == "warning"
    assert len(told["list_lost"]["value"]) == 1001
    assert made.tables["narratives"].num_rows == 2


def test_no_capture_is_told(tmp_path: Path) -> None:
    with pytest.raises(NothingCaptured, match="cptflow run") as told:
        assemble(captures([]), tmp_path, LIVE, TRUST)
    assert told.value.home == tmp_path


def test_a_home_of_unreadable_pages_has_empty_tables(tmp_path: Path) -> None:
    made = assembled(tmp_path, [(page(outcome="gated"), day(3))])
    assert made.as_of == dt.datetime(2026, 3, 3, 12, tzinfo=dt.UTC)
    assert {name: rows.num_rows for name, rows in made.tables.items() if rows.num_rows} == {"documents": 1}
