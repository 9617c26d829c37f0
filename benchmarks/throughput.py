"""How much faster `pacbench run` is than two ways of running the same trials without it, side by side in one run.

- sequential: one trial after the other in one process, on the plain engine (fused optimizer, one thread);
- actor_per_trial: Ray Tune as its documentation shows it, one trial in one fresh actor, on the plain engine; some of
  the trials run, their time is scaled to all of them, and the start of Ray is added once;
- pacbench: the command, end to end: imports, start of Ray, planning, training, evaluating, committing every row.

The trials: `--trials` final trials of fine_tuning and l2_sp, which both train every weight, 500 steps, batch 64, on
tasks of fewer than 8,000 parameters; as many seeds as that needs, no tuning. Source models are trained before, untimed,
and all three ways read them from such a folder. The rivals write no ledger, and get whatever of our settings helps
them: one thread, our memory allocator's setting, Tune without its loggers. The ways take turns, the first one changing;
a figure is the median over `--repetitions` of the ratio of wall seconds, rival / pacbench.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import ray
import torch
from ray import tune

from harness import plan, trial
from harness.campaign import Campaign
from harness.cluster import cluster
from harness.embedded import Embedded
from harness.engines.allocator import keep_freed_memory
from harness.known import load_suite
from harness.plan import Trial
from harness.source import Store

METHODS = ("fine_tuning", "l2_sp")
STEPS, TARGET_SIZE = 500, 100

DIGITS = '''
"""Digits with new classes at batch 64."""

from dataclasses import dataclass, replace

from tasks.digits_new_classes import DigitsNewClasses


@dataclass(frozen=True)
class DigitsBatch64(DigitsNewClasses):
    """The task as it is, with twice its batch."""

    recipe = replace(DigitsNewClasses.recipe, batch_size=64)
'''

TASKS = {"friedman1": "friedman1", "digits_new_classes": "./digits.py"}
"""What a suite names, by the name of the task; the first has batch 64 by itself."""


def write_suite(folder: Path, task: str, trials: int) -> Path:
    """The suite of that many trials, one method after the other."""
    folder.mkdir(parents=True)
    (folder / "digits.py").write_text(DIGITS)
    text = f"""\
        name = "throughput"
        tasks = [{json.dumps(TASKS[task])}]
        methods = {json.dumps(METHODS)}
        target_sizes = [{TARGET_SIZE}]
        tuning = {{ configs = 1 }}
        final = {{ seeds = {trials // len(METHODS)} }}
        budget = {{ steps = {STEPS} }}
        resources = {{ gpus = 0.0 }}
        """
    path = folder / "suite.toml"
    path.write_text(textwrap.dedent(text))
    return path


def plain_trials(suite: Path) -> list[Trial]:
    """The trials of the suite on the plain engine."""
    parsed = load_suite(str(suite), ["engine.name=plain"])
    return plan.final_trials(parsed, {cell: cell.entrant.method for cell in plan.cells(parsed)})


def train_sources(suite: Path, cache: Path) -> None:
    """Train the source models that all three ways start from."""
    parsed = load_suite(str(suite), [])
    trials = plan.final_trials(parsed, {cell: cell.entrant.method for cell in plan.cells(parsed)})
    for pack in plan.source_packs(trials):
        trial.train_sources(pack.trials, Store(cache, torch.device("cpu")))


def run_one(one: Trial, store: Store) -> float:
    """The test score of a trial. Raises: RuntimeError if it is not done."""
    row = trial.run(one, store)
    if row["status"] != "done":
        raise RuntimeError(f"{row['label']}, seed {row['seed']}: {row['status']}, {row.get('reason')}")
    return float(row["score_test"])


def sequential(trials: Sequence[Trial], cache: Path) -> float:
    """Seconds of all trials, one after the other in this process."""
    store = Store(cache, torch.device("cpu"))
    trial.warm_up(store)
    started = time.perf_counter()
    for one in trials:
        run_one(one, store)
    return time.perf_counter() - started


def actor_per_trial(trials: Sequence[Trial], cache: Path, folder: Path, count: int) -> float:
    """Seconds of all trials, each in a fresh actor; `count` of them run, evenly spread over the methods."""
    chosen = [trials[number * len(trials) // count] for number in range(count)]

    def trainable(config: dict[str, int], trials: Sequence[Trial]) -> None:
        torch.set_num_threads(1)
        keep_freed_memory()
        tune.report({"score": run_one(trials[config["number"]], Store(cache, torch.device("cpu")))})

    started = time.perf_counter()
    folder.mkdir()
    with tempfile.TemporaryDirectory(prefix="tune-") as scratch, cluster(Embedded(Path(scratch)), None):
        ready = time.perf_counter()
        results = tune.Tuner(
            tune.with_parameters(trainable, trials=chosen),
            param_space={"number": tune.grid_search(list(range(count)))},
            run_config=tune.RunConfig(storage_path=str(folder), verbose=0),
        ).fit()
        fitted = time.perf_counter()
        ray.shutdown()
    if results.errors:
        raise RuntimeError(f"a trial failed: {results.errors[0]}")
    return (ready - started) + (fitted - ready) * len(trials) / count


def pacbench(suite: Path, cache: Path, out: Path) -> float:
    """Seconds of the command on a fresh campaign that finds its source models made."""
    campaign = Campaign.open(out, load_suite(str(suite), []))
    shutil.copytree(cache, campaign.cache)
    command = [Path(sys.executable).with_name("pacbench"), "run", suite, "--out", out]
    started = time.perf_counter()
    subprocess.run(command, check=True, cwd=suite.parent, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def compare(task: str, folder: Path, options: argparse.Namespace) -> dict[str, list[float]]:
    """Seconds of each way in every repetition."""
    suite, cache = write_suite(folder, task, options.trials), folder / "cache"
    print(f"{task}: source models ...", file=sys.stderr)
    train_sources(suite, cache)
    trials = plain_trials(suite)
    seconds: dict[str, list[float]] = {"sequential": [], "actor_per_trial": [], "pacbench": []}
    for turn in range(options.repetitions):
        ways: dict[str, Callable[[], float]] = {
            "sequential": lambda: sequential(trials, cache),
            "actor_per_trial": lambda turn=turn: actor_per_trial(
                trials, cache, folder / f"tune-{turn}", min(options.actor_trials, len(trials))
            ),
            "pacbench": lambda turn=turn: pacbench(suite, cache, folder / f"out-{turn}"),
        }
        names = list(ways)
        for name in names[turn % 3 :] + names[: turn % 3]:
            seconds[name].append(ways[name]())
            print(f"{task}, repetition {turn + 1}, {name}: {seconds[name][-1]:.1f} s", file=sys.stderr)
    return seconds


def ratio(rival: list[float], ours: list[float]) -> float:
    """The median over repetitions of rival / ours."""
    return round(statistics.median(a / b for a, b in zip(rival, ours, strict=True)), 2)


def main() -> None:
    parser = argparse.ArgumentParser(description="pacbench against one after the other and an actor per trial.")
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--trials", type=int, default=400, help=f"of each task; a multiple of {len(METHODS)}")
    parser.add_argument("--actor-trials", type=int, default=40, help="trials that run in an actor each; scaled")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout instead of the table")
    options = parser.parse_args()
    if options.trials < len(METHODS) or options.trials % len(METHODS):
        parser.error(f"--trials {options.trials}: expected a multiple of {len(METHODS)}")
    torch.set_num_threads(1)
    keep_freed_memory()
    document = {}
    line = "{:<20} {:>6} {:>12} {:>17} {:>10} {:>15} {:>20}"
    table = [
        line.format("task", "trials", "sequential_s", "actor_per_trial_s", "pacbench_s", "vs_sequential", "vs_actor")
    ]
    for task in options.tasks:
        with tempfile.TemporaryDirectory(prefix="pacbench-throughput-") as folder:
            seconds = compare(task, Path(folder) / "suite", options)
        figures = {
            "vs_sequential": ratio(seconds["sequential"], seconds["pacbench"]),
            "vs_actor_per_trial": ratio(seconds["actor_per_trial"], seconds["pacbench"]),
            "trials": options.trials,
        }
        document[task] = figures
        medians = [f"{statistics.median(values):.1f}" for values in seconds.values()]
        table.append(line.format(task, options.trials, *medians, *list(figures.values())[:2]))
    print(json.dumps(document, indent=1) if options.json else "\n".join(table))


if __name__ == "__main__":
    main()
