"""What the tests of the crawler have in common."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from fastwarc.cli import main as fastwarc
from fastwarc.warc import ArchiveIterator
from warcio.cli import main as warcio

from raw.captures import read_captures
from raw.crawl.crawl import crawl
from raw.crawl.definition import Definition
from raw.crawl.records import CrawlRecord
from raw.warc import read_payload
from tests.raw.crawl.server import Site

DELAY = 0.05


def definition(site: Site, paths: list[str] | None = None, **told: Any) -> Definition:
    usual: dict[str, Any] = {
        "source": "synthetic",
        "hosts": (site.host,),
        "contact": "crawler@example.org",
        "addresses": tuple(site.url(path) for path in paths or ()),
        "delay": DELAY,
        "timeout": 5.0,
        "allow_addresses": ("127.0.0.0/8",),
    }
    return Definition(**(usual | told))


def run(home: Path, site: Site, paths: list[str] | None = None, *, restart: bool = False, **told: Any) -> CrawlRecord:
    return crawl(home, definition(site, paths, **told), lambda _: None, restart=restart)


def captures(home: Path) -> list[dict[str, Any]]:
    """All rows of the index; each points to a whole record, and none is there twice."""
    rows = read_captures(home).to_pylist()
    held = {(row["url"], row["digest"]): row for row in rows if row["record_type"] != "revisit"}
    for row in rows:
        original = held[row["url"], row["digest"]]
        row["body"] = read_payload(home, original["file"], original["offset"], 1 << 30)
    assert max(Counter((row["file"], row["offset"]) for row in rows).values(), default=1) == 1
    return rows


def by_path(home: Path, site: Site) -> dict[str, dict[str, Any]]:
    """The captures of a home that has one of each address."""
    rows = {row["url"].removeprefix(f"http://{site.host}"): row for row in captures(home)}
    assert len(rows) == len(captures(home)), "an address has several captures"
    return rows


def names_left(home: Path) -> list[str]:
    """Files under temporary names."""
    return [str(path) for path in (home / "raw").rglob("*") if ".crawling" in path.name or ".partial" in path.name]


def verified_by_other_tools(home: Path, capsys: pytest.CaptureFixture[str]) -> int:
    """``warcio check`` and FastWARC find good digests in all WARC files. Returns how many captures there are."""
    captures = 0
    for file in (home / "raw" / "warc").rglob("*.warc.gz"):
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            warcio(["check", "-v", str(file)])
        told = capsys.readouterr()
        assert (ended.value.code, told.err) == (0, ""), told.out
        assert "digest pass" in told.out
        checked = CliRunner().invoke(fastwarc, ["check", "--quiet", str(file)])
        assert checked.exit_code == 0, checked.output
        with file.open("rb") as stream:
            captures += sum(1 for _ in ArchiveIterator(stream)) - 1
    return captures
