"""Figures of one kind side by side, and what the page says about those that it leaves out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from results.display import plural

MOST_TASKS: Final = 8
"""A gallery draws so many tasks and leaves the others to its table."""


@dataclass(frozen=True)
class Panel:
    """One small figure: its name in links, its title, what its axis shows, and its SVG text."""

    identity: str
    title: str
    subtitle: str
    svg: str
    wide: bool = False


@dataclass(frozen=True)
class LeftOut:
    """What is not drawn, and the place of the page that has it: its identity and its words."""

    said: str
    place: str
    words: str


@dataclass(frozen=True)
class Gallery:
    """Panels of one kind side by side, with the sentence that says how to read them.

    ``stands``: its section is shown even without a panel, for its words.
    """

    identity: str
    title: str
    short: str
    panels: tuple[Panel, ...]
    how_to_read: str
    keyed: bool = True
    left_out: LeftOut | None = None
    stands: bool = False

    @property
    def values(self) -> str:
        """Where a reader who sees no figure finds its values."""
        return "The values stand in the tables of this page; arrow keys go through them here."


def left_out(tasks: int, place: str, words: str) -> LeftOut | None:
    """What is said where more tasks than ``MOST_TASKS`` have a panel to draw."""
    if tasks <= MOST_TASKS:
        return None
    return LeftOut(f"Drawn: the first {MOST_TASKS} of {plural(tasks, 'task')} by name. All are in", place, words)
