"""Classes of pictures with a checkpoint of transformers. Model and pictures are the user's own.

An example: train/dog/picture_12.png as 224 x 224 pixels, red, green and blue, label 1: the second class by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from harness import pretrained
from harness.errors import UserError
from harness.images import SUFFIXES, data_folder, read_images
from harness.pretrained_task import PretrainedTask, check_label_count, drawn, known_to, setting, without
from harness.task import Datasets, Examples
from harness.texts import TEST_SPLITS, numbered

EXPECTED = "classes, each a folder of pictures; or of folders train and test of such classes"


@dataclass(frozen=True)
class ImageClassification(PretrainedTask):
    """Image classification: what transfers is what the checkpoint sees; the head is new unless it is kept.

    Data: data/CLASS/PICTURE, of which half is the pool and half the test; or data/train/CLASS/PICTURE with
    data/test (or validation, dev, val). Pictures are taken in an order drawn once; the pool leaves out what the test
    has too. `source/CLASS/PICTURE` are pictures of the checkpoint's own classes, by its names or in their order. The
    metric is the accuracy.
    Shapes: inputs (examples, 3, side, side), uint8, the largest square in the picture's middle at the model's side;
    targets (examples,), int64, classes by name. Pixels are scaled by the checkpoint's mean and spread.
    Anchors: none; measure them on your data.
    """

    name = "image_classification"
    version = "1"
    metric = "accuracy"
    higher_is_better = True
    kind = "image"

    keep_head: bool = setting(False, options=(False, True))

    loss = staticmethod(pretrained.class_loss)
    predict = staticmethod(pretrained.class_predictions)
    score = staticmethod(pretrained.accuracy)

    def network(self) -> nn.Module:
        return pretrained.scale_pixels(super().network(), self.folder)

    def source_model(self) -> nn.Module:
        return pretrained.scale_pixels(super().source_model(), self.folder)

    def datasets(self) -> Datasets:
        config = self.configuration()
        side = _side(config)
        pretrained.pixel_statistics(self.folder)
        train, tests = self._folders()
        classes = _classes(train)
        check_label_count(classes, config, self.keep_head, str(train))
        pool = _pictures(train, classes, 0)
        if tests is None:
            half = len(pool) // 2
            pool, held_out = pool[:half], pool[half:]
        else:
            numbered(_classes(tests), classes, str(tests))
            held_out = _pictures(tests, _classes(tests), 1)
        test = _examples(held_out[: self.largest_test], classes, side)
        source_train, source_test = self._source(config, side)
        return Datasets(
            source_train=source_train,
            source_test=source_test,
            target_pool=without(_examples(pool[: self.largest_pool], classes, side), test),
            target_test=test,
        )

    def _folders(self) -> tuple[Path, Path | None]:
        """Where classes to draw from lie, and those to test on where they lie apart."""
        folder = data_folder(self.data, EXPECTED, "data")
        if not (folder / "train").is_dir():
            return folder, None
        tests = [folder / name for name in TEST_SPLITS if (folder / name).is_dir()]
        return folder / "train", tests[0] if tests else None

    def _source(self, config: Any, side: int) -> tuple[Examples | None, Examples | None]:
        """Four fifths of the source's pictures to train on, a fifth to test on."""
        if not self.source:
            return None, None
        if pretrained.lacks_head("image", self.folder, config, self.allow_pickle):
            raise UserError(
                f"source = {self.source!r}: the checkpoint in {self.folder} has no head that could be scored"
            )
        folder = data_folder(self.source, EXPECTED, "source")
        classes = _classes(folder)
        known: Sequence[str] = known_to(config, classes)
        if len(classes) == config.num_labels and not set(classes) <= set(known):
            known = classes
        numbered(classes, known, str(folder))
        pictures = _pictures(folder, classes, 2)[: self.largest_pool + self.largest_test]
        cut = 4 * len(pictures) // 5
        return _examples(pictures[:cut], known, side), _examples(pictures[cut:], known, side)

    def new_head(self) -> nn.Module | None:
        if self.keep_head:
            return None
        return pretrained.fresh_head("image", self.configuration(), len(_classes(self._folders()[0])))


def _side(config: Any) -> int:
    """The side of a picture in pixels. Raises: UserError if the model's pictures are no squares of three colours."""
    size, colours = getattr(config, "image_size", None), getattr(config, "num_channels", 3)
    sides = set(size) if isinstance(size, list | tuple) else {size}
    if len(sides) != 1 or not isinstance(side := sides.pop(), int) or colours != 3:
        raise UserError(
            f"the model takes pictures of {size} pixels and {colours} colours; expected squares of 3 colours"
        )
    return side


def _classes(folder: Path) -> list[str]:
    classes = sorted(path.name for path in folder.iterdir() if path.is_dir())
    if len(classes) < 2:
        raise UserError(f"{folder}: {len(classes)} classes; expected at least 2 folders of pictures")
    return classes


def _pictures(folder: Path, classes: Sequence[str], part: int) -> list[tuple[Path, str]]:
    """Every picture with its class, in an order drawn once."""
    found: list[tuple[Path, str]] = []
    for kind in classes:
        files = sorted(path for path in (folder / kind).rglob("*") if path.suffix.lower() in SUFFIXES)
        if not files:
            raise UserError(f"{folder / kind}: no picture; expected files ending in {', '.join(sorted(SUFFIXES))}")
        found += [(path, kind) for path in files]
    return [found[place] for place in drawn(len(found), part)]


def _examples(pictures: Sequence[tuple[Path, str]], classes: Sequence[str], side: int) -> Examples:
    labels = np.array([classes.index(kind) for _, kind in pictures], np.int64)
    return {"inputs": read_images([path for path, _ in pictures], side), "targets": torch.from_numpy(labels)}
