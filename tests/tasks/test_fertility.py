"""Births per woman: which country and which years are where, and what is predicted."""

import numpy as np
import pytest
import torch
from statsmodels.datasets import fertility

from tasks.fertility import CHANGE, Fertility

SPLITS = ("source_train", "source_test", "target_pool", "target_test")


@pytest.fixture(scope="module")
def windows():
    """From ten years of a country's rates to its name and the last of these years, for all there are."""
    table = fertility.load_pandas().data
    rates = table[[str(year) for year in range(1960, 2012)]].to_numpy(float).astype(np.float32)
    found = {}
    for name, row in zip(table["Country Name"], rates, strict=True):
        for year in range(1970, 2007):
            window = row[year - 1970 : year - 1960 + 1 : 2]
            found.setdefault(window.tobytes(), []).append((name, year, row))
    return found


@pytest.mark.parametrize(("gap", "first"), [(0, 1995), (8, 2003)])
def test_examples_are_what_the_table_says_in_the_years_of_their_split(windows, gap, first):
    """Every target is the change over the five years after the inputs; no test country is trained on."""
    data = Fertility(gap=gap).datasets()
    countries = {}
    for name, years in zip(SPLITS, [(1970, 1980)] * 2 + [(first, 2006)] * 2, strict=True):
        examples = getattr(data, name)
        countries[name] = set()
        for inputs, target in zip(examples["inputs"].numpy(), examples["targets"].tolist(), strict=True):
            matches = [
                country
                for country, year, row in windows[inputs.tobytes()]
                if years[0] <= year <= years[1] and abs(row[year + 5 - 1960] - row[year - 1960] - target) < 1e-5
            ]
            assert matches
            countries[name].add(matches[0])
    trained = countries["source_train"] | countries["target_pool"]
    assert not trained & (countries["source_test"] | countries["target_test"])
    assert "OECD members" not in trained


def test_gaps_share_the_source():
    near, far = Fertility().datasets(), Fertility(gap=5).datasets()
    assert torch.equal(near.source_train["inputs"], far.source_train["inputs"])
    assert Fertility().source_parameters() == Fertility(gap=5).source_parameters() == {}


def test_a_perfect_prediction_scores_zero_and_one_that_is_off_by_two_scores_two():
    examples = Fertility().datasets().target_test
    assert Fertility.score(examples["targets"], examples) == 0.0
    assert Fertility.score(examples["targets"] + 2, examples) == pytest.approx(2.0, rel=1e-6)


def test_loss_and_prediction_mean_the_same_scale():
    examples, network = Fertility().datasets().target_pool, Fertility().network()
    errors = (Fertility.predict(network, examples) - examples["targets"]) / CHANGE
    torch.testing.assert_close(Fertility.loss(network, examples), errors.square().mean())
