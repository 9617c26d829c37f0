"""How long a suite will take: from the rows of an earlier campaign of the same kind, or from a short calibration."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import torch

from harness.engines.rule import step_size
from harness.errors import UserError
from harness.plan import Trial
from harness.task import Task, weightless

CALIBRATED_FACTOR = 3.0
"""An estimate from a few steps on an idle machine is right within this factor; see benchmarks/README.md."""

LARGE_FACTOR = 5.0
"""One from FLOPs is meant to be right within this factor; a guess: no large run was measured."""

START_SECONDS = 8.0
"""Of starting Ray once."""

LEAST_FACTOR = 1.3
"""One from rows is never told to be better than this: machines are shared."""

IDLE_SECONDS = 30.0
"""A longer time without a running trial was a break between two runs, not part of either."""


@dataclass(frozen=True)
class Estimate:
    """Seconds of the whole run, from low to high, and seconds that devices are busy."""

    seconds: float
    low: float
    high: float
    device_seconds: float
    source: str


def large_step(task: Task) -> tuple[float, int]:
    """FLOPs of one training step of a checkpoint's network, and its blocks, on tensors without memory.

    Raises: UserError where torch cannot count.
    """
    flops, _ = step_size(task, task.recipe.batch_size)
    if flops is None:
        raise UserError(f"task {task.id}: torch cannot count the FLOPs of its network; estimate with --from DIR")
    return flops, len(task.blocks(weightless(task)))


def measured_rate(seconds: float = 0.2) -> tuple[float, str]:
    """FLOPs a second of matrix products in float32 on this machine's GPU or one core, and which of them it was."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    matrix = torch.ones(1024, 1024, device=device)
    products, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        torch.mm(matrix, matrix)
        if device == "cuda":
            torch.cuda.synchronize()
        products += 1
    where = "one GPU" if device == "cuda" else "one core"
    return products * 2 * 1024**3 / (time.perf_counter() - started), where


def from_rows(
    rows: pa.Table, created_at: datetime | None, trials: Sequence[Trial]
) -> tuple[Estimate | None, list[Trial]]:
    """An estimate for those trials that have rows of their kind, and the trials that have none.

    A trial's kind is its task, label and target size, else its task and label; seconds grow with its steps. What rows
    do not hold (source models, starting, evaluating, waiting) is in the ratio of the earlier campaign's time to the
    seconds in its rows. The range comes from the spread of rows of one kind, and is never narrower than LEAST_FACTOR.
    """
    seconds = _seconds(rows)
    groups: dict[tuple[object, ...], list[float]] = {}
    names = ("task", "label", "target_size", "budget_steps", "status")
    columns = zip(*(rows[name].to_pylist() for name in names), seconds, strict=True)
    for task, label, n, steps, status, took in columns:
        if status == "done" and took is not None and steps:
            for kind in ((task, label, n), (task, label)):
                groups.setdefault(kind, []).append(took / steps)
    busy, variance, unknown = 0.0, 0.0, []
    for trial in trials:
        exact = (trial.task.id, trial.label, trial.target_size)
        found = groups.get(exact) or groups.get(exact[:2])
        if not found:
            unknown.append(trial)
            continue
        busy += trial.steps * statistics.fmean(found)
        variance += (trial.steps * statistics.pstdev(found)) ** 2
    held = sum(took for took in seconds if took is not None)
    if not busy or not held:
        return None, list(trials)
    total = START_SECONDS + max(_wall(rows, created_at) - START_SECONDS, 0.0) * busy / held
    factor = max(LEAST_FACTOR, 1 + 2 * variance**0.5 / busy)
    described = f"{len(rows)} rows of an earlier campaign, on as many workers as it had"
    return Estimate(total, total / factor, total * factor, busy, described), unknown


def _seconds(rows: pa.Table) -> list[float | None]:
    """Each row's own seconds; what was prepared once for several counts once in all."""
    names = ("source_key", "method", "prepare_seconds", "adapt_seconds", "evaluate_seconds")
    lines = list(zip(*(rows[name].to_pylist() for name in names), strict=True))
    sharing: dict[tuple[object, ...], int] = {}
    for line in lines:
        sharing[line[:3]] = sharing.get(line[:3], 0) + 1
    own: list[float | None] = []
    for line in lines:
        prepare, adapt, evaluate = line[2:]
        own.append(None if adapt is None else adapt + (evaluate or 0.0) + (prepare or 0.0) / sharing[line[:3]])
    return own


def _wall(rows: pa.Table, created_at: datetime | None) -> float:
    """Seconds during which the campaign ran, from its creation on, breaks between its runs left out."""
    started, finished = rows["started_at"].to_pylist(), rows["finished_at"].to_pylist()
    spans = sorted((s.timestamp(), f.timestamp()) for s, f in zip(started, finished, strict=True) if s and f)
    wall, end = 0.0, None
    if created_at is not None and spans:
        spans.insert(0, (created_at.timestamp(), spans[0][0]))  # starting Ray, and the source models
    for start, finish in spans:
        if end is None or start - end > IDLE_SECONDS:
            wall, end = wall + max(finish - start, 0.0), finish
        elif finish > end:
            wall, end = wall + finish - end, finish
    return wall
