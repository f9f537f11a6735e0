"""Changes in words, and law 10: what a page says is text on the screen, whatever it says."""

import json
import re

import pytest

from flows import terminal
from flows.changes import Context, in_words
from flows.report import PageNote, begin
from flows.settings import Settings
from flows.terminal import Grid, Line, as_text, plain
from flows.things import label
from flows.words import fenced, summary

HOSTILE = "Synthetic \x1b[31m\x1b]0;title\x07 [bold]x[/bold] [/] \x9b2J \u202e\u2066 <b> \r\n\t\x00 end"


def change(table="codes", key="99213", column=None, before=None, after=None, kind=None, **other):
    row = {"change_type": kind or "attribute_changed", "cause": "source", "source": None, "code": "99213"}
    row |= {"table_name": table, "row_key": key, "column_name": column, "before": before, "after": after}
    return row | {"effective_on": None} | other


def told(*changes, titles=None, replaced_by=None, **options):
    return as_text(in_words(changes, Context(titles or {}, replaced_by or {}), **options))


def test_codes_that_come_go_and_come_back():
    words = told(
        change(kind="code_added", code="0001T", effective_on="2026-01-01"),
        change(kind="descriptor_changed", code="0001T", table="descriptors", key="s|0001T|short", after="{}"),
        change(kind="code_deleted", code="0002T", column="status", before="active", effective_on="2026-01-01"),
        change(kind="code_deleted", code="0003T", column="status", before="active"),
        change(kind="code_reinstated", code="0004T", column="status", before="deleted"),
        titles={"0001T": "Synthetic STEP"},
        replaced_by={"0002T": ["0001T", "0005T"]},
    )

    assert words.splitlines() == [
        "1 code added:",
        "  0001T Synthetic STEP, valid from 2026-01-01",
        "2 codes deleted:",
        "  0002T, from 2026-01-01 on, replaced by 0001T, 0005T",
        "  0003T, no replacement named",
        "1 code reinstated:",
        "  0004T is valid again",
    ]


def test_a_payer_that_goes_is_told_alone_though_all_behind_it_move_up():
    def payer(ordinal, before, after):
        if after is None:
            return change("attributes", f"s|99213|payer|{ordinal}", before=json.dumps({"value": before}), source="s")
        return change("attributes", f"s|99213|payer|{ordinal}", "value", before, after, source="s")

    words = told(payer(1, "Aetna", "Cigna Health"), payer(2, "Cigna Health", "Medicare"), payer(3, "Medicare", None))

    assert words.splitlines()[-1].split() == ["99213", "attribute", "payer", "Aetna", "–", "s"]
    assert words.count("payer") == 1


def test_a_cell_of_codes_that_repeats_a_sources_row_is_told_once():
    words = told(
        change("indicators", "s|99213|mue", "value_code", "2", "1", source="s"),
        change("indicators", "s|99213|mue", "raw_text", "2", "1", source="s"),
        change("codes", "99213", "mue_code", "2", "1", kind="indicator_changed"),
    )

    assert words.count("99213") == 1
    assert "indicator mue" in words


def test_long_values_are_cut_where_they_part():
    same = "Synthetic words that are the same in both for a good while and longer, "
    words = told(change("narratives", "s|99213|summary|1", "text", same + "then this", same + "then that", source="s"))

    assert "…longer, then this" in words
    assert "…longer, then that" in words
    assert "in both" not in words


def test_long_lists_are_cut_and_counted():
    many = [change(kind="code_added", code=f"{number:05}") for number in range(40)]
    fields = [change("codes", c := f"{number:05}", "title", "a", "b", code=c) for number in range(50, 90)]

    assert "40 codes added" in told(*many)
    assert "... and 28 more" in told(*many)
    assert "Changed in 40 codes" in told(*fields)
    assert "... and changes in 28 more codes" in told(*fields)
    assert "more" not in told(*many, *fields, all_rows=True)


def test_who_did_it_is_told():
    words = told(
        change("codes", "99213", "title", "a", "b", cause="parser"), change(kind="code_added", cause="schema", code="1")
    )

    assert "new parser" in words
    assert "[told by a new schema, not by the source]" in words


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (change("codes", "99213", "short_descriptor"), "short_descriptor"),
        (change("descriptors", "s|99213|short", "text"), "descriptor short"),
        (change("history_events", "s|99213|2026-01-01|changed|1"), "history 2026-01-01 changed"),
        (change("related_codes", "s|99213|replaced_by|CPT|99214"), "related code replaced_by CPT 99214"),
    ],
)
def test_labels(row, words):
    assert label(row) == words


def test_law_10_text_of_pages_is_one_harmless_line():
    line = plain(HOSTILE)

    assert line.isprintable()
    assert "[bold]x[/bold] [/]" in line
    assert plain("a" * 20, 10) == "aaaaaaaaa…"
    assert plain("\ud800 lone") == "? lone"


@pytest.mark.parametrize("tty", [True, False], ids=["terminal", "pipe"])
def test_law_10_nothing_of_a_page_reaches_the_terminal_as_control_or_markup(capsys, monkeypatch, tty):
    monkeypatch.setattr(terminal.sys.stdout, "isatty", lambda: tty)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "400")
    terminal.show([Line(HOSTILE), Grid(HOSTILE, ("a", HOSTILE), [(HOSTILE, 1)])])
    # Rich's own styles are escape sequences; the page's red must not be one.
    out = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)

    assert out.count("[31m") == out.count("[bold]x[/bold] [/]") == 4
    assert not set(out) & {"\x1b", "\x07", "\x9b", "\x00", "\r", "\u202e", "\u2066"}


def test_law_10_an_artifact_ends_where_it_should():
    text = fenced("Synthetic ```\n# title\n```` more")

    assert text.startswith("`````text\n")
    assert text.endswith("\n`````\n")


def test_a_changed_layout_is_told_loudly_and_other_pages_with_their_reasons():
    report = begin("20260101T000000Z-beef", [], Settings(home="h"))
    report.captures = {"layout_changed": 3, "partial": 12}
    report.captures_by_source = {"openpayer": {"layout_changed": 3, "partial": 12}}
    report.notes = [PageNote(f"https://x/{n:02}", "99213", "partial", "modifiers cut off") for n in range(12)]
    report.status = "nothing_new"
    words = as_text(summary(report))

    assert "... and 5 more; 12 of them are in the run report" in words
    report.notes += [PageNote(f"https://y/{n}", None, "layout_changed", None) for n in range(3)]
    words = as_text(summary(report))

    assert "WARNING: openpayer has changed its layout: 3 pages could not be read" in words
    assert words.count("modifiers cut off") == 7
    assert "... and 5 more; all are in the run report" in words
