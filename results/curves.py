"""Learning curves: a table of their own beside the ledger, read together with the rows.

``curves/NAME.parquet`` is one commit; ``curves/merged/`` holds many commits in few files. No manifest says which count:
a curve in two files is harmless, since one file alone speaks for an attempt. A writer deletes a commit only after the
merged file is there; a reader lists the commits first, and starts again if a file is gone.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from results import table
from results.committed import COMMIT_NAME, CONTENT_NAME, MERGED, TRIES, read_files
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
    points = list(_files(place(folder) / FOLDER))
    return once(points, rows) if points else SCHEMA.empty_table()


def once(files: Sequence[pa.Table], rows: pa.Table | None = None) -> pa.Table:
    """The points of files, at least one, each attempt's from the first that has it; with `rows` only those of rows."""
    pieces = [piece.append_column("file", pa.array([i] * len(piece), pa.int64())) for i, piece in enumerate(files)]
    together = pa.concat_tables(pieces)
    if rows is not None:
        together = together.join(rows, ["key", "attempt"], join_type="left semi")
    chosen = together.group_by(["key", "attempt"]).aggregate([("file", "min")])
    together = together.join(chosen, ["key", "attempt"])
    kept = together.filter(pc.field("file") == pc.field("file_min"))
    order = [("key", "ascending"), ("attempt", "ascending"), ("split", "ascending"), ("step", "ascending")]
    return kept.select(SCHEMA.names).sort_by(order).cast(SCHEMA)


def commits(folder: Place) -> list[Place]:
    """The files of single commits in the folder of curves."""
    return [folder / name for name in names(folder) if COMMIT_NAME.fullmatch(name)]


def _files(folder: Place) -> Iterator[pa.Table]:
    """The points of each readable file: merged ones, then commits, in the order of their names."""
    for _ in range(TRIES):
        single = commits(folder)  # listed first: what goes away later is merged by then
        merged = [folder / MERGED / name for name in names(folder / MERGED) if CONTENT_NAME.fullmatch(name)]
        found = list(read_files([*merged, *single], SCHEMA))
        if all(points is not None for _, points in found):
            break
    for path, points in found:
        if isinstance(points, pa.Table):
            yield points
        else:
            warnings.warn(f"{path}: not a readable file of curves, left out ({points or 'it is gone'})", stacklevel=3)
