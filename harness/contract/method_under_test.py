"""A method under test: what it does on each problem, worked out once for all checks."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from harness import settings
from harness.contract.check import NotChecked
from harness.contract.problem import TinyProblem, tiny_problems
from harness.contract.rehearsal import Rehearsal, rehearse
from harness.errors import UserError
from harness.method import Method
from harness.settings import Choice
from harness.together import Together

CONFIGURATIONS = 8
"""Drawn from the space, to try a hyper-parameter beside other values than the default ones."""


class MethodUnderTest:
    """A method, and what it does on each problem, worked out once.

    problems: tiny ones where none are given; a method that needs another kind of network brings its own.
    """

    def __init__(self, method: Method, problems: Sequence[TinyProblem] = ()) -> None:
        self.method = method
        self.problems = tuple(problems) or tiny_problems()
        self._outcomes: dict[str, Rehearsal | BaseException] = {}
        self._laned: dict[str, Rehearsal] = {}

    def outcome(self, problem: TinyProblem) -> Rehearsal | BaseException:
        """What the method did on a problem, or what it raised."""
        if problem.name not in self._outcomes:
            try:
                self._outcomes[problem.name] = rehearse(self.method, problem, watched=True)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - a method is anybody's code
                self._outcomes[problem.name] = error
        return self._outcomes[problem.name]

    def each(self) -> Iterator[Rehearsal]:
        """What the method did wherever it ran. Raises: NotChecked where it ran nowhere."""
        ran = [found for problem in self.problems if isinstance(found := self.outcome(problem), Rehearsal)]
        if not ran:
            raise NotChecked("it runs on no problem; see `runs`")
        yield from ran

    def check_problems_are_known(self) -> None:
        """Raises: NotChecked if another process has not the same problems."""
        if any(problem not in tiny_problems() for problem in self.problems):
            raise NotChecked("problems of one's own are not sent to another process")

    def laned(self, problem: TinyProblem) -> Rehearsal:
        """What the method does on a problem as the only lane of a computation."""
        if problem.name not in self._laned:
            (self._laned[problem.name],) = side_by_side([(self.method, problem)])
        return self._laned[problem.name]

    def variants(self, names: Sequence[str] | None = None) -> Iterator[tuple[str, list[Method]]]:
        """For each hyper-parameter the same method with other legal values of it; none where none is known."""
        rng = np.random.default_rng(0)
        for field in dataclasses.fields(self.method):
            if names is None or field.name in names:
                values = _others(self.method, field, rng)
                made = [with_value(self.method, field.name, value) for value in values]
                yield field.name, [method for method in made if method is not None][:4]

    def configurations(self) -> list[Method]:
        """The method with every hyper-parameter of its space drawn from there, a few times."""
        rng, drawn = np.random.default_rng(0), []
        for _ in range(CONFIGURATIONS):
            made: Method | None = self.method
            for name, distribution in self.method.space.items():
                made = made and with_value(made, name, distribution.sample(rng))
            drawn += [made] if made is not None else []
        return drawn

    def neighbour(self) -> Method | None:
        """The method with one hyper-parameter changed, one of its own where it has any; None if none can be."""
        found = sorted(self.variants([*self.method.space]), key=lambda item: item[0] == "learning_rate_factor")
        return next((variants[-1] for _, variants in found if variants), None)


def side_by_side(works: Sequence[tuple[Method, TinyProblem]]) -> list[Rehearsal]:
    """What methods do on problems as lanes of shared computations."""
    engine = Together()
    return engine.run([partial(rehearse, method, problem, engine=engine) for method, problem in works])


def with_value(method: Method, name: str, value: object) -> Method | None:
    """The method with another value of one hyper-parameter; None if that is not legal."""
    given = {field.name: getattr(method, field.name) for field in dataclasses.fields(method)} | {name: value}
    try:
        made: Method = settings.build(type(method), given, "here")
    except UserError:
        return None
    return made


def _others(method: Method, field: Any, rng: np.random.Generator) -> list[Any]:
    """Values of a hyper-parameter other than its own: from the space, else from its range."""
    now = getattr(method, field.name)
    space = method.space.get(field.name)
    if space is not None:
        tried = [*space.options] if isinstance(space, Choice) else [space.low, space.high]
        tried += [space.sample(rng) for _ in range(8)]
    elif field.metadata.get("options"):
        tried = list(field.metadata["options"])
    elif isinstance(now, bool):
        tried = [not now]
    elif isinstance(now, int | float):
        kind = type(now)
        tried = [kind(now / 2), kind(now * 2 + 1), field.metadata.get("low"), field.metadata.get("high")]
    else:
        tried = []
    return [value for value in dict.fromkeys(tried) if value is not None and value != now]
