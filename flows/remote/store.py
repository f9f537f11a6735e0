"""An object store: reads, and writes each of which says what it expects to find in its place."""

from __future__ import annotations

import datetime as dt
import email.utils
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import fsspec
from fsspec.asyn import sync

from flows.errors import CptflowError, UsageError
from flows.home import Address
from raw.addresses import driver_missing, without_secrets

T = TypeVar("T")

PROBE = ".probe"
_LARGE = 64 << 20  # bytes; larger ones are sent in parts
_CONFLICTS = (HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED)
_LIKE_S3 = (
    "A home is written on a store that can refuse to overwrite (S3's If-None-Match and If-Match), through an s3:// "
    "address, with AWS_ENDPOINT_URL where it is not Amazon's"
)


class Listed(NamedTuple):
    """An object in a listing. ``etag``: changes whenever the object does."""

    size: int
    etag: str


class Found(NamedTuple):
    """An object that was read. ``age``: seconds since it was written, by the store's own clock; None: it told none."""

    data: bytes
    etag: str
    age: float | None


class Conflict(Exception):
    """What is there is not what the write expected; nothing was written."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(name)


def told_of_publication(published: str | None, tried: str | None) -> str:
    """In words. ``tried``: the snapshot that the pointer was to name, where the store's answer may be lost."""
    if published:
        return f"Snapshot {published} is published"
    return f"Snapshot {tried} may have been published" if tried else "Nothing was published"


class StoreFailed(CptflowError):
    """The store did not do what was asked of it. ``error``: the driver's. ``published``: the snapshot that was
    published before that, None where none was."""

    def __init__(self, doing: str, address: str, error: Exception, kept: str = "") -> None:
        self.doing, self.error = doing, error
        self.address = without_secrets(address, address)
        self.published: str | None = None
        self._given = address
        found = without_secrets(str(error).partition("\n")[0][:300] or type(error).__name__, address)
        if isinstance(error, PermissionError):
            self.exit_status, advice = 2, "Give these credentials the right to list, read, write and delete there"
        elif isinstance(error, FileNotFoundError):
            self.exit_status, advice = 2, "See whether the bucket is there and the address is spelt well"
        else:
            self.retry_helps = True
            advice = "See whether the store can be reached (AWS_ENDPOINT_URL, credentials, network), then run again"
        super().__init__(f"{doing} at {self.address}: {found.rstrip('.')}. {advice}.{kept}")

    def telling(self, published: str | None, tried: str | None = None) -> StoreFailed:
        """The same error of a writer, which tells what became of its work."""
        kept = told_of_publication(published, tried)
        told = StoreFailed(self.doing, self._given, self.error, f" {kept}; running again goes on from here.")
        told.published = published
        return told


class StoreUnfit(UsageError):
    """The store cannot keep two writers apart. Trying again does not help."""

    def __init__(self, address: Address, found: str) -> None:
        self.address, self.found = str(address), found
        super().__init__(
            f"The home {address} cannot be written: {found}. Two runs could overwrite each other's snapshots there. "
            f"{_LIKE_S3}; or keep the home on a disk and copy it there. Reading it works: cptflow query, show, changes."
        )


@dataclass(frozen=True, slots=True)
class Store:
    """The objects of a home. Names are relative to it, with slashes. ``base``: its path for the driver."""

    address: Address
    files: fsspec.AbstractFileSystem = field(repr=False)
    base: str

    def list(self) -> dict[str, Listed]:
        """All objects, by name, but for those that are no files: markers of folders, which tools leave, and names that
        would lead out of the home. Raises StoreFailed."""
        return {name: listed for name, listed in self._all().items() if {"", ".", ".."}.isdisjoint(name.split("/"))}

    def _all(self) -> dict[str, Listed]:
        def find() -> dict[str, dict[str, Any]]:
            self.files.invalidate_cache()
            found: dict[str, dict[str, Any]] = self.files.find(self.base, detail=True)
            return found

        found = self._do("Listing the home", find)
        return {path[len(self.base) + 1 :]: Listed(int(info["size"] or 0), _etag(info)) for path, info in found.items()}

    def read(self, name: str) -> Found | None:
        """The object, None where there is none. Raises StoreFailed."""
        return self._do(f"Reading {name}", lambda: self._read(name))

    def fetch(self, names: Sequence[str], targets: Sequence[Path]) -> None:
        """Fetch objects into files, several at a time. Raises StoreFailed."""
        for target in targets:
            target.parent.mkdir(parents=True, exist_ok=True)
        paths = [self._path(name) for name in names]
        doing = f"Fetching {names[0]}" + (f" and {len(names) - 1} others" if len(names) > 1 else "")
        self._do(doing, lambda: self.files.get(paths, [str(target) for target in targets]))

    def write(self, name: str, data: bytes, expected: str | None, metadata: dict[str, str] | None = None) -> str:
        """Write an object where there is none (``expected`` is None), or in place of the one with that etag.

        Returns its etag. Raises Conflict, StoreFailed.
        """
        condition = {"IfNoneMatch": "*"} if expected is None else {"IfMatch": expected}
        bucket, key, _ = self.files.split_path(self._path(name))
        told = {"Metadata": metadata} if metadata else {}
        return str(
            self._do(
                f"Writing {name}",
                lambda: self.files.call_s3("put_object", Bucket=bucket, Key=key, Body=data, **condition, **told),
                name,
            )["ETag"]
        )

    def create(self, name: str, file: Path) -> str:
        """Send a file of any size where there is no object yet. Returns its etag. Raises Conflict, StoreFailed."""
        if file.stat().st_size < _LARGE:
            return self.write(name, file.read_bytes(), None)
        self._do(f"Writing {name}", lambda: self.files.put_file(str(file), self._path(name), mode="create"), name)
        return self._do(f"Looking at {name}", lambda: _etag(self.files.info(self._path(name))))

    def remove(self, names: Sequence[str]) -> None:
        """At most 1000, by these very names: a `*` in one stands for itself. Raises StoreFailed."""
        paths = [self._path(name) for name in names]

        def remove() -> None:
            if self._speaks_s3():
                sync(self.files.loop, self.files._bulk_delete, paths)
            else:
                for path in paths:
                    self.files.rm_file(path)

        self._do(f"Removing {names[0]}", remove)

    def check_conditions(self) -> None:
        """Raise StoreUnfit where the store overwrites what a write said must not be overwritten."""
        if not self._speaks_s3():
            protocol = self.address.given.partition("://")[0]
            raise StoreUnfit(self.address, f"what is behind {protocol}:// is not known to honour conditional writes")
        note = b"Whether this store refuses to overwrite, when it is asked to. Written once by cptflow.\n"
        try:
            self.write(PROBE, note, None)
            self.write(PROBE, note, None)
            raise StoreUnfit(self.address, "it ignores If-None-Match: it overwrites an object that must be new")
        except Conflict:
            pass
        try:
            self.write(PROBE, note, f'"{"0" * 32}"')
            raise StoreUnfit(self.address, "it ignores If-Match: it overwrites an object that has changed meanwhile")
        except Conflict:
            pass

    def _speaks_s3(self) -> bool:
        """Whether the driver passes on the conditions of a write."""
        return hasattr(self.files, "call_s3")

    def _path(self, name: str) -> str:
        return f"{self.base}/{name}"

    def _read(self, name: str) -> Found | None:
        path = self._path(name)
        try:
            if self._speaks_s3():
                bucket, key, _ = self.files.split_path(path)
                found: Found = sync(self.files.loop, _get_object, self.files, bucket, key)
                return found
            return Found(self.files.cat_file(path), _etag(self.files.info(path)), None)
        except FileNotFoundError as error:
            if _code(error) == "NoSuchBucket":
                raise
            return None

    def _do(self, doing: str, call: Callable[[], T], name: str | None = None) -> T:
        """``name``: of the object that is written under a condition."""
        try:
            return request(call)
        except Exception as error:  # a driver's own, whatever it is
            if name is not None and (isinstance(error, FileExistsError) or _status(error) in _CONFLICTS):
                raise Conflict(name) from None
            # Of an object that is gone S3 says 404 where If-Match names its etag.
            if name is not None and isinstance(error, FileNotFoundError) and _code(error) == "NoSuchKey":
                raise Conflict(name) from None
            raise StoreFailed(doing, self.address.given, error) from None


def request(call: Callable[[], T]) -> T:
    """Every request to a store goes through here."""
    return call()


def open_store(address: Address) -> Store:
    """Raises UsageError where no driver is installed or the address makes no sense."""
    try:
        files, path = fsspec.url_to_fs(address.given, skip_instance_cache=True, use_listings_cache=False)
    except ImportError as error:
        raise UsageError(f"The home {address} cannot be reached: {driver_missing(address.given, error)}.") from None
    except ValueError as error:
        found = without_secrets(str(error), address.given)
        raise UsageError(f"The home {address} cannot be reached: {found}.") from None
    return Store(address, files, path.rstrip("/"))


async def _get_object(files: fsspec.AbstractFileSystem, bucket: str, key: str) -> Found:
    answer = await files._call_s3("get_object", Bucket=bucket, Key=key)
    async with answer["Body"] as body:
        data = await body.read()
    return Found(data, answer["ETag"], _age(answer))


def _age(answer: dict[str, Any]) -> float | None:
    """Both times are the store's, so that nobody's clock matters. They are told in whole seconds."""
    date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
    written = answer.get("LastModified")
    if not date or not isinstance(written, dt.datetime):
        return None
    return (email.utils.parsedate_to_datetime(date) - written).total_seconds()


def _etag(info: dict[str, Any]) -> str:
    known = next((info[name] for name in ("ETag", "etag", "created", "mtime") if info.get(name)), "")
    return str(known)


def _answer(error: Exception) -> dict[str, Any]:
    """What the store answered, of an error that s3fs translated."""
    answer: dict[str, Any] = getattr(error.__cause__ or error, "response", None) or {}
    return answer


def _status(error: Exception) -> int | None:
    status: int | None = _answer(error).get("ResponseMetadata", {}).get("HTTPStatusCode")
    return status


def _code(error: Exception) -> str | None:
    code: str | None = _answer(error).get("Error", {}).get("Code")
    return code
