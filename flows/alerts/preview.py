"""What each rule would have sent for the last snapshots: nothing is planned, sent or written."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from flows.alerts.message import Message
from flows.alerts.outbox import Entry
from flows.alerts.plan import message_of, together, would_tell
from flows.alerts.rules import due_at, group_of, matches
from flows.errors import UsageError
from flows.settings import Settings
from warehouse import snapshots


def preview(home: Path, settings: Settings, last: int = 5, rule: str | None = None) -> list[Message]:
    """The messages of all rules, or of one, for the ``last`` snapshots that are kept, by the time when they are due.

    ``home``: a folder. Each snapshot counts as planned when it was published. Raises UsageError for a rule that there
    is not, SnapshotError.
    """
    if rule is not None and rule not in settings.rules:
        raise UsageError(f"There is no rule {rule!r}. There are: {', '.join(settings.rules) or 'none'}.")
    rules = settings.rules if rule is None else {rule: settings.rules[rule]}
    snapshots.require_current(home)
    line = snapshots.lineage(home)
    made = [n for n, m in enumerate(line) if m["parent"] and snapshots.is_kept(home, m["snapshot_id"])]
    if last < 1 or not made:
        return []
    entries = []
    for manifest, items in would_tell(home, line, made[-last:][0], settings):
        published = dt.datetime.fromisoformat(manifest["published_at"])
        for name, settings_of in rules.items():
            due = due_at(settings_of, published)
            chosen = [item for item in items if matches(settings_of, item)]
            entries += [Entry(name, group_of(settings_of, item, due), item, due) for item in chosen]
    manifests = {manifest["snapshot_id"]: manifest for manifest in line}
    messages = [
        message_of(name, rules[name], [one.item for one in of], of[0].due_at, manifests, settings.home)
        for name, of in together(entries)
    ]
    return sorted(messages, key=lambda message: (message.made_at, message.rule, message.message_id))
