"""GenHealth: the descriptor of one code a page, its names, and prose in named sections.

A page is, in this order: the descriptor, the line `CPT4 code` or `HCPCS code`, a title, and sections under plain
headings, `Name of the Procedure` first. Any but the first two may be missing. The code is often in the address only.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

from parsers import codes
from parsers.page import Block, Reading
from parsers.prose import SECTION_UNKNOWN, Paragraph, claim_prose, read_notice
from parsers.records import Attribute, Descriptor, ParseWarning
from parsers.source import Coverage, NotContent, Source
from parsers.walls import is_gate
from parsers.words import ends_sentence, fold

# Ex: "CPT4 code", "HCPCS code", "CPT-4 Code: 99213"
_CODE_LINE = re.compile(rf"(?:CPT-?4|HCPCS) code(?:\s*[:#]?\s*(?P<code>{codes.CODE}))?\s*:?", re.IGNORECASE)
_NAME = "name"
# Heading on the page -> section. A heading that is not here opens a section that nobody knows: see `_opens_unknown`.
_SECTIONS = {
    "name of the procedure": _NAME,
    "procedure name": _NAME,
    "summary": "summary",
    "purpose": "purpose",
    "indications": "indications",
    "contraindications": "contraindications",
    "preparation": "preparation",
    "procedure description": "procedure",
    "description of the procedure": "procedure",
    "duration": "duration",
    "setting": "setting",
    "personnel": "personnel",
    "risks": "risks",
    "risks and complications": "risks",
    "complications": "complications",
    "benefits": "benefits",
    "recovery": "recovery",
    "post-procedure": "post_procedure",
    "post-procedure care": "post_procedure",
    "follow-up": "follow_up",
    "alternatives": "alternatives",
    "outcomes": "outcomes",
    "patient experience": "patient_experience",
}
# Pages go on after these as a rule: a text that ends in one of them may lack the rest.
_EARLY = frozenset(["unplaced", "summary", "purpose", "indications", "preparation", "procedure"])
# Ex: "Common Name: Synthetic words", and "Technical Term" alone with its value in the next line
_FACT = re.compile(r"(?P<label>Common Name|Technical Term)s?\s*(?::\s*(?P<value>.*)|$)", re.IGNORECASE)
# Ex: "Cost and Coverage", "Billing Notes:"; not "Wear loose clothes", nor a sentence
_TITLE_CASE = re.compile(
    r"[A-Z][^\s.!?]*(?: (?:(?:a|an|and|at|by|for|in|of|on|or|the|to|with)\b|&|[A-Z(][^\s.!?]*)){0,7}"
)
# Ex: "© Copyright 2025 Synthetic Health. All rights reserved.", and one cut short
_FOOTER = re.compile(r"©|(?:\(c\)\s*)?copyright\s+(?:©|\(c\)|[0-9]{4})", re.IGNORECASE)
_MAX_TITLE = 200  # characters of a title; a paragraph is longer, or a sentence


@dataclass(frozen=True, slots=True)
class _Line:
    """A block, or a cell of one: sites set heading and text side by side as well as below each other."""

    text: str
    block: Block

    @property
    def is_item(self) -> bool:
        return self.block.kind == "item"


@dataclass(slots=True)
class _Found:
    state: str = "unknown"  # the section that lines belong to
    descriptor: bool = False
    opened: list[str] = field(default_factory=list)  # sections, in page order
    past_name: _Line | None = None  # the first that is of another section than the name
    names: list[_Line] = field(default_factory=list)
    prose: dict[str, list[Paragraph]] = field(default_factory=dict)
    gates: int = 0
    closed: bool = False


def read(reading: Reading) -> Coverage:
    """Claim the blocks of a GenHealth page. Raises `NotContent` for a gated one, and for the page of another code."""
    lines = [_Line(part, block) for block in reading.page.blocks if not block.chrome for part in block.parts if part]
    at = next((i for i, line in enumerate(lines) if _CODE_LINE.fullmatch(line.text)), None)
    found = _Found()
    rest = lines if at is None else lines[at + 1 :]
    begin = 0 if at is None else _read_top(reading, found, lines[: at + 1], rest)
    for line, following in zip_longest(rest[begin:], rest[begin + 1 :]):
        _read_line(reading, found, line, following)
    if found.gates and not found.prose:
        raise NotContent("gated", f"{found.gates} lines ask for an account where the content would be")
    for section, paragraphs in found.prose.items():
        claim_prose(reading, section, paragraphs)
    if "unplaced" in found.prose:
        reading.claim((), table="narratives", warnings=[SECTION_UNKNOWN])
    return _coverage(reading, found, rest)


def _read_top(reading: Reading, found: _Found, top: Sequence[_Line], rest: Sequence[_Line]) -> int:
    """Claim what stands around the line that names the kind of code, the last of ``top``: the descriptor right above it
    (a menu above that is unmapped), and a title right below. Returns how many lines of ``rest`` that took."""
    match = _CODE_LINE.fullmatch(top[-1].text)
    if match and match["code"] and codes.normal(match["code"]) != reading.code:
        raise NotContent("mismatched", f"the page is read for {reading.code}, and says {match['code']}")
    reading.set_aside(top[-1].block, "code_line")
    found.state = "unplaced"
    found.descriptor = len(top) > 1
    for line in top[:-2]:
        _leave(reading, line)
    if found.descriptor:
        reading.claim(top[-2].block, Descriptor("long", top[-2].text))
    if not rest or not _may_be_title(found, rest[0]):
        return 0
    reading.claim(rest[0].block, Descriptor("title", rest[0].text))
    return 1


def _read_line(reading: Reading, found: _Found, line: _Line, following: _Line | None) -> None:
    section, text = _heading(found, line)
    if found.closed and not section:
        _leave(reading, line)
    elif section:
        found.state, found.closed = section, False  # a notice above a section is no footer
        found.opened.append(section)
        found.past_name = found.past_name or (line if section != _NAME else None)
        if text:
            _keep(found, _Line(text, line.block))
        else:
            reading.set_aside(line.block, "section_heading")
    elif is_gate(line.text):
        found.gates += 1
        _leave(reading, line, "gate")
    elif _FOOTER.match(line.text):
        found.closed = True
        _leave(reading, line, "footer" if read_notice(line.text, 1) else None)
    elif found.state in ("unplaced", _NAME) and _FACT.fullmatch(line.text):
        found.state = _NAME  # whose heading may have been lost
        found.opened.append(_NAME)
        found.names.append(line)
    elif _opens_unknown(found, line, following):
        found.state = "unknown"
        _leave(reading, line)
    elif found.state == "unknown":
        _leave(reading, line)
    else:
        _keep(found, line)


def _leave(reading: Reading, line: _Line, rule: str | None = None) -> None:
    """Set ``line`` aside by ``rule``. Without one, or beside a cell that may be claimed, it is unmapped."""
    if rule and not line.block.cells:
        reading.set_aside(line.block, rule)
    elif line.block.cells:
        reading.leave_unmapped(line.block)


def _keep(found: _Found, line: _Line) -> None:
    if found.state == _NAME and _may_be_name(found, line):
        found.names.append(line)
        return
    if found.state == _NAME:
        found.state = "unplaced"  # its heading was lost
        found.past_name = found.past_name or line
    found.prose.setdefault(found.state, []).append(Paragraph((line.text,), (line.block,)))


def _heading(found: _Found, line: _Line) -> tuple[str | None, str]:
    """The section that ``line`` opens, and what it says of it in the same line. List items open none."""
    # Ex: "Summary", "Name of the Procedure:", "Duration: Synthetic words." where no Duration came before
    if line.is_item:
        return None, ""
    if section := _SECTIONS.get(fold(line.text)):
        return section, ""
    heading, _, text = line.text.partition(":")
    section = _SECTIONS.get(fold(heading)) if text else None
    return (None, "") if section in found.opened else (section, text.strip())


def _may_be_name(found: _Found, line: _Line) -> bool:
    return len(line.text) <= _MAX_TITLE and not (found.names and ends_sentence(line.text))


def _may_be_title(found: _Found, line: _Line) -> bool:
    says_else = _heading(found, line)[0] or _FACT.fullmatch(line.text) or is_gate(line.text) or _FOOTER.match(line.text)
    is_short = len(line.text) <= _MAX_TITLE and not line.text.endswith((".", "!", "?", ":"))
    return is_short and not line.is_item and not says_else


def _opens_unknown(found: _Found, line: _Line, following: _Line | None) -> bool:
    """Whether ``line`` is a heading that the vocabulary lacks: it and what follows are unmapped, since to count them to
    the section before would be a guess, and to name a section after a page's words would make names without end.

    HTML says so. In a text it is a line in title case between prose and prose: items that lost their bullets follow
    each other without full stops.
    """
    if line.block.kind == "heading":
        return found.state != _NAME or bool(found.names)
    in_prose = bool(found.names if found.state == _NAME else found.prose.get(found.state))
    if not in_prose or line.is_item or following is None or _heading(found, following)[0]:
        return False
    is_label = following.is_item and line.text.endswith(":")
    leads = following.is_item or following.text.endswith(":") or ends_sentence(following.text)
    return leads and not is_label and _TITLE_CASE.fullmatch(line.text) is not None


def _claim_names(reading: Reading, lines: list[_Line]) -> int:
    """Claim the names; returns how many. A label alone takes the lines after it."""
    ordinals = Counter[str]()
    name, label = "procedure_name", list[Block]()
    for line in lines:
        value: str | None = line.text
        if match := _FACT.fullmatch(line.text):
            name, value = "_".join(fold(match["label"]).split()), match["value"]
            label = [] if value else [line.block]
        if value:
            ordinals[name] += 1
            reading.claim([*label, line.block], Attribute(name, ordinals[name], value))
        if not label:
            name = "procedure_name"
    return ordinals.total()


def _coverage(reading: Reading, found: _Found, rest: Sequence[_Line]) -> Coverage:
    """What the page showed whole. No text tells its end: one that ends with a whole sentence is taken for whole."""
    page = reading.page
    last = rest[-1] if rest else None
    html_whole = page.form == "html" and not page.truncated
    ended = last is not None and (found.closed or ends_sentence(last.text))
    text_whole = page.form == "text" and not page.truncated and not page.open_item and ended
    ends_whole = html_whole or text_whole
    names = _claim_names(reading, found.names)
    past_name = html_whole or (found.past_name is not None and found.past_name is not last)
    empty = [section for section in found.opened if section != _NAME and section not in found.prose]
    whole = {
        # A title may stand below the descriptor, or be what was cut off.
        "descriptors": found.descriptor and (html_whole or (len(rest) > 1)),
        # A text without names may have lost them: what it does not show is no news.
        "attributes": past_name and (names > 0 or (_NAME not in found.opened and page.form == "html")),
        "narratives": ends_whole and bool(found.prose) and not empty and not found.gates,
    }
    if text_whole and not found.closed and found.state in _EARLY:
        reading.claim((), table="narratives", warnings=[_open(found.state)])
    cut = page.truncated or (page.form == "text" and not text_whole)
    seen = {"descriptors": found.descriptor, "attributes": _NAME in found.opened, "narratives": bool(found.prose)}
    reasons = [
        f"{table} {_why(cut and is_seen, found.gates, empty if table == 'narratives' else ())}"
        for table, is_seen in seen.items()
        if not whole[table] and (is_seen or table != "attributes")
    ]
    return Coverage(tuple(sorted(t for t, is_whole in whole.items() if is_whole)), tuple(reasons), cut)


def _why(is_cut: bool, gates: int, empty: Sequence[str]) -> str:
    if is_cut:
        return "cut off"
    if gates:
        return "behind a login"
    return f"missing: nothing under {', '.join(empty)}" if empty else "missing"


def _open(section: str) -> ParseWarning:
    message = "the text ends with this section, and pages go on after it as a rule: more may be cut off"
    return ParseWarning("prose_open", "narratives", section, None, None, message)


SOURCE = Source(
    name="genhealth",
    version=1,
    hosts=("genhealth.ai", "www.genhealth.ai"),
    marks=(
        r"(?:cpt-?4|hcpcs) code(?:$|[ :#]+[0-9a-v][0-9]{3}[0-9ftum]$)",
        r"name of the procedure\b",
        r"(?:common name|technical term):",
        # Words that many a site has above its sections: all of them count as one mark.
        r"(?:summary|purpose|indications|preparation|procedure description|duration|setting|personnel|risks)$",
    ),
    read=read,
    never_empty=("descriptors", "narratives"),
    pages=r"/code/(?:cpt4|hcpcs)/[^/]+/?",
)
