"""Snapshots of invented tables, and their publication."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pyarrow as pa

from tests.warehouse.invented import TRUST, day
from warehouse.compare import compare, no_changes
from warehouse.publishing import Draft, Published, draft, publish
from warehouse.versions import Standing, follow

SUITES = [{"table": "codes", "success": True, "rules": []}]


def drafted(
    tables: dict[str, pa.Table],
    parent: str | None,
    run: int,
    before: dict[str, pa.Table] | None = None,
    run_id: str | None = None,
    versions: pa.Table | None = None,
) -> Draft:
    changes = compare(before, tables, parent) if parent and before else no_changes()
    stands = Standing(run, day(run))
    if versions is None:
        versions = follow(None, tables["codes"], stands, {run})
    return draft(
        {**tables, "changes": changes, "code_versions": versions},
        as_of=day(run),
        stands=stands,
        parent=parent,
        run_id=run_id or f"20260301T12000{run}Z-3f9a",
        published_at=dt.datetime(2026, 4, run, tzinfo=dt.UTC),
        cptflow_version="0.1.0",
    )


def published(home: Path, made: Draft) -> Published:
    return publish(home, made, run_ids=[made.run_id], suites=SUITES, trust=TRUST)
