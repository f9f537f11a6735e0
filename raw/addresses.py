"""Inputs behind an address, through fsspec: its drivers know how to get in, and raise whatever they like.

A folder is read by the rules of a local one, and by the same code: its file names become empty files in a temporary
folder, its manifests are fetched into it, and the bytes of a page or container come from the address when it is its
turn. So nothing of a large folder is stored twice, and nothing of it is a link.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar, cast
from urllib.parse import unquote

import fsspec
from fsspec.registry import known_implementations

from raw.containers import SUFFIXES, is_container, read_container
from raw.errors import UnusableInput
from raw.folder import read_file, read_folder
from raw.manifest import MANIFEST
from raw.pages import MEDIA_TYPES, Container, Item, Problem, from_microseconds, microseconds, shown

# Ex: s3://bucket/pages, simplecache::ftp://host/pages
_ADDRESS = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*::)*[A-Za-z][A-Za-z0-9+.-]*://.*", re.DOTALL)
# Ex: simplecache and ftp of the latter, zip and s3 of zip://a.jsonl::s3://bucket/pages.zip
_PROTOCOL = re.compile(r"(?:^|(?<=::))([A-Za-z][A-Za-z0-9+.-]*)(?=::|://)")
_LOCAL = re.compile(r"(?:file|local)://(?:localhost(?=/))?", re.IGNORECASE)
# Ex: user:password@ in sftp://user:password@host/pages, and user:pass/word@, which is no port
_USER = re.compile(r"(?<=://)(?:[^/\s@]*(?:@[^/\s@]*)*@|[^/\s@:]*:(?!\d+(?:/|$))[^\s@]*@)")
# Ex: ?X-Amz-Credential=... of an address that is signed, ?sig=... of az://container/pages
_QUERY = re.compile(r"(?<=\S)\?\S*")
_SIGNED = re.compile(r"(?<=\S)\?[^\s?=]*=\S*")
_SECRET_LENGTH = 6
_PACKAGES = {"s3": "cptflow[s3]", "s3a": "cptflow[s3]", "http": "aiohttp", "https": "aiohttp", "gs": "gcsfs"}
_PACKAGES |= {
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "sftp": "paramiko",
    "ssh": "paramiko",
    "smb": "smbprotocol",
}
# Where a driver tells when a file was written: s3fs and adlfs, local, memory, gcsfs, others.
_MODIFIED = ("LastModified", "last_modified", "mtime", "updated", "modified", "created")
_T = TypeVar("_T")


class _Place(NamedTuple):
    """What an address leads to. ``shown``: the address without what nobody may see."""

    files: fsspec.AbstractFileSystem
    path: str
    info: dict[str, Any]
    shown: str


class _Unreachable(Exception):
    """Nothing can be read there. ``found`` says why, without secrets."""

    def __init__(self, found: str) -> None:
        super().__init__(found)
        self.found = found


def is_address(name: str) -> bool:
    return _ADDRESS.fullmatch(name) is not None and not _LOCAL.match(name)


def local_path(name: str) -> Path:
    """Ex: file:///data/pages, and /data/pages."""
    local = _LOCAL.match(name)
    return Path(unquote(name[local.end() :]) if local else name)


def check_address(address: str) -> None:
    """Raise UnusableInput where nothing that can be landed is there, or it cannot be reached."""
    name = without_secrets(address, address)
    if _is_web(address) and not is_container(name):
        raise UnusableInput(name, "a web page; pages are fetched with `cptflow crawl`, which asks for them politely")
    try:
        place = _place(address)
    except _Unreachable as error:
        raise UnusableInput(name, error.found) from None
    if place.info["type"] != "directory" and not name.lower().endswith((*MEDIA_TYPES, *SUFFIXES)):
        raise UnusableInput(name, f"a file that does not end in {', '.join((*MEDIA_TYPES, *SUFFIXES))}")
    if name.rpartition("/")[2] == MANIFEST:
        raise UnusableInput(name, "a manifest, which is read with the pages of its folder")


def read_address(address: str, home: Path) -> Iterator[Item]:
    """The pages behind ``address``. What cannot be read any more is told."""
    try:
        place = _place(address)
    except _Unreachable as error:
        yield Problem(without_secrets(address, address), None, f"cannot be read: {error.found}")
        return
    if place.info["type"] != "directory" and is_container(place.shown):
        spool = home / "raw"
        opened = partial(_opened, place.files, place.path, address, spool)
        yield from read_container(Container(shown(place.shown), opened, _modified(place.info), spool))
        return
    with tempfile.TemporaryDirectory(prefix="cptflow-") as temporary:
        names = Path(os.path.realpath(temporary))
        yield from _read_by_names(place, address, names, home)


def without_secrets(text: str, address: str) -> str:
    """The text without what ``address`` holds of a user, a password or a signature."""
    users = {user.removesuffix("@") for user in _USER.findall(address)}
    secrets = {user for user in users if len(user) >= _SECRET_LENGTH} | {user.partition(":")[2] for user in users}
    query = _QUERY if _is_web(address) else _SIGNED
    for signature in query.findall(address):
        values = (value.partition("=")[2] for value in re.split("[?&;]", signature))
        secrets |= {value for value in values if len(value) >= _SECRET_LENGTH}
    text = query.sub("", _USER.sub("", text))
    for secret in sorted(secrets | {unquote(secret) for secret in secrets}, key=len, reverse=True):
        text = text.replace(secret, "...") if secret else text
    return text


def _is_web(address: str) -> bool:
    return not {"http", "https"}.isdisjoint(_protocols(address))


def _protocols(address: str) -> list[str]:
    return [protocol.lower() for protocol in _PROTOCOL.findall(address)]


def _read_by_names(place: _Place, address: str, names: Path, home: Path) -> Iterator[Item]:
    """Read a folder, or a page with the manifest beside it, by a local copy of its names."""
    whole = place.info["type"] == "directory"
    base = place.path.rstrip("/") if whole else place.path.rpartition("/")[0]
    given = place.shown.rstrip("/") if whole else place.shown.rpartition("/")[0]

    def opened(local: str) -> BinaryIO:
        return _opened(place.files, f"{base}/{Path(local).relative_to(names).as_posix()}", address, home / "raw")

    try:
        listed = _listed(place, base, address)
        for path, info in listed.items():
            name = path.removeprefix(base).removeprefix("/")
            if Path(name).name != MANIFEST and not name.lower().endswith((*MEDIA_TYPES, *SUFFIXES)):
                continue
            if problem := _copy_name(names, name, info, opened):
                yield Problem(shown(f"{given}/{name}"), None, problem)
    except OSError as error:
        message = f"cannot be read, and nothing of it was landed: {error.strerror or error}"
        yield Problem(shown(place.shown), None, message)
        return
    if whole:
        yield from read_folder(names, home, given, opened)
    else:
        yield from read_file(names / place.path.rpartition("/")[2], home, {}, given, opened)


def _listed(place: _Place, base: str, address: str) -> dict[str, Any]:
    """The files to be read, by path: beside a page those that a manifest there may name. Raises OSError."""
    try:
        if place.info["type"] == "directory" or place.files.exists(f"{base}/{MANIFEST}"):
            return dict(sorted(place.files.find(base, detail=True).items()))
    except Exception as error:  # a driver's own, whatever it is
        raise _as_os_error(error, address) from None
    return {place.path: place.info}


def _copy_name(names: Path, name: str, info: dict[str, Any], opened: Callable[[str], BinaryIO]) -> str | None:
    """Make the empty file; of a manifest a whole one. Returns what is wrong with the name; raises OSError."""
    if "\0" in name or {"", ".", ".."} & set(name.split("/")):
        return "has a name that no file can have, and was not read"
    local = names / name
    try:
        local.parent.mkdir(parents=True, exist_ok=True)
        local.touch(exist_ok=False)
        modified = _modified(info)
        os.utime(local, ns=(0, microseconds(modified) * 1000 if modified else 0))
    except OSError as error:
        return f"has a name that no file can have beside the others, and was not read: {error.strerror}"
    if local.name == MANIFEST:
        with opened(str(local)) as source, local.open("wb") as copy:
            shutil.copyfileobj(source, copy)
    return None


def _place(address: str) -> _Place:
    """Raises _Unreachable."""
    try:
        # Afresh: a driver that was made before has the credentials of that time.
        files, path = fsspec.url_to_fs(address, skip_instance_cache=True)
        files.invalidate_cache()
        info = files.info(path)
    except ImportError as error:
        raise _Unreachable(driver_missing(address, error)) from None
    except FileNotFoundError:
        # fsspec says this of a web server that does not answer, too.
        silent = ", or its server does not answer" if _is_web(address) else ""
        raise _Unreachable(f"nothing is there{silent}") from None
    except Exception as error:  # a driver's own, whatever it is
        raise _Unreachable(str(_as_os_error(error, address))) from None
    return _Place(files, path, info, without_secrets(address, address))


def driver_missing(address: str, error: ImportError) -> str:
    """What to install, so that ``address`` can be reached. Without secrets."""
    # Of a chain the last protocol is the one that leads somewhere.
    protocol = _protocols(address)[-1]
    if package := _PACKAGES.get(protocol):
        how = f'pip install "{package}"'
    else:
        how = known_implementations.get(protocol, {}).get("err") or str(error)
    return without_secrets(f"no driver for {protocol}:// is installed: {how}", address)


def _opened(files: fsspec.AbstractFileSystem, path: str, address: str, spool: Path) -> BinaryIO:
    """The bytes at ``path``, seekable: fetched to a temporary file where the server gives no parts. Raises OSError."""
    stream = _Stream(files, path, address)
    try:
        stream.read(1)
        stream.seek(0)
    except OSError:
        stream.close()
        with _Stream(files, path, address) as source:
            copy = tempfile.TemporaryFile(dir=spool)  # noqa: SIM115 - the caller's to close
            shutil.copyfileobj(source, copy)
            copy.seek(0)
            return cast(BinaryIO, copy)
    return cast(BinaryIO, stream)


class _Stream(io.RawIOBase):
    """A driver's file, whose errors are OSErrors without secrets."""

    def __init__(self, files: fsspec.AbstractFileSystem, path: str, address: str) -> None:
        super().__init__()
        self._address = address
        self._file = self._do(lambda: files.open(path, "rb"))

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        return self._do(lambda: cast(bytes, self._file.read(size)))

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._do(lambda: cast(int, self._file.seek(offset, whence)))

    def tell(self) -> int:
        return self._do(lambda: cast(int, self._file.tell()))

    def close(self) -> None:
        if not self.closed and hasattr(self, "_file"):
            self._do(self._file.close)
        super().close()

    def _do(self, call: Callable[[], _T]) -> _T:
        try:
            return call()
        except Exception as error:  # a driver's own, whatever it is
            raise _as_os_error(error, self._address) from None


def _as_os_error(error: Exception, address: str) -> OSError:
    text = str(error).partition("\n")[0][:300] or type(error).__name__
    return OSError(shown(without_secrets(text, address)))


def _modified(info: dict[str, Any]) -> datetime | None:
    for value in map(info.get, _MODIFIED):
        if isinstance(value, datetime):
            return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return from_microseconds(int(value * 1_000_000))
    return None
