"""What `cptflow doctor` looks at. Nothing is changed."""

from __future__ import annotations

import os
import platform
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import parsers
from flows import settings as known_settings
from flows.alerts.errors import OutboxError
from flows.alerts.outbox import existing_outbox
from flows.alerts.secrets import missing
from flows.alerts.shown import without_rule
from flows.errors import CptflowError
from flows.home import Address, folder_of, reading
from flows.lock import is_held, read_holder
from flows.report import LIBRARIES
from flows.settings import Settings
from raw.addresses import without_secrets
from warehouse import snapshots

# Releases with which the Prefect that we use does not work. Ex: fastapi 0.151: its import fails.
TOO_NEW = {"fastapi": (0, 151), "sqlalchemy": (2, 1)}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. ``mend``: what to do, where it is not good."""

    what: str
    found: str
    good: bool = True
    mend: str = ""


def examine(settings: Settings) -> list[Finding]:
    """All findings, in the order in which they are best mended."""
    findings = [*_settings(settings), *_libraries(), *_prefect(), *_channels(settings)]
    if isinstance(settings.home, Address):
        findings += _address(settings.home)
    else:
        findings.append(_home(settings.home))
    folder = folder_of(settings.home)
    if folder.is_dir():
        findings += [_lock(folder), *_snapshot(folder), *_history(folder), _leftovers(folder)]
        findings += _outbox(folder, settings)
    return findings


def _address(home: Address) -> Iterator[Finding]:
    """The store, who writes there, and the working copy, which is brought up to date for what follows."""
    from flows.remote.lease import holder_now
    from flows.remote.store import StoreUnfit, open_store

    try:
        store = open_store(home)
        yield Finding("home", f"{home} can be read; its working copy is {home.copy}, to which the next lines refer")
        try:
            store.check_conditions()
            yield Finding("store", "refuses to overwrite when it is asked to, as a home needs")
        except StoreUnfit as error:
            yield Finding("store", error.found, False, "write the home on another store; reading this one works")
        holder = holder_now(store)
        told = "held by run {run_id}, process {pid} on {host}, until {until}".format_map(_Unknown(holder or {}))
        yield Finding("lease", told if holder else "free")
        reading(home)
    except CptflowError as error:
        yield Finding("home", str(error), False, "mend that first; the lines on the working copy may be out of date")


def _settings(settings: Settings) -> Iterator[Finding]:
    file = known_settings.config_file()
    values = _without_secrets(
        ", ".join(f"{name} = {value}" for name, value in settings.model_dump(mode="json").items())
    )
    yield Finding("settings", f"{values} (file: {file or 'none'})")
    if unknown := known_settings.unknown_variables():
        known = ", ".join(f"{known_settings.PREFIX}{name.upper()}" for name in Settings.model_fields)
        yield Finding(
            "variables", f"{', '.join(unknown)} set nothing", False, f"correct or remove them; known are {known}"
        )


def _without_secrets(text: str) -> str:
    """Addresses in ``text`` without user, password and query. Ex: 'sitemap': 'https://user:password@host/sitemap.xml'"""
    for address in re.findall(r"[a-z][a-z0-9+.-]*://[^\s'\"]+", text):
        text = text.replace(address, without_secrets(address, address))
    return text


def _libraries() -> Iterator[Finding]:
    found = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    yield Finding("versions", f"Python {platform.python_version()}, {found}")
    for name, limit in TOO_NEW.items():
        installed = version(name)
        if tuple(int(part) for part in installed.split(".")[:2]) >= limit:
            below = ".".join(map(str, limit))
            yield Finding(name, installed, False, f"Prefect's server fails with it: pip install '{name}<{below}'")


def _prefect() -> Iterator[Finding]:
    """What Prefect would read from the environment. `cptflow serve` sets all of this itself."""
    address = os.environ.get("PREFECT_API_URL")
    telemetry = os.environ.get("PREFECT_SERVER_ANALYTICS_ENABLED", "true").lower() in ("0", "false", "no", "off")
    yield Finding(
        "prefect",
        f"API {address or 'none set'}; telemetry {'off' if telemetry else 'on'} for a server of your own, "
        "always off for `cptflow serve`",
    )


def _home(home: Path) -> Finding:
    if not home.exists():
        return Finding("home", f"{home} is not there yet; the first run makes it")
    try:
        with tempfile.TemporaryFile(dir=home):
            pass
    except OSError as error:
        return Finding("home", f"{home} cannot be written: {error.strerror}", False, "give the user the right to write")
    return Finding("home", f"{home} can be written")


def _lock(home: Path) -> Finding:
    try:
        held = is_held(home)
    except OSError as error:
        return Finding("lock", f"{error.filename} cannot be read: {error.strerror}", False, "give the user that right")
    if not held:
        return Finding("lock", "free")
    holder = read_holder(home) or {}
    return Finding("lock", "held by run {run_id}, process {pid} on {host}".format_map(_Unknown(holder)))


def _snapshot(home: Path) -> Iterator[Finding]:
    snapshot_id = None
    try:
        snapshot_id = snapshots.current_id(home)
        problems = snapshots.verify(home, snapshot_id) if snapshot_id else []
    except (snapshots.SnapshotError, OSError) as error:
        problems = [str(error)]
    if snapshot_id is None and not problems:
        yield Finding("snapshot", "none published yet")
        return
    mend = "take its folder back from a backup (the list of changes is in it; it cannot be made again)"
    found = "; ".join(problems) or "every file is as it was written"
    yield Finding(
        "snapshot", f"{snapshot_id}: {found}" if snapshot_id else found, not problems, mend if problems else ""
    )


def _history(home: Path) -> Iterator[Finding]:
    """Manifests only; `cptflow snapshots verify` reads all files."""
    try:
        damaged = snapshots.damaged_history(home)
        current = snapshots.current_id(home)
    except (snapshots.SnapshotError, OSError):
        return  # told with the snapshot
    for snapshot_id, problem in damaged.items():
        if snapshot_id != current:
            mend = "take it back from a backup; until then nothing expires that may stand before it"
            yield Finding("history", f"{snapshot_id}: {problem}", False, mend)


def _leftovers(home: Path) -> Finding:
    """What killed runs left, and results of parser versions that are no longer in use: in nobody's way."""
    unfinished = ("raw/**/*.partial", "parsed/**/.*.tmp", "warehouse/snapshots/.staging-*", "warehouse/.current-*")
    patterns = (*unfinished, "warehouse/snapshots/.expired-*", "parsed/.expired-*")
    left = sum(1 for pattern in patterns for _ in home.glob(pattern))
    retired = sorted({path.name for path in (home / "parsed").glob("[!.]*@*")} - set(parsers.live()))
    found = f"{left} unfinished files of killed runs (the next run sweeps or ignores them)"
    if retired:
        found += f"; results of retired parsers, which `cptflow snapshots expire` removes in time: {', '.join(retired)}"
    return Finding("leftovers", found)


def _channels(settings: Settings) -> Iterator[Finding]:
    """Whether what channels need is set; never what it is."""
    if not settings.channels:
        yield Finding("channels", "none: alerts stand in the feed only (docs/alerts.md tells how to set one)")
        return
    wrong = [told for name, channel in settings.channels.items() for told in missing(name, channel)]
    for told in wrong:
        yield Finding("channels", told.partition(". ")[0], False, "set it where cptflow runs; what waits is kept")
    if not wrong:
        named = ", ".join(f"{name} ({channel.kind})" for name, channel in settings.channels.items())
        yield Finding("channels", f"{named}; `cptflow alerts test` sends to them")


def _outbox(home: Path, settings: Settings) -> Iterator[Finding]:
    try:
        with existing_outbox(home) as outbox:
            if outbox is None:
                yield Finding("alerts", "no outbox yet; the first run begins it")
                return
            outbox.check()
            dead, waiting = outbox.deliveries(state="dead"), outbox.deliveries(state="waiting")
            oldest = outbox.message(waiting[0].message_id) if waiting else None
            wrong = sorted(outbox.conditions().keys() - outbox.acked_conditions())
            stranded = without_rule(outbox, settings.rules)
    except OutboxError as error:
        yield Finding("alerts", f"the outbox: {error.found}", False, str(error).partition(". ")[2])
        return
    since = f", the oldest since {oldest.made_at:%Y-%m-%d %H:%M} UTC" if oldest else ""
    yield Finding("alerts", f"{len(waiting)} deliveries wait{since}")
    if dead:
        channels = ", ".join(sorted({delivery.channel for delivery in dead}))
        mend = "cptflow alerts list --state dead tells why; then cptflow alerts retry, or ack"
        yield Finding("alerts", f"{len(dead)} deliveries were given up, to {channels}", False, mend)
    if stranded:
        told = f"what {', '.join(stranded)} picked waits: the settings have no such rule"
        yield Finding("alerts", told, False, "name the rule again in [rules] of the settings")
    if wrong:
        yield Finding("conditions", f"open: {', '.join(wrong)}; `cptflow alerts list` tells more of each")


class _Unknown(dict[str, object]):
    def __missing__(self, key: str) -> str:
        return f"unknown {key}"
