"""Walls: the words of pages that a server, a bot check or a login puts in place of the content."""

from __future__ import annotations

import re

from parsers.page import Page
from parsers.words import fold

_LINE_CHARACTERS = 300  # at most: what a wall says, it says in one line


def _any_of(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns))


# Beginnings of lines and titles of pages that a server, a proxy or a bot check puts in place of the content.
_BLOCKS = _any_of(
    r"just a moment\b",
    r"checking (?:your browser|if the site connection is secure)\b",
    r"verify(?:ing)? (?:that )?you are (?:a )?human\b",
    r"(?:please )?enable (?:javascript|cookies)\b.*(?:continue|cookies)",
    r"attention required\b",
    r"access (?:to this page has been )?denied\b",
    r"you have been blocked\b|sorry, you have been blocked\b",
    r"are you a robot\b|please complete the (?:security check|captcha)\b",
    r"too many requests\b|rate limit exceeded\b",
    r"(?:error )?(?:40[0-9]|429|50[0-9])"
    r"(?:\s*[-:|]?\s*(?:error|forbidden|not found|bad gateway|service|internal|gateway|page)\b|$)",
    r"(?:internal server error|bad gateway|service (?:temporarily )?unavailable|gateway time-?out)\b",
    r"(?:page|404) not found\b",
    r"(?:sorry, )?(?:the|this) page (?:you .{1,40} )?(?:cannot|could not|can't|was not|couldn't) be found\b",
    r"(?:(?:the |this |our )?site(?: is)?|we are) (?:down|under|undergoing) (?:for )?(?:scheduled )?maintenance\b",
)
# Ex: "Log in to continue", "Create a free account to unlock this content", "Subscribe to read more"
_GATES = _any_of(
    r"(?:please )?(?:log|sign) ?in to (?:continue|view|read|access|see|unlock)\b",
    r"create an? (?:free )?account to (?:unlock|view|read|continue|access|see)\b",
    r"register to (?:view|unlock|continue|read|access|see)\b",
    r"subscribe to (?:continue|view|read|access|unlock)\b",
    r"(?:this content is|content) (?:for|reserved for|available to|only for) (?:members|subscribers|registered)\b",
)


def blocked_by(page: Page) -> str | None:
    """The line by which a bot check or an error page shows itself, or None."""
    return _first(_BLOCKS, page)


def gated_by(page: Page) -> str | None:
    """The line by which a login or pay wall shows itself, or None."""
    return _first(_GATES, page)


def is_gate(text: str) -> bool:
    """Whether a block or cell asks for a login or an account."""
    return len(text) <= _LINE_CHARACTERS and _GATES.match(fold(text)) is not None


def _first(pattern: re.Pattern[str], page: Page) -> str | None:
    """The first title, block or cell that is one line long and begins with ``pattern``, as the page wrote it."""
    texts = [page.title, *(part for block in page.blocks for part in block.parts)]
    return next((text[:100] for text in texts if len(text) <= _LINE_CHARACTERS and pattern.match(fold(text))), None)
