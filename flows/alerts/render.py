"""A message as people and programs get it: plain text, Markdown and HTML from one set of templates, and JSON.

Words of pages are only ever text (law 10): each format escapes whatever its templates are given.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from markupsafe import Markup

from flows.alerts.escaping import clean, identifier, markdown
from flows.alerts.message import Message
from flows.alerts.telling import Telling, condition_id, link, telling

if TYPE_CHECKING:
    from jinja2 import Environment

PAYLOAD_VERSION = 1
"""of the JSON that webhooks get (docs/alerts.md)"""

Format = Literal["text", "markdown", "html", "chat"]
_ESCAPES: dict[Format, Callable[[object], str]] = {"text": clean, "markdown": markdown}


@dataclass(frozen=True, slots=True)
class Rendered:
    """``title``: one line, short enough for the subject of a mail. ``html``: a whole document.
    ``chat``: HTML of few tags, from which Apprise makes what each chat calls Markdown."""

    title: str
    text: str
    markdown: str
    html: str
    chat: str


def render(message: Message) -> Rendered:
    """The message in all formats. The same message gives the same words, whenever it is sent."""
    told = telling(message)
    text, marked, html, chat = (_render(told, form) for form in get_args(Format))
    return Rendered(told.title, text, marked, html, chat)


def as_html_fragment(message: Message) -> str:
    """The HTML to put into another document, as a feed does."""
    return _render(telling(message), "html", is_whole=False)


def payload(message: Message) -> dict[str, Any]:
    """What a webhook gets: docs/alert-webhook.schema.json describes it. Words of pages are as the pages have them."""
    told = {
        "version": PAYLOAD_VERSION,
        "type": "changes" if message.audience == "users" else "conditions",
        "message_id": message.message_id,
        "rule": message.rule,
        "title": telling(message).title,
        "made_at": message.made_at,
        "as_of": message.as_of,
        "snapshot_ids": message.snapshot_ids,
        "items": [asdict(item) for item in message.items],
        "conditions": [{"event_id": condition_id(one)} | asdict(one) for one in message.conditions],
        "more": message.more or {},
        "more_at": message.more_at,
    }
    return {name: _for_json(value) for name, value in told.items()}


def _for_json(value: Any) -> Any:  # noqa: ANN401 - whatever a message holds
    """Times in UTC with a Z; halves of characters, which nobody can send, as question marks."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, dict):
        return {name: _for_json(one) for name, one in value.items()}
    return [_for_json(one) for one in value] if isinstance(value, list | tuple) else value


def _render(told: Telling, form: Format, *, is_whole: bool = True) -> str:
    made = _environment(form).get_template("message.j2").render(told=told, form=form, is_whole=is_whole)
    return re.sub(r"\n{3,}", "\n\n", made).strip() + "\n"  # no line of a page: those are one line each


@cache
def _environment(form: Format) -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # a tenth of a second, for who tells something

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,  # of HTML; what `finalize` marks as escaped stays as it is
        undefined=StrictUndefined,
        finalize=partial(_escaped, escape=_ESCAPES.get(form)),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["identifier"] = lambda value: (
        Markup(identifier(value)) if form == "markdown" else identifier(value)
    )
    environment.filters["link"] = link
    environment.filters["target"] = Markup
    return environment


def _escaped(value: object, escape: Callable[[object], str] | None) -> object:
    """What a template puts into a message: without unseen characters, and escaped for its format."""
    if isinstance(value, Markup):
        return value
    return clean(value) if escape is None else Markup(escape(value))
