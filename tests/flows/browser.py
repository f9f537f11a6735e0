"""Pages as people open them: headless Chromium, and what is measured in it."""

import shutil
from contextlib import contextmanager
from urllib.parse import unquote, urlparse

from playwright.sync_api import sync_playwright

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


@contextmanager
def chromium():
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
