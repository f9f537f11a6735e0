"""Pages that mean harm, by name; and one of them parsed in a process of its own, measured.

python -m tests.parsers.hostile_pages NAME     prints outcome, reason, CPU seconds and peak memory as JSON
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

from parsers import parse
from parsers.limits import MAX_BYTES

URL = "https://www.codingahead.com/cpt/codes/0748T"
OPENPAYER = "https://www.openpayer.com/billing-codes/cpt-1001t-synthetic"
GENHEALTH = "https://genhealth.ai/code/cpt4/0748T-synthetic"
_PAIRS = "Short Descr | Synthetic TST |\nStatus Code | Active Code |\n"
_CODING = "Summary & Overview\nCPT 1001T: Synthetic\nClinical Context\nCoding Specifications\n"


def _full(unit: str, begin: str = "", end: str = "", size: int = MAX_BYTES) -> bytes:
    """``unit`` repeated until the page is as large as a page may be."""
    return (begin + unit * ((size - len(begin) - len(end)) // len(unit)) + end).encode()


def _numbered(unit: str, count: int, begin: str = "", end: str = "") -> bytes:
    return (begin + "".join(unit.format(i) for i in range(count)) + end).encode()


def _entity_bomb() -> bytes:
    entities = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, 12))
    return f'<!DOCTYPE html [<!ENTITY e0 "ha">{entities}]><html><body><p>&e11;&e11;</p></body></html>'.encode()


# Markup: what builds a tree that is too deep, too wide, or quadratic to build or to walk
MARKUP: dict[str, Callable[[], bytes]] = {
    "a million nested tags": lambda: b"<div>" * 1_000_000,
    "nested inline tags": lambda: b"<b><i><span>" * 400_000,
    "nested in an ignored script": lambda: b"<script></SCRIPT>" + b"<div>" * 900_000,
    "nested after a comment with a script": lambda: b"<!-- <script> -->" + b"<div>" * 900_000,
    "nested past stray end tags": lambda: b"<div></b>" * 500_000,
    "nested past end tags that close nothing": lambda: b"<div><table></div>" * 250_000,
    "nested pictures": lambda: b"<svg><g>" * 600_000,
    "nested pictures with stray end tags": lambda: b"<p>x<svg>" + b"<g></zz>" * 49_000,
    "unclosed links": lambda: b"<a href=x>" * 500_000,
    "unclosed tables": lambda: b"<table><tr><td>" * 300_000,
    "unclosed cells": lambda: b"<table>" + b"<td>x" * 900_000,
    "unclosed paragraphs": lambda: b"<p>x" * 1_000_000,
    "nested lists": lambda: b"<ul><li>" * 600_000,
    "nested definitions": lambda: b"<dl><dt>x<dd>" * 400_000,
    "stray end tags": lambda: b"<p>" + b"</p></div></b>" * 350_000,
    "end tags below open ones": lambda: b"<b>" * 140 + b"</zz>" * 1_000_000,
    "less-than signs": lambda: _full("<"),
    "bare less-than signs in words": lambda: _full("a < b ", "<p>"),
    "comments": lambda: _full("<!---->"),
    "an unclosed comment": lambda: _full("x", "<p>y</p><!--"),
    "an unclosed script": lambda: _full("x<", "<p>y</p><script>"),
    "processing instructions": lambda: _full("<?a?>", "<p>"),
    "document types": lambda: _full("<!DOCTYPE html>"),
    "a million attributes": lambda: _numbered("a{} ", 620_000, "<p ", ">x</p>"),
    "a million attributes behind a quoted end": lambda: _numbered("a{} ", 620_000, "<p b='>' ", ">x</p>"),
    "the same attribute": lambda: _full("a=1 ", "<p ", ">x</p>"),
    "an attribute of megabytes": lambda: _full("x ", '<p class="', '">x</p>'),
    "an unclosed attribute": lambda: _full("<p>x", '<p class="'),
    "a tag name of megabytes": lambda: _full("x", "<", ">y"),
    "entities": lambda: _full("&amp;", "<p>"),
    "numeric references": lambda: _full("&#x1F600;", "<p>"),
    "broken references": lambda: _full("&#99999999999;&", "<p>"),
    "an entity without an end": lambda: _full("a", "<p>&"),
    "an entity bomb": _entity_bomb,
    "a paragraph of megabytes": lambda: _full("word ", "<p>"),
    "white space": lambda: _full(" \n", "<p>x", "y"),
    "a huge colspan": lambda: b'<table><tr><td colspan="999999999" rowspan="999999999">x</td></tr></table>',
    "a wide row": lambda: b"<table><tr>" + b"<td>x" * 49_000,
    "many tables": lambda: b"<table><tr><td>x</td></tr></table>" * 12_000,
    "tables in tables": lambda: b"<table><tr><th>h<td>" * 45 + b"<i>x</i>" * 49_000,
    "wrapped tables": lambda: b"<table><div>" * 70 + b"<i>x</i>" * 49_000,
    "inline tags around a late block": lambda: b"<b>" * 140 + b"<i>x</i>" * 49_000 + b"<div>x</div>",
    "terms around a late list": lambda: b"<dl><dt><div>" * 45 + b"<i>x</i>" * 49_000 + b"<ul><li>x",
    "options": lambda: b"<select>" + b"<option>x" * 49_000,
    "a list of 100,000 items": lambda: b"<ul>" + b"<li>x</li>" * 100_000,
    "a fake code list in HTML": lambda: _numbered("<tr><td>{:05d}<td>x", 200_000, "<table>"),
    "NULs in markup": lambda: b"<p>x\x00</p>" * 20_000,
}
# Text: long lines, many lines, and what our own patterns might trip over
TEXT: dict[str, Callable[[], bytes]] = {
    "one line": lambda: _full("word "),
    "line ends": lambda: _full("\n"),
    "carriage returns": lambda: _full("\r\n\r"),
    "short lines": lambda: _full("x\n"),
    "bars": lambda: _full("|"),
    "bars and letters": lambda: _full("a|"),
    "lines of bars": lambda: _full("|\n"),
    "cells on lines of their own": lambda: _full("a\n|\n"),
    "a fake code list of a million rows": lambda: _numbered("{:05d}\n", 800_000),
    "a fake code list in bars": lambda: _numbered("| {:05d} | x |\n", 300_000, _CODING + "| Code | x |\n|---|---|\n"),
    "many histories": lambda: (_PAIRS + "Date | Action | Notes |\n---|---|---|\n" * 9_000).encode(),
    "many headers of code tables": lambda: (_CODING + "Modifier | Description |\n---|---|\n" * 9_000).encode(),
    "many labels": lambda: (_PAIRS + "MUE\n" * 19_000).encode(),
    "many facts": lambda: ("Summary & Overview\nBilling Code Overview\n" + "Service type:\nx\n" * 9_500).encode(),
    "many gates": lambda: b"Create a free account to unlock this content\n" * 19_000,
    "100,000 items": lambda: b"- x\n" * 100_000,
    "NULs": lambda: b"\x00" * MAX_BYTES,
    "broken UTF-8": lambda: b"\xff\xfe\xfd\x80" * 1_000_000,
    "surrogates in UTF-8": lambda: b"\xed\xa0\x80 " * 1_000_000,
    "UTF-16 of an odd length": lambda: "Synthetic \U0001f600\n".encode("utf-16") * 100_000 + b"\x00",
    "a charset that is none": lambda: b'<meta charset="punycode">' + b"a\xff" * 2_000_000,
    "combining marks": lambda: _full("e\u0301\u0316", size=MAX_BYTES // 2),
    "invisible characters": lambda: _full("\u200b", size=MAX_BYTES // 3),
    "bidi controls": lambda: _full("\u202ex", size=MAX_BYTES // 4),
}
# One line each, of any length below the limit of a block: no pattern may take quadratic time on it
TRAPS = {
    "spaces": " {} x",
    "hashes": "# {}x",
    "bars": "{}",
    "words": "word {}",
    "capitals after stops": "A. {}",
    "For": "Code deleted. For {}",
    "use": "Code deleted. For a use {}",
    "see": "Code deleted, see {}",
    "copyright": "© Copyright {}",
    "CPT": "CPT {}",
    "described by": "described by {}",
    "bold": "**{}",
    "link": "[{}",
    "counter": "{} code page views",
    "label": "Status Code {}",
    "fact": "Service type: {}",
    "sentinel": "Data not available in the input {}",
    "payers": "payers {}",
    "date": "2023-01-01 Added {}",
    "wall": "enable javascript {}",
    "name": "Common Name {}",
    "capitals": "Cost {}",
    "heading": "Summary{}",
    "code line": "CPT4 code {}",
    "footer": "(c) copyright {}",
}
TRAP_UNITS = (
    *(
        "a",
        "0",
        "-",
        "- ",
        ":-",
        "--- ",
        "|",
        "-|",
        "| ",
        ": ",
        ":",
        "#",
        "*",
        "* ",
        "**",
        "__",
        "_",
        "[",
        "](",
        "'",
        '"',
    ),
    *(
        ". ",
        "A. ",
        ", ",
        ",",
        "(",
        "(c) ",
        "use ",
        "For ",
        "see ",
        "99213 ",
        "0748T-",
        "9 ",
        "CPT ",
        "CPT® code ",
        "code ",
    ),
    *(
        "Service type: ",
        "Aetna ",
        "Blue Cross ",
        "Cost ",
        "of ",
        "not available ",
        "cookies ",
        "©",
        "\u2011",
        "\u00a0",
        "é",
    ),
)


def trap(line: str, size: int) -> str:
    """The line with each unit in its place, as often as ``size`` characters allow: one line for each unit."""
    return "\n".join(line.format(unit * (size // len(unit))) for unit in TRAP_UNITS)


PAGES = MARKUP | TEXT


def peak_memory() -> int:
    """Bytes that this program has held at most. Not ru_maxrss on Linux: it keeps what its starter held."""
    status = Path("/proc/self/status")
    if status.exists():
        told = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(told.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main(name: str) -> None:
    payload = PAGES[name]()
    begun = time.process_time()
    result = parse(payload, OPENPAYER if payload.startswith(b"Summary & Overview") else URL)
    seconds = time.process_time() - begun
    peak = peak_memory()
    accounted = result.claimed + result.set_aside + len(result.unmapped) == result.blocks
    shown = {"outcome": result.outcome, "reason": result.reason, "seconds": seconds, "peak": peak}
    print(json.dumps(shown | {"accounted": accounted, "records": len(result.records), "bytes": len(payload)}))


if __name__ == "__main__":
    main(sys.argv[1])
