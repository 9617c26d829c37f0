"""Tasks, one file per family. A task of another package joins by the entry point `pacbench.tasks`."""

from __future__ import annotations

from typing import Final

from harness.task import Task
from tasks.digits_new_classes import DigitsNewClasses
from tasks.fair_affairs import FairAffairs
from tasks.friedman1 import Friedman1

TASKS: Final[dict[str, type[Task]]] = {task.name: task for task in (Friedman1, DigitsNewClasses, FairAffairs)}
