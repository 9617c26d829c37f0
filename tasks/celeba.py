"""Attributes of faces: from the first twenty of CelebA to the other twenty. The data are the user's own copy.

An example: a face of 32 x 32 pixels, red, green and blue; targets: 20 numbers, 1 where it has the attribute, else 0.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from harness.errors import UserError
from harness.images import data_folder, read_images
from harness.task import Datasets, Examples, Recipe, Task, place, setting
from tasks.vision import grey_is_0

ATTRIBUTES = 40
HALF = ATTRIBUTES // 2
EXPECTED = "CelebA: list_attr_celeba.txt, list_eval_partition.txt and img_align_celeba/ lie in it"


@dataclass(frozen=True)
class CelebA(Task):
    """CelebA: what transfers is what faces look like; the attributes are new, and so is the head.

    Data: read from `folder` as published (Liu and others, 2015): the pictures in img_align_celeba/, the attributes in
    list_attr_celeba.txt, the parts in list_eval_partition.txt (0 training, 1 validation, 2 test; no person is in two).
    Source: the first 20 attributes in the file's order, on `images` pictures of the training part and, to test, the
    tenth as many that follow. Target: the other 20; the pool is from the validation part, the test from the test part,
    a fifth of `images` each. Which attributes the paper of PAC took is not known. The metric is the accuracy over all
    pictures and attributes.
    Shapes: inputs (examples, 3, size, size), uint8; targets (examples, 20), float32. `network`: "small" has three
    convolutions; "resnet18" is the paper's (He and others, 2016), with GroupNorm for BatchNorm.
    Anchors: none; measure them on your copy.
    """

    name = "celeba"
    version = "1"
    metric = "accuracy"
    higher_is_better = True
    recipe = Recipe(learning_rate=1e-3, batch_size=32, schedule="cosine", source_steps=3000)

    folder: str = place()
    images: int = setting(10_000, low=10, high=162_770)
    size: int = setting(32, low=16, high=178)
    network_size: str = setting("small", options=("small", "resnet18"))

    def datasets(self) -> Datasets:
        folder = data_folder(self.folder, EXPECTED)
        attributes, parts = _table(folder / "list_attr_celeba.txt"), _table(folder / "list_eval_partition.txt")
        if any(len(values) != ATTRIBUTES for values in attributes.values()):
            raise UserError(f"{folder / 'list_attr_celeba.txt'}: expected {ATTRIBUTES} attributes for every picture")
        names = [[n for n in sorted(parts) if parts[n] == [part] and n in attributes] for part in (0, 1, 2)]
        if len(names[0]) < 2 or not all(names):
            raise UserError(f"{folder / 'list_eval_partition.txt'}: expected pictures of each of the parts 0, 1 and 2")
        tested, fifth = -(-self.images // 10), -(-self.images // 5)
        train = names[0][: min(self.images, len(names[0]) - 1)]

        def examples(chosen: list[str], half: slice) -> Examples:
            given = np.array([attributes[name][half] for name in chosen])
            pictures = read_images((folder / "img_align_celeba" / name for name in chosen), self.size)
            return {"inputs": pictures, "targets": torch.from_numpy((given > 0).astype(np.float32))}

        first, second = slice(0, HALF), slice(HALF, ATTRIBUTES)
        return Datasets(
            source_train=examples(train, first),
            source_test=examples(names[0][len(train) : len(train) + tested], first),
            target_pool=examples(names[1][:fifth], second),
            target_test=examples(names[2][:fifth], second),
        )

    def network(self) -> nn.Module:
        if self.network_size == "small":
            widths = (3, 16, 32, 64)
            blocks = [nn.Sequential(*_norm(a, b, stride=2), nn.ReLU()) for a, b in itertools.pairwise(widths)]
        else:
            blocks = [nn.Sequential(*_norm(3, 64, stride=2), nn.ReLU(), nn.MaxPool2d(3, 2, 1))]
            for inputs, outputs in ((64, 64), (64, 128), (128, 256), (256, 512)):
                stride = outputs // inputs
                blocks.append(nn.Sequential(Residual(inputs, outputs, stride), Residual(outputs, outputs, 1)))
        named = OrderedDict((f"block{number}", block) for number, block in enumerate(blocks, start=1))
        pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        return nn.Sequential(OrderedDict({**named, "pool": pool, "head": self.new_head()}))

    def new_head(self) -> nn.Module:
        return nn.Linear(64 if self.network_size == "small" else 512, HALF)

    @staticmethod
    def loss(network: nn.Module, batch: Examples) -> Tensor:
        return nn.functional.binary_cross_entropy_with_logits(network(grey_is_0(batch)), batch["targets"])

    @staticmethod
    def predict(network: nn.Module, batch: Examples) -> Tensor:
        """The log-odds of every attribute."""
        output: Tensor = network(grey_is_0(batch))
        return output

    @staticmethod
    def score(predictions: Tensor, examples: Examples) -> float:
        return float(((predictions > 0) == (examples["targets"] > 0)).double().mean())


class Residual(nn.Module):
    """relu(shortcut(x) + two convolutions of x). Shapes: (batch, inputs, h, w), (batch, outputs, h/stride, ...)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.path = nn.Sequential(*_norm(inputs, outputs, stride), nn.ReLU(), *_norm(outputs, outputs, 1))
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else nn.Sequential(*_norm(inputs, outputs, stride, kernel=1))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.relu(self.shortcut(x) + self.path(x))


def _norm(inputs: int, outputs: int, stride: int, kernel: int = 3) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)
    return [convolution, nn.GroupNorm(8, outputs)]


def _table(path: Path) -> dict[str, list[int]]:
    """The numbers after each picture's name; lines without a picture's name are headings."""
    try:
        lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
        return {words[0]: [int(word) for word in words[1:]] for words in lines if words and words[0].endswith(".jpg")}
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); expected {EXPECTED}") from error
