"""What manifests and containers say of a page, checked. What is None was not given.

A wrong value raises ValueError, which says what was expected and what is there.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

from raw.pages import is_url, shown

# Ex: W/"5f-1"
_VALIDATOR = re.compile(r"[!-~](?:[ -~]{0,998}[!-~])?")
# Ex: application/xhtml+xml
_MEDIA_TYPE = re.compile(r"\s*([A-Za-z0-9_.+-]{1,100}/[A-Za-z0-9_.+-]{1,100})\s*(?:;|$)")


def url(value: object, name: str = "url") -> str | None:
    if value is None or (isinstance(value, str) and is_url(value)):
        return value
    raise ValueError(f"{name!r} must be an absolute URL without spaces, and is {brief(value)}")


def fetched_at(value: object) -> datetime | None:
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value if isinstance(value, str) else "")
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"'fetched_at' must be an ISO 8601 date and time, and is {brief(value)}") from None


def status(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and 100 <= value <= 999:
        return value
    raise ValueError(f"'status' must be an HTTP status such as 200, and is {brief(value)}")


def code(value: object) -> str | None:
    if value is None or (isinstance(value, str) and 0 < len(value) <= 32 and value.isprintable()):
        return value
    raise ValueError(f"'code' must be a short text such as \"00100\", and is {brief(value)}")


def validator(value: object, name: str) -> str | None:
    """An ETag or a Last-Modified, as a conditional request sends it back."""
    if value is None or value == "":
        return None
    if isinstance(value, str) and _VALIDATOR.fullmatch(value):
        return value
    raise ValueError(f"{name!r} must be an HTTP header's value, as the server gave it, and is {brief(value)}")


def media_type(value: object) -> str | None:
    """Ex: Text/HTML; charset=utf-8"""
    if value is None or value == "":
        return None
    if isinstance(value, str) and (found := _MEDIA_TYPE.match(value)):
        return found[1].lower()
    raise ValueError(f"'media_type' must be one such as text/html, and is {brief(value)}")


def body_kind(html: object, text: object) -> str:
    """Which of the two is the page: an empty ``html`` beside a ``text`` is none."""
    return "text" if html is None or (html in ("", b"") and text is not None) else "html"


def brief(value: object) -> str:
    kinds = {type(None): "not given", list: "a list", dict: "an object"}
    return kinds.get(type(value)) or shown(repr(value)[:80])


def reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at column {error.colno}"
    return str(error) if isinstance(error, ValueError) else "nested too deeply"
