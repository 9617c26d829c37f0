"""What a campaign with PAC's controls says, as Markdown: the tables behind docs/results/standard/findings.md.

Every number is computed from the rows alone: `python -m benchmarks.findings docs/results/standard/rows.parquet`.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from scipy import stats

from results.compare import Comparison, compare, compare_per_task
from results.costs import retention_by_cell, task_means
from results.display import interval, markdown, number, p_value, percent, spanned
from results.errors import ResultsError
from results.leaderboard import leaderboard
from results.pivot import pivot
from results.statistics import ALPHA, FloatArray, holm, mean_of_sample

CONTROLS = ("pac_random_mask", "pac_inverted_mask", "pac_no_allocate", "pac_no_penalty", "fine_tuning_allocated")
"""Compared with PAC, of which each changes one thing."""
FLOOR = "scratch"
CHANCE = {"shuffled_labels": math.log(5)}
"""Of tasks on which nothing can be learned: what a constant predictor scores."""


def table(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    rows = [columns, ["---"] * len(columns), *lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in rows) + "\n"


def against(rows: pa.Table, baseline: str, candidates: Sequence[str] | None, question: str) -> str:
    """Each candidate against the baseline over tasks: all sizes first, then each."""
    lines = [
        [
            markdown(found.candidate),
            "all" if found.target_size is None else str(found.target_size),
            spanned(found.mean_difference, found.interval_low, found.interval_high, sign=True),
            f"{found.wins}-{found.ties}-{found.losses}",
            p_value(found.p_holm),
            number(found.smallest_detectable, 2),
            _verdict(found),
        ]
        for found in _compared(rows, baseline, candidates, question)
    ]
    columns = ["method", "n", f"difference from {baseline} [95 %]", "won-tied-lost", "Holm p", "detects", "verdict"]
    return table(columns, lines)


def _verdict(found: Comparison) -> str:
    """The verdict, and where it is one of ranks while the interval of the mean includes 0, that it is."""
    if found.verdict not in ("better", "worse"):
        return found.verdict
    low, high = found.interval_low, found.interval_high
    unsure = low is not None and high is not None and low <= 0 <= high
    return f"**{found.verdict}**" + (" by ranks; the mean's interval includes 0" if unsure else "")


def _compared(rows: pa.Table, baseline: str, candidates: Sequence[str] | None, question: str) -> list[Comparison]:
    found = [one for one in compare(rows, baseline, candidates) if one.question == question]
    return sorted(found, key=lambda one: (one.candidate, one.target_size or 0))


def by_task(rows: pa.Table, candidate: str, baseline: str) -> str:
    """On each task and size: the difference with its interval over seeds; bold where Holm over all labels lets it."""
    cells = {(one.task, one.target_size): one for one in compare_per_task(rows, baseline, [candidate])}
    sizes = sorted({size for _, size in cells if size is not None})
    lines = []
    for task in sorted({task for task, _ in cells}):
        line = [markdown(task), markdown(next(one.metric for (name, _), one in cells.items() if name == task))]
        for size in sizes:
            one = cells[task, size]
            text = spanned(one.mean_difference, one.interval_low, one.interval_high, sign=True)
            line.append(f"**{text}**" if one.p_holm is not None and one.p_holm < ALPHA else text)
        lines.append(line)
    return table(["task", "metric", *(f"n = {size}" for size in sizes)], lines)


def transfer(rows: pa.Table) -> str:
    """At the smallest size: the floor without transfer against the best transfer method of each task."""
    smallest = pc.min(rows["target_size"])
    rows = rows.filter(pc.equal(rows["target_size"], smallest))
    lines = []
    for task in sorted(set(rows["task"].to_pylist())):
        mine = rows.filter(pc.equal(rows["task"], task))
        found = [
            one
            for one in compare_per_task(mine, FLOOR)
            if one.mean_difference is not None and one.candidate not in CONTROLS
        ]
        best = max(found, key=lambda one: one.mean_difference or -math.inf)
        control = "negative_control" in {dict(extra or ()).get("role") for extra in mine["extra"].to_pylist()}
        text = spanned(best.mean_difference, best.interval_low, best.interval_high, sign=True)
        lines.append([markdown(task), "yes" if control else "", markdown(best.candidate), text, p_value(best.p_holm)])
    return table(["task", "control", "best method", "better than scratch by [95 %]", "Holm p"], lines)


def chance(rows: pa.Table) -> str:
    """Where nothing can be learned: does any method beat the constant predictor? One-sided t tests, Holm over all."""
    lines, tests = [], []
    for task, constant in CHANCE.items():
        mine = rows.filter(pc.equal(rows["task"], task))
        sign = 1.0 if pc.all(mine["higher_is_better"]).as_py() else -1.0
        for label, size in sorted(set(zip(mine["label"].to_pylist(), mine["target_size"].to_pylist(), strict=True))):
            cell = mine.filter(pc.and_(pc.equal(mine["label"], label), pc.equal(mine["target_size"], size)))
            better = sign * (np.array(cell["score_test"].drop_null().to_pylist()) - constant)
            estimate = mean_of_sample(better)
            low, high = estimate.interval() if estimate else (None, None)
            tests.append(float(stats.ttest_1samp(better, 0.0, alternative="greater").pvalue))
            lines.append([markdown(task), markdown(label), str(size), spanned(better.mean(), low, high, sign=True)])
    adjusted = holm(list(tests))
    lines = [[*line, p_value(p)] for line, p in zip(lines, adjusted, strict=True)]
    return table(["task", "method", "n", "better than the constant predictor by [95 %]", "Holm p (one-sided)"], lines)


def retention(rows: pa.Table) -> str:
    """How much of the source ability each method leaves, and what PAC's mask gives back of it; means over tasks."""
    column = rows.column_names.index("score_source_after")
    remasked = rows.set_column(column, "score_source_after", rows["score_source_recovered"])
    kept, given_back = _retained(rows), _retained(remasked)
    lines = []
    for label in sorted(kept, key=lambda label: -np.nan_to_num(kept[label]).mean()):
        mine = rows.filter(pc.equal(rows["label"], label))
        both = mine.filter(pc.is_valid(mine["score_source_recovered"]))
        same = pc.sum(pc.equal(both["score_source_recovered"], both["score_source_prepared"])).as_py() or 0
        bitwise = f"{same:,} of {len(both):,}" if len(both) else "–"
        lines.append([markdown(label), _mean(kept[label]), _mean(given_back[label]), bitwise])
    columns = ["method", "share kept after transfer [95 %]", "after masking again", "equal to the allocated network's"]
    return table(columns, lines)


def _retained(rows: pa.Table) -> dict[str, FloatArray]:
    """Each label's retention on each task."""
    grid = pivot(rows).over_tasks(None)
    return dict(zip(grid.labels, task_means(grid, retention_by_cell(grid)).T, strict=True))


def _mean(values: FloatArray) -> str:
    estimate = mean_of_sample(values[np.isfinite(values)])
    return spanned(estimate.mean, *estimate.interval()) if estimate else "–"


def engines(rows: pa.Table) -> str:
    """How many trials each engine trained, and the reasons for any that were not lanes."""
    counted = rows.group_by(["engine", "status"], use_threads=False).aggregate([("key", "count")]).to_pylist()
    text = table(
        ["engine", "status", "trials"], [[str(c["engine"]), c["status"], f"{c['key_count']:,}"] for c in counted]
    )
    alone = rows.filter(pc.not_equal(pc.coalesce(rows["engine"], pa.scalar("none")), "lanes"))
    reasons = alone.group_by(["task", "label", "engine_reason", "reason"], use_threads=False).aggregate(
        [("key", "count")]
    )
    if len(reasons):
        columns = ["task", "method", "trials", "why"]
        text += "\n" + table(
            columns,
            [
                [
                    markdown(r["task"]),
                    markdown(r["label"]),
                    str(r["key_count"]),
                    markdown(r["engine_reason"] or r["reason"]),
                ]
                for r in reasons.to_pylist()
            ],
        )
    return text


def seconds(rows: pa.Table) -> str:
    """Mean seconds of a trial by task: training on the target, scoring, and what `prepare` took where it ran."""
    names = ("adapt_seconds", "evaluate_seconds", "prepare_seconds")
    grouped = rows.group_by("task", use_threads=False).aggregate(
        [(name, "mean") for name in names] + [("key", "count")]
    )
    lines = [
        [markdown(one["task"]), f"{one['key_count']:,}", *(number(one[f"{name}_mean"], 2) for name in names)]
        for one in sorted(grouped.to_pylist(), key=lambda one: one["task"])
    ]
    return table(["task", "trials", "training", "scoring", "prepare"], lines)


def standings(rows: pa.Table, size: int | None) -> str:
    """Mean ranks with intervals and tie groups, over all sizes or at one."""
    found = leaderboard(rows, size)
    lines = [
        [
            markdown(one.method),
            f"{number(one.mean_rank)} {interval(one.rank_low, one.rank_high)}",
            one.tie_group or "–",
            percent(one.win_rate),
            number(one.iqm),
            f"{one.failures}/{one.trials}",
        ]
        for one in found.methods
    ]
    return table(["method", "mean rank [95 %]", "tie group", "won", "IQM", "failed"], lines)


def document(rows: pa.Table) -> str:
    """All tables, each under its heading."""
    final = rows.filter(pc.equal(rows["stage"], "final"))
    sizes = sorted(set(final["target_size"].to_pylist()))
    parts = [("Ranks over all sizes", standings(final, None))]
    parts += [(f"Ranks at n = {size}", standings(final, size)) for size in sizes]
    parts += [
        ("Against fine-tuning: other tasks like these", against(final, "fine_tuning", None, "population")),
        ("Against fine-tuning: these tasks, other seeds", against(final, "fine_tuning", None, "fixed")),
        ("PAC's controls against PAC: other tasks like these", against(final, "pac", CONTROLS, "population")),
        ("PAC's controls against PAC: these tasks, other seeds", against(final, "pac", CONTROLS, "fixed")),
        ("PAC minus fine-tuning on each task", by_task(final, "pac", "fine_tuning")),
        ("PAC minus the random mask on each task", by_task(final, "pac", "pac_random_mask")),
        ("Is there transfer at the smallest size?", transfer(final)),
        ("Nothing to learn: shuffled labels", chance(final)),
        ("Source ability", retention(final)),
        ("Engines", engines(rows)),
        ("Seconds of a trial", seconds(rows)),
    ]
    return "\n".join(f"## {title}\n\n{text}" for title, text in parts)


def main() -> int:
    """Print the tables of one file of rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", type=Path, help="a Parquet file of rows")
    path = parser.parse_args().rows
    try:
        print(document(pq.read_table(path)))
    except (OSError, pa.ArrowInvalid, ResultsError) as error:
        parser.error(f"{path}: {error}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
