"""Law 5: the same captures give byte-identical tables, in whatever order and in whatever batches they came."""

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parsers.records import Descriptor
from tests.warehouse.generated import FULL, landed
from tests.warehouse.invented import LIVE, TRUST, assembled, capture, captures, day, everything, page
from warehouse.assemble import Assembled, assemble
from warehouse.columnar import sort_rows
from warehouse.expectations import validate
from warehouse.files import encode
from warehouse.staging import StagedResult, stage


def tables_of(batches: Sequence[Sequence[StagedResult]], seen: Sequence[dict[str, Any]]) -> Assembled:
    """What a fresh home makes of pages that were staged in these batches and captured in this order."""
    with tempfile.TemporaryDirectory() as folder:
        for batch in batches:
            stage(Path(folder), batch)
        return assemble(captures(seen), Path(folder), LIVE, TRUST)


def bytes_of(tables: dict[str, pa.Table]) -> dict[str, bytes]:
    return {name: encode(table).to_pybytes() for name, table in tables.items()}


@settings(max_examples=200 if FULL else 15, deadline=None)
@given(landed(), st.data())
def test_law_5_order_and_batches_do_not_show(
    made: tuple[list[StagedResult], list[dict[str, Any]]], data: st.DataObject
) -> None:
    pages, seen = made
    shuffled, reordered = data.draw(st.permutations(pages)), data.draw(st.permutations(seen))
    size = data.draw(st.integers(1, len(pages)))
    batches = [shuffled[start : start + size] for start in range(0, len(shuffled), size)]
    again = [shuffled[: data.draw(st.integers(1, len(pages)))]]  # a killed run staged some pages twice
    one, other = tables_of([pages], seen), tables_of([*batches, *again], reordered)
    assert one.as_of == other.as_of
    assert bytes_of(one.tables) == bytes_of(other.tables)


@settings(max_examples=100 if FULL else 10, deadline=None)
@given(landed())
def test_tables_are_as_declared_and_sorted_by_key(made: tuple[list[StagedResult], list[dict[str, Any]]]) -> None:
    from warehouse.tables import BY_NAME

    for name, rows in tables_of([made[0]], made[1]).tables.items():
        assert rows.schema.equals(BY_NAME[name].schema, check_metadata=True)
        assert rows.equals(sort_rows(rows, BY_NAME[name].key))


def test_law_5_validated_tables_are_the_same_bytes(tmp_path: Path) -> None:
    """With rows held back, conflicts and warnings among them."""
    conflict = [Descriptor("short", "Synthetic one"), Descriptor("short", "Synthetic two")]
    too_long = [Descriptor("long", "x" * 5000)]
    pages = [page(f"{n:05}", [*everything(n), *(conflict if n % 3 else too_long)]) for n in range(9)]
    results = []
    for number, order in enumerate((pages, pages[::-1])):
        made = assembled(tmp_path / str(number), [(of, day(1)) for of in order])
        results.append(validate(made.tables, made.as_of, TRUST))
    first, second = results
    assert first.tables["quarantine"].num_rows > 9
    assert bytes_of(first.tables) == bytes_of(second.tables)
    assert first.suites == second.suites


@pytest.mark.parametrize("chunks", [1, 7])
def test_bytes_do_not_depend_on_chunks(tmp_path: Path, chunks: int) -> None:
    rows = assembled(tmp_path, [(page("0748T", everything()), day(1))]).tables["narratives"]
    many = pa.concat_tables([rows] * 4000)
    size = len(many) // chunks
    cut = pa.concat_tables([many.slice(start, size) for start in range(0, len(many), size)])
    assert cut.equals(many)
    assert encode(cut).equals(encode(many.combine_chunks()))


def test_captures_that_came_twice_change_nothing(tmp_path: Path) -> None:
    one = page("0748T", everything())
    seen = [capture(one, day(1)), capture(one, day(2))]
    assert bytes_of(tables_of([[one]], seen).tables) == bytes_of(tables_of([[one]], seen * 3).tables)
    later = dataclasses.replace(one, document_id="0" * 64)
    assert bytes_of(tables_of([[one, later]], seen).tables) == bytes_of(tables_of([[one]], seen).tables)
