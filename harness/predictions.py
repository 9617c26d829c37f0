"""Test predictions on their way to the campaign's folder: committed before the rows they belong to, merged later."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from harness import beside
from results import predictions
from results.place import Place

PREDICTIONS: Final = "predictions"
"""Where a final trial's row carries what it predicted, until both are committed."""

AS_IT_IS: Final[dict[str, Any]] = {"compression": "none", "use_dictionary": False}
"""How files are written: float32 hardly shrinks, and a file then cannot hold more than its size says."""

MOST_VALUES: Final = 16_384
"""Values that are kept of a trial at most, 64 kB: a hundred thousand trials then stay under 7 GB."""


def kept(predicted: Tensor) -> tuple[dict[str, Any] | None, str]:
    """What is kept of a test split's predictions; where nothing is, None and why."""
    if predicted.numel() > MOST_VALUES:
        return None, f"not kept: {predicted.numel()} values, at most {MOST_VALUES} are"
    held = predicted.detach().cpu()
    values = held.float()
    exact = torch.equal(values.to(held.dtype).nan_to_num(), held.nan_to_num()) and not held.is_complex()
    if not exact or not held.dim():
        return None, f"not kept: {tuple(held.shape)} {held.dtype} does not fit rows of float32"
    dtype = str(held.dtype).removeprefix("torch.")
    return {"shape": list(held.shape), "dtype": dtype, "prediction": values.contiguous().numpy().reshape(-1)}, ""


def restored(found: predictions.Predicted) -> Tensor:
    """The tensor that the task predicted, bit for bit. Raises: TypeError for a type that torch does not know."""
    dtype = getattr(torch, found.dtype, None)
    if not isinstance(dtype, torch.dtype):
        raise TypeError(f"predictions of type {found.dtype!r}")
    return torch.from_numpy(found.values.copy()).to(dtype)


def commit_predictions(folder: Place, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Commit the predictions of rows that are done as one file named by its content; returns the rows without them.

    To be called before the rows are committed, so that every row that is there has its predictions.
    """
    held = [row for row in rows if row.get(PREDICTIONS) is not None and row["status"] == "done"]
    if held:
        ends = np.cumsum([0, *(len(row[PREDICTIONS]["prediction"]) for row in held)], dtype=np.int32)
        values = pa.array(np.concatenate([row[PREDICTIONS]["prediction"] for row in held]))
        columns: dict[str, Any] = {name: [row[name] for row in held] for name in ("key", "attempt")}
        columns |= {name: [row[PREDICTIONS][name] for row in held] for name in ("shape", "dtype")}
        columns["prediction"] = pa.ListArray.from_arrays(pa.array(ends), values)
        stored = pa.table(columns, schema=predictions.STORED)
        beside.write(folder / predictions.FOLDER, stored, **AS_IT_IS)
    return [{name: value for name, value in row.items() if name != PREDICTIONS} for row in rows]


def merge_predictions(folder: Place, allowed: Callable[[], bool] = lambda: True) -> int:
    """Merge the commits of predictions, as `beside.merge` does."""
    return beside.merge(folder / predictions.FOLDER, predictions.STORED, predictions.once, allowed, **AS_IT_IS)
