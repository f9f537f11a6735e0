"""The bytes of a page from those that were sent, in bounded memory."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

from raw.http_body import Answer, BadBody, decode_body

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

ENCODINGS = "gzip, deflate, br"  # what raw.http_body undoes


class CannotDecode(Exception):
    """``kind``: ``too_large``, ``cut_off`` or ``bad_encoding``."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(kind, message)
        self.kind, self.message = kind, message


class _Limited(io.BytesIO):
    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def write(self, data: ReadableBuffer, /) -> int:
        written = super().write(data)
        if self.tell() > self._limit:
            raise CannotDecode("too_large", f"its body has over {self._limit:,} bytes when decompressed")
        return written


def decode(body: bytes, content_encoding: str, limit: int) -> bytes:
    """Undo the content encodings. Raises CannotDecode; over ``limit`` bytes nothing more is inflated."""
    whole = _Limited(limit)
    try:
        decode_body(io.BytesIO(body), Answer(200, {"content-encoding": content_encoding}, 0), whole, sys.maxsize)
    except BadBody as error:
        raise CannotDecode("cut_off" if error.cut else "bad_encoding", error.message) from error
    return whole.getvalue()
