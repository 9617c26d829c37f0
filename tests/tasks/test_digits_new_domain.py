"""Digits in another domain: which image is where, and what each domain does to it."""

from itertools import combinations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from harness.data import content_hash
from harness.errors import UserError
from harness.settings import build
from tasks.digits_new_domain import DEGREES, DigitsNewDomain

SPLITS = ("source_train", "source_test", "target_pool", "target_test")
SAME = DigitsNewDomain(strength=0.0)
"""The target in the source's own domain."""


def trimmed(image):
    """An image without its empty border, wherever it lay on the canvas."""
    rows, columns = np.flatnonzero(image.any(1)), np.flatnonzero(image.any(0))
    inside = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return (inside.shape, inside.tobytes())


def test_no_image_is_in_two_splits_and_every_label_is_true():
    pixels, digits = load_digits(return_X_y=True)
    truth = {
        trimmed((image / 16).astype(np.float32).reshape(8, 8)): digit
        for image, digit in zip(pixels, digits, strict=True)
    }
    data, parts = SAME.datasets(), {}
    for name in SPLITS:
        examples = getattr(data, name)
        parts[name] = [trimmed(image) for image in examples["inputs"][:, 0].numpy()]
        assert [truth[image] for image in parts[name]] == examples["targets"].tolist()
    assert [len(set(parts[name])) for name in SPLITS] == [600, 200, 500, 497]
    assert not any(set(parts[one]) & set(parts[other]) for one, other in combinations(SPLITS, 2))


def test_domains_share_their_source_and_their_target_labels():
    same = SAME.datasets()
    for domain in ("inverted", "rotated", "noisy"):
        task = DigitsNewDomain(domain=domain)
        data = task.datasets()
        assert content_hash({"": data.source_train}) == content_hash({"": same.source_train})
        assert task.source_parameters() == SAME.source_parameters() == {}
        assert torch.equal(data.target_test["targets"], same.target_test["targets"])
        assert not torch.equal(data.target_test["inputs"], same.target_test["inputs"])


def inputs(**settings):
    return DigitsNewDomain(**settings).datasets().target_test["inputs"]


def test_inverted_is_the_negative_at_strength_one_and_grey_at_a_half():
    torch.testing.assert_close(inputs(domain="inverted"), 1 - inputs(strength=0.0))
    torch.testing.assert_close(inputs(domain="inverted", strength=0.5), torch.full_like(inputs(), 0.5))


def test_rotated_turns_by_the_stated_degrees():
    quarter = inputs(domain="rotated", strength=90 / DEGREES)
    torch.testing.assert_close(quarter, inputs(strength=0.0).rot90(1, (2, 3)), atol=1e-5, rtol=0)
    torch.testing.assert_close(inputs(domain="rotated", strength=0.0), inputs(strength=0.0))


def test_noisy_adds_noise_of_the_stated_size_that_grows_with_strength():
    noise = inputs(domain="noisy") - inputs(strength=0.0)
    assert float(noise.mean()) == pytest.approx(0.0, abs=0.01)
    assert float(noise.std()) == pytest.approx(0.4, abs=0.01)
    torch.testing.assert_close(inputs(domain="noisy", strength=2.0) - inputs(strength=0.0), 2 * noise)


@pytest.mark.parametrize("given", [{"domain": "upside down"}, {"strength": -1.0}, {"strength": "strong"}])
def test_impossible_parameters_are_refused(given):
    with pytest.raises(UserError, match=next(iter(given))):
        build(DigitsNewDomain, given, "tasks[0]")
