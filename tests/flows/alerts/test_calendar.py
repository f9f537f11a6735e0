"""The calendar of coming effective dates, read by an independent parser and held against RFC 5545."""

import datetime as dt

import pytest
import vobject

from flows.alerts.calendar import FILE, write_calendar
from tests.flows.pages import folder, page, run_inline, without_validation

NOTE = "Synthetic; note, with\\ marks of \x1b[31m a calendar\u202e and é" + " word" * 40
# Law 10: what would begin a line of its own in a calendar.
FORGED = "Synthetic STEP ATTENDEE:mailto:a@b.example"


def announced(code, *events, short=FORGED, notice=""):
    """A page with more in its history than the addition."""
    rows = "".join(f"{day} | {action} | {note} |\n" for day, action, note in events)
    text = page(code, short=short).replace("Code added. |\n", f"Code added. |\n{rows}")
    return text.replace("Official Description", f"{notice}\nOfficial Description", 1) if notice else text


FIRST = {
    "0714T": announced("0714T", ("2026-12-31", "Deleted", NOTE), notice="Code deleted, to report see 0738T"),
    "0738T": announced("0738T", ("2027-03-01", "Changed", "Synthetic change.")).replace("2020-01-01", "2026-07-01"),
    "20610": announced("20610", ("2026-09-01", "Deleted", "Code deleted.")),
    "20611": announced("20611", ("2021-01-01", "Changed", "Synthetic change."), ("2022-01-01", "Deleted", "Gone.")),
    "20612": announced("20612"),
}


@pytest.fixture(scope="module")
def homes(tmp_path_factory):
    """A home whose snapshot announces, and one whose next page has withdrawn a deletion and put off another."""
    place = tmp_path_factory.mktemp("calendar")
    with pytest.MonkeyPatch.context() as patch:
        without_validation(patch)
        for name, later in (
            ("first", {}),
            ("second", {"20610": announced("20610"), "0714T": FIRST["0714T"].replace("2026-12-31", "2027-06-30")}),
        ):
            home = place / name
            run_inline(home, folder(place / f"{name}-1", FIRST, day="2026-01-12"))
            if later:
                run_inline(home, folder(place / f"{name}-2", later, day="2026-01-19"))
    return place


def calendar_of(home, rights="full"):
    write_calendar(home, rights)
    return (home / FILE).read_bytes()


def events(data):
    """By uid."""
    read = vobject.readOne(data.decode("utf-8"))
    return {event.uid.value: event for event in read.contents.get("vevent", [])}


def check_rfc_5545(data):
    lines = data.split(b"\r\n")
    assert lines[0] == b"BEGIN:VCALENDAR"
    assert lines[-2:] == [b"END:VCALENDAR", b""]
    assert b"\n" not in b"".join(lines)
    assert b"\r" not in b"".join(lines)
    assert max(map(len, lines)) <= 75
    read = vobject.readOne(data.decode("utf-8"))
    read.validate(raiseException=True)
    assert (read.version.value, bool(read.prodid.value)) == ("2.0", True)
    uids = [event.uid.value for event in read.contents.get("vevent", [])]
    assert len(set(uids)) == len(uids)
    for event in read.contents.get("vevent", []):
        assert len(event.contents["dtstamp"]) == len(event.contents["summary"]) == 1
        assert type(event.dtstart.value) is dt.date
        assert event.dtend.value - event.dtstart.value == dt.timedelta(days=1)


def test_what_is_to_come_is_there_each_day_once_and_nothing_of_the_past(homes):
    data = calendar_of(homes / "first")

    check_rfc_5545(data)
    told = {(event.dtstart.value.isoformat(), event.summary.value) for event in events(data).values()}
    assert told == {
        ("2027-01-01", "0714T deleted from today on (replaced by 0738T)"),
        ("2026-07-01", "0738T valid from today on"),
        ("2027-03-01", "0738T changes today"),
        ("2026-09-01", "20610 deleted from today on (no replacement named)"),
    }


def test_an_event_tells_its_kind_when_it_was_known_and_who_says_so(homes):
    event = events(calendar_of(homes / "first"))["cptflow-0738T-changed-20270301"]

    assert event.dtstamp.value == dt.datetime(2026, 1, 12, 6, 0, tzinfo=dt.UTC)
    assert event.categories.value == ["cptflow", "changed"]
    assert event.transp.value == "TRANSPARENT"
    assert "Synthetic change.\nTold by codingahead" in event.description.value


def test_what_was_withdrawn_is_gone_and_what_was_put_off_is_another_day(homes):
    before, after = (events(calendar_of(homes / name)) for name in ("first", "second"))

    assert "cptflow-20610-deleted-20260901" in before
    assert not [uid for uid in after if "20610" in uid]
    assert "cptflow-0714T-deleted-20270101" in before
    assert [uid for uid in after if "0714T" in uid] == ["cptflow-0714T-deleted-20270630"]
    same = "cptflow-0738T-added-20260701"
    assert before[same].summary.value == after[same].summary.value


def test_codes_only_leaves_the_words_of_pages_out(homes):
    full, codes = (calendar_of(homes / "first", rights) for rights in ("full", "codes-only"))

    check_rfc_5545(codes)
    assert "Synthetic" in events(full)["cptflow-0714T-deleted-20270101"].description.value
    assert b"Synthetic" not in codes
    assert events(full).keys() == events(codes).keys()
    assert {one.summary.value for one in events(full).values()} == {one.summary.value for one in events(codes).values()}


def test_law_10_words_of_pages_begin_no_line_and_are_shown_whole(homes):
    data = calendar_of(homes / "first")
    event = events(data)["cptflow-0714T-deleted-20270101"]

    assert not [line for line in data.split(b"\r\n") if line.startswith((b"ATTENDEE", b"X-"))][1:]
    assert FORGED in event.description.value
    assert "Synthetic; note, with\\ marks of [31m a calendar and é word word" in event.description.value
    assert "\x1b" not in event.description.value


def test_a_calendar_that_says_the_same_is_left_as_it_is(homes):
    calendar_of(homes / "first")
    before = (homes / "first" / FILE).stat()
    calendar_of(homes / "first")
    same = (homes / "first" / FILE).stat()

    assert (before.st_ino, before.st_mtime_ns) == (same.st_ino, same.st_mtime_ns)


def test_nothing_announced_is_a_calendar_all_the_same(tmp_path, monkeypatch):
    """RFC 5545, 3.6: a calendar holds at least one component."""
    without_validation(monkeypatch)
    run_inline(tmp_path / "home", folder(tmp_path / "pages", {"20610": page("20610")}))

    data = calendar_of(tmp_path / "home")

    check_rfc_5545(data)
    assert events(data) == {}
    assert data.count(b"BEGIN:VTIMEZONE") == 1


def test_without_a_snapshot_there_is_no_calendar(tmp_path):
    write_calendar(tmp_path, "full")

    assert not (tmp_path / FILE).exists()
