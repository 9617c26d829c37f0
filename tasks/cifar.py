"""Small photographs with new classes: from one half of CIFAR's classes to the other. The data are the user's own copy.

An example: a photograph of 32 x 32 pixels, red, green and blue, label 2 (class 2 in the source, 7 in the target).
"""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from harness.errors import UserError
from harness.images import data_folder
from harness.task import Datasets, Examples, Recipe, Task, place, setting
from tasks.vision import PHOTO_FEATURES, accuracy, grey_is_0, photo_network

SIDE = 32
PIXELS = 3 * SIDE * SIDE
CLASSES = {"cifar10": 10, "cifar100": 100}
FILES = {
    "cifar10": ([f"data_batch_{number}" for number in range(1, 6)], ["test_batch"]),
    "cifar100": (["train"], ["test"]),
}
EXPECTED = {
    "cifar10": "CIFAR-10: data_batch_1 to data_batch_5 and test_batch lie in it, as Python or .bin files",
    "cifar100": "CIFAR-100: train and test lie in it, as Python or .bin files",
}
ALLOWED = frozenset(
    [("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")]
    + [(f"numpy.{core}.multiarray", "_reconstruct") for core in ("core", "_core")]
)
"""All that the published pickles name: arrays of numbers."""


@dataclass(frozen=True)
class Cifar(Task):
    """CIFAR: what transfers is what objects are made of; the labels are new, and so is the head.

    Data: read from `folder` as published (Krizhevsky, 2009), the Python or the binary version; pickles are read by a
    reader that can make arrays and plain values and nothing else. Source: the lower half of the class numbers (of
    CIFAR-100's fine labels), training and test files. Target: the upper half, with the labels counted from 0 again; the
    pool is from the training files, the test from the test file. The metric is the accuracy.
    Shapes: inputs (examples, 3, 32, 32), uint8; targets (examples,), int64. The network has three convolutions with
    GroupNorm, the mean of each feature over the image, and a linear head.
    Anchors: none; measure them on your copy.
    """

    name = "cifar"
    version = "1"
    metric = "accuracy"
    higher_is_better = True
    recipe = Recipe(learning_rate=1e-3, batch_size=32, schedule="cosine", source_steps=3000)

    folder: str = place()
    dataset: str = setting("cifar10", options=tuple(CLASSES))

    def datasets(self) -> Datasets:
        folder = data_folder(self.folder, EXPECTED[self.dataset])
        (train, train_labels), (test, test_labels) = (
            _images_and_labels(folder, names, self.dataset) for names in FILES[self.dataset]
        )
        half = CLASSES[self.dataset] // 2

        def examples(images: np.ndarray, labels: np.ndarray, upper: bool) -> Examples:
            chosen = (labels >= half) == upper
            if not chosen.any():
                raise UserError(f"folder = {self.folder!r}: no image of the {'upper' if upper else 'lower'} classes")
            return {"inputs": torch.from_numpy(images[chosen]), "targets": torch.from_numpy(labels[chosen] % half)}

        return Datasets(
            source_train=examples(train, train_labels, upper=False),
            source_test=examples(test, test_labels, upper=False),
            target_pool=examples(train, train_labels, upper=True),
            target_test=examples(test, test_labels, upper=True),
        )

    def network(self) -> nn.Module:
        return photo_network(CLASSES[self.dataset] // 2)

    def new_head(self) -> nn.Module:
        return nn.Linear(PHOTO_FEATURES, CLASSES[self.dataset] // 2)

    @staticmethod
    def loss(network: nn.Module, batch: Examples) -> Tensor:
        return nn.functional.cross_entropy(Cifar.predict(network, batch), batch["targets"])

    @staticmethod
    def predict(network: nn.Module, batch: Examples) -> Tensor:
        output: Tensor = network(grey_is_0(batch))
        return output

    @staticmethod
    def score(predictions: Tensor, examples: Examples) -> float:
        return accuracy(predictions, examples)


class PlainPickle(pickle.Unpickler):
    """Reads arrays of numbers and plain values; whatever else a pickle asks for is refused, not run."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which data do not need")
        return super().find_class(module.replace("numpy.core.", "numpy._core."), name)  # as numpy 2 calls it


def _images_and_labels(folder: Path, names: list[str], dataset: str) -> tuple[np.ndarray, np.ndarray]:
    """Shapes: (images, 3, 32, 32), uint8, and (images,), int64. Raises: UserError."""
    parts = [_read(folder / name, dataset) for name in names]
    images, labels = (np.concatenate(part) for part in zip(*parts, strict=True))
    if not ((labels >= 0) & (labels < CLASSES[dataset])).all():
        raise UserError(f"folder = {str(folder)!r}: a label is not below {CLASSES[dataset]}; is it {dataset}?")
    return images.reshape(-1, 3, SIDE, SIDE), labels


def _read(path: Path, dataset: str) -> tuple[np.ndarray, np.ndarray]:
    binary = path.with_name(f"{path.name}.bin")
    try:
        if binary.exists():
            ahead = 1 if dataset == "cifar10" else 2  # CIFAR-100 has the coarse label before the fine one
            rows = np.fromfile(binary, np.uint8).reshape(-1, ahead + PIXELS)
            return rows[:, ahead:].copy(), rows[:, ahead - 1].astype(np.int64)
        held = PlainPickle(io.BytesIO(path.read_bytes()), encoding="bytes").load()
        labels = np.array(held[b"labels" if dataset == "cifar10" else b"fine_labels"], np.int64)
        images = np.asarray(held[b"data"])
        if images.dtype != np.uint8 or images.shape != (len(labels), PIXELS):
            raise ValueError(f"its data are {images.dtype} of shape {images.shape}")
        return images, labels
    except Exception as error:  # a foreign pickle can raise anything
        given = path if not binary.exists() else binary
        raise UserError(
            f"{given}: cannot be read ({type(error).__name__}: {error}); expected {EXPECTED[dataset]}"
        ) from error
