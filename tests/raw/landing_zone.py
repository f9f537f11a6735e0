"""What the tests of the landing zone share: a small scraped folder, and what to look at afterwards."""

from __future__ import annotations

import json
import os
from datetime import datetime, timedelta
from pathlib import Path

from raw.captures import read_captures
from raw.landing import LandReport, land
from raw.warc import read_payload

URL = "https://www.codingahead.com/cpt/codes/"
NO_LIMIT = 1 << 40

# Invented pages. No two bytes of them may change on their way: CRLF, a BOM, Windows-1252, no bytes at all.
PAGES = {
    "2026-01/0001T.html": b"<html><h1>Synthetic page</h1>\r\n<p>of code 0001T</p></html>",
    "2026-01/0002T.htm": b"\xef\xbb\xbf<html>Synthetic \x93quotes\x94</html>",
    "2026-01/0003T.txt": b"Synthetic text\r\n\r\nHTTP/1.1 200 OK\r\n\r\nWARC/1.1\r\n\r\n",
    "2026-01/0004T.md": b"",
    "2026-02/0005T.html": bytes(range(256)) * 30,
}


def source_of(url: str) -> str:
    return "codingahead" if "codingahead" in url else "local"


def scraped(folder: Path) -> Path:
    """A folder of PAGES; the first two have an address and a date, one of them a status too."""
    for name, payload in PAGES.items():
        write_page(folder / name, payload)
    write_manifest(
        folder,
        {"file": "2026-01/0001T.html", "url": URL + "0001T", "fetched_at": "2026-01-05T10:00:00Z", "status": 200},
        {"file": "2026-01/0002T.htm", "url": URL + "0002T", "fetched_at": "2026-01-05T10:00:00.25+02:00"},
    )
    return folder


def write_page(path: Path, payload: bytes, modified: str = "2026-01-31T12:00:00.123456Z") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(payload)
    since_epoch = datetime.fromisoformat(modified) - datetime.fromisoformat("1970-01-01T00:00:00Z")
    os.utime(path, ns=(0, since_epoch // timedelta(microseconds=1) * 1000))
    return path


def write_manifest(folder: Path, *lines: object) -> None:
    """One line each: objects as JSON, text as it stands."""
    text = (line if isinstance(line, str) else json.dumps(line) for line in lines)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.jsonl").write_text("".join(f"{line}\n" for line in text), "utf-8")


def landed(home: Path, *inputs: Path | str, run_id: str = "20260301T120000Z-0001") -> LandReport:
    return land(home, run_id, [str(name) for name in inputs], source_of)


def payloads(home: Path) -> dict[str, bytes]:
    """The payload of each URL's captures that hold one."""
    return {
        row["url"]: read_payload(home, row["file"], row["offset"], NO_LIMIT)
        for row in read_captures(home).to_pylist()
        if row["record_type"] != "revisit"
    }


def messages(report: LandReport) -> dict[tuple[str, int | None], str]:
    """Problems by (file name, line)."""
    return {(Path(problem.file).name, problem.where): problem.message for problem in report.problems}


def tree(folder: Path) -> dict[str, bytes]:
    """Every file of a folder but the lock, with its bytes."""
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name != ".lock"
    }
