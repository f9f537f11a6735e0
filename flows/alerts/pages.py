"""What of a snapshot's tables items need: which page tells it, titles, replacements, and what was there before."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from flows.things import HEADLINES, Change
from parsers.records import GOOD_OUTCOMES
from raw.addresses import without_secrets
from warehouse import snapshots
from warehouse.tables import CODES, COMPARED, STRING

Read = Callable[[str, Sequence[str]], pa.Table]


class Page(NamedTuple):
    """A page. ``tells``: whether it was read, or is gone; else it was a wall or an error, which tell nothing."""

    document_id: str
    url: str
    fetched_at: dt.datetime
    tells: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """``snapshot_id``: of the snapshot that the changes are of, from which all the rest was read."""

    snapshot_id: str
    as_of: dt.datetime
    trust: tuple[str, ...]
    codes: Mapping[str, Mapping[str, Any]]
    new_codes: frozenset[str]
    seen_first: frozenset[tuple[str, str]]
    documents: Mapping[tuple[str | None, str, str], str]
    """document_id by source, code and table"""
    pages: Mapping[str, Mapping[str, Sequence[Page]]]
    """by code and source, those that can tell something first, and the latest first"""
    histories: Mapping[str, frozenset[str]]
    replacements: Mapping[str, tuple[str, ...]]

    def title(self, code: str) -> str | None:
        row = self.codes.get(code, {})
        return row.get("title") or row.get("short_descriptor")

    def status(self, code: str) -> str | None:
        return self.codes.get(code, {}).get("status")

    def deleted_on(self, code: str) -> dt.date | None:
        return self.codes.get(code, {}).get("deleted_on")

    def is_new(self, code: str) -> bool:
        """Whether no snapshot before this one had the code."""
        return code in self.new_codes

    def first_sight(self, change: Change) -> bool:
        """Whether a row came with the first page of its source for a code."""
        whole = change["column_name"] is None and change["before"] is None
        return whole and (change["source"], change["code"]) in self.seen_first

    def tellers(self, code: str) -> tuple[str, ...]:
        """The sources whose history tells of the code's deletion."""
        return self.in_order(self.histories.get(code, frozenset()))

    def in_order(self, sources: Iterable[str | None]) -> tuple[str, ...]:
        """Sources, most trusted first."""
        found = sorted({source for source in sources if source is not None})
        return tuple(sorted(found, key=lambda s: self.trust.index(s) if s in self.trust else len(self.trust)))

    def replaced_by(self, code: str) -> tuple[str, ...]:
        return self.replacements.get(code, ())

    def page(self, code: str, source: str | None, table: str | None) -> Page | None:
        """The page that a source's rows of a table rest on; where it has none left, its latest page of the code.
        Without a source, that of the most trusted one."""
        of_code = self.pages.get(code, {})
        for site in (source,) if source else self.in_order(of_code):
            pages = of_code.get(site, ())
            document_id = self.documents.get((site, code, table or ""))
            if found := next((page for page in pages if page.document_id == document_id), next(iter(pages), None)):
                return found._replace(url=without_secrets(found.url, found.url))
        return None


def facts_of(home: Path, snapshot_id: str, changes: Sequence[Change], first: Collection[tuple[str, str]]) -> Facts:
    """What items of ``changes`` need. ``first``: what `seen_first` found. Raises SnapshotError."""
    manifest = snapshots.read_manifest(home, snapshot_id)
    read = _reader(home, snapshot_id, {change["code"] for change in changes})
    codes = read("codes", ["code", "title", "short_descriptor", "status", "deleted_on"]).to_pylist()
    added = {change["code"] for change in changes if change["change_type"] == "code_added"}
    known = _known_before(read) if added and "code_versions" in manifest["files"] else set()
    return Facts(
        snapshot_id=snapshot_id,
        as_of=dt.datetime.fromisoformat(manifest["as_of"]),
        trust=tuple(manifest.get("trust") or ()),
        codes={row["code"]: row for row in codes},
        new_codes=frozenset(added - known),
        seen_first=frozenset(first),
        documents=_documents(read, changes, manifest["files"]),
        pages=_pages(read),
        histories=_histories(read, changes),
        replacements=_replacements(read, changes),
    )


def seen_first(home: Path, manifest: Mapping[str, Any], changes: Sequence[Change]) -> frozenset[tuple[str, str]]:
    """(source, code) of which each row is among the ``changes`` as one that came, while none differs or went: the
    parent had none of them. ``changes``: all of the snapshot. Raises SnapshotError."""
    came: Counter[tuple[str, str]] = Counter()
    others = set()
    for change in changes:
        if change["source"] is not None:
            owner = change["source"], change["code"]
            if change["before"] is None and change["column_name"] is None:
                came[owner] += 1
            else:
                others.add(owner)
    if not (candidates := came.keys() - others):
        return frozenset()
    read = _reader(home, manifest["snapshot_id"], {code for _, code in candidates})
    there: Counter[tuple[str, str]] = Counter()
    for table in COMPARED:
        if table.name != CODES.name and table.name in manifest["files"]:
            rows = read(table.name, ["source", "code"])
            counted = rows.append_column("n", pa.repeat(1, rows.num_rows)).group_by(["source", "code"])
            for row in counted.aggregate([("n", "sum")]).to_pylist():
                there[row["source"], row["code"]] += row["n_sum"]
    return frozenset(owner for owner in candidates if there[owner] == came[owner])


def _reader(home: Path, snapshot_id: str, codes: Iterable[str]) -> Read:
    """Reads columns of a table's rows of some codes."""
    wanted = pa.array(sorted(codes), STRING)

    def read(table: str, columns: Sequence[str]) -> pa.Table:
        rows = snapshots.read_table(home, snapshot_id, table, columns)
        return rows.filter(pc.is_in(rows["code"], value_set=wanted))

    return read


def _documents(
    read: Read, changes: Sequence[Change], tables: Collection[str]
) -> dict[tuple[str | None, str, str], str]:
    """Which document the rows of each (source, code, table) rest on, of the tables that items may tell of."""
    named = {change["table_name"] for change in changes} - {CODES.name}
    if any(change["change_type"] in HEADLINES for change in changes):
        named |= {"history_events", "attributes"}
    found: dict[tuple[str | None, str, str], str] = {}
    for name in sorted(named & set(tables)):
        rows = read(name, ["source", "code", "document_id"])
        rested = rows.group_by(["source", "code"]).aggregate([("document_id", "max")]).to_pylist()
        found |= {(row["source"], row["code"], name): row["document_id_max"] for row in rested}
    return found


def _known_before(read: Read) -> set[str]:
    """Codes that had a state before the one that they are in."""
    versions = read("code_versions", ["code", "version"])
    return set(versions.filter(pc.greater(versions["version"], 1))["code"].to_pylist())


def _pages(read: Read) -> dict[str, dict[str, list[Page]]]:
    rows = read("documents", ["source", "code", "document_id", "url", "fetched_at", "outcome"])
    found: dict[str, dict[str, list[Page]]] = defaultdict(lambda: defaultdict(list))
    for row in rows.to_pylist():
        tells = row["outcome"] in (*GOOD_OUTCOMES, "not_found")
        found[row["code"]][row["source"]].append(Page(row["document_id"], row["url"], row["fetched_at"], tells))
    for pages in (pages for of_code in found.values() for pages in of_code.values()):
        pages.sort(key=lambda page: page.url)
        pages.sort(key=lambda page: (page.tells, page.fetched_at), reverse=True)
    return found


def _histories(read: Read, changes: Sequence[Change]) -> dict[str, frozenset[str]]:
    if not any(change["change_type"] == "code_deleted" for change in changes):
        return {}
    events = read("history_events", ["source", "code", "action"])
    found: dict[str, set[str]] = defaultdict(set)
    for row in events.filter(pc.equal(events["action"], "deleted")).to_pylist():
        found[row["code"]].add(row["source"])
    return {code: frozenset(sources) for code, sources in found.items()}


def _replacements(read: Read, changes: Sequence[Change]) -> dict[str, tuple[str, ...]]:
    if not any(change["change_type"] == "code_deleted" for change in changes):
        return {}
    related = read("related_codes", ["code", "relation", "related_code"])
    found: dict[str, set[str]] = defaultdict(set)
    for row in related.filter(pc.equal(related["relation"], "replaced_by")).to_pylist():
        found[row["code"]].add(row["related_code"])
    return {code: tuple(sorted(codes)) for code, codes in found.items()}
