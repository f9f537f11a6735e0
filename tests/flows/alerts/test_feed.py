"""The feed, read by an independent parser and held against RFC 4287; law 10 in XML."""

import datetime as dt
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import feedparser
import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st

from flows.alerts.feed import FILE, MAX_ENTRIES, write_feed
from flows.alerts.render import render
from tests.flows.alerts.messages import HOSTILE, MADE, condition, item, operators, realistic, users
from tests.flows.pages import folder, page, run_inline, without_validation

ATOM = "{http://www.w3.org/2005/Atom}"
# Ex: 2026-01-12T06:05:00+00:00
RFC_3339 = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})")
URN = re.compile(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TEXTS = st.one_of(st.text(max_size=40), st.lists(st.sampled_from(HOSTILE), min_size=1, max_size=6).map("".join))


def written(home, *messages):
    write_feed(home, messages)
    return (home / FILE).read_bytes()


def many(number):
    return [users(item(f"{10000 + k}"), made_at=MADE + dt.timedelta(hours=k)) for k in range(number)]


def check_rfc_4287(data):
    """What the standard requires of the elements that are in it."""
    feed = ET.fromstring(data)
    assert feed.tag == f"{ATOM}feed"
    entries = feed.findall(f"{ATOM}entry")
    for one in (feed, *entries):
        for required in ("id", "title", "updated"):
            assert len(one.findall(ATOM + required)) == 1
        assert URN.fullmatch(one.findtext(f"{ATOM}id"))
        assert one.findtext(f"{ATOM}title").strip()
    assert feed.findtext(f"{ATOM}author/{ATOM}name")
    for name in ("updated", "published"):
        assert all(RFC_3339.fullmatch(found.text) for found in feed.iter(ATOM + name))
    ids = [one.findtext(f"{ATOM}id") for one in (feed, *entries)]
    assert len(set(ids)) == len(ids)
    for entry in entries:
        [content] = entry.findall(f"{ATOM}content")
        assert content.get("type") == "html"
        assert content.text.strip()
        assert not [*content]
    known = "author category content entry feed generator id name published subtitle title updated".split()
    assert {found.tag for found in feed.iter()} <= {ATOM + name for name in known}


def test_the_feed_is_valid_and_another_reader_finds_all_in_it(tmp_path):
    message = realistic()

    data = written(tmp_path, message, operators(condition()))

    check_rfc_4287(data)
    read = feedparser.parse(data)
    assert read.bozo == 0
    assert read.version == "atom10"
    assert [entry.title for entry in read.entries if "deleted" in entry.title] == [render(message).title]
    told = next(entry for entry in read.entries if "deleted" in entry.title)
    assert told.updated_parsed[:6] == (2026, 1, 12, 6, 5, 0)
    assert {tag.term for tag in told.tags} == {one.change_type for one in message.items}
    assert "2026-01-01" in told.content[0].value


def test_an_entry_says_what_the_message_says(tmp_path):
    message = realistic()
    content = ET.fromstring(written(tmp_path, message)).findtext(f"{ATOM}entry/{ATOM}content")

    shown = BeautifulSoup(render(message).html, "lxml").body

    assert BeautifulSoup(content, "lxml").get_text(" ", strip=True) == shown.get_text(" ", strip=True)
    assert "<style" not in content
    assert "<html" not in content


def test_nobody_makes_up_where_the_feed_is(tmp_path):
    assert b"<link" not in written(tmp_path, realistic())


def test_the_newest_come_first_and_old_ones_leave(tmp_path):
    messages = many(MAX_ENTRIES + 5)

    feed = feedparser.parse(written(tmp_path, *messages))

    titles = [render(message).title for message in reversed(messages)]
    assert [entry.title for entry in feed.entries] == titles[:MAX_ENTRIES]
    assert feed.feed.updated_parsed[:6] == messages[-1].made_at.timetuple()[:6]


def test_the_same_messages_give_the_same_bytes_in_any_order(tmp_path):
    messages = many(3)

    first = written(tmp_path / "a", *messages)

    assert written(tmp_path / "b", *reversed(messages)) == first


def test_a_feed_that_says_the_same_is_left_as_it_is(tmp_path):
    written(tmp_path, *many(2))
    before = (tmp_path / FILE).stat()
    written(tmp_path, *many(2))
    same = (tmp_path / FILE).stat()
    written(tmp_path, *many(3))
    other = (tmp_path / FILE).stat()

    assert (before.st_ino, before.st_mtime_ns) == (same.st_ino, same.st_mtime_ns)
    assert other.st_ino != before.st_ino, "a reader that has it open would see it change"
    assert [path.name for path in (tmp_path / FILE).parent.iterdir()] == ["feed.xml"]


def test_ids_stay_when_words_and_places_change(tmp_path, monkeypatch):
    """A reader shows an entry again when its id changes."""
    home, moved = (tmp_path / name for name in ("home", "moved"))
    without_validation(monkeypatch)
    run_inline(home, folder(tmp_path / "pages", {"20610": page("20610")}))
    message = realistic()
    before = feedparser.parse(written(home, message))
    home.rename(moved)
    after = feedparser.parse(written(moved, replace(message, items=message.items[:1])))
    elsewhere = feedparser.parse(written(tmp_path / "other", message))

    assert before.feed.id == after.feed.id != elsewhere.feed.id
    assert before.entries[0].id == after.entries[0].id == elsewhere.entries[0].id
    assert before.entries[0].title != after.entries[0].title


def test_a_feed_without_messages_is_valid(tmp_path):
    data = written(tmp_path)

    check_rfc_4287(data)
    assert feedparser.parse(data).bozo == 0


@pytest.mark.parametrize(
    "words", ["\x00\x0b\x1f", "\ud800", "\ufffe\uffff", "\x85\u2028", "]]>", "<![CDATA[", "&#0;", "&x;"]
)
def test_law_10_text_that_xml_cannot_hold_harms_nothing(words, tmp_path):
    data = written(tmp_path, users(item(what=f"Synthetic {words} words", title=words, url=words, after=words)))

    check_rfc_4287(data)
    assert feedparser.parse(data).bozo == 0


@given(TEXTS)
def test_law_10_words_of_pages_are_text_in_the_feed(tmp_path_factory, words):
    made = [
        item(title=f"x{text}x", what=f"x{text}x", after=f"x{text}x", sources=(f"x{text}x",), url=f"x{text}x")
        for text in (words, "y")
    ]
    found, harmless = (written(tmp_path_factory.mktemp("feed"), users(one, message_id="m")) for one in made)

    check_rfc_4287(found)
    assert [one.tag for one in ET.fromstring(found).iter()] == [one.tag for one in ET.fromstring(harmless).iter()]
    content = ET.fromstring(found).findtext(f"{ATOM}entry/{ATOM}content")
    assert not BeautifulSoup(content, "lxml")(["script", "img", "style", "iframe", "a"])
