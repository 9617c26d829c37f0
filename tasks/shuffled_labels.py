"""Negative control: scanned digits whose target labels say nothing about the images.

An example: an image of 8 x 8 grey values in [0, 1] somewhere on a canvas of 10 x 10, label 2 (of 0..4, at random).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from harness.task import Datasets, Examples, Recipe, Task
from tasks.vision import DIGIT_FEATURES, digit_network, on_canvas

SEED = 1935
CLASSES = 5
SOURCE_TRAIN, TARGET_POOL = 600, 490
COPIES = 4


@dataclass(frozen=True)
class ShuffledLabels(Task):
    """Shuffled target labels: nothing can transfer, because there is nothing to learn.

    Data: the 1,797 real scanned digits that scikit-learn ships (Alpaydin and Kaynak, 1998, UCI), each put at a random
    but fixed place on a slightly larger canvas. Source: classes 0-4 with their true labels, 600 images to train on,
    each at 4 places, and 301 to test on. Target: images of the classes 5-9, a pool of 490 and a test of 406, whose
    labels 0-4 are shuffled within pool and test. The metric is the log loss in nats per image: the constant predictor
    of equal odds scores log 5 = 1.609 on any labels, and whoever beats it has seen what must not be seen. A method
    scores worse by how surely it says what it learned by heart.
    Shapes: inputs (examples, 1, 10, 10), float32 in [0, 1]; targets (examples,), int64. The network has two
    convolutions with GroupNorm, the maximum of each feature over the image, and a linear head: 3,945 parameters.
    Anchors: none, since a negative control enters no average.
    """

    name = "shuffled_labels"
    version = "1"
    metric = "log_loss"
    higher_is_better = False
    negative_control = True
    recipe = Recipe(learning_rate=2e-3, batch_size=16, schedule="cosine", source_steps=600)

    def datasets(self) -> Datasets:
        from sklearn.datasets import load_digits  # slow to import, needed here only

        images, digits = load_digits(return_X_y=True)
        # RandomState, because its streams never change between versions of numpy.
        draw = np.random.RandomState(SEED)
        order = draw.permutation(len(digits))
        source, target = order[digits[order] < CLASSES], order[digits[order] >= CLASSES]

        def examples(rows: np.ndarray, shuffled: bool) -> Examples:
            canvas = on_canvas(images[rows], draw)
            labels = digits[draw.permutation(rows) if shuffled else rows].astype(np.int64) % CLASSES
            return {"inputs": torch.from_numpy(canvas), "targets": torch.from_numpy(labels)}

        return Datasets(
            source_train=examples(np.tile(source[:SOURCE_TRAIN], COPIES), shuffled=False),
            source_test=examples(source[SOURCE_TRAIN:], shuffled=False),
            target_pool=examples(target[:TARGET_POOL], shuffled=True),
            target_test=examples(target[TARGET_POOL:], shuffled=True),
        )

    def network(self) -> nn.Module:
        return digit_network(CLASSES)

    def new_head(self) -> nn.Module:
        return nn.Linear(DIGIT_FEATURES, CLASSES)

    @staticmethod
    def loss(network: nn.Module, batch: Examples) -> Tensor:
        return nn.functional.cross_entropy(network(batch["inputs"]), batch["targets"])

    @staticmethod
    def score(predictions: Tensor, examples: Examples) -> float:
        return float(nn.functional.cross_entropy(predictions.double(), examples["targets"]))
