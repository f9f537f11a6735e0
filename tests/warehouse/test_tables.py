"""The table description: law 9 (flat types, described columns) and its agreement with the parsers' records."""

import dataclasses
import typing

import pyarrow as pa
import pytest

from parsers.records import RECORD_TYPES
from warehouse.tables import BY_NAME, COMPARED, FACTS, TABLES, Table, fingerprint

FLAT = {pa.string(), pa.date32(), pa.timestamp("us", tz="UTC"), pa.int32(), pa.int64(), pa.bool_()}
PYTHON = {pa.string(): str, pa.date32(): "date", pa.int32(): int}


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_law_9_columns_are_flat_typed_and_described(table: Table) -> None:
    for field in table.schema:
        assert field.type in FLAT
        assert field.metadata[b"description"].decode().endswith(".")
    assert table.schema.metadata[b"description"].decode().endswith(".")
    assert table.schema.metadata[b"key"].decode().split(",") == list(table.key)
    assert not any(table.column(name).nullable for name in table.key)
    assert len(set(table.names)) == len(table.names)


@pytest.mark.parametrize("record", RECORD_TYPES, ids=lambda record: record.table)
def test_records_have_the_columns_of_their_table(record: type) -> None:
    table = BY_NAME[record.table]
    fields = dataclasses.fields(record)
    assert ["source", "code", *(field.name for field in fields), "document_id"] == list(table.names)
    for field in fields:
        annotated = typing.get_type_hints(record)[field.name]
        assert (type(None) in typing.get_args(annotated)) == table.column(field.name).nullable


def test_every_fact_table_has_a_record() -> None:
    assert {record.table for record in RECORD_TYPES} == {table.name for table in FACTS}


def test_law_7_volatile_columns_are_not_compared() -> None:
    for table in COMPARED:
        assert "document_id" not in table.compared
        assert not any(str(table.column(name).type).startswith("timestamp") for name in table.compared)


def test_the_fingerprint_follows_shape_and_nothing_else() -> None:
    codes = BY_NAME["codes"]
    described = dataclasses.replace(codes, description="Other words.")
    narrower = dataclasses.replace(codes, columns=codes.columns[:-1])
    first, *rest = codes.columns
    retyped = dataclasses.replace(codes, columns=(dataclasses.replace(first, type=pa.int32()), *rest))
    assert fingerprint(described) == fingerprint(codes)
    assert len({fingerprint(codes), fingerprint(narrower), fingerprint(retyped)}) == 3
