"""The script that one would write in an afternoon: BeautifulSoup and pandas, the generated pages to five DataFrames.

It knows where things stand on these pages and takes them from there. It does not: say what became of a page (gated, cut
off, another layout, another code's page), account for text that it does not take, read a page in any other arrangement,
look up values that stand in words alone, read notices, payers, service types, taxonomies, diagnoses or related codes,
clean Unicode, limit what a page may cost, or store anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import pandas as pd
from bs4 import BeautifulSoup, Tag

TABLES = ("descriptors", "indicators", "history", "narratives", "modifiers")
DESCRIPTORS = {"Short Descr": "short", "Medium Descr": "medium", "Long Descr": "long"}
SECTIONS = {
    "Common Language Description": "description",
    "1. Indications": "indications",
    "2. Procedure": "procedure",
    "3. Post-Procedure": "post_procedure",
    "Summary & Overview": "summary",
    "Clinical Context": "clinical_context",
}
CODE = re.compile(r"/(?:codes/|cpt-)([0-9A-Za-z]{5})")

Rows = dict[str, list[dict[str, Any]]]


def parse_pages(pages: Iterable[tuple[str, bytes]]) -> dict[str, pd.DataFrame]:
    """DataFrames by table name, from (url, payload) of HTML pages and text extracts."""
    rows: Rows = {name: [] for name in TABLES}
    for url, payload in pages:
        match = CODE.search(url)
        code = match.group(1).upper() if match else None
        source = "openpayer" if "openpayer" in url else "codingahead"
        page: Rows = {name: [] for name in TABLES}
        if payload.lstrip().startswith(b"<"):
            parse_html(BeautifulSoup(payload, "lxml"), page)
        else:
            parse_text(payload.decode().splitlines(), page)
        for name, found in page.items():
            rows[name] += [{"source": source, "code": code, **row} for row in found]
    return {name: pd.DataFrame(found) for name, found in rows.items()}


def parse_html(soup: BeautifulSoup, page: Rows) -> None:
    main = soup.find("main")
    if not isinstance(main, Tag):
        return
    section = None
    for tag in main.find_all(["h1", "h2", "h3", "h4", "p", "li", "tr"]):
        text = tag.get_text(" ", strip=True)
        if tag.name in ("h1", "h2", "h3", "h4"):
            add_title(text, page)
            if tag.name != "h1":
                section = SECTIONS.get(text)
        elif tag.name == "tr":
            section = None
            add_row([cell.get_text(strip=True) for cell in tag.find_all(["th", "td"])], page)
        elif section and not text.startswith("© Copyright"):
            page["narratives"].append({"section": section, "text": text})


def parse_text(lines: list[str], page: Rows) -> None:
    section, rest = None, ["indications", "procedure", "post_procedure"]
    for line in lines:
        line = line.strip()
        add_title(line, page)
        if "American Medical Association" in line:
            section = "description"
        elif line.startswith("© Copyright"):
            section = "sections"
        elif "|" in line:
            section = None
            add_row([cell.strip() for cell in line.strip("|").split("|")], page)
        elif line in SECTIONS or line.endswith(("Overview", "Specifications")):
            section = SECTIONS.get(line)
        elif section == "sections" and rest and len(line) > 20:
            page["narratives"].append({"section": rest.pop(0), "text": line})
        elif section and section != "sections" and not TITLE.match(line):
            page["narratives"].append({"section": section, "text": line})


TITLE = re.compile(r"(?:CPT|HCPCS)[^:]*[0-9A-Z]{5}: (.*)")


def add_title(text: str, page: Rows) -> None:
    if match := TITLE.match(text):
        page["descriptors"].append({"kind": "title", "text": match.group(1)})


def add_row(cells: list[str], page: Rows) -> None:
    if len(cells) == 2 and cells[0] in DESCRIPTORS:
        page["descriptors"].append({"kind": DESCRIPTORS[cells[0]], "text": cells[1]})
    elif len(cells) == 2 and cells[0] in INDICATORS:
        value, dash, words = cells[1].partition(" - ")
        page["indicators"].append(
            {"indicator": cells[0], "value": value if dash else None, "words": words if dash else cells[1]}
        )
    elif len(cells) == 3 and re.fullmatch(r"\d{4}-\d{2}-\d{2}", cells[0]):
        page["history"].append({"event_on": cells[0], "action": cells[1], "notes": cells[2]})
    elif len(cells) == 3 and re.fullmatch(r"[0-9A-Z]{2}", cells[0]):
        page["modifiers"].append({"modifier": cells[0], "description": cells[1], "when_to_use": cells[2]})


INDICATORS = {
    "Status Code",
    "Global Days",
    "PC/TC Indicator (26, TC)",
    "Multiple Procedures (51)",
    "Bilateral Surgery (50)",
    "Physician Supervisions",
    "Assistant Surgeon (80, 82)",
    "Co-Surgeons (62)",
    "Team Surgery (66)",
    "Diagnostic Imaging Family",
    "APC Status Indicator",
    "Berenson-Eggers TOS (BETOS)",
    "MUE",
}
