"""L2-SP: fine-tuning that is pulled back to its starting point."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from harness.method import Fit, LogUniform, Method, Objective, Problem, setting
from harness.objective import Loss, kernels, within


class L2SPObjective(Objective):
    """Loss plus the distance to the start, plus the size of a new head.

    The anchors are frozen copies (never aliases) of the kernels at the start, in the order of `anchored`.
    """

    alpha: Tensor
    beta: Tensor

    def __init__(
        self, network: nn.Module, loss: Loss, anchored: list[str], shrunk: list[str], alpha: float, beta: float
    ) -> None:
        super().__init__(network, loss)
        weights = dict(network.named_parameters())
        self.anchored, self.shrunk = anchored, shrunk
        self.anchors = nn.ParameterList(
            nn.Parameter(weights[name].detach().clone(), requires_grad=False) for name in anchored
        )
        self.register_buffer("alpha", torch.tensor(alpha))
        self.register_buffer("beta", torch.tensor(beta))

    def penalty(self) -> Tensor:
        """alpha/2 * sum ||w - w0||^2 over anchored kernels + beta/2 * sum ||w||^2 over a new head's kernels."""
        zero = torch.zeros_like(self.alpha)
        anchors = zip(self.anchored, self.anchors, strict=True)
        distances = (mse_loss(self.weight(name), anchor, reduction="sum") for name, anchor in anchors)
        sizes = (self.weight(name).square().sum() for name in self.shrunk)
        distance, size = sum(distances, zero), sum(sizes, zero)
        return self.alpha / 2 * distance + self.beta / 2 * size


@dataclass(frozen=True)
class L2SP(Method):
    """L2-SP: fine-tuning with a quadratic penalty on the distance to the source model.

    Equation: L_target(w) + alpha/2 * ||w_b - w0_b||^2 + beta/2 * ||w_head||^2.
    Source: Li, Grandvalet and Davoine, ICML 2018, arXiv 1802.01483; alpha 0.1 and beta 0.01 in the authors' run.
    Deviations and open points: the penalty covers kernels (two or more dimensions) and neither biases nor
    normalisation, as in the authors' code. A head that keeps its label space is pulled to its start like the backbone.
    """

    name = "l2_sp"
    version = "1"
    paper = "Li, Grandvalet, Davoine, ICML 2018, arXiv 1802.01483"
    space = {"learning_rate_factor": LogUniform(0.1, 10.0), "alpha": LogUniform(0.001, 1.0)}

    alpha: float = setting(0.1, low=0.0)
    beta: float = setting(0.01, low=0.0)

    def adapt(self, network: nn.Module, target: Problem, fit: Fit) -> Objective:
        names = [name for name, *_ in kernels(network)]
        shrunk = [name for name in names if target.new_head and within(name, target.head)]
        anchored = [name for name in names if name not in shrunk]
        return L2SPObjective(network, target.loss, anchored, shrunk, self.alpha, self.beta)
