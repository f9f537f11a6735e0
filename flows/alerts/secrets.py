"""Addresses and keys of channels: had from where the settings say, and kept out of all words."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus, unquote

from flows.alert_settings import ChannelSettings
from flows.alerts.errors import SecretMissing

HIDDEN = "***"
# Ex: what lies between these in https://user:token@host/hooks/token?key=token
_BETWEEN = re.compile(r"[\s/:?&=@#;,+]+")
_SECRET_LENGTH = 6
"""A part of an address that is shorter is a word, not a secret."""


def resolve(reference: str, channel: str = "?", what: str = "url") -> str:
    """The value behind ``env:NAME`` or ``block:NAME``. ``channel`` and ``what`` (url, key) are for the error.

    Raises SecretMissing, which names the reference and never a value.
    """
    kind, _, name = reference.partition(":")
    value = _of_block(reference, channel, what) if kind == "block" else os.environ.get(name, "")
    if not value.strip():
        found = "is empty" if kind == "block" or name in os.environ else "is not set"
        advice = f"Set the variable {name} where cptflow runs" if kind == "env" else f"Fill the Prefect block {name}"
        raise SecretMissing(channel, what, reference, found, f"{advice}; what waits for this channel is kept.")
    return value.strip()


def missing(name: str, channel: ChannelSettings) -> list[str]:
    """In words, what of a channel's secrets is not set. Blocks are not asked for: that takes a server."""
    found = []
    for what, reference in (("url", channel.url), ("key", channel.key)):
        if reference and reference.startswith("env:"):
            try:
                resolve(reference, name, what)
            except SecretMissing as error:
                found.append(str(error))
    return found


def variables(channels: Iterable[ChannelSettings]) -> set[str]:
    """Names of the environment variables that hold secrets of channels."""
    references = [reference for channel in channels for reference in (channel.url, channel.key) if reference]
    return {reference.removeprefix("env:") for reference in references if reference.startswith("env:")}


def redacted(text: str, secrets: Iterable[str]) -> str:
    """``text`` without secrets, their parts as addresses have them, and both as they stand in addresses and base64."""
    words = {form for secret in secrets if secret for part in _parts(secret) for form in _forms(part)}
    for word in sorted(words, key=len, reverse=True):
        text = text.replace(word, HIDDEN)
    return text


def _parts(secret: str) -> set[str]:
    parts = {part for part in _BETWEEN.split(secret) if len(part) >= _SECRET_LENGTH}
    return {secret, *parts}


def _forms(secret: str) -> set[str]:
    encoded = {base64.b64encode(secret.encode()).decode(), base64.urlsafe_b64encode(secret.encode()).decode()}
    return {secret, unquote(secret), quote(secret, safe=""), quote(secret), quote_plus(secret), *encoded}


def _of_block(reference: str, channel: str, what: str) -> str:
    from prefect.settings import get_current_settings

    name = reference.removeprefix("block:")
    if not get_current_settings().api.url:  # Prefect would start a server of its own, for a quarter of a minute
        advice = "Name the server that has it: set PREFECT_API_URL."
        raise SecretMissing(channel, what, reference, "is on a Prefect server, and none is named", advice)
    from prefect.blocks.system import Secret

    try:
        return str(Secret.load(name).get())  # type: ignore[union-attr]
    except Exception as error:  # whatever the client raises; its words may hold the value
        found = f"cannot be had from the Prefect server ({type(error).__name__})"
        advice = f"See that the server answers and has a Secret block named {name}."
        raise SecretMissing(channel, what, reference, found, advice) from None
