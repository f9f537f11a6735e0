"""Send what a run added to the working copy, in an order in which a kill at any moment does no harm.

Pages before the index that names them, parse results before the file that commits them; then a snapshot's tables,
its manifest, the pointer; only then what says that the run is done. Every write is for what the listing of this run
saw: whoever was replaced as the writer meanwhile finds something else there, and writes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.alerts.errors import OutboxError
from flows.remote.copy import Copy
from flows.remote.lease import Lease
from flows.remote.manifests import SNAPSHOTS, snapshot_of
from flows.remote.pull import ALERTS, CRAWLS, CURRENT, SEEN, crawl_record, is_finished, is_record, place_of, warc_run
from flows.remote.store import Conflict, Listed, Store
from warehouse.files import replace_file
from warehouse.snapshots import MANIFEST, SnapshotError, current_id, sha256, snapshots_folder
from warehouse.staging import RESULTS

_AT_ONCE = 8
_REMOVED_AT_ONCE = 500
METADATA = "snapshot-id"  # servers drop headers with underscores


@dataclass(frozen=True, slots=True)
class Push:
    """What a push works with. ``listing``: the objects when this writer began; ``write`` and ``remove`` keep it so."""

    store: Store
    copy: Copy
    lease: Lease
    listing: dict[str, Listed]

    def write(self, name: str, data: bytes, metadata: dict[str, str] | None = None) -> None:
        """Raises LeaseLost where another writer has been there."""
        self.lease.check()
        expected = self.listing.get(name)
        try:
            etag = self.store.write(name, data, expected.etag if expected else None, metadata)
        except Conflict:
            self._not_ours(name, data)
            return
        self.listing[name] = Listed(len(data), etag)

    def create(self, name: str) -> None:
        """Send a file that never changes; one that is there already is the same."""
        file = self.copy.folder / name
        if name not in self.listing:
            self.lease.check()
            with suppress(Conflict):
                self.listing[name] = Listed(file.stat().st_size, self.store.create(name, file))

    def remove(self, names: Iterable[str]) -> None:
        doomed = sorted(set(names) & self.listing.keys())
        for start in range(0, len(doomed), _REMOVED_AT_ONCE):
            some = doomed[start : start + _REMOVED_AT_ONCE]
            self.lease.check()
            self.store.remove(some)
            for name in some:
                del self.listing[name]

    def _not_ours(self, name: str, data: bytes) -> None:
        """Our own write, whose answer was lost on its way, is no conflict."""
        found = self.store.read(name)
        if found is None or found.data != data:
            raise self.lease.lost(f"another writer has changed {name}")
        self.listing[name] = Listed(len(data), found.etag)


def push_pages(push: Push) -> None:
    """What was landed, crawled and parsed. Raises LeaseLost, StoreFailed."""
    indexes = list(push.copy.files("raw/captures"))
    indexed = {Path(name).stem for name in indexes}
    # A WARC file without an index is a killed run's: the next landing sweeps it, or tells of it.
    warcs = [name for name in push.copy.files("raw/warc") if warc_run(name) in indexed]
    parsed = list(push.copy.files("parsed"))
    results = [name for name in parsed if name.split("/")[2] == RESULTS]
    rows = [name for name in parsed if name.split("/")[2] != RESULTS]
    for stage in (warcs, indexes, rows, results):
        _each(push, stage, push.create)
    _push_crawls(push)


def _push_crawls(push: Push) -> None:
    """The record last, since it tells that the rest is there. One that is finished at the store stays as it is."""
    news = [name for name in push.copy.files("raw/crawls") if not push.copy.is_as_known(name)]
    finished = {r for r in map(crawl_record, news) if r in push.listing and is_finished(push.store.read(r))}
    news = [name for name in news if name not in push.listing or crawl_record(name) not in finished]
    records = [name for name in news if name.endswith(".json")]
    whole = [name for name in records if is_record((push.copy.folder / name).read_bytes())]
    for stage in ([name for name in news if name not in records], whole):
        _each(push, stage, lambda name: push.write(name, (push.copy.folder / name).read_bytes()))


def push_reports(push: Push) -> None:
    """What the runs of this machine wrote about themselves. Raises LeaseLost, StoreFailed."""
    _each(push, (name for name in push.copy.files("runs") if name != SEEN), push.create)


def push_warehouse(push: Push) -> None:
    """A new snapshot, the pointer to it, and what follows from it. Raises LeaseLost, StoreFailed, BrokenSnapshot."""
    snapshot_id = current_id(push.copy.folder)
    if snapshot_id is not None and snapshot_id != push.lease.pointer.snapshot_id:
        for new in reversed(list(_not_there(push, snapshot_id))):
            _send_snapshot(push, new)
        manifest = snapshots_folder(push.copy.folder) / snapshot_id / MANIFEST
        push.lease.publish(snapshot_id, sha256(manifest.read_bytes()))
    if push.lease.pointer.copied != push.lease.pointer.snapshot_id:
        _send_current(push)
    beside = [name for name in push.copy.files("warehouse") if not name.startswith(f"{SNAPSHOTS}/")]
    _each(push, beside, lambda name: push.write(name, (push.copy.folder / name).read_bytes()))
    _remove_what_went(push)
    if (push.copy.folder / SEEN).exists():
        _each(push, [SEEN], lambda name: push.write(name, (push.copy.folder / name).read_bytes()))


def begin_alerts(push: Push) -> None:
    """Have an outbox at the store before anything new is published there: else whoever begins one later would take
    that for old. Raises LeaseLost, StoreFailed."""
    from flows.alerts.outbox import FILE, open_outbox

    if FILE not in push.listing:
        with suppress(OutboxError, SnapshotError), open_outbox(push.copy.folder):
            pass
        push_alerts(push)


def push_alerts(push: Push) -> None:
    """The outbox, the feed and the calendar, each as a whole: after the snapshot that they tell of. Raises LeaseLost,
    StoreFailed."""
    _each(push, push.copy.files(ALERTS), lambda name: push.write(name, (push.copy.folder / name).read_bytes()))


def push_alerts_of_known(push: Push) -> None:
    """Before anything else is sent or removed; not where the copy has a snapshot that the store does not point to yet,
    for if it never does, nobody would hear of it. Raises LeaseLost, StoreFailed."""
    if current_id(push.copy.folder) == push.lease.pointer.snapshot_id:
        push_alerts(push)


def _each(push: Push, names: Iterable[str], send: Callable[[str], None]) -> None:
    """Send the files that are not as they were when file and object were last the same."""
    news = [name for name in names if not push.copy.is_as_known(name)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for name, _ in zip(news, pool.map(send, news), strict=True):
            # One that was there already and has another size is not what was written: the next pull fetches it.
            if name in push.listing and push.listing[name].size == (push.copy.folder / name).stat().st_size:
                push.copy.note(name, push.listing[name].etag)
    push.copy.save()


def _not_there(push: Push, snapshot_id: str | None) -> Iterator[str]:
    """The snapshot and those before it that the store does not have yet, newest first."""
    while snapshot_id is not None and (snapshots_folder(push.copy.folder) / snapshot_id).is_dir():
        name = f"{SNAPSHOTS}/{snapshot_id}/{MANIFEST}"
        if name in push.listing and push.copy.is_as_known(name):
            return
        yield snapshot_id
        snapshot_id = _manifest(push.copy, snapshot_id)["parent"]


def _send_snapshot(push: Push, snapshot_id: str) -> None:
    """Its tables, then its manifest. A table that the parent has as well is not sent: the manifest names the snapshot
    that it is stored with."""
    manifest = _manifest(push.copy, snapshot_id)
    parent = manifest["parent"]
    theirs = _manifest(push.copy, parent)["files"] if parent and _is_kept(push.copy, parent) else {}
    folder = snapshots_folder(push.copy.folder) / snapshot_id
    for table, told in manifest["files"].items():
        before = theirs.get(table, {})
        if before.get("sha256") == told["sha256"] and place_of(parent, before) in push.listing:
            told["stored_in"] = before.get("stored_in", parent)
        else:
            told.pop("stored_in", None)
            push.write(place_of(snapshot_id, told), (folder / told["file"]).read_bytes())
    data = json.dumps(manifest, indent=1, ensure_ascii=False).encode()
    replace_file(folder / MANIFEST, data)
    name = f"{SNAPSHOTS}/{snapshot_id}/{MANIFEST}"
    push.write(name, data)
    push.copy.note(name, push.listing[name].etag)


def _send_current(push: Push) -> None:
    """The tables for those who can open one address only. They change one after the other: each tells its snapshot."""
    snapshot_id = str(push.lease.pointer.snapshot_id)
    folder = snapshots_folder(push.copy.folder) / snapshot_id
    files = [told["file"] for told in _manifest(push.copy, snapshot_id)["files"].values()] + [MANIFEST]
    for file in files:
        push.write(f"{CURRENT}/{file}", (folder / file).read_bytes(), {METADATA: snapshot_id})
    push.remove(name for name in [*push.listing] if name.startswith(f"{CURRENT}/") and Path(name).name not in files)
    push.lease.copied()


def _remove_what_went(push: Push) -> None:
    """What was in the copy when the run began, and is not now: `expire` removed it, or a crawl that is finished.

    A table that a kept snapshot refers to stays. Manifests go first: what is left of a removal that was cut off is
    no snapshot then, and the next one that is sent removes it. Reports of runs and pages are never removed.
    """
    removable = ("parsed/", "warehouse/", CRAWLS)
    gone = [name for name in push.copy.known if name.startswith(removable) and not (push.copy.folder / name).exists()]
    kept = [folder.name for folder in snapshots_folder(push.copy.folder).glob("[!.]*")]
    needed = {
        place_of(snapshot_id, told)
        for snapshot_id in kept
        for told in _manifest(push.copy, snapshot_id)["files"].values()
    }
    expired = {file.stem for file in (push.copy.folder / "warehouse" / "expired").glob("*.json")} - {*kept}
    tables = [name for name in push.listing if name.startswith(f"{SNAPSHOTS}/") and name.split("/")[2] in expired]
    doomed = {*gone, *tables} - needed
    push.remove(name for name in doomed if snapshot_of(name))
    push.remove(doomed)
    for name in gone:
        del push.copy.known[name]
    push.copy.save()


def _is_kept(copy: Copy, snapshot_id: str) -> bool:
    return (snapshots_folder(copy.folder) / snapshot_id).is_dir()


def _manifest(copy: Copy, snapshot_id: str) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((snapshots_folder(copy.folder) / snapshot_id / MANIFEST).read_bytes())
    return manifest
