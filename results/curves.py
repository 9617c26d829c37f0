"""Learning curves: a table of their own beside the ledger, one file per commit, read together with the rows."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from results import table
from results.committed import COMMIT_NAME, read_files
from results.place import Place, names, place

FOLDER: Final = "curves"

SCHEMA: Final = pa.schema(
    [
        ("key", pa.string()),
        ("attempt", pa.int32()),
        ("step", pa.int64()),
        ("split", pa.string()),
        ("value", pa.float64()),
    ]
)
"""key, attempt    of the row that the point belongs to.
step            optimiser steps taken on the target.
split, value    ``train``: the objective's value, penalty included, on the last batch before that step's update.
"""


def read(folder: str | Place) -> pa.Table:
    """The curves of the rows that `results.table.read` gives, in the order of key and step, and of no other attempt.

    An attempt that was killed between the commit of its curve and of its row has the same number as the one that
    replaced it: one file alone speaks for an attempt. An unreadable file is left out with a warning that names it.
    """
    rows = table.read(folder).select(["key", "attempt"])
    points = _files(place(folder) / FOLDER)
    pieces = [piece.append_column("file", pa.array([i] * len(piece), pa.int64())) for i, piece in enumerate(points)]
    if not pieces:
        return SCHEMA.empty_table()
    together = pa.concat_tables(pieces).join(rows, ["key", "attempt"], join_type="left semi")
    chosen = together.group_by(["key", "attempt"]).aggregate([("file", "min")])
    together = together.join(chosen, ["key", "attempt"])
    kept = together.filter(pc.field("file") == pc.field("file_min"))
    order = [("key", "ascending"), ("split", "ascending"), ("step", "ascending")]
    return kept.select(SCHEMA.names).sort_by(order).cast(SCHEMA)


def _files(folder: Place) -> Iterator[pa.Table]:
    """The points of each readable file, in name order."""
    files = [folder / name for name in names(folder) if COMMIT_NAME.fullmatch(name)]
    for path, points in read_files(files, SCHEMA):
        if isinstance(points, pa.Table):
            yield points
        else:
            warnings.warn(f"{path}: not a readable file of curves, left out ({points or 'it is gone'})", stacklevel=3)
