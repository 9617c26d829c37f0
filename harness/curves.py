"""Learning curves on their way from a trial to the campaign's folder: committed before the rows they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from results import curves
from results.committed import content_name
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
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist(points, schema=curves.SCHEMA), sink, write_statistics=False)
        content = sink.getvalue().to_pybytes()
        make_folder(folder / curves.FOLDER)
        write_durably(folder / curves.FOLDER / content_name(content), content)
    return [{name: value for name, value in row.items() if name != CURVE} for row in rows]
