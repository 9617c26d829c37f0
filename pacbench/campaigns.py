"""A campaign as a value: what its folder holds, and what it lacks."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from rich.console import Console

from harness.commands_status import State, show_state, state, summary
from pacbench import show
from pacbench.rows import read, text_of
from results import display
from results.listing import Listing, named, size_of, valued


@dataclass(frozen=True, repr=False)
class Campaign:
    """A campaign's folder as it was when this was made; `pacbench.status` looks again.

    ``planned`` and ``missing`` are None for rows that were not run here. ``counts`` are committed trials by status
    (done, failed, diverged, oom, timeout, declined), ``reasons`` the first reasons of those that are not done,
    ``cells`` the same by stage, task, label and target size.
    """

    folder: str
    suite: str
    planned: int | None
    committed: int
    missing: int | None
    counts: dict[str, int]
    reasons: dict[str, int]
    cells: list[dict[str, Any]] = field(compare=False)
    _state: State = field(compare=False)

    @property
    def complete(self) -> bool:
        """Whether every planned trial has a row."""
        return not self.missing

    @property
    def rows(self) -> pa.Table:
        """The rows, read now."""
        return read(self.folder)

    def __repr__(self) -> str:
        return show.text(self._draw)

    def _draw(self, console: Console) -> None:
        show_state(console, self._state)
        console.print(f"in {self.folder}", markup=False)

    def _repr_html_(self) -> str:
        open_cells = [cell for cell in self.cells if cell["missing"] or set(cell["counts"]) - {"done"}]
        lines = tuple(
            (
                named(cell["stage"]),
                named(cell["task"]),
                named(cell["label"]),
                size_of(cell["target_size"]),
                valued(cell["missing"], display.count(cell["missing"])),
                named(", ".join(f"{count} {status}" for status, count in cell["counts"].items()) or display.DASH),
            )
            for cell in open_cells
        )
        columns = ("stage", "task", "method", "target examples", "missing", "committed")
        return show.page(
            show.bold(summary(self._state.document)),
            show.table(Listing("cells", columns, (False, False, False, True, True, False), lines)),
            show.lines(f"{count} × {reason}" for reason, count in self.reasons.items()),
            show.lines(map(str, self._state.repeats)),
            show.lines([f"in {self.folder}"]),
        )


def status(folder: str | os.PathLike[str] | Campaign) -> Campaign:
    """What a campaign holds and lacks now. Raises: UserError for a folder without campaign."""
    where = folder.folder if isinstance(folder, Campaign) else text_of(folder, "folder")
    found = state(where)
    known = ("suite", "planned", "committed", "missing", "counts", "reasons", "cells")
    return Campaign(where, **{name: found.document[name] for name in known}, _state=found)
