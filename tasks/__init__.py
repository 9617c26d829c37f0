"""Tasks, one file per family. A task of another package joins by the entry point `pacbench.tasks`."""

from __future__ import annotations

from typing import Final

from harness.task import Task
from tasks.allen_cahn import AllenCahn
from tasks.burgers import Burgers
from tasks.celeba import CelebA
from tasks.cifar import Cifar
from tasks.code_to_english import CodeToEnglish
from tasks.digits_new_classes import DigitsNewClasses
from tasks.digits_new_domain import DigitsNewDomain
from tasks.fair_affairs import FairAffairs
from tasks.fertility import Fertility
from tasks.friedman1 import Friedman1
from tasks.friedman2 import Friedman2
from tasks.friedman3 import Friedman3
from tasks.helmholtz import Helmholtz
from tasks.image_classification import ImageClassification
from tasks.image_folder import ImageFolder
from tasks.language_modelling import LanguageModelling
from tasks.lotka_volterra import LotkaVolterra
from tasks.pendulum import DampedPendulum
from tasks.photo_inpainting import PhotoInpainting
from tasks.rand_health import RandHealth
from tasks.shuffled_labels import ShuffledLabels
from tasks.text_classification import TextClassification
from tasks.tiny_transformers import TinyImageClassifier, TinyLanguageModel, TinyTextClassifier
from tasks.unrelated_source import UnrelatedSource
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
    "text_classification": TextClassification,
    "language_modelling": LanguageModelling,
    "image_classification": ImageClassification,
    "tiny_language_model": TinyLanguageModel,
    "tiny_text_classifier": TinyTextClassifier,
    "tiny_image_classifier": TinyImageClassifier,
}
