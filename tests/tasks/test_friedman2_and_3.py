"""Friedman #2 and #3: their functions, their shifts, their scores."""

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from sklearn.datasets import make_friedman2, make_friedman3

from harness.data import content_hash
from tasks import friedman2, friedman3
from tasks.friedman2 import Friedman2
from tasks.friedman3 import Friedman3

KINDS = {Friedman2: (friedman2, make_friedman2, 2), Friedman3: (friedman3, make_friedman3, 1)}
SPLITS = ("source_train", "source_test", "target_pool", "target_test")


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def kind(request):
    return request.param


def plain(kind):
    return KINDS[kind][0].Coefficients(1.0, np.ones(4), np.zeros(KINDS[kind][2]))


def test_the_source_is_the_function_that_scikit_learn_has(kind):
    x, y = KINDS[kind][1](n_samples=200, random_state=0)
    u = (x - KINDS[kind][0].LOW) / KINDS[kind][0].RANGE
    np.testing.assert_allclose(plain(kind).mean(u), y, rtol=1e-9)


def test_every_coefficient_moves_its_own_place():
    x1, x2, x3, x4 = 30.0, 600.0, 0.4, 5.0
    u = (np.array([[x1, x2, x3, x4]]) - friedman2.LOW) / friedman2.RANGE
    b = np.array([1.1, 0.9, 1.2, 0.8])
    reactance = 0.9 * x2 * (1.2 * x3 + 0.1) - 1 / (0.9 * x2 * 0.8 * x4)
    impedance = 1.3 * math.hypot(1.1 * x1 + 100 * 0.2, reactance)
    assert friedman2.Coefficients(1.3, b, np.array([0.2, 0.1])).mean(u) == pytest.approx([impedance])
    angle = 1.3 * math.atan(reactance / (1.1 * x1))
    assert friedman3.Coefficients(1.3, b, np.array([0.1])).mean(u) == pytest.approx([angle])


def test_splits_are_disjoint_and_only_what_is_trained_on_is_noisy(kind):
    module = KINDS[kind][0]
    data = kind(shift=0.0).datasets()
    rows = {name: {row.tobytes() for row in getattr(data, name)["inputs"].numpy()} for name in SPLITS}
    assert [len(rows[name]) for name in SPLITS] == [2_000, 2_000, 500, 4_000]
    assert not any(rows[one] & rows[other] for one, other in combinations(SPLITS, 2))
    for name in SPLITS:
        examples = getattr(data, name)
        off = examples["targets"].double().numpy() - plain(kind).mean(examples["inputs"].double().numpy())
        noisy = name in ("source_train", "target_pool")
        assert off.std() / module.NOISE == pytest.approx(float(noisy), abs=0.08)


def test_shift_and_domain_change_the_target_and_not_the_source(kind):
    def hash_of(task, *splits):
        data = task.datasets()
        return content_hash({name: getattr(data, name) for name in splits})

    for other in (kind(shift=2.0), kind(domain=1)):
        assert hash_of(other, *SPLITS[:2]) == hash_of(kind(), *SPLITS[:2])
        assert hash_of(other, "target_pool") != hash_of(kind(), "target_pool")
        assert other.source_parameters() == kind().source_parameters() == {"width": 32}


def test_more_shift_is_farther_from_the_source(kind):
    def distance(shift):
        test = kind(shift=shift).datasets().target_test
        return float(np.square(test["targets"].numpy() - plain(kind).mean(test["inputs"].double().numpy())).mean())

    scale = KINDS[kind][0].SCALE
    assert distance(0.0) < 1e-9 * scale**2 < distance(0.5) < distance(1.0) < distance(2.0)


def test_constants_standardise_the_source_and_the_loss_is_in_units_of_scale(kind):
    module, data = KINDS[kind][0], kind().datasets()
    targets = data.source_train["targets"]
    assert float(targets.mean()) == pytest.approx(module.CENTRE, abs=0.05 * module.SCALE)
    assert float(targets.std()) == pytest.approx(module.SCALE, rel=0.05)
    network = kind().network()
    errors = (kind.predict(network, data.target_pool) - data.target_pool["targets"]) / module.SCALE
    torch.testing.assert_close(kind.loss(network, data.target_pool), errors.square().mean())
    assert kind.score(targets + 2, data.source_train) == pytest.approx(2.0, rel=1e-4)
