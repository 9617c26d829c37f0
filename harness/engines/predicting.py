"""Predictions of networks of one structure by one forward over the stack of their weights."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from harness import data
from harness.draws import own_draws
from harness.engines.computation import FEWEST, padded, stack
from harness.engines.tails import Tails
from harness.evaluate import Predict

EVALUATED_AT_ONCE = 256
"""Examples of one lane in one forward of an evaluation. Fixed, so that no score depends on how many lanes there are."""


class _Predictor(nn.Module):
    """A network whose forward is the task's `predict`."""

    def __init__(self, predict: Predict, network: nn.Module) -> None:
        super().__init__()
        self.predict, self.network = predict, network

    def forward(self, batch: data.Examples) -> Tensor:
        return self.predict(self.network, batch)


@torch.no_grad()
def predict_in_lanes(asked: Sequence[tuple[Predict, nn.Module, data.Examples]]) -> list[tuple[Tensor, float]]:
    """Predictions of networks of one structure for examples of one shape, each with its share of the seconds.

    Raises: what the networks raise.
    """
    started = time.perf_counter()
    with Tails(FEWEST) as tails:
        _predict(padded(list(asked[:1]), 0), last=EVALUATED_AT_ONCE)
    whole = _predict(padded(list(asked), tails.extra))
    if whole.is_cuda:
        torch.cuda.synchronize(whole.device)
    share = (time.perf_counter() - started) / len(asked)
    return [(mine, share) for mine in whole.unbind()[: len(asked)]]


def _predict(asked: Sequence[tuple[Predict, nn.Module, data.Examples]], last: int | None = None) -> Tensor:
    """Predictions for the examples up to `last`. Shapes: (networks, examples, ...)."""
    predictor = _Predictor(*asked[0][:2])
    networks = [dict((*network.named_parameters(), *network.named_buffers())) for _, network, _ in asked]
    states = {f"network.{name}": stack(networks, name) for name in networks[0]}
    sets = [examples for *_, examples in asked]
    fast = torch.backends.mha.get_fastpath_enabled()  # kernels of whole transformer layers, which are no lanes
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        return _over_chunks(predictor, states, sets, last)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def _over_chunks(
    predictor: _Predictor, states: dict[str, Tensor], sets: Sequence[data.Examples], last: int | None
) -> Tensor:
    def one(state: dict[str, Tensor], batch: data.Examples) -> Tensor:
        with own_draws(torch.tensor(0), in_lanes=True):
            predicted: Tensor = functional_call(predictor, state, (batch,))
        return predicted

    predicted = []
    for start in range(0, min(data.size(sets[0]), last or data.size(sets[0])), EVALUATED_AT_ONCE):
        rows = slice(start, start + EVALUATED_AT_ONCE)
        batch = {name: torch.stack([examples[name][rows] for examples in sets]) for name in sets[0]}
        predicted.append(vmap(one)(states, batch))
    return torch.cat(predicted, 1)
