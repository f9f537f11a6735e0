"""Text of pages made harmless (law 10): one line of what a reader sees, marks of Markdown as text, links to the web."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote, urlsplit

from flows.terminal import plain

# Control characters, format characters (direction, zero width, tags), halves of characters, breaks of lines.
_UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_NO_CHARACTERS = "\ufffe\uffff"  # XML cannot hold them

# Markdown would do with a backslash. Slack knows entities alone, and of "\<!here>" Apprise makes a mention for it.
# Ex: "<!channel>", "<b>", "&lt;!here&gt;", "@here"
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;"}
# Ex: "*x*", "`x`", "~~x~~", "[x](y)", "| x |", "# x"; ":boom:"; what becomes a link unasked: "https://x.example",
# "www.x.example"
_MARKS = re.compile(r"[&<>@\\`*_~\[\]|#]|:(?=//)|:(?=[\w+-]+:)|(?<=\bwww)\.", re.IGNORECASE)
# Ex: "- item", "+ item", "====", "1. item", "2) item"
_AT_START = re.compile(r"^(|\d+(?=[.)]))([-+=.)])")

MAX_ADDRESS = 2000
# Beside letters and digits. Nothing that ends a link in Markdown, in HTML or at Slack, and no mark of Markdown.
_IN_ADDRESS = "/:?#=&%;,.+-$"
_ENCODED = {"_": "%5F", "~": "%7E"}  # which `quote` leaves


def clean(value: object) -> str:
    """One line of what a reader sees: no control, direction or zero-width characters, single spaces."""
    seen = (" " if letter > "~" and _is_unseen(letter) else letter for letter in plain(value))
    return " ".join("".join(seen).split())


def _is_unseen(letter: str) -> bool:
    return letter in _NO_CHARACTERS or unicodedata.category(letter) in _UNSEEN


def markdown(value: object) -> str:
    """`clean`, and whatever Markdown, Slack, Teams or Discord would act upon is text."""
    text = _MARKS.sub(lambda found: _ENTITIES.get(found[0], "\\" + found[0]), clean(value))
    return _AT_START.sub(r"\1\\\2", text)


def identifier(value: object) -> str:
    """What can stand between backticks: an id, a command; without backticks and what Slack would act upon."""
    return re.sub(r"[`<>&@]", "", clean(value))


def address(url: str | None) -> str | None:
    """``url`` as the target of a link in any format; None where it is not http or https, or leads elsewhere than it
    seems to (a user name in front of the host)."""
    text = clean(url)
    if not text or text != url or len(text) > MAX_ADDRESS or " " in text or "\\" in text:
        return None
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not host or "@" in parts.netloc:
        return None
    encoded = quote(text, safe=_IN_ADDRESS)
    return "".join(_ENCODED.get(letter, letter) for letter in encoded)
