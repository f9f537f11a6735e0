"""The quality report's pages of a home: written after each publication or stop, and made again when one is missing.

<home>/warehouse/docs/quality/<snapshot_id>.html, or stopped-<run_id>.html
<home>/warehouse/docs/quality.html: the newest of them
<home>/warehouse/docs/data-dictionary.md: the columns of the tables
<home>/warehouse/docs/gx/: Great Expectations' own Data Docs of the last run, where the settings ask for them
"""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from flows.report import Report, as_json, report_file
from warehouse import dictionary, snapshots
from warehouse.data_docs import write_data_docs
from warehouse.files import replace_file
from warehouse.gx import Results
from warehouse.quality import Quality, of_snapshot, of_stopped_run
from warehouse.quality_page import render

_MARK = b"<!-- of %s -->\n"
"""Ends ``quality.html``: which page it is a copy of."""


def page_file(home: Path, snapshot_id: str) -> Path:
    return _folder(home) / f"{snapshot_id}.html"


def write_pages(home: Path, report: Report, tables: Mapping[str, pa.Table]) -> Path:
    """The page of a run that has published or was stopped, and its copy as the newest one; returns its file.

    ``tables``: as validated, for a run that was stopped; of stopped runs only the last one's page stays. Raises
    OSError, SnapshotError.
    """
    run = as_json(report)
    if report.stopped:
        quality = of_stopped_run(home, run, tables)
        file = _folder(home) / f"stopped-{report.run_id}.html"
    else:
        quality = of_snapshot(home, str(report.snapshot_id), run)
        file = page_file(home, str(report.snapshot_id))
    _write(home, file, quality)
    _write_newest(home, file, quality)
    if report.stopped:
        for older in _folder(home).glob("stopped-*.html"):
            if older != file:
                older.unlink()
    return file


def bring_up_to_date(home: Path) -> Path | None:
    """Have the current snapshot's page, and ``quality.html`` of it; returns the page where one of them was made.

    After a run that was stopped or killed, or where a person restored a snapshot, they may be of another. Raises
    OSError, SnapshotError.
    """
    if (current := snapshots.current_id(home)) is None:
        return None
    file = page_file(home, current)
    if file.is_file() and _newest_is_of(home, file):
        return None
    run_id = snapshots.read_manifest(home, current)["run_id"]
    quality = of_snapshot(home, current, _read_run(home, run_id))
    if not file.is_file():
        _write(home, file, quality)
    _write_newest(home, file, quality)
    return file


def write_gx_docs(home: Path, report: Report, results: Results) -> Path:
    """Great Expectations' own pages of this run's suites; returns the first. Raises OSError."""
    at = dt.datetime.fromisoformat(report.started_at)
    return write_data_docs(_docs(home) / "gx", results, report.run_id, at)


def page_of(home: Path, snapshot_id: str) -> Path:
    """The file of a snapshot's page, which is made again when it is missing. Raises OSError, SnapshotError."""
    file = page_file(home, snapshot_id)
    if not file.is_file():
        run_id = snapshots.read_manifest(home, snapshot_id)["run_id"]
        _write(home, file, of_snapshot(home, snapshot_id, _read_run(home, run_id)))
    return file


def _write(home: Path, file: Path, quality: Quality) -> None:
    replace_file(file, render(quality, previous=_has_previous(home, quality)))
    words = dictionary.render().encode()
    columns = _docs(home) / "data-dictionary.md"
    if not columns.is_file() or columns.read_bytes() != words:
        replace_file(columns, words)


def _write_newest(home: Path, file: Path, quality: Quality) -> None:
    page = render(quality, from_docs=True, previous=_has_previous(home, quality))
    replace_file(_docs(home) / "quality.html", page + _mark(file))


def _newest_is_of(home: Path, file: Path) -> bool:
    """Whether ``quality.html`` is of the same snapshot as the page ``file``: its last bytes tell."""
    mark = _mark(file)
    try:
        with (_docs(home) / "quality.html").open("rb") as newest:
            newest.seek(-len(mark), os.SEEK_END)
            return newest.read() == mark
    except OSError:
        return False


def _mark(file: Path) -> bytes:
    return _MARK % file.stem.encode()


def _has_previous(home: Path, quality: Quality) -> bool:
    return quality.parent is not None and page_file(home, quality.parent).is_file()


def _read_run(home: Path, run_id: str) -> dict[str, Any] | None:
    """The report of a run; None where it is gone or cannot be read, for the page can do without."""
    try:
        run: dict[str, Any] = json.loads(report_file(home, run_id).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return run


def _docs(home: Path) -> Path:
    return home / "warehouse" / "docs"


def _folder(home: Path) -> Path:
    return _docs(home) / "quality"
