"""The grammar of CPT and HCPCS codes, and where a page's code is looked for.

Forms: AMA CPT categories I (NNNNN), II (NNNNF), III (NNNNT), PLA (NNNNU), MAAA (NNNNM); CMS HCPCS level II (a letter
A-V and four digits).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from urllib.parse import SplitResult, unquote, urlsplit

from parsers.page import Page
from parsers.words import clean

CODE = r"(?:[0-9]{4}[0-9FTUM]|[A-V][0-9]{4})"
# Ex: "CPT 1001 T: Title", "CPT® 9921 3": pages write a code with spaces in it, but only where they name it as one
_SPACED = r"[0-9A-V](?:\s?[0-9]){3}\s?[0-9FTUM]"
_CODE = re.compile(CODE)
_WORD = re.compile(r"[A-Za-z0-9]+")
_NAME = rf"(?:CPT|HCPCS)\s*®?\s*(?:codes?\b)?\s*[:#]?\s*(?P<code>{_SPACED})(?![0-9A-Za-z])"
# Ex: "CPT 1001T: Title", "CPT® Code 0748T", "HCPCS Code G0008 - Title"; not "CPT code 1001T represents an ..."
_TITLE = re.compile(rf"{_NAME}\s*(?:$|[:|–—-])", re.IGNORECASE)
# Ex, of headings alone: "0748T", "0748T - Title", "0748T CPT Code"
_FIRST = re.compile(rf"(?P<code>{CODE})(?:$|\s*[:|–—-]\s|\s+(?:CPT|HCPCS)\b)", re.IGNORECASE)
# Ex: "The procedure described by CPT® Code 0748T involves", "HCPCS code G0008 covers"
_STATED = re.compile(
    rf"\b(?:described|represented|identified|reported) by (?:the )?{_NAME}"
    rf"|^(?:The )?{_NAME.replace('<code>', '<subject>')}"
    r"\s+(?:represents|describes|refers|involves|covers|denotes|identifies|is)\b",
    re.IGNORECASE,
)
# Ex: "providers report CPT® Code 0748T when"
_MENTIONED = re.compile(rf"\b{_NAME}", re.IGNORECASE)
_MAX_HEADING = 200
_MAX_PROSE = 2000


def normal(text: str) -> str | None:
    """The code that ``text`` is, in its usual form, or None. Ex: "1001 t" -> "1001T"."""
    code = "".join(text.split()).upper()
    return code if _CODE.fullmatch(code) else None


def system_of(code: str) -> str:
    """``CPT`` or ``HCPCS`` (level II), by the code's form."""
    return "HCPCS" if code[0].isalpha() else "CPT"


@dataclass(frozen=True, slots=True)
class Identity:
    """The page's code, where it was found, and the codes of the page that contradict it."""

    code: str | None
    found_in: str = ""
    contradicted_by: tuple[str, ...] = ()


def identify(page: Page) -> Identity:
    """The page's code: URL > sidecar > heading > prose > file name. Several codes at one place are no answer."""
    titles, statements = _in_titles(page), _in_prose(page, _STATED)
    said = titles or statements
    sidecar = code_in_fragment(page.url)
    for found_in, code in (("url", code_in_url(page.url)), ("sidecar", sidecar)):
        if code:
            against = {sidecar or code} | (set() if code in said else said)
            return Identity(code, found_in, tuple(sorted(against - {code})))
    for found_in, codes in (("heading", titles), ("prose", statements or _in_prose(page, _MENTIONED))):
        if codes:
            return Identity(codes.pop() if len(codes) == 1 else None, found_in)
    return Identity(code_in_file_name(page.url), "file name")


def title_after(text: str, code: str) -> str | None:
    """The title in a line that names ``code`` first ("" where it holds no more). Ex: "CPT 1001T: Title" -> "Title"."""
    match = _TITLE.match(text) or _FIRST.match(text)
    if match is None or normal(match["code"]) != code:
        return None
    return text[match.end() :].strip(" :|–—-")


def code_in_url(url: str) -> str | None:
    """The one code in the path of a web address. Ex: ".../cpt/codes/0748T", ".../cpt-1001t-some-words"."""
    parts = _parts(url)
    if parts.scheme not in ("http", "https"):
        return None
    words = _WORD.findall(unquote(parts.path))
    named = {c for before, word in pairwise(words) if _is_code_word(before) and (c := normal(word))}
    codes = named or {c for word in words if (c := normal(word))}
    return codes.pop() if len(codes) == 1 else None


def code_in_fragment(url: str) -> str | None:
    """The code that a sidecar gave, which travels in the fragment. Ex: "file:a.txt#code=1001T"."""
    key, _, value = _parts(url).fragment.partition("=")
    return normal(value) if key == "code" else None


def code_in_file_name(url: str) -> str | None:
    """The one code in the name of a landed file. Ex: "file:2026/0748T.html"; "file:000_c2e1.txt" holds none."""
    parts = _parts(url)
    if parts.scheme != "file":
        return None
    name = unquote(parts.path).rsplit("/", 1)[-1].rsplit(".", 1)[0]
    codes = {c for word in _WORD.findall(name) if (c := normal(word))}
    return codes.pop() if len(codes) == 1 else None


def _parts(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:  # Ex: "http://[bad"
        return SplitResult("", "", "", "", "")


def _is_code_word(word: str) -> bool:
    return word.lower() in ("cpt", "hcpcs", "cpt4", "code", "codes")


def _in_titles(page: Page) -> set[str]:
    found = set()
    for block in page.blocks:
        if block.chrome or block.cells or len(block.text) > _MAX_HEADING:
            continue
        match = _TITLE.match(block.text) or (_FIRST.match(block.text) if block.kind == "heading" else None)
        if match and (code := normal(match["code"])):
            found.add(code)
    return found


def _in_prose(page: Page, pattern: re.Pattern[str]) -> set[str]:
    texts = (b.text[:_MAX_PROSE] for b in page.blocks if not b.chrome and not b.cells)
    named = (m.groupdict() for text in texts for m in pattern.finditer(text))
    return {code for groups in named if (code := normal(next(filter(None, groups.values()), "")))}


# Ex: "64628", "0640T-0642T", "33361 - 33366", "99202–99205"
_RANGE = re.compile(rf"(?<![0-9A-Za-z])({CODE})(?:\s*[-‐‑–—]\s*({CODE}))?(?![0-9A-Za-z])", re.IGNORECASE)


def listed(text: str) -> list[str]:
    """Codes and ranges in a list, in order, a range as one "X-Y". Ex: "0640T, 0641T and 33361-33366"."""
    found = []
    for match in _RANGE.finditer(clean(text)):
        first, last = match[1].upper(), (match[2] or "").upper()
        found.append(f"{first}-{last}" if last else first)
    return list(dict.fromkeys(found))
