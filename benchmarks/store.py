"""The store at scale, with generated rows: what it costs to append, compact, read, filter, resume and ask for status.

First a campaign of many trials, each of them a commit of its own, the worst case for a store of files: appended one by
one, compacted every 300 commits as a driver does. Then many rows as learning curves have them (key, task, method, step
and a value), committed in large pieces, and grouped by method and task in a process of its own, so that the peak of
memory is that of the question alone.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness import plan
from harness.campaign import Campaign
from harness.compaction import MANY, compact
from harness.known import load_suite
from harness.ledger import Ledger
from harness.trial import describe
from results import schema, table
from results.committed import gather, read_manifest

SUITE = """
name = "store"
tasks = ["friedman1", { name = "friedman1", shift = 2.0 }]
methods = ["fine_tuning", "l2_sp", "lora", "scratch", "linear_probe"]
target_sizes = [25, 50, 100, 200, 400]
tuning = { configs = 1 }
final = { seeds = SEEDS }
"""
CELLS = 50
COMMIT_ROWS = 100_000
"""Rows of one commit of curves."""

GROUPS = """
import json, resource, time
from pathlib import Path
from results.committed import gather
started = time.perf_counter()
rows = gather(Path({folder!r}), ("task", "method", "score_test")).rows
groups = rows.group_by(["method", "task"]).aggregate(
    [("score_test", "mean"), ("score_test", "stddev"), ("score_test", "count")]
)
print(json.dumps({{"seconds": time.perf_counter() - started, "groups": len(groups), "rows": len(rows),
    "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}}))
"""


class Clock:
    """Seconds of named parts."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        if name not in self.seconds:
            print(f"{name} ...", file=sys.stderr)
        started = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started


def trials_campaign(folder: Path, commits: int) -> dict[str, Any]:
    """A campaign of that many trials: appended, compacted, read, resumed; figures by name."""
    folder.mkdir(parents=True)
    (folder / "suite.toml").write_text(SUITE.replace("SEEDS", str(commits // CELLS)))
    suite = load_suite(str(folder / "suite.toml"), [])
    clock = Clock()
    campaign = Campaign.open(folder / "out", suite)
    with clock.part("plan"):
        trials = plan.final_trials(suite, campaign.select())
    like = schema.table([describe(trials[0])]).to_pylist()[0]
    rng = np.random.default_rng(0)
    with clock.part("keys"):
        rows = [_row(like, trial, rng) for trial in trials]
    appended = compacted = 0.0
    for start in range(0, len(rows), MANY):
        started = time.perf_counter()
        for row in rows[start : start + MANY]:
            campaign.ledger.append([row])
        middle = time.perf_counter()
        compact(campaign.folder)
        appended, compacted = appended + middle - started, compacted + time.perf_counter() - middle
    for row in rows[:MANY]:  # what lies beside the merged files at worst: as many commits again
        campaign.ledger.append([row | {"attempt": 2, "status": "failed"}])
    with clock.part("read all columns"):
        read = table.read(campaign.folder)
    with clock.part("filter"):
        found = read.filter(
            (pc.field("method") == "lora") & (pc.field("target_size") == 100) & (pc.field("seed") < 100)
        )
    with clock.part("resume scan"):
        again = Campaign.open(campaign.folder, load_suite(str(folder / "suite.toml"), []))
        finals = plan.final_trials(again.suite, again.select())
        missing = again.missing([*again.tune_trials, *finals])
    assert len(read) == len(rows)
    assert len(found) == 2 * min(100, commits // CELLS)
    assert not missing
    command = Path(sys.executable).with_name("pacbench")
    with clock.part("status command"):
        subprocess.run([command, "status", campaign.folder], check=True, stdout=subprocess.DEVNULL)
    with clock.part("resume command"):
        subprocess.run([command, "run", folder / "suite.toml", "--out", campaign.folder], check=True)
    return {
        "commits": len(rows),
        "appends_per_second": len(rows) / appended,
        "compaction_seconds": compacted,
        "merged_files": len(read_manifest(campaign.folder).rows),
        "bytes_per_row": _size(campaign.folder / "ledger") / len(rows),
        **{f"{name.replace(' ', '_')}_seconds": seconds for name, seconds in clock.seconds.items()},
    }


def _row(like: dict[str, Any], trial: plan.Trial, rng: np.random.Generator) -> dict[str, Any]:
    """A row as a trial leaves it; scores and costs drawn, so that they compress like real ones."""
    drawn = {name: float(rng.random()) for name in table.SCORES[:4]}
    costs = {name: float(rng.random()) for name in ("adapt_seconds", "evaluate_seconds", "inference_seconds")}
    named = {"key": trial.key, "pair_key": trial.pair_key, "source_key": trial.source_key, "task": trial.task.id}
    named |= {"method": trial.method.name, "label": trial.label, "target_size": trial.target_size, "seed": trial.seed}
    return like | named | drawn | costs | {"status": "done", "extra": {"task_family": trial.task.name}}


def curve_rows(folder: Path, count: int) -> dict[str, Any]:
    """Rows as curves have them, committed, compacted, grouped; figures by name."""
    clock = Clock()
    ledger = Ledger(folder)
    tasks, methods = [f"task{number}" for number in range(20)], [f"method{number}" for number in range(10)]
    for start in range(0, count, COMMIT_ROWS):
        rows = _curves(start, min(COMMIT_ROWS, count - start), tasks, methods)
        with clock.part("append"):
            ledger.commit(rows)
        with clock.part("compact"):
            compact(folder)
    asked = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(GROUPS).format(folder=str(folder))], check=True, capture_output=True
    )
    grouped = json.loads(asked.stdout)
    assert grouped["rows"] == count
    assert grouped["groups"] == min(len(tasks) * len(methods), count)
    with clock.part("read one method"):
        one = gather(folder, ("method", "seed", "score_test")).rows.filter(pc.field("method") == "method3")
    assert len(one) == count // len(methods)
    return {
        "rows": count,
        "append_rows_per_second": count / clock.seconds["append"],
        "compaction_seconds": clock.seconds["compact"],
        "merged_files": len(read_manifest(folder).rows),
        "bytes_per_row": _size(folder / "ledger") / count,
        "group_by_seconds": grouped["seconds"],
        "group_by_peak_mb": grouped["peak_mb"],
        "read_one_method_seconds": clock.seconds["read one method"],
    }


def _curves(start: int, count: int, tasks: list[str], methods: list[str]) -> pa.Table:
    """Rows of the ledger's schema: a key of its own each, task, method, step as `seed` and a value; the rest null."""
    number = np.arange(start, start + count)
    rng = np.random.default_rng(start)
    given = {
        "schema_version": np.full(count, schema.SCHEMA_VERSION, np.int32),
        "key": [value.tobytes().hex() for value in rng.integers(0, 2**63, (count, 2))],
        "pair_key": pa.array(["pair"]).take(pa.array(np.zeros(count, int))),
        "suite": pa.array(["curves"]).take(pa.array(np.zeros(count, int))),
        "protocol": np.ones(count, np.int32),
        "stage": pa.array(["final"]).take(pa.array(np.zeros(count, int))),
        "exploratory": pa.array(np.ones(count, bool)),
        "task": pa.array(tasks).take(pa.array(number // len(methods) % len(tasks))),
        "method": pa.array(methods).take(pa.array(number % len(methods))),
        "seed": number,
        "score_test": rng.standard_normal(count),
    }
    columns = [
        pa.array(given[field.name], field.type) if field.name in given else pa.nulls(count, field.type)
        for field in schema.SCHEMA
    ]
    return pa.table(columns, schema=schema.SCHEMA)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main() -> None:
    parser = argparse.ArgumentParser(description="The store at scale, with generated rows.")
    parser.add_argument("--commits", type=int, default=100_000, help=f"trials, one a commit; a multiple of {CELLS}")
    parser.add_argument("--rows", type=int, default=10_000_000, help="rows of curves")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout instead of the table")
    options = parser.parse_args()
    if options.commits % CELLS or options.commits < 2 * MANY:
        parser.error(f"--commits {options.commits}: expected a multiple of {CELLS}, at least {2 * MANY}")
    document: dict[str, dict[str, Any]] = {}
    parts: dict[str, Callable[[Path], dict[str, Any]]] = {
        "trials": lambda folder: trials_campaign(folder, options.commits),
        "curves": lambda folder: curve_rows(folder, options.rows),
    }
    for name, measure in parts.items():
        with tempfile.TemporaryDirectory(prefix="pacbench-store-") as folder:
            document[name] = {key: round(value, 3) for key, value in measure(Path(folder) / name).items()}
    document["process"] = {"peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)}
    if options.json:
        print(json.dumps(document, indent=1))
        return
    for name, figures in document.items():
        print(name)
        for key, value in figures.items():
            print(f"  {key:<28} {value:,.6g}")


if __name__ == "__main__":
    main()
