"""PAC: Prune, Allocate, Calibrate."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from harness.errors import Diverged
from harness.method import Choice, Fit, LogUniform, Method, Objective, Problem, setting
from harness.objective import within
from methods.pac_objectives import MASK, AllocateObjective, CalibrateObjective, is_bias, maskable, owner
from methods.pac_selection import Importances, essential


@dataclass(frozen=True)
class Allocated(Method):
    """What PAC and its controls share: a source network of which `prune_ratio` of the weights is 0, trained so.

    After `prepare` the mask of each maskable weight lies beside it, in a buffer.
    """

    needs_source_data = True
    does_without_source_data = True
    prepare_fields = ("prune_ratio", "threshold", "iterations", "allocate_fraction", "biases")
    space = {"learning_rate_factor": LogUniform(0.1, 10.0), "prune_ratio": Choice(0.5, 0.65, 0.8, 0.9)}

    prune_ratio: float = setting(0.8, low=0.0, high=1.0)
    threshold: str = setting("global", options=("global", "layer"))
    iterations: int = setting(1, low=1, high=100)
    allocate_fraction: float = setting(0.5, low=0.0)
    biases: str = setting("frozen", options=("frozen", "trained", "pruned"))

    def importance(self, weight: Tensor, kept: Tensor) -> Tensor:
        """What decides which weights are essential: the magnitude. Made several times, from the same torch draws.

        Shapes: as the weight; kept: true if not pruned.
        """
        return weight.abs()

    def prepare(self, network: nn.Module, source: Problem, fit: Fit) -> nn.Module:
        """Prune, then Allocate: train what is left on the source; in as many rounds as `iterations` says."""
        weights = {name: weight for name, _, _, weight in maskable(network, self.biases == "pruned")}
        masks = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in weights.items()}
        if self.prune_ratio > 0:
            for ratio, steps in self._rounds(round(self.allocate_fraction * source.steps)):
                masks = self._pruned(network, masks, ratio)
                objective = AllocateObjective(network, source.loss, masks)
                if source.train and fit([objective], source.train, steps)[0].diverged:
                    raise Diverged("Allocate: the loss on the source became NaN or infinite")
                network = objective.finish()
        for name, mask in masks.items():
            module, leaf = owner(network, name)
            module.register_buffer(leaf + MASK, mask)
        return network

    def _rounds(self, steps: int) -> list[tuple[float, int]]:
        """Ratio pruned after each round, each pruning the same share of what is left, and the round's steps."""
        rounds, last = [], self.iterations
        for number in range(1, last + 1):
            ratio = self.prune_ratio if number == last else 1 - (1 - self.prune_ratio) ** (number / last)
            rounds.append((ratio, number * steps // last - (number - 1) * steps // last))
        return rounds

    def _pruned(self, network: nn.Module, kept: dict[str, Tensor], ratio: float) -> dict[str, Tensor]:
        """The essential weights among those kept so far; what is pruned once stays pruned."""

        def ranked(name: str) -> Tensor:
            importance = self.importance(network.get_parameter(name).detach(), kept[name])
            return importance.masked_fill(~kept[name], float("-inf"))

        return essential(Importances(kept, ranked), ratio, self.threshold)

    def planned_steps(self, steps: int, source_steps: int, blocks: int) -> int:
        return steps + round(self.allocate_fraction * source_steps)


@dataclass(frozen=True)
class PAC(Allocated):
    """PAC: keep the largest source weights for the source, give the rest to the target.

    Equation: m_i = 1 where |w_i| is among the largest (1 - ratio); Allocate: argmin L_source(m * w);
    Calibrate: argmin over the weights with m = 0 of L_target + lambda * sum over m=0 of w_i^2, from 0, the rest fixed.
    Source: Myung et al., PAC-Net, ICML 2022, arXiv 2206.05703; ratio 0.8, lambda 0.01.
    Deviations and open points: no code was released. Decided here: the threshold is global (`threshold="layer"` gives
    one per kernel), pruning one-shot (`iterations` above 1 prunes and allocates in rounds, which share Allocate's
    steps), lambda without a factor 1/2. Kernels (two or more dimensions) are maskable; biases and normalisation train
    in Allocate and are frozen in Calibrate, so that the source model can be recovered. `biases="trained"` trains biases
    on the target as well, and nothing is recovered; `biases="pruned"` makes them maskable like kernels. A head of the
    same label space is an ordinary kernel; a new one trains fully under its own `head_penalty`. Allocate takes
    `allocate_fraction` of the source model's steps; at ratio 0 nothing was pruned and Allocate is skipped. The
    optimizer is the task's, fresh in each phase. Where there is only a checkpoint and nothing of its source, Allocate
    takes no step, as in `pac_no_allocate`; with data that stand in for the source it trains on these. Dead units are
    counted where the layers form a chain.
    """

    name = "pac"
    version = "1"
    paper = "Myung et al., ICML 2022, arXiv 2206.05703"
    space = {**Allocated.space, "penalty": LogUniform(0.0001, 0.1)}

    penalty: float = setting(0.01, low=0.0)
    head_penalty: float = setting(0.01, low=0.0)

    def adapt(self, network: nn.Module, target: Problem, fit: Fit) -> Objective:
        """Calibrate: free weights train from 0, everything else of the backbone is frozen."""
        masks = taken_masks(network)
        head = [name for name, *_ in maskable(network, with_biases=False) if name not in masks]
        for name, parameter in network.named_parameters():
            free = self.biases == "trained" and is_bias(name.rpartition(".")[2])
            parameter.requires_grad_(free or (target.new_head and within(name, target.head)))
        recoverable = self.biases != "trained"
        return CalibrateObjective(network, target.loss, masks, head, self.penalty, self.head_penalty, recoverable)


def taken_masks(network: nn.Module) -> dict[str, Tensor]:
    """The masks that `prepare` left beside the weights, taken away from there; a new head has none."""
    masks = {}
    for name, module, leaf, _ in maskable(network, with_biases=True):
        if hasattr(module, leaf + MASK):
            masks[name] = getattr(module, leaf + MASK)
            delattr(module, leaf + MASK)
    return masks
