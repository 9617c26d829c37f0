"""Learning curves on their way to the campaign's folder: committed before the rows they belong to, merged later."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import pyarrow as pa

from harness import beside
from results import curves
from results.place import Place

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
        beside.write(folder / curves.FOLDER, pa.Table.from_pylist(points, schema=curves.SCHEMA))
    return [{name: value for name, value in row.items() if name != CURVE} for row in rows]


def merge_curves(folder: Place, allowed: Callable[[], bool] = lambda: True) -> int:
    """Merge the commits of curves, as `beside.merge` does."""
    return beside.merge(folder / curves.FOLDER, curves.SCHEMA, curves.once, allowed)
