"""WARC files of others: what is a page in them, in what coding, and where a revisit's bytes are."""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path

import brotli
import pytest
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from raw.captures import read_captures
from tests.raw.containers import Made, answer, made, record, response, sha1, warc
from tests.raw.landing_zone import URL, landed, payloads

BODY = b"<html><p>Synthetic page, \xe2\x80\x9cquoted\x94, of no known charset</p></html>" * 3
FIRST, SECOND = "20260301T120000Z-0001", "20260301T120000Z-0002"


def chunked(body: bytes, size: int = 7) -> bytes:
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x;name=value\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\nTrailer: one\r\n\r\n"


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (BODY, {}),
        (chunked(BODY), {"Transfer_Encoding": "chunked"}),
        (gzip.compress(BODY, mtime=0), {"Content_Encoding": "gzip"}),
        (gzip.compress(BODY[:50], mtime=0) + gzip.compress(BODY[50:], mtime=0), {"Content_Encoding": "x-gzip"}),
        (zlib.compress(BODY), {"Content_Encoding": "deflate"}),
        (raw_deflate(BODY), {"Content_Encoding": "deflate"}),
        (brotli.compress(BODY), {"Content_Encoding": "br"}),
        (chunked(gzip.compress(BODY, mtime=0)), {"Transfer_Encoding": "chunked", "Content_Encoding": "gzip"}),
        (gzip.compress(brotli.compress(BODY), mtime=0), {"Content_Encoding": "br, gzip"}),
        # Common Crawl and others undo the coding, and leave the header.
        (BODY, {"Transfer_Encoding": "chunked", "Content_Encoding": "gzip"}),
        (BODY, {"Content_Encoding": "deflate"}),
        (BODY, {"Content_Encoding": "br"}),
        (BODY, {"Content_Encoding": "identity", "Content_Length": "99999"}),
    ],
)
def test_a_body_is_landed_without_its_codings(tmp_path: Path, body: bytes, headers: dict[str, str]) -> None:
    file = warc(tmp_path / "a.warc.gz", [record("response", URL + "0001T", answer(body, **headers))])
    assert landed(tmp_path / "home", file).problems == ()
    assert payloads(tmp_path / "home") == {URL + "0001T": BODY}


@pytest.mark.parametrize("digest_of", [lambda raw: raw, lambda raw: gzip.compress(BODY, mtime=0), lambda raw: BODY])
def test_a_payload_digest_may_be_of_any_stage_of_the_body(tmp_path: Path, digest_of) -> None:
    """Archives do not agree on it: with the chunks, without them, or without the content coding."""
    body = chunked(gzip.compress(BODY, mtime=0))
    block = answer(body, Transfer_Encoding="chunked", Content_Encoding="gzip")
    good = record("response", URL + "0001T", block, WARC_Payload_Digest=sha1(digest_of(body)))
    bad = record("response", URL + "0002T", block, WARC_Payload_Digest=sha1(b"Synthetic"))
    report = landed(tmp_path / "home", warc(tmp_path / "a.warc", [good, bad]))
    assert list(payloads(tmp_path / "home")) == [URL + "0001T"]
    assert [problem.where for problem in report.problems] == [len(good)]
    assert "payload digest" in report.problems[0].message


@pytest.mark.parametrize(
    ("body", "headers", "said"),
    [
        (chunked(BODY)[:-40], {"Transfer_Encoding": "chunked"}, "chunked body is cut short"),
        (b"5\r\nabcdeXX3\r\nabc\r\n0\r\n\r\n", {"Transfer_Encoding": "chunked"}, "chunks are damaged"),
        (gzip.compress(BODY, mtime=0)[:-9], {"Content_Encoding": "gzip"}, "compressed body is cut short"),
        (
            gzip.compress(BODY, mtime=0)[:40] + b"XX" + gzip.compress(BODY, mtime=0)[42:],
            {"Content_Encoding": "gzip"},
            "damaged",
        ),
        (zlib.compress(BODY)[:-5], {"Content_Encoding": "deflate"}, "cut short"),
        (brotli.compress(BODY)[:-5], {"Content_Encoding": "br"}, "cut short"),
        (b"\x00\x01\x02\xff", {"Content_Encoding": "gzip"}, "is 'gzip', and its body is not"),
        (BODY, {"Content_Encoding": "synthetic"}, "'synthetic' is not known here"),
    ],
)
def test_a_body_that_cannot_be_decoded_is_named(
    tmp_path: Path, body: bytes, headers: dict[str, str], said: str
) -> None:
    bad = record("response", URL + "0001T", answer(body, **headers))
    good = response(Made(URL + "0002T", BODY))
    report = landed(tmp_path / "home", warc(tmp_path / "a.warc", [bad, good]))
    assert list(payloads(tmp_path / "home")) == [URL + "0002T"]
    assert [problem.where for problem in report.problems] == [0]
    assert "at offset 0: " in report.problems[0].message
    assert said in report.problems[0].message


def test_a_bomb_is_named_and_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raw.warc_input.MAX_PAGE_BYTES", 100_000)
    bomb = record("response", URL + "0001T", answer(gzip.compress(bytes(1 << 24)), Content_Encoding="gzip"))
    large = record("response", URL + "0002T", answer(b"Synthetic" * 20_000))
    good = response(Made(URL + "0003T", BODY))
    report = landed(tmp_path / "home", warc(tmp_path / "a.warc", [bomb, large, good]))
    assert list(payloads(tmp_path / "home")) == [URL + "0003T"]
    assert [problem.where for problem in report.problems] == [0, len(bomb)]
    assert all("more than 100,000 bytes" in p.message or "limit of 100,000" in p.message for p in report.problems)


def test_what_is_no_page_is_passed_over(tmp_path: Path) -> None:
    """A crawler's archive holds its requests and its notes, and the pictures and redirects that it met."""
    http = "https://www.codingahead.com/"
    request = record("request", URL + "1", b"GET / HTTP/1.1\r\n\r\n", Content_Type="application/http; msgtype=request")
    passed = [
        record("warcinfo", "", b"software: Synthetic\r\n", Content_Type="application/warc-fields"),
        request,
        record("metadata", URL + "1", b"fetchTimeMs: 1\r\n", Content_Type="application/warc-fields"),
        record("response", "dns:www.codingahead.com", b"20260105\nSynthetic", Content_Type="text/dns"),
        record("resource", "metadata://gnu.org/software/wget/warc/MANIFEST.txt", b"<urn>", Content_Type="text/plain"),
        record("resource", "urn:X-wget:log", b"Synthetic log", Content_Type="text/plain"),
        record("response", http + "robots.txt", answer(b"User-agent: *", Content_Type="text/plain")),
        record("response", http + "logo.png", answer(b"\x89PNG", Content_Type="image/png")),
        record("response", http + "style.css", answer(b"p {}", Content_Type="text/css")),
        record("response", http + "data", answer(b"{}", Content_Type="application/json")),
        record("response", http + "nothing", answer(b"Synthetic", Content_Type="")),
        record("response", http + "logo.png", answer(b"", 304, Content_Type="")),
        record("revisit", http + "logo.png", b"", WARC_Payload_Digest=sha1(b"\x89PNG"), Content_Type=None),
        *(record("response", f"{http}{s}", answer(b"<html>", s)) for s in (100, 301, 302, 303, 307, 308)),
        record("synthetic", http, b"of a kind that nobody knows"),
    ]
    report = landed(tmp_path / "home", warc(tmp_path / "a.warc.gz", passed))
    assert (report.landed, report.revisits) == (0, 0)
    told = {"another media type": 6, "redirect": 6, "robots.txt, or no address of a page": 4}
    assert report.passed_over == told
    # That is no success without a word.
    assert [problem.message for problem in report.problems] == [
        "holds no page: 16 records were passed over (another media type: 6, redirect: 6, robots.txt, or no address of "
        "a page: 4)"
    ]
    both = landed(tmp_path / "both", warc(tmp_path / "b.warc.gz", [*passed, response(Made(URL + "1", BODY))]))
    assert (both.problems, both.landed, both.passed_over) == ((), 1, told)


def test_extracts_are_told_from_pages(tmp_path: Path) -> None:
    extract = record("conversion", URL + "0001T", b"Synthetic extract", Content_Type="text/plain")
    report = landed(tmp_path / "home", warc(tmp_path / "a.warc.wet.warc.gz", [extract, extract]))
    assert [problem.where for problem in report.problems] == [None]
    assert "land the WARC that they came from" in report.problems[0].message


def test_statuses_and_media_types_are_kept(tmp_path: Path) -> None:
    """404 and 410 are captures too."""
    pages = [
        record("response", URL + "1", answer(BODY, 404)),
        record("response", URL + "2", answer(b"", 410, Content_Type="")),
        record("response", URL + "3", answer(BODY, 403, Content_Type="TEXT/HTML")),
        record("response", URL + "4", answer(b"Synthetic", Content_Type="text/plain; charset=latin-1", ETag='"one"')),
        record("response", URL + "5", answer(b"\n <!DOCTYPE html><p>", Content_Type="")),
        record("response", "https://stranger.example/6", answer(b"# Synthetic", Content_Type="text/markdown")),
        record("resource", URL + "7", b"<html>", Content_Type="application/xhtml+xml"),
        record("resource", "file:folder/8.html", b"<html>"),
        record("response", f"<{URL}9>", answer(BODY).replace(b"HTTP/1.1 200 Synthetic", b"HTTP/2 200")),
    ]
    report = landed(tmp_path / "home", warc(tmp_path / "a.warc.gz", pages))
    assert report.problems == ()
    rows = read_captures(tmp_path / "home", ["url", "status", "media_type", "etag"]).to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        (URL + "1", 404, "text/html", None),
        (URL + "2", 410, "text/html", None),
        (URL + "3", 403, "text/html", None),
        (URL + "4", 200, "text/plain", '"one"'),
        (URL + "5", 200, "text/html", None),
        ("https://stranger.example/6", 200, "text/markdown", None),
        (URL + "7", None, "application/xhtml+xml", None),
        ("file:folder/8.html", None, "text/html", None),
        (URL + "9", 200, "text/html", None),
    ]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (record("response", URL + "1", b"Synthetic and no HTTP"), "HTTP header cannot be read"),
        (record("response", URL + "1", b"HTTP/1.1 OK\r\n\r\n<html>"), "HTTP header cannot be read"),
        (record("response", URL + "1", b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n<html>"), "HTTP header cannot be read"),
        (record("response", URL + "1", answer(BODY, 206)), "part of a page"),
        (record("response", URL + "1", answer(BODY), WARC_Segment_Number="1"), "part of a page"),
        (record("response", "", answer(BODY)), "WARC-Target-URI"),
        (record("response", URL + "1 2", answer(BODY)), "WARC-Target-URI' must be an absolute URL"),
        (record("response", URL + "1", answer(BODY), "yesterday"), "WARC-Date"),
        (record("response", URL + "1", answer(BODY), WARC_Date=None), "WARC-Date"),
        (record("response", URL + "1", answer(BODY), "1970-01-01T00:00:00Z"), "must lie between"),
    ],
)
def test_a_record_that_cannot_be_landed_is_named(tmp_path: Path, bad: bytes, said: str) -> None:
    good = response(Made(URL + "0002T", BODY))
    report = landed(tmp_path / "home", warc(tmp_path / "a.warc", [good, bad]))
    assert report.landed == 1
    assert [problem.where for problem in report.problems] == [len(good)]
    assert f"at offset {len(good)}: " in report.problems[0].message
    assert said.replace("URI'", "URI") in report.problems[0].message


@pytest.mark.parametrize(
    "block",
    [
        answer(BODY),
        answer(chunked(BODY + b"Synthetic rest")[: len(chunked(BODY)) - 40], Transfer_Encoding="chunked"),
    ],
)
def test_a_page_that_its_crawler_cut_lands_and_is_told(tmp_path: Path, block: bytes) -> None:
    """Its parser knows a cut page; law 3: what it does not show, it changes nothing of."""
    file = warc(tmp_path / "a.warc.gz", [record("response", URL + "1", block, WARC_Truncated="length")])
    report = landed(tmp_path / "home", file)
    assert report.landed == 1
    assert BODY.startswith(payloads(tmp_path / "home")[URL + "1"][: len(BODY) - 50])
    assert "WARC-Truncated: 'length'" in report.problems[0].message


def test_a_file_that_warcio_wrote_lands(tmp_path: Path) -> None:
    with (tmp_path / "a.warc.gz").open("wb") as stream:
        writer = WARCWriter(stream, gzip=True)
        writer.write_record(writer.create_warcinfo_record("a.warc.gz", {"software": "Synthetic"}))
        headers = StatusAndHeaders("200 OK", [("Content-Type", "text/html")], protocol="HTTP/1.0")
        writer.write_record(writer.create_warc_record(URL + "1", "response", io.BytesIO(BODY), http_headers=headers))
        date = {"WARC-Date": "2026-01-05T10:00:00Z"}
        revisit = writer.create_revisit_record(
            URL + "2", "sha1:SYNTHETIC", URL + "3", "2026-01-05T10:00:00Z", headers, date
        )
        writer.write_record(
            writer.create_warc_record(
                URL + "3", "response", io.BytesIO(BODY), http_headers=headers, warc_headers_dict=date
            )
        )
        writer.write_record(revisit)
    report = landed(tmp_path / "home", tmp_path / "a.warc.gz")
    assert (report.landed, report.problems) == (3, ())
    assert payloads(tmp_path / "home") == dict.fromkeys((URL + "1", URL + "2", URL + "3"), BODY)


# --- revisits


def revisit(url: str, date: str, of: str | None = None, fetched: str | None = None, **more: str | None) -> bytes:
    told = {"WARC_Refers_To_Target_URI": of, "WARC_Refers_To_Date": fetched, "WARC_Payload_Digest": sha1(BODY)} | more
    profile = "http://netpreserve.org/warc/1.0/revisit/identical-payload-digest"
    return record("revisit", url, answer(b""), date, **{"WARC_Profile": profile, **told})


JANUARY, FEBRUARY, MARCH = (f"2026-0{month}-05T10:00:00Z" for month in (1, 2, 3))
PAGE = Made(URL + "1", BODY, JANUARY)
NOW = "20260401T120000Z"


@pytest.mark.parametrize("files", [1, 2, 3])
def test_a_revisit_finds_its_bytes_wherever_they_landed(tmp_path: Path, files: int) -> None:
    """In the same file, in another of the same run, or in the home."""
    home = tmp_path / "home"
    later = [
        revisit(PAGE.url, FEBRUARY, PAGE.url, JANUARY),
        revisit(URL + "2", FEBRUARY, PAGE.url, JANUARY),
        revisit(URL + "2", MARCH, URL + "2", FEBRUARY),
    ]
    if files == 1:
        report = landed(home, warc(tmp_path / "a.warc.gz", [response(PAGE), *later]))
        counts = (report.landed, report.revisits)
    else:
        inputs = [warc(tmp_path / "a.warc.gz", [response(PAGE)]), warc(tmp_path / "b.warc", later)]
        runs = [inputs] if files == 2 else [[file] for file in inputs]
        reports = [landed(home, *run, run_id=f"{NOW}-000{n}") for n, run in enumerate(runs)]
        report = reports[-1]
        counts = (sum(r.landed for r in reports), sum(r.revisits for r in reports))
    assert (*counts, report.problems) == (2, 2, ())
    assert payloads(home) == {PAGE.url: BODY, URL + "2": BODY}
    rows = read_captures(home, ["url", "fetched_at", "record_type", "media_type", "status"]).to_pylist()
    assert [(row["url"][-1], row["fetched_at"].month, row["record_type"]) for row in rows] == [
        ("1", 1, "response"),
        ("1", 2, "revisit"),
        ("2", 2, "response"),
        ("2", 3, "revisit"),
    ]
    assert {(row["media_type"], row["status"]) for row in rows} == {("text/html", 200)}


def test_revisits_land_once(tmp_path: Path) -> None:
    """Law 5."""
    records = [response(PAGE), revisit(PAGE.url, FEBRUARY, PAGE.url, JANUARY), revisit(URL + "2", MARCH, PAGE.url)]
    file = warc(tmp_path / "a.warc.gz", records)
    landed(tmp_path / "home", file, run_id=FIRST)
    again = landed(tmp_path / "home", file, run_id=SECOND)
    assert (again.landed, again.revisits, again.already_held, again.problems) == (0, 0, 3, ())


def test_a_revisit_of_what_is_not_held_says_what_to_land_first(tmp_path: Path) -> None:
    file = warc(tmp_path / "a.warc", [revisit(URL + "2", FEBRUARY, PAGE.url, JANUARY), response(Made(URL + "3", BODY))])
    report = landed(tmp_path / "home", file)
    assert report.landed == 1
    assert [problem.where for problem in report.problems] == [0]
    said = report.problems[0].message
    assert f"a capture of {PAGE.url} of 2026-01-05T10:00:00+00:00, and none such is held. Land the file that" in said


def test_a_revisit_of_another_date_than_any_that_is_held_takes_no_other_bytes(tmp_path: Path) -> None:
    """Law 2."""
    file = warc(tmp_path / "a.warc.gz", [response(PAGE), revisit(PAGE.url, MARCH, PAGE.url, FEBRUARY)])
    report = landed(tmp_path / "home", file)
    assert (report.landed, report.revisits, len(report.problems)) == (1, 0, 1)


def test_a_revisit_that_tells_no_address_goes_by_the_payload_digest(tmp_path: Path) -> None:
    """As wget writes them: within one file."""
    lost = revisit(URL + "3", MARCH, WARC_Payload_Digest=sha1(b"Synthetic"))
    file = warc(tmp_path / "a.warc.gz", [response(PAGE), revisit(URL + "2", FEBRUARY), lost])
    report = landed(tmp_path / "home", file)
    assert payloads(tmp_path / "home") == {PAGE.url: BODY, URL + "2": BODY}
    assert [f"with the digest {sha1(b'Synthetic')}, and none" in problem.message for problem in report.problems] == [
        True
    ]


def test_a_digest_of_another_archive_leads_to_bytes_of_the_same_address_in_the_home(tmp_path: Path) -> None:
    """As wget --warc-dedup writes them: in a later file."""
    landed(tmp_path / "home", warc(tmp_path / "first.warc.gz", [response(PAGE)]))
    told = {"WARC_Payload_Digest": sha1(BODY)}
    second = warc(tmp_path / "second.warc.gz", [revisit(PAGE.url, MARCH, **told), revisit(URL + "2", MARCH, **told)])
    report = landed(tmp_path / "home", second, run_id="20260302T120000Z-0002")
    assert (report.landed, report.revisits, len(report.problems)) == (0, 1, 1)
    assert payloads(tmp_path / "home") == {PAGE.url: BODY}


def test_a_revisit_confirms_no_bytes_of_its_moment_with_another_digest(tmp_path: Path) -> None:
    """Two captures of one moment: the digest tells which is meant, and none is, where neither has it."""
    other = Made(PAGE.url, b"<html>Synthetic other page</html>", JANUARY)
    lost = revisit(PAGE.url, MARCH, PAGE.url, JANUARY, WARC_Payload_Digest=f"sha256:{'0' * 64}")
    report = landed(tmp_path / "home", warc(tmp_path / "a.warc.gz", [response(PAGE), response(other), lost]))
    assert (report.landed, report.revisits, len(report.problems)) == (2, 0, 1)


def test_a_revisit_that_tells_a_record_goes_by_it(tmp_path: Path) -> None:
    """A redirect may have the same, empty payload; and wget tells of a revisit's block the digest of no bytes."""
    empty = Made(PAGE.url, b"", JANUARY, 404)
    redirect = record("response", URL + "0", answer(b"", 301), WARC_Payload_Digest=sha1(b""))
    told = {"WARC_Refers_To": "<urn:synthetic>", "WARC_Payload_Digest": sha1(b""), "WARC_Block_Digest": sha1(b"")}
    records = [redirect, response(empty, WARC_Record_ID="<urn:synthetic>"), revisit(PAGE.url, FEBRUARY, **told)]
    report = landed(tmp_path / "home", warc(tmp_path / "a.warc.gz", records))
    assert (report.landed, report.revisits, report.problems) == (1, 1, ())


def test_our_own_archive_lands_in_another_home(tmp_path: Path) -> None:
    """Digests in it are ours: a revisit is found by its digest alone."""
    records = [response(PAGE), revisit(PAGE.url, FEBRUARY, PAGE.url, JANUARY), revisit(URL + "2", MARCH, PAGE.url)]
    landed(tmp_path / "one", warc(tmp_path / "a.warc.gz", records))
    report = landed(tmp_path / "two", tmp_path / "one/raw/warc")
    assert report.problems == ()
    columns = ["url", "fetched_at", "digest", "status", "media_type", "record_type", "payload_bytes"]
    assert read_captures(tmp_path / "two", columns).equals(read_captures(tmp_path / "one", columns))


UNMODIFIED = "http://netpreserve.org/warc/1.0/revisit/server-not-modified"


@pytest.mark.parametrize(
    "confirmation",
    [
        record("response", PAGE.url, answer(b"", 304, Content_Type=""), FEBRUARY),
        record("revisit", PAGE.url, answer(b"", 304, Content_Type=""), FEBRUARY, WARC_Profile=UNMODIFIED),
        record("revisit", PAGE.url, b"", FEBRUARY, WARC_Profile=UNMODIFIED, WARC_Refers_To_Target_URI=PAGE.url),
    ],
)
def test_not_modified_confirms_the_bytes_of_its_time(tmp_path: Path, confirmation: bytes) -> None:
    """Not those that came later: an old archive may be landed after a new one."""
    home = tmp_path / "home"
    landed(home, warc(tmp_path / "a.warc", [response(PAGE), response(Made(PAGE.url, b"<html>New", MARCH))]))
    report = landed(home, warc(tmp_path / "b.warc", [confirmation]), run_id=SECOND)
    assert (report.landed, report.revisits, report.problems) == (0, 1, ())
    rows = read_captures(home, ["digest", "status", "record_type"]).to_pylist()
    assert rows[2] == {"digest": rows[0]["digest"], "status": 304, "record_type": "revisit"}


def test_not_modified_without_a_page_is_named(tmp_path: Path) -> None:
    early = record("response", PAGE.url, answer(b"", 304, Content_Type=""), "2025-12-01T00:00:00Z")
    report = landed(tmp_path / "home", warc(tmp_path / "a.warc", [response(PAGE), early]))
    assert (report.landed, report.revisits) == (1, 0)
    assert "none such is held" in report.problems[0].message


def test_a_large_page_passes_through_files(tmp_path: Path) -> None:
    page = made(1, size=200_000)[0]
    file = warc(tmp_path / "a.warc.gz", [response(page), revisit(URL + "2", FEBRUARY, page.url, page.fetched_at)])
    assert landed(tmp_path / "home", file).problems == ()
    assert payloads(tmp_path / "home") == {page.url: page.body, URL + "2": page.body}


def test_a_body_shorter_than_its_http_length_lands_with_a_word(tmp_path: Path) -> None:
    """Not one that is longer: archives unpack bodies, and leave the length."""
    short = record("response", URL + "1", answer(BODY, Content_Length=str(len(BODY) + 5000)))
    fine = [
        record("response", URL + "2", answer(BODY, Content_Length="7")),
        record("response", URL + "3", answer(BODY, Content_Length=str(len(BODY)))),
        record("response", URL + "4", answer(gzip.compress(BODY), Content_Length="5000", Content_Encoding="gzip")),
        record("response", URL + "5", answer(BODY, Content_Length="no number")),
    ]
    report = landed(tmp_path / "home", warc(tmp_path / "a.warc.gz", [short, *fine]))
    assert payloads(tmp_path / "home") == {f"{URL}{n}": BODY for n in range(1, 6)}
    assert [problem.where for problem in report.problems] == [0]
    assert f"may be cut: its HTTP Content-Length tells {len(BODY) + 5000:,} bytes" in report.problems[0].message


@pytest.mark.parametrize("address", ["https://example.com/\x1b[31mred", "https://example.com/\udcff", "none"])
def test_law_10_what_a_revisit_refers_to_is_checked(tmp_path: Path, address: str) -> None:
    revisit = record("revisit", URL + "1", b"", WARC_Refers_To_Target_URI="@", Content_Type=None)
    spoiled = revisit.replace(b"@", address.encode("utf-8", "surrogateescape"))
    report = landed(tmp_path / "home", warc(tmp_path / "a.warc.gz", [spoiled]))
    assert [problem.message.isprintable() for problem in report.problems] == [True]
    assert "WARC-Refers-To-Target-URI must be an absolute URL" in report.problems[0].message
