"""Read a campaign's rows as one Arrow table, filter it, export it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq

from results.committed import LEDGER as LEDGER
from results.committed import gather
from results.committed import ledger_files as ledger_files
from results.place import Place, place
from results.schema import SCHEMA

ORDER = ("task", "target_size", "label", "stage", "seed", "config", "key", "attempt", "finished_at")

SCORES = tuple(name for name in SCHEMA.names if name.startswith("score_"))
COMMITTED = ("key", "status", "attempt", "started_at", "finished_at", *SCORES)
"""Rows that agree in all of these are one commit that was found twice."""

NEVER: Final = 2**63 - 1


def read_attempts(folder: str | Place, columns: Sequence[str] = tuple(SCHEMA.names)) -> pa.Table:
    """Every committed attempt of a campaign, in a fixed order that does not depend on file names.

    An unreadable file is left out with a warning that names it. Raises: ResultsError if a row was written by a newer
    schema; OSError if the place does not answer.
    """
    gathered = gather(place(folder), columns)
    for path, reason in gathered.damaged:
        warnings.warn(f"{path}: not a readable ledger file, left out ({reason})", stacklevel=2)
    return ordered(distinct(gathered.rows))


def ordered(rows: pa.Table, by: Sequence[str] = ORDER) -> pa.Table:
    """The same rows in a fixed order, by the columns of it that they have; copied only where they are not in it."""
    keys = [(name, "ascending") for name in by if name in rows.column_names]
    places = np.asarray(pc.sort_indices(rows, sort_keys=keys), np.int64)
    return rows if np.all(places[1:] > places[:-1]) else rows.take(pa.array(places))


def distinct(attempts: pa.Table) -> pa.Table:
    """The rows without those that were found twice. Keeps their order."""
    if _all_differ(attempts["key"]):
        return attempts
    columns = [name for name in COMMITTED if name in attempts.column_names]
    numbered = attempts.select(columns).append_column("row", pa.array(np.arange(len(attempts))))
    first = numbered.group_by(columns, use_threads=False).aggregate([("row", "min")])["row_min"]
    return attempts if len(first) == len(attempts) else attempts.take(first.take(pc.sort_indices(first)))


def latest(attempts: pa.Table) -> pa.Table:
    """One row per key: the first attempt that is done, else the last attempt. Keeps the order of the rows.

    Of equal attempts, which only a fault leaves, the one that finished first.
    """
    if _all_differ(attempts["key"]):
        return attempts
    attempt = _integers(attempts["attempt"], 0)
    done = np.asarray(pc.equal(attempts["status"], "done").fill_null(False))
    finished = np.full(len(attempts), NEVER)
    if "finished_at" in attempts.column_names:
        finished = _integers(attempts["finished_at"].cast(pa.int64()), NEVER)
    codes = _codes(attempts["key"])
    order = np.lexsort((finished, np.where(done, attempt, -attempt), ~done, codes))
    first = order[np.diff(codes[order], prepend=-1) != 0]
    return attempts.take(pa.array(np.sort(first), pa.int64()))


def _all_differ(keys: pa.ChunkedArray) -> bool:
    return bool(pc.count_distinct(keys, mode="all").as_py() == len(keys))


def _codes(texts: pa.ChunkedArray) -> np.ndarray:
    """A whole number for each text, the same for equal texts; from 0."""
    encoded = texts.combine_chunks().dictionary_encode()
    return np.asarray(encoded.indices.fill_null(len(encoded.dictionary)), np.int64)


def _integers(values: pa.ChunkedArray, missing: int) -> np.ndarray:
    return np.asarray(values.cast(pa.int64()).fill_null(missing), np.int64)


def read(folder: str | Place) -> pa.Table:
    """One flat table of ``SCHEMA``: the latest attempt of each trial of a campaign.

    Warns and raises as `read_attempts` does.
    """
    return latest(read_attempts(folder))


def final_rows(rows: pa.Table) -> pa.Table:
    """The rows that may enter a comparison: final stage, not exploratory."""
    wanted = is_final(rows)
    return rows if wanted.all() else rows.filter(pa.array(wanted))


def confirmatory(rows: pa.Table) -> pa.Table:
    """The rows without those of explorations, which enter no board, no comparison and no report."""
    explored = rows["exploratory"].fill_null(False)
    return rows.filter(pc.invert(explored)) if pc.any(explored).as_py() else rows


def is_final(rows: pa.Table) -> np.ndarray:
    """Which rows may enter a comparison. Shapes: (rows,)."""
    final = pc.and_(pc.equal(rows["stage"], "final"), pc.invert(rows["exploratory"]))
    return np.asarray(final.fill_null(False), bool)


WRITERS = (".parquet", ".csv", ".arrow")


def export(rows: pa.Table, path: str | Path) -> None:
    """Write rows to one file; the suffix (.parquet, .csv or .arrow) decides the format. In CSV maps become JSON text.

    Raises: ValueError for any other suffix.
    """
    path = Path(path).absolute()  # or `word:` at the beginning is taken for a kind of file system
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
