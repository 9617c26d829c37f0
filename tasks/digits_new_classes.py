"""Scanned digits with new classes: from telling 0-4 apart to telling 5-9 apart.

An example: an image of 8 x 8 grey values in [0, 1] somewhere on a canvas of 10 x 10, label 2 (of 0..4: the digit 2 in
the source, 7 in the target).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from harness.task import Datasets, Examples, Recipe, Task
from tasks.vision import DIGIT_FEATURES, accuracy, digit_network, on_canvas

SEED = 1998
CLASSES = 5
SOURCE_TRAIN, TARGET_POOL = 600, 490
COPIES = 4


@dataclass(frozen=True)
class DigitsNewClasses(Task):
    """Digits: what transfers is strokes wherever they lie; the labels are new, and so is the head.

    Data: the 1,797 real scanned digits that scikit-learn ships (Alpaydin and Kaynak, 1998, UCI), each put at a random
    but fixed place on a slightly larger canvas. Without that, five classes of 8 x 8 pixels are so easy that a source
    model is worth little (measured: 0.80 against 0.78 from scratch at n = 25). Source: classes 0-4, 600 images to train
    on, each at 4 places, and 301 to test on. Target: classes 5-9 as labels 0-4, a pool of 490 images and a test of 406,
    each at one place. No image is in two splits. The metric is the accuracy.
    Shapes: inputs (examples, 1, 10, 10), float32 in [0, 1]; targets (examples,), int64. The network has two
    convolutions with GroupNorm, the maximum of each feature over the image, and a linear head: 3,945 parameters.
    Anchors: 0.509 = scratch at n = 25, 0.953 = fine-tuning on the whole pool; means over twenty seeds, 500 steps,
    engine lanes (standard errors 0.010 and 0.001).
    """

    name = "digits_new_classes"
    version = "2"
    metric = "accuracy"
    higher_is_better = True
    recipe = Recipe(learning_rate=2e-3, batch_size=16, schedule="cosine", source_steps=600)

    def datasets(self) -> Datasets:
        from sklearn.datasets import load_digits  # slow to import, needed here only

        images, digits = load_digits(return_X_y=True)
        # RandomState, because its streams never change between versions of numpy.
        draw = np.random.RandomState(SEED)
        order = draw.permutation(len(digits))
        source, target = order[digits[order] < CLASSES], order[digits[order] >= CLASSES]

        def examples(rows: np.ndarray) -> Examples:
            labels = digits[rows].astype(np.int64) % CLASSES
            return {"inputs": torch.from_numpy(on_canvas(images[rows], draw)), "targets": torch.from_numpy(labels)}

        return Datasets(
            source_train=examples(np.tile(source[:SOURCE_TRAIN], COPIES)),
            source_test=examples(source[SOURCE_TRAIN:]),
            target_pool=examples(target[:TARGET_POOL]),
            target_test=examples(target[TARGET_POOL:]),
        )

    def network(self) -> nn.Module:
        return digit_network(CLASSES)

    def new_head(self) -> nn.Module:
        return nn.Linear(DIGIT_FEATURES, CLASSES)

    def anchors(self) -> tuple[float, float] | None:
        return 0.509, 0.953

    @staticmethod
    def loss(network: nn.Module, batch: Examples) -> Tensor:
        return nn.functional.cross_entropy(network(batch["inputs"]), batch["targets"])

    @staticmethod
    def score(predictions: Tensor, examples: Examples) -> float:
        return accuracy(predictions, examples)
