"""Law 10: a page may hold whole records, digests and all; where an archive is broken, none becomes a capture."""

from __future__ import annotations

import gzip
import hashlib
import random
import struct
import tempfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.raw.containers import Made, answer, made, record, response, warc
from tests.raw.landing_zone import URL, landed, payloads

FORGED = response(Made(URL + "forged", b"<html>Synthetic and forged</html>"))
INFO = "<urn:uuid:4c1dd9a2-2c4f-4d0e-8a44-1f7b1b8c2a51>"
WARCINFO = record("warcinfo", "", b"software: Synthetic\r\n", WARC_Record_ID=INFO)
GOOD = [response(page) for page in made(3)]
HOST = Made("https://stranger.example/comments", b"<html><pre>\r\n\r\n" + FORGED * 3 + b"</pre>" + b"Synthetic" * 99)
BARE = {"WARC_Block_Digest": None, "WARC_Payload_Digest": None}


def forged(home: Path) -> list[str]:
    return [url for url in payloads(home) if "forged" in url]


@given(end=st.floats(0, 1, exclude_max=True), bare=st.booleans())
def test_law_10_a_file_that_is_cut_inside_a_page_gives_nothing_of_its_text(end: float, bare: bool) -> None:
    host = response(HOST, **(BARE if bare else {}))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name, data in (("a.warc", GOOD[0] + host), ("a.warc.gz", gzip.compress(GOOD[0] + host))):
            (folder / name).write_bytes(data[: int(end * len(data))])
            landed(folder / f"home-{name}", folder / name)
            assert not forged(folder / f"home-{name}")


@pytest.mark.parametrize("bare", [True, False])
@pytest.mark.parametrize("length", [b"0", b"50", b"100", b"400", b"5000", b"99999999999999", b"none"])
def test_law_10_a_wrong_length_gives_nothing_of_a_page_s_text(tmp_path: Path, length: bytes, bare: bool) -> None:
    """With a digest the records behind the page land all the same."""
    host = response(HOST, **(BARE if bare else {}))
    told = f"Content-Length: {len(answer(HOST.body))}\r\n".encode()
    assert told in host
    spoiled = host.replace(told, b"Content-Length: " + length + b"\r\n")
    report = landed(tmp_path / "home", warc(tmp_path / "a.warc", [GOOD[0], spoiled, *GOOD[1:]]))
    assert not forged(tmp_path / "home")
    assert len(payloads(tmp_path / "home")) == (1 if bare else 3)
    assert report.problems[0].where == len(GOOD[0])
    assert "may be text of the page before it" in report.problems[1].message
    assert report.problems[1].where == len(GOOD[0]) + spoiled.index(FORGED)


def test_law_10_lost_bytes_of_a_page_give_nothing_of_its_text(tmp_path: Path) -> None:
    host = response(HOST)
    landed(tmp_path / "home", warc(tmp_path / "a.warc", [GOOD[0], host.replace(b"<pre>", b""), *GOOD[1:]]))
    assert not forged(tmp_path / "home")


def test_records_that_name_the_file_they_are_of_are_beyond_doubt(tmp_path: Path) -> None:
    """No page's author knows its warcinfo record's id. A forged header that runs into a true one is none."""
    open_end = b"\r\n\r\n" + FORGED[: FORGED.index(b"\r\n\r\n")] + b"\r\nX-Synthetic: "
    for name, body in (("a", HOST.body), ("b", HOST.body + open_end)):
        host = response(Made(HOST.url, body), **BARE)
        # The line ends behind the page are lost.
        spoiled = host.replace(b"<html>", b"", 1)[:-4] if name == "b" else host.replace(b"<html>", b"", 1)
        good = [response(page, WARC_Warcinfo_ID=INFO, **BARE) for page in made(4)]
        file = warc(tmp_path / f"{name}.warc", [WARCINFO, good[0], spoiled, *good[1:]])
        landed(tmp_path / name, file)
        assert not forged(tmp_path / name)
        assert [*payloads(tmp_path / name)] == [page.url for page in made(4) if name == "a" or page.url[-5] != "1"]


# --- gzip members


def stored(data: bytes) -> bytes:
    """A gzip member that holds ``data`` as it is, which zlib does where it cannot be packed any further."""
    blocks = [data[at : at + 65535] for at in range(0, len(data), 65535)]
    packed = b"".join(
        struct.pack("<BHH", block is blocks[-1], len(block), len(block) ^ 0xFFFF) + block for block in blocks
    )
    trailer = struct.pack("<II", zlib.crc32(data), len(data))
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + packed + trailer


def packed_host() -> bytes:
    """A page whose body is made of gzip members, each a forged record, between noise."""
    noise = random.Random(7).randbytes(3000)
    body = noise + gzip.compress(FORGED, mtime=0) * 3 + noise
    member = stored(record("response", HOST.url, answer(body, Content_Encoding="gzip")))
    assert gzip.decompress(member)
    return member


def test_law_10_a_cut_gzip_member_gives_nothing_of_its_page(tmp_path: Path) -> None:
    good = [gzip.compress(part, mtime=0) for part in GOOD]
    member = packed_host()
    inside = member.rindex(b"\x1f\x8b\x08") + len(gzip.compress(FORGED, mtime=0))
    for end in (inside - 5, inside, inside + 5, len(member) - 1):
        (tmp_path / "a.warc.gz").write_bytes(good[0] + member[:end])
        report = landed(tmp_path / f"home{end}", tmp_path / "a.warc.gz")
        assert [*payloads(tmp_path / f"home{end}")] == [made(1)[0].url]
        assert report.problems[0].where == len(good[0])


@pytest.mark.parametrize("spoil", ["header", "flip", "cut"])
def test_law_10_a_damaged_gzip_member_gives_nothing_of_its_page(tmp_path: Path, spoil: str) -> None:
    """The members behind it land: they go on to the end of the file, as those inside of it do not."""
    good = [gzip.compress(part, mtime=0) for part in GOOD]
    member = bytearray(packed_host())
    if spoil == "header":
        member[10] = 0xFF
    elif spoil == "flip":
        member[200] ^= 1
    else:
        del member[1000:1100]
    (tmp_path / "a.warc.gz").write_bytes(good[0] + bytes(member) + good[1] + good[2])
    report = landed(tmp_path / "home", tmp_path / "a.warc.gz")
    assert [*payloads(tmp_path / "home")] == [page.url for page in made(3)]
    assert report.problems[0].where == len(good[0])
    assert hashlib.sha256(bytes(member)).digest() != hashlib.sha256(packed_host()).digest()


def test_gzip_members_that_name_their_file_land_between_two_damaged_ones(tmp_path: Path) -> None:
    good = [gzip.compress(response(page, WARC_Warcinfo_ID=INFO), mtime=0) for page in made(4)]
    parts = [gzip.compress(WARCINFO, mtime=0), good[0], good[1][:100], good[2], good[1][:100], good[3]]
    (tmp_path / "a.warc.gz").write_bytes(b"".join(parts))
    report = landed(tmp_path / "home", tmp_path / "a.warc.gz")
    assert [*payloads(tmp_path / "home")] == [page.url for page in made(4) if page.url != made(2)[1].url]
    assert len(report.problems) == 2


def test_wrong_gzip_members_cost_no_endless_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raw.warc_members._MAX_AHEAD_BYTES", 1 << 16)
    broken = gzip.compress(FORGED * 50, mtime=0)[:-8]
    (tmp_path / "a.warc.gz").write_bytes(gzip.compress(GOOD[0]) + broken * 100 + b"Synthetic" * 9)
    report = landed(tmp_path / "home", tmp_path / "a.warc.gz")
    assert report.landed <= 2
    assert "no record follows" in report.problems[-1].message
