"""Coding Ahead: descriptors, payment indicators, history and prose, one code a page.

A page is, in this order: menu, views counter, deletion banner, official descriptor, AMA notice, description, Coding
Ahead notice, sections, indicator pairs, history table, closing line. Any of them may be missing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from parsers import codes
from parsers.code_tables import rows_under
from parsers.history import action_of, claim_history, is_history_header, is_history_line
from parsers.page import Block, Reading
from parsers.pairs import DESCRIPTOR_LABELS, LabelledValue, claim_pairs, find_pairs
from parsers.prose import SECTION_UNKNOWN, Paragraph, claim_prose, read_notice
from parsers.records import Attribute, Descriptor, ParseWarning, RelatedCode
from parsers.source import Coverage, NotContent, Source
from parsers.words import fold

_HEADINGS = {
    "official description": "official",
    "common language description": "description",
    "indications": "indications",
    "procedure": "procedure",
    "post-procedure": "post_procedure",
}
_NUMBER = re.compile(r"[0-9]{1,2}[.)]\s*")  # Ex: "1. Indications"
# Ex: "12 code page views remaining...", "0 code page views remaining today", "2 daily page views"
_COUNTER = re.compile(r"[0-9,]+\s+(?:code|daily)\s+page\s+views?\b.{0,40}", re.IGNORECASE)
_CLOSING = re.compile(r"Get instant expert-level medical coding assistance\b.{0,80}", re.IGNORECASE)
_GATE = re.compile(r"(?:Create a free account to unlock this content|Register to view content)\b.{0,40}", re.IGNORECASE)
# Ex: "Code deleted, see 0749T", "Code deleted, to report see X, Y", "Code deleted. For <text>, use X-Y"
_BANNER = re.compile(
    r"Code deleted\b"
    r"(?:\s*[,.;:]?\s*(?:(?:to report,?\s*)?see\s+|For (?P<what>.{1,500}?),?\s*use\s+)(?P<codes>.+))?[\s.,]*",
    re.IGNORECASE,
)
# How the paragraphs of an extract without headings begin, where their number does not tell the section
_PROCEDURE_LEAD = re.compile(r"The procedure (?:begins|starts|involves|is performed)\b", re.IGNORECASE)
_POST_LEAD = re.compile(r"(?:Post-?\s?procedure|After the procedure|Following the procedure)\b", re.IGNORECASE)
_MENU_ITEM = 60  # characters at most


@dataclass(slots=True)
class _Found:
    """What was seen of the page, before it is known which parts are whole."""

    state: str = "top"
    top: list[Block] = field(default_factory=list)
    prose: dict[str, list[Block]] = field(default_factory=dict)
    pairs: list[LabelledValue] = field(default_factory=list)
    history: list[Block] = field(default_factory=list)
    history_header: Block | None = None
    notices: int = 0
    used: set[int] = field(default_factory=set)  # blocks that an earlier one took along
    last: Block | None = None  # last block that the layout knows
    notice: Block | None = None  # last notice
    counter: bool = False
    banners: int = 0
    headings: bool = False
    promised: bool = False  # a heading or a notice that prose follows
    gates: int = 0
    closed: bool = False


def read(reading: Reading) -> Coverage:
    """Claim the blocks of a Coding Ahead page. Raises `NotContent` for a gated one."""
    found = _Found()
    blocks = [b for b in reading.page.blocks if not b.chrome or _BANNER.fullmatch(b.text)]
    for position, block in enumerate(blocks):
        if block.index not in found.used:
            _read_block(reading, found, blocks, position)
    if found.gates and not found.pairs:
        raise NotContent("gated", f"{found.gates} lines ask for an account where the content would be")
    _claim_top(reading, found)
    _claim_official_and_prose(reading, found)
    claim_pairs(reading, found.pairs)
    claim_history(reading, found.history)
    return _coverage(reading, found)


def _read_block(reading: Reading, found: _Found, blocks: list[Block], position: int) -> None:
    block = blocks[position]
    following = blocks[position + 1] if position + 1 < len(blocks) else None
    key = _NUMBER.sub("", fold(block.text), count=1)
    before, found.last = found.last, block
    if rule := _rule(found, block):
        reading.set_aside(block, rule)
    elif found.state == "top" and _BANNER.fullmatch(block.text):  # a history's note may say the same
        _claim_banner(reading, found, block)
    elif notice := read_notice(block.text, found.notices + 1):
        if found.pairs:
            reading.set_aside(block, "footer")
        else:
            found.notices += 1
            found.notice = block
            reading.claim(block, notice)
            found.state = "sections" if fold(notice.holder) == "coding ahead" else "description"
            found.promised = found.promised or found.state == "sections"
    elif not block.cells and key in _HEADINGS and not found.pairs:
        found.state, found.headings = _HEADINGS[key], True
        found.promised = found.promised or found.state != "official"
        reading.set_aside(block, "section_heading")
    elif is_history_header(block):
        found.history_header = block
        found.state = "history"
        rows = rows_under(blocks, position) if block.cells else []
        found.history += rows
        reading.set_aside(block, "table_header")
        _take(found, rows)
    elif pairs := find_pairs(block, following, among_pairs=found.state == "pairs"):
        found.pairs += pairs
        found.state = "pairs"
        _take(found, [b for pair in pairs for b in pair.blocks])
    elif found.state == "history" and is_history_line(block):
        found.history.append(block)
    elif found.state == "top":
        found.top.append(block)
    elif found.state not in ("pairs", "history"):
        found.prose.setdefault(found.state, []).append(block)
    else:
        found.last = before


def _take(found: _Found, blocks: list[Block]) -> None:
    found.used.update(block.index for block in blocks)
    found.last = blocks[-1] if blocks else found.last


def _rule(found: _Found, block: Block) -> str | None:
    """The rule by which the block says nothing of the code."""
    text = block.text
    if _COUNTER.fullmatch(text):
        found.counter = True
        return "views_counter"
    if _CLOSING.fullmatch(text):
        found.closed = True
        return "closing_line"
    if _GATE.fullmatch(text):
        found.gates += 1
        return "gate"
    if "CasePilot" in text and len(text) < 300:
        return "promotion"
    return None


def _claim_banner(reading: Reading, found: _Found, block: Block) -> None:
    match = _BANNER.fullmatch(block.text)
    assert match is not None
    found.banners += 1
    listed = codes.listed(match["codes"] or "")
    replacements = [
        RelatedCode("replaced_by", codes.system_of(code), code, match["what"])
        for code in listed
        if code != reading.code
    ]

    reading.claim(block, [Attribute("deletion_notice", found.banners, block.text), *replacements])


def _claim_top(reading: Reading, found: _Found) -> None:
    """Above the first heading or notice: the menu, where a counter shows that there is one, and the page's title."""
    for block in found.top:
        if block.kind == "heading" and codes.title_after(block.text, reading.code) is not None:
            reading.set_aside(block, "page_title")
        elif found.counter and not block.cells and len(block.text) <= _MENU_ITEM and not block.text.endswith("."):
            reading.set_aside(block, "site_menu")


def _claim_official_and_prose(reading: Reading, found: _Found) -> None:
    if official := found.prose.pop("official", None):
        reading.claim(official, Descriptor("official", " ".join(block.text for block in official)))
    if "sections" in found.prose:
        for section, blocks in _place(found.prose.pop("sections"), found.headings).items():
            warnings = [SECTION_UNKNOWN] if section == "unplaced" else []
            found.prose[section] = [*blocks, *found.prose.get(section, [])]
            reading.claim((), table="narratives", warnings=warnings)
    for section, blocks in found.prose.items():
        claim_prose(reading, section, [Paragraph.of(block) for block in blocks])


def _place(blocks: list[Block], headings: bool) -> dict[str, list[Block]]:
    """Sections of paragraphs that have no headings: by their order where there are three, else by how they begin."""
    names = ("indications", "procedure", "post_procedure")
    if headings:
        return {"unplaced": blocks}
    if len(blocks) == 3:
        starts = [0, 1, 2]
    else:
        procedure = [i for i, b in enumerate(blocks) if i and _PROCEDURE_LEAD.match(b.text)]
        post = [i for i, b in enumerate(blocks) if i and _POST_LEAD.match(b.text)]
        starts = [0, *procedure, *post]
        if len(procedure) != 1 or len(post) != 1 or procedure > post:
            return {"unplaced": blocks}
    ends = [*starts[1:], len(blocks)]
    return {name: blocks[start:end] for name, start, end in zip(names, starts, ends, strict=True)}


def _coverage(reading: Reading, found: _Found) -> Coverage:
    """What the page showed whole: a part is whole where something follows it, or where the page's end is seen."""
    page = reading.page
    is_text = page.form == "text"
    ends_whole = found.closed or not (is_text or page.truncated)
    last_pair = found.pairs[-1].blocks[-1] if found.pairs else None
    pairs_whole = last_pair is not None and (ends_whole or last_pair is not found.last)
    history_whole = _is_history_whole(reading, found, ends_whole)
    prose_whole = (bool(found.pairs) or ends_whole) and not found.gates
    # An extract that dropped the counter dropped the banner beside it; some drop the banner alone.
    says_deleted = bool(found.history) and action_of(found.history[0]) == "deleted"  # newest first
    top_seen = not is_text or found.banners > 0 or (found.counter and not says_deleted)
    top_whole = top_seen and (ends_whole or found.state != "top")
    whole = {
        "narratives": prose_whole and (bool(found.prose) or not found.promised),
        "notices": prose_whole or (found.notices >= 2 and found.notice is not page.ending),
        # The descriptors come first: an indicator after them shows that they are whole.
        "descriptors": pairs_whole or any(pair.label not in DESCRIPTOR_LABELS for pair in found.pairs),
        "indicators": pairs_whole,
        "history_events": history_whole,
        "attributes": top_whole,
        "related_codes": top_whole,
    }
    cut = page.truncated or (is_text and not found.closed and not (pairs_whole and history_whole))
    seen = {"narratives": True, "indicators": bool(found.pairs), "history_events": found.history_header is not None}
    reasons = tuple(
        f"{table} {'cut off' if is_seen and cut else 'behind a login' if is_seen and found.gates else 'missing'}"
        for table, is_seen in seen.items()
        if not whole[table]
    )
    return Coverage(tuple(sorted(t for t, is_whole in whole.items() if is_whole)), reasons, cut)


def _is_history_whole(reading: Reading, found: _Found, ends_whole: bool) -> bool:
    page = reading.page
    last = found.history[-1] if found.history else found.history_header
    if last is None or ends_whole or last is not found.last:
        return last is not None
    # Nothing known follows.
    if not found.history or page.form == "html" or page.truncated:
        return False
    if found.history_header and len(last.cells) < len(found.history_header.cells):
        return False
    if page.ending is not last and page.ending is not None:
        return not page.ending.may_begin_row
    # The text ends with this row. A code's oldest event is its addition; where it is another one, older ones may be
    # cut off, which a page that shows a counter and no closing line surely is.
    if action_of(last) == "added":
        return True
    message = "the page ends with this row, and it is no addition: older ones may be cut off"
    warning = ParseWarning("history_open", "history_events", "", None, last.text, message)
    reading.claim((), table="history_events", warnings=[warning])
    return not found.counter


SOURCE = Source(
    name="codingahead",
    version=1,
    hosts=("case2code.codingahead.com", "webhooks.codingahead.com", "www.codingahead.com", "codingahead.com"),
    marks=(
        r"short descr\b",
        r"medium descr\b",
        r"long descr\b",
        r"status code\b",
        r"global days\b",
        r"pc/tc indicator\b",
        r"berenson-eggers tos\b",
        r"official description$",
        r"common language description$",
        r"© copyright [0-9]{4} coding ahead\b",
        r"[0-9]+ (?:code|daily) page views?\b",
        r"get instant expert-level medical coding assistance",
        r"create a free account to unlock this content",
        r"register to view content",
    ),
    read=read,
    never_empty=("descriptors", "history_events", "indicators"),
    elsewhere=(r"last updated\b", r"quick reference\b"),
    address="https://case2code.codingahead.com/cpt/codes/{code}",
    pages=r"/cpt/codes/[^/]+/?",
)
