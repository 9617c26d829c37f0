"""What tasks of vision share: two small networks of convolutions, digits put on a canvas, and the accuracy."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
from torch import Tensor, nn

from harness.task import Examples

IMAGE, CANVAS = 8, 10
"""Pixels along a side of a scanned digit, and of the canvas that it lies on."""
DIGIT_FEATURES, PHOTO_FEATURES = 32, 64
"""What the head of each network reads."""


def digit_network(classes: int) -> nn.Sequential:
    """Two convolutions with GroupNorm, the maximum of each feature over the image, and a linear head.

    Shapes: (images, 1, CANVAS, CANVAS) to (images, classes).
    """
    return nn.Sequential(
        OrderedDict(
            block1=_block(1, 12, groups=4, kernel=4, stride=2),
            block2=_block(12, DIGIT_FEATURES, groups=4, kernel=3, stride=1),
            anywhere=nn.Sequential(nn.MaxPool2d(2), nn.Flatten()),
            head=nn.Linear(DIGIT_FEATURES, classes),
        )
    )


def photo_network(classes: int) -> nn.Sequential:
    """Three convolutions with GroupNorm, the mean of each feature over the image, and a linear head.

    Shapes: (images, 3, side, side) to (images, classes).
    """
    return nn.Sequential(
        OrderedDict(
            block1=_block(3, 16, groups=8, kernel=3, stride=2, padding=1),
            block2=_block(16, 32, groups=8, kernel=3, stride=2, padding=1),
            block3=_block(32, PHOTO_FEATURES, groups=8, kernel=3, stride=2, padding=1),
            pool=nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
            head=nn.Linear(PHOTO_FEATURES, classes),
        )
    )


def on_canvas(images: np.ndarray, draw: np.random.RandomState) -> np.ndarray:
    """Scanned digits as grey values in [0, 1], each at a random place of its canvas.

    Shapes: images (images, 64), from 0 to 16; result (images, 1, CANVAS, CANVAS), float32.
    """
    canvas = np.zeros((len(images), 1, CANVAS, CANVAS), np.float32)
    corners = draw.randint(0, CANVAS - IMAGE + 1, (len(images), 2))
    for place, image, (top, left) in zip(canvas, images, corners, strict=True):
        place[0, top : top + IMAGE, left : left + IMAGE] = image.reshape(IMAGE, IMAGE) / 16
    return canvas


def grey_is_0(batch: Examples) -> Tensor:
    """Bytes 0 to 255 as numbers from -1 to 1. Shapes: those of the inputs."""
    return batch["inputs"].float() / 127.5 - 1


def accuracy(predictions: Tensor, examples: Examples) -> float:
    """The share of examples whose largest logit is their class's. Shapes: predictions (examples, classes)."""
    return float((predictions.argmax(1) == examples["targets"]).double().mean())


def _block(inputs: int, outputs: int, *, groups: int, kernel: int, stride: int, padding: int = 0) -> nn.Module:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=padding)
    return nn.Sequential(convolution, nn.GroupNorm(groups, outputs), nn.ReLU())
