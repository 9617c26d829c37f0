"""Exploration: one method tuned on one task by any search, judged on target validation alone; it enters no board.

Where configurations are stopped early they climb rungs: a ninth of the steps, a third, all of them, each rung a
training from the start with a row of its own. So every score is that of a whole training under the task's schedule, by
the code that trains every other trial, and what is committed is never trained again. The price is up to 4/9 more steps
for a configuration that comes to the end.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final

from harness import plan, seeds
from harness.campaign import Campaign, opened, scores
from harness.errors import UserError
from harness.method import Method
from harness.plan import TUNING_SEED, Trial
from harness.record import read_json
from harness.settings import Choice, Distribution, build
from harness.suite import Entrant, Suite
from harness.task import Task
from harness.trial import lost
from results import table
from results.place import Place, write_durably

EXPLORED: Final = "explored"
"""What campaign.json calls the rows of an exploration."""

ENDS: Final = "exploration.json"
"""Where a scheduler stopped each configuration."""

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


@dataclass(frozen=True)
class Explored:
    """A configuration with its outcome on one rung. score: native units, None where a seed is not done."""

    config: dict[str, Any]
    steps: int
    score: float | None
    statuses: dict[str, int]


class Exploration:
    """A folder with the rows of one method on one task. What is committed in it is never run again."""

    def __init__(self, folder: Place, suite: Suite, scheduler: str) -> None:
        self.campaign = Campaign(folder, suite)
        self.scheduler = scheduler
        self.search = _search(suite, scheduler)

    @classmethod
    def open(cls, address: str | Place, suite: Suite, scheduler: str) -> Exploration:
        """The exploration in a folder, created if there is none.

        Raises: UserError if nothing is left to tune, the folder cannot be written, or it holds something else.
        """
        _search(suite, scheduler)
        folder, held, wanted = opened(address, suite, EXPLORED)
        if held.get("origin") != EXPLORED:
            raise UserError(f"{folder} holds a campaign, no exploration; choose another --out")
        for what, there, here in zip(_IDENTITY, _identity(held), _identity(wanted), strict=True):
            if there != here:
                raise UserError(f"{folder} holds an exploration with another {what} ({there}); choose another --out")
        return cls(folder, suite, scheduler)

    @property
    def task(self) -> Task:
        """What it is explored on."""
        return self.search.first.task

    def found(self) -> dict[str, dict[str, Any]]:
        """Status and signed score of what is committed, by key."""
        return scores(self.campaign.ledger.outcomes())

    def ends(self) -> dict[str, int]:
        """The rung on which each configuration came to its end under this scheduler and budget, by canonical JSON.

        A scheduler's decision is kept in a file; without one, rows on the last rung are what says so, or a failure.
        """
        path, held = self.campaign.folder / ENDS, {}
        if len(self.search.rungs) > 1 and path.is_file():
            held = read_json(path).get(self._budget, {})
            if not isinstance(held, dict) or not all(type(steps) is int for steps in held.values()):
                raise UserError(f"{path}: damaged, expected the steps at which each configuration ended")
        found = self.found()
        for method in self._known():
            for steps in self.search.rungs:
                score = mean_score(self.search.trials(method, steps), found)
                if score == WORST or (score is not None and steps == self.search.rungs[-1]):
                    held.setdefault(seeds.canonical(plan.settings_of(method)), steps)
        return held

    def end(self, method: Method, steps: int) -> None:
        """Remember where the scheduler stopped a configuration."""
        if len(self.search.rungs) == 1:
            return
        path = self.campaign.folder / ENDS
        held = read_json(path) if path.is_file() else {}
        held.setdefault(self._budget, {})[seeds.canonical(plan.settings_of(method))] = steps
        write_durably(path, (json.dumps(held, indent=1, sort_keys=True) + "\n").encode())

    def lost(self, method: Method, reason: str) -> None:
        """Commit rows for the trials that a configuration's workers died over: those of its lowest open rung."""
        found = self.found()
        for steps in self.search.rungs:
            if missing := [trial for trial in self.search.trials(method, steps) if trial.key not in found]:
                self.campaign.commit([lost(trial, "failed", reason) for trial in missing])
                return

    @property
    def _budget(self) -> str:
        return f"{self.scheduler}, {self.search.rungs[-1]} steps"

    def _known(self) -> list[Method]:
        """Every configuration that has a row, in the order of the rows' configurations."""
        default = self.search.entrant.method
        configs = sorted(set(table.read(self.campaign.folder)["config"].to_pylist()))
        return [build(type(default), json.loads(config), f"{self.campaign.folder}: a row") for config in configs]

    def told(self) -> list[tuple[dict[str, Any], float]]:
        """What a searcher may learn from: values and signed scores of configurations that came to their end."""
        found, learnt = self.found(), []
        ends = self.ends()
        for method in self._known():
            steps = ends.get(seeds.canonical(plan.settings_of(method)))
            score = None if steps is None else mean_score(self.search.trials(method, steps), found)
            values = self.search.values(method)
            if score is not None and score > WORST and values is not None:
                learnt.append((values, score))
        return learnt

    def explored(self) -> list[Explored]:
        """Every configuration on the highest rung it has rows for, the best first; of equals the first drawn."""
        found, last = self.found(), self.search.rungs[-1]
        tried = sorted(set(table.read(self.campaign.folder)["budget_steps"].to_pylist()), reverse=True)
        drawn, outcomes = list(self.search.drawn), []
        for method in self._known():
            for steps in (steps for steps in tried if steps <= last):
                trials = self.search.trials(method, steps)
                if mine := [found[trial.key] for trial in trials if trial.key in found]:
                    score = mean_score(trials, found)
                    native = None if score in (None, WORST) else score if self.task.higher_is_better else -score
                    counts = Counter(str(outcome["status"]) for outcome in mine)
                    place = drawn.index(method) if method in drawn else len(drawn)
                    one = Explored(plan.settings_of(method), steps, native, dict(sorted(counts.items())))
                    outcomes.append(((-steps, -(WORST if score is None else score), place), one))
                    break
        return [one for _, one in sorted(outcomes, key=itemgetter(0))]

    def best(self) -> Explored | None:
        """The best configuration that trained for the whole budget; None if none finished."""
        whole = [one for one in self.explored() if one.steps == self.search.rungs[-1] and one.score is not None]
        return whole[0] if whole else None


def _search(suite: Suite, scheduler: str) -> Search:
    """Raises: UserError if the method has nothing left to tune."""
    trials = plan.tune_trials(suite)
    (entrant,) = suite.entrants
    if not trials:
        pinned = f" besides what is pinned ({', '.join(sorted(entrant.pinned))})" if entrant.pinned else ""
        raise UserError(f"method {entrant.method.name}: nothing to tune, its space is empty{pinned}")
    first = dataclasses.replace(trials[0], exploratory=True)
    drawn = plan.configurations(entrant, suite.tuning.configs)
    return Search(first, entrant, suite.tuning.seeds, rungs(suite.budget.steps, scheduler), drawn)


_IDENTITY: Final = ("method", "task", "target size", "number of seeds")


def _identity(record: Mapping[str, Any]) -> tuple[object, ...]:
    """What all explorations in one folder must agree on; searcher, scheduler, steps and number may change."""
    suite = record.get("suite", {})
    (method,) = suite.get("methods") or [{}]
    pinned = {name: method.get("defaults", {}).get(name) for name in method.get("pinned", ())}
    version = f"{method.get('name')} version {method.get('version')}"
    tasks = [task.get("id") for task in suite.get("tasks", ())]
    return (
        f"{version}{f' with {pinned}' if pinned else ''}",
        ", ".join(map(str, tasks)),
        ", ".join(map(str, suite.get("target_sizes", ()))),
        (suite.get("tuning") or {}).get("seeds"),
    )
