"""Plan: a suite becomes trials, trials become packs."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from harness import seeds
from harness.data import check_target_size, content_hash, size, training_size
from harness.engines.rule import choose
from harness.errors import UserError
from harness.method import Method
from harness.settings import build
from harness.sharding import Sharding
from harness.suite import TABLES, Entrant, Suite
from harness.task import Task

PROTOCOL: Final = 1
"""Number of the rules in PROTOCOL.md. Part of every key; rows of different numbers are never averaged."""

TUNING_SEED: Final = 10_000
"""Tuning seeds are 10000, 10001, ...; final seeds 0, 1, ...: never shared."""

PACK_LANES: Final = {"cpu": 64, "cuda": 4096}
"""Lanes of a pack at most. On a CPU a step of more costs in proportion, and more packs share the work more evenly; a
GPU has one worker, whose lanes are to fill it."""

Stage = Literal["tune", "final"]


@dataclass(frozen=True)
class Facts:
    """What is known of a task's data without training: content hashes, and how many target examples there are.

    checkpoint: hash of the pretrained weights where the source model is read from disk; part of source_hash as well.
    """

    data_hash: str
    source_hash: str
    pool_size: int
    checkpoint: str | None = None


@functools.lru_cache(maxsize=64)
def facts(task: Task) -> Facts:
    """Hashes of all the task's data, and of its source part."""
    checkpoint = task.checkpoint()
    sets = task.datasets()
    source = {"source_train": sets.source_train, "source_test": sets.source_test}
    target = {"target_pool": sets.target_pool, "target_test": sets.target_test}
    source_hash = content_hash(source) if checkpoint is None else seeds.digest([content_hash(source), checkpoint])
    return Facts(content_hash({**source, **target}), source_hash, size(sets.target_pool), checkpoint)


def check(suite: Suite) -> None:
    """Raises: UserError if a task has too few examples for a target size."""
    for task in suite.tasks:
        try:
            facts(task)
        except UserError as error:
            raise UserError(f"task {task.id}: {error}") from error
        except Exception as error:  # a task is anybody's code
            raise UserError(f"task {task.id}: its data cannot be made ({type(error).__name__}: {error})") from error
        for n in suite.target_sizes:
            check_target_size(n, facts(task).pool_size, f"suite {suite.name!r}: target_sizes, task {task.id}")
        if sharding := suite.engine.sharding:
            for width, of in batches(task, suite.target_sizes):
                sharding.check_batch(width, f"suite {suite.name!r}: task {task.id}, {of}")


def batches(task: Task, target_sizes: Iterable[int]) -> Iterator[tuple[int, str]]:
    """The examples in a batch of each training of a task, and which training it is."""
    sets, width = task.datasets(), task.recipe.batch_size
    if sets.source_train is not None:
        yield min(width, size(sets.source_train)), "its source"
    for n in target_sizes:
        yield min(width, training_size(n)), f"target size {n}"


@dataclass(frozen=True)
class Trial:
    """One training of one method on one task, and everything its number depends on.

    Keys are hashes of canonical JSON. source_key derives the source model; pair_key order and head initialisation, so
    that rivals are paired; draw_key the examples, nested over target sizes; key names the row, and that of the plain
    engine derives what only the method draws. attempt, trial_seconds and engine_reason are not part of any key. engine
    trains on the target, source_engine (the same for all target sizes) the source model and what `prepare` trains.
    exploratory: a trial of `pacbench explore`, whose row enters no comparison; it draws as a campaign's tuning does.
    """

    suite: str
    stage: Stage
    task: Task
    facts: Facts
    method: Method
    label: str
    target_size: int
    seed: int
    steps: int
    trial_seconds: float
    tuning_configs: int
    tuning_seeds: int
    engine: str = "plain"
    engine_reason: str = ""
    source_engine: str = "plain"
    sharding: Sharding | None = None
    attempt: int = 1
    exploratory: bool = False

    @property
    def precision(self) -> str:
        """Of the weights that the forward reads."""
        return self.sharding.precision if self.sharding else "float32"

    @property
    def world_size(self) -> int:
        """Processes that train one objective."""
        return self.sharding.ranks if self.sharding else 1

    @property
    def config(self) -> dict[str, object]:
        """Every hyper-parameter of the method."""
        return settings_of(self.method)

    @functools.cached_property
    def source_key(self) -> str:
        task = self.task
        made_of = [PROTOCOL, task.name, task.version, task.source_parameters(), self.facts.source_hash]
        return seeds.digest([*made_of, dataclasses.asdict(task.recipe), self.seed])

    @functools.cached_property
    def draw_key(self) -> str:
        return seeds.digest([self.source_key, self.task.parameters(), self.facts.data_hash])

    @functools.cached_property
    def pair_key(self) -> str:
        return seeds.digest([self.draw_key, self.target_size])

    @functools.cached_property
    def prepare_key(self) -> str:
        method = self.method
        fields = self.config if method.prepare_fields is None else method.prepare_fields
        read = {name: self.config[name] for name in fields}
        name = vars(type(method)).get("prepared_as") or method.name  # a class derived from it may prepare otherwise
        return seeds.digest([self.source_key, name, method.version, read, self.source_engine, *self._spread])

    @functools.cached_property
    def key(self) -> str:
        method = [self.label, self.method.name, self.method.version, self.config]
        engines = [self.engine] if self.engine == self.source_engine else [self.engine, self.source_engine]
        stage = f"{self.stage}, exploratory" if self.exploratory else self.stage
        made_of = [self.pair_key, stage, method, self.steps, self.precision, self.world_size]
        return seeds.digest([*made_of, *engines, *self._spread])

    @property
    def _spread(self) -> list[object]:
        """What of the sharding belongs in keys."""
        return [dataclasses.asdict(self.sharding)] if self.sharding else []

    @property
    def prepares(self) -> bool:
        """Whether its method works on the source model before it sees the target."""
        return self.method.pretrained and type(self.method).prepare is not Method.prepare

    @functools.cached_property
    def drawn_by(self) -> Trial:
        """The confirmatory trial on the plain engine: its keys seed what a method draws, so that engines agree."""
        return dataclasses.replace(self, engine="plain", source_engine="plain", sharding=None, exploratory=False)


def settings_of(method: Method) -> dict[str, object]:
    """Every hyper-parameter of a method, by name."""
    return dataclasses.asdict(method)


@dataclass(frozen=True)
class Cell:
    """What is tuned together: one task, one entrant, one target size."""

    task: Task
    entrant: Entrant
    target_size: int

    @property
    def name(self) -> str:
        return f"{self.task.id} / {self.entrant.label} / n={self.target_size}"


@dataclass(frozen=True)
class Pack:
    """What Ray schedules: trials that one worker runs, as lanes side by side or one after the other.

    kind "source" trains the source models of its trials, prepares the networks of the trials in `prepare`, and runs
    no trial.
    """

    kind: Literal["source", "trials"]
    trials: tuple[Trial, ...]
    prepare: tuple[Trial, ...] = ()


def used(suite: Suite) -> list[type]:
    """The classes of a suite's methods and tasks."""
    return [type(thing) for thing in (*suite.tasks, *(entrant.method for entrant in suite.entrants))]


def cells(suite: Suite) -> list[Cell]:
    """All cells of a suite, in the suite's order."""
    return [Cell(t, e, n) for t in suite.tasks for e in suite.entrants for n in suite.target_sizes]


@functools.lru_cache(maxsize=1024)
def configurations(entrant: Entrant, count: int) -> tuple[Method, ...]:
    """The default configuration and `count` - 1 drawn from the method's space, the same for every task and size.

    Pinned hyper-parameters stay as given. With nothing left to tune there is one configuration.
    """
    default = entrant.method
    space = {name: dist for name, dist in sorted(default.space.items()) if name not in entrant.pinned}
    if not space:
        return (default,)
    key = seeds.digest([PROTOCOL, default.name, default.version, dataclasses.asdict(default), sorted(entrant.pinned)])
    rng = np.random.default_rng(seeds.derive(key, "configurations"))
    drawn = [default]
    for _ in range(100 * count):
        if len(drawn) == count:
            break
        sampled = {name: dist.sample(rng) for name, dist in space.items()}
        settings = dataclasses.asdict(default) | sampled
        candidate = build(type(default), settings, f"method {default.name}, drawn from its space")
        if candidate not in drawn:
            drawn.append(candidate)
    return tuple(drawn)


def resolved(suite: Suite) -> dict[str, Any]:
    """The suite as JSON values, every default spelled out: what campaign.json holds and is compared by."""
    tasks = [
        {"id": task.id, "name": task.name, "version": task.version, "parameters": task.parameters()}
        for task in suite.tasks
    ]
    methods = [
        {
            "label": entrant.label,
            "name": entrant.method.name,
            "version": entrant.method.version,
            "defaults": settings_of(entrant.method),
            "pinned": sorted(entrant.pinned),
            "configurations": len(configurations(entrant.control_of or entrant, suite.tuning.configs)),
            **({"control_of": entrant.control_of.label} if entrant.control_of else {}),
        }
        for entrant in suite.entrants
    ]
    tables = {name: dataclasses.asdict(getattr(suite, name)) for name in TABLES}
    tables["engine"] = suite.engine.settings()
    tables["prices"] = dict(suite.prices.by_device)
    return {"name": suite.name, "tasks": tasks, "methods": methods, "target_sizes": list(suite.target_sizes), **tables}


def tune_trials(suite: Suite) -> list[Trial]:
    """Every configuration of every cell on every tuning seed; none of a cell that is a control of another in the suite,
    or has one configuration only."""
    trials = []
    for cell in cells(suite):
        candidates = configurations(cell.entrant, suite.tuning.configs)
        if len(candidates) == 1 or cell.entrant.control_of:
            continue
        for method in candidates:
            for seed in range(suite.tuning.seeds):
                trials.append(_trial(suite, cell, "tune", method, TUNING_SEED + seed))
    return trials


def final_trials(suite: Suite, selected: Mapping[Cell, Method]) -> list[Trial]:
    """The selected configuration of every cell on every final seed."""
    return [
        _trial(suite, cell, "final", selected[cell], seed) for cell in cells(suite) for seed in range(suite.final.seeds)
    ]


def _trial(suite: Suite, cell: Cell, stage: Stage, method: Method, seed: int) -> Trial:
    device, asked = suite.resources.device, suite.engine.name
    batch = min(cell.task.recipe.batch_size, training_size(cell.target_size))
    engine = choose(cell.task, batch, device, asked)
    return Trial(
        suite=suite.name,
        stage=stage,
        task=cell.task,
        facts=facts(cell.task),
        method=method,
        label=cell.entrant.label,
        target_size=cell.target_size,
        seed=seed,
        steps=suite.budget.steps,
        trial_seconds=suite.budget.trial_seconds,
        tuning_configs=len(configurations(cell.entrant.control_of or cell.entrant, suite.tuning.configs)),
        tuning_seeds=suite.tuning.seeds,
        engine=engine.name,
        engine_reason=engine.reason,
        source_engine=choose(cell.task, cell.task.recipe.batch_size, device, asked).name,
        sharding=suite.engine.sharding,
    )


def next_attempt(trial: Trial, attempt: int) -> Trial:
    """The same trial, to be committed as the attempt after `attempt`."""
    return dataclasses.replace(trial, attempt=attempt + 1)


def packs(trials: Iterable[Trial], slots: int = 1, device: str = "cpu") -> list[Pack]:
    """Trials that run on one worker, in plan order. No score depends on which trials share a pack.

    Plain trials: one stage, task, label and seed, which share source and prepared networks. Lanes: one stage, task and
    number of examples in a batch, since the objectives of several labels are often of one structure; in as many equal
    packs as keep `slots` workers busy and none above PACK_LANES. Sharded trials: each for itself.
    """
    groups: dict[object, list[Trial]] = {}
    for trial in trials:
        batch = min(trial.task.recipe.batch_size, training_size(trial.target_size))
        together = {"lanes": batch, "deepspeed": trial.key}.get(trial.engine, (trial.label, trial.seed))
        groups.setdefault((trial.stage, trial.task, trial.engine, together), []).append(trial)
    return [Pack("trials", part) for group in groups.values() for part in _parts(group, slots, PACK_LANES[device])]


def _parts(group: list[Trial], slots: int, most: int) -> Iterator[tuple[Trial, ...]]:
    """The group as it is, or in equal parts; as many as fill all slots equally often."""
    number = 1
    if group[0].engine == "lanes" and len(group) > most:
        number = -(-len(group) // (most * slots)) * slots
    for part in range(number):
        yield tuple(group[part * len(group) // number : (part + 1) * len(group) // number])


def source_packs(trials: Iterable[Trial], prepare: Iterable[Trial] = ()) -> list[Pack]:
    """The source models that the trials need: one pack each, or those of a task together where they are lanes.

    There the networks that the trials in `prepare` start from are prepared too, before two packs do it at a time.
    """
    first = {trial.source_key: trial for trial in reversed(list(trials)) if trial.method.pretrained}
    ahead: dict[str, dict[str, Trial]] = {}
    for trial in prepare:
        if trial.prepares and trial.source_engine in ("lanes", "deepspeed"):
            ahead.setdefault(trial.source_key, {}).setdefault(trial.prepare_key, trial)
    for key, prepared in ahead.items():
        first.setdefault(key, next(iter(prepared.values())))
    groups: dict[object, list[Trial]] = {}
    for key, trial in reversed(first.items()):
        together = (trial.task.name, trial.task.version) if trial.source_engine == "lanes" else key
        groups.setdefault(together, []).append(trial)
    most = PACK_LANES["cpu"]
    parts = [group[start : start + most] for group in groups.values() for start in range(0, len(group), most)]
    return [
        Pack("source", tuple(part), tuple(t for one in part for t in ahead.get(one.source_key, {}).values()))
        for part in parts
    ]
