"""OpenPayer: title, overview, payers, clinical context and modifiers of one code a page.

A page is, in this order: `Summary & Overview`, the title, summary paragraphs, `Billing Code Overview` with service type
and site, `Clinical & Coding Specifications` with `Clinical Context`, and `Coding Specifications` with tables.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Literal

from parsers import codes
from parsers.code_tables import claim_rows, kind_of_header, kind_of_heading, rows_under, table_of
from parsers.page import Block, Reading
from parsers.prose import Paragraph, claim_prose, says_absent
from parsers.records import Attribute, Descriptor
from parsers.source import Coverage, Source
from parsers.words import fold, sentences

State = Literal["top", "summary", "overview", "specifications", "context", "coding"]
_HEADINGS: dict[str, State] = {
    "summary & overview": "summary",
    "summary and overview": "summary",
    "billing code overview": "overview",
    "cpt code overview": "overview",
    "clinical & coding specifications": "specifications",
    "clinical and coding specifications": "specifications",
    "clinical context": "context",
    "coding specifications": "coding",
}
_LABELS = frozenset(
    [
        "headline",
        "lead",
        "what the code represents and why it matters",
        "key payers covered",
        "overview of reader takeaways",
        "scope note",
        "why it matters",
        "what readers will learn",
        "procedure workflow",
    ]
)
# Ex: "Service type: Synthetic therapy", "Typical Site of Service: Outpatient. Service type: ..." inside prose
_FACT = re.compile(r"\b(?P<label>Service type|(?:Typical )?sites? of service)\s*:(?:\s+|$)", re.IGNORECASE)
_FACT_ALONE = re.compile(r"(?P<label>Service type|(?:Typical )?sites? of service)\s*:?", re.IGNORECASE)

# Canonical name -> how pages write it. Ex: "United Healthcare", "Blue Cross and Blue Shield", "Cigna"
_PAYERS = {
    "Aetna": r"Aetna",
    "Blue Cross Blue Shield": r"Blue\s?Cross(?:\s*(?:and|&|/)\s*|\s+)Blue\s?Shield|BCBS",
    "Cigna Health": r"Cigna(?:\s?Health(?:care)?)?",
    "UnitedHealthcare": r"United\s?Health\s?care|UHC",
    "Medicare": r"Medicare(?!\s+Advantage)",
}
_PAYER = re.compile("|".join(rf"\b(?P<p{i}>{words})\b" for i, words in enumerate(_PAYERS.values())), re.IGNORECASE)
_SPEAKS_OF_PAYERS = re.compile(r"\bpayers?\b", re.IGNORECASE)


@dataclass(slots=True)
class _Found:
    state: State = "top"
    seen: set[State] = field(default_factory=set)
    prose: dict[str, list[Paragraph]] = field(default_factory=dict)
    used: set[int] = field(default_factory=set)
    titles: int = 0
    overview: bool = False
    ordinals: Counter[str] = field(default_factory=Counter)
    payers: list[str] = field(default_factory=list)
    announced: str | None = None  # what the last heading said of the table to come
    tables: list[tuple[str, Block]] = field(default_factory=list)  # table name and last block of each
    last: Block | None = None  # last block under Coding Specifications that the layout knows

    def attribute(self, name: str, value: str) -> Attribute:
        self.ordinals[name] += 1
        return Attribute(name, self.ordinals[name], value)


def read(reading: Reading) -> Coverage:
    """Claim the blocks of an OpenPayer page."""
    found = _Found()
    blocks = [b for b in reading.page.blocks if not b.chrome]
    for position, block in enumerate(blocks):
        if block.index not in found.used:
            _read_block(reading, found, blocks, position)
    for section, prose in found.prose.items():
        claim_prose(reading, section, prose)
    return _coverage(reading, found)


def _read_block(reading: Reading, found: _Found, blocks: list[Block], position: int) -> None:
    block = blocks[position]
    key = fold(block.text)
    if not block.cells and key in _HEADINGS:
        found.state = _HEADINGS[key]
        found.seen.add(found.state)
        reading.set_aside(block, "section_heading")
    elif (
        not block.cells and found.state in ("top", "summary") and (title := codes.title_after(block.text, reading.code))
    ):
        found.titles += 1
        if found.titles == 1:
            reading.claim(block, Descriptor("title", title))
        else:
            reading.set_aside(block, "page_title")
    elif found.state == "coding":
        _read_coding(reading, found, blocks, position)
    elif found.state not in ("top", "specifications") and not _claim_facts(reading, found, blocks, position):
        _read_prose(reading, found, blocks, position)


def _read_prose(reading: Reading, found: _Found, blocks: list[Block], position: int) -> None:
    block = blocks[position]
    text = " ".join(filter(None, block.parts))
    absent = _absent(reading, block)
    if absent and absent == sentences(text):
        reading.claim(block, found.attribute("not_available", text))
        return
    paragraph = Paragraph.of(block)
    following = blocks[position + 1] if position + 1 < len(blocks) else None
    if _is_label(block) and following and _is_paragraph(following):
        paragraph = Paragraph((f"{text.rstrip(': ')}: {following.text}",), (block, following))
        text = paragraph.texts[0]
        absent = _absent(reading, following)
        found.used.add(following.index)
    attributes = [found.attribute("not_available", sentence) for sentence in absent]
    if found.state in ("summary", "overview"):
        attributes += [found.attribute("payer", payer) for payer in _payers(text) if payer not in found.payers]
        found.payers += [a.value for a in attributes if a.attribute == "payer"]
    if attributes:
        reading.claim(paragraph.blocks, attributes)
    if found.state == "overview" and not found.overview:
        found.overview = True
        reading.claim(paragraph.blocks, Descriptor("overview", text))
    else:
        section = "clinical_context" if found.state == "context" else found.state
        found.prose.setdefault(section, []).append(paragraph)


def _absent(reading: Reading, block: Block) -> list[str]:
    """Sentences that say that something is absent; none where the page may have been cut inside them."""
    page = reading.page
    may_be_cut = block is page.ending and (page.form == "text" or page.truncated)
    if may_be_cut and not block.text.endswith((".", "!", "?")):
        return []
    return [sentence for sentence in sentences(" ".join(filter(None, block.parts))) if says_absent(sentence)]


def _is_label(block: Block) -> bool:
    # Ex: <h4>Why it matters</h4>, or "Procedure workflow:" on a line of its own
    return not block.cells and block.kind != "item" and (fold(block.text) in _LABELS or block.kind == "heading")


def _is_paragraph(block: Block) -> bool:
    return block.kind == "paragraph" and fold(block.text) not in _HEADINGS and fold(block.text) not in _LABELS


def _payers(text: str) -> list[str]:
    """Canonical names of the payers in sentences that speak of payers, or that list them."""
    found: list[str] = []
    names = list(_PAYERS)
    for sentence in sentences(text):
        here = [names[int(str(m.lastgroup)[1:])] for m in _PAYER.finditer(sentence)]
        if _SPEAKS_OF_PAYERS.search(sentence) or len(set(here)) > 1:
            found += here
    return list(dict.fromkeys(found))


def _claim_facts(reading: Reading, found: _Found, blocks: list[Block], position: int) -> bool:
    """Claim service type and site of service; True where the block holds nothing else."""
    block = blocks[position]
    if found.state == "context":
        return False
    if _FACT_ALONE.fullmatch(block.text):  # Ex: <h3>Service Type</h3> with its items, or one line after it
        values = _values_after(blocks, position)
        facts = [fact for value in values for fact in _fact(found, block.text, value.text)]
        reading.claim([block, *values], facts, table="attributes")
        found.used.update(value.index for value in values)
        return True
    if len(block.cells) == 2 and _FACT_ALONE.fullmatch(block.cells[0]):
        reading.claim(block, _fact(found, *block.cells), table="attributes")
        return True
    matches = list(_FACT.finditer(block.text))
    ends = [*(match.start() for match in matches[1:]), len(block.text)][: len(matches)]
    facts, is_prose = [], not matches or matches[0].start() > 0
    for match, end in zip(matches, ends, strict=True):
        # In prose a fact ends with its sentence; a line of its own may hold several.
        first, *more = sentences(block.text[match.end() : end].strip())
        alone = len(matches) == 1 and match.start() == 0
        facts += _fact(found, match["label"], " ".join([first, *more]) if alone else first)
        is_prose = is_prose or (bool(more) and not alone)
    if facts:
        reading.claim(block, facts)
    return not is_prose


def _values_after(blocks: list[Block], position: int) -> list[Block]:
    items = list(takewhile(lambda b: b.kind == "item" and not _FACT.match(b.text), blocks[position + 1 :]))
    if items:
        return items
    following = blocks[position + 1 : position + 2]
    return [b for b in following if _is_paragraph(b) and not _FACT_ALONE.fullmatch(b.text) and not _FACT.match(b.text)]


def _fact(found: _Found, label: str, value: str) -> list[Attribute]:
    said = [sentence for sentence in sentences(value.strip()) if not says_absent(sentence)]
    absent = [sentence for sentence in sentences(value.strip()) if says_absent(sentence)]
    name = "service_type" if "type" in label.lower() else "site_of_service"
    value = " ".join(said).removesuffix(".")
    facts = [found.attribute(name, value)] if value else []
    return facts + [found.attribute("not_available", sentence) for sentence in absent]


def _read_coding(reading: Reading, found: _Found, blocks: list[Block], position: int) -> None:
    block = blocks[position]
    if block.cells:
        kind = kind_of_header(block, found.announced)
        if kind is None:
            return  # no table that we know: unmapped
        rows = rows_under(blocks, position)
        reading.set_aside(block, "table_header")
        claim_rows(reading, kind, block, rows)
        found.last = [block, *rows][-1]
        found.tables.append((table_of(kind), found.last))
        found.used.update(row.index for row in rows)
        found.announced = None if rows else kind
    elif _absent(reading, block):
        reading.claim(block, found.attribute("not_available", block.text))
        found.last, found.announced = block, None
    elif kind := kind_of_heading(block.text):
        found.last, found.announced = block, kind
        reading.set_aside(block, "table_heading")


def _coverage(reading: Reading, found: _Found) -> Coverage:
    page = reading.page
    ends_whole = page.form == "html" and not page.truncated
    cut_tables = {name for name, last in found.tables if last.cut or (page.truncated and last is page.ending)}
    modifiers = [last for name, last in found.tables if name == "modifiers"]
    after_overview = {"specifications", "context", "coding"} & found.seen
    overview_whole = "overview" in found.seen and (ends_whole or bool(after_overview))
    # A section is whole where a table's row or a sentinel ends it: a heading or a header leads to more.
    told = found.last is not None and found.announced is None
    text_whole = page.form == "text" and not page.truncated and found.last is page.ending
    coding_whole = told and (ends_whole or text_whole)
    modifiers_whole = coding_whole or (bool(modifiers) and modifiers[-1] is not found.last)
    whole = {
        "descriptors": overview_whole and found.titles > 0 and found.overview,
        "attributes": overview_whole,
        "narratives": (bool(found.prose) or found.ordinals["not_available"] > 0)
        and "context" in found.seen
        and ("coding" in found.seen or ends_whole),
        "modifiers": modifiers_whole and "modifiers" not in cut_tables,
        "related_codes": coding_whole and "related_codes" not in cut_tables,
    }
    tables_seen = cut_tables | {name for name, _ in found.tables}
    reasons = [
        f"{table} {'cut off' if table in tables_seen or page.truncated else 'missing'}"
        for table, is_whole in whole.items()
        # what stands after a cut in the modifiers is the cut's doing
        if not is_whole and not (table == "related_codes" and "modifiers" in cut_tables)
    ]
    cut = page.truncated or (page.form == "text" and not coding_whole)
    return Coverage(tuple(sorted(t for t, is_whole in whole.items() if is_whole)), tuple(reasons), cut)


SOURCE = Source(
    name="openpayer",
    version=1,
    hosts=("www.openpayer.com", "openpayer.com"),
    marks=(
        r"summary (?:&|and) overview$",
        r"(?:billing|cpt) code overview$",
        r"clinical (?:&|and) coding specifications$",
        r"clinical context$",
        r"coding specifications$",
    ),
    read=read,
    never_empty=("descriptors",),
    pages=r"/billing-codes/[^/]+/?",
)
