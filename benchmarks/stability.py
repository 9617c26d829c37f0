"""Where the spread of scores comes from, and how far one tiny change before the first step moves them.

What a trial draws comes from keys, one after the other: the source model from the source's, the target examples from a
key made of it, and from one made of that the order of batches, a new head's weights, untrained weights and whatever the
method draws. Here each of the three comes from a seed of its own. A block is two seeds, crossed: 2 x 2 x 2 trials of
every method, the two on the diagonal being the harness's own trials of those seeds, bit for bit. Blocks share no seed,
so each gives an independent, unbiased estimate of every variance component, and their scatter gives the intervals.

- source, split, order: the component of each alone; together: of all their interactions. They add up to 100 % of the
  variance over seeds, and one that is about zero may come out negative.
- test: the variance of the mean over seeds that comes from which examples are in the test split, by bootstrap of the
  examples under the stored predictions. It is no part of the 100 %, and more seeds do not shrink it.
- nudge: what is left when all seeds are held and one weight that trains is moved by a millionth before the first step
  on the target: half the mean square of the change, comparable with a component; no part of the 100 % either.

Methods run with the configuration that the suite gives, untuned; each difference from the baseline has its components
too. The data sets themselves, the source's and the pool, are fixed, and what another draw of them would do is not seen.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

from harness.engines.allocator import keep_freed_memory, round_alike

# ruff: noqa: E402
round_alike()  # before torch is loaded, as in the workers

import numpy as np
import torch
from rich.console import Console
from torch import nn

from harness import plan, seeds
from harness.data import Examples, size, take
from harness.errors import UserError, nearest
from harness.known import load_suite
from harness.method import Fit, Objective, Problem
from harness.plan import Trial
from harness.predictions import PREDICTIONS, restored
from harness.source import Store, datasets
from harness.suite import Suite
from harness.task import Task
from harness.terminal import json_text, show
from harness.trial import Row, run_pack
from results import display
from results.components import Part, components, deviation, share
from results.predictions import Predicted
from results.statistics import FloatArray

FACTORS = ("source", "split", "order")
NUDGE = 1e-6
CORNERS = list(product((0, 1), repeat=len(FACTORS)))
"""Of a block: which of its two seeds each factor takes."""

T = TypeVar("T", bound=Trial)


@dataclass(frozen=True)
class Crossed(Trial):
    """A trial whose `seed` derives the source model alone; target examples, and order, come from seeds of their own.

    Each key is the one that the trial of that seed has, so with three equal seeds it is that trial.
    """

    split_seed: int = 0
    order_seed: int = 0

    @cached_property
    def draw_key(self) -> str:
        return self._of(self.split_seed).draw_key

    @cached_property
    def pair_key(self) -> str:
        return self._of(self.order_seed).pair_key

    def _of(self, seed: int) -> Trial:
        return Trial(**{field.name: getattr(self, field.name) for field in dataclasses.fields(Trial)} | {"seed": seed})


def crossed(trial: Trial, source: int, split: int, order: int) -> Crossed:
    """The trial with these seeds instead of its own."""
    fields = {field.name: getattr(trial, field.name) for field in dataclasses.fields(Trial)}
    return Crossed(**fields | {"seed": source}, split_seed=split, order_seed=order)


def nudged(trial: T, amount: float) -> T:
    """The trial with one weight moved before the first step on the target. Its key, and so its draws, stay the same."""
    kind: Any = type(trial.method)

    class Nudged(kind):
        def adapt(self, network: nn.Module, target: Problem, fit: Fit) -> Objective:
            objective: Objective = super().adapt(network, target, fit)
            _move_one_weight(objective, target.train, amount, seeds.generator(trial.key, "nudge"))
            return objective

    settings = {field.name: getattr(trial.method, field.name) for field in dataclasses.fields(trial.method)}
    return dataclasses.replace(trial, method=Nudged(**settings))


def _move_one_weight(objective: Objective, examples: Examples, amount: float, draw: torch.Generator) -> None:
    """Move one of the entries that have a gradient, drawn at random, by `amount` times its size, or times the root mean
    square of the network's weights where that is more (what PAC and LoRA train starts at 0)."""
    objective.to(next(iter(examples.values())).device)
    parameters = [parameter for parameter in objective.parameters() if parameter.requires_grad]
    with torch.random.fork_rng():
        gradients = torch.autograd.grad(objective(examples), parameters, allow_unused=True, materialize_grads=True)
    alive = torch.cat([gradient.flatten() for gradient in gradients]).nonzero()[:, 0].tolist()
    if not alive:
        raise ValueError("no weight has a gradient, so none can be moved to any effect")
    place = alive[int(torch.randint(len(alive), (), generator=draw))]
    typical = (
        torch.cat([weight.detach().flatten() for weight in objective.finish().parameters()]).square().mean().sqrt()
    )
    with torch.no_grad():
        for parameter in parameters:
            if place < parameter.numel():
                entry = parameter.view(-1)[place]
                entry += amount * torch.maximum(entry.abs(), typical)
                return
            place -= parameter.numel()


def run_all(trials: Sequence[Trial], store: Store) -> list[Row]:
    """The row of every trial, in order, by the harness's own packs; in this process and on no cluster."""
    rows: dict[int, Row] = {}
    place = {id(trial): number for number, trial in enumerate(trials)}
    packs = plan.packs(trials, device=store.device.type)
    for number, pack in enumerate(packs):
        for trial, row in zip(pack.trials, run_pack(pack.trials, store), strict=True):
            rows[place[id(trial)]] = row
        if sys.stderr.isatty():
            print(f"\r{trials[0].task.id}: pack {number + 1}/{len(packs)} ", end="", file=sys.stderr)
    return [rows[number] for number in range(len(trials))]


@dataclass(frozen=True)
class Measured:
    """What one label's trials on one task and size gave. NaN where a trial is not done.

    Shapes: scores (blocks, 2, 2, 2); moved, the change that a nudge made (blocks, 2). predicted: of the trials on the
    diagonal, None where predictions are not kept. reasons: why trials are not done.
    """

    label: str
    scores: FloatArray
    moved: FloatArray
    predicted: list[torch.Tensor] | None
    reasons: list[str]


def measure(suite: Suite, task: Task, n: int, blocks: int, nudge: float, store: Store) -> list[Measured]:
    """Run every label's trials on one task and size."""
    one = dataclasses.replace(suite, tasks=(task,), target_sizes=(n,), final=dataclasses.replace(suite.final, seeds=1))
    bases = plan.final_trials(one, {cell: cell.entrant.method for cell in plan.cells(one)})
    trials: list[Crossed] = []
    for base in bases:
        whole = [crossed(base, *(2 * b + level for level in corner)) for b in range(blocks) for corner in CORNERS]
        trials += whole + [nudged(trial, nudge) for trial in whole if _diagonal(trial)]
    rows = run_all(trials, store)
    each = blocks * (len(CORNERS) + 2)
    return [
        _measured(base.label, trials[i * each : (i + 1) * each], rows[i * each : (i + 1) * each], blocks)
        for i, base in enumerate(bases)
    ]


def _diagonal(trial: Crossed) -> bool:
    """Whether it is one of the harness's own trials."""
    return trial.seed == trial.split_seed == trial.order_seed


def _measured(label: str, trials: Sequence[Crossed], rows: Sequence[Row], blocks: int) -> Measured:
    scores = np.array([np.nan if row.get("score_test") is None else row["score_test"] for row in rows])
    count = blocks * len(CORNERS)
    plain = [number for number in range(count) if _diagonal(trials[number])]
    kept = [rows[number].get(PREDICTIONS) for number in plain]
    predicted = [_restored(one) for one in kept if one is not None]
    return Measured(
        label=label,
        scores=scores[:count].reshape(blocks, *(2,) * len(FACTORS)),
        moved=(scores[count:] - scores[plain]).reshape(blocks, 2),
        predicted=predicted if len(predicted) == len(plain) else None,
        reasons=sorted({f"{row['status']}: {row['reason']}" for row in rows if row["status"] != "done"}),
    )


def _restored(kept: dict[str, Any]) -> torch.Tensor:
    return restored(Predicted("", 1, kept["prediction"].reshape(kept["shape"]), kept["dtype"]))


def resampled(task: Task, found: Sequence[Measured], resamples: int, draw: torch.Generator) -> dict[str, FloatArray]:
    """Each label's mean score over the diagonal trials on resampled test examples, the same for all labels.

    Shapes: (resamples,) for each label with predictions.
    """
    test = datasets(task).target_test
    means: dict[str, list[float]] = {one.label: [] for one in found if one.predicted}
    for _ in range(resamples):
        index = torch.randint(size(test), (size(test),), generator=draw)
        examples = take(test, index)
        for one in found:
            if one.predicted:
                scores = [task.score(predicted.index_select(0, index), examples) for predicted in one.predicted]
                means[one.label].append(float(np.mean(scores)))
    return {label: np.array(values) for label, values in means.items()}


@dataclass(frozen=True)
class Line:
    """One method, or its difference from the baseline, on one task and size. Shares are of the variance over seeds.

    blocks: those all of whose trials are done; deviation: over seeds, of one run; components: every set of factors by
    itself. test_deviation: of the mean over seeds, over test splits; seeds_until_test: of how many seeds the mean's
    variance equals that. largest_nudge: the largest change of a score by a nudge.
    """

    task: str
    target_size: int
    metric: str
    label: str
    baseline: str | None
    blocks: int
    mean: float | None
    deviation: Part
    shares: dict[str, Part]
    components: dict[str, Part]
    nudge: Part
    largest_nudge: float | None
    test_deviation: float | None
    test: float | None
    seeds_until_test: float | None
    reasons: list[str]


def line(
    task: Task,
    n: int,
    label: str,
    baseline: str | None,
    scores: FloatArray,
    moved: FloatArray,
    means: FloatArray | None,
    reasons: list[str],
) -> Line:
    """The estimates from what was measured; blocks that are not whole are left out."""
    whole = np.isfinite(scores).all(axis=(1, 2, 3)) & np.isfinite(moved).all(axis=1)
    scores, moved = scores[whole], moved[whole]
    parts = components(scores) if len(scores) else {}
    total: FloatArray = sum(parts.values(), np.zeros(len(scores)))
    together = sum((part for axes, part in parts.items() if len(axes) > 1), np.zeros(len(scores)))
    named = {FACTORS[axes[0]]: part for axes, part in parts.items() if len(axes) == 1} | {"together": together}
    variance = float(total.mean()) if len(total) else 0.0
    test = float(means.var(ddof=1)) if means is not None and len(means) > 1 else None
    relative = test / variance if test is not None and variance > 0 else None
    return Line(
        task=task.id,
        target_size=n,
        metric=task.metric,
        label=label,
        baseline=baseline,
        blocks=len(scores),
        mean=float(scores.mean()) if len(scores) else None,
        deviation=deviation(total),
        shares={name: share(part, total) for name, part in named.items()},
        components={" x ".join(FACTORS[axis] for axis in axes): share(part, total) for axes, part in parts.items()},
        nudge=share(np.square(moved).mean(axis=1) / 2, total),
        largest_nudge=float(np.abs(moved).max()) if moved.size else None,
        test_deviation=None if test is None else test**0.5,
        test=relative,
        seeds_until_test=1 / relative if relative else None,
        reasons=reasons,
    )


def tables(suite: Suite, options: argparse.Namespace, baseline: str) -> Iterator[list[Line]]:
    """For each task and size every method, then every difference from the baseline."""
    with tempfile.TemporaryDirectory(prefix="stability-") as folder:
        store = Store(Path(folder), torch.device(suite.resources.device))
        for task, n in product(suite.tasks, suite.target_sizes):
            found = {one.label: one for one in measure(suite, task, n, options.blocks, options.nudge, store)}
            draw = seeds.generator(seeds.digest([task.id, n]), "test examples")
            means = resampled(task, list(found.values()), options.resamples, draw)
            make = partial(line, task, n)
            base = found[baseline]
            alone = [
                make(one.label, None, one.scores, one.moved, means.get(one.label), one.reasons)
                for one in found.values()
            ]
            yield alone + [
                make(
                    label,
                    baseline,
                    one.scores - base.scores,
                    one.moved - base.moved,
                    means[label] - means[baseline] if {label, baseline} <= means.keys() else None,
                    sorted({*one.reasons, *base.reasons}),
                )
                for label, one in found.items()
                if label != baseline
            ]


COLUMNS = 3
"""Of a table at most, for 80 characters."""
LONGEST = 18
"""Characters of a label in a table's head."""
SMALLEST = 0.001
"""A share that is shown as a number."""


def print_table(console: Console, found: Sequence[Line]) -> None:
    """One task and size: estimates below each other, methods and differences side by side."""
    first = found[0]
    console.print(f"\n{first.task}, n = {first.target_size}, {first.metric}", markup=False, highlight=False)
    for start in range(0, len(found), COLUMNS):
        part = found[start : start + COLUMNS]
        header = ["", *(_title(one, "\n- ") for one in part)]
        rows: list[list[Any]] = [
            ["mean", *(display.number(one.mean) for one in part)],
            ["sd over seeds", *(_spread(one.deviation) for one in part)],
            *([f"% {name}", *(_percent(one.shares.get(name)) for one in part)] for name in (*FACTORS, "together")),
            ["% nudge", *(_percent(one.nudge) for one in part)],
            ["% test", *(display.number(None if one.test is None else 100 * one.test, 2) for one in part)],
            ["largest nudge", *(display.number(one.largest_nudge, 2) for one in part)],
            ["sd of test", *(display.number(one.test_deviation, 2) for one in part)],
            ["seeds to test", *(display.number(one.seeds_until_test, 2) for one in part)],
            ["blocks", *(one.blocks for one in part)],
        ]
        show(console, header, rows)
    for one in found:
        for reason in one.reasons:
            console.print(f"{_title(one)}: not done: {display.name(reason, 200)}", markup=False, highlight=False)


def _title(found: Line, between: str = " - ") -> str:
    return between.join(display.name(label, LONGEST) for label in (found.label, found.baseline) if label is not None)


def _spread(part: Part) -> str:
    """A standard deviation with its interval, each number to two digits."""
    value, *limits = (display.number(one, 2) for one in dataclasses.astuple(part))
    return value if part.low is None else f"{value} [{limits[0]},{display.GLUE}{limits[1]}]"


def _percent(part: Part | None) -> str:
    """A share in per cent, with its interval."""
    if part is None or part.value is None:
        return display.DASH
    numbers = [share for share in (part.value, part.low, part.high) if share is not None]
    if 0 < max(map(abs, numbers)) < SMALLEST:
        return f"< {100 * SMALLEST:g}"
    value, *limits = (f"{round(100 * share)}".replace("-", display.MINUS) for share in numbers)
    return f"{value} [{limits[0]},{display.GLUE}{limits[1]}]" if limits else value


def _check(options: argparse.Namespace, suite: Suite) -> str:
    """The baseline's label. Raises: UserError for what cannot be run."""
    for name, least, most in (("blocks", 2, 10_000), ("resamples", 2, 100_000)):
        if not least <= getattr(options, name) <= most:
            raise UserError(f"--{name} {getattr(options, name)}: expected a whole number from {least} to {most:,}")
    if not 0 <= options.nudge <= 1:
        raise UserError(f"--nudge {options.nudge}: expected a number from 0 to 1, times a weight's size")
    labels = [entrant.label for entrant in suite.entrants]
    if options.baseline is not None and options.baseline not in labels:
        raise UserError(f"--baseline {options.baseline!r}: not in the suite; {nearest(options.baseline, labels)}")
    return options.baseline or labels[0]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the trials and print the estimates; 1 where a trial is not done, 2 for bad input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(__file__).with_suffix(".toml")
    parser.add_argument("suite", nargs="?", default=str(default), metavar="SUITE", help=f"default: {default.name}")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as `pacbench run` takes it")
    parser.add_argument("--blocks", type=int, default=20, help="of 8 trials and 2 nudged ones each (default 20)")
    parser.add_argument("--resamples", type=int, default=200, help="of the test examples (default 200)")
    parser.add_argument("--nudge", type=float, default=NUDGE, help="of a weight's size (default 1e-6)")
    parser.add_argument("--baseline", metavar="LABEL", help="of differences (default: the suite's first method)")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    keep_freed_memory()
    try:
        suite = load_suite(options.suite, options.set)
        baseline = _check(options, suite)
    except UserError as error:
        print(f"stability: {error}", file=sys.stderr)
        return 2
    console, found = Console(), list[Line]()
    for table in tables(suite, options, baseline):
        found += table
        if not options.json:
            print_table(console, table)
    if options.json:
        asked = {name: getattr(options, name) for name in ("blocks", "resamples", "nudge")}
        print(json_text(asked | {"lines": [dataclasses.asdict(one) for one in found]}))
    failed = [reason for one in found for reason in one.reasons if not reason.startswith("declined")]
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
