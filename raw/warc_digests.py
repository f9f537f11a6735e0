"""Digests as WARC headers tell them: of several algorithms, in base32 or in hexadecimal digits."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import IO

_CHUNK = 1 << 16
# Ex: sha1:3I42H3S6NNFQ2MSVX7XZKYAYSCX5QBYJ
_DIGEST = re.compile(r"(md5|sha1|sha224|sha256|sha384|sha512):(\S+)", re.IGNORECASE)


def other_digest(told: str | None, ways: Iterable[Iterator[bytes]]) -> str | None:
    """The digest of the first of ``ways`` to read the bytes, where none of them has the one that is told.

    None where one has it, or where nothing is told that could be checked.
    """
    known = _DIGEST.fullmatch(told or "")
    if not known:
        return None
    found = ""
    for chunks in ways:
        digester = Digester(told)
        for chunk in chunks:
            digester.update(chunk)
        if digester.is_told():
            return None
        found = found or digester.found()
    return found


class Digester:
    """Digests what it gets, by the algorithm of the digest that is ``told``; by none where it cannot be checked."""

    def __init__(self, told: str | None) -> None:
        known = _DIGEST.fullmatch(told or "")
        self._name, self._told = (known[1].lower(), known[2]) if known else ("", "")
        self._digest = hashlib.new(self._name, usedforsecurity=False) if known else None

    def update(self, data: bytes) -> None:
        if self._digest:
            self._digest.update(data)

    def is_told(self) -> bool:
        """Whether what came so far has the digest."""
        if not self._digest:
            return False
        return self._told.lower() == self._digest.hexdigest() or self._told.upper().rstrip("=") == self._in_base32()

    def found(self) -> str:
        """The digest of what came so far, as headers tell it."""
        if not self._digest:
            return ""
        return f"{self._name}:{self._in_base32() if self._name == 'sha1' else self._digest.hexdigest()}"

    def _in_base32(self) -> str:
        return base64.b32encode(self._digest.digest()).decode().rstrip("=") if self._digest else ""


def is_checked(told: str | None) -> bool:
    """Whether a digest is told that can be checked."""
    return _DIGEST.fullmatch(told or "") is not None


def pieces(stream: IO[bytes], start: int) -> Iterator[bytes]:
    stream.seek(start)
    yield from iter(lambda: stream.read(_CHUNK), b"")
