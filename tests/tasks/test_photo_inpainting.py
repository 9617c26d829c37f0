"""Photographs with a hole: what is hidden, what is seen, and that no pixel is in two splits."""

from itertools import combinations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_sample_image

from tasks.photo_inpainting import LUMA, PhotoInpainting

SPLITS = ("source_train", "source_test", "target_pool", "target_test")
CLEAN = PhotoInpainting(noise=0.0)


def whole(examples):
    """The squares with the hole filled in, counted from their first pixel. Shapes: (examples, 64)."""
    squares = examples["inputs"][:, 0].double().clone()
    squares[:, 3:5, 3:5] = examples["targets"].double().view(-1, 2, 2)
    return (squares.flatten(1) - squares[:, :1, 0]).numpy().round(3)


def test_squares_are_of_their_photograph_and_none_is_in_two_splits():
    data = CLEAN.datasets()
    kept = {name: {row.tobytes() for row in whole(getattr(data, name)) + 0.0} for name in SPLITS}
    assert [len(getattr(data, name)["inputs"]) for name in SPLITS] == [1_500, 500, 1_000, 1_000]
    assert not any(kept[one] & kept[other] for one, other in combinations(SPLITS, 2))
    for photograph, names in (("china.jpg", SPLITS[:2]), ("flower.jpg", SPLITS[2:])):
        grey = load_sample_image(photograph) @ LUMA
        of_it = set()
        for top, left in np.ndindex(427 // 8, 640 // 8):
            square = grey[8 * top : 8 * top + 8, 8 * left : 8 * left + 8].ravel()
            of_it.add(((square - square[0]).round(3) + 0.0).tobytes())
        for name in names:
            assert kept[name] <= of_it


def test_the_hole_is_not_seen_and_the_rest_has_mean_zero():
    for name in SPLITS:
        examples = getattr(PhotoInpainting().datasets(), name)["inputs"]
        assert not examples[:, :, 3:5, 3:5].any()
        assert examples.sum((1, 2, 3)).abs().max() < 1e-2


def test_noise_is_on_what_is_seen_and_not_on_what_is_asked_for():
    clean, noisy = CLEAN.datasets(), PhotoInpainting(noise=10.0).datasets()
    assert torch.equal(clean.source_train["inputs"], noisy.source_train["inputs"])
    seen = (noisy.target_test["inputs"] - clean.target_test["inputs"])[:, 0, :3]
    asked = noisy.target_test["targets"] - clean.target_test["targets"]
    assert float(seen.std()) == pytest.approx(10.0, abs=0.2)
    assert asked.std(dim=1).max() < 1e-4  # all four move alike: by the mean they are counted from


def test_a_perfect_prediction_scores_zero_and_one_that_is_off_by_two_scores_two():
    examples = CLEAN.datasets().target_test
    assert PhotoInpainting.score(examples["targets"], examples) == 0.0
    assert PhotoInpainting.score(examples["targets"] + 2, examples) == pytest.approx(2.0, rel=1e-6)


def test_loss_and_prediction_mean_the_same_scale():
    examples, network = CLEAN.datasets().target_pool, CLEAN.network()
    errors = (PhotoInpainting.predict(network, examples) - examples["targets"]) / 32
    torch.testing.assert_close(PhotoInpainting.loss(network, examples), errors.square().mean())
