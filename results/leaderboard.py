"""All methods of a table beside each other: ranks with intervals, tie groups, ratings, costs, coverage and failures."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from results.errors import ResultsError
from results.pivot import BoolArray, Grid, pivot
from results.placing import Placing, placings
from results.ranking import critical_difference
from results.statistics import FloatArray

COSTS: Final = ("trained_parameters", "adapt_seconds", "training_flops", "peak_memory_bytes")
NEEDS_DEVICE_ALONE: Final = ("adapt_seconds", "peak_memory_bytes")


@dataclass(frozen=True)
class Standing:
    """One method. Ranks, win rate, IQM, Elo and letters are over the board's tasks and None for an unranked method.

    ``tie_group`` letters: two methods that share one are not told apart. ``rank_low`` to ``rank_high`` and ``elo_low``
    to ``elo_high`` are 95 % bootstrap intervals over other tasks and seeds, None with a single task. ``elo`` has a
    mean of 1500 and one tied game added to each pair, so that it is finite. ``iqm`` needs anchors on every task and is
    None where failures reach the middle half. ``tasks`` and ``seeds`` are those with a score or a failure, and with a
    score; ``failures`` and ``declined`` count trials; ``coverage`` is the share of cells that are not missing. Costs
    and ``source_retention`` are means over tasks of trials that are done; times and memory leave out trials that
    shared a device. Retention is the source score after transfer over that before (inverted where lower is better): 1
    = all kept.
    """

    method: str
    mean_rank: float | None
    rank_low: float | None
    rank_high: float | None
    tie_group: str | None
    win_rate: float | None
    iqm: float | None
    elo: float | None
    elo_low: float | None
    elo_high: float | None
    tasks: int
    seeds: int
    failures: int
    declined: int
    coverage: float
    tuning_configs: int | None
    trained_parameters: float | None
    adapt_seconds: float | None
    training_flops: float | None
    peak_memory_bytes: float | None
    source_retention: float | None


@dataclass(frozen=True)
class Leaderboard:
    """The methods from best to worst mean rank, the unranked ones last.

    Friedman's chi-square and Iman and Davenport's F are tie-corrected, over ``tasks`` tasks; the critical difference is
    Nemenyi's at 0.05 and for display only. ``cells`` is the number of (task, target size) that all ranked methods have.
    """

    friedman_chi2: float | None
    friedman_p: float | None
    iman_davenport_f: float | None
    iman_davenport_p: float | None
    critical_difference: float | None
    tasks: int
    target_size: int | None
    methods: tuple[Standing, ...]
    cells: int
    unit: str | None
    tie_corrected: bool = True


def leaderboard(rows: pa.Table, target_size: int | None = None, leave_out_failures: bool = False) -> Leaderboard:
    """Rank all labels at one target size or, with None, over all of them.

    The board is the dense sub-grid: the cells (task, target size) that every ranked label has. A label with fewer than
    half of all cells is listed but not ranked. A failed cell ranks last or, with ``leave_out_failures``, is missing.
    Target sizes and variants are averaged inside a task, so the task stays the unit. Two methods share a letter unless
    signed-rank tests of all pairs, Holm-adjusted, tell them apart.

    Raises: ResultsError for a target size that the rows do not have, or rows that cannot be compared.
    """
    grid = pivot(rows)
    sizes = sorted({size for size in grid.target_sizes if size is not None})
    if target_size is not None and target_size not in sizes:
        raise ResultsError(f"target size {target_size!r} has no final rows; expected one of {sizes}")
    grid = grid.over_tasks(target_size)
    has = grid.covered & ~grid.failed if leave_out_failures else grid.covered
    coverage = has.mean(axis=0) if len(grid.facts) else np.zeros(len(grid.labels))
    ranked = coverage >= 0.5
    everywhere: BoolArray = np.all(has[:, ranked], axis=1)
    board = grid.select(everywhere & bool(ranked.any()))
    dense = board.select(np.ones(len(board.facts), bool), ranked)
    tasks, count = len(dense.family_index()[0]), len(dense.labels)
    found, test = placings(dense) if tasks and count > 1 else ([Placing()] * count, None)
    place = dict(zip(dense.labels, found, strict=True))
    costs = _costs(board)
    standings = [
        Standing(
            method=label,
            **asdict(place.get(label, Placing())),
            tasks=len({fact.family for fact, here in zip(grid.facts, has[:, i], strict=True) if here}),
            seeds=int(np.isfinite(grid.scores[:, :, i]).any(axis=0).sum()),
            failures=int(grid.failures[:, i].sum()),
            declined=int(grid.declined[:, i].sum()),
            coverage=float(coverage[i]),
            tuning_configs=_tuning_configs(grid, i),
            **{name: values[i] for name, values in costs.items()},
        )
        for i, label in enumerate(grid.labels)
    ]
    standings.sort(key=lambda standing: (standing.mean_rank is None, standing.mean_rank or 0.0, standing.method))
    return Leaderboard(
        friedman_chi2=test.chi2 if test else None,
        friedman_p=test.p_value if test else None,
        iman_davenport_f=test.f if test else None,
        iman_davenport_p=test.f_p_value if test else None,
        critical_difference=critical_difference(count, tasks) if tasks and count > 1 else None,
        tasks=tasks,
        target_size=target_size,
        methods=tuple(standings),
        cells=len(dense.facts),
        unit=dense.normalised()[1],
    )


def _tuning_configs(grid: Grid, label: int) -> int | None:
    """How many configurations the label was tuned with; None where its trials do not say or do not agree."""
    said = set(grid.rows["tuning_configs"].filter(pa.array(grid.row_label == label)).to_pylist())
    return said.pop() if len(said) == 1 else None


def _costs(board: Grid) -> dict[str, list[Any]]:
    """Mean costs and source retention of each label on the cells of the board, where they were measured."""
    shared = pc.fill_null(pc.invert(board.rows["exclusive_device"]), False).to_numpy()
    found: dict[str, list[Any]] = {}
    for name in COSTS:
        usable = board.row_done & ~shared if name in NEEDS_DEVICE_ALONE else board.row_done
        found[name] = _over_tasks(board, np.where(usable, _floats(board, name), np.nan))
    sign = np.array([fact.sign for fact in board.facts])[board.row_cell]
    before, after = _floats(board, "score_source_before"), _floats(board, "score_source_after")
    usable = board.row_done & (before > 0) & (after > 0)
    kept = np.where(sign > 0, after, before) / np.where(usable, np.where(sign > 0, before, after), np.nan)
    return found | {"source_retention": _over_tasks(board, kept)}


def _floats(grid: Grid, column: str) -> FloatArray:
    """A column as floats, NaN where it is null. Shapes: (rows,)."""
    values = pc.fill_null(grid.rows[column].cast(pa.float64(), safe=False), np.nan)
    return np.asarray(values.to_numpy(), np.float64)


def _over_tasks(grid: Grid, values: FloatArray) -> list[float | None]:
    """Each label's mean of a number per row: over seeds, inside each task, then over tasks; None if unmeasured."""
    cells = grid.mean_of(values)
    families, family = grid.family_index()
    means: list[float | None] = []
    for column in cells.T:
        measured = np.isfinite(column)
        tasks = [column[measured & (family == index)] for index in range(len(families))]
        by_task = [float(task.mean()) for task in tasks if len(task)]
        means.append(float(np.mean(by_task)) if by_task else None)
    return means
