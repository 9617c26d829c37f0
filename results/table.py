"""Read a campaign's rows as one Arrow table, filter it, export it."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq

from results.schema import SCHEMA, SCHEMA_VERSION

LEDGER = "ledger"
ORDER = ("task", "target_size", "label", "stage", "seed", "config", "key", "attempt")


def ledger_files(folder: Path) -> list[Path]:
    """The committed files of a campaign, in name order. Names that begin with ``.`` or ``_`` are not committed."""
    found = (folder / LEDGER).glob("**/*.parquet")
    return sorted(path for path in found if not path.name.startswith((".", "_")))


def read_attempts(folder: str | Path) -> pa.Table:
    """Every committed attempt of a campaign, in a fixed order that does not depend on file names.

    Warns and raises as `gather` does.
    """
    rows, _ = gather(ledger_files(Path(folder)))
    return rows.sort_by([(name, "ascending") for name in ORDER])


def gather(paths: Iterable[Path], columns: Sequence[str] = tuple(SCHEMA.names)) -> tuple[pa.Table, list[Path]]:
    """These columns of ledger files, file by file, and the files that were read.

    An unreadable file is left out with a warning that names it; it never stops the reader. The rows are in one piece:
    sorting and picking would be slow over thousands of small ones.
    Raises: ValueError if a row was written by a newer schema.
    """
    tables, read_from = [], []
    wanted = pa.schema([SCHEMA.field(name) for name in dict.fromkeys((*columns, "schema_version"))])
    for path in paths:
        try:
            tables.append(conform(_read_file(path, wanted.names), wanted))
            read_from.append(path)
        except (pa.ArrowException, OSError) as error:
            warnings.warn(f"{path}: not a readable ledger file, left out ({error})", stacklevel=2)
    rows = pa.concat_tables(tables).combine_chunks() if tables else wanted.empty_table()
    newest = pc.max(rows["schema_version"]).as_py()
    if newest is not None and newest > SCHEMA_VERSION:
        where = read_from[0].parent.parent
        raise ValueError(f"{where}: rows of schema version {newest}; this program reads up to {SCHEMA_VERSION}")
    return rows.select(list(columns)), read_from


def _read_file(path: Path, columns: list[str]) -> pa.Table:
    """The columns that the file has; at once and in this thread, which for small files is fastest (measured)."""
    return pq.ParquetFile(pa.BufferReader(path.read_bytes())).read(columns=columns, use_threads=False)


def conform(rows: pa.Table, schema: pa.Schema = SCHEMA) -> pa.Table:
    """The same rows under `schema`: absent columns become null, foreign ones are dropped, types are cast."""
    if rows.schema.equals(schema):
        return rows
    columns = [
        rows[field.name].cast(field.type) if field.name in rows.column_names else pa.nulls(len(rows), field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def latest(attempts: pa.Table) -> pa.Table:
    """One row per key: the first attempt that is done, else the last attempt. Keeps the order of the rows."""
    best: dict[str, tuple[int, int]] = {}
    wanted = zip(*(attempts[name].to_pylist() for name in ("key", "status", "attempt")), strict=True)
    for index, (key, status, attempt) in enumerate(wanted):
        rank = 2**31 - (attempt or 0) + 2**32 if status == "done" else (attempt or 0)
        if key not in best or rank > best[key][0]:
            best[key] = (rank, index)
    return attempts.take(pa.array(sorted(index for _, index in best.values()), pa.int64()))


def read(folder: str | Path) -> pa.Table:
    """One flat table of ``SCHEMA``: the latest attempt of each trial of a campaign."""
    return latest(read_attempts(folder))


def final_rows(rows: pa.Table) -> pa.Table:
    """The rows that may enter a comparison: final stage, not exploratory."""
    return rows.filter((pc.field("stage") == "final") & ~pc.field("exploratory"))


WRITERS = (".parquet", ".csv", ".arrow")


def export(rows: pa.Table, path: str | Path) -> None:
    """Write rows to one file; the suffix (.parquet, .csv or .arrow) decides the format. In CSV maps become JSON text.

    Raises: ValueError for any other suffix.
    """
    path = Path(path)
    if path.suffix not in WRITERS:
        raise ValueError(f"{path}: cannot write {path.suffix or 'a file without suffix'}; one of {', '.join(WRITERS)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f".tmp-{path.name}")
    if path.suffix == ".parquet":
        pq.write_table(rows, staged)
    elif path.suffix == ".arrow":
        pyarrow.feather.write_feather(rows, str(staged))
    else:
        pyarrow.csv.write_csv(flatten_maps(rows), staged)
    staged.replace(path)


def flatten_maps(rows: pa.Table) -> pa.Table:
    """The same rows with each map column as canonical JSON text, for formats without maps."""
    import json

    for index, field in enumerate(rows.schema):
        if pa.types.is_map(field.type):
            text = [None if m is None else json.dumps(dict(m), sort_keys=True) for m in rows[field.name].to_pylist()]
            rows = rows.set_column(index, field.name, pa.array(text, pa.string()))
    return rows
