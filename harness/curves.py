"""Learning curves on their way to the campaign's folder: committed before the rows they belong to, merged later."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from results import curves
from results.committed import MERGED, content_name, read_files
from results.place import Place, make_folder, write_durably

CURVE: Final = "curve"
"""Where a trial's row carries its learning curve, pairs of (steps taken, training loss), until both are committed."""


def commit_curves(folder: Place, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Commit the curves of rows as one file named by its content; returns the rows without them.

    To be called before the rows are committed, so that every row that is there has its curve.
    """
    points = [
        {"key": row["key"], "attempt": row["attempt"], "step": step, "split": "train", "value": value}
        for row in rows
        for step, value in row.get(CURVE, ())
    ]
    if points:
        _write(folder / curves.FOLDER, pa.Table.from_pylist(points, schema=curves.SCHEMA))
    return [{name: value for name, value in row.items() if name != CURVE} for row in rows]


def merge_curves(folder: Place, allowed: Callable[[], bool] = lambda: True) -> int:
    """Merge the commits of curves that can be read into one more file; returns how many they were.

    Safe to kill at any instruction: they are deleted only after that file is there, and what is in both is read once.
    `allowed` is asked before anything changes. Raises: OSError.
    """
    found = dict(read_files(curves.commits(folder / curves.FOLDER), curves.SCHEMA))
    points = {path: rows for path, rows in found.items() if isinstance(rows, pa.Table)}
    if not points or not allowed():
        return 0
    _write(folder / curves.FOLDER / MERGED, curves.once(list(points.values())))
    if not allowed():
        return 0
    for path in points:
        path.unlink(missing_ok=True)
    return len(points)


def _write(folder: Place, points: pa.Table) -> None:
    """Write points as one file named by its content."""
    sink = pa.BufferOutputStream()
    pq.write_table(points, sink, write_statistics=False)
    content = sink.getvalue().to_pybytes()
    make_folder(folder)
    write_durably(folder / content_name(content), content)
