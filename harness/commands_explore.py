"""The command that tunes one method on one task at will: explore. What it finds enters no comparison."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from argparse import Namespace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from harness import plan, seeds
from harness import suite as suites
from harness.compaction import compacting
from harness.errors import UserError
from harness.explore import Exploration, Explored
from harness.known import known_methods, known_tasks
from harness.lease import lease
from harness.progress import Progress, duration
from harness.record import open_place
from harness.suite import Suite
from harness.terminal import json_text, show
from results.display import plural

SHOWN = 10
"""Configurations in the table at most; `--json` has all."""


def explore_command(options: Namespace) -> int:
    """Explore, or go on; print the best configuration. 1 if a trial of the exploration is not done or declined."""
    if options.search == "optuna" and find_spec("optuna") is None:
        raise UserError("--search optuna: Optuna is not installed; pip install 'pacbench[optuna]'")
    suite = suite_of(options)
    place = open_place(options.out).resolve()
    with lease(place) as held:
        exploration = Exploration.open(place, suite, options.scheduler)
        exploration.campaign.ledger.mend()
        with compacting(place, held.held):
            _run(exploration, options)
    return _show(exploration, options)


def suite_of(options: Namespace) -> Suite:
    """The exploration as a suite of one method on one task, checked like any other. Raises: UserError."""
    raw: dict[str, Any] = {
        "name": "explore",
        "method": {"name": options.method},
        "task": {"name": options.task},
        "target_sizes": [options.target_size],
        "tuning": {"configs": options.trials},
        "budget": {"steps": options.steps},
    }
    suites.override(raw, options.set)
    for option, (part, key) in {"--trials": ("tuning", "configs"), "--steps": ("budget", "steps")}.items():
        if raw[part][key] != getattr(options, option[2:]):
            raise UserError(f"explore: --set {part}.{key} is {option}; say it there")
    for part in {"methods", "tasks"} & raw.keys():
        raise UserError(
            f"explore: --set {part}: the {part[:-1]} is the command's argument; its settings are {part[:-1]}.KEY"
        )
    raw |= {"methods": [raw.pop("method")], "tasks": [raw.pop("task")]}
    suite = suites.parse(raw, "explore", Path(), known_methods(), known_tasks())
    for reason in suite.left_out:
        raise UserError(f"explore: {reason}")
    if len(suite.target_sizes) != 1:
        raise UserError(f"explore: target_sizes = {list(suite.target_sizes)}; expected one")
    plan.check(suite)
    return suite


def _run(exploration: Exploration, options: Namespace) -> None:
    ends, search = exploration.ends(), exploration.search
    left = [method for method in search.drawn if seeds.canonical(plan.settings_of(method)) not in ends]
    number = len(left) if options.search == "random" else max(0, exploration.campaign.suite.tuning.configs - len(ends))
    if not number:
        print("0 trials run: all configurations are committed", file=sys.stderr)
        return
    from harness.run import explore  # Ray is imported only where something runs

    started, progress = time.monotonic(), Progress()
    explore(exploration, options.search, number, options.ray_here, options.address, progress, options.child)
    ran, took = sum(progress.counts.values()), duration(time.monotonic() - started)
    print(f"{ran} trials run, {len(exploration.found())} committed; {took}", file=sys.stderr)


def _show(exploration: Exploration, options: Namespace) -> int:
    explored, best = exploration.explored(), exploration.best()
    failed = any(set(one.statuses) - {"done", "declined"} for one in explored)
    if options.json:
        print(json_text(_document(exploration, explored, best, options.method)))
        return int(failed)
    console, names = Console(), list(exploration.search.space)
    where = f"{exploration.search.entrant.label} on {exploration.task.id}, n = {exploration.search.first.target_size}"
    each = plural(exploration.search.seeds, "seed")
    console.print(escape(f"{where}: {plural(len(explored), 'configuration')}, {each} each."))
    console.print(escape(f"Score: mean {exploration.task.metric} on target validation; the test split is not read."))
    lines = [[place, *(_short(one.config[name]) for name in names), one.steps, _outcome(one)]
             for place, one in enumerate(explored[:SHOWN], 1)]  # fmt: skip
    show(console, ["", *names, "steps", "score"], lines)
    if len(explored) > SHOWN:
        console.print(f"and {len(explored) - SHOWN} more (--json lists all)")
    if best is None:
        console.print("No configuration was trained for all steps on every seed, so none is the best.")
        return int(failed)
    console.print("\nTo pin the best one in a suite:")
    console.print(f"  {escape(pinned(exploration, best, options.method))}", soft_wrap=True, highlight=False)
    console.print(
        f"Its rivals there are tuned with fewer configurations than the {len(explored)} tried here: say so beside any "
        "comparison. Rows of an exploration are in none."
    )
    return int(failed)


def _document(exploration: Exploration, explored: list[Explored], best: Explored | None, named: str) -> dict[str, Any]:
    search = exploration.search
    return {
        "method": search.entrant.method.name,
        "method_version": search.entrant.method.version,
        "task": exploration.task.id,
        "target_size": search.first.target_size,
        "metric": exploration.task.metric,
        "higher_is_better": exploration.task.higher_is_better,
        "seeds": search.seeds,
        "steps": search.rungs[-1],
        "configurations": [dataclasses.asdict(one) for one in explored],
        "best": None if best is None else dataclasses.asdict(best),
        "pin": None if best is None else pinned(exploration, best, named),
    }


def pinned(exploration: Exploration, best: Explored, named: str) -> str:
    """The entry of a suite's `methods` that holds this configuration: what was tuned, and what was pinned before.

    named: the method's name, or the path of its file.
    """
    entrant = exploration.search.entrant
    names = [*sorted(entrant.pinned), *exploration.search.space]
    given = {"name": named, **{name: best.config[name] for name in names}}
    given["label"] = f"{entrant.label}-explored"
    return "{ " + ", ".join(f"{name} = {_toml(value)}" for name, value in given.items()) + " }"


def _toml(value: Any) -> str:
    """A hyper-parameter as TOML, which JSON's notation is for texts, numbers and lists of them."""
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _outcome(one: Explored) -> str:
    if one.score is not None:
        return f"{one.score:.4g}"
    return " ".join(f"{count} {status}" for status, count in one.statuses.items())
