"""Test predictions of final trials: a table of their own beside the ledger, one row for each trial in its files."""

from __future__ import annotations

import math
import warnings
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from results import table
from results.committed import CONTENT_NAME, MERGED, TRIES, read_files
from results.curves import commits
from results.place import Place, names, place

FOLDER: Final = "predictions"

STORED: Final = pa.schema(
    [
        ("key", pa.string()),
        ("attempt", pa.int32()),
        ("shape", pa.list_(pa.int32())),
        ("dtype", pa.string()),
        ("prediction", pa.list_(pa.float32())),
    ]
)
"""key, attempt    of the row that the predictions belong to.
shape           examples, and the sizes of a prediction that is more than a number: (406, 5) are 5 class scores each.
dtype           what the task predicted in, as in ``float32``; `prediction` holds its values exactly.
prediction      all values, the last dimension fastest.
"""

SCHEMA: Final = pa.schema(
    [("key", pa.string()), ("attempt", pa.int32()), ("example", pa.int32()), ("prediction", pa.list_(pa.float32()))]
)
"""The same, one row for each example of the target test split, in the order of the split."""


@dataclass(frozen=True)
class Predicted:
    """What one trial predicted. Shapes: values (examples, ...), float32; dtype: of the task's own tensor."""

    key: str
    attempt: int
    values: npt.NDArray[np.float32]
    dtype: str


def scan(folder: str | Place, keys: Collection[str] | None = None) -> Iterator[Predicted]:
    """The predictions of the rows that `results.table.read` gives, of these keys or of all, one file at a time.

    Of an attempt that lies in two files, as after a kill between the commit of predictions and row, the first counts.
    An unreadable file is left out with a warning that names it.
    """
    rows = table.read(folder).select(["key", "attempt", "status"])
    wanted = {
        (key, attempt)
        for key, attempt, status in zip(*(column.to_pylist() for column in rows.columns), strict=True)
        if status == "done" and (keys is None or key in keys)
    }
    for stored in _files(place(folder) / FOLDER):
        for index, trial in enumerate(_trials(stored)):
            if trial in wanted:
                values, shape = stored["prediction"][index].values, stored["shape"][index].as_py()
                if values is None or not shape or min(shape) < 0 or math.prod(shape) != len(values):
                    continue  # a file made by hand; the row is then one without predictions
                wanted.discard(trial)
                yield Predicted(*trial, np.asarray(values).reshape(shape), str(stored["dtype"][index].as_py()))


def read(folder: str | Place, keys: Collection[str] | None = None) -> pa.Table:
    """The predictions of these keys, or of all, under SCHEMA, in the order of key and example.

    All of a large campaign may not fit into memory: 40 kB for a trial with 10,000 test examples. Warns as `scan` does.
    """
    pieces = []
    for found in sorted(scan(folder, keys), key=lambda found: found.key):
        count = len(found.values)
        flat = found.values.reshape(-1)
        offsets = np.arange(count + 1, dtype=np.int32) * (len(flat) // count if count else 0)
        columns = [
            pa.array([found.key], pa.string()).take(pa.array(np.zeros(count, np.int64))),
            pa.array(np.full(count, found.attempt), pa.int32()),
            pa.array(np.arange(count), pa.int32()),
            pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat)),
        ]
        pieces.append(pa.table(columns, schema=SCHEMA))
    return pa.concat_tables(pieces) if pieces else SCHEMA.empty_table()


def once(files: Sequence[pa.Table]) -> pa.Table:
    """The trials of files, each from the first that has it."""
    together = pa.concat_tables(files)
    first = {trial: index for index, trial in reversed(list(enumerate(_trials(together))))}
    return together.take(pa.array(sorted(first.values()), pa.int64()))


def _trials(stored: pa.Table) -> list[tuple[str, int]]:
    return list(zip(stored["key"].to_pylist(), stored["attempt"].to_pylist(), strict=True))


def _files(folder: Place) -> Iterator[pa.Table]:
    """The content of each readable file: merged ones, then commits, in the order of their names.

    What is merged meanwhile is looked for again, so that nothing is missed; some files then come twice.
    """
    seen: set[str] = set()
    for _ in range(TRIES):
        single, gone = commits(folder), False  # listed first: what goes away later is merged by then
        merged = [folder / MERGED / name for name in names(folder / MERGED) if CONTENT_NAME.fullmatch(name)]
        for path in (path for path in (*merged, *single) if path.name not in seen):
            ((_, stored),) = read_files([path], STORED)
            gone |= stored is None
            if stored is not None:
                seen.add(path.name)
            if isinstance(stored, pa.Table):
                yield stored
            elif stored is not None:
                warnings.warn(f"{path}: not a readable file of predictions, left out ({stored})", stacklevel=3)
        if not gone:
            return
