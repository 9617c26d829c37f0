"""Rows as commands read them: of campaigns and of exported files, for counting or for judging, or one message."""

from __future__ import annotations

import dataclasses
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from harness.errors import UserError
from harness.record import open_place, read_record
from results import table as tables
from results.merging import Source, merged
from results.parquet import conform
from results.place import Place, explain
from results.schema import IDENTITY, SCHEMA, SCHEMA_VERSION


def read_attempts(folders: Sequence[str | Place], columns: Sequence[str] = tuple(SCHEMA.names)) -> pa.Table:
    """All attempts in all folders. Raises: UserError for a folder without campaign or rows it cannot read."""
    read = []
    for folder in map(open_place, folders):
        read_record(folder)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                read.append(tables.read_attempts(folder, columns))
            except ValueError as error:
                raise UserError(str(error)) from error
            except OSError as error:
                raise UserError(f"{folder}: cannot be read ({explain(error)})") from error
        for warning in caught:
            print(f"pacbench: {warning.message}", file=sys.stderr)
    return pa.concat_tables(read)


def read_source(address: str | Place, columns: Sequence[str] = tuple(SCHEMA.names)) -> Source:
    """The rows of a campaign, or of a Parquet file that `pacbench export` wrote. Raises: UserError."""
    folder = open_place(address)
    if isinstance(folder, Path) and folder.suffix == ".parquet" and folder.is_file():
        return Source(str(address), tables.latest(_read_file(folder, columns)))
    if isinstance(folder, Path) and folder.is_file():
        expected = "expected a campaign's folder, or a .parquet file that `pacbench export` wrote"
        raise UserError(f"{address}: a file; {expected}; `pacbench import` reads results of other programs")
    suite = read_record(folder)["suite"]
    tuning = suite.get("tuning")
    configs = tuning.get("configs") if isinstance(tuning, dict) else None
    rows = tables.latest(read_attempts([address], columns))
    return Source(str(address), rows, configs if type(configs) is int and configs > 0 else None)


def _read_file(path: Path, columns: Sequence[str]) -> pa.Table:
    try:
        held = set(pq.read_schema(path).names)
        rows = conform(pq.read_table(path, columns=[name for name in columns if name in held]))
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise UserError(f"{path}: cannot be read as rows ({explain(error)})") from error
    lacking = [name for name in IDENTITY if name not in held or (name in columns and rows[name].null_count)]
    if lacking:
        expected = "expected a file that `pacbench export` wrote"
        raise UserError(f"{path}: rows without {', '.join(lacking)}; {expected}, or `pacbench import` for others")
    if (newest := pc.max(rows["schema_version"]).as_py() or 0) > SCHEMA_VERSION:
        raise UserError(f"{path}: rows of schema version {newest}; this program reads up to {SCHEMA_VERSION}")
    return tables.ordered(tables.distinct(rows.select(list(columns))))


def read_rows(addresses: Sequence[str | Place], columns: Sequence[str] = tuple(SCHEMA.names)) -> pa.Table:
    """The rows of all campaigns, one per key. Raises: UserError as `read_source` does, or where they must not mix."""
    return merged_rows([read_source(address, columns) for address in addresses])


def merged_rows(sources: Sequence[Source]) -> pa.Table:
    """The rows of all sources as one table. Raises: UserError where they must not be mixed."""
    try:
        return merged(sources)
    except ValueError as error:
        raise UserError(str(error)) from error


def judged_source(address: str | Place, columns: Sequence[str] = tuple(SCHEMA.names)) -> Source:
    """As `read_source`, without the rows of explorations, which enter no judgement; how many there were is said."""
    source = read_source(address, columns)
    kept = tables.confirmatory(source.rows)
    if explored := len(source.rows) - len(kept):
        were = "1 exploratory row is" if explored == 1 else f"{explored:,} exploratory rows are"
        print(f"pacbench: {address}: {were} left out; what was explored enters no comparison", file=sys.stderr)
    return dataclasses.replace(source, rows=kept)


def judged_rows(addresses: Sequence[str | Place], columns: Sequence[str] = tuple(SCHEMA.names)) -> pa.Table:
    """As `read_rows`, without the rows of explorations."""
    return merged_rows([judged_source(address, columns) for address in addresses])
