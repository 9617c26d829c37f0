"""Scores of a network, from a task's pure functions."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from harness.data import Examples, size

Predict = Callable[[nn.Module, Examples], Tensor]
Score = Callable[[Tensor, Examples], float]
Predictions = Callable[[Predict, nn.Module, Examples], Tensor]

BATCH = 1024


def predictions(predict: Predict, network: nn.Module, examples: Examples) -> Tensor:
    """The network's predictions for every example, without gradients, in eval mode. First dimension the examples'."""
    network.eval()
    with torch.no_grad():
        starts = range(0, size(examples), BATCH)
        batches = ({name: tensor[start : start + BATCH] for name, tensor in examples.items()} for start in starts)
        return torch.cat([predict(network, batch) for batch in batches])


def native_score(
    predict: Predict, score: Score, network: nn.Module, examples: Examples, predicted: Predictions = predictions
) -> float:
    """The task's metric in native units over all examples; `predicted` is how they are run through the network."""
    return float(score(predicted(predict, network, examples), examples))


def signed_score(
    predict: Predict,
    score: Score,
    higher_is_better: bool,
    predicted: Predictions,
    network: nn.Module,
    examples: Examples,
) -> float:
    """The task's metric, negated where lower is better."""
    native = native_score(predict, score, network, examples, predicted)
    return native if higher_is_better else -native
