"""The table codes: most trusted values, and the status that histories tell."""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from parsers.records import Attribute, Descriptor, HistoryEvent, Indicator, Record
from tests.warehouse.invented import assembled, day, page
from warehouse.staging import StagedResult

NOTICE = Attribute("deletion_notice", 1, "Synthetic banner: code deleted")


def event(on: str, action: Any, ordinal: int = 1) -> HistoryEvent:
    return HistoryEvent(dt.date.fromisoformat(on), action, ordinal, None)


def code_of(home: Path, *records: Record) -> dict[str, Any]:
    (row,) = assembled(home, [(page(records=records), day(1))]).tables["codes"].to_pylist()
    return row


@pytest.mark.parametrize(
    ("records", "status", "deleted_on"),
    [
        ([], "unknown", None),
        ([event("2023-01-01", "other")], "unknown", None),
        ([event("2023-01-01", "added")], "active", None),
        ([event("2024-01-01", "changed")], "active", None),
        ([event("2023-01-01", "added"), event("2025-01-01", "deleted")], "deleted", "2025-01-01"),
        # as of 1 March 2026: the day itself, the day after, far ahead
        ([event("2026-03-01", "deleted")], "deleted", "2026-03-01"),
        ([event("2026-03-02", "deleted")], "active", "2026-03-02"),
        ([event("2027-01-01", "deleted")], "active", "2027-01-01"),
        # 31 December and 1 January are two notations of one day
        ([event("2024-12-31", "deleted")], "deleted", "2025-01-01"),
        ([event("2024-12-30", "deleted")], "deleted", "2024-12-30"),
        ([event("2026-12-31", "deleted")], "active", "2027-01-01"),
        # the latest deletion counts, unless the code was added again later
        ([event("2020-01-01", "deleted"), event("2024-01-01", "deleted")], "deleted", "2024-01-01"),
        ([event("2020-01-01", "deleted"), event("2021-01-01", "added")], "active", None),
        ([event("2021-01-01", "deleted"), event("2021-01-01", "added")], "deleted", "2021-01-01"),
        # the latest addition or deletion up to now decides; what comes later is only announced
        ([event("2027-01-01", "added")], "unknown", None),
        ([event("2027-01-01", "added"), event("2028-01-01", "deleted")], "unknown", "2028-01-01"),
        ([event("2024-01-01", "changed"), event("2027-01-01", "added")], "active", None),
        ([event("2027-01-01", "added"), event("2027-06-01", "changed")], "unknown", None),
        ([event("2023-01-01", "deleted"), event("2027-01-01", "added")], "deleted", "2023-01-01"),
        ([event("2023-01-01", "deleted"), event("2024-01-01", "added"), event("2026-12-31", "deleted")],
         "active", "2027-01-01"),
        ([event("2020-01-01", "added"), event("2023-01-01", "deleted"), event("2027-01-01", "deleted")],
         "deleted", "2023-01-01"),
        ([event("2026-03-01", "added"), event("2026-03-01", "deleted")], "deleted", "2026-03-01"),
        ([event("2020-12-31", "deleted"), event("2021-01-01", "added")], "deleted", "2021-01-01"),
        ([event("2027-01-01", "deleted"), event("2028-01-01", "deleted")], "active", "2027-01-01"),
        # a banner counts only where no history speaks
        ([NOTICE], "deleted", None),
        ([NOTICE, event("2023-01-01", "added")], "active", None),
        ([NOTICE, event("2023-01-01", "other")], "unknown", None),
        # words of the fee schedule never decide
        ([Indicator("status", "D", "Deleted Code", "Deleted Code"), event("2023-01-01", "added")], "active", None),
        ([Indicator("status", "A", None, "Active Code"), event("2023-01-01", "deleted")], "deleted", "2023-01-01"),
    ],
)  # fmt: skip
def test_status_is_what_the_history_tells_as_of_the_data(
    tmp_path: Path, records: list[Record], status: str, deleted_on: str | None
) -> None:
    code = code_of(tmp_path, *records)
    assert code["status"] == status
    assert code["deleted_on"] == (dt.date.fromisoformat(deleted_on) if deleted_on else None)


def test_an_announced_deletion_comes_true_as_data_time_passes(tmp_path: Path) -> None:
    going = page("0748T", [event("2023-01-01", "added"), event("2026-03-05", "deleted")])
    before = assembled(tmp_path, [(going, day(1))]).tables["codes"].to_pylist()
    other = page("1001T", [Descriptor("short", "Synthetic")])
    after = assembled(tmp_path, [(going, day(1)), (other, day(9))]).tables["codes"].to_pylist()
    assert [row["status"] for row in before] == ["active"]
    assert [(row["code"], row["status"]) for row in after] == [("0748T", "deleted"), ("1001T", "unknown")]


def banner_after(home: Path, first: tuple[Record, ...], later: StagedResult) -> dict[str, Any]:
    seen = [(page(records=first), day(1)), (later, day(2))]
    (row,) = assembled(home, seen).tables["codes"].to_pylist()
    return row


def test_a_banner_of_a_newer_page_counts_where_that_page_lost_its_history(tmp_path: Path) -> None:
    added, announced = event("2020-01-01", "added"), event("2027-01-01", "deleted")
    cut = page(records=[NOTICE], covers=["attributes"], outcome="partial", truncated=True)
    row = banner_after(tmp_path / "1", (added,), cut)
    assert (row["status"], row["added_on"], row["deleted_on"]) == ("deleted", dt.date(2020, 1, 1), None)
    row = banner_after(tmp_path / "2", (added, announced), cut)
    assert (row["status"], row["deleted_on"]) == ("deleted", dt.date(2027, 1, 1))


def test_a_banner_of_an_older_page_or_another_site_leaves_the_history_to_decide(tmp_path: Path) -> None:
    added = event("2020-01-01", "added")
    history = page(records=[added], covers=["history_events"], outcome="partial")
    assert banner_after(tmp_path / "1", (NOTICE,), history)["status"] == "active"
    other = page(records=[NOTICE], covers=["attributes"], source="openpayer")
    assert banner_after(tmp_path / "2", (added,), other)["status"] == "active"


def test_dates_are_the_first_added_and_the_last_changed(tmp_path: Path) -> None:
    days = [event("2023-01-01", "added"), event("2020-01-01", "added"), event("2024-01-01", "changed")]
    code = code_of(tmp_path, *days, event("2022-01-01", "changed"))
    assert (code["added_on"], code["changed_on"]) == (dt.date(2020, 1, 1), dt.date(2024, 1, 1))


@pytest.mark.parametrize(
    ("code", "system", "category"),
    [
        ("00100", "CPT", "I"),
        ("0001F", "CPT", "II"),
        ("0748T", "CPT", "III"),
        ("0001U", "CPT", "PLA"),
        ("0002M", "CPT", "MAAA"),
        ("A0021", "HCPCS", "HCPCS-II"),
        ("V5364", "HCPCS", "HCPCS-II"),
    ],
)
def test_the_form_tells_the_category(tmp_path: Path, code: str, system: str, category: str) -> None:
    (row,) = assembled(tmp_path, [(page(code), day(1))]).tables["codes"].to_pylist()
    assert (row["code"], row["code_system"], row["category"]) == (code, system, category)


@pytest.mark.parametrize(
    ("trust", "title"),
    [
        (["codingahead", "openpayer"], "Synthetic of codingahead"),
        (["openpayer", "codingahead"], "Synthetic of openpayer"),
        (["nobody"], "Synthetic of codingahead"),
        (["openpayer"], "Synthetic of openpayer"),
    ],
    ids=["first", "second", "others by name", "named before others"],
)
def test_values_come_from_the_most_trusted_source_that_has_them(tmp_path: Path, trust: list[str], title: str) -> None:
    seen = [
        (page(records=[Descriptor("title", f"Synthetic of {site}")], source=site), day(1))
        for site in ("openpayer", "codingahead")
    ]
    only = page(records=[Indicator("mue", "2", None, "2")], source="openpayer", url="https://other.example/0748T")
    made = assembled(tmp_path, [*seen[:1], *seen[1:]], trust).tables["codes"].to_pylist()
    assert [row["title"] for row in made] == [title]
    assert [row["source_count"] for row in made] == [2]
    made = assembled(tmp_path, [seen[1], (only, day(2))], ["codingahead"]).tables["codes"].to_pylist()
    assert [(row["title"], row["mue_code"]) for row in made] == [("Synthetic of codingahead", "2")]


def test_the_history_of_one_source_decides_as_a_whole(tmp_path: Path) -> None:
    silent = page(records=[Descriptor("short", "Synthetic")], source="codingahead")
    telling = page(records=[event("2020-01-01", "added"), event("2025-01-01", "deleted")], source="openpayer")
    (row,) = assembled(tmp_path, [(silent, day(1)), (telling, day(1))]).tables["codes"].to_pylist()
    assert row["status"] == "deleted"
    contradicting = page(records=[event("2021-01-01", "added")], source="codingahead")
    (row,) = assembled(tmp_path, [(contradicting, day(2)), (telling, day(1))]).tables["codes"].to_pylist()
    assert (row["status"], row["added_on"], row["deleted_on"]) == ("active", dt.date(2021, 1, 1), None)


def test_first_seen_is_the_first_readable_page(tmp_path: Path) -> None:
    gated = page("0748T", outcome="gated", url="https://www.codingahead.example/cpt/codes/0748T")
    first, second = (
        page(records=[Descriptor("short", "Synthetic 1")]),
        page(records=[Descriptor("short", "Synthetic 2")]),
    )
    made = assembled(tmp_path, [(gated, day(1)), (first, day(2)), (second, day(3))]).tables["codes"].to_pylist()
    assert [row["first_seen_at"] for row in made] == [day(2)]
