"""The error tree.

PacbenchError
├── UserError            bad input: one message that says where, what was given and what was expected; exit status 2
└── Declined             a method says why it does not apply to a task: the row is `declined`, nothing failed
    Diverged             a loss became NaN or infinite: the row is `diverged`
TrialTimeout             the trial's time is over; a BaseException, so that no method's `except Exception` keeps it
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class PacbenchError(Exception):
    """Root of everything this program raises on purpose."""


class UserError(PacbenchError):
    """Bad input. The message is complete: it is printed as it is, and nothing is started."""


class Declined(PacbenchError):  # noqa: N818 - an outcome, not an error
    """Raised by a method's `prepare` or `adapt` where it does not apply; the message is the reason in the row."""


class Diverged(PacbenchError):  # noqa: N818 - an outcome, not an error
    """A training loss became NaN or infinite."""


class TrialTimeout(BaseException):
    """The trial used up its `trial_seconds`."""


def message(error: BaseException) -> str:
    """What an error says, as text that can be written, also where saying it fails."""
    try:
        return str(error).encode(errors="replace").decode()
    except BaseException:  # noqa: BLE001 - an error of a method's own can do anything here
        return "(its message cannot be read)"


def nearest(given: str, known: Iterable[str]) -> str:
    """The end of an unknown-name message: the nearest valid name (one that has it as a part comes first), or all."""
    names = sorted(known)
    parts = [name for name in names if given in name.split("_")]
    close = parts[:1] or get_close_matches(given, names, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names) or 'none'}"
