"""Items: one for each thing that a person would say happened to a code, with the page that tells it."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.alerts.items import address_allowed, as_allowed, items_from, items_of
from flows.alerts.message import Item
from flows.alerts.pages import Facts
from flows.things import HEADLINES
from parsers.records import Attribute, Descriptor, HistoryEvent, Indicator, Modifier, Narrative, Record, RelatedCode
from tests.flows.alerts.small_home import SmallHome
from tests.warehouse.generated import FULL
from tests.warehouse.invented import day, page
from tests.warehouse.test_compare import snapshots as compared_snapshots
from warehouse import snapshots
from warehouse.compare import compare

OLD, CODE = "10001", "10002"
ADDED = HistoryEvent(dt.date(2020, 1, 1), "added", 1, "Synthetic note")
WORDS = "Synthetic words"


def mue(value: str) -> Indicator:
    return Indicator("mue", value, f"{WORDS} {value}", f"{value} - {WORDS}")


def site(*records: Record, source: str = "codingahead", code: str = CODE, url: str | None = None):
    return page(code, records, source=source, url=url)


@pytest.fixture
def home(tmp_path):
    return SmallHome(tmp_path)


def told(home: SmallHome, rights="full") -> list[Item]:
    return items_of(home.home, home.ids[-1], rights)


def only(items: list[Item]) -> Item:
    assert len(items) == 1, items
    return items[0]


def rows(home: SmallHome) -> dict[str, dict[str, object]]:
    return {row["event_id"]: row for row in snapshots.read_table(home.home, home.ids[-1], "changes").to_pylist()}


def test_a_new_code_is_one_thing_with_all_that_its_pages_say(home):
    home.add(site(code=OLD))
    home.add(
        site(Descriptor("title", "Synthetic title"), mue("3"), ADDED),
        site(Modifier("26", None, None), source="openpayer"),
    )

    item = only(told(home))

    assert (item.change_type, item.severity, item.code, item.category) == ("code_added", "critical", CODE, "I")
    assert (item.title, item.before, item.after) == ("Synthetic title", None, "active")
    assert item.sources == ("codingahead", "openpayer")
    assert item.effective_on == dt.date(2020, 1, 1)
    assert item.seen_at == day(2)
    assert item.url == f"https://www.codingahead.example/cpt/codes/{CODE}"
    assert set(item.event_ids) == set(rows(home))
    assert rows(home)[item.event_id]["table_name"] == "codes"
    assert (item.snapshot_id, item.parent_snapshot_id) == (home.ids[1], home.ids[0])


def test_a_value_is_told_by_its_sources_row_with_the_cell_of_codes_behind_it(home):
    home.add(site(mue("3")))
    new = site(mue("4"))
    home.add(new)

    item = only(told(home))

    assert (item.change_type, item.severity, item.column, item.what) == (
        "indicator_changed", "warning", "mue", "indicator mue",
    )  # fmt: skip
    assert (item.before, item.after) == (f"3 - {WORDS}", f"4 - {WORDS}")
    assert (item.sources, item.document_id, item.seen_at) == (("codingahead",), new.document_id, day(2))
    assert rows(home)[item.event_id]["table_name"] == "indicators"
    assert {rows(home)[one]["column_name"] for one in item.event_ids} == {
        "value_code", "value_text", "raw_text", "mue_code",
    }  # fmt: skip


def test_what_two_sites_say_alike_is_one_thing_of_both(home):
    home.add(site(mue("3")), site(mue("3"), source="openpayer"))
    home.add(site(mue("4"), source="openpayer"), site(mue("4")))

    assert only(told(home)).sources == ("codingahead", "openpayer")


def test_what_two_sites_say_differently_is_two_things(home):
    home.add(site(mue("3")), site(mue("3"), source="openpayer"))
    home.add(site(mue("4")), site(mue("5"), source="openpayer"))

    assert {item.after: item.sources for item in told(home)} == {
        f"4 - {WORDS}": ("codingahead",),
        f"5 - {WORDS}": ("openpayer",),
    }
    assert len({item.event_id for item in told(home)}) == 2


def test_a_further_site_that_is_read_for_the_first_time_is_no_change(home):
    """Not even where it is trusted more, so that the table ``codes`` takes its values."""
    home.add(site(mue("3"), Descriptor("title", "Synthetic"), ADDED, source="openpayer"))
    home.add(
        site(mue("4"), Descriptor("title", "Synthetic other"), HistoryEvent(dt.date(2019, 1, 1), "added", 1, None))
    )

    assert {row["table_name"] for row in rows(home).values()} >= {"codes", "indicators", "descriptors"}
    assert told(home) == []


def test_a_row_that_a_known_site_adds_is_a_change(home):
    home.add(site(mue("3")))
    home.add(site(mue("3"), Modifier("26", "Synthetic", None)))

    assert only(told(home)).what == "modifier 26"


def test_a_code_whose_pages_were_lost_for_a_while_is_not_new_when_it_comes_back(home):
    known = site(mue("3"))
    home.add(site(code=OLD), known)
    home.add(site(Descriptor("title", "Synthetic"), code=OLD), lost=[known.result.url])
    assert (CODE, "code", "attribute_changed") in {(i.code, i.what, i.change_type) for i in told(home)}

    home.add(known)

    assert "code_added" in {row["change_type"] for row in rows(home).values()}
    assert told(home) == []


def test_a_deletion_is_one_thing_with_its_day_its_page_and_its_replacement(home):
    home.add(site(ADDED, mue("3")))
    home.add(
        site(
            ADDED,
            mue("3"),
            HistoryEvent(dt.date(2026, 1, 1), "deleted", 1, "Synthetic note"),
            Attribute("deletion_notice", 1, "Synthetic notice"),
            RelatedCode("replaced_by", "CPT", "10009", None),
        )
    )

    item = only(told(home))

    assert (item.change_type, item.before, item.after) == ("code_deleted", "active", "deleted")
    assert (item.effective_on, item.replaced_by) == (dt.date(2026, 1, 1), ("10009",))
    assert (item.sources, item.seen_at) == (("codingahead",), day(2))
    assert rows(home)[item.event_id]["column_name"] == "status"
    assert set(item.event_ids) == set(rows(home))


def test_an_announced_deletion_is_told_again_when_its_day_has_come_by_the_page_that_announced_it(home):
    gone = HistoryEvent(dt.date(2026, 3, 3), "deleted", 1, None)
    home.add(site(ADDED))
    home.add(site(ADDED, gone))
    announced = only(told(home))
    assert (announced.change_type, announced.effective_on) == ("history_event_added", dt.date(2026, 3, 3))

    home.add(site(code=OLD))

    item = next(item for item in told(home) if item.code == CODE)
    assert (item.change_type, item.effective_on, item.sources) == (
        "code_deleted", dt.date(2026, 3, 3), ("codingahead",),
    )  # fmt: skip
    assert item.seen_at == day(2)


def test_an_old_deletion_of_which_a_further_site_tells_is_news_only_of_a_code_that_was_taken_for_active(home):
    since, gone = (HistoryEvent(dt.date(y, 1, 1), what, 1, None) for y, what in ((2010, "added"), (2015, "deleted")))
    home.add(site(mue("3"), source="openpayer"), site(since, source="openpayer", code=OLD))
    home.add(site(gone), site(since, gone, code=OLD))

    item = only(told(home))

    assert (item.code, item.change_type, item.before) == (OLD, "code_deleted", "active")


def test_a_code_that_is_valid_again_tells_since_when(home):
    gone = HistoryEvent(dt.date(2022, 1, 1), "deleted", 1, None)
    home.add(site(ADDED, gone))
    home.add(site(ADDED, gone, HistoryEvent(dt.date(2026, 1, 1), "added", 1, None)))

    item = only(told(home))

    assert (item.change_type, item.effective_on) == ("code_reinstated", dt.date(2026, 1, 1))
    assert (item.before, item.after, item.replaced_by) == ("deleted", "active", ())


def test_a_payer_that_goes_is_one_thing_though_all_behind_it_move_up(home):
    payers = ("Synthetic A", "Synthetic B", "Synthetic C")
    home.add(site(*[Attribute("payer", n, name) for n, name in enumerate(payers, 1)]))
    new = site(*[Attribute("payer", n, name) for n, name in enumerate(payers[1:], 1)])
    home.add(new)

    item = only(told(home))

    assert (item.column, item.before, item.after, item.severity) == ("payer", "Synthetic A", None, "info")
    assert set(item.event_ids) == set(rows(home))
    assert item.document_id == new.document_id


def test_things_of_one_kind_that_differ_at_once_have_ids_of_their_own(home):
    home.add(site(Attribute("payer", 1, "Synthetic A"), Attribute("payer", 2, "Synthetic B")))
    home.add(site(Attribute("payer", 1, "Synthetic C"), Attribute("payer", 2, "Synthetic D")))

    items = told(home)

    assert {item.before for item in items} == {"Synthetic A", "Synthetic B"}
    assert len({item.event_id for item in items}) == 2
    assert {one for item in items for one in item.event_ids} == set(rows(home))


def test_a_row_that_went_is_told_by_the_page_that_no_longer_has_it(home):
    home.add(site(ADDED, Modifier("26", None, None)))
    new = site(ADDED)
    home.add(new)

    item = only(told(home))

    assert (item.before, item.after) == ("present", None)
    assert (item.document_id, item.seen_at) == (new.document_id, day(2))


def test_secrets_of_an_address_are_left_out(home):
    home.add(site(mue("3"), url="https://user:hidden-word@www.codingahead.example/a?token=other-hidden-word"))
    home.add(site(mue("4"), url="https://user:hidden-word@www.codingahead.example/a?token=other-hidden-word"))

    assert "hidden" not in repr(told(home))


SECRETIVE = "Confidential"


def worded(number: int) -> tuple[Record, ...]:
    """Records of every kind, with words of a page wherever one can have them."""
    words = f"{SECRETIVE} {number}"
    return (
        *(Descriptor(kind, words) for kind in ("short", "medium", "long", "title", "official", "overview")),
        Indicator("mue", str(number), words, words),
        Indicator("betos", None, words, words),
        HistoryEvent(dt.date(2026, 1, number), "changed", 1, words),
        HistoryEvent(dt.date(2020, 1, 1), "added", 1, words),
        Narrative("summary", 1, words),
        Attribute("payer", 1, words),
        Attribute("deletion_notice", 1, words),
        Modifier("26", words, words),
        RelatedCode("related", "CPT", "99213", words),
        RelatedCode("replaced_by", "CPT", "99214", words),
    )


def test_with_codes_only_no_words_of_a_page_are_in_any_item(home):
    home.add(site(*worded(1)), site(*worded(1), code=OLD))
    home.add(
        site(*worded(2)),
        site(*worded(1), HistoryEvent(dt.date(2026, 2, 1), "deleted", 1, SECRETIVE), code=OLD),
        site(*worded(1), code="10003", url=f"https://www.codingahead.example/10003-{SECRETIVE.lower()}-1"),
    )
    full, bare = told(home), told(home, "codes-only")

    assert SECRETIVE in repr(full)
    assert SECRETIVE.lower() not in repr(bare).lower()
    assert [item.event_ids for item in full] == [item.event_ids for item in bare]
    by_what = {item.what: item for item in bare if item.code == CODE}
    assert (by_what["indicator mue"].before, by_what["indicator mue"].after) == ("1", "2")
    assert by_what["indicator mue"].withheld_text
    assert (by_what["descriptor short"].after, by_what["descriptor short"].withheld_text) == (None, True)
    headlines = {item.change_type: item for item in bare if item.severity == "critical"}
    assert (headlines["code_deleted"].before, headlines["code_deleted"].after) == ("active", "deleted")
    assert headlines["code_deleted"].replaced_by == ("99214",)
    assert not headlines["code_added"].withheld_text


def test_items_made_with_words_lose_them_where_the_rights_have_changed_since(home):
    home.add(site(*worded(1)))
    home.add(site(*worded(2), HistoryEvent(dt.date(2026, 2, 1), "deleted", 1, SECRETIVE)))
    bare = told(home, "codes-only")

    late = [as_allowed(item, "codes-only") for item in told(home)]

    assert SECRETIVE not in repr(late)
    assert [as_allowed(item, "codes-only") for item in bare] == bare
    assert [as_allowed(item, "full") for item in told(home)] == told(home)
    assert {asdict(item)["event_id"] for item in late} == {item.event_id for item in bare}


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://x.example/cpt/codes/10001", "https://x.example/cpt/codes/10001"),
        ("https://x.example/codes/cpt-10001/", "https://x.example/codes/cpt-10001/"),
        ("https://x.example/codes/cpt-10001-a-knee-step", "https://x.example/"),
        ("https://x.example/codes/10001?title=Knee", "https://x.example/"),
        ("https://x.example/Billing-Codes/HCPCS/J1745", "https://x.example/Billing-Codes/HCPCS/J1745"),
        ("https://x.example/a-knee-step/10001", "https://x.example/"),
        ("https://x.example/codes/10001/a-hip", "https://x.example/"),
        ("https://x.example/10001-leg", "https://x.example/"),
        ("https://x.example/codes/10001#hip", "https://x.example/"),
        ("https://x.example/codes/10001/%68ip", "https://x.example/"),
        ("https://x.example", "https://x.example"),
        ("file:pages/10001.html", "file:pages/10001.html"),
        ("file:pages/knee.html", "file:"),
    ],
)
def test_with_codes_only_an_address_with_words_is_cut_to_its_site(url, shown):
    assert address_allowed(url, "codes-only") == shown
    assert address_allowed(url, "full") == url


@settings(max_examples=40 if FULL else 10, deadline=None)  # each derives codes twice
@given(compared_snapshots, compared_snapshots, st.sampled_from([(), ("codingahead",), ("openpayer", "codingahead")]))
def test_each_change_is_behind_one_item_at_most_and_each_item_has_an_id_of_its_own(before, after, first):
    """Whatever pages say; and with codes only there are the same items, without their words."""
    changes = compare(before, after, "20260301T120000Z-0123abcd").to_pylist()
    new = {row["code"] for row in changes if row["change_type"] == "code_added"}
    seen = {(site, code) for site in first for code in ("00100", "0748T")}
    facts = Facts("id", day(1), ("codingahead",), {}, frozenset(new), frozenset(seen), {}, {}, {}, {})

    items, bare = items_from(changes, facts, "full"), items_from(changes, facts, "codes-only")

    behind = [event_id for item in items for event_id in item.event_ids]
    assert len(set(behind)) == len(behind)
    assert all(item.event_id == item.event_ids[0] for item in items)
    assert all(item.what == "code" or item.before != item.after for item in items)
    assert [item.event_ids for item in items] == [item.event_ids for item in bare]
    if not first:
        headlines = {row["event_id"] for row in changes if row["change_type"] in HEADLINES}
        assert headlines == {item.event_id for item in items if item.severity == "critical"}


def test_a_snapshot_without_changes_has_no_items_and_reads_no_other_table(home, monkeypatch):
    home.add(site(mue("3")))
    monkeypatch.setattr(snapshots, "read_table", None)

    assert told(home) == []
