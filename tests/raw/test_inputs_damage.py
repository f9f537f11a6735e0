"""Containers that were cut, flipped or written wrongly: the good pages land, the bad ones are named by their place."""

from __future__ import annotations

import gzip
import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raw.landing import LandReport
from tests.raw.containers import (
    WRITERS,
    Made,
    answer,
    captured,
    lines,
    made,
    parquet,
    record,
    response,
    sha1,
    warc,
    zstd,
)
from tests.raw.landing_zone import URL, landed, payloads

PAGES = made(6)
Spoil = Callable[[bytes], bytes]


def offsets(parts: list[bytes]) -> list[int]:
    return [sum(map(len, parts[:n])) for n in range(len(parts))]


def kept(home: Path) -> list[int]:
    """Which of PAGES landed, and each with its own bytes."""
    held = payloads(home)
    numbers = sorted(int(url.removeprefix(URL)[:4]) for url in held)
    assert held == {PAGES[n].url: PAGES[n].body for n in numbers}
    return numbers


def named(report: LandReport, file: Path) -> list[int | None]:
    """Where the problems are; each names its file, and its place in words."""
    for problem in report.problems:
        assert problem.file == file.as_posix()
        assert problem.where is None or str(problem.where) in problem.message
    return [problem.where for problem in report.problems]


@pytest.mark.parametrize("name", WRITERS)
def test_the_same_pages_give_the_same_captures_from_any_container(tmp_path: Path, name: str) -> None:
    pages = [*PAGES, Made(URL + "gone", b"<html>Synthetic and gone", "2026-01-06T11:12:13.123456Z", 404)]
    report = landed(tmp_path / "home", WRITERS[name](tmp_path / name, pages))
    assert (report.problems, report.landed) == ((), 7)
    landed(tmp_path / "other", WRITERS["pages.jsonl"](tmp_path / "reference.jsonl", pages))
    assert captured(tmp_path / "home") == captured(tmp_path / "other")
    assert payloads(tmp_path / "home") == {page.url: page.body for page in pages}


# --- WARC

RECORDS = [response(page) for page in PAGES]
BARE = [response(page, WARC_Block_Digest=None, WARC_Payload_Digest=None) for page in PAGES]
LENGTH = f"Content-Length: {len(answer(PAGES[2].body))}".encode()


@pytest.mark.parametrize("suffix", [".warc", ".warc.gz"])
@pytest.mark.parametrize("records", [RECORDS, BARE])
@pytest.mark.parametrize("wrong", [b"0", b"100", b"150", b"400", b"100000", b"99999999999999", b"-5", b"none"])
def test_warc_with_a_wrong_length(tmp_path: Path, suffix: str, records: list[bytes], wrong: bytes) -> None:
    spoiled = [*records[:2], records[2].replace(LENGTH, b"Content-Length: " + wrong), *records[3:]]
    file = warc(tmp_path / f"a{suffix}", spoiled)
    report = landed(tmp_path / "home", file)
    # Where no digest tells where the page ends, what follows may be its text (law 10).
    doubtful = suffix == ".warc" and records is BARE
    assert kept(tmp_path / "home") == ([0, 1] if doubtful else [0, 1, 3, 4, 5])
    parts = [gzip.compress(part, mtime=0) for part in spoiled] if suffix == ".warc.gz" else spoiled
    assert named(report, file) == [offsets(parts)[2], *([offsets(parts)[3]] if doubtful else [])]


@pytest.mark.parametrize("records", [RECORDS, BARE])
@pytest.mark.parametrize("at", [-4, -3, -2, -1])
def test_warc_with_a_damaged_end_of_a_record(tmp_path: Path, records: list[bytes], at: int) -> None:
    """The next record is found all the same; its neighbour lands where a digest vouches for its length."""
    spoiled = bytearray(records[2])
    spoiled[at] = 0
    file = warc(tmp_path / "a.warc", [*records[:2], bytes(spoiled), *records[3:]])
    report = landed(tmp_path / "home", file)
    assert kept(tmp_path / "home") == [0, 1, 3, 4, 5]
    assert named(report, file) == [offsets(records)[2]]


@pytest.mark.parametrize("records", [RECORDS, BARE])
def test_warc_with_a_damaged_beginning_of_a_record(tmp_path: Path, records: list[bytes]) -> None:
    file = warc(tmp_path / "a.warc", [*records[:2], b"X" + records[2][1:], *records[3:]])
    report = landed(tmp_path / "home", file)
    assert kept(tmp_path / "home") == ([0, 1, 3, 4, 5] if records is RECORDS else [0])
    assert set(named(report, file)) <= {*offsets(records)[1:4]}


def test_warc_in_one_gzip_member_with_a_wrong_length(tmp_path: Path) -> None:
    """Its place is told in what the member unpacks to."""
    file = tmp_path / "a.warc.gz"
    spoiled = [*RECORDS[:2], RECORDS[2].replace(LENGTH, b"Content-Length: 100000"), *RECORDS[3:]]
    file.write_bytes(gzip.compress(b"".join(spoiled)))
    report = landed(tmp_path / "home", file)
    assert kept(tmp_path / "home") == [0, 1, 3, 4, 5]
    assert named(report, file) == [0]
    assert f"at offset 0, {offsets(spoiled)[2]} bytes into its gzip member: " in report.problems[0].message


@pytest.mark.parametrize("suffix", [".warc", ".warc.gz"])
@pytest.mark.parametrize("digest", ["WARC_Block_Digest", "WARC_Payload_Digest"])
@pytest.mark.parametrize("value", [sha1(b"Synthetic"), "sha256:" + "0" * 64, "md5:" + "0" * 32, "sha1:"])
def test_warc_with_a_bad_digest(tmp_path: Path, suffix: str, digest: str, value: str) -> None:
    value = value if value != "sha1:" else "sha1:tooshort"
    records = [*RECORDS[:2], response(PAGES[2], **{digest: value}), *RECORDS[3:]]
    file = warc(tmp_path / f"a{suffix}", records)
    report = landed(tmp_path / "home", file)
    assert kept(tmp_path / "home") == [0, 1, 3, 4, 5]
    parts = [gzip.compress(part, mtime=0) for part in records] if suffix == ".warc.gz" else records
    assert named(report, file) == [offsets(parts)[2]]
    assert "digest is" in report.problems[0].message


def test_warc_with_digests_of_other_kinds(tmp_path: Path) -> None:
    block = answer(PAGES[0].body)
    digests = [f"sha256:{hashlib.sha256(block).hexdigest()}", f"md5:{hashlib.md5(block).hexdigest().upper()}"]
    digests += [sha1(block).lower(), "crc32:synthetic", "synthetic"]
    records = [record("response", PAGES[0].url, block, WARC_Block_Digest=digest) for digest in digests]
    report = landed(tmp_path / "home", warc(tmp_path / "a.warc", records))
    assert (report.problems, report.landed, report.already_held) == ((), 1, 4)


@pytest.mark.parametrize("end", [1, 30, 200, -60, -8, -1])
def test_warc_with_a_gzip_member_cut_in_the_middle_of_the_file(tmp_path: Path, end: int) -> None:
    parts = [gzip.compress(part, mtime=0) for part in RECORDS]
    parts[2] = parts[2][:end]
    file = tmp_path / "a.warc.gz"
    file.write_bytes(b"".join(parts))
    report = landed(tmp_path / "home", file)
    assert kept(tmp_path / "home") == [0, 1, 3, 4, 5]
    assert named(report, file) == [offsets(parts)[2]]
    assert f"the next record is at offset {offsets(parts)[3]}" in report.problems[0].message


@pytest.mark.parametrize("end", [-1, -9, -100, -250])
def test_warc_cut_at_its_end(tmp_path: Path, end: int) -> None:
    parts = [gzip.compress(part, mtime=0) for part in RECORDS]
    file = tmp_path / "a.warc.gz"
    file.write_bytes(b"".join(parts)[:end])
    report = landed(tmp_path / "home", file)
    assert kept(tmp_path / "home") == [0, 1, 2, 3, 4]
    assert named(report, file) == [offsets(parts)[5]]
    assert "the file ends inside this gzip member; no record follows" in report.problems[0].message


def test_warc_without_compression_cut_at_its_end(tmp_path: Path) -> None:
    file = tmp_path / "a.warc"
    for end, last in ((-10, 4), (-4, 5), (-len(RECORDS[5]) + 30, 4), (-len(RECORDS[5]), 4)):
        file.write_bytes(b"".join(RECORDS)[:end])
        report = landed(tmp_path / f"home{end}", file)
        assert kept(tmp_path / f"home{end}") == list(range(last + 1))
        assert named(report, file) == ([] if end in (-4, -len(RECORDS[5])) else [offsets(RECORDS)[5]])


def test_warc_in_one_gzip_member_cut(tmp_path: Path) -> None:
    pages = made(200, size=50)
    file = WRITERS["one-member.warc.gz"](tmp_path / "one-member.warc.gz", pages)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    report = landed(tmp_path / "home", file)
    assert list(payloads(tmp_path / "home").items()) == [(p.url, p.body) for p in pages[: report.landed]]
    assert 20 < report.landed < 180
    assert named(report, file) == [0]
    assert f"at offset 0, {sum(len(response(p)) for p in pages[: report.landed])} bytes" in report.problems[0].message


@pytest.mark.parametrize("name", ["a.warc", "a.warc.gz"])
@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "holds no WARC record"),
        (b"<html>Synthetic page</html>\n" * 9, ""),
        (b"\x1f\x8b\x08synthetic", ""),
        (gzip.compress(b"Synthetic text\n", mtime=0), "no WARC record begins here"),
        (b"WARC/1.1\r\nContent-Length: 5\r\n\r\nabcde\r\n\r\n", "lacks a WARC-Type"),
        (b"WARC/1.1\r\nno colon\r\n\r\n", "no colon"),
        (b"WARC/1.1\r\n" + b"a" * 300_000, "does not end"),
        (b"WARC/1.1\r\n" + b"a: b\r\n" * 60_000, "does not end"),
    ],
)
def test_what_is_no_warc_is_named(tmp_path: Path, name: str, data: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(data)
    report = landed(tmp_path / "home", tmp_path / name)
    assert report.landed == 0
    assert len(report.problems) == 1
    assert said in report.problems[0].message


def test_text_that_looks_like_a_record_is_none(tmp_path: Path) -> None:
    """A page may quote one: only a broken length leads into it."""
    quoting = Made(PAGES[0].url, b"<html>\r\n\r\n" + response(PAGES[1]) + b"</html>")
    file = warc(tmp_path / "a.warc", [response(quoting), response(PAGES[2])])
    assert landed(tmp_path / "home", file).problems == ()
    assert payloads(tmp_path / "home") == {PAGES[0].url: quoting.body, PAGES[2].url: PAGES[2].body}


def test_wrong_lengths_cost_no_endless_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Law 10: each of these records claims all that follow it."""
    monkeypatch.setattr("raw.warc_records._MAX_BACK_BYTES", 1 << 20)
    records = [part.replace(LENGTH, b"Content-Length: 100000") for part in RECORDS * 100]
    report = landed(tmp_path / "home", warc(tmp_path / "a.warc", records))
    assert report.landed == 0
    assert len(report.problems) < 30
    assert "what follows was not read" in report.problems[-1].message


# --- JSONL

LINES = lines(PAGES)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda line: line[:60] + b"\n", "is not a JSON object: Unterminated string"),
        (lambda line: line.replace(b"Synthetic", b"Synthetic \xff"), "can't decode byte 0xff"),
        (lambda line: line.replace(b"Synthetic", b"\\ud800"), "half a character"),
        (lambda line: line.replace(b'"url"', b'"address"'), "'url' must be"),
        (lambda line: line.replace(b"https://", b"no url"), "'url' must be"),
        (lambda line: line.replace(b'"html"', b'"body"'), "'html' or 'text' must hold the page"),
        (lambda line: line.replace(b'"html": ', b'"html": 5, "other": '), "'html' is 5"),
        (lambda line: line.replace(b"2026-01-05", b"yesterday"), "'fetched_at' must be"),
        (lambda line: line.replace(b'"2026-01-05T10:00:00Z"', b"1767607200"), "'fetched_at' must be"),
        (lambda line: line.replace(b"200", b'"fine"'), "'status' must be"),
        (lambda line: b"[" + line.strip() + b"]\n", "is not a JSON object, but a list"),
        (lambda line: b"[" * 100_000 + b"\n", "nested too deeply"),
        (lambda line: b"{" + b"9" * 5000 + b"\n", "is not a JSON object"),
    ],
)
def test_jsonl_with_a_bad_line(tmp_path: Path, spoil: Spoil, said: str) -> None:
    spoiled = [*LINES[:2], spoil(LINES[2]), *LINES[3:]]
    assert spoiled[2] != LINES[2]
    for name, pack in (("a.jsonl", bytes), ("a.jsonl.gz", gzip.compress), ("a.ndjson.zst", zstd)):
        (tmp_path / name).write_bytes(pack(b"".join(spoiled)))
        report = landed(tmp_path / f"home-{name}", tmp_path / name)
        assert kept(tmp_path / f"home-{name}") == [0, 1, 3, 4, 5]
        assert named(report, tmp_path / name) == [3]
        assert report.problems[0].message.startswith(f"line 3, at offset {offsets(LINES)[2]}")
        assert said in report.problems[0].message


def test_jsonl_cut_short(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(b"".join(LINES)[:-20])
    report = landed(tmp_path / "home", file)
    assert (kept(tmp_path / "home"), named(report, file)) == ([0, 1, 2, 3, 4], [6])
    file.write_bytes(b"\xef\xbb\xbf" + b"\n \n".join(LINES).rstrip())
    report = landed(tmp_path / "whole", file)
    assert (report.landed, report.problems) == (6, ())


@pytest.mark.parametrize(("name", "pack"), [("a.jsonl.gz", gzip.compress), ("a.jsonl.zst", zstd)])
def test_packed_jsonl_cut_short(tmp_path: Path, name: str, pack: Callable[[bytes], bytes]) -> None:
    pages = made(2000, size=20)
    packed = pack(b"".join(lines(pages)))
    (tmp_path / name).write_bytes(packed[: len(packed) // 2])
    report = landed(tmp_path / "home", tmp_path / name)
    assert list(payloads(tmp_path / "home").items()) == [(p.url, p.body) for p in pages[: report.landed]]
    assert report.landed > 500
    assert len(report.problems) == 1
    lost = report.problems[0].where or 0
    assert report.landed < lost <= report.landed + 20
    assert f"line {lost}, at offset " in report.problems[0].message
    assert "cut short or damaged from here on" in report.problems[0].message


def test_jsonl_with_an_endless_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raw.jsonl_input.MAX_LINE_BYTES", 100_000)
    file = tmp_path / "a.jsonl"
    file.write_bytes(LINES[0] + b'{"html": "' + b"a" * 300_000 + b'"}\n' + LINES[1] + b"a" * 100_001)
    report = landed(tmp_path / "home", file)
    assert (kept(tmp_path / "home"), named(report, file)) == ([0, 1], [2, 4])
    assert "longer than 100,000 bytes" in report.problems[0].message


# --- Parquet


def test_parquet_with_a_corrupt_row_group(tmp_path: Path) -> None:
    """The other row groups land."""
    file = parquet(tmp_path / "a.parquet", PAGES, row_group=2)
    chunk = pq.ParquetFile(file).metadata.row_group(1).column(1)
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    data = bytearray(file.read_bytes())
    data[start : start + chunk.total_compressed_size] = b"\xff" * chunk.total_compressed_size
    file.write_bytes(data)
    report = landed(tmp_path / "home", file)
    assert (kept(tmp_path / "home"), named(report, file)) == ([0, 1, 4, 5], [3])
    assert report.problems[0].message.startswith("row 3: this row and those up to 4 are lost")


@pytest.mark.parametrize("spoil", [lambda d: d[:-30], lambda d: d[: len(d) // 2], lambda d: b"", lambda d: b"x" * 99])
def test_parquet_cut_short(tmp_path: Path, spoil: Spoil) -> None:
    """Its index is at its end."""
    file = parquet(tmp_path / "a.parquet", PAGES)
    file.write_bytes(spoil(file.read_bytes()))
    report = landed(tmp_path / "home", file, WRITERS["pages.jsonl"](tmp_path / "pages.jsonl", PAGES))
    assert (report.landed, named(report, file)) == (6, [None])
    assert "is no Parquet file of pages" in report.problems[0].message


# --- whatever happens

Damage = st.tuples(
    st.sampled_from(["flip", "cut", "drop", "insert"]),
    st.floats(0, 1, exclude_max=True),
    st.binary(min_size=1, max_size=9),
)


def _damaged(data: bytes, damage: tuple[str, float, bytes]) -> tuple[bytes, int, int]:
    """The bytes, and the stretch of the original that was touched."""
    kind, share, noise = damage
    at = int(share * len(data))
    if kind == "cut":
        return data[:at], at, len(data)
    end = at if kind == "insert" else min(len(data), at + len(noise))
    return data[:at] + (b"" if kind == "drop" else noise) + data[end:], at, max(end, at + 1)


@given(name=st.sampled_from(sorted(WRITERS)), damage=Damage)
def test_damage_stops_nothing_and_is_named(name: str, damage: tuple[str, float, bytes]) -> None:
    """Pages whose bytes were not touched land or, where one stream holds all of them, the loss is named."""
    pages = made(5, size=3)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        file = WRITERS[name](folder / name, pages)
        original = file.read_bytes()
        data, start, end = _damaged(original, damage)
        file.write_bytes(data)
        report = landed(folder / "home", file)
        held = payloads(folder / "home")
    if name in ("pages.warc", "pages.warc.gz", "pages.jsonl", "pages.ndjson"):
        parts = lines(pages) if "json" in name else [response(page) for page in pages]
        parts = [gzip.compress(part, mtime=0) for part in parts] if name.endswith(".gz") else parts
        places = list(zip(pages, offsets(parts), parts, strict=True))
        # What follows a damaged record may be text of its page, where no ids tell: these records have none.
        in_doubt = ("may be text of the page before it", "no record follows")
        doubtful = [p.where or 0 for p in report.problems if any(words in p.message for words in in_doubt)]
        assert not doubtful or "warc" in name
        # A JSON line that lost its newline runs into the next.
        whole = [page for page, at, part in places if at + len(part) <= start or at >= end + ("json" in name)]
        # Places in the damaged file: what stands behind the damage has moved.
        moved = len(data) - len(original)
        read = [page for page, at, _ in places if at + (moved if at >= end else 0) < min([len(data), *doubtful])]
        assert all(held.get(page.url) == page.body for page in whole if page in read)
        named = len(whole) == len(pages) or (damage[0] == "cut" and start in offsets(parts)) or report.problems
    else:
        named = len(held) == len(pages) or report.problems
    # Without a checksum over all of it, a header or a name may become another that is as good.
    assert named or name in ("pages.warc", "pages.jsonl", "pages.ndjson") or len(held) == len(pages)
    if "warc" in name:
        assert {page.body for page in pages}.issuperset(held.values())
