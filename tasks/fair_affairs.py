"""A survey of 1974 on marriage: from women with more schooling to women with less.

An example: rating of the marriage 3, age 27, married 6 years, 1 child, religiosity 2, education 12, own occupation 4,
the husband's 5 (all standardised); target 1: she had an affair.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from harness.task import Datasets, Examples, Recipe, Task
from tasks.numerics import float32

SEED = 1978
SOURCE_TRAIN, TARGET_POOL = 3_000, 1_000
SCHOOL_YEARS = 12
INPUTS = ["rate_marriage", "age", "yrs_married", "children", "religious", "educ", "occupation", "occupation_husb"]
WIDTH = 32


@dataclass(frozen=True)
class FairAffairs(Task):
    """Fair's survey: what transfers is how eight answers bear on the odds of an affair.

    Data: the 6,366 real answers to a survey of Redbook magazine that statsmodels ships (Fair, A Theory of Extramarital
    Affairs, 1978). Source: women with more than 12 years of schooling, 3,000 to train on and 1,234 to test on. Target:
    women with at most 12, a pool of 1,000 and a test of 1,132. Every woman is in one split only; answers are coarse, so
    two women may have given the same. Inputs are standardised with the statistics of the source's training split. The
    metric is the log loss in nats per example, which is defined on the smallest validation split.
    Shapes: inputs (examples, 8), float32; targets (examples,), float32 in {0, 1}. The network is an MLP with LayerNorm:
    2,625 parameters.
    Anchors: 0.646 = scratch at n = 25, 0.559 = fine-tuning on the whole pool; means over ten seeds, 500 steps, plain
    engine (standard errors 0.015 and 0.002).
    """

    name = "fair_affairs"
    version = "1"
    metric = "log_loss"
    higher_is_better = False
    recipe = Recipe(learning_rate=5e-5, batch_size=32, schedule="cosine", source_steps=2500)

    def datasets(self) -> Datasets:
        from statsmodels.datasets import fair  # slow to import, needed here only

        table = fair.load_pandas().data
        # RandomState, because its streams never change between versions of numpy.
        order = np.random.RandomState(SEED).permutation(len(table))
        answers, affair = table[INPUTS].to_numpy()[order], table["affairs"].to_numpy()[order] > 0
        schooled = table["educ"].to_numpy()[order] > SCHOOL_YEARS
        source, target = np.flatnonzero(schooled), np.flatnonzero(~schooled)
        known = answers[source[:SOURCE_TRAIN]]
        answers = (answers - known.mean(0)) / known.std(0)

        def examples(rows: np.ndarray) -> Examples:
            return float32(inputs=answers[rows], targets=affair[rows])

        return Datasets(
            source_train=examples(source[:SOURCE_TRAIN]),
            source_test=examples(source[SOURCE_TRAIN:]),
            target_pool=examples(target[:TARGET_POOL]),
            target_test=examples(target[TARGET_POOL:]),
        )

    def network(self) -> nn.Module:
        return nn.Sequential(
            OrderedDict(
                block1=_block(len(INPUTS)), block2=_block(WIDTH), block3=_block(WIDTH), head=nn.Linear(WIDTH, 1)
            )
        )

    def anchors(self) -> tuple[float, float] | None:
        return 0.646, 0.559

    @staticmethod
    def loss(network: nn.Module, batch: Examples) -> Tensor:
        return nn.functional.binary_cross_entropy_with_logits(network(batch["inputs"])[:, 0], batch["targets"])

    @staticmethod
    def predict(network: nn.Module, batch: Examples) -> Tensor:
        """The log-odds of an affair."""
        output: Tensor = network(batch["inputs"])[:, 0]
        return output

    @staticmethod
    def score(predictions: Tensor, examples: Examples) -> float:
        return float(nn.functional.binary_cross_entropy_with_logits(predictions.double(), examples["targets"].double()))


def _block(inputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, WIDTH), nn.LayerNorm(WIDTH), nn.ReLU())
