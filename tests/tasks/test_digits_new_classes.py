"""Digits: which image is where."""

from itertools import combinations

import numpy as np
import torch
from sklearn.datasets import load_digits

from tasks.digits_new_classes import DigitsNewClasses

SPLITS = ("source_train", "source_test", "target_pool", "target_test")


def trimmed(image):
    """An image without its empty border, wherever it lay on the canvas."""
    rows, columns = np.flatnonzero(image.any(1)), np.flatnonzero(image.any(0))
    inside = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return (inside.shape, inside.tobytes())


def images(name):
    examples = getattr(DigitsNewClasses().datasets(), name)
    pairs = zip(examples["inputs"][:, 0].numpy(), examples["targets"].tolist(), strict=True)
    return [(trimmed(image), label) for image, label in pairs]


def test_no_image_is_in_two_splits():
    parts = {name: set(images(name)) for name in SPLITS}
    assert [len(parts[name]) for name in SPLITS] == [600, 301, 490, 406]
    assert not any(parts[one] & parts[other] for one, other in combinations(SPLITS, 2))


def test_source_holds_the_digits_0_to_4_and_target_5_to_9_with_their_true_labels():
    pixels, digits = load_digits(return_X_y=True)
    truth = {
        trimmed((image / 16).astype(np.float32).reshape(8, 8)): digit
        for image, digit in zip(pixels, digits, strict=True)
    }
    for name in SPLITS:
        offset = 0 if name.startswith("source") else 5
        assert all(truth[image] == label + offset for image, label in images(name))


def test_each_source_image_is_trained_on_at_four_places():
    examples = DigitsNewClasses().datasets().source_train
    assert len(examples["targets"]) == 4 * 600
    assert len({image.tobytes() for image in examples["inputs"].numpy()}) > 3 * 600


def test_a_perfect_prediction_scores_one_and_a_wrong_one_nothing():
    examples = DigitsNewClasses().datasets().target_test
    right = torch.nn.functional.one_hot(examples["targets"], 5).float()
    assert DigitsNewClasses.score(right, examples) == 1.0
    assert DigitsNewClasses.score(right.roll(1, dims=1), examples) == 0.0
    assert DigitsNewClasses.score(right[: len(right)], {"targets": examples["targets"].roll(1)}) < 0.5
