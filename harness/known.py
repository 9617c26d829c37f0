"""What can be named: the built-in methods, tasks and suites, and those of installed packages."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import Any

from harness import plan
from harness import suite as suites
from harness.catalogue import Catalogue, classes, suite_files
from harness.errors import UserError
from harness.method import Method
from harness.plugins import check_facts
from harness.suite import Suite
from harness.task import Task, check_task_class
from methods import METHODS
from tasks import TASKS


@functools.cache
def known_methods() -> Catalogue[type[Method]]:
    """Built-in methods and those of installed packages."""
    return classes("methods", METHODS, lambda cls, where: check_facts(cls, Method, where))


@functools.cache
def known_tasks() -> Catalogue[type[Task]]:
    """Built-in tasks and those of installed packages."""
    return classes("tasks", TASKS, _check_task)


@functools.cache
def known_suites() -> Catalogue[Path]:
    """The suite files that come with the program and with installed packages."""
    return suite_files()


def say_what_is_wrong(*catalogues: Catalogue[Any]) -> None:
    """Name every plug-in that is skipped, and every name that two packages claim, on stderr."""
    for catalogue in catalogues:
        for remark in catalogue.remarks():
            print(f"pacbench: {remark}", file=sys.stderr)


def suite_file(named: str) -> Path:
    """Where the suite of that name or path lies. Raises: UserError for an unknown name."""
    known = known_suites()
    if named.endswith(".toml") or "/" in named:
        return Path(named).expanduser().resolve()
    if named not in known:
        raise UserError(f"{known.missing(named)} (or give a path to a .toml file)")
    return known[named]


def load_suite(named: str, settings: list[str]) -> Suite:
    """The suite of that name or path, with `--set` settings applied. Raises: UserError."""
    say_what_is_wrong(known_methods(), known_tasks(), known_suites())
    path = suite_file(named)
    where = f"suite {named}" if named in known_suites() else str(path)
    suite = make_suite(suites.read_toml(path), where, path.parent, settings)
    for reason in suite.left_out:
        print(f"pacbench: {reason}", file=sys.stderr)
    return suite


def make_suite(raw: dict[str, Any], where: str, folder: Path, settings: list[str]) -> Suite:
    """The suite of a file's content, with `--set` settings applied to it in place. Raises: UserError."""
    suites.override(raw, settings)
    suite = suites.parse(raw, where, folder, known_methods(), known_tasks())
    plan.check(suite)
    return suite


def _check_task(cls: Any, where: str) -> None:
    check_facts(cls, Task, where)
    check_task_class(cls, where)
