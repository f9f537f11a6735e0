"""A disk that fails at one chosen call: the process ends there as by SIGKILL, or the system refuses.

Calls that change something under a folder are counted: in a child process that is forked for it, so that nothing needs
to be undone. What Arrow or another library writes by itself is not seen; our own writes go through Python.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import shutil
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KILL = "kill"
FAULTS = (KILL, "ENOSPC", "EIO", "EACCES", "EROFS")
KILLED = 137
REFUSED = 10
"""Exit status of a child whose work raised; what it says is in ``Outcome.told``."""

_GROWS = {"open", "write", "mkdir", "link", "symlink"}
_BY_PATH = ("mkdir", "rename", "replace", "link", "symlink", "unlink", "remove", "rmdir", "utime", "truncate", "chmod")
_BY_HANDLE = ("fsync", "fdatasync", "ftruncate", "write")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a child ended. ``trail``: what it changed, a letter a call up to the one that failed: s for a snapshot's
    files, o for others."""

    status: int
    trail: str
    told: str

    @property
    def calls(self) -> int:
        return len(self.trail)


class _Killed:
    """Ends the process without any of its handlers."""

    @staticmethod
    def now() -> None:
        os._exit(KILLED)


class FaultyDisk:
    """``at``: which call fails, from 1; 0: none does, they are only counted.

    A full disk refuses all later calls that need room, one that went read-only every later call; an I/O error is one.
    """

    def __init__(self, home: Path, fault: str, at: int, count: Callable[[bytes], object]) -> None:
        self.home, self.fault, self.at = str(home), fault, at
        self.calls, self._count = 0, count
        self.open = io.open

    def install(self) -> None:
        for name in _BY_PATH:
            setattr(os, name, self._by_path(name, getattr(os, name)))
        for name in _BY_HANDLE:
            setattr(os, name, self._by_handle(name, getattr(os, name)))
        os.open = self._os_open(os.open)  # type: ignore[assignment]
        io.open = builtins.open = self._open  # type: ignore[assignment]

    def call(self, name: str, where: object, path: object = None, half: Callable[[], object] = lambda: None) -> None:
        """Count a call, or let it fail. ``path``: what its error names; ``half``: what is done when it is cut off."""
        self.calls += 1
        self._count(b"s" if "/warehouse/snapshots/" in str(where) else b"o")
        later = self.at and self.calls > self.at
        full, read_only = self.fault == "ENOSPC" and name in _GROWS, self.fault in ("EACCES", "EROFS")
        if self.calls == self.at or (later and (full or read_only)):
            half()
            if self.fault == KILL:
                _Killed.now()
            number = getattr(errno, self.fault)
            raise OSError(number, os.strerror(number), *([str(path)] if path else []))

    def concerns(self, path: object, options: dict[str, Any]) -> bool:
        if isinstance(path, int) or options.get("dir_fd") is not None or options.get("src_dir_fd") is not None:
            return True
        return os.path.abspath(os.fsdecode(path)).startswith(self.home)  # type: ignore[arg-type]  # noqa: PTH100

    def _by_path(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, *args: Any, **options: Any) -> Any:
            if self.concerns(args[0] if name in ("link", "symlink") else path, options):
                self.call(name, path, path)
            return real(path, *args, **options)

        return call

    def _by_handle(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(handle: Any, *args: Any) -> Any:
            where = os.path.realpath(f"/proc/self/fd/{handle}")
            if where.startswith(self.home):
                self.call(name, where)
                if name in ("fsync", "fdatasync"):
                    return None  # a process that dies loses nothing by it, and it takes most of the time
            return real(handle, *args)

        return call

    def _os_open(self, real: Callable[..., int]) -> Callable[..., int]:
        def call(path: Any, flags: int, *args: Any, **options: Any) -> int:
            if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and self.concerns(path, options):
                self.call("open", path, path)
            return real(path, flags, *args, **options)

        return call

    def _open(self, file: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
        if not set(mode) & set("wax+") or isinstance(file, int) or not self.concerns(file, {}):
            return self.open(file, mode, *args, **options)
        self.call("open", file, file)
        return _File(self, self.open(file, mode, *args, **options))


class _File:
    """A file whose writes are counted; half of one that fails is on the disk."""

    def __init__(self, disk: FaultyDisk, file: Any) -> None:
        self._disk, self._file = disk, file

    def write(self, data: Any) -> int:
        def half() -> None:
            size = len(data) if isinstance(data, str) else memoryview(data).nbytes
            self._file.write(data[: size // 2] if isinstance(data, str) else memoryview(data).cast("B")[: size // 2])
            self._file.flush()

        self._disk.call("write", self._file.name, half=half)
        return int(self._file.write(data))

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[Any]:
        return iter(self._file)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def run_on(home: Path, work: Callable[[], object], fault: str = KILL, at: int = 0) -> Outcome:
    """Do ``work`` in a child, on a disk that fails at its ``at``-th call.

    ``work`` returns an exit status or None. The caller has no threads of its own: it forks.
    """
    counted, count = os.pipe()
    said, say = os.pipe()
    child = os.fork()
    if not child:
        _child(home, work, fault, at, count, say)
    os.close(count)
    os.close(say)
    told = _all_of(said).decode()
    trail = _all_of(counted).decode()
    return Outcome(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), trail, told)


def _child(home: Path, work: Callable[[], object], fault: str, at: int, count: int, say: int) -> None:
    status: object = 70
    write = os.write
    try:
        os.dup2(say, 1)
        os.dup2(say, 2)
        FaultyDisk(home, fault, at, lambda letter: write(count, letter)).install()
        try:
            status = work() or 0
        except SystemExit as end:
            status = end.code or 0
        except OSError as error:
            write(2, f"OSError {errno.errorcode[error.errno or 0]}".encode())
            status = REFUSED
        except BaseException:
            write(2, traceback.format_exc().encode())
    finally:
        os._exit(status if isinstance(status, int) else 70)


def _all_of(handle: int) -> bytes:
    with os.fdopen(handle, "rb") as file:
        return file.read()


def each_point(
    home: Path, scratch: Path, fault: str, work: Callable[[Path], object], check: Callable[[Path, Outcome], str | None]
) -> tuple[int, list[str]]:
    """Do ``work`` on a copy of ``home`` for each call that it makes, with the fault there, and ``check`` the copy.

    Returns how many calls there were, and what ``check`` said of them.
    """
    wrong: list[str] = []
    at = 0
    while True:
        at += 1
        place = shutil.copytree(home, scratch / f"{fault}-{at}", symlinks=True)
        outcome = run_on(place, lambda place=place: work(place), fault, at)  # type: ignore[misc]
        if outcome.calls < at:
            shutil.rmtree(place)
            return at - 1, wrong
        try:
            found = check(place, outcome)
        except Exception:
            found = traceback.format_exc()
        if found:
            wrong.append(f"{fault} at call {at}: {found} {outcome}")
        shutil.rmtree(place)
