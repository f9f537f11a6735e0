"""WARC files: exact bytes, records that other tools verify, and damage that is told."""

from __future__ import annotations

import gzip
import hashlib
import pickle
import random
import tempfile
import uuid
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from fastwarc.cli import main as fastwarc
from fastwarc.warc import ArchiveIterator as FastIterator
from hypothesis import example, given, settings
from hypothesis import strategies as st
from warcio.archiveiterator import ArchiveIterator
from warcio.cli import main as warcio

from raw.captures import Capture, read_captures
from raw.errors import PayloadTooLarge, RecordCorrupt
from raw.export import export
from raw.pages import is_url
from raw.warc import WarcFile, read_payload, record_type
from tests.raw.landing_zone import NO_LIMIT, PAGES, URL, landed, scraped, write_manifest, write_page

DATE = datetime(2026, 1, 5, 10, tzinfo=UTC)


def _capture(payload: bytes, url: str, status: int | None) -> Capture:
    digest = f"sha256:{hashlib.sha256(payload).hexdigest()}"
    kind = record_type(url, status)
    return Capture("r1", url, "local", DATE, status, "text/html", digest, len(payload), kind, "x.warc.gz")


def _written(home: Path, *pages: tuple[bytes, str, int | None]) -> list[Capture]:
    warc = WarcFile(home / "x.warc.gz", "x.warc.gz")
    captures = [warc.append(_capture(*page), BytesIO(page[0])) for page in pages]
    warc.close()
    return captures


URLS = st.one_of(
    st.sampled_from(["file:a.txt", "https://example.com/ü?q=1#code=1001T", "HTTP://EXAMPLE.COM/", "urn:x"]),
    st.from_regex(r"[a-z][a-z0-9+.-]*:\S{1,40}", fullmatch=True),
).filter(is_url)


@given(st.lists(st.tuples(st.binary(max_size=400), URLS, st.none() | st.integers(100, 999)), min_size=1, max_size=4))
@example([(b"HTTP/1.1 200 OK\r\n\r\n", "https://example.com/", None), (b"\r\n\r\nWARC/1.1\r\n", "file:x", 200)])
@example([(b"", "https://example.com/", 200), (b"", "file:x", None)])
@settings(deadline=None)
def test_any_bytes_at_any_url_come_back(pages: list[tuple[bytes, str, int | None]]) -> None:
    """Law 2. And warcio and FastWARC read the same records, with good digests."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        captures = _written(home, *pages)
        for capture, (payload, _, _) in zip(captures, pages, strict=True):
            assert read_payload(home, "x.warc.gz", capture.offset, len(payload)) == payload
        assert captures[-1].offset + captures[-1].length == (home / "x.warc.gz").stat().st_size
        expected = [(c.offset, c.record_type, c.url, p) for c, (p, _, _) in zip(captures, pages, strict=True)]
        assert _read_by_warcio(home / "x.warc.gz") == expected
        assert _read_by_fastwarc(home / "x.warc.gz") == expected


def _read_by_warcio(path: Path) -> list[tuple[int, str, str, bytes]]:
    found = []
    with path.open("rb") as stream:
        records = ArchiveIterator(stream, check_digests="raise")
        for record in records:
            url, payload = record.rec_headers.get_header("WARC-Target-URI"), record.content_stream().read()
            found.append((records.get_record_offset(), record.rec_type, url, payload))
    assert found[0][1] == "warcinfo"
    return found[1:]


def _read_by_fastwarc(path: Path) -> list[tuple[int, str, str, bytes]]:
    found = []
    for record in FastIterator(str(path), parse_http=True):
        kind = record.headers.get("WARC-Type")
        if kind == "response":
            assert record.verify_payload_digest()
        found.append((record.stream_pos, kind, record.headers.get("WARC-Target-URI"), record.reader.read()))
    assert all(record.verify_block_digest() for record in FastIterator(str(path), parse_http=False))
    assert found[0][1] == "warcinfo"
    return found[1:]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Two runs: responses, resources, and a revisit of each."""
    pages = scraped(tmp_path / "pages")
    landed(tmp_path / "home", pages, run_id="20260301T120000Z-0001")
    write_manifest(
        pages,
        {"file": "2026-01/0001T.html", "url": URL + "0001T", "fetched_at": "2026-02-05T10:00:00Z", "status": 200},
        {"file": "2026-01/0002T.htm", "url": URL + "0002T", "fetched_at": "2026-02-05T10:00:00Z"},
    )
    landed(tmp_path / "home", pages, run_id="20260302T120000Z-0002")
    return tmp_path / "home"


def test_other_tools_verify_what_was_landed(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = sorted(home.glob("raw/warc/*/*.warc.gz"))
    assert len(files) == 3
    for file in files:
        _verified_by_other_tools(file, capsys)


def test_other_tools_agree_on_every_kind_of_record(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Landed and exported: a 304, a page without bytes, a large one, beside responses, resources and revisits."""
    kinds = tmp_path / "kinds"
    write_page(kinds / "big.html", random.Random(1).randbytes(1 << 16) * 48)
    write_page(kinds / "empty.html", b"")
    day = "2026-02-06T10:00:00Z"
    write_manifest(
        kinds,
        {"file": "empty.html", "url": URL + "0001T", "fetched_at": day, "status": 304},
        {"file": "empty.html", "url": URL + "0002T", "fetched_at": day, "status": 304},
        {"file": "empty.html", "url": URL + "0006T", "fetched_at": day, "status": 410},
        {"file": "big.html", "url": URL + "0007T", "fetched_at": day, "status": 200},
    )
    landed(home, kinds, run_id="20260303T120000Z-0003")
    export(home, tmp_path / "out.warc.gz")
    landed(tmp_path / "again", tmp_path / "out.warc.gz")
    for place, rows in ((home, read_captures(home)), (tmp_path / "again", read_captures(tmp_path / "again"))):
        assert rows["record_type"].to_pylist().count("revisit") == 4
        for name in rows["file"].unique().to_pylist():
            _verified_by_other_tools(place / name, capsys)
            of_file = [row for row in rows.to_pylist() if row["file"] == name]
            expected = [(row["offset"], row["record_type"], row["url"], _payload(place, row)) for row in of_file]
            assert _read_by_warcio(place / name) == expected
            assert _read_by_fastwarc(place / name) == expected
    _verified_by_other_tools(tmp_path / "out.warc.gz", capsys)
    assert [record[1:] for record in _read_by_fastwarc(tmp_path / "out.warc.gz")] == [
        record[1:] for record in _read_by_warcio(tmp_path / "out.warc.gz")
    ]


def _payload(home: Path, row: dict[str, Any]) -> bytes:
    return b"" if row["record_type"] == "revisit" else read_payload(home, row["file"], row["offset"], NO_LIMIT)


def _verified_by_other_tools(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        warcio(["check", "-v", str(file)])
    told = capsys.readouterr()
    assert ended.value.code == 0, told.out
    assert "digest pass" in told.out
    assert told.err == ""
    checked = CliRunner().invoke(fastwarc, ["check", "--quiet", str(file)])
    assert checked.exit_code == 0, checked.output


def test_a_flipped_byte_fails_in_other_tools_too(home: Path) -> None:
    """The checks above can fail."""
    file = next(home.glob("raw/warc/codingahead/*.warc.gz"))
    members = gzip.decompress(file.read_bytes())
    file.write_bytes(gzip.compress(members.replace(b"Synthetic page", b"Synthetic Page")))
    assert CliRunner().invoke(fastwarc, ["check", "--quiet", str(file)]).exit_code == 1


def test_revisits_refer_to_the_capture_that_holds_the_bytes(home: Path) -> None:
    rows = [row for row in read_captures(home).to_pylist() if row["record_type"] == "revisit"]
    assert [row["url"] for row in rows] == [URL + "0001T", URL + "0002T"]
    dates = {URL + "0001T": "2026-01-05T10:00:00Z", URL + "0002T": "2026-01-05T08:00:00.250000Z"}
    with (home / rows[0]["file"]).open("rb") as stream:
        records = [record for record in ArchiveIterator(stream) if record.rec_type == "revisit"]
    for record, row in zip(records, rows, strict=True):
        headers = dict(record.rec_headers.headers)
        assert headers["WARC-Date"] == "2026-02-05T10:00:00Z"
        assert headers["WARC-Profile"].endswith("/warc/1.1/revisit/identical-payload-digest")
        assert headers["WARC-Refers-To-Target-URI"] == row["url"]
        assert headers["WARC-Refers-To-Date"] == dates[row["url"]]
        assert headers["WARC-Payload-Digest"] == row["digest"]
    assert records[0].http_headers.get_statuscode() == "200"
    with pytest.raises(RecordCorrupt, match="a revisit record, which holds no payload"):
        read_payload(home, rows[0]["file"], rows[0]["offset"], NO_LIMIT)


def test_a_record_is_named_by_what_was_captured(tmp_path: Path) -> None:
    """The same capture has the same id for ever: the version 5 UUID of its kind, status, date, digest and address."""
    [capture] = _written(tmp_path, (b"Synthetic page", URL + "\u00e9", 200))
    with (tmp_path / "x.warc.gz").open("rb") as stream:
        *_, record = ArchiveIterator(stream)
    name = f"response 200 {record.rec_headers.get_header('WARC-Date')} {capture.digest} {capture.url}"
    told = record.rec_headers.get_header("WARC-Record-ID")
    assert told == f"<urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, name)}>"


def test_offsets_and_lengths_tell_each_record_of_a_file(tmp_path: Path) -> None:
    """Small records are deflated otherwise than large ones: each is one whole gzip member, and nothing lies between."""
    pages = [(bytes(range(256)) * size, f"{URL}{size}", 200) for size in (0, 1, 4, 6, 8, 400)]
    captures = _written(tmp_path, *pages)
    data = (tmp_path / "x.warc.gz").read_bytes()
    for capture, (payload, _, _) in zip(captures, pages, strict=True):
        assert payload in gzip.decompress(data[capture.offset : capture.offset + capture.length])
    ends = [capture.offset + capture.length for capture in captures]
    assert ends == [*(capture.offset for capture in captures[1:]), len(data)]


def test_what_has_no_place_in_warc_or_http_is_in_headers_of_our_own(tmp_path: Path) -> None:
    """Where it is known, and nowhere else; other tools read past it."""
    page = b"Synthetic page"
    told = {"requested_url": "https://example.com/\u00fc", "etag": '"7"', "last_modified": "x\r\ny"}
    warc = WarcFile(tmp_path / "x.warc.gz", "x.warc.gz")
    for url, more in ((URL + "1", told), ("urn:x", told), (URL + "2", {}), ("urn:y", {})):
        status = 200 if more or url.startswith("http") else None
        warc.append(_capture(page, url, status)._replace(**more), BytesIO(page))
    warc.close()
    with (tmp_path / "x.warc.gz").open("rb") as stream:
        found = [
            {name[7:]: value for name, value in record.rec_headers.headers if name.startswith("WARC-X-")}
            for record in ArchiveIterator(stream, check_digests="raise")
        ]
    requested = {"Requested-URI": "https://example.com/\u00fc"}
    urn = requested | {"Status": "200", "ETag": '"7"', "Last-Modified": "x%0D%0Ay"}
    assert found == [{}, requested, urn, {}, {}]
    assert [payload for *_, payload in _read_by_fastwarc(tmp_path / "x.warc.gz")] == [page] * 4


def test_each_file_begins_with_warcinfo(home: Path) -> None:
    for file in home.glob("raw/warc/*/*.warc.gz"):
        with file.open("rb") as stream:
            record = next(iter(ArchiveIterator(stream)))
            assert (record.rec_type, record.rec_headers.protocol) == ("warcinfo", "WARC/1.1")
            assert record.rec_headers.get_header("WARC-Filename") == file.name
            assert b"format: WARC File Format 1.1\r\n" in record.content_stream().read()


def test_a_payload_over_the_limit_is_not_inflated(tmp_path: Path) -> None:
    """Law 10: a gzip bomb costs the limit."""
    [capture] = _written(tmp_path, (bytes(20_000_000), "https://example.com/", 200))
    assert capture.length < 50_000
    with pytest.raises(PayloadTooLarge, match="20,000,000 bytes, over the limit of 1,000") as raised:
        read_payload(tmp_path, "x.warc.gz", capture.offset, 1_000)
    assert (raised.value.file, raised.value.offset) == ("x.warc.gz", capture.offset)
    assert len(read_payload(tmp_path, "x.warc.gz", capture.offset, 20_000_000)) == 20_000_000


def test_a_record_that_holds_more_than_it_tells_is_corrupt(tmp_path: Path) -> None:
    [capture] = _written(tmp_path, (bytes(2_000_000), "file:x.html", None))
    file = tmp_path / "x.warc.gz"
    data = file.read_bytes()
    record = gzip.decompress(data[capture.offset :]).replace(b"Content-Length: 2000000", b"Content-Length: 200")
    file.write_bytes(data[: capture.offset] + gzip.compress(record))
    with pytest.raises(RecordCorrupt, match="200 bytes and not the"):
        read_payload(tmp_path, "x.warc.gz", capture.offset, 1_000)


def test_damage_is_told_wherever_it_is(tmp_path: Path) -> None:
    """Law 11: each flipped or lost byte gives a typed error with file and offset, never wrong bytes."""
    payload = PAGES["2026-02/0005T.html"]
    [capture] = _written(tmp_path, (payload, "https://example.com/", 200))
    intact = (tmp_path / "x.warc.gz").read_bytes()
    chance = random.Random(7)
    unharmed = set()
    for place in range(capture.offset, len(intact)):
        flipped = bytearray(intact)
        flipped[place] ^= 1 << chance.randrange(8)
        if _read_damaged(tmp_path, bytes(flipped), capture.offset) is not None:
            unharmed.add(place - capture.offset)
            assert _read_damaged(tmp_path, bytes(flipped), capture.offset) == payload
        assert _read_damaged(tmp_path, intact[:place], capture.offset) is None
    # Bytes that may change nothing. In a gzip header: the text flag, time, extra flags, operating system. And the
    # last one before the checksum and the size (8 bytes), whose bits after the end of the data are padding.
    assert unharmed <= {*range(3, 10), capture.length - 9}


def _read_damaged(home: Path, data: bytes, offset: int) -> bytes | None:
    (home / "x.warc.gz").write_bytes(data)
    try:
        return read_payload(home, "x.warc.gz", offset, NO_LIMIT)
    except RecordCorrupt as error:
        return None if (error.file, error.offset) == ("x.warc.gz", offset) else b"a wrong place"


def test_a_valid_member_with_another_payload_is_corrupt(tmp_path: Path) -> None:
    [capture] = _written(tmp_path, (b"Synthetic page", "https://example.com/", 200))
    file = tmp_path / "x.warc.gz"
    data = file.read_bytes()
    record = gzip.decompress(data[capture.offset :]).replace(b"Synthetic page", b"Synthetic fake")
    file.write_bytes(data[: capture.offset] + gzip.compress(record))
    with pytest.raises(RecordCorrupt, match=r"bytes with the digest sha256:[0-9a-f]{64}, not sha256:"):
        read_payload(tmp_path, "x.warc.gz", capture.offset, NO_LIMIT)


@pytest.mark.parametrize(
    ("file", "offset", "found"),
    [
        ("gone.warc.gz", 0, "No such file"),
        ("x.warc.gz", 0, "a warcinfo record"),
        ("x.warc.gz", 1, "incorrect header check"),
        ("x.warc.gz", 1 << 30, "the file ends before the record does"),
        ("text.gz", 0, "Invalid WARC record"),
        ("no_url.gz", 0, "NoneType"),
        ("no_length.gz", 0, "bytes and not the 0"),
    ],
)
def test_a_wrong_place_is_told(tmp_path: Path, file: str, offset: int, found: str) -> None:
    _written(tmp_path, (b"Synthetic page", "https://example.com/", 200))
    (tmp_path / "text.gz").write_bytes(gzip.compress(b"Synthetic line\n"))
    (tmp_path / "no_url.gz").write_bytes(
        gzip.compress(b"WARC/1.1\r\nWARC-Type: response\r\nContent-Length: 3\r\n\r\nabc")
    )
    (tmp_path / "no_length.gz").write_bytes(
        gzip.compress(b"WARC/1.1\r\nWARC-Type: resource\r\nWARC-Target-URI: file:x\r\n\r\nabc")
    )
    with pytest.raises(RecordCorrupt, match=found) as raised:
        read_payload(tmp_path, file, offset, NO_LIMIT)
    assert str(raised.value).startswith(f"cannot read the page in {file} at offset {offset}: ")


@pytest.mark.parametrize(
    "error", [PayloadTooLarge("a.warc.gz", 12, 2_000, 1_000), RecordCorrupt("a.warc.gz", 12, "nothing")]
)
def test_errors_pass_between_processes(error: PayloadTooLarge | RecordCorrupt) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))
    assert not copy.retry_helps
