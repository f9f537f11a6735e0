"""Nothing in a page can hurt (law 10): a run over hostile pages ends well, in bounds, and publishes the others."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from parsers import limits
from tests.flows import pages

MAX_MEMORY = 1_500_000_000  # bytes; Great Expectations alone takes 400 MB
MAX_SECONDS = 120


def _huge(stream) -> None:
    for _ in range(200):
        stream.write(b"<p>Synthetic paragraph of a page that does not end.</p>\n" * 18_725)


def _text(text: str) -> Callable[..., None]:
    return lambda stream: stream.write(text.encode("utf-8", "surrogatepass"))


def _inside(value: str) -> str:
    return pages.page("99212", short=value)


HOSTILE: dict[str, tuple[Callable[..., None], set[str]]] = {
    "nested.html": (_text("<div>" * 1_000_000), {"rejected"}),
    "unclosed.html": (_text("<a href=x><b><table><tr><td>" * 170_000), {"rejected"}),
    "huge.html": (_huge, {"rejected"}),
    "attributes.html": (
        _text("<p " + " ".join(f"a{n}=1" for n in range(500_000)) + ">Synthetic</p>"),
        {"rejected", "unrecognised"},
    ),
    "entities.html": (
        _text('<!DOCTYPE x [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;">]><p>' + "&b;" * 300_000 + "</p>"),
        {"rejected", "unrecognised"},
    ),
    "references.html": (_text("<p>" + "&#x41;" * 800_000 + "</p>"), {"rejected", "unrecognised"}),
    "brackets.html": (_text("<html>" + "<" * 4_000_000), {"rejected", "unrecognised"}),
    "nul.txt": (lambda stream: stream.write(b"\x00" * 100_000), {"rejected"}),
    "broken.txt": (lambda stream: stream.write(b"\xff\xfe\xfd\x80\x81" * 20_001), {"rejected", "unrecognised"}),
    "picture.html": (lambda stream: stream.write(b"\x89PNG\r\n\x1a\n" + bytes(5000)), {"rejected"}),
    "codes.txt": (
        _text("Code | Description |\n---|---|\n" + "".join(f"{n:05d} | x |\n" for n in range(300_000))),
        {"rejected"},
    ),
    "million.html": (
        _text("<table>" + "".join(f"<tr><td>{n:05d}<td>x" for n in range(180_000)) + "</table>"),
        {"rejected"},
    ),
    "line.txt": (_text("Official Description\nCommon Language Description\n" + "Synthetic " * 400_000), {"rejected"}),
    "spaces.txt": (_text("Code deleted. For " + " " * 2_000_000 + "use"), {"unrecognised"}),
    "empty.html": (_text(""), {"unrecognised", "blocked"}),
    "surrogate.txt": (_text("Synthetic \ud800 text"), {"unrecognised"}),
}

# Text that hurts whoever takes it for more than text; each page is read, and the text comes out as it went in.
INSIDE = {
    "99202": '=HYPERLINK("http://example.invalid","Synthetic")',
    "99203": "<script>alert('Synthetic')</script>",
    "99204": "'; DROP TABLE codes; -- Synthetic",
    "99205": "../../../etc/Synthetic",
    "99211": "[bold red]Synthetic[/bold red]",
}
GOOD = ("99213", "99214", "99215")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Iterator[Path]:
    place = tmp_path_factory.mktemp("hostile")
    texts = {code: pages.page(code) for code in GOOD}
    texts |= {code: pages.page(code, short=value) for code, value in INSIDE.items()}
    folder = pages.folder(place / "pages", texts)
    for name, (write, _) in HOSTILE.items():
        with (folder / name).open("wb") as stream:
            write(stream)
    with (folder / "manifest.jsonl").open("a") as manifest:
        address = "https://www.codingahead.com/cpt/codes/..%2F..%2F99499"
        entry = {"file": "up.txt", "url": address, "fetched_at": "2026-01-01T06:00:00Z", "status": 200}
        manifest.write(json.dumps(entry) + "\n")
    (folder / "up.txt").write_text(pages.page("../../99499"))
    yield folder
    (folder / "huge.html").unlink()


@pytest.mark.full
@pytest.mark.parametrize("engine", ["inline", "processes"])
def test_law_10_hostile_pages_end_in_outcomes_within_bounds_and_the_others_are_published(folder, tmp_path, engine):
    home = tmp_path / "home"
    assert (folder / "huge.html").stat().st_size > 200_000_000
    command = [
        str(Path(sys.executable).with_name("cptflow")),
        "run",
        str(folder),
        "--home",
        str(home),
        "--engine",
        engine,
        "--json",
    ]
    ended = subprocess.run([*command, "--workers", "2"], capture_output=True, timeout=MAX_SECONDS, check=False)
    assert ended.returncode == 0, ended.stderr.decode()
    report = json.loads(ended.stdout)

    peaks = [peak for peak in report["peak_memory_bytes"].values() if peak]
    assert peaks
    assert max(peaks) < MAX_MEMORY

    documents = pq.read_table(home / "warehouse/current/documents.parquet").to_pylist()
    outcomes = {row["url"].rsplit("/", 1)[-1].removeprefix("file:"): row for row in documents}
    assert {
        name: outcomes[name]["outcome"]
        for name, (_, allowed) in HOSTILE.items()
        if outcomes[name]["outcome"] not in allowed
    } == {}
    assert str(limits.MAX_BYTES) in outcomes["huge.html"]["reason"]

    codes = pq.read_table(home / "warehouse/current/codes.parquet").to_pylist()
    shorts = {row["code"]: row["short_descriptor"] for row in codes}
    assert {code: shorts.get(code) for code in GOOD} == dict.fromkeys(GOOD, "Synthetic STEP")
    assert {code: shorts.get(code) for code in INSIDE} == INSIDE
    assert set(shorts) - {*GOOD, *INSIDE} <= {"99499"}
    assert not [path for path in tmp_path.rglob("*") if home not in path.parents and path != home]
