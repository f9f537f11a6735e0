"""The feed of alerts, ``<home>/alerts/feed.xml``: Atom (RFC 4287), an entry a message, with the message's HTML."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flows.alerts.message import Message
from warehouse import snapshots
from warehouse.files import replace_file

if TYPE_CHECKING:
    from feedgen.feed import FeedGenerator

FILE = "alerts/feed.xml"
MAX_ENTRIES = 100
"""the newest so many messages; readers keep what they have seen"""

_OURS = uuid.UUID("5f0f9c3e-6a0e-5d0a-9f5e-0a8a3c1d7b42")
_NOTHING_YET = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def write_feed(home: Path, messages: Sequence[Message]) -> None:
    """Put the newest of ``messages`` into the feed, in one step. The same messages give the same bytes, and a feed that
    has them is left as it is."""
    data = _atom(_name_of(home), messages)
    path = home / FILE
    if not path.is_file() or path.read_bytes() != data:
        replace_file(path, data)


def _atom(name: str, messages: Sequence[Message]) -> bytes:
    """There is no link to the feed itself: nobody knows at what address, if at any, it is read."""
    from feedgen.feed import FeedGenerator  # a fifth of a second, for who writes a feed

    newest = sorted(messages, key=lambda message: (message.made_at, message.message_id), reverse=True)[:MAX_ENTRIES]
    feed = FeedGenerator()
    feed.id(_urn(name))
    feed.title("cptflow: changes of codes")
    feed.subtitle("New, deleted and changed codes, as the pages of the sources tell them")
    feed.author({"name": "cptflow"})
    feed.generator("cptflow")
    feed.language("en")
    feed.updated(newest[0].made_at if newest else _NOTHING_YET)
    for message in newest:
        _add(feed, message)
    data: bytes = feed.atom_str(pretty=True)
    return data


def _add(feed: FeedGenerator, message: Message) -> None:
    from flows.alerts.render import as_html_fragment
    from flows.alerts.telling import telling

    entry = feed.add_entry(order="append")
    entry.id(_urn(message.message_id))
    entry.title(telling(message).title)
    entry.updated(message.made_at)
    entry.published(message.made_at)
    entry.content(as_html_fragment(message), type="html")
    for term in sorted({item.change_type for item in message.items} | {one.kind for one in message.conditions}):
        entry.category({"term": term})


def _urn(name: str) -> str:
    return uuid.uuid5(_OURS, name).urn


def _name_of(home: Path) -> str:
    """What the home's feed is known by, wherever the home is moved: its first snapshot."""
    try:
        return str(next((m["snapshot_id"] for m in snapshots.lineage(home)), "feed"))
    except snapshots.SnapshotError:
        return "feed"
