"""A home of a few invented pages, published snapshot by snapshot, some of whose rows are held back in quarantine."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from flows.publication import draft_of
from tests.warehouse.drafts import SUITES
from tests.warehouse.invented import TRUST, assembled, day
from warehouse import snapshots
from warehouse.assemble import Assembled
from warehouse.codes import derive_codes
from warehouse.columnar import joined
from warehouse.compare import Stage, compare, no_changes
from warehouse.publishing import publish
from warehouse.staging import StagedResult
from warehouse.tables import BY_NAME, CODES, FACTS, QUARANTINE, STRING

Held = tuple[str, str]
"""table and row_key"""


class SmallHome:
    """``place``: an empty folder. Snapshot n rests on the pages of the days up to the n-th of March 2026."""

    def __init__(self, place: Path) -> None:
        self.place, self.home = place, place / "home"
        self.ids: list[str] = []
        self.pages: dict[str, tuple[StagedResult, int]] = {}
        self.tables: dict[str, pa.Table] = {}

    def copied_to(self, place: Path) -> SmallHome:
        copy = SmallHome(place)
        shutil.copytree(self.home, copy.home, symlinks=True)
        copy.ids, copy.pages, copy.tables = [*self.ids], {**self.pages}, self.tables
        return copy

    def add(self, *pages: StagedResult, held: Collection[Held] = (), lost: Collection[str] = ()) -> str:
        """Publish what the pages of a day bring. ``held``: rows that break a rule; ``lost``: addresses of pages that
        nobody can read any more. Returns the id."""
        number = len(self.ids) + 1
        self.pages |= {page.result.url: (page, number) for page in pages}
        self.pages = {url: seen for url, seen in self.pages.items() if url not in lost}
        seen = [(page, day(when)) for page, when in self.pages.values()]
        tables = _without(assembled(self.place / f"staged-{number}", seen), held, number)
        before = self._current() if self.ids else {}
        stages = [Stage(self.tables, "restore")] if before is not self.tables and self.ids else []
        self.tables = tables
        return self._publish(before, tables, stages)

    def restore(self, snapshot_id: str) -> str:
        """Publish an earlier snapshot's tables anew. Returns the id."""
        tables = snapshots.read_tables(self.home, snapshot_id)
        made = snapshots.made_by_run(self.home, self.ids[-1])["snapshot_id"]
        return self._publish(
            self._current(), tables, [Stage(tables, "restore")], {"snapshot_id": snapshot_id, "replaced": made}
        )

    def _current(self) -> dict[str, pa.Table]:
        restored = snapshots.read_manifest(self.home, self.ids[-1]).get("restored")
        return snapshots.read_tables(self.home, self.ids[-1]) if restored else self.tables

    def _publish(
        self,
        before: dict[str, pa.Table],
        tables: dict[str, pa.Table],
        stages: Sequence[Stage],
        restored: dict[str, str] | None = None,
    ) -> str:
        number, parent = len(self.ids) + 1, self.ids[-1] if self.ids else None
        changes, as_of = no_changes(), day(number)
        if parent:
            changes = compare(before, tables, parent, stages)
        run_id = f"20260301T12000{number}Z-3f9a"
        made = draft_of(self.home, parent, tables, changes, as_of, run_id)
        self.ids.append(
            publish(self.home, made, run_ids=[run_id], suites=SUITES, trust=TRUST, restored=restored).snapshot_id
        )
        return self.ids[-1]


def _without(made: Assembled, held: Collection[Held], number: int) -> dict[str, pa.Table]:
    tables, told = dict(made.tables), [made.tables["quarantine"]]
    for name, key in held:
        table = BY_NAME[name]
        bad = pc.equal(joined(tables[name], table.key), key)
        told.append(_quarantined(name, key, tables[name].filter(bad)))
        tables[name] = tables[name].filter(pc.invert(bad)).combine_chunks()
    tables["quarantine"] = pa.concat_tables(told)
    gone = {key for name, key in held if name == "codes"}
    for table in FACTS:
        of_gone = pc.is_in(tables[table.name]["code"], value_set=pa.array(sorted(gone), STRING))
        tables[table.name] = tables[table.name].filter(pc.invert(of_gone)).combine_chunks()
    base = tables["codes"].select(["code", "first_seen_at", "source_count"])
    tables["codes"] = derive_codes(base, tables, TRUST, day(number)).cast(CODES.schema)
    return tables


def _quarantined(name: str, key: str, rows: pa.Table) -> pa.Table:
    source = rows["source"][0].as_py() if "source" in rows.column_names and rows.num_rows else None
    code = rows["code"][0].as_py() if rows.num_rows else key.split("|")[1]
    row = {"table_name": name, "row_key": key, "rule": "synthetic_rule", "source": source, "code": code}
    row |= {"message": "Synthetic", "severity": "critical"}
    return pa.Table.from_pylist([row], schema=QUARANTINE.schema)
