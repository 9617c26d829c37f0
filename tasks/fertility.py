"""Births per woman five years on: from the years before 1985 to later ones.

An example: Albania, 1996: births per woman in 1986, 1988, ..., 1996 were 3.2, 3.0, ..., 2.6; target: -0.3, the change
until 2001.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from harness.task import Datasets, Examples, Recipe, Task, setting
from tasks.numerics import float32, mlp, rmse

SEED = 1960
FIRST, LAST = 1960, 2011
PAST, HORIZON = np.arange(-10, 1, 2), 5
SOURCE_UNTIL = 1985
"""The last year whose births the source has seen."""
CENTRE, SCALE, CHANGE = 4.0, 2.0, 0.3
"""Units of the network: births per woman about CENTRE in units of SCALE, changes in units of CHANGE."""
AGGREGATES = ("IFC classification", "all income levels", "OECD members", "small states")
WIDTH = 32


@dataclass(frozen=True)
class Fertility(Task):
    """Fertility of nations: what transfers is how the number of births per woman falls, levels off and rises.

    Data: the World Bank's total fertility rates of some 200 countries and 52 years that statsmodels ships; sums over
    several countries and records with gaps are left out. An example is a country in a year: six rates of the ten years
    until then, and the change over the next five. Source: every year whose answer was known by 1985. Target: every year
    that looks back no further than 1985 + `gap`, up to 2006. Countries are divided, two in three to train on (source)
    or for the pool (target), the others to test on (both), so that no test country is seen before. The metric is the
    RMSE in births per woman.
    Shapes: inputs (examples, 6), targets (examples,), float32. The network is an MLP of three hidden layers.
    Anchors: 0.150 = scratch at n = 25, 0.092 = fine-tuning on the whole pool; means over ten seeds, 500 steps, engine
    lanes (standard errors 0.006 and 0.001).
    """

    name = "fertility"
    version = "1"
    metric = "rmse"
    higher_is_better = False
    recipe = Recipe(learning_rate=1e-3, batch_size=32, schedule="cosine", source_steps=1500)
    source_fields = ()

    gap: int = setting(0, low=0, high=8)

    def datasets(self) -> Datasets:
        from statsmodels.datasets import fertility  # slow to import, needed here only

        table = fertility.load_pandas().data
        names = table["Country Name"].astype(str)
        nations = ~names.str.contains("|".join(AGGREGATES)).to_numpy()
        rates = table[[str(year) for year in range(FIRST, LAST + 1)]].to_numpy(float)
        rates = rates[nations & np.isfinite(rates).all(1)]
        # RandomState, because its streams never change between versions of numpy.
        rates = rates[np.random.RandomState(SEED).permutation(len(rates))]
        known, unknown = np.split(rates, [2 * len(rates) // 3])
        source = range(FIRST - PAST[0], SOURCE_UNTIL - HORIZON + 1)
        target = range(SOURCE_UNTIL + self.gap - PAST[0], LAST - HORIZON + 1)
        return Datasets(
            source_train=_examples(known, source),
            source_test=_examples(unknown, source),
            target_pool=_examples(known, target),
            target_test=_examples(unknown, target),
        )

    def network(self) -> nn.Module:
        return mlp(len(PAST), (WIDTH,) * 3, 1, nn.ReLU)

    def anchors(self) -> tuple[float, float] | None:
        return (0.150, 0.092) if self == Fertility() else None

    @staticmethod
    def loss(network: nn.Module, batch: Examples) -> Tensor:
        return nn.functional.mse_loss(_change(network, batch), batch["targets"] / CHANGE)

    @staticmethod
    def predict(network: nn.Module, batch: Examples) -> Tensor:
        """The change in births per woman."""
        return _change(network, batch) * CHANGE

    @staticmethod
    def score(predictions: Tensor, examples: Examples) -> float:
        return rmse(predictions, examples)


def _change(network: nn.Module, batch: Examples) -> Tensor:
    """The network's output for the last rate and the changes up to it. Shapes: inputs (examples, 6), (examples,)."""
    rates = batch["inputs"]
    features = torch.cat([(rates[:, -1:] - CENTRE) / SCALE, (rates[:, 1:] - rates[:, :-1]) / CHANGE], 1)
    output: Tensor = network(features)[:, 0]
    return output


def _examples(rates: np.ndarray, years: range) -> Examples:
    """Every country in every year. Shapes: rates (countries, 52), inputs (countries * years, 6)."""
    now = np.array(years) - FIRST
    inputs = np.stack([rates[:, now + offset] for offset in PAST], -1).reshape(-1, len(PAST))
    targets = (rates[:, now + HORIZON] - rates[:, now]).reshape(-1)
    return float32(inputs=inputs, targets=targets)
