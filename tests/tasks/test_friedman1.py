"""Friedman #1: its function, its shift, its scores."""

import math
from itertools import combinations

import numpy as np
import pytest
import torch

from harness.data import content_hash
from harness.errors import UserError
from harness.settings import build
from tasks.friedman1 import CENTRE, SCALE, Coefficients, Friedman1

SPLITS = ("source_train", "source_test", "target_pool", "target_test")


def hash_of(task, *splits):
    data = task.datasets()
    return content_hash({name: getattr(data, name) for name in splits})


def test_no_example_is_in_two_splits():
    data = Friedman1().datasets()
    rows = {name: {row.tobytes() for row in getattr(data, name)["inputs"].numpy()} for name in SPLITS}
    assert [len(rows[name]) for name in SPLITS] == [2_000, 2_000, 1_000, 10_000]
    assert not any(rows[one] & rows[other] for one, other in combinations(SPLITS, 2))


def test_the_source_is_friedmans_function_by_hand():
    x = np.array([[0.5, 0.25, 0.9, 0.3, 0.7, 0, 0, 0, 0, 0]])
    by_hand = 10 * math.sin(math.pi * 0.5 * 0.25) + 20 * 0.4**2 + 10 * 0.3 + 5 * 0.7
    assert Coefficients(np.ones(4), np.ones(5), np.zeros(5)).mean(x) == pytest.approx([by_hand])


def test_every_coefficient_moves_its_own_term():
    x = np.array([[0.5, 0.25, 0.9, 0.3, 0.7, 0, 0, 0, 0, 0]])
    a, b, c = np.array([1.1, 1.2, 1.3, 1.4]), np.array([0.9, 1.1, 1.2, 0.8, 0.7]), np.array([0.1, 0.2, 0.3, -0.1, 0.4])
    by_hand = (
        1.1 * 10 * math.sin(math.pi * (0.9 * 0.5 + 0.1) * (1.1 * 0.25 + 0.2))
        + 1.2 * 20 * (1.2 * 0.9 + 0.3 - 0.5) ** 2
        + 1.3 * 10 * (0.8 * 0.3 - 0.1)
        + 1.4 * 5 * (0.7 * 0.7 + 0.4)
    )
    assert Coefficients(a, b, c).mean(x) == pytest.approx([by_hand])


def test_training_targets_have_noise_of_one_and_test_targets_have_none():
    data = Friedman1(shift=0.0).datasets()
    plain = Coefficients(np.ones(4), np.ones(5), np.zeros(5))
    for name, deviation in (("source_train", 1.0), ("source_test", 0.0), ("target_pool", 1.0), ("target_test", 0.0)):
        examples = getattr(data, name)
        residual = examples["targets"].double().numpy() - plain.mean(examples["inputs"].double().numpy())
        assert residual.std() == pytest.approx(deviation, abs=0.06 if deviation else 1e-5)


def test_shift_and_domain_change_the_target_and_not_the_source():
    default = Friedman1()
    for other in (Friedman1(shift=2.0), Friedman1(domain=1)):
        assert hash_of(other, "source_train", "source_test") == hash_of(default, "source_train", "source_test")
        assert hash_of(other, "target_pool") != hash_of(default, "target_pool")
        assert hash_of(other, "target_test") != hash_of(default, "target_test")
        assert other.source_parameters() == default.source_parameters() == {"width": 48}


def test_more_shift_is_farther_from_the_source():
    plain = Coefficients(np.ones(4), np.ones(5), np.zeros(5))

    def distance(shift):
        test = Friedman1(shift=shift).datasets().target_test
        return float((test["targets"] - torch.from_numpy(plain.mean(test["inputs"].double().numpy()))).square().mean())

    assert distance(0.0) < 1e-9 < distance(0.5) < distance(1.0) < distance(2.0)


def test_width_changes_the_network_and_not_the_data():
    assert Friedman1(width=8).network()[0][0].out_features == 8
    assert hash_of(Friedman1(width=8), *SPLITS) == hash_of(Friedman1(), *SPLITS)
    assert Friedman1(width=8).source_parameters() == {"width": 8}


def test_the_default_network_stays_small():
    assert sum(parameter.numel() for parameter in Friedman1().network().parameters()) <= 6_000


def test_a_perfect_prediction_scores_zero_and_one_that_is_off_by_two_scores_two():
    examples = Friedman1().datasets().target_test
    assert Friedman1.score(examples["targets"], examples) == 0.0
    assert Friedman1.score(examples["targets"] + 2, examples) == pytest.approx(2.0, rel=1e-6)


def test_loss_and_prediction_mean_the_same_scale():
    """The loss is the squared error of the predictions in units of SCALE."""
    examples = Friedman1().datasets().target_pool
    network = Friedman1().network()
    errors = (Friedman1.predict(network, examples) - examples["targets"]) / SCALE
    torch.testing.assert_close(Friedman1.loss(network, examples), errors.square().mean())


def test_the_constants_standardise_the_source():
    targets = Friedman1().datasets().source_train["targets"]
    assert float(targets.mean()) == pytest.approx(CENTRE, abs=0.2)
    assert float(targets.std()) == pytest.approx(SCALE, abs=0.2)


@pytest.mark.parametrize("given", [{"shift": -0.1}, {"width": 0}, {"width": 4.5}, {"domain": -1}, {"shift": "far"}])
def test_impossible_parameters_are_refused(given):
    with pytest.raises(UserError, match=next(iter(given))):
        build(Friedman1, given, "tasks[0]")
