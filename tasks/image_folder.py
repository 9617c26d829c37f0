"""Pictures in folders: from one domain to another. The data are the user's own.

An example: folder/art/dog/picture_12.png as 32 x 32 pixels, red, green and blue, label 1: the second class by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from harness.errors import UserError
from harness.images import SUFFIXES, data_folder, read_images
from harness.task import Datasets, Examples, Recipe, Task, place, setting
from tasks.vision import PHOTO_FEATURES, accuracy, grey_is_0, photo_network

SEED = 2010
EXPECTED = "domains, each a folder of classes, each a folder of pictures"


@dataclass(frozen=True)
class ImageFolder(Task):
    """Folders of pictures: what transfers depends on the data; where both domains have the same classes, the head too.

    Data: folder/DOMAIN/CLASS/PICTURE, at any depth below CLASS, as many collections of domains are laid out. `source`
    and `target` name two domains; `dataset` names the data in tables. Of the source four fifths are to train on and a
    fifth to test on, of the target half is the pool and half the test, drawn once from all pictures in the order of
    their paths. The metric is the accuracy.
    Shapes: inputs (examples, 3, size, size), uint8, the largest square in the picture's middle; targets (examples,),
    int64, classes in the order of their names. The network has three convolutions with GroupNorm, the mean of each
    feature over the image, and a linear head.
    Anchors: none; measure them on your data.
    """

    name = "image_folder"
    version = "1"
    metric = "accuracy"
    higher_is_better = True
    recipe = Recipe(learning_rate=1e-3, batch_size=32, schedule="cosine", source_steps=2000)
    source_fields = ("dataset", "source", "size")

    folder: str = place()
    dataset: str = setting("images")
    source: str = setting("source")
    target: str = setting("target")
    size: int = setting(32, low=16, high=512)

    def datasets(self) -> Datasets:
        source, target = self._pictures(self.source), self._pictures(self.target)
        known, asked = 4 * len(source) // 5, len(target) // 2
        return Datasets(
            source_train=self._examples(source[:known], self.source),
            source_test=self._examples(source[known:], self.source),
            target_pool=self._examples(target[:asked], self.target),
            target_test=self._examples(target[asked:], self.target),
        )

    def _domain(self, name: str) -> Path:
        domain = data_folder(self.folder, EXPECTED) / name
        if not name or not domain.is_dir():
            raise UserError(f"folder = {self.folder!r} has no domain {name!r}; expected {EXPECTED}")
        return domain

    def _classes(self, name: str) -> list[str]:
        classes = sorted(path.name for path in self._domain(name).iterdir() if path.is_dir())
        if len(classes) < 2:
            raise UserError(f"{self._domain(name)}: {len(classes)} classes; expected at least 2 folders of pictures")
        return classes

    def _pictures(self, name: str) -> list[Path]:
        """All pictures of a domain in an order drawn once."""
        domain, found = self._domain(name), []
        for kind in self._classes(name):
            files = sorted(path for path in (domain / kind).rglob("*") if path.suffix.lower() in SUFFIXES)
            if not files:
                raise UserError(f"{domain / kind}: no picture; expected files ending in {', '.join(sorted(SUFFIXES))}")
            found += files
        # RandomState, because its streams never change between versions of numpy.
        return [found[place] for place in np.random.RandomState(SEED).permutation(len(found))]

    def _examples(self, pictures: list[Path], name: str) -> Examples:
        domain, classes = self._domain(name), self._classes(name)
        labels = [classes.index(path.relative_to(domain).parts[0]) for path in pictures]
        return {"inputs": read_images(pictures, self.size), "targets": torch.tensor(labels)}

    def network(self) -> nn.Module:
        return photo_network(len(self._classes(self.source)))

    def new_head(self) -> nn.Module | None:
        classes = self._classes(self.target)
        return None if classes == self._classes(self.source) else nn.Linear(PHOTO_FEATURES, len(classes))

    @staticmethod
    def loss(network: nn.Module, batch: Examples) -> Tensor:
        return nn.functional.cross_entropy(ImageFolder.predict(network, batch), batch["targets"])

    @staticmethod
    def predict(network: nn.Module, batch: Examples) -> Tensor:
        output: Tensor = network(grey_is_0(batch))
        return output

    @staticmethod
    def score(predictions: Tensor, examples: Examples) -> float:
        return accuracy(predictions, examples)
