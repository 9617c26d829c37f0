"""Exploration: one method tuned on one task by any search, judged on target validation alone; it enters no board.

Its folder is like a campaign's; only searcher, scheduler, steps and number of configurations may change in it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final

from harness import plan, seeds
from harness.campaign import Campaign, opened, scores
from harness.errors import UserError
from harness.method import Method
from harness.record import read_json
from harness.search import WORST, mean_score, search_of
from harness.settings import build
from harness.suite import Suite
from harness.task import Task
from harness.trial import lost
from results import table
from results.place import Place, write_durably

EXPLORED: Final = "explored"
"""What campaign.json calls the rows of an exploration."""

ENDS: Final = "exploration.json"
"""Where a scheduler stopped each configuration."""


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
        self.search = search_of(suite, scheduler)

    @classmethod
    def open(cls, address: str | Place, suite: Suite, scheduler: str) -> Exploration:
        """The exploration in a folder, created if there is none.

        Raises: UserError if nothing is left to tune, the folder cannot be written, or it holds something else.
        """
        search_of(suite, scheduler)
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
