"""Rows that contradict each other: two directions for one task, two results for one trial. None of them is chosen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from results.foreign_rows import hashes
from results.schema import SCHEMA

Mask = npt.NDArray[np.bool_]
Refuse = Callable[[Mask, str], None]

ONE_PER_TASK: Final = {"higher_is_better": "directions", "metric": "metrics"}
TRIAL: Final = ("protocol", "stage", "task", "target_size", "label", "seed")
NOT_COMPARED: Final = ("schema_version", "key", "pair_key", "suite", "versions", "extra")
"""What two rows of one trial may differ in and still be the same result."""


def fitting(new: pa.Table, held: pa.Table, refuse: Refuse) -> tuple[pa.Table, int]:
    """The new rows to keep beside those `held`, and how many others say what another row says.

    `refuse` is told which new rows are dropped, as a mask over all of them, and why.
    """
    out = _contradictory_tasks(new, held, refuse)
    together = pa.concat_tables([held, new])
    is_new = np.arange(len(together)) >= len(held)
    lost = np.concatenate([np.zeros(len(held), bool), out])
    searched = pc.if_else(pc.equal(together["stage"], "tune"), together["config"], None)
    trial = _codes(hashes(together.append_column("searched", searched), (*TRIAL, "searched")))
    trial[lost] = len(together) + np.flatnonzero(lost)
    _, group, count = np.unique(trial, return_inverse=True, return_counts=True)
    repeated = np.flatnonzero(count[group] > 1)
    kept = is_new & ~lost
    if len(repeated):
        said = _said(together.take(pa.array(repeated)))
        by_trial: dict[int, list[int]] = defaultdict(list)
        for place, row in enumerate(repeated):
            by_trial[int(group[row])].append(place)
        clash = np.zeros(len(together), bool)
        for places in by_trial.values():
            first = repeated[places[0]]
            rows = repeated[places]
            agree = said[places] == said[places[0]]
            kept[rows[1:]] = False
            if not is_new[first]:  # what is there stays; what contradicts it is dropped
                clash[rows[~agree]] = True
            elif not agree.all():
                clash[rows], kept[first] = True, False
        clash &= is_new
        refuse(clash[is_new], "another score for the same task, target size, label, seed and stage")
        lost |= clash
    return together.filter(pa.array(kept)), int((is_new & ~kept & ~lost).sum())


def _contradictory_tasks(new: pa.Table, held: pa.Table, refuse: Refuse) -> Mask:
    """The new rows of tasks whose rows do not agree on what a score means."""
    out = np.zeros(len(new), bool)
    for column, words in ONE_PER_TASK.items():
        said: dict[str, set[Any]] = defaultdict(set)
        for rows in (held, new):
            pairs = rows.select(["task", column]).group_by(["task", column]).aggregate([]).to_pylist()
            for pair in pairs:
                said[pair["task"]] |= set() if pair[column] is None else {pair[column]}
        for task in sorted(task for task, values in said.items() if len(values) > 1):
            given = ", ".join(sorted(map(str, said[task])))
            mask = np.asarray(pc.equal(new["task"], task)) & ~out
            hint = f"; --where {column}=... chooses one" if column == "metric" else ""
            refuse(mask, f"task {task!r} has rows of several {words}: {given}{hint}")
            out |= mask
    return out


def _said(rows: pa.Table) -> npt.NDArray[np.int64]:
    """A number for what each row says, the same for the same."""
    compared = [n for n in SCHEMA.names if n not in NOT_COMPARED and rows[n].null_count < len(rows)]
    return _codes(hashes(rows, compared))


def _codes(texts: pa.Array) -> npt.NDArray[np.int64]:
    return np.asarray(pa.array(texts).dictionary_encode().indices, np.int64).copy()
