"""Of which site an address is, for whoever asks about thousands of pages of one site."""

from __future__ import annotations

from urllib.parse import urlsplit

from hypothesis import given
from hypothesis import strategies as st

from parsers.recognise import host_of, source_of

PARTS = (
    "https:",
    "http:",
    "//",
    "/",
    ":",
    "@",
    "?",
    "#",
    "[",
    "]",
    "://",
    "EXAMPLE.com",
    "a.b.",
    ":80",
    " ",
    "\n",
    "x",
)


def told_by_the_whole_address(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""


@given(st.lists(st.sampled_from(PARTS), max_size=8).map("".join))
def test_a_host_is_the_same_with_and_without_the_path(url: str) -> None:
    assert host_of(url) == told_by_the_whole_address(url)


def test_all_pages_of_a_site_are_of_one_source() -> None:
    pages = ("", "/", "/a", "?b=https://example.com/c", "#d", ":443/e", "/f/g?h#i")
    assert {source_of(f"https://WWW.codingahead.com{page}") for page in pages} == {"codingahead"}
    assert source_of("https://codingahead.com.example.com/cpt") == "other"
    assert source_of("file:a//b/c.html") == "local"
