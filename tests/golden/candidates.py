"""`make goldens`: writes `expected.candidate.json` beside each golden that is missing or differs, and shows how.

The tests never read a candidate. Read it against the page (not against the parser), then rename it to `expected.json`.
"""

from __future__ import annotations

import difflib
import json
import sys
from pathlib import Path
from typing import Any

from tests.golden import goldens


def candidate(case: Path) -> dict[str, Any]:
    """What the parser makes of the HTML form now, and what differs in the text form."""
    html, text = (goldens.as_json(goldens.read(case, form)) for form in goldens.FORMS)
    differs = {key: value for key, value in text.items() if value != html[key]}
    return html | ({"text": {"lost": "SAY HERE what the text form really loses", **differs}} if differs else {})


def main() -> int:
    differing = 0
    for case in goldens.CASES:
        path = case / "expected.json"
        problems = [form for form in goldens.FORMS if not path.exists() or not goldens.agrees(case, form)]
        if not problems:
            (case / "expected.candidate.json").unlink(missing_ok=True)
            continue
        differing += 1
        new = json.dumps(candidate(case), indent=1, ensure_ascii=False) + "\n"
        (case / "expected.candidate.json").write_text(new, "utf-8")
        old = path.read_text("utf-8") if path.exists() else ""
        name = goldens.name(case)
        sys.stdout.writelines(
            difflib.unified_diff(
                old.splitlines(True), new.splitlines(True), f"{name}/expected.json", f"{name}/candidate"
            )
        )
    print(f"\n{len(goldens.CASES)} goldens, {differing} missing or different.")
    if differing:
        print("Read each expected.candidate.json against its page. Where the page says so, rename it to expected.json.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
