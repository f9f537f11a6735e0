"""Reading ahead of a landing: another process hashes the files whose bytes are likely held, while this one writes.

A later landing brings mostly pages that stayed the same. All that it needs of those are their digests, and reading and
hashing takes a third of landing them. A thread would not do: all of this is too short for handing the interpreter over.
"""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from raw import hashing
from raw.pages import Item, Page

# Files asked for together, and how many such questions may be open. Fewer files than one question are not worth a
# process.
_TOGETHER, _OPEN = 128, 3
_ANSWER = len(hashing.UNREADABLE)
_SECONDS = 60.0
"""Without a byte from the other process, or one that it takes: it hangs, or its disk does, and is done without."""
_PIPE = 1 << 16


class Measured(NamedTuple):
    """Of a file's bytes, as they were when they were read. ``digest``: sha256:<hex>; ``size`` in bytes."""

    digest: str
    size: int


def read_ahead(
    items: Iterable[Item], wanted: Callable[[Page], bool]
) -> Generator[tuple[Item, Measured | None], None, None]:
    """``items`` in their order; pages in plain files that are ``wanted`` mostly with their measures.

    None says nothing: that page is to be read, as all pages are whose bytes are to be kept. Some hundred items are
    taken in advance, but none before a page of a container was given on: that is there until the next is asked for.
    """
    with closing(_Hasher()) as hasher:
        asked: deque[list[Item]] = deque()
        group: list[Item] = []
        for item in items:
            if isinstance(item, Page) and item.path is None:
                yield from _answered(hasher, asked)
                yield from ((one, None) for one in group)
                yield item, None
                group = []
                continue
            group.append(item)
            if len(group) == _TOGETHER:
                hasher.ask([_path(one, wanted) for one in group])
                asked.append(group)
                group = []
                if len(asked) == _OPEN:
                    yield from zip(asked.popleft(), hasher.answer(), strict=True)
        yield from _answered(hasher, asked)
        yield from ((one, None) for one in group)


def _answered(hasher: _Hasher, asked: deque[list[Item]]) -> Iterator[tuple[Item, Measured | None]]:
    while asked:
        yield from zip(asked.popleft(), hasher.answer(), strict=True)


def _path(item: Item, wanted: Callable[[Page], bool]) -> str | None:
    return item.path if isinstance(item, Page) and wanted(item) else None


class _Hasher:
    """The process, begun with the first question. Once it fails in any way, nothing is asked or answered any more."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._failed = False
        self._asked, self._answered = bytearray(), bytearray()  # not in a pipe yet, and out of it
        self._open: deque[Sequence[str | None]] = deque()

    def ask(self, paths: Sequence[str | None]) -> None:
        """What is None is not asked for, and answered with None."""
        self._open.append(paths)
        question = b"\0".join(os.fsencode(path) for path in paths if path is not None)
        if not question or self._failed:
            return
        with self._whatever_fails():
            self._process = self._process or _started()
            self._asked += len(question).to_bytes(4, "little") + question
            self._talk(lambda: not self._asked)

    def answer(self) -> list[Measured | None]:
        """To the question that was asked first of those without one."""
        paths = self._open.popleft()
        answers = iter(self._read(sum(path is not None for path in paths)))
        return [None if path is None else _measured(next(answers, b"")) for path in paths]

    def _read(self, number: int) -> list[bytes]:
        if not number or self._failed or self._process is None:
            return []
        size = number * _ANSWER
        with self._whatever_fails():
            self._talk(lambda: len(self._answered) >= size)
        if self._failed:
            return []
        data = bytes(self._answered[:size])
        del self._answered[:size]
        return [data[at : at + _ANSWER] for at in range(0, size, _ANSWER)]

    def _talk(self, done: Callable[[], bool]) -> None:
        """Write what is asked and read what is answered, whichever goes, so that neither side waits for the other to
        read. Raises OSError or EOFError where the other process has ended, or neither goes for `_SECONDS`."""
        assert self._process
        assert self._process.stdin
        assert self._process.stdout
        to, back = self._process.stdin.fileno(), self._process.stdout.fileno()
        goes = self._write(to) if self._asked else self._take(back)
        while not done():
            if not goes:
                with selectors.DefaultSelector() as either:
                    either.register(back, selectors.EVENT_READ)
                    if self._asked:
                        either.register(to, selectors.EVENT_WRITE)
                    if not either.select(_SECONDS):
                        raise TimeoutError
            goes = self._take(back)
            goes = (bool(self._asked) and self._write(to)) or goes

    def _write(self, to: int) -> bool:
        """Whether the pipe took something."""
        try:
            del self._asked[: os.write(to, self._asked[:_PIPE])]
        except BlockingIOError:
            return False
        return True

    def _take(self, back: int) -> bool:
        """Whether there was something in the pipe."""
        try:
            data = os.read(back, _PIPE)
        except BlockingIOError:
            return False
        if not data:
            raise EOFError
        self._answered += data
        return True

    @contextmanager
    def _whatever_fails(self) -> Iterator[None]:
        """Pages are read in this process then; what the other one still reads is in the way."""
        try:
            yield
        except (OSError, EOFError):
            self._failed = True
            if self._process is not None:
                self._process.kill()

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            with suppress(OSError):  # what was not written yet
                self._process.communicate()


def _started() -> subprocess.Popen[bytes]:
    """Without ``site`` and its packages it starts in a few milliseconds."""
    script = Path(hashing.__file__)
    process = subprocess.Popen(
        [sys.executable or "", "-I", "-S", os.fspath(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
    )
    for pipe in (process.stdin, process.stdout):
        assert pipe
        os.set_blocking(pipe.fileno(), False)
    return process


def _measured(answer: bytes) -> Measured | None:
    if answer in (b"", hashing.UNREADABLE):
        return None
    return Measured(f"sha256:{answer[:32].hex()}", int.from_bytes(answer[32:], "little"))
