"""Fair's survey: which woman is where, and what the metric means."""

import math

import numpy as np
import pytest
import torch
from statsmodels.datasets import fair

from tasks.fair_affairs import INPUTS, FairAffairs

SPLITS = ("source_train", "source_test", "target_pool", "target_test")


@pytest.fixture(scope="module")
def data():
    return FairAffairs().datasets()


def test_every_woman_is_in_exactly_one_split_on_her_side_of_the_divide(data):
    """The records of the splits together are those of the survey, each as often as it was given."""
    table = fair.load_pandas().data
    schooled = table["educ"] > 12
    expected = table[INPUTS].assign(affair=(table["affairs"] > 0).astype(float)).to_numpy().round(3)
    # Standardising is undone by the extremes of each column, which are known.
    low, high = expected[:, :-1].min(0), expected[:, :-1].max(0)
    both = np.concatenate([getattr(data, name)["inputs"].double().numpy() for name in SPLITS])
    scale = (high - low) / (both.max(0) - both.min(0))
    offset = low - both.min(0) * scale

    def back(*names):
        inputs = np.concatenate([getattr(data, name)["inputs"].double().numpy() for name in names])
        targets = np.concatenate([getattr(data, name)["targets"].double().numpy() for name in names])
        return sorted(map(tuple, np.column_stack([(inputs * scale + offset).round(3), targets]).tolist()))

    assert back("source_train", "source_test") == sorted(map(tuple, expected[schooled].tolist()))
    assert back("target_pool", "target_test") == sorted(map(tuple, expected[~schooled].tolist()))


def test_inputs_are_standardised_by_the_source_training_split_alone(data):
    inputs = data.source_train["inputs"].double()
    torch.testing.assert_close(inputs.mean(0), torch.zeros(8, dtype=torch.double), atol=1e-6, rtol=0)
    torch.testing.assert_close(inputs.std(0, correction=0), torch.ones(8, dtype=torch.double), atol=1e-6, rtol=0)
    assert data.target_test["inputs"].mean(0).abs().max() > 0.5


def test_labels_are_whether_and_not_how_much(data):
    for name in SPLITS:
        assert set(getattr(data, name)["targets"].tolist()) == {0.0, 1.0}


def test_certain_and_right_scores_zero_and_even_odds_score_log_two(data):
    examples = data.target_test
    assert FairAffairs.score((examples["targets"] * 2 - 1) * 1000, examples) == 0.0
    assert FairAffairs.score(torch.zeros(len(examples["targets"])), examples) == pytest.approx(math.log(2))


def test_the_metric_is_defined_on_one_example_of_one_class():
    for target in (0.0, 1.0):
        assert math.isfinite(FairAffairs.score(torch.tensor([0.3]), {"targets": torch.tensor([target])}))
