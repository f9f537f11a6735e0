"""Invented pages of one site, small enough to land thousands, and the folders that hold them."""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

import pyarrow as pa
import pytest

from flows import pipeline, publication, restoring
from flows.engine import InProcess
from flows.pipeline import run
from flows.settings import Settings
from warehouse.expectations import Validation
from warehouse.tables import BY_NAME

SAMPLES = sorted((Path(__file__).parents[2] / "raw" / "samples").iterdir())


def page(code: str, *, short: str = "Synthetic STEP", added: str = "2020-01-01", views: int = 3) -> str:
    """A page in the older full form, with its counter of page views."""
    return f"""{views} code page views remaining today
2 daily page views
Official Description
Synthetic official descriptor of {code}
© Copyright 2025 American Medical Association. All rights reserved.
Short Descr | {short} |
Status Code | Active Code |
Global Days | 000 - Synthetic Days |
Date | Action | Notes |
---|---|---|
{added} | Added | Code added. |
Get instant expert-level medical coding assistance.
"""


def folder(place: Path, pages: Mapping[str, str], *, day: str = "2026-01-01", status: int = 200) -> Path:
    """A folder of text pages by code, with the manifest that a scraper would write."""
    place.mkdir(parents=True, exist_ok=True)
    lines = []
    for code, text in pages.items():
        (place / f"{code}.txt").write_text(text, encoding="utf-8")
        url = f"https://www.codingahead.com/cpt/codes/{code}"
        entry = {"file": f"{code}.txt", "url": url, "fetched_at": f"{day}T06:00:00Z", "status": status}
        lines.append(json.dumps(entry))
    (place / "manifest.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return place


def silent(step: str, done: int, total: int | None) -> None:
    """Progress that nobody looks at."""


def run_inline(home: Path, *inputs: Path, accept: Sequence[str] = (), **settings: object):
    """A run in this process; returns its report."""
    return run([str(path) for path in inputs], Settings(home=home, **settings), InProcess(), silent, accept)


def let_pass(tables: Mapping[str, pa.Table], as_of: dt.datetime, trust: Sequence[str] = ()) -> Validation:
    """In place of Great Expectations, which takes a second in each run and has no say in what a test is about."""
    return Validation(dict(tables), [], [])


def without_validation(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(publication, "validate", let_pass)
    for module in (publication, restoring):
        patch.setattr(module, "validate_run_tables", let_pass)
    patch.setattr(pipeline, "importing_meanwhile", nullcontext)  # of Great Expectations, which nobody asks for


def tables(home: Path) -> dict[str, bytes]:
    """The current snapshot's tables, without those that depend on the parent snapshot and on the run (law 5)."""
    current = home / "warehouse" / "current"
    return {f.name: f.read_bytes() for f in current.glob("*.parquet") if BY_NAME[f.stem].kind != "run"}
