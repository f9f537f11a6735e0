"""GenHealth: the descriptor of one code a page, its names, and prose in named sections.

A page is, in this order: the descriptor, the line `CPT4 code` or `HCPCS code`, a title, and sections under plain
headings, `Name of the Procedure` first. Any but the first two may be missing. The code is often in the address only.
A line that may be one of two things (a title or a heading that nobody knows, a name or the next heading) is unmapped,
with a warning. What a line is rests on those above it and right below it: a page cut further down says the same.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from parsers import codes
from parsers.page import Block, Reading
from parsers.prose import SECTION_UNKNOWN, Paragraph, claim_prose, read_notice, split_label
from parsers.records import Attribute, Descriptor, ParseWarning
from parsers.source import Coverage, NotContent, Source
from parsers.walls import is_gate
from parsers.words import ends_sentence, fold

# Ex: "CPT4 code", "HCPCS code", "CPT-4 Code: 99213"
_CODE_LINE = re.compile(rf"(?:CPT-?4|HCPCS) code(?:\s*[:#]?\s*(?P<code>{codes.CODE}))?\s*:?", re.IGNORECASE)
# Ex: "99213", "CPT 99213", "HCPCS Code: G0008", below or above the code line
_CODE_ALONE = re.compile(
    rf"(?:(?:CPT(?:-?4)?|HCPCS)\s*®?\s*(?:code)?\s*[:#]?\s*)?(?P<code>{codes.CODE})", re.IGNORECASE
)
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
# Ex: "Common Name: Synthetic words", "Common name(s): ...", and "Technical Term" alone with its value in the next line
_FACTS = {"common name": "common_name", "technical term": "technical_term"}
_PLURAL = re.compile(r"(?:\(s\)|s)$")
# Ex: "Medical Term", "Also known as", before a colon; not a clause
_LABEL = re.compile(r"[^\s.!?]+(?: [^\s.!?]+){0,3}")
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
    top_closed: bool = False  # a line stands below the first known heading
    opened: list[str] = field(default_factory=list)  # sections, in page order
    in_line: bool | None = None  # whether headings stand in one line with their text; None: none was seen
    past_name: _Line | None = None  # the first below the names that is of another section
    names: list[_Line] = field(default_factory=list)
    unclear: set[str] = field(default_factory=set)  # tables of which a line may hold more, or what is not of them
    prose: dict[str, list[Paragraph]] = field(default_factory=dict)
    gates: int = 0
    closed: bool = False


def read(reading: Reading) -> Coverage:
    """Claim the blocks of a GenHealth page. Raises `NotContent` for a gated one, and for the page of another code."""
    lines = [_Line(part, block) for block in reading.page.blocks if not block.chrome for part in block.parts if part]
    found = _Found()
    begin = _read_top(reading, found, lines)
    for i in range(begin, len(lines)):
        _read_line(reading, found, lines[i], lines[i + 1 : i + 3])
    if found.gates and not found.prose:
        raise NotContent("gated", f"{found.gates} lines ask for an account where the content would be")
    for section, paragraphs in found.prose.items():
        claim_prose(reading, section, paragraphs)
    if "unplaced" in found.prose:
        reading.claim((), table="narratives", warnings=[SECTION_UNKNOWN])
    return _coverage(reading, found, lines)


def _read_top(reading: Reading, found: _Found, lines: Sequence[_Line]) -> int:
    """Claim what stands around the line that names the kind of code: the descriptor right above it (a menu above that
    is unmapped), and a title right below. Returns the line after that.

    Cards of other codes have such lines too: of several above the first section, the page's own is the one that is not
    another code's. Those below it are never the page's.
    """
    known = next((i for i, line in enumerate(lines) if _is_known(found, line)), len(lines))
    found.top_closed = known < len(lines) - 1
    named = {i: _code_at(lines, i) for i in range(known) if _CODE_LINE.fullmatch(lines[i].text)}
    if not named:
        return 0
    if len(named) == 1 and (other := next(iter(named.values()))) not in (None, reading.code):
        raise NotContent("mismatched", f"the page is read for {reading.code}, and says {other}")
    own = [i for i in named if named[i] == reading.code] or [i for i in named if named[i] is None]
    at = own[0] if len(own) == 1 else None
    for line in lines[: max(named) + 1 if at is None else max(at - 1, 0)]:
        _leave(reading, line)
    if at is None:
        message = f"{len(named)} lines name a kind of code: which descriptor is this code's cannot be told"
        reading.claim((), warnings=[_unclear("descriptors", "long", None, message)])
        found.unclear.add("descriptors")
        return max(named) + 1
    reading.set_aside(lines[at].block, "code_line")
    found.state = "unplaced"
    if at and _CODE_ALONE.fullmatch(lines[at - 1].text):
        _leave(reading, lines[at - 1])
    elif at:
        found.descriptor = True
        reading.claim(lines[at - 1].block, Descriptor("long", lines[at - 1].text))
    return _read_title(reading, found, lines, at + 1)


def _code_at(lines: Sequence[_Line], at: int) -> str | None:
    """The code that the code line ``at`` names, in it or alone in the next line."""
    match = _CODE_LINE.fullmatch(lines[at].text)
    if match and match["code"]:
        return codes.normal(match["code"])
    below = _CODE_ALONE.fullmatch(lines[at + 1].text) if at + 1 < len(lines) else None
    return codes.normal(below["code"]) if below else None


def _read_title(reading: Reading, found: _Found, lines: Sequence[_Line], at: int) -> int:
    """Claim a title at ``at``; returns the line after it. It is one where a section follows: before prose, a line may
    as well be a heading that nobody knows."""
    while at < len(lines) and (match := _CODE_ALONE.fullmatch(lines[at].text)):
        if codes.normal(match["code"]) != reading.code:
            found.state = "unknown"
            return at
        reading.set_aside(lines[at].block, "code_line")
        at += 1
    if at == len(lines) or not _may_be_title(found, lines[at]):
        return at
    title = lines[at]
    if at + 1 < len(lines) and _is_known(found, lines[at + 1]):
        reading.claim(title.block, Descriptor("title", title.text))
        return at + 1
    message = "this line may be a title, or a heading that is not known: it and what stands under it are unmapped"
    reading.claim((), table="descriptors", warnings=[_unclear("descriptors", "title", title.text, message)])
    _leave(reading, title)
    found.state = "unknown"
    return at + 1


def _read_line(reading: Reading, found: _Found, line: _Line, ahead: Sequence[_Line]) -> None:
    section, text = _heading(found, line)
    if found.closed and not section:
        _leave(reading, line)
    elif found.names and found.past_name and (section == _NAME or (found.state == "unplaced" and _fact(line.text))):
        _close(found, line, "unknown")  # a page has its names in one place: these may be another code's
        _leave(reading, line)
    elif section:
        _open_section(reading, found, line, section, text, ahead)
    elif is_gate(line.text):
        found.gates += 1
        _leave(reading, line, "gate")
    elif _FOOTER.match(line.text):
        found.closed = True
        _leave(reading, line, "footer" if read_notice(line.text, 1) else None)
    elif any(_CODE_LINE.fullmatch(each.text) for each in (line, *ahead[:1])):
        _close(found, [line, *ahead][-1], "unknown")  # another code's descriptor, and its code line
        _leave(reading, line)
    elif found.state in ("unplaced", _NAME) and _fact(line.text):
        found.state = _NAME  # whose heading may have been lost
        found.opened.append(_NAME)
        found.names.append(line)
        found.past_name = None
    elif _opens_unknown(found, line, ahead):
        _close(found, [line, *ahead][-1], "unknown")
        _leave(reading, line)
    elif found.state == "unknown":
        if _NAME not in found.opened and _fact(line.text):
            found.unclear.add("attributes")  # it may be of what stands above it. Ex: another code's card
        _leave(reading, line)
    elif found.state == _NAME:
        _read_name(reading, found, line, ahead)
    else:
        _keep(found, line)


def _open_section(
    reading: Reading, found: _Found, line: _Line, section: str, text: str, ahead: Sequence[_Line]
) -> None:
    found.state, found.closed = section, False  # a notice above a section is no footer
    found.opened.append(section)
    if section == _NAME:
        found.past_name = None
    else:
        found.past_name = found.past_name or line
        # A list under a heading leaves no other place for the heading than a line of its own.
        found.in_line = bool(text) or (bool(found.in_line) and bool(ahead) and ahead[0].is_item)
    if not text:
        reading.set_aside(line.block, "section_heading")
    elif section == _NAME:
        _read_name(reading, found, _Line(text, line.block), ahead)
    else:
        _keep(found, _Line(text, line.block))


def _read_name(reading: Reading, found: _Found, line: _Line, ahead: Sequence[_Line]) -> None:
    """A line under the heading of the names. One name stands there as plain text, or items do: a second plain line may
    be a name whose bullet was lost, or a heading that is not known."""
    label, text = split_label(line.text)
    if len(line.text) > _MAX_TITLE or (found.names and ends_sentence(line.text)):
        _close(found, [line, *ahead[:1]][-1], "unplaced")  # its heading was lost
        _keep(found, line)
    elif text and _LABEL.fullmatch(label) and not _fact(line.text):
        message = "this label is not known among the names: the line is unmapped"
        reading.claim((), warnings=[_unclear("attributes", label, line.text, message)])
        _leave(reading, line)
    elif line.is_item or not found.names or _awaits_value(found.names[-1]):
        found.names.append(line)
    else:
        message = "this line may be another name, or a heading that is not known: it and what follows are unmapped"
        reading.claim((), warnings=[_unclear("attributes", "procedure_name", line.text, message)])
        _leave(reading, line)
        _close(found, line, "unknown")
        found.unclear.add("attributes")


def _leave(reading: Reading, line: _Line, rule: str | None = None) -> None:
    """Set ``line`` aside by ``rule``. Without one, or beside a cell that may be claimed, it is unmapped."""
    if rule and not line.block.cells:
        reading.set_aside(line.block, rule)
    elif line.block.cells:
        reading.leave_unmapped(line.block)


def _close(found: _Found, decided_by: _Line, state: str) -> None:
    """A line is of no section that is known: what was open ends above it, as the line ``decided_by`` shows."""
    if found.state == _NAME:
        found.past_name = found.past_name or decided_by
    found.state = state


def _keep(found: _Found, line: _Line) -> None:
    found.prose.setdefault(found.state, []).append(Paragraph((line.text,), (line.block,)))


def _heading(found: _Found, line: _Line) -> tuple[str | None, str]:
    """The section that ``line`` opens, and what it says of it in the same line. List items open none."""
    # Ex: "Summary", "Name of the Procedure:", "Duration: Synthetic words." on a page whose headings stand so
    if line.is_item:
        return None, ""
    if section := _SECTIONS.get(fold(line.text)):
        return section, ""
    label, text = split_label(line.text)
    section = _SECTIONS.get(fold(label)) if text else None
    return (section, text) if section and _stands_in_line(found, section) else (None, "")


def _stands_in_line(found: _Found, section: str) -> bool:
    """Whether a label is a heading. Elsewhere than on a page whose first heading stands so, it leads an item that lost
    its bullet. Ex: "Preparation: the Synthetic bench is wiped" in the procedure's description."""
    begins = section == "summary" and found.in_line is None and not found.prose
    return section not in found.opened and (section == _NAME or found.in_line is True or begins)


def _is_known(found: _Found, line: _Line) -> bool:
    """Whether ``line`` is a known heading, or a name whose heading was lost: the sections have begun."""
    return bool(_heading(found, line)[0] or _fact(line.text))


def _fact(text: str) -> tuple[str, str] | None:
    """The attribute that the line's label names, and its value: "" where that stands in the next line."""
    label, value = split_label(text)
    attribute = _FACTS.get(_PLURAL.sub("", fold(label)))
    return (attribute, value) if attribute else None


def _awaits_value(line: _Line) -> bool:
    fact = _fact(line.text)
    return fact is not None and not fact[1]


def _may_be_title(found: _Found, line: _Line) -> bool:
    says_else = _is_known(found, line) or is_gate(line.text) or _FOOTER.match(line.text)
    is_short = len(line.text) <= _MAX_TITLE and not line.text.endswith((".", "!", "?", ":"))
    return is_short and not line.is_item and not says_else and not _CODE_LINE.fullmatch(line.text)


def _opens_unknown(found: _Found, line: _Line, ahead: Sequence[_Line]) -> bool:
    """Whether ``line`` is a heading that the vocabulary lacks: it and what follows are unmapped, since to count them to
    the section before would be a guess, and to name a section after a page's words would make names without end.

    HTML says so. In a text it is a line in title case before prose or another code's card: items that lost their
    bullets follow each other without full stops.
    """
    following = ahead[0] if ahead else None
    leads_to_section = following is not None and _is_known(found, following)
    if line.block.kind == "heading":
        return found.state != _NAME or bool(found.names) or not leads_to_section
    has_begun = found.state in ("unplaced", _NAME) or bool(found.prose.get(found.state))
    if not has_begun or line.is_item or following is None or leads_to_section:
        return False
    is_label = following.is_item and line.text.endswith(":")
    leads = following.is_item or following.text.endswith(":") or ends_sentence(following.text)
    leads = leads or any(_CODE_LINE.fullmatch(each.text) for each in ahead[1:2])
    return leads and not is_label and _TITLE_CASE.fullmatch(line.text) is not None


def _claim_names(reading: Reading, lines: list[_Line]) -> int:
    """Claim the names; returns how many. A label alone takes the lines after it."""
    ordinals = Counter[str]()
    name, label = "procedure_name", list[Block]()
    for line in lines:
        value = line.text
        if fact := _fact(line.text):
            name, value = fact
            label = [] if value else [line.block]
        if value:
            ordinals[name] += 1
            reading.claim([*label, line.block], Attribute(name, ordinals[name], value))
        if not label:
            name = "procedure_name"
    return ordinals.total()


def _coverage(reading: Reading, found: _Found, lines: Sequence[_Line]) -> Coverage:
    """What the page showed whole. No text tells its end: one that ends with a whole sentence is taken for whole."""
    page = reading.page
    last = lines[-1] if lines else None
    html_whole = page.form == "html" and not page.truncated
    ended = last is not None and (found.closed or ends_sentence(last.text))
    text_whole = page.form == "text" and not page.truncated and not page.open_item and ended
    ends_whole = html_whole or text_whole
    names = _claim_names(reading, found.names)
    past_name = html_whole or (found.past_name is not None and found.past_name is not last)
    empty = [section for section in found.opened if section != _NAME and section not in found.prose]
    whole = {
        # A title may be what was cut off, and another code line show that the descriptor is not this code's.
        "descriptors": found.descriptor and (html_whole or found.top_closed),
        # A text without names may have lost them: what it does not show is no news.
        "attributes": past_name
        and "attributes" not in found.unclear
        and (names > 0 or (_NAME not in found.opened and page.form == "html")),
        "narratives": ends_whole and bool(found.prose) and not empty and not found.gates,
    }
    if text_whole and not found.closed and found.state in _EARLY:
        reading.claim((), table="narratives", warnings=[_open(found.state)])
    cut = page.truncated or (page.form == "text" and not text_whole)
    seen = {"descriptors": found.descriptor, "attributes": _NAME in found.opened, "narratives": bool(found.prose)}
    reasons = [
        f"{table} {_why(found, table, cut and is_seen, empty if table == 'narratives' else ())}"
        for table, is_seen in seen.items()
        if not whole[table] and (is_seen or table != "attributes" or table in found.unclear)
    ]
    return Coverage(tuple(sorted(t for t, is_whole in whole.items() if is_whole)), tuple(reasons), cut)


def _why(found: _Found, table: str, is_cut: bool, empty: Sequence[str]) -> str:
    if table in found.unclear:
        return "unclear"
    if is_cut:
        return "cut off"
    if found.gates:
        return "behind a login"
    return f"missing: nothing under {', '.join(empty)}" if empty else "missing"


def _unclear(table: str, row_key: str, value: str | None, message: str) -> ParseWarning:
    return ParseWarning("line_unclear", table, row_key, None, value, message)


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
        r"(?:common name|technical term)(?:s|\(s\))?:",
        # Words that many a site has above its sections: all of them count as one mark.
        r"(?:summary|purpose|indications|preparation|procedure description|duration|setting|personnel|risks)$",
    ),
    read=read,
    never_empty=("descriptors", "narratives"),
    pages=r"/code/(?:cpt4|hcpcs)/[^/]+/?",
)
