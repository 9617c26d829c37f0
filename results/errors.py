"""The error tree of results.

ValueError
└── ResultsError     rows that cannot be compared, or a question that they cannot answer
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class ResultsError(ValueError):
    """Bad rows or a bad question. The message is complete: it says what was given and what was expected."""


def nearest(given: object, known: Iterable[str]) -> str:
    """The end of an unknown-name message: the nearest valid name (one that has it as a part comes first), or all."""
    names = sorted(known)
    parts = [name for name in names if str(given) in name.split("_")]
    close = parts[:1] or get_close_matches(str(given), names, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names) or 'none'}"
