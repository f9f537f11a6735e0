"""What goes wrong with alerts: the outbox, and the secrets of channels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flows.errors import CptflowError

if TYPE_CHECKING:
    from flows.alerts.message import Message


class OutboxError(CptflowError):
    """The outbox cannot be used. ``file`` is its path, ``found`` what is wrong with it."""

    def __init__(self, file: Path, found: str, advice: str) -> None:
        self.file, self.found = str(file), found
        super().__init__(f"The outbox of alerts {file} cannot be used: {found}. {advice}")


class OutboxDamaged(OutboxError):
    """It is no database, or not what was written to it."""

    def __init__(self, file: Path, found: str) -> None:
        advice = (
            "Snapshots are published all the same. Take the file from a backup: what it has not heard of is told then, "
            "and what was sent since is repeated with the same ids. Without a backup, remove it (of a home at an "
            "address there: this file is a copy): a new one is begun. What is lost then is what was not sent yet, the "
            "list of dead deliveries, and which conditions are open; `cptflow changes` still tells what changed."
        )
        super().__init__(file, found, advice)


class OutboxTooNew(OutboxError):
    """A newer cptflow wrote it."""

    def __init__(self, file: Path, version: int, known: int) -> None:
        self.version, self.known = version, known
        found = f"it has form {version}, and this cptflow knows forms up to {known}"
        super().__init__(file, found, "Install the newer cptflow that wrote it. Nothing in it was changed.")


class NotPlanned(CptflowError):
    """Snapshots that cannot be read are not planned; they are when they can. ``made``: the messages that were made all
    the same."""

    def __init__(self, errors: Sequence[Exception], behind: int, made: Sequence[Message]) -> None:
        self.errors, self.behind, self.made = tuple(errors), behind, tuple(made)
        found = " ".join(str(error) or type(error).__name__ for error in errors)
        waits = f" {behind} behind it {'waits' if behind == 1 else 'wait'} for it." if behind else ""
        super().__init__(f"What changed could not be planned: {found}{waits} What was planned before is told.")


class SecretMissing(CptflowError):
    """A channel's address or key cannot be had. ``reference``: where the settings say that it is. Never its value."""

    def __init__(self, channel: str, what: str, reference: str, found: str, advice: str) -> None:
        self.channel, self.what, self.reference = channel, what, reference
        super().__init__(f"Channel {channel}: its {what} ({reference}) {found}. {advice}")
