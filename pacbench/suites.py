"""A suite from its name, its file, or a dictionary of what a suite file holds."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from rich.console import Console

from harness.errors import UserError
from pacbench import show, toml

if TYPE_CHECKING:
    from harness import suite as suites

Given: TypeAlias = "str | os.PathLike[str] | Mapping[str, Any] | Suite"
"""A name of `pacbench list suites`, a TOML file, what such a file would hold, or a suite that was made before."""


@dataclass(frozen=True, repr=False)
class Suite:
    """A suite that was found valid. ``tasks`` are their ids, ``methods`` the labels.

    ``left_out`` says which optional tasks are not in it and why.
    """

    name: str
    tasks: tuple[str, ...]
    methods: tuple[str, ...]
    target_sizes: tuple[int, ...]
    tuning_configs: int
    tuning_seeds: int
    final_seeds: int
    steps: int
    left_out: tuple[str, ...]
    parsed: suites.Suite = field(compare=False)
    """As the harness knows it."""
    given: str | dict[str, Any] = field(compare=False)
    settings: tuple[str, ...] = field(compare=False)
    """As `--set` takes them."""

    def _pairs(self) -> list[tuple[str, object]]:
        tuning = f"{self.tuning_configs} configurations on {self.tuning_seeds} seeds"
        pairs: list[tuple[str, object]] = [
            ("tasks", ", ".join(self.tasks)),
            ("methods", ", ".join(self.methods)),
            ("target sizes", ", ".join(map(str, self.target_sizes))),
            ("tuning", tuning if self.tuning_configs > 1 else "the defaults, no search"),
            ("final seeds", self.final_seeds),
            ("steps", self.steps),
        ]
        return pairs + [("left out", reason) for reason in self.left_out]

    def __repr__(self) -> str:
        return show.text(self._draw)

    def _draw(self, console: Console) -> None:
        console.print(f"suite {self.name}", markup=False)
        for word, value in self._pairs():
            console.print(f"{word:<13}{value}", markup=False)

    def _repr_html_(self) -> str:
        return show.page(show.bold(f"suite {self.name}"), show.facts(self._pairs()))


def suite(given: Given, settings: Mapping[str, object] | None = None) -> Suite:
    """A validated suite. Files that a dictionary names are relative to the current folder.

    ``settings`` override it by dotted keys, as in {"final.seeds": 3}. Raises: UserError that says where, what was given
    and what was expected.
    """
    from harness import suite as suites
    from harness.known import known_suites, make_suite, suite_file  # torch, and all tasks and methods

    given, overrides = named(given, settings)
    if isinstance(given, str):
        path = suite_file(given)
        raw, folder = suites.read_toml(path), path.parent
        where = f"suite {given}" if given in known_suites() else str(path)
    else:
        raw, folder, where = deepcopy(given), Path.cwd(), f"suite {given.get('name')!r}"
    parsed = make_suite(raw, where, folder, list(overrides))
    return Suite(
        name=parsed.name,
        tasks=tuple(task.id for task in parsed.tasks),
        methods=tuple(entrant.label for entrant in parsed.entrants),
        target_sizes=parsed.target_sizes,
        tuning_configs=parsed.tuning.configs,
        tuning_seeds=parsed.tuning.seeds,
        final_seeds=parsed.final.seeds,
        steps=parsed.budget.steps,
        left_out=parsed.left_out,
        parsed=parsed,
        given=given,
        settings=overrides,
    )


def named(given: Given, settings: Mapping[str, object] | None = None) -> tuple[str | dict[str, Any], tuple[str, ...]]:
    """A name or path as text, or a dictionary with the files of methods and tasks made absolute; and its settings.

    Raises: UserError.
    """
    if settings is not None and not isinstance(settings, Mapping):
        raise UserError(f"settings {settings!r}: expected a dictionary, as in {{'final.seeds': 3}}")
    overrides = tuple(f"{key}={toml.value(value, key)}" for key, value in (settings or {}).items())
    if isinstance(given, Suite):
        return given.given, (*given.settings, *overrides)
    if isinstance(given, str | os.PathLike):
        return os.fspath(given), overrides
    whole = tomllib.loads(toml.document(given))
    for part in ("tasks", "methods"):
        if isinstance(listed := whole.get(part), list):
            whole[part] = [_absolute(entry) for entry in listed]
    return whole, overrides


def _absolute(entry: Any) -> Any:
    if isinstance(entry, dict) and "name" in entry:
        return {**entry, "name": _absolute(entry["name"])}
    return str(Path.cwd() / entry) if isinstance(entry, str) and entry.endswith(".py") else entry
