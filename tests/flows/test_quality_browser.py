"""The quality report as people open it: in Chromium, light and dark, on a desk and on a phone."""

import pytest

from tests.flows.browser import OUTSIDE, SIDEWAYS, TEXTS, WIDTHS, Opened, chromium
from tests.flows.pages import SAMPLES, folder, page, run_inline

EVIL = 'Synthetic <script>alert(1)</script>"><img src=http://127.0.0.1:1/x onerror=alert(2)> javascript:alert(3)'


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The newest page of the samples; of a home with planted faults; and of a run that was stopped."""
    place = tmp_path_factory.mktemp("homes")
    for sample in SAMPLES:
        samples = run_inline(place / "samples", sample)
    for number in (1, 2):
        made = {f"{10000 + k}": page(f"{10000 + k}", short=f"Synthetic {k < number}") for k in range(110)}
        made |= {f"{10000 + k}": page(f"{10000 + k}", added="1950-01-01") for k in range(5, 12)}
        made["10003"] = page("10003", short=EVIL * 60)  # longer than a descriptor may be: held back
        made["10004"] = page("10004").replace("000 - Synthetic Days", EVIL)
        planted = run_inline(place / "planted", folder(place / f"pages{number}", made, day=f"2026-01-0{number}"))
    wrong = {f"{10000 + k}": page(f"{10000 + k}", added="2199-01-01") for k in range(110)}
    stopped = run_inline(place / "planted", folder(place / "wrong", wrong, day="2026-01-09"))
    assert [planted.status, stopped.status] == ["published", "stopped"]
    return {"samples": samples.quality_page, "planted": planted.quality_page, "stopped": stopped.quality_page}


@pytest.fixture(scope="module")
def browser():
    with chromium() as opened:
        yield opened


@pytest.fixture(params=[(s, w) for s in ("light", "dark") for w in WIDTHS], ids=lambda p: "-".join(p))
def opened(request, browser, pages, which):
    scheme, width = request.param
    shown = Opened(browser, pages[which], scheme, *WIDTHS[width])
    yield shown
    shown.context.close()


@pytest.mark.full
@pytest.mark.parametrize("which", ["samples", "planted", "stopped"])
def test_the_page_asks_for_nothing_runs_nothing_and_fits(opened, tmp_path):
    shown = opened.page
    for wide in (SIDEWAYS, "document.querySelectorAll('details').forEach(d => { d.open = true }), " + SIDEWAYS):
        assert shown.evaluate(wide) <= 0
    assert shown.evaluate(OUTSIDE) == []
    texts = shown.evaluate(TEXTS)
    assert len(texts) > 300
    assert [text for text in texts if text[1] < 11.5 or text[2] < 4.5] == []
    assert shown.evaluate("document.scripts.length + document.images.length") == 0
    for plot in shown.query_selector_all("svg.plot"):
        box = plot.bounding_box()
        assert box["width"] > 150
        assert box["height"] > 80
    assert len(shown.screenshot(path=tmp_path / "page.png", full_page=True)) > 50_000
    assert opened.asked == [f"file://{opened.file}"]
    assert opened.said == []


@pytest.mark.full
@pytest.mark.parametrize("which", ["planted"])
def test_law_10_markup_in_page_text_shows_as_text(opened):
    body = opened.page.inner_text("body")

    assert "<script>alert(1)</script>" in body
    assert "<img src=http://127.0.0.1:1/x onerror=alert(2)>" in body
    assert opened.page.eval_on_selector_all("a", "all => all.filter(a => a.protocol != 'file:').length") == 0
    assert opened.said == []


@pytest.mark.full
def test_light_and_dark_are_both_made_for(browser, pages):
    seen = {}
    for scheme in ("light", "dark"):
        shown = Opened(browser, pages["samples"], scheme, *WIDTHS["desktop"])
        seen[scheme] = shown.page.evaluate("getComputedStyle(document.body).backgroundColor")
        shown.context.close()

    brightness = {scheme: sum(map(int, color[4:-1].split(","))) for scheme, color in seen.items()}
    assert brightness["light"] > 700
    assert brightness["dark"] < 80


@pytest.mark.full
def test_links_of_the_newest_page_lead_on(browser, pages):
    """The copy for people who want the newest one lies elsewhere, and its links go from there."""
    newest = pages["samples"].rsplit("/quality/", 1)[0] + "/quality.html"
    context = browser.new_context()
    shown = context.new_page()
    shown.goto(f"file://{newest}")
    title = shown.title()
    shown.get_by_role("link", name="2025").first.click()
    assert shown.title() != title
    assert "/docs/quality/2025" in shown.url
    context.close()
