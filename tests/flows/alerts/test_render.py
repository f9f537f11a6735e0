"""Messages that help, in each format; and law 10: what a page says is text in all of them, whatever it says."""

import datetime as dt
import json
import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import jsonschema
import pytest
from apprise import NotifyFormat
from apprise.conversion import convert_between
from apprise.plugins.slack import NotifySlack
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from flows.alerts.difference import cut
from flows.alerts.escaping import address, clean, markdown
from flows.alerts.render import payload, render
from flows.alerts.telling import TITLE_WIDTH, WHAT_WIDTH
from tests.flows.alerts.messages import (
    AFTER,
    BEFORE,
    HOSTILE,
    condition,
    item,
    operators,
    realistic,
    users,
)

ROOT = Path(__file__).parents[3]
SCHEMA = json.loads((ROOT / "docs/alert-webhook.schema.json").read_text("utf-8"))
MARKDOWN = MarkdownIt("commonmark").enable(["strikethrough", "table"])
UNSEEN = "\x00\x1b\x85\xad\u061c\u200b\u2028\u202e\u2060\u2066\ufeff\ufffe\ud800\U000e0041"
# Something that is to be seen at both ends: a text of nothing but unseen characters is no text.
TEXTS = st.one_of(st.text(max_size=40), st.lists(st.sampled_from(HOSTILE), min_size=1, max_size=6).map("".join)).map(
    lambda text: f"x{text}x"
)


def lines(message):
    return render(message).text.splitlines()


# What it says


def test_the_title_counts_what_happened_to_codes():
    assert render(realistic()).title == (
        "cptflow: 1 code deleted, 1 new, 1 first seen here, 2 changed, 23 more changes (2026-01-12)"
    )


@pytest.mark.parametrize(
    ("one", "title"),
    [
        (item("0714T", "code_deleted", effective_on=dt.date(2026, 1, 1)), "0714T deleted from 2026-01-01 on"),
        (item("0714T", "code_deleted"), "0714T deleted"),
        (item("0738T", "code_added", effective_on=dt.date(2026, 1, 1)), "0738T is new"),
        (item("0738T", "code_reinstated"), "0738T is valid again"),
        (item("20610", before="2", after="1"), "20610 changed"),
    ],
)
def test_the_title_names_a_code_that_is_alone(one, title):
    assert render(users(one)).title == f"cptflow: {title} (2026-01-12)"


def test_codes_are_told_one_by_one_critical_ones_first():
    found = [line.split("  ")[:2] for line in lines(realistic()) if re.match(r"[A-Z ]+  \S{5}\b", line)]

    assert found == [
        ["DELETED", "0714T"],
        ["NEW", "0738T"],
        ["FIRST SEEN", "29881"],
        ["CHANGED", "20610"],
        ["CHANGED", "93000"],
    ]


def test_a_code_of_long_ago_that_is_seen_for_the_first_time_is_not_called_new():
    message = users(item("29881", "code_added", effective_on=dt.date(2005, 1, 1)))

    rendered = render(message)

    for form in (rendered.text, rendered.markdown, rendered.html):
        assert "Added 2005-01-01, seen here for the first time on 2026-01-12." in form
        assert not re.search(r"\bnew\b", re.sub(r"<style>.*</style>|style=\"[^\"]*\"", "", form, flags=re.S), re.I)
    assert rendered.title == "cptflow: 29881 first seen here (2026-01-12)"


def test_nothing_is_made_up_of_a_code_whose_day_nobody_told():
    text = render(users(item("29881", "code_added"))).text

    assert "Seen here for the first time on 2026-01-12; since when it is valid is not told." in text
    assert "FIRST SEEN  29881" in text


def test_a_code_that_will_be_valid_is_announced():
    text = render(users(item("0999T", "code_added", effective_on=dt.date(2026, 7, 1)))).text

    assert "Valid from 2026-07-01 on (announced), seen here for the first time on 2026-01-12." in text


@pytest.mark.parametrize(
    ("replaced_by", "told"),
    [
        (("0738T",), "Replaced by 0738T."),
        (("0738T", "33361-33366"), "Replaced by 0738T, 33361-33366."),
        ((), "No replacement is named."),
    ],
)
def test_a_deletion_tells_its_day_and_its_replacement_or_that_there_is_none(replaced_by, told):
    message = users(item("0714T", "code_deleted", effective_on=dt.date(2026, 1, 1), replaced_by=replaced_by))

    assert f"  Not valid from 2026-01-01 on. {told}" in lines(message)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"column": "deleted", "effective_on": dt.date(2026, 7, 1), "after": "x"}, "not valid from 2026-07-01"),
        ({"column": "deleted", "effective_on": dt.date(2026, 12, 31), "after": "x"}, "not valid from 2027-01-01"),
        ({"column": "deleted_on", "after": "2026-07-01"}, "Announced: not valid from 2026-07-01 on."),
        ({"column": "deleted_on", "before": "2026-07-01"}, "Withdrawn: it was to be deleted from 2026-07-01 on."),
        ({"column": "deleted_on", "after": "2020-07-01"}, "{+2020-07-01+}"),
    ],
)  # fmt: skip
def test_a_deletion_to_come_is_announced_or_withdrawn(values, told):
    assert told in render(users(item(change_type="history_event_added", what="history", **values))).text


def test_before_and_after_show_what_differs_in_each_format():
    rendered = render(realistic())

    assert "indicator mue: 2 -> 1" in rendered.text
    assert "test joint step, [-as this sample invents-] {+revised: with a synthetic reading and a record of+} it" in (
        rendered.text
    )
    assert "indicator mue: 2 → **1**" in rendered.markdown
    assert "Synthetic **Heart** Tracing With Report **and Signature**" in rendered.markdown
    assert "~~as this sample invents~~ **revised:" in rendered.markdown
    page = BeautifulSoup(rendered.html, "lxml")
    assert [found.text for found in page("del")] == ["2", "as this sample invents"]
    assert [found.text for found in page("ins")][:2] == ["1", "revised: with a synthetic reading and a record of"]


def test_what_only_came_or_only_went_is_shown_so():
    text = render(
        users(
            item("20610", what="attribute payer", after="Synthetic Insurance of Tests"),
            item("20611", what="attribute payer", before="Synthetic Insurance of Tests"),
        )
    ).text

    assert "attribute payer: {+Synthetic Insurance of Tests+}" in text
    assert "attribute payer: [-Synthetic Insurance of Tests-]" in text


def test_a_difference_that_nobody_sees_is_told_as_such():
    text = render(users(item(before="Synthetic words of a test", after="Synthetic  words\u200b of a test"))).text

    assert "indicator mue: differs in spaces or characters that nobody sees" in text


def test_withheld_words_are_told_to_be_left_out():
    left_out = "text differs; left out (rights = codes-only)"
    text = render(
        users(item(what="descriptor long", withheld_text=True), item("20611", withheld_text=True, after="1"))
    ).text

    assert f"descriptor long: {left_out}" in text
    assert "indicator mue: {+1+}" in text


def test_each_item_tells_when_and_where_it_was_seen_and_its_ids():
    message = realistic()
    rendered = render(message)

    for form in (rendered.text, rendered.markdown, rendered.html):
        assert message.message_id in form
        for one in message.items:
            assert one.event_id in form
            assert f"Seen 2026-01-12 06:00 UTC at {one.sources[0]}" in form
            assert one.url in form
            assert f"{one.document_id[:12]}" in form


def test_what_is_no_doing_of_the_source_says_so():
    assert "; told by a new parser, not by the source" in render(users(item(cause="parser", after="1"))).text


def test_what_one_page_tells_stands_together_once():
    text = render(realistic()).text

    assert text.count("https://www.codingahead.com/cpt/codes/20610") == 1


def test_what_is_beyond_the_limit_is_counted_with_a_way_to_it():
    rendered = render(realistic())

    told = "and 23 more: 20 indicator changes, 3 descriptor changes"
    assert f"{told}; cptflow changes {BEFORE} {AFTER}" in rendered.text
    assert f"{told}; `cptflow changes {BEFORE} {AFTER}`" in rendered.markdown
    one_each = {"code_added": 1, "code_deleted": 2, "history_event_added": 1}
    assert "and 4 more: 2 deleted codes, 1 new code, 1 entry in a history" in render(users(item(), more=one_each)).text


def test_operators_hear_what_it_is_since_when_and_what_to_do():
    rendered = render(operators(condition()))

    assert rendered.title == "cptflow: suspect: openpayer (2026-01-12)"
    for words in (
        "Since 2026-01-12 06:00 UTC",
        "12 of 40 pages could be read",
        "cptflow run --accept floor:openpayer",
        "docs/operating.md",
        "suspect:openpayer/20260112T060000Z/began",
        "20260112T060000Z-ab12",
    ):
        for form in (rendered.text, rendered.markdown, rendered.html):
            assert words in form


def test_operators_hear_when_it_has_ended():
    rendered = render(operators(condition(ended_at=dt.datetime(2026, 1, 19, 6, tzinfo=dt.UTC))))

    assert rendered.title == "cptflow: [recovered] suspect: openpayer (2026-01-12)"
    assert "RECOVERED  suspect: openpayer\n  Ended 2026-01-19 06:00 UTC, began 2026-01-12 06:00 UTC" in rendered.text
    assert "Nothing is left to do." in rendered.text
    assert "--accept" not in rendered.text


def test_several_conditions_are_counted():
    ended = condition("stale", "codingahead", ended_at=dt.datetime(2026, 1, 19, 6, tzinfo=dt.UTC))
    message = operators(condition(), condition("run_failed", None), ended)

    assert render(message).title == "cptflow: 2 new problems, [recovered] stale: codingahead (2026-01-12)"


def test_the_same_message_gives_the_same_words():
    assert render(realistic()) == render(realistic())


# Law 10


def hostile(words):
    """A message in which a page's words stand wherever they can; every one is there in the text."""
    return users(
        item("0714T", "code_deleted", title=words, replaced_by=(words,), url=words, sources=(words,)),
        item("20610", what=words, after=words, column=words, url=words),
        item("20611", what=words, before=words, document_id=words),
        more={"code_added": 1},
        more_at=words,
    )


@given(TEXTS)
def test_law_10_words_of_pages_change_nothing_in_the_form_of_a_message(words):
    harmless, found = (render(hostile(text)) for text in ("xyx", words))
    told = cut(clean(words), WHAT_WIDTH)

    before, after = (BeautifulSoup(one.html, "lxml") for one in (harmless, found))
    assert [(tag.name, sorted(tag.attrs)) for tag in after()] == [(tag.name, sorted(tag.attrs)) for tag in before()]
    assert after.find("h2").bdi.text == cut(clean(words), TITLE_WIDTH)
    assert told in [bdi.text for bdi in after("bdi")]

    assert found.text.count("\n") == harmless.text.count("\n")
    assert f"  {told}: " in found.text

    assert types_of(found.markdown) == types_of(harmless.markdown)
    assert f"{told}: {shown(clean(words))}" in words_of(found.markdown)
    assert not set("<>@") & set(found.markdown)

    before, after = (BeautifulSoup(one.chat, "lxml") for one in (harmless, found))
    assert [(tag.name, [*tag.attrs]) for tag in after()] == [(tag.name, [*tag.attrs]) for tag in before()]
    assert f"{told}: {shown(clean(words))}" in after.text


def shown(text):
    """As `difference` shows what only came."""
    return text if len(text) <= 300 else text[:300] + "…"


def types_of(text):
    """What a Markdown reader makes of it, with no words."""
    kinds = []
    for token in MARKDOWN.parse(text):
        kinds.append((token.type, token.tag))
        kinds += [(child.type, child.tag) for child in token.children or [] if child.type != "text"]
    return kinds


def words_of(text):
    inline = [token.children for token in MARKDOWN.parse(text) if token.children]
    return "\n".join("".join(child.content for child in children) for children in inline)


@given(TEXTS, TEXTS)
def test_law_10_a_difference_of_hostile_words_is_text_too(before, after):
    rendered = render(users(item(what="descriptor long", before=before, after=after)))

    page = BeautifulSoup(rendered.html, "lxml")
    assert {tag.name for tag in page.body()} <= {
        "div", "p", "h1", "h2", "strong", "span", "br", "bdi", "del", "ins", "table", "tbody", "tr", "td", "a"
    }  # fmt: skip
    assert [a["href"] for a in page("a")] == ["https://www.codingahead.com/cpt/codes/20610"]
    assert len(rendered.text.splitlines()) == len(lines(users(item(before="1", after="2"))))
    assert {kind for kind, _ in types_of(rendered.markdown)} <= {
        "paragraph_open", "paragraph_close", "inline", "strong_open", "strong_close", "s_open", "s_close",
        "bullet_list_open", "bullet_list_close", "list_item_open", "list_item_close", "link_open", "link_close",
        "code_inline", "hr",
    }  # fmt: skip


@pytest.mark.parametrize("letter", UNSEEN, ids=[f"U+{ord(letter):04X}" for letter in UNSEEN])
def test_law_10_characters_that_nobody_sees_are_in_no_format(letter):
    """They turn words around, hide some of them, or command a terminal."""
    rendered = render(hostile(f"Synthetic{letter}words"))

    for form in (rendered.title, rendered.text, rendered.markdown, rendered.html, rendered.chat):
        assert letter not in form
    assert "Synthetic words" in rendered.text.replace("?", " ")


@pytest.mark.parametrize("words", ["<!channel>", "<!here|x>", "<@U123>", "<http://a.example|x>", "&lt;!channel&gt;"])
def test_law_10_no_chat_hears_of_a_mention_or_link_in_words_of_pages(words):
    """What Apprise makes of the HTML for chats, in the dialect of Slack, which calls people by angle brackets."""
    marked = convert_between(NotifyFormat.HTML, NotifyFormat.MARKDOWN, render(hostile(words)).chat)

    assert unescape(words) in words_of(marked)
    sent = NotifySlack._commonmark_to_slack(marked)
    targets = re.findall(r"<([^>|]*)[>|]", sent)
    assert set(targets) == {f"https://www.codingahead.com/cpt/codes/{code}" for code in ("20611",)}


@pytest.mark.parametrize(
    ("words", "written"),
    [
        ("<!channel> @here", "&lt;!channel&gt; &#64;here"),
        ("**x** _y_ ~~z~~ `c`", r"\*\*x\*\* \_y\_ \~\~z\~\~ \`c\`"),
        ("[x](http://a.example)", r"\[x\](http\://a.example)"),
        ("see www.a.example or a@b.example", r"see www\.a.example or a&#64;b.example"),
        ("- x", r"\- x"),
        ("12. x", r"12\. x"),
        ("2026-01-12", "2026-01-12"),
        ("# x | y", r"\# x \| y"),
        (":boom: 10:30", r"\:boom: 10:30"),
        ("Heart, with report (2 views): 90 %", "Heart, with report (2 views): 90 %"),
    ],
)
def test_law_10_marks_of_markdown_and_of_chats_are_text(words, written):
    assert markdown(words) == written


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "file:pages/20610.html",
        "//a.example/x",
        "https:a.example",
        "https://",
        "https://user:word@a.example/",
        "https://a.example\\@b.example/",
        "https://a.example/\n",
        "https://a.example/ x",
        " https://a.example/",
        "https://[a.example/",
        "https://a.example:x/",
        "https://a.example/\u202e",
        "https://a.example/" + "x" * 3000,
        "",
        None,
    ],
)
def test_law_10_only_addresses_of_the_web_become_links(url):
    rendered = render(users(item(url=url)))

    assert address(url) is None
    assert not BeautifulSoup(rendered.html, "lxml")("a")
    assert "link_open" not in [kind for kind, _ in types_of(rendered.markdown)]


def test_law_10_an_address_cannot_end_its_link():
    url = "https://a.example/x)(y?q=<b>\"'*_~`[z]|&r=1#ä"

    rendered = render(users(item(url=url)))

    link = BeautifulSoup(rendered.html, "lxml").find("a")
    assert link["href"] == "https://a.example/x%29%28y?q=%3Cb%3E%22%27%2A%5F%7E%60%5Bz%5D%7C&r=1#%C3%A4"
    assert f"]({link['href']})" in rendered.markdown
    assert link.text == url.removeprefix("https://")


# The JSON of webhooks


def test_the_payload_is_as_its_schema_says():
    for message in (
        realistic(),
        operators(condition(), condition(run_id=None)),
        users(item(url=None, document_id=None)),
    ):
        jsonschema.validate(payload(message), SCHEMA)
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_schema_describes_each_key_and_allows_no_other():
    told = payload(realistic()) | {"other": 1}
    with pytest.raises(jsonschema.ValidationError, match="other"):
        jsonschema.validate(told, SCHEMA)
    kinds = [SCHEMA, SCHEMA["$defs"]["item"], SCHEMA["$defs"]["condition"]]
    assert all(key.get("description") for kind in kinds for key in kind["properties"].values())
    assert all(sorted(kind["required"]) == sorted(kind["properties"]) for kind in kinds)


def test_the_payload_holds_all_ids_and_whole_texts():
    long = "Synthetic " * 400
    message = users(
        item(before=long, after=long + "x"),
        made_at=dt.datetime(2026, 1, 12, 7, 5, tzinfo=dt.timezone(dt.timedelta(hours=1))),
    )

    told = json.loads(json.dumps(payload(message)))

    assert (told["version"], told["type"], told["message_id"]) == (1, "changes", message.message_id)
    assert told["made_at"] == "2026-01-12T06:05:00Z"
    assert told["items"][0]["event_id"] == message.items[0].event_id
    assert told["items"][0]["event_ids"] == list(message.items[0].event_ids)
    assert told["items"][0]["before"] == long
    assert told["items"][0]["document_id"] == message.items[0].document_id
    assert told["snapshot_ids"] == [AFTER]


def test_a_condition_that_ended_has_another_event_id_than_its_beginning():
    began = condition()
    ended = replace(began, ended_at=dt.datetime(2026, 1, 19, 6, tzinfo=dt.UTC))
    ids = [payload(operators(one))["conditions"][0]["event_id"] for one in (began, began, ended)]

    assert ids[0] == ids[1] != ids[2]


@given(TEXTS)
def test_law_10_any_words_are_sound_json(words):
    sent = json.dumps(payload(hostile(words)), ensure_ascii=False).encode("utf-8")

    told = json.loads(sent)
    jsonschema.validate(told, SCHEMA)
    assert told["items"][1]["after"] == words.encode("utf-8", "replace").decode()
