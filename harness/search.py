"""What an exploration searches: configurations of one method, and the rungs they climb. It travels to the workers.

Where configurations are stopped early they climb rungs: a ninth of the steps, a third, all of them, each rung a
training from the start with a row of its own. So every score is that of a whole training under the task's schedule, by
the code that trains every other trial, and what is committed is never trained again. The price is up to 4/9 more steps
for a configuration that comes to the end.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from harness import plan
from harness.errors import UserError
from harness.method import Method
from harness.plan import TUNING_SEED, Trial
from harness.settings import Choice, Distribution, build
from harness.suite import Entrant, Suite

REDUCTION: Final = 3
"""Of the configurations on a rung about one in so many goes on, with so many times the steps."""

RUNGS: Final = {"fifo": 1, "asha": 3}
"""Rungs by scheduler; that of fifo is the whole budget."""

WORST: Final = -1e30
"""The score of a configuration with a seed that is not done; finite, so that a scheduler can take quantiles."""

DRAWN: Final = "drawn"
"""Under this name a searcher chooses among the configurations drawn beforehand, by number."""


@dataclass(frozen=True)
class Search:
    """What is searched: everything a worker needs to know.

    first: the trial of the default configuration on the first seed. rungs: steps, ascending. drawn: the configurations
    of random search, the same that a suite with as many would draw, the default first.
    """

    first: Trial
    entrant: Entrant
    seeds: int
    rungs: tuple[int, ...]
    drawn: tuple[Method, ...]

    @property
    def space(self) -> dict[str, Distribution]:
        """What is left to tune."""
        space = self.entrant.method.space
        return {name: space[name] for name in sorted(space) if name not in self.entrant.pinned}

    def method(self, values: Mapping[str, Any]) -> Method:
        """The configuration that a searcher's values stand for: a number under DRAWN, or one value for each
        hyper-parameter, of a Choice the option's place."""
        if DRAWN in values:
            number: int = values[DRAWN]
            return self.drawn[number]
        default = self.entrant.method
        chosen = {name: _chosen(distribution, values[name]) for name, distribution in self.space.items()}
        method: Method = build(type(default), dataclasses.asdict(default) | chosen, f"method {default.name}, searched")
        return method

    def values(self, method: Method) -> dict[str, Any] | None:
        """The searcher's values that stand for a configuration; None where it lies outside the space."""
        config = plan.settings_of(method)
        found = {name: _value(distribution, config[name]) for name, distribution in self.space.items()}
        return None if None in found.values() or self.method(found) != method else found

    def trials(self, method: Method, steps: int) -> list[Trial]:
        """The trials of a configuration on one rung, one for each seed."""
        numbers = range(TUNING_SEED, TUNING_SEED + self.seeds)
        return [dataclasses.replace(self.first, method=method, seed=seed, steps=steps) for seed in numbers]


def _chosen(distribution: Distribution, value: Any) -> Any:
    return distribution.options[value] if isinstance(distribution, Choice) else float(value)


def _value(distribution: Distribution, setting: Any) -> Any:
    if isinstance(distribution, Choice):
        return distribution.options.index(setting) if setting in distribution.options else None
    return setting if distribution.low <= setting <= distribution.high else None


def rungs(steps: int, scheduler: str) -> tuple[int, ...]:
    """The steps of each rung, the last the whole budget; those that would be none or equal are left out."""
    lengths = (steps // REDUCTION**below for below in reversed(range(RUNGS[scheduler])))
    return tuple(sorted({length for length in lengths if length > 0}))


def mean_score(trials: Collection[Trial], found: Mapping[str, Mapping[str, Any]]) -> float | None:
    """The mean signed validation score of a configuration's trials, WORST if one is not done; None if one has no row.

    found: status and score by key, as `harness.campaign.scores` gives them.
    """
    if any(trial.key not in found for trial in trials):
        return None
    values = [found[trial.key]["signed"] for trial in trials]
    return WORST if None in values else math.fsum(values) / len(values)


def search_of(suite: Suite, scheduler: str) -> Search:
    """The search of a suite of one method on one task. Raises: UserError if nothing is left to tune."""
    trials = plan.tune_trials(suite)
    (entrant,) = suite.entrants
    if not trials and suite.tuning.configs == 1 and plan.configurations(entrant, 2)[1:]:
        raise UserError("explore: one configuration is the default and no search; expected --trials 2 or more")
    if not trials:
        pinned = f" besides what is pinned ({', '.join(sorted(entrant.pinned))})" if entrant.pinned else ""
        raise UserError(f"method {entrant.method.name}: nothing to tune, its space is empty{pinned}")
    first = dataclasses.replace(trials[0], exploratory=True)
    drawn = plan.configurations(entrant, suite.tuning.configs)
    return Search(first, entrant, suite.tuning.seeds, rungs(suite.budget.steps, scheduler), drawn)
