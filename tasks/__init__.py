"""Tasks, one file per family. A task of another package joins by the entry point `pacbench.tasks`."""

from __future__ import annotations

from typing import Final

from harness.task import Task
from tasks.celeba import CelebA
from tasks.cifar import Cifar
from tasks.code_to_english import CodeToEnglish
from tasks.digits_new_classes import DigitsNewClasses
from tasks.digits_new_domain import DigitsNewDomain
from tasks.fair_affairs import FairAffairs
from tasks.fertility import Fertility
from tasks.friedman1 import Friedman1
from tasks.image_folder import ImageFolder
from tasks.photo_inpainting import PhotoInpainting
from tasks.rand_health import RandHealth
from tasks.shuffled_labels import ShuffledLabels
from tasks.unrelated_source import UnrelatedSource

TASKS: Final[dict[str, type[Task]]] = {
    "friedman1": Friedman1,
    "digits_new_classes": DigitsNewClasses,
    "digits_new_domain": DigitsNewDomain,
    "photo_inpainting": PhotoInpainting,
    "fair_affairs": FairAffairs,
    "rand_health": RandHealth,
    "fertility": Fertility,
    "code_to_english": CodeToEnglish,
    "shuffled_labels": ShuffledLabels,
    "unrelated_source": UnrelatedSource,
    "celeba": CelebA,
    "cifar": Cifar,
    "image_folder": ImageFolder,
}
