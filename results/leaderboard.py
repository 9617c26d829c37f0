"""All methods of a table beside each other: ranks with intervals, tie groups, ratings, costs, coverage and failures."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from results.costs import SHOWN, cost_by_cell, over_tasks, retention_by_cell
from results.dense import dense
from results.pairing import pair_all, told_apart
from results.pareto import Front, fronts
from results.pivot import Grid
from results.placing import Placing, placings
from results.ranking import critical_difference


@dataclass(frozen=True)
class Standing:
    """One method. Ranks, win rate, IQM, Elo and letters are over the board's tasks and None for an unranked method.

    ``tie_group`` letters: two methods that share one are not told apart. ``rank_low`` to ``rank_high``, ``iqm_low`` to
    ``iqm_high`` and ``elo_low`` to ``elo_high`` are 95 % bootstrap intervals over other tasks and seeds, None with a
    single task. ``elo`` has a mean of 1500 and one tied game added to each pair, so that it is finite. ``iqm`` needs
    anchors on every task and is None where failures reach the middle half, as its interval is where they do in some
    resample. ``tasks`` and ``seeds`` are those with a score or a failure, and with a
    score; ``failures`` and ``declined`` are of so many ``trials``; ``coverage`` is the share of cells that are not
    missing. ``tuning_configs`` and ``tuning_seeds`` are the tuning budget, None where trials do not say. Costs and
    ``source_retention`` are means over tasks of trials that are done; times and memory leave out trials that
    shared a device. Retention is the source score after transfer over that before (inverted where lower is better):
    1 = all kept.
    """

    method: str
    mean_rank: float | None
    rank_low: float | None
    rank_high: float | None
    tie_group: str | None
    win_rate: float | None
    iqm: float | None
    iqm_low: float | None
    iqm_high: float | None
    elo: float | None
    elo_low: float | None
    elo_high: float | None
    tasks: int
    seeds: int
    failures: int
    declined: int
    trials: int
    coverage: float
    tuning_configs: int | None
    tuning_seeds: int | None
    trained_parameters: float | None
    adapt_seconds: float | None
    training_flops: float | None
    peak_memory_bytes: float | None
    source_retention: float | None
    price: float | None = None


@dataclass(frozen=True)
class Leaderboard:
    """The methods from best to worst mean rank, the unranked ones last.

    Friedman's chi-square and Iman and Davenport's F are tie-corrected, over ``tasks`` tasks; the critical difference is
    Nemenyi's at 0.05 and for display only. ``cells`` is the number of (task, target size) that all ranked methods have,
    out of ``all_cells`` of ``all_tasks`` tasks. ``pareto`` sets rank against each cost that was measured.
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
    all_tasks: int
    all_cells: int
    unit: str | None
    pareto: tuple[Front, ...]
    tie_corrected: bool = True


def leaderboard(rows: pa.Table | Grid, target_size: int | None = None, leave_out_failures: bool = False) -> Leaderboard:
    """Rank all labels at one target size or, with None, over all of them.

    The board is the dense sub-grid: the cells (task, target size) that every ranked label has. A label with fewer than
    half of all cells is listed but not ranked. A failed cell ranks last or, with ``leave_out_failures``, is missing.
    Target sizes and variants are averaged inside a task, so the task stays the unit. Two methods share a letter unless
    signed-rank tests of all pairs, Holm-adjusted, tell them apart. ``rows`` may be a grid of them.

    Raises: ResultsError for a target size that the rows do not have, or rows that cannot be compared.
    """
    board = dense(rows, target_size, leave_out_failures)
    grid, has, ranked = board.whole, board.has, board.ranked
    tasks, count = len(ranked.family_index()[0]), len(ranked.labels)
    places, test = [Placing()] * count, None
    pareto: tuple[Front, ...] = ()
    if tasks and count > 1:
        apart = told_apart(pair_all(ranked), count)
        places, test = placings(ranked, apart)
        pareto = fronts(board, places, apart)
    place = dict(zip(ranked.labels, places, strict=True))
    costs: dict[str, list[Any]] = {name: over_tasks(board.board, cost_by_cell(board.board, name)) for name in SHOWN}
    costs["source_retention"] = over_tasks(board.board, retention_by_cell(board.board))
    trials = np.bincount(grid.row_label, minlength=len(grid.labels))
    standings = [
        Standing(
            method=label,
            **asdict(place.get(label, Placing())),
            tasks=len({fact.family for fact, here in zip(grid.facts, has[:, i], strict=True) if here}),
            seeds=int(np.isfinite(grid.scores[:, :, i]).any(axis=0).sum()),
            failures=int(grid.failures[:, i].sum()),
            declined=int(grid.declined[:, i].sum()),
            trials=int(trials[i]),
            coverage=float(board.coverage[i]),
            tuning_configs=_said(grid, i, "tuning_configs"),
            tuning_seeds=_said(grid, i, "tuning_seeds"),
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
        cells=len(ranked.facts),
        all_tasks=len(grid.family_index()[0]),
        all_cells=len(grid.facts),
        unit=ranked.normalised()[1],
        pareto=pareto,
    )


def _said(grid: Grid, label: int, column: str) -> int | None:
    """What all trials of the label say in a column; None where they do not say or do not agree."""
    said = set(pc.unique(grid.table[column].take(pa.array(grid.row[grid.row_label == label]))).to_pylist())
    return said.pop() if len(said) == 1 else None
