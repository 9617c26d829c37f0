"""Negative controls: that there is nothing to transfer, and that no method finds any."""

import math
from itertools import combinations

import numpy as np
import pytest
import torch

from harness.source import Store
from harness.trial import run
from methods import METHODS
from tasks import TASKS
from tasks.shuffled_labels import ShuffledLabels
from tasks.unrelated_source import CENTRE, SCALE, UnrelatedSource
from tests.harness.test_isolation import make_trial

SPLITS = ("source_train", "source_test", "target_pool", "target_test")


def test_controls_are_marked_as_such():
    assert {name for name, task in TASKS.items() if task.negative_control} == {"shuffled_labels", "unrelated_source"}


def test_images_of_shuffled_labels_are_as_often_as_before_and_disjoint():
    data = ShuffledLabels().datasets()
    assert [len(getattr(data, name)["targets"]) for name in SPLITS] == [2_400, 301, 490, 406]
    rows = {name: {row.tobytes() for row in getattr(data, name)["inputs"].numpy()} for name in SPLITS}
    assert not any(rows[one] & rows[other] for one, other in combinations(SPLITS, 2))


def test_shuffled_labels_say_nothing_about_their_images():
    """A nearest neighbour that is right nine times in ten on true labels is right once in five."""
    data = ShuffledLabels().datasets()

    def accuracy(known, asked):
        distance = torch.cdist(asked["inputs"].flatten(1), known["inputs"].flatten(1))
        return float((known["targets"][distance.argmin(1)] == asked["targets"]).float().mean())

    assert accuracy(data.source_train, data.source_test) > 0.9
    assert accuracy(data.target_pool, data.target_test) == pytest.approx(0.2, abs=4 * math.sqrt(0.16 / 406))


def test_equal_odds_score_log_five_on_any_labels():
    examples = ShuffledLabels().datasets().target_test
    assert ShuffledLabels.score(torch.zeros(406, 5), examples) == pytest.approx(math.log(5))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Where the methods find the source model that they share."""
    return Store(tmp_path_factory.mktemp("cache"), torch.device("cpu"))


@pytest.mark.parametrize("name", sorted(METHODS))
def test_no_method_beats_equal_odds_on_shuffled_labels(name, store):
    settings = {"folds": 1, "search_fraction": 0.2} if name == "subtuning" else {}
    trial = make_trial(ShuffledLabels(), METHODS[name](**settings), n=25, seed=0, steps=100)
    row = run(trial, store)
    assert row["status"] == "done", row["reason"]
    assert row["score_test"] > math.log(5)


def test_labels_of_the_unrelated_source_do_not_depend_on_the_inputs():
    data = UnrelatedSource().datasets()
    for examples, related in ((data.source_train, False), (data.source_test, False), (data.target_pool, True)):
        x, y = examples["inputs"].double().numpy(), examples["targets"].double().numpy()
        assert y.mean() == pytest.approx(CENTRE, abs=0.5)
        assert y.std() == pytest.approx(SCALE, abs=0.3)
        explained = np.corrcoef(x, y, rowvar=False)[-1, :-1]
        assert bool(np.abs(explained).max() > 0.3) is related
        assert related or np.abs(explained).max() < 4 / math.sqrt(len(y))


def test_the_target_is_friedmans_function_by_hand():
    examples = UnrelatedSource().datasets().target_test
    x1, x2, x3, x4, x5 = examples["inputs"][:, :5].double().unbind(1)
    by_hand = 10 * (math.pi * x1 * x2).sin() + 20 * (x3 - 0.5) ** 2 + 10 * x4 + 5 * x5
    torch.testing.assert_close(examples["targets"].double(), by_hand, atol=1e-4, rtol=0)
