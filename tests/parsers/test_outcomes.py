"""What a page can turn out to be, and the rules by which another page is told from the content."""

from __future__ import annotations

import pickle
import sys

import pytest

import parsers
from parsers import limits, parse, result_for_status, result_too_large, source_of
from parsers.limits import Deadline, LimitExceeded

CODINGAHEAD = "https://www.codingahead.com/cpt/codes/0748T"
OPENPAYER = "https://www.openpayer.com/billing-codes/cpt-1001t-synthetic"
ELSEWHERE = "https://www.example.org/cpt/0748T"
_PAIRS = "Short Descr | Synthetic TST |\nStatus Code | Active Code |\nGlobal Days | XXX |\n"
_HISTORY = "Date | Action | Notes |\n---|---|---|\n2023-01-01 | Added | Code added. |\n"
_OPENPAYER = (
    "Summary & Overview\nCPT 1001T: Synthetic Title\nSynthetic summary.\nBilling Code Overview\nSynthetic overview.\n"
    "Service type: Synthetic\nClinical & Coding Specifications\nClinical Context\nSynthetic context.\n"
    "Coding Specifications\n| Modifier | Description | When to Use |\n|---|---|---|\n| 25 | a | b |\n"
)


@pytest.mark.parametrize("url", [CODINGAHEAD, ELSEWHERE, "file:0748T.txt", "FILE:0748T.txt#code=0748T", ""])
def test_a_page_is_known_by_its_content_wherever_it_comes_from(url: str):
    result = parse((_PAIRS + _HISTORY).encode(), url)
    expected = ("codingahead", "parsed" if url else "unidentified")
    assert (result.source, result.outcome) == expected, result.reason


@pytest.mark.parametrize(
    "line",
    [
        "Just a moment...",
        "Checking your browser before accessing synthetic.example",
        "Verifying you are human. This may take a few seconds.",
        "Please enable JavaScript and cookies to continue",
        "Attention Required! | Synthetic",
        "Access denied",
        "Access to this page has been denied",
        "Sorry, you have been blocked",
        "Are you a robot?",
        "Please complete the security check",
        "429",
        "403 Forbidden",
        "Error 404",
        "404 Not Found",
        "Error 503: Service unavailable",
        "502 Bad Gateway",
        "Internal Server Error",
        "Too Many Requests",
        "Page not found",
        "Sorry, the page you were looking for cannot be found",
        "This page could not be found.",
        "The site is undergoing scheduled maintenance",
        "Site under maintenance",
        "We are down for maintenance",
    ],
)
@pytest.mark.parametrize("form", ["{}\nSynthetic.", "<html><title>{}</title><body><p>Synthetic.</p></body></html>"])
def test_blocked(line: str, form: str):
    for url in (CODINGAHEAD, OPENPAYER, ELSEWHERE):
        result = parse(form.format(line).encode(), url)
        assert (result.outcome, result.records) == ("blocked", ()), result.reason
        assert line[:15] in (result.reason or "")


def test_an_empty_page_of_a_known_host_is_blocked_and_elsewhere_unrecognised():
    for payload in (b"", b"  \n", b"<html><body><div id=app></div></body></html>", b"<script>x</script>"):
        assert parse(payload, CODINGAHEAD).outcome == "blocked"
        assert parse(payload, ELSEWHERE).outcome == "unrecognised"


@pytest.mark.parametrize(
    "line",
    [
        "Log in to continue",
        "Please sign in to view synthetic words",
        "Create a free account to unlock this content",
        "Create an account to view",
        "Register to view content",
        "Subscribe to read more",
        "This content is for members only",
    ],
)
def test_gated(line: str):
    for url in (CODINGAHEAD, OPENPAYER, ELSEWHERE):
        result = parse(f"Synthetic words before it.\n{line}\nmore".encode(), url)
        assert (result.outcome, result.records) == ("gated", ()), result.reason


@pytest.mark.parametrize(
    "text",
    [
        "A synthetic sentence says: access denied, and 404 not found.",
        "The provider may log in to continue the synthetic chart.",
        "4040 synthetic pages",
        "502 patients took part",
        "Service type: Synthetic",
    ],
)
def test_words_inside_prose_block_and_gate_nothing(text: str):
    assert parse((text + "\n" + _OPENPAYER).encode(), OPENPAYER).outcome == "parsed"
    assert parse(text.encode(), OPENPAYER).outcome == "layout_changed"


def test_layout_changed_is_a_known_host_with_none_of_its_marks():
    assert parse(b"<h1>CPT 0748T</h1><p>A synthetic new layout.</p>", CODINGAHEAD).outcome == "layout_changed"
    assert parse(_OPENPAYER.encode(), CODINGAHEAD).outcome == "layout_changed"


def test_unrecognised_is_what_no_parser_knows():
    guide = "Synthetic guide\nLast Updated: synthetic\nQuick Reference\nwords"
    both = _PAIRS + _OPENPAYER
    for text, url in (("A synthetic page.", ELSEWHERE), (guide, CODINGAHEAD)):
        result = parse(text.encode(), url)
        assert (result.outcome, result.parser) == ("unrecognised", "none")
    assert parse(both.encode(), CODINGAHEAD).source == "codingahead"


def test_mismatched_and_unidentified_name_what_they_found():
    said = b"The step described by CPT\xc2\xae Code 0749T is synthetic.\n" + _PAIRS.encode()
    result = parse(said, CODINGAHEAD)
    assert (result.outcome, result.code, result.records) == ("mismatched", "0748T", ())
    assert "0748T" in (result.reason or "")
    assert "0749T" in (result.reason or "")
    assert parse(_PAIRS.encode(), "https://www.codingahead.com/cpt/codes/").outcome == "unidentified"


def test_partial_names_the_table_that_was_cut_off():
    result = parse(_OPENPAYER.replace("| b |", "|").encode(), OPENPAYER)
    assert (result.outcome, result.truncated) == ("partial", True)
    assert result.reason == "modifiers cut off"
    assert not [record for record in result.records if record.table == "modifiers"]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"%PDF-1.4", "not text but a PDF file"),
        (b"\x00" * 10, "are NUL"),
        (b"x" * (limits.MAX_BLOCK_CHARACTERS + 1), "characters in one line: limit 100000, found 100001"),
        (b"<p>" + b"x" * (limits.MAX_BLOCK_CHARACTERS + 1), "characters in one block: limit 100000, found 100001"),
        (b"x\n" * (limits.MAX_BLOCKS + 1), "blocks: limit 20000"),
        (b"<p>x" * (limits.MAX_BLOCKS + 1), "blocks: limit 20000"),
        (b"<i>" + b"<br>" * limits.MAX_TAGS, "tags: limit 50000"),
        (b"<div>" * (limits.MAX_DEPTH + 1), "nested tags: limit 150"),
    ],
)
def test_rejected_names_the_limit(payload: bytes, reason: str):
    result = parse(payload, CODINGAHEAD)
    assert (result.outcome, result.retry) == ("rejected", False)
    assert reason in (result.reason or "")


def test_the_limit_of_bytes_is_asked_before_anything_is_read():
    size = limits.MAX_BYTES + 1
    result = parse(b"x" * size, CODINGAHEAD)
    assert result == result_too_large(CODINGAHEAD, size)
    assert (result.outcome, result.code, result.blocks) == ("rejected", "0748T", 0)
    assert result.reason == f"over a limit: bytes: limit {limits.MAX_BYTES}, found {size}"


def test_too_many_records_are_rejected():
    rows = "".join(f"| {i % 90 + 10} | a | b |\n" for i in range(limits.MAX_RECORDS + 1))
    result = parse((_OPENPAYER + rows).encode(), OPENPAYER)
    assert (result.outcome, result.records) == ("rejected", ())
    assert "records: limit 5000" in (result.reason or "")


def test_the_time_limit_alone_may_pass_next_time(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(limits, "MAX_SECONDS", -1.0)
    result = parse(_PAIRS.encode(), CODINGAHEAD)
    assert (result.outcome, result.retry) == ("rejected", True)
    with pytest.raises(LimitExceeded) as caught:
        Deadline(-1.0).check()
    assert (caught.value.what, caught.value.limit, caught.value.retry) == ("seconds", -1.0, True)


def test_a_parser_that_raises_is_failed_with_its_traceback(monkeypatch: pytest.MonkeyPatch):
    def raises(*_: object) -> None:
        raise RuntimeError("synthetic\x1b[31m\nfault")

    monkeypatch.setattr(sys.modules["parsers.parse"], "identify", raises)
    result = parse((_PAIRS + _HISTORY).encode(), CODINGAHEAD)
    assert (result.outcome, result.records) == ("failed", ())
    assert result.reason == "the parser raised RuntimeError: synthetic [31m fault"  # no control characters (law 10)
    assert "Traceback" in (result.traceback or "")
    assert result.claimed + result.set_aside + len(result.unmapped) == result.blocks > 0


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (None, None),
        (200, None),
        (206, None),
        (404, "not_found"),
        (410, "not_found"),
        (301, "blocked"),
        (304, None),  # it confirms the page that was kept
        (401, "blocked"),
        (403, "blocked"),
        (429, "blocked"),
        (500, "blocked"),
        (503, "blocked"),
        (999, "blocked"),
        (0, "blocked"),
    ],
)
def test_the_status_of_a_capture_comes_before_its_body(status: int | None, outcome: str | None):
    result = result_for_status(OPENPAYER, status)
    assert (result and result.outcome) == outcome
    if result:
        assert (result.source, result.code) == ("openpayer", "1001T")
        assert str(status) in (result.reason or "")


@pytest.mark.parametrize(
    ("url", "source"),
    [
        ("https://case2code.codingahead.com/cpt/codes/0748T", "codingahead"),
        ("https://webhooks.codingahead.com./x", "codingahead"),
        ("HTTPS://WWW.CODINGAHEAD.COM:443/x", "codingahead"),
        ("https://openpayer.com/x", "openpayer"),
        ("https://genhealth.ai/code/hcpcs/G0008-x", "genhealth"),
        ("https://www.genhealth.ai/", "genhealth"),
        ("https://www.openpayer.com.evil.org/x", "other"),
        ("https://evil.org/www.openpayer.com", "other"),
        ("https://www.openpayer.com@evil.org/", "other"),
        ("file:page.html", "local"),
        ("http://[bad", "other"),
        ("", "other"),
    ],
)
def test_the_source_of_an_address(url: str, source: str):
    assert source_of(url) == source


@pytest.mark.parametrize(
    "url", ["http://[bad", "https://\u2100.org/", "\ud800", "file:" + "x" * 10_000, "\x00", "#" * 100]
)
def test_no_address_makes_a_parse_raise(url: str):
    for payload in (b"", b"x", b"<p>x</p>", _PAIRS.encode(), b"%PDF-"):
        assert parse(payload, url).outcome in ("unrecognised", "unidentified", "rejected")
    assert result_too_large(url, 1).outcome == "rejected"
    assert result_for_status(url, 500) is not None


def test_the_parsers_that_are_live_are_those_that_results_name():
    named = {f"{r.parser}@{r.parser_version}" for r in (parse(_PAIRS.encode(), CODINGAHEAD), parse(b"x", ELSEWHERE))}
    assert named <= set(parsers.live())
    assert len(parsers.live()) == len(parsers.sources()) + 1


def test_a_result_travels_between_processes():
    result = parse(_OPENPAYER.encode(), OPENPAYER)
    assert pickle.loads(pickle.dumps(result)) == result
