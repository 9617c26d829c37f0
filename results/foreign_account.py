"""What became of every row of foreign files: imported, known before, left out as asked, or dropped and why."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from results.foreign_batch import Source

SHOWN: Final = 5
"""Places that are named for each reason."""


@dataclass(frozen=True)
class Place:
    """A dropped row: its file, the line, row or run of it, and what the file holds there."""

    file: str
    unit: str
    number: int
    given: str = ""

    def __str__(self) -> str:
        shown = f" ({self.given!r})" if self.given else ""
        return f"{self.file} {self.unit} {self.number}{shown}"


@dataclass
class Account:
    """files: those that were read; skipped: those that were imported before, by name.

    rows: in the files; imported: new rows; known: rows that were there before or came twice; left_out: by `--where`.
    dropped: how many rows by reason, places: the first of them. columns: the file's column of each row's column,
    given: what holds for all rows, unused: columns of the files that no row's column comes from.
    """

    files: list[Source] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    rows: int = 0
    imported: int = 0
    known: int = 0
    left_out: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    places: dict[str, list[Place]] = field(default_factory=dict)
    columns: dict[str, str] = field(default_factory=dict)
    given: dict[str, str] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)

    def drop(self, reason: str, count: int, places: list[Place]) -> None:
        """Note that rows are dropped."""
        self.dropped[reason] += count
        held = self.places.setdefault(reason, [])
        held += places[: SHOWN - len(held)]

    def document(self) -> dict[str, Any]:
        """The account as JSON values."""
        reasons = [
            {
                "reason": reason,
                "count": count,
                "places": [{"file": p.file, p.unit: p.number, "given": p.given or None} for p in self.places[reason]],
            }
            for reason, count in self.dropped.most_common()
        ]
        return {
            "files": [{"name": s.name, "sha256": s.sha256, "rows": s.rows} for s in self.files],
            "imported_before": self.skipped,
            "rows": self.rows,
            "imported": self.imported,
            "known": self.known,
            "left_out": self.left_out,
            "dropped": self.dropped.total(),
            "reasons": reasons,
            "columns": self.columns,
            "given": self.given,
            "unused_columns": self.unused,
        }
