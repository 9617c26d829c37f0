"""Tasks, one file per family. A task of another package joins by the entry point `pacbench.tasks`."""

from __future__ import annotations

from typing import Final

from harness.task import Task
from tasks.allen_cahn import AllenCahn
from tasks.burgers import Burgers
from tasks.digits_new_classes import DigitsNewClasses
from tasks.fair_affairs import FairAffairs
from tasks.friedman1 import Friedman1
from tasks.friedman2 import Friedman2
from tasks.friedman3 import Friedman3
from tasks.helmholtz import Helmholtz
from tasks.lotka_volterra import LotkaVolterra
from tasks.pendulum import DampedPendulum
from tasks.van_der_pol import VanDerPol

TASKS: Final[dict[str, type[Task]]] = {
    "friedman1": Friedman1,
    "friedman2": Friedman2,
    "friedman3": Friedman3,
    "damped_pendulum": DampedPendulum,
    "lotka_volterra": LotkaVolterra,
    "van_der_pol": VanDerPol,
    "burgers": Burgers,
    "allen_cahn": AllenCahn,
    "helmholtz": Helmholtz,
    "digits_new_classes": DigitsNewClasses,
    "fair_affairs": FairAffairs,
}
