"""What can be named: the built-in methods, tasks and suites, and those of installed packages."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import Any

from harness.catalogue import Catalogue, classes, suite_files
from harness.method import Method
from harness.plugins import check_facts
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


def _check_task(cls: Any, where: str) -> None:
    check_facts(cls, Task, where)
    check_task_class(cls, where)
