"""Visits to the doctor: which person is where, and what is predicted."""

import numpy as np
import pytest
import torch
from statsmodels.datasets import randhie

from tasks.rand_health import INPUTS, RandHealth

SPLITS = ("source_train", "source_test", "target_pool", "target_test")


def records(*tasks_and_names):
    """Rows (inputs and target) of some splits, standardised as they are."""
    parts = [getattr(task.datasets(), name) for task, name in tasks_and_names]
    return np.concatenate([np.column_stack([p["inputs"].numpy(), p["targets"].numpy()]) for p in parts])


def table():
    """What the survey has, standardised by the source's training rows as these are."""
    whole = randhie.load_pandas().data
    poor, good = (whole["hlthf"] + whole["hlthp"]) > 0, whole["hlthg"] > 0
    return whole, {"excellent": ~poor & ~good, "poor": poor, "good": good}


def test_every_row_is_in_exactly_one_split_of_its_health():
    whole, health = table()
    visits = np.log1p(whole["mdvis"].to_numpy()).astype(np.float32)
    for chosen, wanted in (
        ([(RandHealth(), "source_train"), (RandHealth(), "source_test")], "excellent"),
        ([(RandHealth(health="poor"), "target_pool"), (RandHealth(health="poor"), "target_test")], "poor"),
        ([(RandHealth(health="good"), "target_pool"), (RandHealth(health="good"), "target_test")], "good"),
    ):
        rows = records(*chosen)
        assert sorted(rows[:, -1]) == sorted(visits[health[wanted]])
        raw = whole.loc[health[wanted], INPUTS].to_numpy()
        for column in range(len(INPUTS)):  # standardising keeps the order
            order = np.argsort(raw[:, column], kind="stable")
            values = np.sort(rows[:, column])
            assert np.array_equal(np.diff(raw[order, column]) > 0, np.diff(values) > 0), INPUTS[column]


@pytest.mark.parametrize("health", ["poor", "good"])
def test_no_person_is_in_two_splits(health):
    """Answers that the table has in neighbouring rows only are one person's, and in one split."""
    whole, healthy = table()
    task = RandHealth(health=health)
    source = np.concatenate([records((task, name)) for name in SPLITS[:2]])[:, :-1].astype(float)
    known = whole.loc[healthy["excellent"], INPUTS].to_numpy()
    scale = (known.max(0) - known.min(0)) / (source.max(0) - source.min(0))
    offset = known.min(0) - source.min(0) * scale

    def people(name):
        return set(map(tuple, (records((task, name))[:, :-1] * scale + offset).round(2) + 0.0))

    places = whole[INPUTS].round(2).groupby(INPUTS).indices
    alone = {answers for answers, rows in places.items() if 1 < len(rows) == rows.max() - rows.min() + 1}
    assert len(alone & (people("source_train") | people("source_test"))) > 500
    for one, other in (SPLITS[:2], SPLITS[2:]):
        assert not alone & people(one) & people(other)


def test_inputs_are_standardised_by_the_source_training_split_alone():
    inputs = RandHealth().datasets().source_train["inputs"].double()
    torch.testing.assert_close(inputs.mean(0), torch.zeros(6, dtype=torch.double), atol=1e-6, rtol=0)
    torch.testing.assert_close(inputs.std(0, correction=0), torch.ones(6, dtype=torch.double), atol=1e-6, rtol=0)


def test_both_shifts_share_the_source_and_the_poor_are_farther_from_it():
    poor, good = RandHealth(health="poor").datasets(), RandHealth().datasets()
    assert torch.equal(poor.source_train["inputs"], good.source_train["inputs"])
    known = poor.source_train["targets"].mean()
    assert poor.target_pool["targets"].mean() - known > 2 * (good.target_pool["targets"].mean() - known) > 0


def test_a_perfect_prediction_scores_zero_and_one_that_is_off_by_two_scores_two():
    examples = RandHealth().datasets().target_test
    assert RandHealth.score(examples["targets"], examples) == 0.0
    assert RandHealth.score(examples["targets"] + 2, examples) == pytest.approx(2.0, rel=1e-6)
