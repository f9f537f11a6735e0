"""Goldens: a page as HTML and as text extract, and what both must give.

    tests/golden/<source>/<case>/page.html, page.txt    the page in both forms
                                 case.json              its url, how the text was made, what the case shows
                                 expected.json          outcome, code, records, unmapped texts, warnings

`expected.json` may hold a key `text`: what the text form really loses (`lost`, in words), and the values that differ
there. `reason` is a part of the reason, not the whole.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from parsers import ParseResult, parse

ROOT = Path(__file__).parent
FORMS = ("html", "txt")
CASES = sorted(path.parent for path in ROOT.glob("*/*/case.json"))


def name(case: Path) -> str:
    return case.relative_to(ROOT).as_posix()


def read(case: Path, form: str) -> ParseResult:
    """The case's page in ``form`` (html or txt), parsed."""
    url = json.loads((case / "case.json").read_text("utf-8"))["url"]
    return parse((case / f"page.{form}").read_bytes(), url)


def expected(case: Path, form: str) -> dict[str, Any]:
    """What ``case`` must give in ``form``: the text form's own values stand over the common ones."""
    whole: dict[str, Any] = json.loads((case / "expected.json").read_text("utf-8"))
    text = whole.pop("text", {})
    return whole | ({k: v for k, v in text.items() if k != "lost"} if form == "txt" else {})


def expected_outcome(case: Path) -> str | None:
    """The outcome that ``case`` must have; None where nobody has written `expected.json` yet."""
    path = case / "expected.json"
    return str(json.loads(path.read_text("utf-8"))["outcome"]) if path.exists() else None


def as_json(result: ParseResult) -> dict[str, Any]:
    """A result in the form of `expected.json`."""
    records: dict[str, list[dict[str, Any]]] = {}
    for record in result.records:
        row = {f.name: getattr(record, f.name) for f in dataclasses.fields(record)}
        records.setdefault(record.table, []).append(json.loads(json.dumps(row, default=str)))
    return {
        "outcome": result.outcome,
        "reason": result.reason,
        "code": result.code,
        "truncated": result.truncated,
        "covered_tables": sorted(result.covered_tables),
        "records": records,
        "unmapped": [block.text for block in result.unmapped],
        "warnings": sorted(warning.rule for warning in result.warnings),
    }


def agrees(case: Path, form: str) -> bool:
    """Whether the page in ``form`` gives what is expected of it."""
    wanted, found = expected(case, form), as_json(read(case, form))
    reason, found_reason = wanted.pop("reason"), found.pop("reason")
    told = (
        found_reason is None
        if reason is None and wanted["outcome"] == "parsed"
        else (reason or "") in (found_reason or "")
    )
    return told and wanted == found
