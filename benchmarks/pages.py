"""Invented pages of both sources, in any number: real codes with their true CMS indicators, "Synthetic ..." words.

    write_folder(folder, 4000, seed=1, fetched_at=monday)
    write_folder(other, 4000, seed=1, fetched_at=tuesday, revise=0.01)    the same pages, one in a hundred revised

A page's bytes depend on its place, the seed and whether it is revised, never on how many pages there are. Each pair of
pages is one code on both sources; every other pair is HTML (30 to 60 KB), the rest are text extracts (about 4 KB).
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path
from random import Random
from typing import Literal

from benchmarks.chrome import html_page
from benchmarks.cms import indicators_by_code
from benchmarks.content import CodingAhead, OpenPayer, coding_ahead, openpayer

Form = Literal["html", "text"]
SOURCES = ("codingahead", "openpayer")


@dataclass(frozen=True, slots=True)
class GeneratedPage:
    source: str
    code: str
    form: Form
    url: str
    revised: bool
    payload: bytes

    @property
    def file(self) -> str:
        """Where ``write_folder`` puts it. Ex: "openpayer/0748T.html"."""
        return f"{self.source}/{self.code}.{'html' if self.form == 'html' else 'txt'}"


def generate(pages: int, seed: int, *, revise: float = 0.0) -> Iterator[GeneratedPage]:
    """``pages`` different pages; the share ``revise`` of them, chosen by ``seed``, with revised content.

    Raises ValueError for more pages than there are codes and sources.
    """
    codes = codes_of(seed)
    if pages > len(codes) * len(SOURCES):
        raise ValueError(f"{pages} pages: there are {len(codes)} real codes, each on {len(SOURCES)} sources")
    revised = set(Random(f"{seed}|revised").sample(range(pages), round(pages * revise)))
    for number in range(pages):
        pair, which = divmod(number, len(SOURCES))
        form: Form = "text" if pair % 2 else "html"
        yield one_page(SOURCES[which], codes[pair], form, seed, revised=number in revised)


def write_folder(folder: Path, pages: int, seed: int, *, fetched_at: dt.datetime, revise: float = 0.0) -> int:
    """Write generated pages as a scraper would leave them, ``manifest.jsonl`` beside them; returns their bytes.

    The first page was fetched at ``fetched_at``, each other one a second after the one before it.
    """
    for source in SOURCES:
        (folder / source).mkdir(parents=True, exist_ok=True)
    size, lines = 0, []
    for number, page in enumerate(generate(pages, seed, revise=revise)):
        size += (folder / page.file).write_bytes(page.payload)
        moment = fetched_at + dt.timedelta(seconds=number)
        lines.append(json.dumps({"file": page.file, "url": page.url, "fetched_at": moment.isoformat(), "status": 200}))
    (folder / "manifest.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return size


@cache
def codes_of(seed: int) -> list[str]:
    """All real codes, in an order that the seed gives."""
    codes = sorted(indicators_by_code())
    Random(f"{seed}|codes").shuffle(codes)
    return codes


def one_page(source: str, code: str, form: Form, seed: int, *, revised: bool) -> GeneratedPage:
    """The page of a code on one of ``SOURCES``."""
    rng = Random(f"{seed}|{source}|{code}")
    write = coding_ahead if source == "codingahead" else openpayer
    page = write(code, rng, revised=revised)
    url = _url(page, code)
    if form == "text":
        text = _coding_ahead_text(page) if isinstance(page, CodingAhead) else _openpayer_text(page)
    else:
        main = _coding_ahead_main(page, rng) if isinstance(page, CodingAhead) else _openpayer_main(page)
        others = rng.choices(codes_of(seed), k=rng.randint(30, 110))
        text = html_page(source, seed, f"{page.name} - Synthetic test page", url, main, rng, others)
    return GeneratedPage(source, code, form, url, revised, text.encode())


def _url(page: CodingAhead | OpenPayer, code: str) -> str:
    if isinstance(page, CodingAhead):
        return f"https://www.codingahead.com/cpt/codes/{code}"
    return f"https://www.openpayer.com/billing-codes/cpt-{code.lower()}-synthetic-page"


def _notice(holder: str) -> str:
    return f"© Copyright 2025 {holder}. All rights reserved."


def _coding_ahead_main(page: CodingAhead, rng: Random) -> str:
    sections = "\n".join(
        f"<section><h3>{section.heading}</h3>\n<p>{escape(section.intro)}</p>\n<ul>"
        + "".join(f"<li><strong>{term}</strong> {escape(text)}</li>" for term, text in section.items)
        + "</ul></section>"
        for section in page.sections
    )
    return (
        f"<h1>{page.name}</h1>\n<p>{rng.randint(0, 30)} code page views remaining today</p>\n"
        f"<h3>Official Description</h3>\n<p>{escape(page.official)}</p>\n"
        f"<p>{_notice('American Medical Association')}</p>\n"
        f"<h3>Common Language Description</h3>\n<p>{escape(page.description)}</p>\n<p>{_notice('Coding Ahead')}</p>\n"
        f"{sections}\n{_html_table(page.pairs)}\n{_html_table((('Date', 'Action', 'Notes'), *page.history))}\n"
        "<p>Get instant expert-level medical coding assistance.</p>"
    )


def _coding_ahead_text(page: CodingAhead) -> str:
    """A clean extract: no headings, no list items, the history's header split over lines."""
    lines = [
        _notice("American Medical Association"),
        page.description,
        _notice("Coding Ahead"),
        *(section.intro for section in page.sections),
        *(f"{label} | {value} |" for label, value in page.pairs),
        *("Date", "|", "Action", "|", "Notes", "|", "---|---|---|"),
        *(f"{date} | {action} | {note} |" for date, action, note in page.history),
    ]
    return "\n".join(lines) + "\n"


def _openpayer_main(page: OpenPayer) -> str:
    tables = "\n".join(f"<h4>{heading}</h4>\n{_html_table(rows)}" for heading, rows in page.tables)
    return (
        f"<h2>Summary &amp; Overview</h2>\n<h1>{page.name}: {page.title}</h1>\n{_paragraphs(page.summary)}\n"
        f"<h2>Billing Code Overview</h2>\n<p>{escape(page.overview)}</p>\n"
        f"<ul><li>Service type: {page.service_type}</li><li>Typical site of service: {page.site_of_service}</li></ul>\n"
        f"<h2>Clinical &amp; Coding Specifications</h2>\n<h3>Clinical Context</h3>\n{_paragraphs(page.context)}\n"
        f"<h3>Coding Specifications</h3>\n{tables}"
    )


def _openpayer_text(page: OpenPayer) -> str:
    lines = [
        "Summary & Overview",
        f"{page.name}: {page.title}",
        *page.summary,
        "Billing Code Overview",
        page.overview,
        *("-", f"Service type: {page.service_type}", "-", f"Typical site of service: {page.site_of_service}"),
        *("Clinical & Coding Specifications", "Clinical Context", *page.context, "Coding Specifications"),
    ]
    for heading, (header, *rows) in page.tables:
        lines += [heading, _bars(header), "|---" * len(header) + "|", *map(_bars, rows)]
    return "\n".join(lines) + "\n"


def _paragraphs(texts: tuple[str, ...]) -> str:
    return "\n".join(f"<p>{escape(text)}</p>" for text in texts)


def _html_table(rows: tuple[tuple[str, ...], ...]) -> str:
    header_row = len(rows[0]) > 2 or rows[0][1] == "Description"
    lines = []
    for number, row in enumerate(rows):
        tags = ["th" if (number == 0 if header_row else column == 0) else "td" for column in range(len(row))]
        cells = "".join(f"<{tag}>{escape(cell)}</{tag}>" for tag, cell in zip(tags, row, strict=True))
        lines.append(f"<tr>{cells}</tr>")
    return '<table class="c-3">\n' + "\n".join(lines) + "\n</table>"


def _bars(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"
