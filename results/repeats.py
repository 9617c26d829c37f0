"""Trials that were done twice: the same key must give the same scores, bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from results.table import COMMITTED, SCORES, distinct

COLUMNS = (*COMMITTED, "task", "label", "target_size", "seed")


@dataclass(frozen=True)
class Repeat:
    """One score of one trial that two runs give differently; the first counts. None: that run gave none."""

    key: str
    task: str
    label: str
    target_size: int
    seed: int
    score: str
    first: float | None
    second: float | None

    def __str__(self) -> str:
        trial = f"{self.task}, {self.label}, n={self.target_size}, seed {self.seed}"
        return (
            f"not deterministic: {trial} was done twice; {self.score} was first {self.first!r}, then {self.second!r}"
            f" (key {self.key})"
        )


def differing(attempts: pa.Table, scores: Sequence[str] = SCORES) -> list[Repeat]:
    """Where a further `done` attempt of a key has another score than the first. Costs and times may differ."""
    done = attempts.filter(pc.field("status") == "done")
    counted = done["key"].value_counts()
    repeated = counted.field("values").filter(pc.greater(counted.field("counts"), 1))
    if not len(repeated):
        return []
    again = distinct(done.filter(pc.is_in(done["key"], repeated)))
    again = again.sort_by([(name, "ascending") for name in ("task", "label", "key", "attempt", "finished_at")])
    first: dict[str, dict[str, Any]] = {}
    found = []
    for row in again.select(list(COLUMNS)).to_pylist():
        one = first.setdefault(row["key"], row)
        trial = {name: row[name] for name in ("key", "task", "label", "target_size", "seed")}
        for name in scores:
            if not _same(one[name], row[name]):
                found.append(Repeat(**trial, score=name, first=one[name], second=row[name]))
    return found


def _same(one: object, other: object) -> bool:
    """Bit for bit, as the shortest text of a float shows; NaN is itself."""
    return repr(one) == repr(other)
