"""An HTTP answer as an archive holds it: its header, and the page's own bytes out of transfer and content codings.

Archives differ in what they keep: many undo a coding and leave the header that tells of it. So a body that is not
what its header says, and is text, is taken as it stands.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO

import brotli

CHUNK = 1 << 16
_MAX_HEADER_BYTES = 1 << 18
_MAX_CODINGS = 4
# Ex: HTTP/1.1 200 OK
_STATUS_LINE = re.compile(rb"HTTP/\d(?:\.\d)?[ \t]+(\d{3})(?:[ \t].*)?\r?\n?", re.DOTALL)
# Ex: 1f40;name=value
_CHUNK_SIZE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?\r?\n", re.DOTALL)
_CONTROLS = bytes(range(9)) + bytes(range(14, 32))
_SAMPLE = 512


class BadBody(Exception):
    """The body is not what its header says. ``cut``: it ends too early, and is good so far."""

    def __init__(self, message: str, cut: bool = False) -> None:
        super().__init__(message, cut)
        self.message, self.cut = message, cut


@dataclass(frozen=True, slots=True)
class Answer:
    """``headers``: by lower-case name, those of one name joined. ``body``: where it begins in the block."""

    status: int
    headers: dict[str, str]
    body: int


def read_answer(block: IO[bytes]) -> Answer | None:
    """The header at the beginning of ``block``; None where it is none."""
    found = _STATUS_LINE.fullmatch(block.readline(_MAX_HEADER_BYTES))
    if not found:
        return None
    headers: dict[str, str] = {}
    name, room = "", _MAX_HEADER_BYTES
    while line := block.readline(room):
        room -= len(line)
        if room <= 0:
            return None
        text = line.decode("latin-1").strip()
        if not text:
            break
        key, colon, value = text.partition(":")
        if line[:1] in b" \t" and name:
            headers[name] += " " + text
        elif colon:
            name = key.strip().lower()
            headers[name] = f"{headers[name]}, {value.strip()}" if name in headers else value.strip()
        else:
            return None
    return Answer(int(found[1]), headers, block.tell())


def decode_body(block: IO[bytes], answer: Answer, to: IO[bytes], limit: int) -> None:
    """Write the page's own bytes to ``to``, no more than ``limit``. Raises BadBody; what came before it is written."""
    chunks: Iterator[bytes] = unchunked(block, answer)
    codings = [name.strip().lower() for name in answer.headers.get("content-encoding", "").split(",")]
    codings = [name for name in codings if name not in ("", "identity", "none", "utf-8")]
    if len(codings) > _MAX_CODINGS:
        raise BadBody(f"its Content-Encoding names {len(codings)} codings")
    for name in reversed(codings):
        decoder = _DECODERS.get(name)
        if decoder is None:
            raise BadBody(f"its Content-Encoding {name[:20]!r} is not known here")
        chunks = decoder(chunks)
    room = limit
    for chunk in chunks:
        room -= len(chunk)
        if room < 0:
            raise BadBody(f"its body unpacks to more than {limit:,} bytes")
        to.write(chunk)


def unchunked(block: IO[bytes], answer: Answer) -> Iterator[bytes]:
    """The body without its transfer coding. Raises BadBody where its last chunk is missing."""
    block.seek(answer.body)
    if "chunked" in answer.headers.get("transfer-encoding", "").lower():
        first = _CHUNK_SIZE.fullmatch(block.readline(_SAMPLE))
        if first:
            yield from _chunks(block, int(first[1], 16))
            return
        block.seek(answer.body)
    yield from iter(lambda: block.read(CHUNK), b"")


def _chunks(block: IO[bytes], size: int) -> Iterator[bytes]:
    while size:
        left = size
        while left:
            data = block.read(min(left, CHUNK))
            if not data:
                raise BadBody("its chunked body is cut short", cut=True)
            left -= len(data)
            yield data
        end = block.readline(2)
        if end not in (b"\r\n", b"\n"):
            raise BadBody("its chunked body is cut short", cut=True) if not end else BadBody("its chunks are damaged")
        line = block.readline(_SAMPLE)
        found = _CHUNK_SIZE.fullmatch(line)
        if not found:
            raise BadBody("its chunked body is cut short", cut=True) if not line else BadBody("its chunks are damaged")
        size = int(found[1], 16)


def _ungzipped(chunks: Iterator[bytes]) -> Iterator[bytes]:
    first = next(chunks, b"")
    if first.startswith(b"\x1f\x8b"):
        yield from _inflated(first, chunks, 16 + zlib.MAX_WBITS)
    else:
        yield from _as_it_stands(first, chunks, "gzip")


def _undeflated(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Two things go by this name: zlib's format, and without its header."""
    first = next(chunks, b"")
    for wbits in (zlib.MAX_WBITS, -zlib.MAX_WBITS):
        try:
            zlib.decompressobj(wbits).decompress(first, _SAMPLE)
        except zlib.error:
            continue
        if not _is_text(first):
            yield from _inflated(first, chunks, wbits)
            return
    yield from _as_it_stands(first, chunks, "deflate")


def _inflated(first: bytes, chunks: Iterator[bytes], wbits: int) -> Iterator[bytes]:
    inflater = zlib.decompressobj(wbits)
    data = first
    while data or (data := next(chunks, b"")):
        if inflater.eof:
            if not data.startswith(b"\x1f\x8b"):
                return  # padding behind the end
            inflater = zlib.decompressobj(wbits)
        try:
            yield inflater.decompress(data, CHUNK)
        except zlib.error as error:
            raise BadBody(f"its compressed body is damaged ({error})") from None
        data = inflater.unused_data or inflater.unconsumed_tail
    if not inflater.eof:
        raise BadBody("its compressed body is cut short", cut=True)


def _unbrotlied(chunks: Iterator[bytes]) -> Iterator[bytes]:
    first = next(chunks, b"")
    decoder, data = brotli.Decompressor(), first
    try:
        brotli.Decompressor().process(first, output_buffer_limit=_SAMPLE)
    except brotli.error:
        yield from _as_it_stands(first, chunks, "br")
        return
    try:
        while data or (data := next(chunks, b"")):
            yield decoder.process(data, output_buffer_limit=CHUNK)
            while not decoder.can_accept_more_data():
                yield decoder.process(b"", output_buffer_limit=CHUNK)
            data = b""
    except brotli.error:
        raise BadBody("its compressed body is damaged (br)") from None
    if first and not decoder.is_finished():
        raise BadBody("its compressed body is cut short", cut=True)


def _as_it_stands(first: bytes, chunks: Iterator[bytes], name: str) -> Iterator[bytes]:
    if not _is_text(first):
        raise BadBody(f"its Content-Encoding is {name!r}, and its body is not")
    yield first
    yield from chunks


def _is_text(data: bytes) -> bool:
    return data[:_SAMPLE].translate(None, _CONTROLS) == data[:_SAMPLE]


_DECODERS: dict[str, Callable[[Iterator[bytes]], Iterator[bytes]]] = {
    "gzip": _ungzipped,
    "x-gzip": _ungzipped,
    "deflate": _undeflated,
    "br": _unbrotlied,
}
