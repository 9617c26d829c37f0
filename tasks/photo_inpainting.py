"""Filling in what is hidden of a photograph: from a Chinese palace to a flower.

An example: a square of 8 x 8 grey values, their visible mean taken off, of which the inner 2 x 2 are hidden (0);
targets: the 4 hidden values, (31.2, 28.9, -4.1, -11.0) grey levels from that mean.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from harness.task import Datasets, Examples, Recipe, Task, setting
from tasks.numerics import float32, rmse

SEED = 2006
PATCH = 8
HOLE = slice(3, 5)
TEXTURED = 2_000
"""Squares kept of each photograph's 4,240, those whose grey values vary most: the rest is sky, or out of focus."""
SOURCE_TRAIN, TARGET_POOL = 1_500, 1_000
LUMA = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue in a grey value (ITU-R BT.601)."""
SCALE = 32.0
"""Grey levels to one unit of the network's inputs and outputs."""


@dataclass(frozen=True)
class PhotoInpainting(Task):
    """Photographs: what transfers is how edges and surfaces go on across a gap of two pixels.

    Data: the two photographs of 427 x 640 pixels that scikit-learn ships, in grey, cut into squares of 8 x 8 that do
    not overlap; of each the 2,000 that vary most, in random order. Source: china.jpg, 1,500 to train on and 500 to test
    on. Target: flower.jpg, softer and round where the palace is straight, a pool of 1,000 and a test of 1,000; N(0,
    `noise`) grey levels are added to what is visible, not to what is asked for. The metric is the RMSE in grey levels
    (of 0 to 255) over the hidden pixels. Every pixel is in one split only.
    Shapes: inputs (examples, 1, 8, 8), targets (examples, 4), float32, both in grey levels from the visible mean. The
    network has two convolutions and a linear head: 8,900 parameters.
    Anchors: 15.71 = scratch at n = 25, 10.64 = fine-tuning on the whole pool; means over ten seeds, 500 steps, engine
    lanes (standard errors 0.24 and 0.09).
    """

    name = "photo_inpainting"
    version = "1"
    metric = "rmse"
    higher_is_better = False
    recipe = Recipe(learning_rate=1e-3, batch_size=16, schedule="cosine", source_steps=1500)
    source_fields = ()

    noise: float = setting(8.0, low=0.0, high=100.0)

    def datasets(self) -> Datasets:
        from sklearn.datasets import load_sample_image  # slow to import, needed here only

        draw = np.random.RandomState(SEED)
        palace, flower = (_squares(load_sample_image(name), draw) for name in ("china.jpg", "flower.jpg"))
        noise = self.noise * draw.standard_normal(flower.shape)
        return Datasets(
            source_train=_examples(palace[:SOURCE_TRAIN]),
            source_test=_examples(palace[SOURCE_TRAIN:]),
            target_pool=_examples(flower[:TARGET_POOL], noise[:TARGET_POOL]),
            target_test=_examples(flower[TARGET_POOL:], noise[TARGET_POOL:]),
        )

    def network(self) -> nn.Module:
        return nn.Sequential(
            OrderedDict(
                block1=nn.Sequential(nn.Conv2d(1, 16, 3), nn.ReLU()),
                block2=nn.Sequential(nn.Conv2d(16, 32, 4, stride=2), nn.ReLU()),
                flat=nn.Flatten(),
                head=nn.Linear(128, 4),
            )
        )

    def anchors(self) -> tuple[float, float] | None:
        return (15.71, 10.64) if self == PhotoInpainting() else None

    @staticmethod
    def loss(network: nn.Module, batch: Examples) -> Tensor:
        return nn.functional.mse_loss(network(batch["inputs"] / SCALE), batch["targets"] / SCALE)

    @staticmethod
    def predict(network: nn.Module, batch: Examples) -> Tensor:
        """The hidden grey levels, counted from the visible mean."""
        output: Tensor = network(batch["inputs"] / SCALE) * SCALE
        return output

    @staticmethod
    def score(predictions: Tensor, examples: Examples) -> float:
        return rmse(predictions, examples)


def _squares(photograph: np.ndarray, draw: np.random.RandomState) -> np.ndarray:
    """The most varied squares in random order. Shapes: photograph (height, width, 3), result (2000, 8, 8)."""
    grey = photograph @ LUMA
    down, across = grey.shape[0] // PATCH, grey.shape[1] // PATCH
    whole = grey[: down * PATCH, : across * PATCH].reshape(down, PATCH, across, PATCH)
    squares = whole.transpose(0, 2, 1, 3).reshape(-1, PATCH, PATCH)
    varied = np.argsort(-squares.std((1, 2)).round(6), kind="stable")[:TEXTURED]
    kept: np.ndarray = squares[varied[draw.permutation(TEXTURED)]]
    return kept


def _examples(squares: np.ndarray, noise: np.ndarray | float = 0.0) -> Examples:
    visible = np.ones((PATCH, PATCH), bool)
    visible[HOLE, HOLE] = False
    seen = np.where(visible, squares + noise, 0.0)
    mean = seen.sum((1, 2), keepdims=True) / visible.sum()
    inputs = np.where(visible, seen - mean, 0.0)[:, None]
    targets = (squares - mean)[:, HOLE, HOLE].reshape(len(squares), -1)
    return float32(inputs=inputs, targets=targets)
