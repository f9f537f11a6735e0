"""Object stores on loopback, and what a run would leave in a home, without running one."""

import itertools
import json
import shutil
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import fsspec
import pytest
from werkzeug.serving import make_server

from flows.home import Address
from flows.remote.lease import POINTER
from flows.remote.pull import place_of
from flows.remote.store import Conflict, Found, Listed, Store
from warehouse.snapshots import sha256


@contextmanager
def s3_server(*, conditions=True):
    """moto's S3, its address. One request at a time, as a store that honours conditions works for each object.

    ``conditions``: False for a store that takes no notice of If-Match and If-None-Match.
    """
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

    alone, inner = threading.Lock(), DomainDispatcherApplication(create_backend_app)

    def app(environ, start):
        if not conditions:
            environ.pop("HTTP_IF_MATCH", None)
            environ.pop("HTTP_IF_NONE_MATCH", None)
        with alone:
            return list(inner(environ, start))

    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def use(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    names = {"ACCESS_KEY_ID": "synthetic", "SECRET_ACCESS_KEY": "synthetic", "DEFAULT_REGION": "us-east-1"}
    for name, value in {**names, "ENDPOINT_URL": endpoint}.items():
        monkeypatch.setenv(f"AWS_{name}", value)


def driver() -> fsspec.AbstractFileSystem:
    return fsspec.filesystem("s3", skip_instance_cache=True, use_listings_cache=False)


def new_bucket(name: str) -> str:
    driver().mkdir(name)
    return f"s3://{name}/homes/first"


def become(folder: Path, home: Path) -> None:
    """Let a home hold what another one holds: what a run would have added to it. A snapshot that is there is kept."""

    def left_out(place: str, names: list[str]) -> set[str]:
        theirs = folder / Path(place).relative_to(home)
        return {n for n in names if n in ("current", ".lock") or (theirs.name == "snapshots" and (theirs / n).exists())}

    for part in ("raw", "parsed", "runs", "warehouse"):
        shutil.copytree(home / part, folder / part, dirs_exist_ok=True, ignore=left_out)
    link = folder / "warehouse" / "current"
    link.unlink(missing_ok=True)
    link.symlink_to((home / "warehouse" / "current").readlink())


def objects(address: str) -> dict[str, bytes]:
    """All objects of a home on S3, by name."""
    base = address.removeprefix("s3://")
    found = driver().cat(driver().find(base)) if driver().find(base) else {}
    return {path.removeprefix(f"{base}/"): data for path, data in found.items()}


def machine(address: str, cache: Path) -> Address:
    """The home, from a machine with this cache."""
    return Address.at(address, cache)


def same_machine(address: Address, cache: Path) -> Address:
    """Another machine with the same working copy. Times are kept, by which files are known."""
    other = Address.at(address.given, cache)
    shutil.copytree(address.copy, other.copy, symlinks=True)
    return other


def whole(found: dict[str, bytes]) -> str | None:
    """The snapshot that the pointer names, all of whose files are among these objects and as they were written."""
    pointer = json.loads(found[POINTER])
    snapshot_id = pointer["snapshot_id"]
    if snapshot_id is None:
        return None
    manifest = found[f"warehouse/snapshots/{snapshot_id}/manifest.json"]
    assert sha256(manifest) == pointer["manifest_sha256"]
    for file in json.loads(manifest)["files"].values():
        assert sha256(found[place_of(snapshot_id, file)]) == file["sha256"]
    return str(snapshot_id)


class MemoryStore(Store):
    """A store of this process that honours conditions, to try many things quickly: `homes` holds objects by address."""

    homes: ClassVar[dict[str, dict[str, tuple[bytes, str, dict[str, str]]]]] = {}
    numbers = itertools.count()

    @classmethod
    def open(cls, address: Address) -> "MemoryStore":
        return cls(address, None, address.given)

    def _all(self):
        return {name: Listed(len(data), etag) for name, (data, etag, _) in self._held().items()}

    def read(self, name):
        held = self._held().get(name)
        return None if held is None else Found(held[0], held[1], 0.0)

    def fetch(self, names, targets):
        for name, target in zip(names, targets, strict=True):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(self._held()[name][0])

    def write(self, name, data, expected, metadata=None):
        held = self._held().get(name)
        if (held[1] if held else None) != expected:
            raise Conflict(name)
        self._held()[name] = (data, etag := str(next(self.numbers)), metadata or {})
        return etag

    def create(self, name, file):
        return self.write(name, file.read_bytes(), None)

    def remove(self, names):
        for name in names:
            del self._held()[name]

    def check_conditions(self):
        """It does."""

    def _held(self):
        return self.homes.setdefault(self.base, {})
