"""Rows of small finished campaigns for tests of the report, and names that try to break it."""

from __future__ import annotations

import json
from collections.abc import Callable

Row = dict[str, object]
Change = Callable[[Row], None]

GAINS = {"fine_tuning": 0.0, "pac": 0.1, "scratch": -0.4}
TASKS = {"digits": ("accuracy", True), "friedman1(shift=2.0)": ("rmse", False)}
HOSTILE = (
    "<script>alert(1)</script>",
    "\"double\" & 'single' </style> $x^2$",
    "\u202egnp.evil\u202c",
    "x" * 300,
    "a | b `c` [d](e) <i>",
    "שלום\nnew line\x00",
    "W" * 200,
    "深" * 80,
)


def anchored(row: Row) -> None:
    """Anchors for both of ``TASKS``, so that they have a common unit."""
    zero, one = ("0.2", "0.9") if row["higher_is_better"] else ("2.0", "0.5")
    row["extra"] = {"anchor_zero": zero, "anchor_one": one}


def campaign(
    gains: dict[str, float] = GAINS,
    tasks: dict[str, tuple[str, bool]] = TASKS,
    sizes: tuple[int | None, ...] = (25, 100),
    seeds: int = 3,
    change: Change | None = None,
) -> list[Row]:
    """Rows of a small finished campaign: two tuned configurations, the first selected, then the final seeds."""
    rows = []
    for task, (metric, higher) in tasks.items():
        for size in sizes:
            for label, gain in gains.items():
                tried = [("tune", 10000, 0.01), ("tune", 10000, 0.1)]
                for stage, seed, rate in tried + [("final", seed, 0.01) for seed in range(seeds)]:
                    noise = 0.01 * ((7 * seed + len(label) + (size or 0)) % 5)
                    score = (0.6 + gain if higher else 1.4 - gain) + noise
                    row: Row = {
                        "key": f"{task}/{size}/{label}/{stage}/{seed}/{rate}",
                        "pair_key": f"{task}/{size}/{seed}",
                        "schema_version": 1,
                        "suite": "quick",
                        "protocol": 1,
                        "stage": stage,
                        "exploratory": False,
                        "task": task,
                        "data_hash": "d1",
                        "target_size": size,
                        "method": label,
                        "label": label,
                        "config": json.dumps({"learning_rate": rate}),
                        "seed": seed,
                        "status": "done",
                        "metric": metric,
                        "higher_is_better": higher,
                        "score_validation": score - (0.02 if rate > 0.05 else 0.0),
                        "score_test": score if stage == "final" else None,
                        "score_source_before": 0.9,
                        "score_source_after": 0.7 + noise,
                        "trained_parameters": 100 * (1 + len(label)),
                        "adapt_seconds": 2.0,
                        "exclusive_device": False,
                        "commit": "c0ffee",
                        "dirty": False,
                        "host": "alpha",
                        "versions": {"torch": "2.13.0"},
                        "extra": {},
                    }
                    if change:
                        change(row)
                    rows.append(row)
    return rows
