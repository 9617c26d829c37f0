"""Linear probe: train the output layer only."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from harness.method import Fit, LogUniform, Method, Objective, Problem
from harness.objective import train_only


@dataclass(frozen=True)
class LinearProbe(Method):
    """Linear probe: the backbone stays the source model's, only the head trains.

    Equation: h* = argmin L_target(b_S, h), backbone b fixed.
    Source: Alain and Bengio, 2016, arXiv 1610.01644.
    Deviations and open points: where the label space is the source's, the source's head is the starting point. The
    backbone runs in training mode if it has dropout; built-in networks have none.
    """

    name = "linear_probe"
    version = "1"
    paper = "Alain and Bengio 2016, arXiv 1610.01644"
    space = {"learning_rate_factor": LogUniform(0.3, 30.0)}

    def adapt(self, network: nn.Module, target: Problem, fit: Fit) -> Objective:
        return Objective(train_only(network, target.head), target.loss)
