"""What a board owes to single tasks and single methods: the ranking again without each one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from results.dense import dense
from results.pairing import Pairing, pair_all, told_apart
from results.pivot import BoolArray, Grid
from results.placing import cell_means, task_weights
from results.ranking import mean_ranks, ranks
from results.statistics import FloatArray, round_significant

KINDS = ("task", "method")


@dataclass(frozen=True)
class Drop:
    """The board without one task or method (``kind``).

    ``mean_ranks`` of the methods that are left, in the order of the whole board; ``first`` the best of them. Pairs are
    (better, worse) of the whole board: ``turned`` stand the other way round without it, ``apart`` are only then told
    apart, ``merged`` no longer are. Without a method there are fewer rivals to beat and fewer pairs to adjust for.
    """

    kind: str
    name: str
    mean_ranks: dict[str, float]
    first: tuple[str, ...]
    turned: tuple[tuple[str, str], ...]
    apart: tuple[tuple[str, str], ...]
    merged: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Steadiness:
    """How far one method's mean rank moves when a single task is left out; the tasks that move it furthest each way.

    ``lowest`` and ``highest`` are None with a single task.
    """

    method: str
    mean_rank: float
    lowest: float | None
    highest: float | None
    lowest_without: str | None
    highest_without: str | None


@dataclass(frozen=True)
class Sensitivity:
    """``methods`` as on the board, best mean rank first; ``drops`` by kind and name.

    ``first`` are the methods with the best mean rank of all; ``first_kept`` counts for each kind in how many of
    ``first_of`` drops they stay exactly the best (the drop of a first method itself is not counted).
    """

    target_size: int | None
    tasks: int
    methods: tuple[Steadiness, ...]
    drops: tuple[Drop, ...]
    first: tuple[str, ...]
    first_kept: dict[str, int]
    first_of: dict[str, int]


def sensitivity(rows: pa.Table | Grid, target_size: int | None = None) -> Sensitivity:
    """The ranked methods of the board at one target size or over all, again without each task and each method.

    Variants of one task are left out together. Nothing is left out where fewer than two tasks or three methods remain
    to be ranked. Raises: ResultsError as ``leaderboard`` does.
    """
    grid = dense(rows, target_size).ranked
    families, _ = grid.family_index()
    if not families or len(grid.labels) < 2:
        return Sensitivity(target_size, len(families), (), (), (), dict.fromkeys(KINDS, 0), dict.fromkeys(KINDS, 0))
    pairs = pair_all(grid)
    whole = _Ranking.of(grid.labels, _mean_ranks(grid), told_apart(pairs, len(grid.labels)))
    drops = [*_without_tasks(grid, pairs, whole), *_without_methods(grid, pairs, whole)]
    counted = {k: [d for d in drops if d.kind == k and d.name not in whole.first] for k in KINDS}
    return Sensitivity(
        target_size=target_size,
        tasks=len(families),
        methods=tuple(_steadiness(whole, label, drops) for label in whole.order),
        drops=tuple(drops),
        first=whole.first,
        first_kept={kind: sum(drop.first == whole.first for drop in those) for kind, those in counted.items()},
        first_of={kind: len(those) for kind, those in counted.items()},
    )


@dataclass(frozen=True)
class _Ranking:
    """Mean ranks by label and the pairs that are told apart, as unordered pairs."""

    rank: dict[str, float]
    apart: frozenset[frozenset[str]]

    @classmethod
    def of(cls, labels: Sequence[str], ranks: FloatArray, apart: BoolArray) -> _Ranking:
        pairs = zip(*np.nonzero(np.triu(apart, 1)), strict=True)
        told = frozenset(frozenset((labels[i], labels[j])) for i, j in pairs)
        return cls(dict(zip(labels, ranks.tolist(), strict=True)), told)

    @property
    def order(self) -> list[str]:
        """Best mean rank first."""
        return sorted(self.rank, key=lambda label: (self.rank[label], label))

    @property
    def first(self) -> tuple[str, ...]:
        """The labels with the best mean rank."""
        return tuple(label for label in self.order if self.rank[label] == min(self.rank.values()))


def _without_tasks(grid: Grid, pairs: list[tuple[int, int, Pairing]], whole: _Ranking) -> list[Drop]:
    families, family = grid.family_index()
    if len(families) < 2:
        return []
    by_cell = ranks(cell_means(grid, grid.scores))
    drops = []
    for place, name in enumerate(families):
        kept = family != place
        left = np.bincount(family[kept], minlength=len(families))[family[kept]]
        rank = round_significant((by_cell[kept] / left[:, None]).sum(axis=0) / (len(families) - 1))
        apart = told_apart([(i, j, pairing.without(place)) for i, j, pairing in pairs], len(grid.labels))
        drops.append(_drop("task", name, whole, _Ranking.of(grid.labels, rank, apart)))
    return drops


def _without_methods(grid: Grid, pairs: list[tuple[int, int, Pairing]], whole: _Ranking) -> list[Drop]:
    if len(grid.labels) < 3:
        return []
    drops = []
    for place, name in enumerate(grid.labels):
        kept = np.arange(len(grid.labels)) != place
        fewer = grid.select(np.ones(len(grid.facts), bool), kept)
        apart = told_apart([(i, j, p) for i, j, p in pairs if place not in (i, j)], len(grid.labels))
        ranking = _Ranking.of(fewer.labels, _mean_ranks(fewer), apart[kept][:, kept])
        drops.append(_drop("method", name, whole, ranking))
    return drops


def _mean_ranks(grid: Grid) -> FloatArray:
    return round_significant(mean_ranks(cell_means(grid, grid.scores), task_weights(grid)))


def _drop(kind: str, name: str, whole: _Ranking, left: _Ranking) -> Drop:
    order = [label for label in whole.order if label in left.rank]
    ordered = [(a, b) for index, a in enumerate(order) for b in order[index + 1 :]]
    turned = [(a, b) for a, b in ordered if whole.rank[a] < whole.rank[b] and left.rank[a] > left.rank[b]]
    before = {pair: frozenset(pair) in whole.apart for pair in ordered}
    after = {pair: frozenset(pair) in left.apart for pair in ordered}
    return Drop(
        kind=kind,
        name=name,
        mean_ranks={label: left.rank[label] for label in order},
        first=left.first,
        turned=tuple(turned),
        apart=tuple(pair for pair in ordered if after[pair] and not before[pair]),
        merged=tuple(pair for pair in ordered if before[pair] and not after[pair]),
    )


def _steadiness(whole: _Ranking, label: str, drops: Sequence[Drop]) -> Steadiness:
    moved = [(drop.mean_ranks[label], drop.name) for drop in drops if drop.kind == "task"]
    low, high = (min(moved), max(moved)) if moved else ((None, None), (None, None))
    return Steadiness(label, whole.rank[label], low[0], high[0], low[1], high[1])
