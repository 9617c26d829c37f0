"""Rows from the bytes of a Parquet file that may be anything: damaged, foreign, or made to fill the memory."""

from __future__ import annotations

from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from results.errors import ResultsError
from results.place import explain
from results.schema import IDENTITY, SCHEMA

PLAIN: Final = frozenset({"PLAIN", "RLE", "BIT_PACKED"})
"""Encodings that take the room of every value; others can say one long value many times in a few bytes."""

ROOM: Final = 2**26
ROOM_PER_BYTE: Final = 200
VALUES_PER_BYTE: Final = 64
"""What a file may take in memory. Rows have keys, which do not compress: real files stay under 20 times their size."""

LARGE: Final = 2**20
"""Bytes from which several threads read faster than one (measured)."""


class DamagedError(ResultsError):
    """Content that is not what a file of this kind holds; the message says why."""


def read_parquet(content: bytes, wanted: pa.Schema) -> pa.Table:
    """The columns of `wanted` that the file has; absent ones are null.

    Raises: DamagedError if it is no Parquet file, declares more than it can hold, or a column has another type, text
    that is none, or nulls where identity has none.
    """
    try:
        file = pq.ParquetFile(pa.BufferReader(content))
        _check_declared(file.metadata, len(content))
        checked = _checked(wanted, file.schema_arrow, texts=len(content) <= LARGE)
        rows = conform(file.read(columns=checked.names, use_threads=len(content) > LARGE), checked)
        rows.validate(full=True)
    except (pa.ArrowException, OSError, KeyError, ValueError, MemoryError, OverflowError) as error:
        raise DamagedError(explain(error)) from error
    for name in IDENTITY:
        if name in wanted.names and rows[name].null_count and (name == "key" or name in file.schema_arrow.names):
            raise DamagedError(f"column {name!r} has {rows[name].null_count} rows without a value")
    return rows.select(wanted.names)


def _checked(wanted: pa.Schema, held: pa.Schema, texts: bool) -> pa.Schema:
    """`wanted`, the columns held under another type, and those of text: so all readers refuse one and the same file.

    texts: False for large files, which are merged ones, read whole when they were merged.
    """
    asked, types = set(wanted.names), dict(zip(held.names, held.types, strict=True))
    unread = [field for field in SCHEMA if field.name in types and field.name not in asked]
    return pa.schema([*wanted, *(f for f in unread if types[f.name] != f.type or (texts and f.type == pa.string()))])


def _check_declared(metadata: pq.FileMetaData, size: int) -> None:
    """Raises: DamagedError if reading would take more room than rows of this program in a file of this size can."""
    room = 0
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        for chunk in map(group.column, range(group.num_columns)):
            repeats = chunk.physical_type.endswith("BYTE_ARRAY") and not PLAIN.issuperset(chunk.encodings)
            room += chunk.total_uncompressed_size * (chunk.num_values if repeats else 1)
            if chunk.num_values > VALUES_PER_BYTE * size:
                raise DamagedError(f"it declares {chunk.num_values} values in {size} bytes")
    if metadata.num_rows > size or room > ROOM + ROOM_PER_BYTE * size:
        raise DamagedError(f"it declares {metadata.num_rows} rows, up to {room} bytes, in {size} bytes")


def conform(rows: pa.Table, schema: pa.Schema = SCHEMA) -> pa.Table:
    """The same rows under `schema`: absent columns become null, foreign ones are dropped, types are cast."""
    if rows.schema.equals(schema):
        return rows
    columns = [
        rows[field.name].cast(field.type) if field.name in rows.column_names else pa.nulls(len(rows), field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)
