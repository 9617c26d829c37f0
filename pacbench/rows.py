"""Rows as Arrow tables: of campaigns, of files, of published boards, or as a table that the caller has."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

import pyarrow as pa

from harness.errors import UserError, nearest
from harness.rows import judged_source, merged_rows, read_rows, read_source
from results import table as tables
from results.boards import boards
from results.merging import Source
from results.parquet import conform
from results.schema import IDENTITY, SCHEMA


class InFolder(Protocol):
    """What lies in a campaign's folder, as a `pacbench.Campaign` does."""

    @property
    def folder(self) -> str:
        """Its path or address."""
        ...


One: TypeAlias = "str | os.PathLike[str] | InFolder | pa.Table"
Rows: TypeAlias = "One | Sequence[One]"
"""Where rows come from: a campaign's folder or `s3://` address, a Parquet file that `pacbench export` wrote, what
`pacbench.run` returned, a table with the columns of rows, or several of these."""


def read(rows: Rows) -> pa.Table:
    """The rows of one or several campaigns, one for each trial, under the row schema (docs/python.md).

    Raises: UserError for a folder without campaign, or campaigns whose rows must not be mixed.
    """
    found = sources(rows, reader=read_source)
    return found[0].rows if len(found) == 1 else merged_rows(found)


def board(name: str = "standard") -> pa.Table:
    """The rows of a published board that comes with the program. Raises: UserError for an unknown name."""
    known = boards()
    if name not in known:
        raise UserError(f"no published board is named {name!r}; {nearest(str(name), known)}")
    return read_rows([known[name]])


def sources(
    rows: Rows, columns: Sequence[str] = tuple(SCHEMA.names), reader: Callable[..., Source] = judged_source
) -> list[Source]:
    """The rows of each place, with its name; the default reader leaves out those of explorations. Raises: UserError."""
    several = [*rows] if isinstance(rows, Sequence) and not isinstance(rows, str) else [rows]
    if not several:
        raise UserError("no rows are given; expected a campaign's folder, or a table of rows")
    return [_source(one, number, columns, reader) for number, one in enumerate(several, start=1)]


def address(one: One) -> str | None:
    """Where rows lie; None for a table."""
    if isinstance(one, pa.Table):
        return None
    return os.fspath(one) if isinstance(one, str | os.PathLike) else str(one.folder)


def text_of(place: object, what: str) -> str:
    """A folder's path or address. Raises: UserError for anything else."""
    if not isinstance(place, str | os.PathLike):
        raise UserError(f"{what} {place!r}: expected a folder's path, or an address as in s3://bucket/prefix")
    return os.fspath(place)


def _source(one: One, number: int, columns: Sequence[str], reader: Callable[..., Source]) -> Source:
    if isinstance(one, pa.Table):
        return Source(f"table {number}", tables.latest(_conformed(one, number).select(list(columns))))
    if not isinstance(one, str | os.PathLike) and not hasattr(one, "folder"):
        given = f"a {type(one).__module__}.{type(one).__qualname__}"
        raise UserError(f"rows {number}: {given}; expected a campaign's folder, a .parquet file or a pyarrow.Table")
    where = address(one)
    assert where is not None
    return reader(where, columns)


def _conformed(rows: pa.Table, number: int) -> pa.Table:
    lacking = [name for name in IDENTITY if name not in rows.column_names or rows[name].null_count]
    if lacking:
        raise UserError(f"table {number}: rows without {', '.join(lacking)}; expected the columns of pacbench.read()")
    try:
        return tables.ordered(tables.distinct(conform(_with_maps(rows))))
    except (pa.ArrowException, ValueError) as error:
        raise UserError(f"table {number}: not rows of this program ({error})") from error


def _with_maps(rows: pa.Table) -> pa.Table:
    """The rows with maps where a way through Python or pandas has made lists of pairs, or structs, of them."""
    for place, field in enumerate(rows.schema):
        if field.name in SCHEMA.names and pa.types.is_map(kind := SCHEMA.field(field.name).type):
            if pa.types.is_list(field.type):
                made = [None if held is None else [tuple(pair) for pair in held] for held in rows[place].to_pylist()]
            elif pa.types.is_struct(field.type):
                made = [
                    None if held is None else [(key, value) for key, value in held.items() if value is not None]
                    for held in rows[place].to_pylist()
                ]
            else:
                continue
            rows = rows.set_column(place, field.name, pa.array(made, kind))
    return rows
