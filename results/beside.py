"""One's own rows beside published ones: which trials pair with the board's, which do not, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from results.errors import ResultsError, nearest
from results.merging import Source, tuning_budget, tuning_seeds
from results.table import final_rows

PLACE: Final = ("task", "target_size", "seed")
CONDITIONS: Final = {
    "protocol": "another protocol",
    "task_version": "another version of the task",
    "data_hash": "another data hash",
    "metric": "another metric",
    "higher_is_better": "another direction of the score",
    "budget_steps": "another budget_steps",
    "pair_key": "another pair_key: not the same source and split",
}
"""What a trial must share with the board's, where both state it, and what is said where it does not."""


@dataclass(frozen=True)
class Beside:
    """``rows`` to compare: of the candidate those that pair, of every other label the board's where it has it.

    ``label`` is the one whose rows are one's own: the candidate, or the baseline where only the board has the
    candidate. It has so many final ``trials``; ``unpaired`` counts by reason those that are left out. ``not_used`` are
    labels whose own rows give way to the board's.
    """

    rows: pa.Table
    label: str
    trials: int
    unpaired: dict[str, int]
    not_used: tuple[str, ...]

    @property
    def paired(self) -> int:
        """Trials that are compared."""
        return self.trials - sum(self.unpaired.values())


def beside(own: Source, board: Source, candidate: str, baseline: str) -> Beside:
    """Put one's own candidate beside the board's rows. A label goes by the method's name where a row has none.

    A trial pairs with the baseline's of the same task, target size and seed where they share ``CONDITIONS`` and the
    tuning budget; a row that does not state one is taken to. The candidate's rows are one's own, unless only the board
    has it. Raises: ResultsError for a label that neither has.
    """
    ours, theirs = (_labelled(final_rows(source.rows)) for source in (own, board))
    labels, published = (set(pc.unique(rows["label"].drop_null()).to_pylist()) for rows in (ours, theirs))
    for role, label in (("candidate", candidate), ("baseline", baseline)):
        if label not in labels | published:
            raise ResultsError(f"--{role} {label}: no rows with that label; {nearest(label, labels | published)}")
    mine = labels - published | labels & {candidate}
    board_rows = theirs.filter(pc.invert(_is_among(theirs, mine)))
    ours = ours.filter(_is_among(ours, mine))
    partner = next((label for label in (baseline, candidate) if label in published - mine), None)
    reasons = _reasons(ours, theirs.filter(_is_among(theirs, {partner})), _tuning(own, board)) if partner else []
    kept = ours.filter(pa.array([reason is None for reason in reasons], pa.bool_())) if partner else ours
    asked = candidate if candidate in mine else baseline
    said = [why for why, label in zip(reasons, ours["label"].to_pylist(), strict=False) if label == asked]
    return Beside(
        rows=pa.concat_tables([board_rows, kept]),
        label=asked,
        trials=pc.sum(_is_among(ours, {asked})).as_py() or 0,
        unpaired=dict(Counter(reason for reason in said if reason).most_common()),
        not_used=tuple(sorted(labels - mine)),
    )


def _is_among(rows: pa.Table, labels: Iterable[str]) -> pa.ChunkedArray:
    return pc.fill_null(pc.is_in(rows["label"], pa.array(sorted(labels), pa.string())), False)


def _labelled(rows: pa.Table) -> pa.Table:
    label = pc.coalesce(rows["label"], rows["method"])
    return rows.set_column(rows.column_names.index("label"), "label", label)


def _tuning(own: Source, board: Source) -> str | None:
    """Why no trial pairs, if the two were tuned with different budgets."""
    ours, theirs = tuning_budget(own), tuning_budget(board)
    if ours is None or theirs is None:
        return None
    if ours != theirs:
        return f"another tuning budget: tuning_configs {ours}, on the board {theirs}"
    seeds, their_seeds = tuning_seeds(own), tuning_seeds(board)
    if seeds and their_seeds and seeds != their_seeds:
        return f"another tuning budget: tuning_seeds {_joined(seeds)}, on the board {_joined(their_seeds)}"
    return None


def _joined(values: Iterable[int]) -> str:
    return ", ".join(map(str, values))


def _reasons(ours: pa.Table, theirs: pa.Table, tuning: str | None) -> list[str | None]:
    """For each row of ours why it has no partner; None where it has one."""
    columns = [*PLACE, *CONDITIONS]
    partners: dict[tuple[Any, ...], list[tuple[Any, ...]]] = {}
    for line in zip(*(theirs[name].to_pylist() for name in columns), strict=True):
        partners.setdefault(line[: len(PLACE)], []).append(line[len(PLACE) :])
    tasks = {place[0] for place in partners}
    sizes = {place[:2] for place in partners}
    hashed = list(CONDITIONS).index("data_hash")
    found: list[str | None] = []
    for line in zip(*(ours[name].to_pylist() for name in columns), strict=True):
        place, said = line[: len(PLACE)], line[len(PLACE) :]
        if place[0] not in tasks:
            found.append("the board has no such task")
        elif place[:2] not in sizes:
            found.append("the board has no such target size")
        elif place not in partners:
            found.append("the board has no such seed")
        else:
            unlike = [_unlike(said, partner, hashed) for partner in partners[place]]
            found.append(tuning if None in unlike else unlike[0])
    return found


def _unlike(one: tuple[Any, ...], other: tuple[Any, ...], hashed: int) -> str | None:
    """The first condition that two rows do not share; pair keys count where both rows say their data."""
    for (column, words), a, b in zip(CONDITIONS.items(), one, other, strict=True):
        if column == "pair_key" and (one[hashed] is None or other[hashed] is None):
            continue
        if a is not None and b is not None and a != b:
            return words
    return None
