"""``code_versions``: every state of a code over the snapshots that are kept, and when each of them held."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import time
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.warehouse.drafts import drafted, published
from tests.warehouse.generated import FULL
from tests.warehouse.invented import day
from warehouse.expire import Plan, remove
from warehouse.files import encode
from warehouse.tables import CODE_VERSIONS, CODES
from warehouse.versions import Standing, follow, stands_after, versions_after

Rows = list[dict[str, Any]]


def codes(**titles: str | None) -> pa.Table:
    """``codes`` with these titles. Ex: c10001="Synthetic" """
    fixed = {"code_system": "CPT", "category": "I", "status": "active", "first_seen_at": day(1), "source_count": 1}
    rows = [{"code": name.removeprefix("c"), "title": title, **fixed} for name, title in sorted(titles.items())]
    return pa.Table.from_pylist(rows, schema=CODES.schema)


def line(*states: pa.Table, kept: set[int] | None = None) -> Rows:
    """The versions after snapshots with these codes, a day apart, of which none has expired (or only ``kept`` stay)."""
    versions = None
    for number, state in enumerate(states, 1):
        versions = follow(versions, state, Standing(number, day(number)), kept or set(range(1, number + 1)))
    assert versions is not None
    return versions.to_pylist()


def brief(rows: Rows) -> list[tuple[Any, ...]]:
    return [(r["code"], r["version"], r["title"], r["first_snapshot"], r["last_snapshot"]) for r in rows]


def test_a_first_snapshot_has_one_version_of_each_code() -> None:
    versions = follow(None, codes(c10001="A", c10002=None), Standing(1, day(1)), {1})
    assert versions.schema.equals(CODE_VERSIONS.schema, check_metadata=True)
    assert brief(versions.to_pylist()) == [("10001", 1, "A", 1, None), ("10002", 1, None, 1, None)]
    assert {(r["valid_from"], r["valid_to"]) for r in versions.to_pylist()} == {(day(1), None)}


def test_a_code_that_changes_goes_and_comes_back_has_a_row_for_each_state() -> None:
    rows = line(codes(c10001="A", c10002="X"), codes(c10001="B", c10002="X"), codes(c10002="X"), codes(c10001="B"))
    assert brief(rows) == [
        ("10001", 1, "A", 1, 1),
        ("10001", 2, "B", 2, 2),
        ("10001", 3, "B", 4, None),
        ("10002", 1, "X", 1, 3),
    ]
    assert [(r["valid_from"], r["valid_to"]) for r in rows] == [
        (day(1), day(2)),
        (day(2), day(3)),
        (day(4), None),
        (day(1), day(4)),
    ]


def test_law_7_volatile_columns_make_no_version() -> None:
    first = codes(c10001="A")
    place = first.column_names.index("first_seen_at")
    later = first.set_column(place, first.schema.field(place), pa.array([day(5)], CODES.column("first_seen_at").type))
    assert brief(line(first, later)) == [("10001", 1, "A", 1, None)]


def test_what_is_corrected_without_newer_data_held_at_no_time() -> None:
    versions = follow(None, codes(c10001="A"), Standing(1, day(1)), {1})
    corrected = follow(versions, codes(c10001="B"), Standing(2, day(1)), {1, 2}).to_pylist()
    assert [(r["title"], r["valid_from"], r["valid_to"]) for r in corrected] == [
        ("A", day(1), day(1)),
        ("B", day(1), None),
    ]


def test_states_of_no_snapshot_that_is_kept_are_dropped_and_the_others_keep_their_number() -> None:
    states = codes(c10001="A", c10002="X"), codes(c10001="B", c10002="X"), codes(c10001="C", c10002="X")
    versions = None
    for number, state in enumerate(states, 1):
        versions = follow(versions, state, Standing(number, day(number)), set(range(1, number + 1)))
    rows = follow(versions, codes(c10001="D", c10002="X"), Standing(4, day(4)), {2, 4}).to_pylist()
    assert brief(rows) == [("10001", 2, "B", 2, 2), ("10001", 4, "D", 4, None), ("10002", 1, "X", 1, None)]


def test_a_column_that_codes_did_not_have_before_is_null_in_older_states() -> None:
    older = codes(c10001="A").drop_columns("title")
    rows = line(older, codes(c10001="A"))
    assert brief(rows) == [("10001", 1, None, 1, 1), ("10001", 2, "A", 2, None)]
    before = follow(None, older, Standing(1, day(1)), {1}).drop_columns(["title", "mue_code"])
    assert brief(follow(before, codes(c10001=None), Standing(2, day(2)), {1, 2}).to_pylist()) == [
        ("10001", 1, None, 1, None)
    ]


def test_law_5_rows_and_bytes_do_not_depend_on_order_or_chunks() -> None:
    first = codes(c10001="A", c10002="X", c10003=None)
    second = codes(c10001="B", c10002="X", c10004="Y")
    versions = follow(None, first, Standing(1, day(1)), {1})
    chunks = [versions.slice(n, 1) for n in (2, 0, 1)]
    other = follow(pa.concat_tables(chunks), second.take([2, 1, 0]), Standing(2, day(2)), {1, 2})
    assert encode(other).equals(encode(follow(versions, second, Standing(2, day(2)), {1, 2})))


def without_versions(home: Path) -> None:
    """As an older cptflow left the home: no such table, and manifests without number and valid_from."""
    for manifest in home.glob("warehouse/snapshots/*/manifest.json"):
        told = json.loads(manifest.read_text())
        del told["files"]["code_versions"], told["number"], told["valid_from"]
        manifest.write_text(json.dumps(told))
        (manifest.parent / "code_versions.parquet").unlink()


def test_a_home_of_before_has_its_versions_made_of_the_snapshots_that_are_there(tmp_path: Path, both: Any) -> None:
    first = published(tmp_path, drafted(both[0], None, 1)).snapshot_id
    second = published(tmp_path, drafted(both[1], first, 2, both[0])).snapshot_id
    without_versions(tmp_path)
    stands = stands_after(tmp_path, second, day(3))
    assert stands == Standing(3, day(3))
    rebuilt = versions_after(tmp_path, second, both[0]["codes"], stands).to_pylist()
    assert [(r[1], r[3], r[4]) for r in brief(rebuilt)] == [(1, 1, 1), (2, 2, 2), (3, 3, None)]
    assert [(r["valid_from"], r["valid_to"]) for r in rebuilt] == [(day(1), day(2)), (day(2), day(3)), (day(3), None)]


def test_time_never_goes_back(tmp_path: Path, both: Any) -> None:
    """A parser that reads old pages anew makes a snapshot as of an older day."""
    first = published(tmp_path, drafted(both[0], None, 5)).snapshot_id
    assert stands_after(tmp_path, first, day(3)) == Standing(6, day(5))
    assert stands_after(tmp_path, None, day(3)) == Standing(1, day(3))


steps = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from(["c10001", "c10002", "c10003"]), st.sampled_from([None, "", "A", "B"])),
        st.integers(0, 2),
        st.sets(st.integers(1, 8)),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=80 if FULL else 25, deadline=None)
@given(steps)
def test_versions_are_the_runs_of_equal_states_over_what_is_kept(history: list[Any]) -> None:
    """Each as a person would find it, reading all snapshots one after the other."""
    versions, kept, stands, states = None, set(), Standing(0, day(1)), []
    numbers: dict[tuple[Any, ...], int] = {}
    for titles, days, expired in history:
        stands = Standing(stands.number + 1, stands.valid_from + dt.timedelta(days))
        kept = (kept - expired) | {stands.number}
        states.append((stands, titles))
        versions = follow(versions, codes(**titles), stands, kept)
        rows = versions.to_pylist()
        told = {
            (r["code"], r["title"], r["first_snapshot"], r["last_snapshot"], r["valid_from"], r["valid_to"])
            for r in rows
        }
        assert told == set(expected(states, kept))
        assert len(told) == len(rows) == len({(r["code"], r["version"]) for r in rows})
        for row in rows:
            key = row["code"], row["first_snapshot"]
            assert numbers.setdefault(key, row["version"]) == row["version"], "a version keeps its number"


def expected(states: list[tuple[Standing, dict[str, str | None]]], kept: set[int]) -> list[tuple[Any, ...]]:
    found = []
    absent = object()
    for code in {code for _, titles in states for code in titles}:
        of_code = [(titles.get(code, absent), stands) for stands, titles in states]
        for title, run in groupby(of_code, itemgetter(0)):
            held = [stands for _, stands in run]
            if title is absent or not kept & {stands.number for stands in held}:
                continue
            following = [stands for stands, _ in states if stands.number > held[-1].number]
            until = (held[-1].number, following[0].valid_from) if following else (None, None)
            found.append((code.removeprefix("c"), title, held[0].number, until[0], held[0].valid_from, until[1]))
    return found


@pytest.mark.full
def test_versions_of_a_whole_code_set_are_made_in_a_moment() -> None:
    """17,000 codes, ten states of each, 1 % of which change."""
    names = [f"c{number:05}" for number in range(17_000)]
    titles: dict[str, str | None] = dict.fromkeys(names, "A")
    versions = follow(None, codes(**titles), Standing(1, day(1)), {1})
    for number in range(2, 11):
        titles = dict.fromkeys(names, f"Synthetic {number}")
        versions = follow(versions, codes(**titles), Standing(number, day(number)), set(range(1, number + 1)))
    titles |= dict.fromkeys(names[::100], "Z")
    last = codes(**titles)
    begun = time.process_time()
    versions = follow(versions, last, Standing(11, day(11)), set(range(1, 12)))
    assert versions.num_rows == 170_000 + 170
    assert time.process_time() - begun < 5, "it takes a fraction of a second"


def grown(home: Path, both: Any) -> list[str]:
    """Four snapshots, each of them with the versions that follow from its parent's."""
    ids: list[str] = []
    for number in range(1, 5):
        parent = ids[-1] if ids else None
        stands = stands_after(home, parent, day(number))
        tables = both[number % 2]
        versions = versions_after(home, parent, tables["codes"], stands)
        made = drafted(tables, parent, number, both[(number + 1) % 2], versions=versions)
        ids.append(published(home, made).snapshot_id)
    return ids


@pytest.mark.parametrize("broken", [1, 2])
def test_damage_of_history_costs_no_state(tmp_path: Path, both: Any, broken: int) -> None:
    ids = grown(tmp_path, both)
    stands = stands_after(tmp_path, ids[3], day(5))
    whole = versions_after(tmp_path, ids[3], both[1]["codes"], stands)
    assert len(whole) == 5 * both[0]["codes"].num_rows
    shutil.rmtree(tmp_path / "warehouse/snapshots" / ids[broken])
    assert versions_after(tmp_path, ids[3], both[1]["codes"], stands).equals(whole)


def test_states_go_with_the_snapshots_that_expired(tmp_path: Path, both: Any) -> None:
    ids = grown(tmp_path, both)
    remove(tmp_path, Plan({}, (ids[1],)))
    stands = stands_after(tmp_path, ids[3], day(5))
    rows = brief(versions_after(tmp_path, ids[3], both[1]["codes"], stands).to_pylist())
    assert {row[3] for row in rows} == {1, 3, 4, 5}
