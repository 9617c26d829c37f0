"""Suite: a TOML file becomes validated, frozen dataclasses. Unknown keys are refused, every message says where."""

from __future__ import annotations

import dataclasses
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from harness import hub, seeds
from harness.catalogue import Catalogue
from harness.errors import UserError, nearest
from harness.method import Method
from harness.plugins import from_file
from harness.prices import Prices, parse_prices
from harness.settings import Distribution, build, setting
from harness.sharding import Sharding
from harness.task import Task, check_task_class


@dataclass(frozen=True)
class Tuning:
    """configs: configurations per cell, the default among them; 1 is no search. seeds: seeds each is judged on."""

    configs: int = setting(4, low=1)
    seeds: int = setting(2, low=1)


@dataclass(frozen=True)
class Final:
    """seeds: fresh seeds of the selected configuration."""

    seeds: int = setting(5, low=1, high=10_000)


@dataclass(frozen=True)
class Budget:
    """steps: optimiser steps on the target. trial_seconds: time limit of a trial."""

    steps: int = setting(500, low=1, high=10**9)
    trial_seconds: float = setting(600.0, low=0.1, high=10**7)


@dataclass(frozen=True)
class Resources:
    """Of each pack; None: from task and engine."""

    cpus: float | None = setting(None, low=0.001)
    gpus: float | None = setting(None, low=0.0)
    memory_gb: float | None = setting(None, low=0.001)

    @property
    def device(self) -> str:
        """Where packs run: "cuda" if they get a share of a GPU, "cpu" otherwise."""
        return "cuda" if self.gpu_share > 0 else "cpu"

    @property
    def gpu_share(self) -> float:
        """GPUs of a pack: what is given, else one where this machine has any."""
        return self.gpus if self.gpus is not None else (1.0 if torch.cuda.is_available() else 0.0)


@dataclass(frozen=True)
class EngineChoice(Sharding):
    """auto lets a deterministic rule choose between plain and lanes. Everything else is the engine deepspeed's.

    checkpoint_steps: a training writes a checkpoint after every so many; 0: never. silent_seconds: a rank that lets the
    others wait so long is taken to hang.
    """

    name: str = setting("auto", options=("auto", "plain", "lanes", "deepspeed"))
    checkpoint_steps: int = setting(0, low=0, high=10**9)
    silent_seconds: float = setting(600.0, low=1.0, high=10**6)

    def __post_init__(self) -> None:
        """Raises: ValueError for settings that the engine does not have, or that exclude each other."""
        super().__post_init__()
        others = {f.name for f in dataclasses.fields(self) if getattr(self, f.name) != f.default} - {"name"}
        if others and self.name != "deepspeed":
            raise ValueError(f"{', '.join(sorted(others))}: only the engine 'deepspeed' has that, not {self.name!r}")

    @property
    def sharding(self) -> Sharding | None:
        """How deepspeed spreads a model; None for the other engines."""
        if self.name != "deepspeed":
            return None
        return Sharding(**{field.name: getattr(self, field.name) for field in dataclasses.fields(Sharding)})

    def words(self) -> str:
        """What it is, in a line."""
        if self.name != "deepspeed":
            return self.name
        parts = self.ranks * self.accumulation
        return (
            f"deepspeed: {self.ranks} ranks, ZeRO stage {self.zero_stage}, {self.precision}, batches in {parts} parts"
        )

    def settings(self) -> dict[str, object]:
        """By name, those that can change a number."""
        return {"name": self.name, **(dataclasses.asdict(self.sharding) if self.sharding else {})}


@dataclass(frozen=True)
class Entrant:
    """A method in a suite: its default configuration with the pinned hyper-parameters, and the label of its rows.

    control_of: the entrant whose selected configuration it takes, instead of a tuning of its own.
    """

    label: str
    method: Method
    pinned: frozenset[str] = frozenset()
    control_of: Entrant | None = None

    def like(self, selected: Method, where: str) -> Method:
        """This control's method with the hyper-parameters of `selected` that both have.

        What the suite pins stays, and what the control itself fixes (a field with one option).
        """
        mine = {field.name: field for field in dataclasses.fields(self.method)}
        fixed = {name for name, field in mine.items() if len(field.metadata.get("options", ())) == 1}
        shared = dataclasses.asdict(selected)
        taken = {name: shared[name] for name in mine if name in shared and name not in self.pinned | fixed}
        method: Method = build(type(self.method), dataclasses.asdict(self.method) | taken, where)
        return method


@dataclass(frozen=True)
class Suite:
    """A validated suite."""

    name: str
    tasks: tuple[Task, ...]
    entrants: tuple[Entrant, ...]
    target_sizes: tuple[int, ...]
    tuning: Tuning = field(default_factory=Tuning)
    final: Final = field(default_factory=Final)
    budget: Budget = field(default_factory=Budget)
    resources: Resources = field(default_factory=Resources)
    engine: EngineChoice = field(default_factory=EngineChoice)
    prices: Prices = field(default_factory=Prices)
    left_out: tuple[str, ...] = ()
    """Optional tasks whose folder was not given, and why."""


TABLES = {"tuning": Tuning, "final": Final, "budget": Budget, "resources": Resources, "engine": EngineChoice}
LISTS = ("tasks", "methods", "target_sizes")

DOTS = 1000
"""Of a line at most: the standard library takes minutes for keys of some ten thousand parts."""


def read_toml(path: Path) -> dict[str, Any]:
    """The file's content. Raises: UserError if it cannot be read or is not TOML."""
    try:
        text = path.read_text(encoding="utf-8")
        if max(map(len, (line.split(".") for line in text.split("\n")))) > DOTS:
            raise UserError(f"{path}: not a suite: a line with more than {DOTS} dots")
        return tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot read the suite ({error})") from error
    except RecursionError as error:
        raise UserError(f"{path}: not a suite: nested too deep") from error
    except ValueError as error:  # TOMLDecodeError, and numbers of too many digits
        raise UserError(f"{path}: not valid TOML: {error}") from error


def override(raw: dict[str, Any], settings: list[str]) -> None:
    """Apply `key=value` settings in place; keys are dotted paths, values TOML values or else plain text.

    Raises: UserError for a setting without `=` or a path through something that is not a table.
    """
    for given in settings:
        path, equals, text = given.partition("=")
        *tables, last = path.strip().split(".")
        if not equals or not last:
            raise UserError(f"--set {given}: expected key=value, for instance final.seeds=3")
        place = raw
        for table in tables:
            place = place.setdefault(table, {})
            if not isinstance(place, dict):
                raise UserError(f"--set {given}: {table!r} is not a table")
        try:
            place[last] = tomllib.loads(f"value = {text}")["value"]
        except (ValueError, RecursionError):
            place[last] = text.strip()


def parse(
    raw: Mapping[str, Any],
    where: str,
    folder: Path,
    methods: Catalogue[type[Method]],
    tasks: Catalogue[type[Task]],
) -> Suite:
    """A suite from its TOML content. Files named in it are relative to `folder`. Raises: UserError."""
    known = ("name", *LISTS, *TABLES, "prices")
    for key in raw:
        if key not in known:
            raise UserError(f"{where}: unknown key {key!r}; {nearest(key, known)}")
    name = raw.get("name")
    if not isinstance(name, str) or not name.strip():
        raise UserError(f"{where}: name = {name!r}; expected a text that names the suite")
    for key in LISTS:
        if not isinstance(raw.get(key), list) or not raw[key]:
            raise UserError(f"{where}: {key} = {raw.get(key)!r}; expected a list with at least one entry")
    tables: dict[str, Any] = {}
    for key, cls in TABLES.items():
        table = raw.get(key, {})
        if not isinstance(table, dict):
            raise UserError(f"{where}: {key} = {table!r}; expected a table [{key}]")
        tables[key] = build(cls, table, f"{where}: [{key}]")
    entrants = [_entrant(entry, f"{where}: methods[{i}]", folder, methods) for i, entry in enumerate(raw["methods"])]
    found = [_task(entry, f"{where}: tasks[{i}]", folder, tasks) for i, entry in enumerate(raw["tasks"])]
    suite = Suite(
        name=name,
        tasks=tuple(task for task in found if isinstance(task, Task)),
        left_out=tuple(reason for reason in found if isinstance(reason, str)),
        entrants=tuple(
            _as_control(entrant, asked, [one for one, _ in entrants], f"{where}: methods[{i}]")
            for i, (entrant, asked) in enumerate(entrants)
        ),
        target_sizes=tuple(_size(entry, f"{where}: target_sizes[{i}]") for i, entry in enumerate(raw["target_sizes"])),
        prices=parse_prices(raw.get("prices", {}), where),
        **tables,
    )
    if suite.engine.sharding and suite.resources.gpu_share not in (0, 1):
        raise UserError(f"{where}: [resources] gpus = {suite.resources.gpus:g}; expected 0 or 1 for each rank")
    if not suite.tasks:
        raise UserError(f"{where}: no task is left: {'; '.join(suite.left_out)}")
    _refuse_doubles([task.id for task in suite.tasks], f"{where}: tasks")
    _refuse_doubles([entrant.label for entrant in suite.entrants], f"{where}: methods (labels)")
    _refuse_doubles([str(size) for size in suite.target_sizes], f"{where}: target_sizes")
    return suite


def _named(
    entry: Any, where: str, folder: Path, known: Catalogue[type[Any]], base: type[Any]
) -> tuple[type[Any], dict[str, Any]]:
    """The class an entry names (a known name, or a path to a .py file) and the settings given with it."""
    given = {"name": entry} if isinstance(entry, str) else dict(entry) if isinstance(entry, dict) else {}
    name = given.pop("name", None)
    if not isinstance(name, str):
        raise UserError(f"{where} = {entry!r}; expected a name, or a table with a name")
    if name.endswith(".py"):
        return from_file(folder / name, base, where), given
    if name not in known:
        raise UserError(f"{where}: {known.missing(name)}")
    return known[name], given


def _task(entry: Any, where: str, folder: Path, known: Catalogue[type[Task]]) -> Task | str:
    """The task, or why an optional one is left out.

    In the place of its data `$NAME` is an environment variable, `hub:...` what `pacbench prefetch` fetched.
    """
    cls, given = _named(entry, where, folder, known, Task)
    check_task_class(cls, where)
    optional = given.pop("optional", False)
    if not isinstance(optional, bool):
        raise UserError(f"{where}: optional = {optional!r}; expected true or false")
    for place in (one.name for one in dataclasses.fields(cls) if one.metadata.get("place")):
        if isinstance(named := given.get(place), str):
            given[place] = os.path.expandvars(named)
            if "$" in given[place] or (named and not given[place]):
                reason = f"{place} = {named!r}: that environment variable is not set"
                if optional:
                    return f"task {cls.name} is left out ({reason})"
                raise UserError(f"{where}: {cls.name}: {reason}")
            if given[place].startswith(hub.PREFIX):
                try:
                    given[place] = hub.local(given[place])
                except UserError as error:
                    if optional:
                        return f"task {cls.name} is left out ({place} = {error})"
                    raise UserError(f"{where}: {cls.name}: {place} = {error}") from error
    task: Task = build(cls, given, f"{where}: {cls.name}")
    return task


def _entrant(entry: Any, where: str, folder: Path, known: Catalogue[type[Method]]) -> tuple[Entrant, object]:
    """The entrant, and what it says under `control_of`."""
    cls, given = _named(entry, where, folder, known, Method)
    label, asked = given.pop("label", cls.name), given.pop("control_of", None)
    if not isinstance(label, str) or not label.strip():
        raise UserError(f"{where}: label = {label!r}; expected a text")
    method: Method = build(cls, given, f"{where}: {cls.name}")
    _check_method(method, f"{where}: {cls.name}")
    for listed in (*cls.space, *(cls.prepare_fields or ())):
        if listed not in dataclasses.asdict(method):
            raise UserError(f"{where}: {cls.name} names {listed!r} in space or prepare_fields; it has no such field")
    return Entrant(label, method, frozenset(given)), asked


def _as_control(entrant: Entrant, asked: object, all_of_them: list[Entrant], where: str) -> Entrant:
    """A control with the entrant that it follows: the one of the label asked for, else the only one of its method."""
    name = entrant.method.control_of
    if name is None:
        if asked is not None:
            raise UserError(f"{where}: control_of = {asked!r}; {entrant.method.name} is no control of another method")
        return entrant
    base = {one.label: one for one in all_of_them if one.method.name == name}
    if asked is None and len(base) > 1:
        raise UserError(
            f"{where}: {entrant.label} is a control of {name}, which the suite holds as {', '.join(base)}; "
            'say which one with control_of = "LABEL"'
        )
    if asked is not None and asked not in base:
        held = ", ".join(base) or f"no {name} in this suite"
        raise UserError(f"{where}: control_of = {asked!r}; expected the label of a {name} of the suite ({held})")
    followed = base.get(asked) if isinstance(asked, str) else next(iter(base.values()), None)
    return dataclasses.replace(entrant, control_of=followed)


def _check_method(method: Method, where: str) -> None:
    """Raises: UserError if the search space is none, or the hyper-parameters cannot be hashed or written as JSON."""
    space = method.space
    if not isinstance(space, Mapping) or not all(isinstance(item, Distribution) for item in space.values()):
        raise UserError(f"{where}: space = {space!r}; expected a dict of LogUniform, Uniform or Choice by field name")
    try:
        hash(method)
        seeds.canonical(dataclasses.asdict(method))
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}: hyper-parameters must be numbers, texts or tuples of them ({error})") from error


def _size(entry: Any, where: str) -> int:
    if type(entry) is not int or entry < 1:
        raise UserError(f"{where} = {entry!r}; expected a whole number of examples, at least 5")
    return entry


def _refuse_doubles(names: list[str], where: str) -> None:
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise UserError(f"{where}: {', '.join(doubled)} more than once; give each its own (methods: by label)")
