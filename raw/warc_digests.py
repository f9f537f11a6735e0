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
    algorithm, value = known[1].lower(), known[2]
    found = ""
    for chunks in ways:
        digester = hashlib.new(algorithm, usedforsecurity=False)
        for chunk in chunks:
            digester.update(chunk)
        in_base32 = base64.b32encode(digester.digest()).decode().rstrip("=")
        if value.lower() == digester.hexdigest() or value.upper().rstrip("=") == in_base32:
            return None
        found = found or f"{algorithm}:{in_base32 if algorithm == 'sha1' else digester.hexdigest()}"
    return found


def is_checked(told: str | None) -> bool:
    """Whether a digest is told that can be checked."""
    return _DIGEST.fullmatch(told or "") is not None


def pieces(stream: IO[bytes], start: int) -> Iterator[bytes]:
    stream.seek(start)
    yield from iter(lambda: stream.read(_CHUNK), b"")
