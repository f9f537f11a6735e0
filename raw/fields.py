"""What manifests and containers say of a page, checked. What is None was not given.

A wrong value raises ValueError, which says what was expected and what is there.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

from raw.pages import is_url, shown


def url(value: object) -> str | None:
    if value is None or (isinstance(value, str) and is_url(value)):
        return value
    raise ValueError(f"'url' must be an absolute URL without spaces, and is {brief(value)}")


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


def brief(value: object) -> str:
    kinds = {type(None): "not given", list: "a list", dict: "an object"}
    return kinds.get(type(value)) or shown(repr(value)[:80])


def reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at column {error.colno}"
    return str(error) if isinstance(error, ValueError) else "nested too deeply"
