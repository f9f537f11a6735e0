"""Where a record of an unknown length ends, as far as that is beyond doubt.

The body of a page may hold whole records, digests and all. Where a broken record is followed by what looks like one,
that may be text of its own page, which would land under any address that its author likes (law 10). So it is taken
for a record where a page's author cannot have made it look so, and left where nothing tells.
"""

from __future__ import annotations

import re
from collections import deque

from raw.warc_digests import Digester

# What a page's author cannot know. Ex: <urn:uuid:4c1dd9a2-2c4f-4d0e-8a44-1f7b1b8c2a51>
_RANDOM_ID = re.compile(r"<?(urn:uuid:[0-9a-f-]{32,36})>?", re.IGNORECASE)
# Kinds whose blocks no page's author has written.
_OWN_KINDS = ("warcinfo", "request")
_FILES_KNOWN = 16
HEADER_BYTES = 1 << 12
# Behind the place of what was left for that reason.
DOUBTFUL = " may be text of the page before it, since nothing tells where that ends, and was not read"
_BLANK = re.compile(rb"\r?\n\r?\n")
# In front of the next record. Ex: \r\n\r\nWARC/1.1
BETWEEN = 4


class Ids:
    """The record ids that a true record may name: those of the file's warcinfo records that were read whole."""

    def __init__(self) -> None:
        self.files: deque[bytes] = deque(maxlen=_FILES_KNOWN)

    def note(self, headers: dict[str, str]) -> None:
        if headers["warc-type"].lower() == "warcinfo" and (found := record_id(headers)):
            self.files.append(found)

    def in_header(self, data: bytes, *more: bytes | None) -> bool:
        """Whether the header that ``data`` begins with names one of them."""
        header = _BLANK.split(data[:HEADER_BYTES], maxsplit=1)[0]
        # Where the line ends behind a forged header are lost, it runs into that of a true record.
        return b"WARC/" not in header[1:] and any(known in header for known in (*self.files, *more) if known)


class Doubt:
    """What tells a true record behind a broken one, of which ``headers`` could be read.

    It gets all bytes that follow the header, up to what looks like a record.
    """

    def __init__(self, ids: Ids, headers: dict[str, str]) -> None:
        length = headers.get("content-length", "")
        self._length = int(length) if re.fullmatch("[0-9]{1,15}", length) else -1
        self._ids, self._passed = ids, 0
        self._broken = record_id(headers)
        self._own = headers.get("warc-type", "").lower() in _OWN_KINDS
        self._digester = Digester(headers.get("warc-block-digest"))

    def pass_by(self, data: bytes) -> None:
        self._passed += len(data)
        self._digester.update(data)

    def is_record(self, data: bytes) -> bool:
        """Whether a true record begins in ``data``, which follows those bytes and two line ends, whole or damaged."""
        if self._own or self._passed == self._length or self._digester.is_told():
            return True
        return self._ids.in_header(data, self._broken)


def record_id(headers: dict[str, str]) -> bytes | None:
    found = _RANDOM_ID.fullmatch(headers.get("warc-record-id", ""))
    return found[1].encode() if found else None
