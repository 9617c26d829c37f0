"""What a trial costs besides its training: no-op trials through the real `pacbench run`.

Each trial takes one optimiser step on a network of three weights, so what is measured is the program: planning,
scheduling, evaluating, committing, and starting Ray. Suites of every size have the same shape (five labels, two target
sizes; the number of seeds makes the size). For each size:

- wall seconds of the run; less the start-up (a run of two trials) and divided by the number of trials it is the
  overhead of a trial;
- peak resident memory of the driver process;
- seconds to plan as many trials with a search over four configurations: reading the suite, every trial with its key,
  and the packs; without importing anything;
- seconds to resume the finished campaign, the whole command with its imports.

Sizes below 1,000 and the start-up are short beside the noise of starting Ray: they run `--repetitions` times, in turn,
and the median counts.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path
from typing import Any

from harness import plan
from harness.known import load_suite

LABELS, TARGET_SIZES, CONFIGS = 5, (5, 10), 4
POLL_SECONDS = 0.1

TASK = '''
"""A task of ten examples and three weights."""

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import nn

from harness.task import Datasets, Recipe, Task


@dataclass(frozen=True)
class Nothing(Task):
    """Two inputs, of which the target is the sum."""

    name = "nothing"
    version = "1"
    metric = "rmse"
    higher_is_better = False
    recipe = Recipe(source_steps=1)

    def datasets(self):
        inputs = torch.arange(20.0).view(10, 2) / 20
        examples = {"inputs": inputs, "targets": inputs.sum(1)}
        return Datasets(target_pool=examples, target_test=examples)

    def network(self):
        return nn.Sequential(OrderedDict(head=nn.Linear(2, 1)))

    @staticmethod
    def loss(network, batch):
        return nn.functional.mse_loss(network(batch["inputs"])[:, 0], batch["targets"])

    @staticmethod
    def score(predictions, examples):
        return float((predictions[:, 0] - examples["targets"]).square().mean().sqrt())
'''

METHOD = '''
"""The least a method can do."""

from dataclasses import dataclass

from harness.method import LogUniform, Method, Objective


@dataclass(frozen=True)
class Idle(Method):
    """One step from an untrained network."""

    name = "idle"
    version = "1"
    paper = "none"
    pretrained = False
    space = {"learning_rate_factor": LogUniform(0.1, 10.0)}

    def adapt(self, network, target, fit):
        return Objective(network, target.loss)
'''


def write_suite(folder: Path, labels: int, sizes: tuple[int, ...], seeds: int) -> Path:
    """A suite of labels x sizes x seeds no-op trials, with the two files it names."""
    folder.mkdir(parents=True)
    (folder / "nothing.py").write_text(TASK)
    (folder / "idle.py").write_text(METHOD)
    methods = ", ".join(f'{{ name = "./idle.py", label = "idle{number}" }}' for number in range(labels))
    text = f"""\
        name = "overhead"
        tasks = ["./nothing.py"]
        methods = [{methods}]
        target_sizes = {list(sizes)}
        tuning = {{ configs = 1 }}
        final = {{ seeds = {seeds} }}
        budget = {{ steps = 1 }}
        """
    path = folder / "suite.toml"
    path.write_text(textwrap.dedent(text))
    return path


def run(suite: Path, out: Path, settings: list[str]) -> tuple[float, float]:
    """Run or resume the suite as a user would; wall seconds, and the driver's peak resident memory in MB."""
    command = [Path(sys.executable).with_name("pacbench"), "run", suite, "--out", out]
    command += [part for setting in settings for part in ("--set", setting)]
    started = time.perf_counter()
    driver = subprocess.Popen(command, cwd=suite.parent, stderr=subprocess.PIPE, text=True)
    peak = 0.0
    while driver.poll() is None:
        peak = max(peak, *map(peak_memory_mb, [driver.pid, *children(driver.pid)]))
        time.sleep(POLL_SECONDS)
    seconds = time.perf_counter() - started
    if driver.returncode:
        raise SystemExit(f"{command} ended with {driver.returncode}: {driver.stderr.read() if driver.stderr else ''}")
    return seconds, peak


def children(pid: int) -> list[int]:
    """The command's own child, which is the driver."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def peak_memory_mb(pid: int) -> float:
    """The high-water mark of a process's resident memory; 0 where there is none to read."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    peaks = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(peaks[0]) / 1024 if peaks else 0.0


def planning_seconds(suite: Path, settings: list[str]) -> float:
    """Seconds from the suite file to packs of trials whose keys are known."""
    started = time.perf_counter()
    parsed = load_suite(str(suite), settings)
    trials = plan.tune_trials(parsed)
    trials += plan.final_trials(parsed, {cell: cell.entrant.method for cell in plan.cells(parsed)})
    plan.source_packs(trials)
    plan.packs(trials, 2)
    assert len({trial.key for trial in trials}) == len(trials)
    return time.perf_counter() - started


def measure(folder: Path, trials: int, settings: list[str]) -> dict[str, float]:
    """One campaign of that many trials, planned, run and resumed."""
    seeds = trials // (LABELS * len(TARGET_SIZES))
    suite = write_suite(folder, LABELS, TARGET_SIZES, seeds)
    searched = [f"tuning.configs={CONFIGS}", "tuning.seeds=1", f"final.seeds={seeds - CONFIGS}"]
    planned = planning_seconds(suite, [*searched, *settings])
    wall, memory = run(suite, folder / "out", settings)
    resumed, _ = run(suite, folder / "out", settings)
    return {"run_seconds": wall, "driver_peak_mb": memory, "planning_seconds": planned, "resume_seconds": resumed}


def medians(measured: list[dict[str, float]]) -> dict[str, float]:
    """The median of every figure over repetitions."""
    return {name: statistics.median(one[name] for one in measured) for name in measured[0]}


def benchmark(folder: Path, sizes: list[int], repetitions: int, settings: list[str]) -> dict[str, Any]:
    """Figures of every size and of the start-up; short runs several times, taking turns."""
    starts: list[float] = []
    found: dict[int, list[dict[str, float]]] = {size: [] for size in sizes}
    for turn in range(repetitions):
        smallest = write_suite(folder / f"start-{turn}", 2, (5,), 1)
        starts.append(run(smallest, smallest.parent / "out", settings)[0])
        for size in sizes:
            if turn == 0 or size < 1000:
                print(f"{size} trials ...", file=sys.stderr)
                found[size].append(measure(folder / f"{size}-{turn}", size, settings))
    start = statistics.median(starts)
    rows = []
    for size in sizes:
        figures = medians(found[size])
        figures["raw_ms_per_trial"] = 1e3 * figures["run_seconds"] / size
        figures["net_ms_per_trial"] = 1e3 * (figures["run_seconds"] - start) / size
        rows.append({"trials": size} | {name: round(value, 3) for name, value in figures.items()})
    return {"start_seconds": round(start, 3), "sizes": rows}


def show(document: dict[str, Any]) -> None:
    """Print the figures as a table, one line a size."""
    print(f"start-up (a run of two trials): {document['start_seconds']:.2f} s")
    names = list(document["sizes"][0])
    print("  ".join(names))
    for row in document["sizes"]:
        print("  ".join(f"{row[name]:>{len(name)}g}" for name in names))


def main() -> None:
    parser = argparse.ArgumentParser(description="The overhead of a trial, from runs of no-op trials.")
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[100, 1000, 10_000], help="trials; multiples of ten, 50 at least"
    )
    parser.add_argument("--repetitions", type=int, default=5, help="of the start-up and of sizes below 1,000")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the suite")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout instead of the table")
    options = parser.parse_args()
    unit = LABELS * len(TARGET_SIZES)
    if wrong := [size for size in options.sizes if size < 5 * unit or size % unit]:
        parser.error(f"--sizes {wrong[0]}: expected multiples of {unit}, at least {5 * unit}")
    with tempfile.TemporaryDirectory(prefix="pacbench-overhead-") as folder:
        document = benchmark(Path(folder), options.sizes, options.repetitions, options.set)
    if options.json:
        print(json.dumps(document, indent=1))
    else:
        show(document)


if __name__ == "__main__":
    main()
