"""Visits to the doctor: from people in excellent health to people in less than excellent health.

An example: coinsurance (log) 4.6, individual deductible 1, participation incentive (log) 6.9, largest expense (log) 0,
physical limitation 0, chronic diseases 13.7 (all standardised); target: 2 visits in a year.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from harness.task import Datasets, Examples, Recipe, Task, setting
from tasks.numerics import float32, rmse

SEED = 1987
SOURCE_TRAIN = 6_000
TARGET_SHARE = 0.55
"""Of the target's rows in the pool; the rest is the test."""
INPUTS = ["lncoins", "idp", "lpi", "fmde", "physlm", "disea"]
GROUP = ["lncoins", "physlm", "disea"]
"""What does not change from year to year: rows that follow each other and agree in it are of one person or family."""
WIDTH = 32


@dataclass(frozen=True)
class RandHealth(Task):
    """RAND health insurance: what transfers is how insurance, limitations and diseases bear on visits to a doctor.

    Data: the 20,190 person-years of the RAND Health Insurance Experiment that statsmodels ships (Manning and others,
    1987; Deb and Trivedi, 2002). Source: excellent self-rated health, 6,000 rows to train on and the others, some
    5,000, to test on. Target: `health`: "good" (7,309 rows), or "poor", rated fair or poor (1,862 rows, the larger
    shift: they see a doctor half as often again); 55 % are the pool, the others the test. The data name no person;
    rows that follow each other and agree in what stays the same over the years are one person's and lie in one split.
    Inputs are standardised with the statistics of the source's training split. The metric is the RMSE of
    log(1 + visits).
    Shapes: inputs (examples, 6), targets (examples,), float32. The network is an MLP with LayerNorm.
    Anchors: 0.933 = scratch at n = 25, 0.811 = fine-tuning on the whole pool; means over ten seeds, 500 steps, engine
    lanes (standard errors 0.020 and 0.001).
    """

    name = "rand_health"
    version = "1"
    metric = "rmse"
    higher_is_better = False
    recipe = Recipe(learning_rate=1e-4, batch_size=32, schedule="cosine", source_steps=2500)
    source_fields = ()

    health: str = setting("good", options=("good", "poor"))

    def datasets(self) -> Datasets:
        from statsmodels.datasets import randhie  # slow to import, needed here only

        table = randhie.load_pandas().data
        steady = table[GROUP].to_numpy()
        person = np.cumsum(np.r_[False, (steady[1:] != steady[:-1]).any(1)])
        # RandomState, because its streams never change between versions of numpy.
        order = np.argsort(np.random.RandomState(SEED).permutation(person[-1] + 1)[person], kind="stable")
        poor, good = (table["hlthf"] + table["hlthp"]).to_numpy()[order] > 0, table["hlthg"].to_numpy()[order] > 0
        person, answers = person[order], table[INPUTS].to_numpy()[order]
        visits = np.log1p(table["mdvis"].to_numpy()[order])
        source, target = np.flatnonzero(~poor & ~good), np.flatnonzero({"poor": poor, "good": good}[self.health])
        train, test = _cut(source, person, SOURCE_TRAIN)
        pool, target_test = _cut(target, person, round(TARGET_SHARE * len(target)))
        answers = (answers - answers[train].mean(0)) / answers[train].std(0)

        def examples(rows: np.ndarray) -> Examples:
            return float32(inputs=answers[rows], targets=visits[rows])

        return Datasets(
            source_train=examples(train),
            source_test=examples(test),
            target_pool=examples(pool),
            target_test=examples(target_test),
        )

    def network(self) -> nn.Module:
        return nn.Sequential(
            OrderedDict(
                block1=_block(len(INPUTS)), block2=_block(WIDTH), block3=_block(WIDTH), head=nn.Linear(WIDTH, 1)
            )
        )

    def anchors(self) -> tuple[float, float] | None:
        return (0.933, 0.811) if self == RandHealth() else None

    @staticmethod
    def loss(network: nn.Module, batch: Examples) -> Tensor:
        return nn.functional.mse_loss(network(batch["inputs"])[:, 0], batch["targets"])

    @staticmethod
    def predict(network: nn.Module, batch: Examples) -> Tensor:
        """log(1 + visits)."""
        output: Tensor = network(batch["inputs"])[:, 0]
        return output

    @staticmethod
    def score(predictions: Tensor, examples: Examples) -> float:
        return rmse(predictions, examples)


def _cut(rows: np.ndarray, person: np.ndarray, at_least: int) -> tuple[np.ndarray, np.ndarray]:
    """The first rows, as many as asked for and then to the end of a person's, and the others."""
    end = at_least
    while end < len(rows) and person[rows[end]] == person[rows[end - 1]]:
        end += 1
    return rows[:end], rows[end:]


def _block(inputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, WIDTH), nn.LayerNorm(WIDTH), nn.ReLU())
