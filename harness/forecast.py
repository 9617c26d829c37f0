"""What a suite would run, and about how long: from earlier rows, by a few steps, or by arithmetic."""

from __future__ import annotations

import os
import time
from copy import deepcopy
from datetime import datetime
from typing import Any

import pyarrow as pa
import torch

from harness import plan, seeds
from harness.data import copy
from harness.engines.lanes import Lanes
from harness.engines.plain import Plain
from harness.estimate import (
    CALIBRATED_FACTOR,
    LARGE_FACTOR,
    START_SECONDS,
    Estimate,
    from_rows,
    large_step,
    measured_rate,
)
from harness.fit import Fit
from harness.objective import Objective
from harness.plan import Pack, Trial
from harness.record import open_place, read_record
from harness.suite import Suite
from harness.task import Task, target_network
from results.power import decides

CALIBRATION_STEPS = 30
CALIBRATION_LANES = 8
TRIAL_SECONDS = 0.05
"""What evaluating and recording each trial costs."""
RANKS_SECONDS = 8.0
"""What starting the ranks of a trial, and sharing out its model, costs at least."""


def forecast(suite: Suite, earlier: str | None = None) -> tuple[dict[str, Any], str | None]:
    """What would run, and about how long: from earlier rows, or a few steps of each task's network.

    Returns the document that `plan --json` prints, and why it is not from the earlier rows where it is not.
    """
    tune = plan.tune_trials(suite)
    final = plan.final_trials(suite, {cell: cell.entrant.method for cell in plan.cells(suite)})
    sources = plan.source_packs([*tune, *final])
    workers = max(1, int(len(os.sched_getaffinity(0)) // ((suite.resources.cpus or 1) * suite.engine.ranks)))
    document: dict[str, Any] = {
        "suite": suite.name,
        "tasks": [task.id for task in suite.tasks],
        "methods": [entrant.label for entrant in suite.entrants],
        "target_sizes": list(suite.target_sizes),
        "engine": suite.engine.words(),
        "trials": len(tune) + len(final),
        "tune_trials": len(tune),
        "final_trials": len(final),
        "source_models": len({trial.source_key for pack in sources for trial in pack.trials}),
        "packs": len(plan.packs(tune)) + len(plan.packs(final)) + len(sources),
        "can_decide": decides(len({t.name for t in suite.tasks if not t.negative_control}), len(suite.entrants)),
    }
    estimated, note = None, None
    if earlier is not None:
        estimated, unknown = from_rows(*_earlier(earlier), [*tune, *final])
        if unknown:
            estimated = None
            kinds = sorted({f"{trial.task.id} with {trial.label}" for trial in unknown})
            note = f"--from {earlier}: no rows of {kinds[0]}; calibrating instead"
    estimated = estimated or _calibrated(suite, [*tune, *final], sources, workers)
    document |= {
        "estimated_seconds": round(estimated.seconds, 1),
        "estimated_seconds_range": [round(estimated.low, 1), round(estimated.high, 1)],
        "estimated_device_hours": round(estimated.device_seconds / 3600, 4),
        "estimated_from": estimated.source,
    }
    return document, note


def _earlier(address: str) -> tuple[pa.Table, datetime | None]:
    """The rows of an earlier campaign, and when it was created if it says so. Raises: UserError."""
    from harness.rows import read_rows  # which plan and run do not need

    rows = read_rows([address])
    try:
        return rows, datetime.fromisoformat(read_record(open_place(address))["created_at"])
    except (KeyError, TypeError, ValueError):
        return rows, None


def _calibrated(suite: Suite, trials: list[Trial], sources: list[Pack], workers: int) -> Estimate:
    """An estimate from the steps that every trial takes, and a few steps of each task's network."""
    large = {task.id: large_step(task) for task in suite.tasks if plan.facts(task).checkpoint is not None}
    if large:
        return _by_arithmetic(large, trials)
    engine = {trial.task.id: trial.source_engine for trial in trials}
    seconds_per_step = {task.id: calibrate(task, engine[task.id]) for task in suite.tasks}
    core_seconds = sum(
        trial.task.recipe.source_steps * seconds_per_step[trial.task.id] for pack in sources for trial in pack.trials
    )
    blocks = {task.id: len(task.blocks(task.network())) for task in suite.tasks}
    for trial in trials:
        steps = trial.method.planned_steps(trial.steps, trial.task.recipe.source_steps, blocks[trial.task.id])
        core_seconds += steps * seconds_per_step[trial.task.id] + TRIAL_SECONDS
    if suite.engine.sharding:
        core_seconds += RANKS_SECONDS * (len(trials) + len(sources))
    total = core_seconds / workers + START_SECONDS
    source = (
        f"{CALIBRATION_STEPS} steps of each task's network here, {workers} workers; an upper bound where one searches"
    )
    return Estimate(total, total / CALIBRATED_FACTOR, total * CALIBRATED_FACTOR, core_seconds, source)


def _by_arithmetic(large: dict[str, tuple[float, int]], trials: list[Trial]) -> Estimate:
    """An estimate from the FLOPs of every trial's steps: a large network cannot be tried where a run is planned.

    One device of the speed measured here does it all; tasks without a checkpoint weigh nothing beside the others.
    """
    total = 0.0
    for trial in trials:
        if trial.task.id in large:
            flops, blocks = large[trial.task.id]
            total += flops * trial.method.planned_steps(trial.steps, trial.task.recipe.source_steps, blocks)
    rate, where = measured_rate()
    source = (
        f"{total:.3g} FLOPs of training, counted; {rate:.3g} a second measured on {where} here. Divide the FLOPs by "
        "what your devices reach together"
    )
    return Estimate(total / rate, total / rate / LARGE_FACTOR, total / rate * LARGE_FACTOR, total / rate, source)


def calibrate(task: Task, engine: str) -> float:
    """Seconds of one training step of the task's network at its batch size on this machine, one thread.

    In lanes it is one lane's share of a step of CALIBRATION_LANES.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with seeds.seeded("calibration", task.id):
            network = target_network(task)
        fit = Fit(Lanes() if engine == "lanes" else Plain(), task.recipe, 0, CALIBRATION_STEPS)
        lanes = CALIBRATION_LANES if engine == "lanes" else 1
        objectives = [Objective(deepcopy(network), task.loss) for _ in range(lanes)]
        examples = copy(task.datasets().target_pool)
        fit(objectives, examples, 3)
        started = time.perf_counter()
        fit(objectives, examples)
        return (time.perf_counter() - started) / CALIBRATION_STEPS / lanes
    finally:
        torch.set_num_threads(threads)
