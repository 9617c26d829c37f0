"""Scanned digits under a changed domain: from upright to turned, to noisy, or to the negative.

An example: an image of 8 x 8 grey values on a canvas of 10 x 10, all of it turned by 45 degrees, label 7 (the digit).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from harness.task import Datasets, Examples, Recipe, Task, setting
from tasks.vision import CANVAS, IMAGE, accuracy, digit_network

SEED = 1999
CLASSES = 10
SOURCE_TRAIN, SOURCE_TEST, TARGET_POOL = 600, 200, 500
COPIES = 4
DEGREES, NOISE = 45.0, 0.4
"""Of the domains `rotated` and `noisy` at strength 1; at strength 1 `inverted` is the exact negative."""


@dataclass(frozen=True)
class DigitsNewDomain(Task):
    """Digits seen otherwise: what transfers is what makes a digit; the labels and the head stay the same.

    Data: the 1,797 real scanned digits that scikit-learn ships (Alpaydin and Kaynak, 1998, UCI), each put at a random
    but fixed place on a slightly larger canvas. Source: all ten classes as scanned, 600 images to train on, each at 4
    places, and 200 to test on. Target: other images in another `domain`, a pool of 500 and a test of 497, each at one
    place: `rotated`, turned by 45 * strength degrees with linear interpolation; `noisy`, with N(0, 0.4 * strength)
    added to each grey value; `inverted`, x + strength * (1 - 2x) for a grey value x, the hardest. Strength 0 is the
    source's domain. No image is in two splits. The metric is the accuracy.
    Shapes: inputs (examples, 1, 10, 10), float32, in [0, 1] where nothing was added; targets (examples,), int64. The
    network has two convolutions with GroupNorm, the maximum of each feature over the image, and a linear head.
    Anchors: 0.287 = scratch at n = 25, 0.853 = fine-tuning on the whole pool; means over ten seeds, 500 steps, engine
    lanes (standard errors 0.016 and 0.006).
    """

    name = "digits_new_domain"
    version = "1"
    metric = "accuracy"
    higher_is_better = True
    recipe = Recipe(learning_rate=2e-3, batch_size=16, schedule="cosine", source_steps=800)
    source_fields = ()

    domain: str = setting("rotated", options=("rotated", "noisy", "inverted"))
    strength: float = setting(1.0, low=0.0, high=10.0)

    def datasets(self) -> Datasets:
        from sklearn.datasets import load_digits  # slow to import, needed here only

        images, digits = load_digits(return_X_y=True)
        # RandomState, because its streams never change between versions of numpy.
        draw = np.random.RandomState(SEED)
        order = draw.permutation(len(digits))
        places = draw.randint(0, CANVAS - IMAGE + 1, (COPIES, len(digits), 2))

        def examples(rows: np.ndarray, copies: int = 1) -> tuple[np.ndarray, Tensor]:
            canvas = np.zeros((copies, len(rows), CANVAS, CANVAS))
            for copy, row in np.ndindex(copies, len(rows)):
                top, left = places[copy, rows[row]]
                picture = images[rows[row]].reshape(IMAGE, IMAGE) / 16
                canvas[copy, row, top : top + IMAGE, left : left + IMAGE] = picture
            labels = torch.from_numpy(np.tile(digits[rows], copies).astype(np.int64))
            return canvas.reshape(-1, CANVAS, CANVAS), labels

        source, target = np.split(order, [SOURCE_TRAIN + SOURCE_TEST])
        return Datasets(
            source_train=_as_tensors(*examples(source[:SOURCE_TRAIN], COPIES)),
            source_test=_as_tensors(*examples(source[SOURCE_TRAIN:])),
            target_pool=self._seen(*examples(target[:TARGET_POOL]), part=1),
            target_test=self._seen(*examples(target[TARGET_POOL:]), part=2),
        )

    def _seen(self, canvas: np.ndarray, labels: Tensor, part: int) -> Examples:
        """Images in the target's domain. Shapes: canvas (images, 10, 10), labels (images,)."""
        if self.domain == "inverted":
            canvas = canvas + self.strength * (1 - 2 * canvas)
        elif self.domain == "rotated":
            from scipy.ndimage import rotate

            canvas = rotate(canvas, DEGREES * self.strength, axes=(1, 2), reshape=False, order=1)
        else:
            noise = np.random.RandomState([SEED, part]).standard_normal(canvas.shape)
            canvas = canvas + NOISE * self.strength * noise
        return _as_tensors(canvas, labels)

    def network(self) -> nn.Module:
        return digit_network(CLASSES)

    def anchors(self) -> tuple[float, float] | None:
        return (0.287, 0.853) if self == DigitsNewDomain() else None

    @staticmethod
    def loss(network: nn.Module, batch: Examples) -> Tensor:
        return nn.functional.cross_entropy(network(batch["inputs"]), batch["targets"])

    @staticmethod
    def score(predictions: Tensor, examples: Examples) -> float:
        return accuracy(predictions, examples)


def _as_tensors(canvas: np.ndarray, labels: Tensor) -> Examples:
    return {"inputs": torch.from_numpy(canvas[:, None].astype(np.float32)), "targets": labels}
