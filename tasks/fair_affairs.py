"""A survey of 1974 on marriage: from women with children to women without.

An example: rating of the marriage 3, age 27, married 6 years, religiosity 2, education 16, own occupation 4, the
husband's 5 (all standardised); target 1: she had an affair.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from harness.task import Datasets, Examples, Recipe, Task

SEED = 1978
SOURCE_TRAIN, TARGET_POOL = 3_000, 1_000
INPUTS = ["rate_marriage", "age", "yrs_married", "religious", "educ", "occupation", "occupation_husb"]
WIDTH = 32


@dataclass(frozen=True)
class FairAffairs(Task):
    """Fair's survey: what transfers is how seven answers bear on the odds of an affair.

    Data: the 6,366 real answers to a survey of Redbook magazine that statsmodels ships (Fair, A Theory of Extramarital
    Affairs, 1978). Source: women with children, 3,000 to train on and 952 to test on. Target: women without, a pool of
    1,000 and a test of 1,414. The number of children parts the domains and is no input. Inputs are standardised with
    the statistics of the source's training split. The metric is the log loss in nats per example.
    Shapes: inputs (examples, 7), float32; targets (examples,), float32 in {0, 1}. The network is an MLP with LayerNorm.
    """

    name = "fair_affairs"
    version = "1"
    metric = "log_loss"
    higher_is_better = False
    recipe = Recipe(learning_rate=1e-3, batch_size=64, schedule="cosine", source_steps=1000)

    def datasets(self) -> Datasets:
        from statsmodels.datasets import fair  # slow to import, needed here only

        table = fair.load_pandas().data
        # RandomState, because its streams never change between versions of numpy.
        order = np.random.RandomState(SEED).permutation(len(table))
        answers, affair = table[INPUTS].to_numpy()[order], table["affairs"].to_numpy()[order] > 0
        parent = table["children"].to_numpy()[order] > 0
        source, target = np.flatnonzero(parent), np.flatnonzero(~parent)
        known = answers[source[:SOURCE_TRAIN]]
        answers = (answers - known.mean(0)) / known.std(0)

        def examples(rows: np.ndarray) -> Examples:
            inputs, targets = answers[rows].astype(np.float32), affair[rows].astype(np.float32)
            return {"inputs": torch.from_numpy(inputs), "targets": torch.from_numpy(targets)}

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
