"""Coding Ahead: descriptors, payment indicators, history and prose, one code a page.

A page is, in this order: menu, views counter, deletion banner, official descriptor, AMA notice, description, Coding
Ahead notice, sections, indicator pairs, history table, closing line. Any of them may be missing.
"""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from dataclasses import dataclass, field

from parsers import codes
from parsers.page import Block, Reading
from parsers.records import (
    Action,
    Attribute,
    Descriptor,
    DescriptorKind,
    HistoryEvent,
    Indicator,
    ParseWarning,
    RelatedCode,
)
from parsers.source import Coverage, NotContent, Source
from parsers.verbs import LabelledValue, Labels, Paragraph, claim_prose, read_notice, table_rows
from parsers.vocabulary import INDICATOR_LABELS, read_indicator
from parsers.words import fold

_DESCRIPTORS: dict[str, DescriptorKind] = {
    "Short Descr": "short",
    "Medium Descr": "medium",
    "Long Descr": "long",
}
_LABELS = Labels([*_DESCRIPTORS, *INDICATOR_LABELS])
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
    r"Code deleted\b(?:\s*[,.;:]?\s*(?:(?:to report,?\s*)?see\s+|For (?P<what>.{1,500}?),?\s*use\s+)(?P<codes>.+))?[\s.,]*",
    re.IGNORECASE,
)
_ACTIONS: dict[str, Action] = {"added": "added", "changed": "changed", "deleted": "deleted"}
# Ex: "2023-01-01 Added Code added." where an extract lost the bars
_HISTORY_LINE = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})\s+(Added|Changed|Deleted)\b\s*(.*)", re.IGNORECASE)
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
    last: Block | None = None  # last block that is content
    counter: bool = False
    banners: int = 0
    headings: bool = False
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
    _claim_pairs(reading, found)
    _claim_history(reading, found)
    return _coverage(reading, found)


def _read_block(reading: Reading, found: _Found, blocks: list[Block], position: int) -> None:
    block = blocks[position]
    following = blocks[position + 1] if position + 1 < len(blocks) else None
    key = _NUMBER.sub("", fold(block.text), count=1)
    if rule := _rule(found, block):
        reading.set_aside(block, rule)
        return
    found.last = block
    if _BANNER.fullmatch(block.text):
        _claim_banner(reading, found, block)
    elif notice := read_notice(block.text, found.notices + 1):
        if found.pairs:
            reading.set_aside(block, "footer")
            return
        found.notices += 1
        reading.claim(block, notice)
        found.state = "sections" if fold(notice.holder) == "coding ahead" else "description"
    elif not block.cells and key in _HEADINGS and not found.pairs:
        found.state, found.headings = _HEADINGS[key], True
        reading.set_aside(block, "section_heading")
    elif _is_history_header(block):
        found.history_header = block
        found.state = "history"
        found.history += table_rows(blocks, position) if block.cells else []
        _take(found, found.history)
    elif pairs := _pairs(found, block, following):
        found.pairs += pairs
        found.state = "pairs"
        _take(found, [b for pair in pairs for b in pair.blocks])
    elif found.state == "history" and _HISTORY_LINE.fullmatch(block.text):
        found.history.append(block)
    elif found.state == "top":
        found.top.append(block)
    elif found.state not in ("pairs", "history"):
        found.prose.setdefault(found.state, []).append(block)


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


def _is_history_header(block: Block) -> bool:
    words = [fold(cell) for cell in block.cells if cell] or fold(block.text).split()
    return words in (["date", "action", "notes"], ["date", "action", "note"])


def _pairs(found: _Found, block: Block, following: Block | None) -> list[LabelledValue]:
    if block.cells:
        return _LABELS.in_cells(block) or []
    if pair := _LABELS.in_line(block):
        return [pair] if found.state == "pairs" or _is_value(pair) else []
    if pair := _LABELS.in_lines(block, following):
        return [pair] if found.state == "pairs" or _is_value(pair) else []
    return []


def _is_value(pair: LabelledValue) -> bool:
    """Whether the value is one that the label can have, so that prose beginning with a label's words is no pair."""
    if pair.label in _DESCRIPTORS:
        return True
    indicator, known = read_indicator(INDICATOR_LABELS[pair.label], pair.value)
    return known and (indicator.value_code is not None or indicator.value_text is None)


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
    """What stands above the first heading or notice: the menu, where a counter shows that there is one; a page title."""
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
            warnings = [_SECTION_UNKNOWN] if section == "unplaced" else []
            found.prose[section] = [*blocks, *found.prose.get(section, [])]
            reading.claim((), table="narratives", warnings=warnings)
    for section, blocks in found.prose.items():
        claim_prose(reading, section, [Paragraph.of(block) for block in blocks])


_SECTION_UNKNOWN = ParseWarning(
    "section_unknown",
    "narratives",
    "unplaced",
    "section",
    None,
    "the extract lost its headings, and the words do not tell the section",
)


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


def _claim_pairs(reading: Reading, found: _Found) -> None:
    seen: set[str] = set()
    for pair in found.pairs:
        name = _DESCRIPTORS.get(pair.label) or INDICATOR_LABELS[pair.label]
        records: list[Descriptor | Indicator] = []
        warnings = []
        if name in seen:
            warnings.append(
                _warn("repeated_label", name, pair.value, "the page gives this twice: the first one counts")
            )
        elif pair.label in _DESCRIPTORS and pair.value:
            records.append(Descriptor(_DESCRIPTORS[pair.label], pair.value))
        elif pair.value:
            indicator, known = read_indicator(name, pair.value)
            records.append(indicator)
            if not known:
                warnings.append(_warn("unknown_value", name, pair.value, "no CMS value is known by these words"))
        seen.add(name)
        table = "descriptors" if pair.label in _DESCRIPTORS else "indicators"
        reading.claim(pair.blocks, records, table=table, warnings=warnings)


def _warn(rule: str, name: str, value: str, message: str) -> ParseWarning:
    table = "descriptors" if name in _DESCRIPTORS.values() else "indicators"
    return ParseWarning(rule, table, name, "value_code" if table == "indicators" else "text", value, message)


def _claim_history(reading: Reading, found: _Found) -> None:
    if found.history_header:
        reading.set_aside(found.history_header, "table_header")
    ordinals = Counter[tuple[dt.date, Action]]()
    for row in found.history:
        match = _HISTORY_LINE.fullmatch(row.text)
        date, action_word, notes = match.groups() if match else (*row.cells, "", "", "")[:3]
        try:
            event_on = dt.date.fromisoformat(date)
        except ValueError:
            message = f"no ISO date: the event ({action_word}) is in unmapped"
            warning = ParseWarning(
                "unreadable_date", "history_events", f"{date}|{fold(action_word)}", "event_on", date, message
            )
            reading.claim((), table="history_events", warnings=[warning])
            continue
        action = _ACTIONS.get(fold(action_word), "other")
        ordinals[event_on, action] += 1
        words = notes if action != "other" else f"{action_word}: {notes}" if notes else action_word
        reading.claim(row, HistoryEvent(event_on, action, ordinals[event_on, action], words or None))


def _coverage(reading: Reading, found: _Found) -> Coverage:
    page = reading.page
    ends_whole = found.closed or (page.form == "html" and not page.truncated)
    last_pair = found.pairs[-1].blocks[-1] if found.pairs else None
    last_row = found.history[-1] if found.history else found.history_header
    oldest = fold(last_row.text) if last_row else ""
    ends_added = re.search(r"\|\s*added\b|^[0-9-]+ added\b", oldest) is not None
    pairs_whole = last_pair is not None and (ends_whole or last_pair is not found.last)
    history_whole = last_row is not None and (
        ends_whole
        or last_row is not found.last
        or (page.form == "text" and not last_row.cut and bool(found.history) and (ends_added or not found.counter))
    )
    if history_whole and page.form == "text" and not ends_whole and last_row is found.last and not ends_added:
        message = "the page ends with this row, and it is no addition: older ones may be cut off"
        reading.claim(
            (),
            table="history_events",
            warnings=[ParseWarning("history_open", "history_events", "", None, oldest, message)],
        )
    prose_whole = (bool(found.pairs) or ends_whole) and not found.gates
    # An extract that dropped the counter dropped the banner beside it as well.
    top_seen = page.form == "html" or found.counter or found.banners > 0
    # The descriptors come first: an indicator after them shows that they are whole.
    descriptors_whole = pairs_whole or any(pair.label in INDICATOR_LABELS for pair in found.pairs)
    whole = {
        "narratives": prose_whole,
        "notices": prose_whole or found.notices >= 2,
        "descriptors": descriptors_whole,
        "indicators": pairs_whole,
        "history_events": history_whole,
        "attributes": top_seen,
        "related_codes": top_seen,
    }
    cut = page.truncated or (page.form == "text" and not found.closed and not (pairs_whole and history_whole))
    required = {"narratives": prose_whole, "indicators": pairs_whole, "history_events": history_whole}
    seen = {"narratives": True, "indicators": bool(found.pairs), "history_events": last_row is not None}
    reasons = tuple(
        f"{table} {'cut off' if seen[table] and cut else 'behind a login' if seen[table] else 'missing'}"
        for table, is_whole in required.items()
        if not is_whole
    )
    return Coverage(tuple(sorted(t for t, is_whole in whole.items() if is_whole)), reasons, cut)


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
    elsewhere=(r"last updated\b", r"quick reference\b"),
)
