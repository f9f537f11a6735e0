"""HTML messages as people open them: in Chromium, light and dark, on a desk and on a phone, whatever pages say."""

import datetime as dt
from dataclasses import replace

import pytest

from flows.alerts.escaping import clean
from flows.alerts.render import render
from tests.flows.alerts.messages import HOSTILE, condition, item, operators, realistic, users
from tests.flows.browser import OUTSIDE, SIDEWAYS, TEXTS, WIDTHS, Opened, chromium

# Each of these would be seen: by a request, in the console, as a dialog, or by its looks.
ATTACKS = (
    "<script>alert(1)</script>",
    "<img src=http://127.0.0.1:1/x onerror=alert(2)>",
    '"><svg onload=alert(3)>',
    "</p></td></tr></table></div></body><h1>Synthetic end",
    "</title></style><style>* { color: #fff !important; position: fixed; left: 999px }</style>",
    '" style="position:fixed;width:9999px" onmouseover="alert(4)',
    "javascript:alert(5)",
    "<iframe src=http://127.0.0.1:1/y></iframe><link rel=stylesheet href=http://127.0.0.1:1/z>",
    "<meta http-equiv=refresh content='0;url=http://127.0.0.1:1/r'>",
    "<base href=http://127.0.0.1:1/><form action=http://127.0.0.1:1/f><button autofocus>Synthetic",
    "\u202eSynthetic words the wrong way round\u202c \u2066 \u200f",
    "Synthetic" * 400,
    "מילים סינתטיות <b>",
    "".join(HOSTILE),
)


def hostile():
    attacks = [
        one
        for number, attack in enumerate(ATTACKS)
        for one in (
            item(f"{10000 + number}", "descriptor_changed", title=attack, what=f"descriptor {attack}", after=attack),
            item(f"{10000 + number}", before=attack, after=f"{attack} and more", url=attack, sources=(attack,)),
            item(f"{20000 + number}", "code_deleted", title=attack, replaced_by=(attack,), document_id=attack),
        )
    ]
    return users(*attacks, more={"narrative_changed": 3}, more_at=ATTACKS[0])


def of_operators():
    ended = condition("run_failed", None, ended_at=dt.datetime(2026, 1, 19, 6, tzinfo=dt.UTC))
    return operators(condition(), replace(ended, severity="critical"))


MESSAGES = {"realistic": realistic, "hostile": hostile, "operators": of_operators}


@pytest.fixture(scope="module")
def browser():
    with chromium() as opened:
        yield opened


@pytest.fixture(params=[(s, w) for s in ("light", "dark") for w in WIDTHS], ids=lambda p: "-".join(p))
def opened(request, browser, which, tmp_path):
    scheme, width = request.param
    file = tmp_path / "message.html"
    file.write_text(render(MESSAGES[which]()).html, "utf-8")
    shown = Opened(browser, str(file), scheme, *WIDTHS[width])
    yield shown
    shown.context.close()


@pytest.mark.full
@pytest.mark.parametrize("which", MESSAGES)
def test_a_message_asks_for_nothing_runs_nothing_and_fits(opened, tmp_path):
    shown = opened.page

    assert shown.evaluate(SIDEWAYS) <= 0
    assert shown.evaluate(OUTSIDE) == []
    texts = shown.evaluate(TEXTS)
    assert len(texts) > 10
    assert [text for text in texts if text[1] < 11.5 or text[2] < 4.5] == []
    assert shown.evaluate("document.scripts.length + document.images.length + document.forms.length") == 0
    assert len(shown.screenshot(path=tmp_path / "message.png", full_page=True)) > 10_000
    assert opened.asked == [f"file://{opened.file}"]
    assert opened.said == []


@pytest.mark.full
@pytest.mark.parametrize("which", ["hostile"])
def test_law_10_markup_in_words_of_pages_shows_as_text(opened):
    body = " ".join(opened.page.inner_text("body").split())

    for attack in ATTACKS:
        assert clean(attack)[:100] in body
    assert opened.page.eval_on_selector_all("h1", "all => all.length") == 1
    assert opened.page.eval_on_selector_all("h2", "all => all.length") == 2 * len(ATTACKS)
    assert opened.page.eval_on_selector_all("a", "all => all.filter(a => a.protocol != 'https:').length") == 0


@pytest.mark.full
def test_light_and_dark_are_both_made_for(browser, tmp_path):
    file = tmp_path / "message.html"
    file.write_text(render(realistic()).html, "utf-8")
    brightness = {}
    for scheme in ("light", "dark"):
        shown = Opened(browser, str(file), scheme, *WIDTHS["desktop"])
        color = shown.page.evaluate("getComputedStyle(document.body).backgroundColor")
        brightness[scheme] = sum(map(int, color[4:-1].split(",")))
        shown.context.close()

    assert brightness["light"] > 700
    assert brightness["dark"] < 80


@pytest.mark.full
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_where_a_mail_client_drops_the_style_sheet_the_message_stays_readable(browser, tmp_path, scheme):
    html = render(realistic()).html
    start, end = html.index("<style>"), html.index("</style>")
    file = tmp_path / "message.html"
    file.write_text(html[:start] + "<style>" + html[end:], "utf-8")

    shown = Opened(browser, str(file), scheme, *WIDTHS["phone"])

    assert [text for text in shown.page.evaluate(TEXTS) if text[1] < 11.5 or text[2] < 4.5] == []
    assert shown.page.evaluate(SIDEWAYS) <= 0
    shown.context.close()
