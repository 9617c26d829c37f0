"""How long it takes, and how much memory, to get from many rows to a report.

    python benchmarks/results_scale.py                    # 10^5 and 10^6 rows
    python benchmarks/results_scale.py --rows 100000 --json

Each part runs in a process of its own on rows as a campaign leaves them (12 methods × 50 tasks × 4 target sizes, so
many tuning configurations and final seeds), written as one merged ledger file: `report` is the whole command, the
others load the rows and compute one thing. `peak_bytes` is the process's largest resident memory.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from results.committed import LEDGER, MERGED, Manifest, content_name
from results.schema import SCHEMA

METHODS, TASKS, SIZES = 12, 50, (25, 50, 100, 200)
CONFIGS, TUNING_SEEDS = 8, 2
PARTS = ("load", "leaderboard", "compare", "sensitivity", "advise", "report")


def made(rows: int) -> pa.Table:
    """About so many rows: two thirds from tuning, one third final, or only more final seeds where there are many."""
    cells = METHODS * TASKS * len(SIZES)
    tuned = cells * CONFIGS * TUNING_SEEDS
    seeds = max(3, round((rows - tuned) / cells)) if rows > 1.2 * tuned else 3
    configs = CONFIGS if rows > 1.2 * tuned else max(1, round((rows / cells - seeds) / TUNING_SEEDS))
    rng = np.random.default_rng(0)
    ability = np.linspace(0.0, 0.3, METHODS)
    final = _rows(rng, ability, "final", 1, np.arange(seeds), configs)
    tune = _rows(rng, ability, "tune", configs, 10000 + np.arange(TUNING_SEEDS), configs)
    return pa.concat_tables([tune, final]).take(rng.permutation(len(tune) + len(final)))


def _rows(
    rng: np.random.Generator, ability: np.ndarray, stage: str, configs: int, seeds: np.ndarray, tuned: int
) -> pa.Table:
    shape = (TASKS, len(SIZES), METHODS, configs, len(seeds))
    task, size, method, config, seed = (axis.ravel() for axis in np.indices(shape))
    count = len(task)
    fit = rng.normal(0, 0.1, (TASKS, METHODS))[task, method] + rng.normal(0, 0.05, count)
    score = 0.4 + ability[method] + 0.1 * size + fit
    lost = rng.random(count) < 0.002
    keys = np.char.add(f"{stage}-", np.arange(count).astype(str))
    digest = [hashlib.sha256(key.encode()).hexdigest()[:32] for key in keys]
    pair = [hashlib.sha256(f"{t}/{n}/{s}".encode()).hexdigest()[:32] for t, n, s in zip(task, size, seed, strict=True)]
    ends = [f"{end + t / 1000:.3f}" for t in range(TASKS) for end in (0.2, 0.9)]
    started = np.datetime64("2025-01-01", "us") + np.arange(count).astype("timedelta64[s]")

    def text(values: list[str], codes: np.ndarray) -> pa.Array:
        return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), pa.array(values)).cast(pa.string())

    columns = {
        "schema_version": np.ones(count, np.int32),
        "key": digest,
        "pair_key": pair,
        "suite": ["large"] * count,
        "protocol": np.ones(count, np.int32),
        "stage": [stage] * count,
        "exploratory": np.zeros(count, bool),
        "task": text([f"task_{t:02d}" for t in range(TASKS)], task),
        "task_version": ["1"] * count,
        "data_hash": text([hashlib.sha256(bytes([t])).hexdigest()[:16] for t in range(TASKS)], task),
        "target_size": np.array(SIZES)[size],
        "method": text([f"method_{m:02d}" for m in range(METHODS)], method),
        "label": text([f"method_{m:02d}" for m in range(METHODS)], method),
        "method_version": ["1"] * count,
        "config": text([json.dumps({"learning_rate_factor": c}) for c in range(configs)], config),
        "seed": seeds[seed],
        "budget_steps": np.full(count, 500),
        "tuning_configs": np.full(count, tuned),
        "tuning_seeds": np.full(count, TUNING_SEEDS),
        "engine": ["lanes"] * count,
        "lanes": np.full(count, 64),
        "threads": np.ones(count, np.int32),
        "world_size": np.ones(count, np.int32),
        "precision": ["float32"] * count,
        "status": np.where(lost, "diverged", "done"),
        "reason": np.where(lost, "the loss became infinite", None),
        "attempt": np.ones(count, np.int32),
        "metric": ["accuracy"] * count,
        "higher_is_better": np.ones(count, bool),
        "score_validation": np.where(lost, np.nan, score + rng.normal(0, 0.02, count)),
        "score_test": pa.array(score, mask=lost | (stage == "tune")),
        "score_source_before": rng.uniform(0.8, 0.9, count),
        "score_source_after": rng.uniform(0.4, 0.8, count),
        "trained_parameters": 100 * (1 + method) * (1 + task),
        "total_parameters": 1000 * (1 + task),
        "target_steps": np.full(count, 500),
        "adapt_seconds": rng.uniform(1, 2, count) * (1 + method),
        "peak_memory_bytes": rng.integers(10**8, 10**9, count),
        "training_flops": 1e9 * (1.0 + method),
        "device": ["cpu"] * count,
        "exclusive_device": np.ones(count, bool),
        "started_at": started,
        "finished_at": started + np.timedelta64(2, "s"),
        "host": ["node-1"] * count,
        "commit": ["c0ffee"] * count,
        "dirty": np.zeros(count, bool),
    }
    offsets = pa.array(np.arange(count + 1) * 2, pa.int32())
    twice = np.arange(2 * count) % 2
    extra = pa.MapArray.from_arrays(
        offsets, text(["anchor_zero", "anchor_one"], twice), text(ends, (2 * task[:, None] + np.arange(2)).ravel())
    )
    versions = pa.MapArray.from_arrays(offsets, text(["numpy", "torch"], twice), text(["2.3", "2.8"], twice))
    columns |= {"extra": extra, "versions": versions}
    arrays = [
        pa.nulls(count, field.type) if field.name not in columns else _cast(columns[field.name], field.type)
        for field in SCHEMA
    ]
    return pa.table(arrays, schema=SCHEMA)


def _cast(values: object, kind: pa.DataType) -> pa.Array:
    array = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values)
    return array.cast(kind)


def write(rows: pa.Table, folder: Path) -> None:
    """A campaign's folder whose ledger is one merged file."""
    merged = folder / LEDGER / MERGED
    merged.mkdir(parents=True)
    staged = merged / ".tmp"
    pq.write_table(rows, staged, compression="zstd", use_dictionary=False)
    name = content_name(staged.read_bytes())
    staged.replace(merged / name)
    (folder / LEDGER / "manifest.json").write_bytes(Manifest({name: len(rows)}).content())
    (folder / "campaign.json").write_text(json.dumps({"suite": {"name": "large"}, "protocol": 1}))


def work(part: str, folder: Path) -> None:
    """One part, in this process."""
    if part == "report":
        from harness.cli import main

        assert main(["report", str(folder), "--baseline", "method_00"]) == 0
        return
    if part == "advise":
        from harness.cli import main

        assert main(["advise", str(folder), "--target-size", "100", "--trainable-parameters", "50000"]) == 0
        return
    from harness.rows import read_rows

    rows = read_rows([str(folder)])
    if part == "leaderboard":
        from results.leaderboard import leaderboard

        leaderboard(rows)
    elif part == "compare":
        from results.compare import compare, compare_per_task
        from results.pivot import pivot

        grid = pivot(rows)
        compare(grid, "method_00", margin=0.05)
        compare_per_task(grid, "method_00")
    elif part == "sensitivity":
        from results.sensitivity import sensitivity

        sensitivity(rows)


def measure(part: str, folder: Path) -> dict[str, object]:
    """Seconds and peak memory of one part in a process of its own."""
    started = time.perf_counter()
    command = [sys.executable, __file__, "--part", part, "--folder", str(folder)]
    process = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - started
    inside = json.loads(process.stdout.splitlines()[-1])
    return {"part": part, "seconds": round(seconds, 2), **inside}


def main() -> None:
    """Measure every part at each number of rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--keep", type=Path, help="write the campaigns here and keep them")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        work(options.part, options.folder)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        used = time.process_time()
        print(json.dumps({"processor_seconds": round(used, 2), "peak_bytes": peak}))
        return
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        for wanted in options.rows:
            folder = (options.keep or Path(scratch)) / f"rows-{wanted}"
            if not (folder / LEDGER).exists():
                write(made(wanted), folder)
            count = pc.sum(
                pa.array(json.loads((folder / LEDGER / "manifest.json").read_text())["rows"].values())
            ).as_py()
            for part in options.parts:
                found.append({"rows": count, **measure(part, folder)})
                if not options.json:
                    print(
                        " ".join(
                            f"{key} {value:,}" if key != "part" else f"{value:12}" for key, value in found[-1].items()
                        )
                    )
    if options.json:
        print(json.dumps({"cores": os.cpu_count(), "measured": found}, indent=1))


if __name__ == "__main__":
    main()
