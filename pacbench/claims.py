"""Judging methods: a leaderboard, and a comparison of two, beside a published board or not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any

import pyarrow as pa
from rich.console import Console

from harness.commands_compare import ASKED, headline, nothing, show_compared, show_ranking, worth
from harness.errors import UserError
from harness.judging import Compared, Ranking, board_source, compared, ranking
from harness.rows import merged_rows
from pacbench import show
from pacbench.rows import One, Rows, address, sources
from results.beside import Beside
from results.compare import Comparison
from results.display import name
from results.leaderboard import Leaderboard, Standing
from results.merging import JUDGED
from results.sensitivity import Sensitivity
from results.verdicts import board_listing, board_table, board_words, comparison_listing, shared_notes


@dataclass(frozen=True, repr=False)
class Board:
    """A leaderboard. Iterating gives the standings, best mean rank first."""

    ranking: Ranking

    @property
    def leaderboard(self) -> Leaderboard:
        """Everything that `pacbench leaderboard --json` has."""
        return self.ranking.board

    @property
    def sensitivity(self) -> Sensitivity:
        """What the ranking owes to single tasks and methods."""
        return self.ranking.steadiness

    @property
    def table(self) -> pa.Table:
        """The standings, a row for each method."""
        return board_table([self.ranking.board])

    def __iter__(self) -> Iterator[Standing]:
        return iter(self.ranking.board.methods)

    def __repr__(self) -> str:
        return show.text(self._draw)

    def _draw(self, console: Console) -> None:
        show_ranking(console, self.ranking)

    def _repr_html_(self) -> str:
        board = self.ranking.board
        if not board.methods:
            return show.lines(["There are no final trials among these rows yet, so nothing is ranked."])
        said = [board_words(board), "Methods that share a letter under ties cannot be told apart by these rows."]
        return show.page(show.table(board_listing(board)), show.lines([*said, *map(worth, board.pareto)]))


@dataclass(frozen=True, repr=False)
class Comparisons:
    """One candidate against one baseline. Iterating gives the records: for each question, all target sizes and each."""

    compared: Compared

    @property
    def records(self) -> tuple[Comparison, ...]:
        """Over all target sizes first, for other tasks like these ("population") and for these tasks ("fixed")."""
        return self.compared.records

    @property
    def verdict(self) -> str | None:
        """Better, worse, equivalent or undecided, over all sizes, for other tasks like these; None: none compared."""
        return self.records[0].verdict if self.compared.says_something else None

    @property
    def paired(self) -> Beside | None:
        """How the rows pair with those of the board; None without one."""
        return self.compared.paired

    @property
    def table(self) -> pa.Table:
        """The records, a row for each question and target size."""
        return pa.Table.from_pylist([asdict(record) for record in self.records], schema=_RECORDS)

    def __iter__(self) -> Iterator[Comparison]:
        return iter(self.records)

    def __repr__(self) -> str:
        return show.text(self._draw)

    def _draw(self, console: Console) -> None:
        show_compared(console, self.compared)

    def _repr_html_(self) -> str:
        found = self.compared
        pairing = show.lines(_pairing(found.paired)) if found.paired else ""
        if not found.says_something:
            return show.page(pairing, show.bold(nothing(found)))
        answers = {
            question: show.page(
                show.table(comparison_listing(found.records, question)),
                show.lines(shared_notes(found.records, question)),
            )
            for question in ASKED
        }
        return show.page(
            pairing,
            show.bold(headline(found)),
            show.lines([ASKED["population"]]),
            answers["population"],
            show.folded(ASKED["fixed"], answers["fixed"]),
        )


_KINDS: dict[str, Any] = {"str": pa.string(), "int": pa.int64(), "float": pa.float64()}
_RECORDS = pa.schema((one.name, _KINDS[str(one.type).removesuffix(" | None")]) for one in fields(Comparison))


def _pairing(paired: Beside) -> list[str]:
    said = [f"{paired.paired} of {paired.trials} final trials of {name(paired.label)} pair with the board's."]
    return said + [f"Left out: {count} × {reason}." for reason, count in paired.unpaired.items()]


def leaderboard(rows: Rows, target_size: int | None = None) -> Board:
    """All methods of the rows beside each other, at one target size or over all: ranks, intervals, ties, costs.

    Raises: UserError for rows that cannot be read or mixed, or a target size that they do not have.
    """
    return Board(ranking(merged_rows(sources(rows, JUDGED)), target_size))


def compare(
    rows: Rows, candidate: str, baseline: str, *, margin: float | None = None, board: One | None = None
) -> Comparisons:
    """The paired comparison of two labels, per target size and over all.

    ``margin``: differences within ± it count as equivalent. ``board``: a published board by its name ("standard"), or
    other rows, beside which the candidate is put. Raises: UserError as `pacbench compare` says.
    """
    beside = None if board is None else _board(board)
    return Comparisons(compared(sources(rows, JUDGED), candidate, baseline, margin, beside))


def _board(board: One) -> Any:
    if isinstance(board, list | tuple):
        raise UserError(f"board: {len(board)} places of rows; expected one")
    where = address(board) if isinstance(board, str | os.PathLike) else None
    return sources(board, JUDGED)[0] if where is None else board_source(where)
