"""The quality report as people open it: in Chromium, light and dark, on a desk and on a phone."""

import shutil
from urllib.parse import unquote, urlparse

import pytest
from playwright.sync_api import sync_playwright

from tests.flows.pages import SAMPLES, folder, page, run_inline

EVIL = 'Synthetic <script>alert(1)</script>"><img src=http://127.0.0.1:1/x onerror=alert(2)> javascript:alert(3)'
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WIDTHS = {"desktop": (1280, 900), "phone": (390, 844)}
# Of every text on the page: its size in pixels, and how its colour stands out from what is behind it.
TEXTS = """() => {
  const light = c => { const [r, g, b] = c.match(/[\\d.]+/g).map(Number).map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b }
  const behind = e => { while (e) { const c = getComputedStyle(e).backgroundColor
    if (!/, 0\\)$/.test(c)) return c; e = e.parentElement } return "rgb(255, 255, 255)" }
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = []
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement
    if (!walker.currentNode.data.trim() || e.closest("svg") || !e.checkVisibility()) continue
    const s = getComputedStyle(e), [a, b] = [light(s.color), light(behind(e))].sort((x, y) => y - x)
    found.push([walker.currentNode.data.trim().slice(0, 40), parseFloat(s.fontSize), (a + 0.05) / (b + 0.05)])
  }
  return found }"""
# What would have to be scrolled to sideways; the numbers of a chart have a box of their own that scrolls.
OUTSIDE = """() => [...document.body.querySelectorAll("*")]
  .filter(e => !e.closest("svg, figure table") && e.checkVisibility())
  .filter(e => { const b = e.getBoundingClientRect(); return b.width && (b.right > innerWidth + 1 || b.left < -1) })
  .map(e => e.outerHTML.slice(0, 80))"""
SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


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
    found = shutil.which("chromium")
    assert found, "no chromium: `make test-full` installs it (apt-get install chromium)"
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield opened
        opened.close()


class Opened:
    """A page in a fresh profile, with all that it asked for, said and did."""

    def __init__(self, browser, file, scheme, width, height):
        self.context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": height})
        self.asked, self.said = [], []
        self.context.route("**/*", self._answer)
        self.page = self.context.new_page()
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.said.append(dialog.message), dialog.dismiss()))
        self.file = file
        self.page.goto(f"file://{file}")

    def _answer(self, route):
        own = unquote(urlparse(route.request.url).path) == self.file
        route.continue_() if own else route.abort()


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
