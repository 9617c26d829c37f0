"""Rows for tests: made from scores, and the published table of Demšar 2006."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest

from results.schema import table

Rows = Callable[..., pa.Table]

METHODS = ("C4.5", "C4.5+m", "C4.5+cf", "C4.5+m+cf")
AUC = {
    "adult": (0.763, 0.768, 0.771, 0.798),
    "breast cancer": (0.599, 0.591, 0.590, 0.569),
    "breast wisconsin": (0.954, 0.971, 0.968, 0.967),
    "cmc": (0.628, 0.661, 0.654, 0.657),
    "ionosphere": (0.882, 0.888, 0.886, 0.898),
    "iris": (0.936, 0.931, 0.916, 0.931),
    "liver": (0.661, 0.668, 0.609, 0.685),
    "lung cancer": (0.583, 0.583, 0.563, 0.625),
    "lymphography": (0.775, 0.838, 0.866, 0.875),
    "mushroom": (1.0, 1.0, 1.0, 1.0),
    "primary tumor": (0.940, 0.962, 0.965, 0.962),
    "rheum": (0.619, 0.666, 0.614, 0.669),
    "voting": (0.972, 0.981, 0.975, 0.975),
    "wine": (0.957, 0.978, 0.946, 0.970),
}


@dataclass(frozen=True)
class Demsar:
    """Table 6 (tasks, methods): AUC of four decision trees on fourteen data sets; ``rows`` are foreign rows of it.

    ``ranked`` has .97501 for C4.5+cf on voting, which gives the ranks of the paper.
    """

    printed: np.ndarray
    ranked: np.ndarray

    def rows(self, scores: np.ndarray) -> pa.Table:
        """Imported rows: identity, task, label, score, metric and direction; everything else is null."""
        return table(
            [
                identity(f"{task}/{label}")
                | {"task": task, "label": label, "metric": "auc", "higher_is_better": True, "score_test": float(score)}
                for task, line in zip(AUC, scores, strict=True)
                for label, score in zip(METHODS, line, strict=True)
            ]
        )


def identity(key: str) -> dict[str, object]:
    """The columns that no row lacks."""
    return {
        "schema_version": 1,
        "key": key,
        "pair_key": key,
        "suite": "test",
        "protocol": 1,
        "stage": "final",
        "exploratory": False,
    }


@pytest.fixture(scope="session")
def demsar() -> Demsar:
    printed = np.array(list(AUC.values()))
    ranked = printed.copy()
    ranked[list(AUC).index("voting"), METHODS.index("C4.5+cf")] = 0.97501
    return Demsar(printed, ranked)


@pytest.fixture(scope="session")
def rows_of() -> Rows:
    """rows_of({(task, size, label): [score of seed 0, 1, ...]}, column=value); a status may stand in place of a score.

    ``each`` maps a task or a (task, size, label) to columns of its own rows.
    """

    def make(scores, each=None, **columns) -> pa.Table:
        each = each or {}
        rows = []
        for (task, size, label), values in scores.items():
            for seed, value in enumerate(values):
                outcome = {"status": value} if isinstance(value, str) else {"status": "done", "score_test": value}
                rows.append(
                    identity(f"{task}/{size}/{label}/{seed}")
                    | {"task": task, "target_size": size, "label": label, "method": label, "seed": seed}
                    | {"metric": "accuracy", "higher_is_better": True}
                    | outcome
                    | columns
                    | each.get(task, {})
                    | each.get((task, size, label), {})
                )
        return table(rows)

    return make
