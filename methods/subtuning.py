"""SubTuning: fine-tune the few blocks that a greedy search finds worth it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from harness.data import size, take
from harness.errors import Declined
from harness.method import Examples, Fit, LogUniform, Method, Objective, Problem, setting
from harness.objective import Loss, copy_to_train, train_only, within


class SubsetObjective(Objective):
    """The loss of a network of which only `chosen` modules train; the others run in eval mode."""

    bookkeeping = ("chosen",)

    def __init__(self, network: nn.Module, loss: Loss, chosen: tuple[str, ...]) -> None:
        super().__init__(train_only(network, *chosen), loss)
        self.chosen = chosen

    def train(self, mode: bool = True) -> SubsetObjective:
        """Training mode for the chosen modules only."""
        super().train(mode)
        for name, module in self.network.named_modules():
            if name and not any(within(name, prefix) or within(prefix, name) for prefix in self.chosen):
                module.eval()
        return self

    def report(self) -> dict[str, str]:
        return {"chosen_blocks": ",".join(self.chosen[1:])}


@dataclass(frozen=True)
class SubTuning(Method):
    """SubTuning: greedy forward selection of the blocks to train, each candidate trained from the source weights.

    Equation: S <- S + argmax over blocks b of score(fit(S + b)) while the gain exceeds epsilon; then train S and head.
    Source: Kaplun et al., 2023, arXiv 2302.06354, algorithm 1; code talswisa/SubTuning.
    Deviations and open points: the stop rule is the paper's (gain at most epsilon), not the code's (drop of more than
    epsilon). Scores here may be losses as well as accuracies, so epsilon is relative to the size of the best score.
    The score is cross-validated over `folds` on the training examples alone; `folds=1` is one holdout of a fifth.
    A candidate trains for `search_fraction` of the trial's steps; the paper trains each in full. Optimizer and
    schedule are the task's (AdamW with cosine in the paper). As in the paper the first block is always taken.
    """

    name = "subtuning"
    version = "1"
    paper = "Kaplun et al. 2023, arXiv 2302.06354"
    space = {"learning_rate_factor": LogUniform(0.1, 10.0)}

    folds: int = setting(5, low=1, high=20)
    search_fraction: float = setting(1.0, low=0.01, high=1.0)
    epsilon: float = setting(0.01, low=0.0)

    def adapt(self, network: nn.Module, target: Problem, fit: Fit) -> Objective:
        if not target.blocks:
            raise Declined("the network has no blocks besides its head")
        chosen: tuple[str, ...] = (target.head,)
        best = float("-inf")
        while len(chosen) <= len(target.blocks):
            candidates = [(*chosen, block) for block in target.blocks if block not in chosen]
            scores = self._score_round(candidates, network, target, fit)
            winner = scores.index(max(scores))
            if best > float("-inf") and scores[winner] - best <= self.epsilon * abs(best):
                break
            if scores[winner] == float("-inf"):
                break
            best, chosen = scores[winner], candidates[winner]
        return SubsetObjective(network, target.loss, chosen)

    def planned_steps(self, steps: int, source_steps: int, blocks: int) -> int:
        candidates = blocks * (blocks + 1) // 2
        return steps + round(self.search_fraction * steps) * self.folds * candidates

    def _score_round(
        self, candidates: list[tuple[str, ...]], network: nn.Module, target: Problem, fit: Fit
    ) -> list[float]:
        """The mean held-out score of each candidate over the folds; -inf if one of its trainings diverged."""
        totals = [0.0] * len(candidates)
        parts = folds(target.train, self.folds)
        for train, held_out in parts:
            objectives = [
                SubsetObjective(copy_to_train(network, *chosen), target.loss, chosen) for chosen in candidates
            ]
            results = fit(objectives, train, max(1, round(self.search_fraction * fit.steps)))
            for index, (objective, result) in enumerate(zip(objectives, results, strict=True)):
                score = float("-inf") if result.diverged else target.score(objective.finish(), held_out)
                totals[index] += score / len(parts)
        return totals


def folds(examples: Examples, count: int) -> list[tuple[Examples, Examples]]:
    """(train, held-out) pairs: every count-th example held out in turn; count 1 holds out every fifth, once.

    More folds than examples are cut down to one example each.
    """
    position = torch.arange(size(examples), device=next(iter(examples.values())).device)
    number = min(count, size(examples)) if count > 1 else 5
    held = [position % number == number - 1 - fold for fold in range(number if count > 1 else 1)]
    return [(take(examples, position[~mask]), take(examples, position[mask])) for mask in held]
