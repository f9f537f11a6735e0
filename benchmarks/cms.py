"""Real codes and their true payment indicators, from the CMS files in ``tests/reference/``."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parents[1] / "tests" / "reference"
# Column of the CMS file -> indicator, in the order in which pages give them.
_INDICATORS = {
    "status_code": "status",
    "global_days": "global_days",
    "pctc": "pctc",
    "multiple_procedures": "multiple_procedures",
    "bilateral_surgery": "bilateral_surgery",
    "physician_supervision": "physician_supervision",
    "assistant_surgeon": "assistant_surgeon",
    "co_surgeons": "co_surgeons",
    "team_surgery": "team_surgery",
    "diagnostic_imaging_family": "diagnostic_imaging_family",
}


@cache
def indicators_by_code() -> dict[str, dict[str, str]]:
    """code -> indicator -> CMS value, of every code's own line (modifiers 26, TC and 53 have lines of their own)."""
    return {
        row["code"]: {indicator: row[column] for column, indicator in _INDICATORS.items()}
        for row in _rows("cms_pfs_2025_oct_indicators.csv")
        if not row["modifier"]
    }


@cache
def words_by_value() -> dict[tuple[str, str], str]:
    """(indicator, value) -> what CMS calls it."""
    return {
        (_INDICATORS[row["indicator"]], row["value"]): row["meaning"]
        for row in _rows("cms_pfs_indicator_values.csv")
        if row["indicator"] in _INDICATORS
    }


def _rows(name: str) -> list[dict[str, str]]:
    with (_FOLDER / name).open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))
