"""From rows to arrays: final scores by task, target size, label and seed, always by key and never by row order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from results.errors import ResultsError
from results.facts import FACTS, TaskFacts, task_facts
from results.statistics import LARGEST, FloatArray
from results.table import is_final

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_KEY: Final = ("task", "target_size", "label", "seed")
_OUTCOME: Final = ("status", "score_test")
_TIE_BREAK: Final = ("key", "attempt", "adapt_seconds", "peak_memory_bytes", "training_flops", "score_source_after")


NO_METRIC: Final = (
    "Some rows state no metric: if all scores are in one unit, `pacbench import` into a new folder with "
    "`--set metric=NAME` says so."
)
"""What cures foreign rows without a common unit."""


@dataclass(frozen=True)
class Grid:
    """Final scores and outcomes. A cell is one task at one target size; cells, labels and seeds are sorted.

    Shapes: ``scores`` (cells, seeds, labels), signed native units, NaN where a trial is absent or not done;
    ``failures`` and ``declined`` (cells, labels), numbers of trials. ``row`` (trials,) is the place of each trial's row
    in ``table``, in a fixed order; ``row_cell`` and ``row_label`` say where each belongs, ``row_done`` whether it is
    done. All grids selected from one share its table.
    """

    facts: tuple[TaskFacts, ...]
    target_sizes: tuple[int | None, ...]
    labels: tuple[str, ...]
    seeds: tuple[int | None, ...]
    scores: FloatArray
    failures: IntArray
    declined: IntArray
    table: pa.Table
    row: IntArray
    row_cell: IntArray
    row_label: IntArray
    row_done: BoolArray

    def rows(self, columns: Sequence[str]) -> pa.Table:
        """These columns of the trials' rows, one row per trial in the fixed order."""
        return _taken(self.table.select(list(columns)), self.row)

    @property
    def failed(self) -> BoolArray:
        """(cells, labels): some trial was neither done nor declined, so the cell ranks last."""
        return np.asarray(self.failures > 0)

    @cached_property
    def covered(self) -> BoolArray:
        """(cells, labels): the cell has a score or failed. Declined and absent cells are missing."""
        scored: BoolArray = np.any(np.isfinite(self.scores), axis=1)
        return np.asarray(self.failed | scored)

    @property
    def no_metric(self) -> bool:
        """Whether some cell's rows state no metric."""
        return any(fact.metric is None for fact in self.facts)

    def family_index(self) -> tuple[tuple[str, ...], IntArray]:
        """The families, sorted, and the family of each cell. Shapes: (cells,)."""
        families = sorted({fact.family for fact in self.facts})
        return tuple(families), np.array([families.index(fact.family) for fact in self.facts], np.int64)

    def select(self, cells: BoolArray, labels: BoolArray | None = None) -> Grid:
        """The grid of some cells and, where given, only some labels; same seeds. Shapes: (cells,), (labels,)."""
        labels = np.ones(len(self.labels), bool) if labels is None else labels
        inside = cells[self.row_cell] & labels[self.row_label]
        new_cell, new_label = np.cumsum(cells) - 1, np.cumsum(labels) - 1
        return replace(
            self,
            facts=tuple(self.facts[i] for i in np.flatnonzero(cells)),
            target_sizes=tuple(self.target_sizes[i] for i in np.flatnonzero(cells)),
            labels=tuple(self.labels[i] for i in np.flatnonzero(labels)),
            scores=_by_label(self.scores.transpose(2, 0, 1)[np.ix_(labels, cells)]),
            failures=self.failures[cells][:, labels],
            declined=self.declined[cells][:, labels],
            row=self.row[inside],
            row_cell=new_cell[self.row_cell[inside]],
            row_label=new_label[self.row_label[inside]],
            row_done=self.row_done[inside],
        )

    def over_tasks(self, target_size: int | None) -> Grid:
        """The cells that may enter averages over tasks, at one target size or, with None, at all of them."""
        cells = zip(self.facts, self.target_sizes, strict=True)
        return self.select(np.array([fact.averaged and target_size in (None, size) for fact, size in cells], bool))

    def normalised(self) -> tuple[FloatArray, str | None]:
        """Scores in one unit for all cells, and that unit: "normalised" by anchors, the shared metric, or None."""
        if self.facts and all(fact.anchored for fact in self.facts):
            zeros, ones = (np.array([getattr(f, end) * f.sign for f in self.facts]) for end in ("zero", "one"))
            return (self.scores - zeros[:, None, None]) / (ones - zeros)[:, None, None], "normalised"
        units = {(fact.metric, fact.higher_is_better) for fact in self.facts}
        return self.scores, next(iter(units))[0] if len(units) == 1 else None

    def mean_of(self, values: FloatArray) -> FloatArray:
        """The mean of a number per row, NaN where no row has one. Shapes: (rows,) -> (cells, labels)."""
        shape = len(self.facts), len(self.labels)
        present = np.isfinite(values)
        place = np.ravel_multi_index((self.row_cell[present], self.row_label[present]), shape)
        size = shape[0] * shape[1]
        counts = np.bincount(place, minlength=size)
        sums = np.bincount(place, values[present], minlength=size)
        return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan).reshape(shape)


def as_grid(rows: pa.Table | Grid) -> Grid:
    """The grid of the rows; a grid is itself, so that one pivot serves many questions. Raises: as ``pivot``."""
    return rows if isinstance(rows, Grid) else pivot(rows)


def pivot(rows: pa.Table) -> Grid:
    """The grid of all final, non-exploratory rows of a table; any order of the rows gives the same grid.

    A row without label goes by its method's name. A row without status is done if it has a score. A score that is done
    but not finite, or beyond ``LARGEST`` in size, is a failure; one that is done but null is absent.

    Raises: ResultsError if rows have no task or label, were made under different protocols, do not agree on one of
    ``facts.ONE_PER_TASK`` for a task, give one trial twice with different results, or have scores without a direction.
    """
    rows = rows.set_column(rows.column_names.index("label"), "label", pc.coalesce(rows["label"], rows["method"]))
    final = np.flatnonzero(is_final(rows))
    named = _taken(rows.select(list(dict.fromkeys((*_KEY, *_OUTCOME, *FACTS)))), final)
    for name in ("task", "label"):
        if named[name].null_count:
            key = rows["key"][int(final[int(pc.index(pc.is_null(named[name]), True).as_py())])].as_py()
            raise ResultsError(f"row {key!r} has no {name}: every final row needs a task and a label or method")
    facts = task_facts(named)
    codes, (tasks, sizes, labels, seeds) = zip(*(_codes(named[name]) for name in _KEY), strict=True)
    order = _order(rows, final, codes)
    (task, size, label, seed), final = (code[order] for code in codes), final[order]
    is_done, is_failed, is_declined, score = _outcomes(_taken(named.select(list(_OUTCOME)), order))

    cell, cells = _pairs(task, size, len(sizes))
    shape = len(cells), len(seeds), len(labels)
    trial = np.ravel_multi_index((cell, seed, label), shape)
    _, first, group = np.unique(trial, return_index=True, return_inverse=True)
    same = (score == score[first][group]) | ~is_done
    clash = ~same | (is_done != is_done[first][group]) | (is_failed != is_failed[first][group])
    if clash.any():
        row = int(order[np.flatnonzero(clash)[0]])
        given = ", ".join(f"{name} {named[name][row].as_py()!r}" for name in _KEY)
        raise ResultsError(f"{given}: two rows with different results; leave out one of them or give it another label")
    final, cell, label, seed, score = final[first], cell[first], label[first], seed[first], score[first]
    is_done, is_failed, is_declined = is_done[first], is_failed[first], is_declined[first]

    cell_facts = tuple(facts[tasks[t]] for t, _ in cells)
    for index in np.unique(cell[is_done]):
        if cell_facts[index].higher_is_better is None:
            raise ResultsError(f"task {cell_facts[index].task!r}: no row says whether a higher score is better")
    scores = _by_label(np.full((shape[2], *shape[:2]), np.nan))
    scores[cell, seed, label] = score * np.array([fact.sign for fact in cell_facts])[cell]
    failures, declined = np.zeros((2, shape[0], shape[2]), np.int64)
    np.add.at(failures, (cell[is_failed], label[is_failed]), 1)
    np.add.at(declined, (cell[is_declined], label[is_declined]), 1)
    target_sizes = tuple(sizes[s] for _, s in cells)
    return Grid(cell_facts, target_sizes, labels, seeds, scores, failures, declined, rows, final, cell, label, is_done)


def _by_label(scores: FloatArray) -> FloatArray:
    """The scores of each label lie together in memory. Shapes: (labels, cells, seeds) -> (cells, seeds, labels)."""
    return scores.transpose(1, 2, 0)


def _taken(rows: pa.Table, places: IntArray) -> pa.Table:
    """The rows at some places; all rows in order are not copied."""
    return rows if len(places) == len(rows) and np.all(places[1:] > places[:-1]) else rows.take(pa.array(places))


def _order(rows: pa.Table, final: IntArray, codes: Sequence[IntArray]) -> IntArray:
    """The fixed order: by task, size, label and seed, and of one trial's rows by ``_TIE_BREAK``."""
    order = np.lexsort(codes[::-1])
    ordered = np.stack([code[order] for code in codes])
    if len(order) and np.any(np.all(ordered[:, 1:] == ordered[:, :-1], axis=0)):
        coded = {name: pa.array(code) for name, code in zip(_KEY, codes, strict=True)}
        coded |= {name: rows[name].take(pa.array(final)) for name in _TIE_BREAK}
        keys = [(name, "ascending") for name in (*_KEY, *_TIE_BREAK)]
        order = pc.sort_indices(pa.table(coded), sort_keys=keys).to_numpy().astype(np.int64)
    return np.asarray(order, np.int64)


def _outcomes(rows: pa.Table) -> tuple[BoolArray, BoolArray, BoolArray, FloatArray]:
    """Which rows are done, failed and declined, and the score of those done, else NaN. Shapes: (rows,) each."""
    given = rows["score_test"].to_numpy()
    measured = rows["score_test"].is_valid().to_numpy()
    says_done, says_declined = (
        pc.fill_null(pc.equal(rows["status"], status), False).to_numpy() for status in ("done", "declined")
    )
    silent = rows["status"].is_null().to_numpy()
    scored = (says_done | silent) & measured
    done = scored & (np.abs(given) <= LARGEST)
    failed = (scored & ~done) | ~(says_done | says_declined | silent)
    return done, failed, says_declined, np.where(done, given, np.nan)


def _codes(column: pa.ChunkedArray) -> tuple[IntArray, tuple[Any, ...]]:
    """The place of each value among the distinct values, which are sorted, null last."""
    values = pc.unique(column).to_pylist()
    ordered = sorted(value for value in values if value is not None) + [None] * (None in values)
    codes = pc.index_in(column, value_set=pa.array(ordered, column.type))
    return np.asarray(codes.to_numpy(), np.int64), tuple(ordered)


def _pairs(first: IntArray, second: IntArray, width: int) -> tuple[IntArray, list[tuple[int, int]]]:
    """The place of each pair of codes among the distinct pairs, and those pairs, sorted."""
    distinct, place = np.unique(first * width + second, return_inverse=True)
    return place, [(int(pair) // width, int(pair) % width) for pair in distinct]
