"""Scratch: the floor that shows what the source model is worth."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from harness.method import Fit, LogUniform, Method, Objective, Problem


@dataclass(frozen=True)
class Scratch(Method):
    """No transfer: train an untrained network on the target alone.

    Equation: w* = argmin L_target(w), w(0) random.
    Source: the floor of every transfer study.
    Deviations and open points: the same number of steps as the transfer methods, so that updates are equal; a network
    trained from scratch might use more.
    """

    name = "scratch"
    version = "1"
    paper = "none (floor)"
    space = {"learning_rate_factor": LogUniform(0.1, 10.0)}
    pretrained = False

    def adapt(self, network: nn.Module, target: Problem, fit: Fit) -> Objective:
        return Objective(network, target.loss)
