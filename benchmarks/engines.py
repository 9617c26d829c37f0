"""Which engine is faster, by size of network and batch: the table behind the rule in harness/engines/rule.py.

For each cell: microseconds that one step of one network takes a core on the plain engine, in lanes of 8 and of 32, and
in lanes compiled by torch.compile (its compiling apart, in seconds); the FLOPs of the step over the measured peak of a
matrix product, which is the floor; and what the rule chooses. One thread: workers have one each, so that the same
ratios hold for two processes side by side. The engines take turns in every round; a figure is the median of the rounds.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from harness.data import batch_order
from harness.engines import computation
from harness.engines.allocator import keep_freed_memory
from harness.engines.lanes import Lanes
from harness.engines.plain import Plain
from harness.engines.rule import LANES_UP_TO
from harness.fit import Engine, Job
from harness.flops import training_flops
from harness.objective import Objective
from harness.recipe import Recipe

WIDTHS = (20, 68, 130, 220, 705)
"""Of three hidden layers over ten inputs: about 1k, 10k, 37k, 100k and 1M parameters."""


def loss(network: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    return nn.functional.mse_loss(network(batch["inputs"])[:, 0], batch["targets"])


def network(width: int) -> nn.Module:
    sizes = itertools.pairwise((10, width, width, width))
    return nn.Sequential(*(part for i, o in sizes for part in (nn.Linear(i, o), nn.ReLU())), nn.Linear(width, 1))


def rule(flops: float, parameters: int) -> str:
    most_flops, most_parameters = LANES_UP_TO["cpu"]
    return "lanes" if flops <= most_flops and parameters <= most_parameters else "plain"


def peak_flops() -> float:
    """FLOPs a second of a large matrix product on one core."""
    a = torch.randn(1024, 1024)
    for _ in range(3):
        a @ a
    started = time.perf_counter()
    for _ in range(20):
        a @ a
    return 20 * 2 * 1024**3 / (time.perf_counter() - started)


def seconds_a_step(engine: Engine, width: int, batch: int, lanes: int, steps: int) -> float:
    """Of one network."""
    examples = {"inputs": torch.rand(512, 10), "targets": torch.rand(512)}
    objectives = [Objective(network(width), loss) for _ in range(lanes)]
    order = batch_order(512, batch, steps, 1)
    job = Job(objectives, examples, order, Recipe(batch_size=batch), 1e-3, None, [0] * lanes)
    started = time.perf_counter()
    engine.train(job)
    return (time.perf_counter() - started) / steps / lanes


def compiled_seconds(width: int, batch: int, lanes: int, steps: int) -> tuple[float, float]:
    """Seconds a step of one network in compiled lanes, and seconds of compiling."""
    torch._dynamo.reset()  # else after eight sizes torch gives up and runs uncompiled
    original = computation.vmap
    kept: dict[str, Callable[..., Tensor]] = {}

    def cached(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        return kept.setdefault("compiled", torch.compile(original(function)))

    computation.vmap = cached  # type: ignore[assignment]
    try:
        examples = {"inputs": torch.rand(512, 10), "targets": torch.rand(512)}
        objectives = [Objective(network(width), loss) for _ in range(lanes)]
        job = Job(
            objectives, examples, batch_order(512, batch, steps, 1), Recipe(batch_size=batch), 1e-3, None, [0] * lanes
        )
        stack = computation._Computation([computation.Lane(o, job, 0, float("inf"), source="x") for o in objectives], 0)
        started = time.perf_counter()
        for step in range(3):
            stack.step(step)
        compiling = time.perf_counter() - started
        started = time.perf_counter()
        for step in range(3, steps):
            stack.step(step)
        return (time.perf_counter() - started) / (steps - 3) / lanes, compiling
    finally:
        computation.vmap = original


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batches", type=int, nargs="+", default=[16, 64, 256])
    parser.add_argument("--compiled", action="store_true", help="torch.compile too: needs a C++ compiler, and minutes")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    peak = peak_flops()
    cells = []
    for width, batch in itertools.product(WIDTHS, options.batches):
        example = {"inputs": torch.rand(batch, 10), "targets": torch.rand(batch)}
        flops = training_flops(Objective(network(width), loss), example) or 0.0
        steps = max(4, min(200, int(2e9 / flops)))
        ways: dict[str, list[float]] = {"plain": [], "lanes of 8": [], "lanes of 32": []}
        for _ in range(options.rounds):
            ways["plain"].append(seconds_a_step(Plain(), width, batch, 1, steps))
            ways["lanes of 8"].append(seconds_a_step(Lanes(), width, batch, 8, steps))
            ways["lanes of 32"].append(seconds_a_step(Lanes(), width, batch, 32, steps))
        cell = {
            "parameters": sum(p.numel() for p in network(width).parameters()),
            "batch": batch,
            "flops": flops,
            "floor_us": round(flops / peak * 1e6, 1),
            **{f"{way} us": round(statistics.median(times) * 1e6, 1) for way, times in ways.items()},
            "rule": rule(flops, sum(p.numel() for p in network(width).parameters())),
        }
        if options.compiled:
            step, compiling = compiled_seconds(width, batch, 32, steps + 3)
            cell |= {"compiled 32 us": round(step * 1e6, 1), "compiling s": round(compiling, 1)}
        cells.append(cell)
        if not options.json:
            print("  ".join(f"{key} {value}" for key, value in cell.items()), flush=True)
    if options.json:
        print(json.dumps({"peak_gflops": round(peak / 1e9, 1), "cells": cells}, indent=1))
    else:
        print(f"peak {peak / 1e9:.0f} GFLOP/s on one core")


if __name__ == "__main__":
    main()
