"""What the commands that judge methods compute, as values: a ranking, and a comparison, beside a board or not."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from harness.errors import UserError, nearest
from harness.rows import judged_source, read_source
from results.beside import Beside, beside
from results.boards import boards
from results.compare import Comparison, compare
from results.leaderboard import Leaderboard, leaderboard
from results.merging import JUDGED, Source, merged
from results.pivot import pivot
from results.sensitivity import Sensitivity, sensitivity


@dataclass(frozen=True)
class Ranking:
    """A leaderboard, and what it owes to single tasks and methods."""

    board: Leaderboard
    steadiness: Sensitivity


@dataclass(frozen=True)
class Compared:
    """A candidate against a baseline: a record for each question and target size, and how it pairs with a board.

    ``records`` is empty where one of the two has no row that pairs; ``paired`` is None without a board.
    """

    candidate: str
    baseline: str
    records: tuple[Comparison, ...]
    paired: Beside | None

    @property
    def says_something(self) -> bool:
        """Whether any task is compared."""
        return any(record.tasks for record in self.records)


def board_source(named: str) -> Source:
    """The rows of a published board by its name, else of a campaign or of an exported file. Raises: UserError."""
    known = boards()
    if named in known:
        return dataclasses.replace(read_source(known[named], JUDGED), name=f"the board {named}")
    if "/" not in named and not named.endswith(".parquet") and not Path(named).exists():
        expected = "or give a campaign's folder or a file of `pacbench export`"
        raise UserError(f"--board {named}: no published board has that name; {nearest(named, known)} ({expected})")
    return judged_source(named, JUDGED)


def ranking(rows: pa.Table, target_size: int | None = None) -> Ranking:
    """All methods of the rows beside each other, at one target size or over all. Raises: UserError."""
    try:
        grid = pivot(rows)
        return Ranking(leaderboard(grid, target_size), sensitivity(grid, target_size))
    except ValueError as error:
        raise UserError(str(error)) from error


def compared(
    own: Sequence[Source], candidate: str, baseline: str, margin: float | None = None, board: Source | None = None
) -> Compared:
    """The paired comparison of two labels, per target size and over all; with a board, its rows for its labels.

    Raises: UserError for an unknown label, a margin that is none, or rows that must not be mixed.
    """
    if candidate == baseline:
        raise UserError("--candidate and --baseline are the same method")
    if margin is not None and not (isinstance(margin, int | float) and math.isfinite(margin) and margin > 0):
        raise UserError(f"--margin {margin!r}: expected a positive number")
    for role, label in (("candidate", candidate), ("baseline", baseline)):
        if not isinstance(label, str):
            raise UserError(f"{role} {label!r}: expected a label, a text")
    try:
        rows, paired = merged(own), None
        if board is not None:
            configs = own[0].tuning_configs if len(own) == 1 else None
            ours = Source(" ".join(source.name for source in own), rows, configs)
            if not {candidate, baseline} & (mine := _labels(rows)):
                raise UserError(f"{ours.name}: no rows of {candidate} or {baseline}; {nearest(candidate, mine)}")
            paired = beside(ours, board, candidate, baseline)
            rows = paired.rows
        labels = _labels(rows)
        if paired is None or not paired.unpaired:
            for option, label in (("--candidate", candidate), ("--baseline", baseline)):
                if label not in labels:
                    raise UserError(f"{option} {label}: no rows with that label; {nearest(label, labels)}")
        none_left = {candidate, baseline} - labels
        records = [] if none_left else compare(rows, baseline, [candidate], margin)
    except ValueError as error:
        raise UserError(str(error)) from error
    return Compared(candidate, baseline, tuple(records), paired)


def _labels(rows: pa.Table) -> set[str]:
    """The labels of the rows; where a row has none, its method's name."""
    pairs = rows.group_by(["label", "method"]).aggregate([])
    both = zip(pairs["label"].to_pylist(), pairs["method"].to_pylist(), strict=True)
    return {label or method for label, method in both if label or method}
