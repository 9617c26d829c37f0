"""Fine-tuning: train every weight of the source model on the target."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from harness.method import Fit, LogUniform, Method, Objective, Problem


@dataclass(frozen=True)
class FineTuning(Method):
    """Fine-tuning: minimise the target loss over all weights, starting from the source model.

    Equation: w* = argmin L_target(w), w(0) = w_S.
    Source: the common baseline; for instance Yosinski et al., 2014, arXiv 1411.1792.
    Deviations and open points: none; optimizer, batch size and number of steps belong to task and suite.
    """

    name = "fine_tuning"
    version = "1"
    paper = "Yosinski et al. 2014, arXiv 1411.1792"
    space = {"learning_rate_factor": LogUniform(0.1, 10.0)}

    def adapt(self, network: nn.Module, target: Problem, fit: Fit) -> Objective:
        return Objective(network, target.loss)
