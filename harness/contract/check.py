"""A check of the contract: one promise, tried on a method or task, with what to mend where it is broken."""

from __future__ import annotations

import functools
import math
import time
import traceback
import unittest
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

import torch

from harness import process
from harness.cost import time_limit
from harness.errors import TrialTimeout, UserError, message

S = TypeVar("S")

State = Literal["ok", "fault", "not checked", "hint"]


class Fault(AssertionError):  # noqa: N818 - what is found, and it ends a test like any assertion
    """A broken promise. what: seen, and where; mend: what to do about it."""

    def __init__(self, what: str, mend: str) -> None:
        super().__init__(f"{what}; to mend it: {mend}")
        self.what, self.mend = what, mend


class NotChecked(Exception):  # noqa: N818 - an outcome: another check has found why, or nothing applies
    """This promise could not be tried; the message is the reason."""


@dataclass(frozen=True)
class Finding:
    """What a check found. text: a remark, or what is wrong; mend: what to do, for a fault only."""

    check: str
    state: State
    text: str = ""
    mend: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Check(Generic[S]):
    """One promise. Called with what is under test it raises an AssertionError where the promise is broken, and
    unittest.SkipTest, which pytest too counts as skipped, where it could not be tried.

    look: returns a remark or None; raises Fault or NotChecked. hint: what it remarks is advice, no result.
    """

    name: str
    promise: str
    look: Callable[[S], str | None]
    hint: bool = False

    def __call__(self, under_test: S) -> None:
        found = self.examine(under_test)
        if found.state == "fault":
            raise Fault(f"{self.promise} {found.text}", found.mend)
        if found.state == "not checked":
            raise unittest.SkipTest(f"not checked: {found.text}")

    def __str__(self) -> str:
        return self.name.replace(" ", "_")

    def examine(self, under_test: S, seconds: float = math.inf) -> Finding:
        """What was found, within `seconds`. Raises: KeyboardInterrupt, and UserError for data that are not there."""
        started = time.perf_counter()
        found = functools.partial(Finding, self.name, seconds=0.0)
        try:
            with process.kept(), time_limit(seconds):
                torch.set_num_threads(1)  # as the workers do: with others sums round otherwise
                remark = self.look(under_test)
            finding = found("hint" if self.hint and remark else "ok", remark or "")
        except Fault as fault:
            finding = found("fault", fault.what, fault.mend)
        except NotChecked as reason:
            finding = found("not checked", str(reason))
        except UserError:
            raise
        except TrialTimeout:
            finding = found("fault", f"not finished after {seconds:g} s", "make it end on a tiny problem")
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a method or task is anybody's code
            finding = found("fault", said(error), "make it run; the place is where it stopped")
        return Finding(finding.check, finding.state, finding.text, finding.mend, time.perf_counter() - started)


def checks(*looks: Callable[[S], str | None], hints: Sequence[str] = ()) -> tuple[Check[S], ...]:
    """Checks of functions: a check's name is its function's, its promise the first line of the docstring."""
    made = []
    for look in looks:
        name = look.__name__.replace("_", " ")
        promise = (look.__doc__ or "").strip().split("\n")[0]
        made.append(Check(name, promise, look, hint=look.__name__ in hints))
    return tuple(made)


def said(error: BaseException) -> str:
    """An error in one line, with the innermost place it came from."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno})" if frames else ""
    first = message(error).strip().split("\n")[0][:300]
    return f"{type(error).__name__}: {first}{place}"


def values_of(thing: Any) -> str:
    """A short list in words."""
    return ", ".join(map(str, thing)) or "none"
