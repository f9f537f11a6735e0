"""All that surrounds the content of an HTML page: styles, scripts, menus, a sidebar, a footer, drawings.

A site's furniture is the same on all of its pages; the sidebar and the page's state (JSON, as frameworks leave it in
the page) differ from page to page, and make pages of 30 to 60 KB.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from random import Random

_AREAS = "Evaluation and management|Surgery|Radiology|Laboratory|Medicine|Emerging services|Supplies|Anesthesia".split(
    "|"
)
_PROPERTIES = (
    "display:flex|display:grid|padding:.75rem 1rem|margin:4px 0|color:#1b1f23|background:#f8fafc|border-radius:8px|"
    "font-size:.875rem|gap:1rem|letter-spacing:.02em|transition:color .15s ease-in-out|text-decoration:none"
).split("|")
_SCRIPT = (
    "(function(w,d){{w.dataLayer=w.dataLayer||[];function push(){{w.dataLayer.push(arguments)}}push('config',{0});"
    "var b=d.querySelectorAll('[data-toggle-{0}]');for(var i=0;i<b.length;i++){{b[i].addEventListener('click',"
    "function(e){{e.preventDefault();d.body.classList.toggle('open-{0}')}})}}"
    "if(w.innerWidth<640){{d.documentElement.className+=' small'}}}})(window,document);"
)


@dataclass(frozen=True, slots=True)
class Furniture:
    """The parts of a site's pages that do not change from page to page."""

    head: str
    header: str
    footer: str


@cache
def furniture(host: str, seed: int) -> Furniture:
    rng = Random(f"{seed}|furniture|{host}")
    sheets = "\n".join(f'<link rel="stylesheet" href="/static/synthetic-{i}.min.css?ver={i}.1">' for i in range(18))
    rules = "\n".join(_rule(rng, number) for number in range(70))
    scripts = "\n".join(f"<script>{_SCRIPT.format(number)}</script>" for number in range(4))
    social = " ".join(f'<a href="https://social.example/{i}">{_drawing(rng)}<span>Share</span></a>' for i in range(5))
    columns = "".join(f"<div><h4>Synthetic column {c}</h4><ul>{_links('about', c, 8)}</ul></div>" for c in range(4))
    return Furniture(
        head=f'<link rel="icon" href="/favicon.ico">\n{sheets}\n<style>{rules}</style>\n{scripts}',
        header=(
            f'<header id="masthead"><a href="/">{_drawing(rng)}<span>Synthetic test site</span></a>'
            f'<nav aria-label="Primary"><ul>{_menu(rng)}</ul></nav></header>'
        ),
        footer=(
            f"<footer><div>{columns}</div><div>{social}</div><p>Synthetic footer of a test site</p></footer>\n"
            f'<script src="/static/synthetic.min.js" defer></script>\n<script>{_SCRIPT.format(9)}</script>'
        ),
    )


def html_page(host: str, seed: int, title: str, url: str, main: str, rng: Random, others: list[str]) -> str:
    """A whole page around ``main``. ``others``: codes for the sidebar to name."""
    site = furniture(host, seed)
    state = json.dumps({"url": url, "props": [f"{rng.getrandbits(256):064x}" for _ in range(rng.randint(20, 200))]})
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{title}</title>\n<link rel="canonical" href="{url}">\n<meta property="og:title" content="{title}">\n'
        f'{site.head}\n</head>\n<body class="single">\n{site.header}\n<div id="content">\n<main>\n{main}\n</main>\n'
        f"{_sidebar(others)}\n</div>\n{site.footer}\n"
        f'<script id="state" type="application/json">{state}</script>\n</body>\n</html>\n'
    )


def _rule(rng: Random, number: int) -> str:
    return f".c-{number}{{{';'.join(rng.sample(_PROPERTIES, 4))}}}"


def _drawing(rng: Random) -> str:
    path = " ".join(f"L{rng.randint(0, 240) / 10} {rng.randint(0, 240) / 10}" for _ in range(12))
    return f'<svg viewBox="0 0 24 24" fill="none" aria-hidden="true"><path stroke-width="2" d="M0 0 {path}Z"/></svg>'


def _menu(rng: Random) -> str:
    return "".join(
        f'<li class="c-{number}"><button type="button" aria-expanded="false">{area} {_drawing(rng)}</button>'
        f"<ul>{_links('area', number, 12)}</ul></li>"
        for number, area in enumerate(_AREAS)
    )


def _links(kind: str, place: int, count: int) -> str:
    return "".join(
        f'<li class="c-{n}"><a class="c-{n + 20}" href="/{kind}/{place}/{n}" data-analytics="{kind}-{place}-{n}">'
        f"Synthetic {kind} {place}.{n}</a></li>"
        for n in range(count)
    )


def _sidebar(codes: list[str]) -> str:
    rows = "\n".join(
        f'<li class="c-41"><a href="/synthetic/{code.lower()}" data-analytics="side-{code}">'
        f"<span>{code}</span> at a glance</a></li>"
        for code in codes
    )
    return f"<aside><section><h2>More billing codes</h2><ul>\n{rows}\n</ul></section></aside>"
