"""Controls of PAC: each changes one thing of it, so that what its parts do can be told apart.

In a suite that holds PAC they take the configuration selected for it; on their own they are tuned like any method.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from harness.method import Fit, Objective, Problem, setting
from methods.pac import PAC, Allocated, taken_masks


@dataclass(frozen=True)
class PACRandomMask(PAC):
    """PAC with a random mask: does it matter that the essential weights are the largest?

    Equation: PAC's, with m a random permutation, within each kernel, of the mask of the largest weights.
    Source: a control of PAC (Myung et al., ICML 2022).
    Deviations and open points: every kernel keeps as many weights as under PAC, so that the spread over layers, which a
    threshold on magnitudes decides, is not what differs.
    """

    name = "pac_random_mask"
    control_of = "pac"

    def importance(self, weight: Tensor, kept: Tensor) -> Tensor:
        """The magnitudes, shuffled among the weights that are left."""
        magnitudes = weight.abs()
        among = magnitudes[kept]
        magnitudes[kept] = among[torch.randperm(len(among)).to(among.device)]
        return magnitudes


@dataclass(frozen=True)
class PACInvertedMask(PAC):
    """PAC with the inverted order: the largest weights are set to 0 and train, the smallest are kept.

    Equation: PAC's, with m_i = 1 where |w_i| is among the smallest (1 - ratio).
    Source: a control of PAC (Myung et al., ICML 2022).
    Deviations and open points: as many weights train as under PAC; the mask's complement would change that as well.
    """

    name = "pac_inverted_mask"
    control_of = "pac"

    def importance(self, weight: Tensor, kept: Tensor) -> Tensor:
        """The smaller the magnitude the more important."""
        return -weight.abs()


@dataclass(frozen=True)
class PACNoAllocate(PAC):
    """PAC without Allocate: Calibrate starts from the pruned source network as it is.

    Equation: PAC's, without the training on the source between mask and Calibrate.
    Source: a control of PAC (Myung et al., ICML 2022).
    Deviations and open points: biases and normalisation, which Allocate trains as well, stay the source model's.
    """

    name = "pac_no_allocate"
    control_of = "pac"

    allocate_fraction: float = setting(0.0, options=(0.0,))


@dataclass(frozen=True)
class PACNoPenalty(PAC):
    """PAC without penalty: nothing holds the free weights near 0.

    Equation: PAC's, with lambda = 0.
    Source: a control of PAC (Myung et al., ICML 2022).
    Deviations and open points: a new head keeps its own penalty.
    """

    name = "pac_no_penalty"
    control_of = "pac"
    prepared_as = "pac"
    space = Allocated.space

    penalty: float = setting(0.0, options=(0.0,))


@dataclass(frozen=True)
class FineTuningAllocated(Allocated):
    """Fine-tuning that starts from PAC's allocated network: PAC's extra steps on the source, without its mask.

    Equation: argmin over all weights of L_target, from m * w after Allocate.
    Source: a control of PAC (Myung et al., ICML 2022).
    Deviations and open points: every weight trains, those at 0 among them.
    """

    name = "fine_tuning_allocated"
    version = PAC.version
    paper = PAC.paper
    control_of = "pac"
    prepared_as = "pac"

    def adapt(self, network: nn.Module, target: Problem, fit: Fit) -> Objective:
        taken_masks(network)
        return Objective(network.requires_grad_(True), target.loss)
