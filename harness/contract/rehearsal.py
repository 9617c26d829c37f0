"""One trial of a method on a tiny problem, as `harness/trial.py` runs it, with all kept that checks ask about."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from harness import process, seeds
from harness.contract.problem import SOURCE_STEPS, STEPS, TinyProblem
from harness.contract.watch import Seeding, optimizer_steps, own_modules, random_states, seedings
from harness.data import Examples, content_hash
from harness.data import copy as copied
from harness.draws import own_draws
from harness.engines.plain import Plain
from harness.fit import Engine, Fit, Fitted
from harness.method import Method
from harness.objective import Objective, PartlyFrozen

KEY = "a key"


@dataclass
class Rehearsal:
    """What a method did on a problem.

    start: the untrained or source network, prepared; handed: the parameters that `adapt` is given; before: parameters
    and buffers of the objective before its training; losses: over all target examples, before and after.
    random: states of the global generators by moment; steps: of all trainings together; touched: whether examples were
    changed in place; own_steps: of optimizers that are not the harness's.
    """

    problem: TinyProblem
    start: dict[str, Tensor]
    handed: dict[str, Tensor]
    objective: Objective
    before: dict[str, Tensor]
    losses: tuple[float, float]
    fitted: Fitted
    steps: int
    touched: bool
    random: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    seeded: list[Seeding] = field(default_factory=list)
    own_steps: int = 0

    def trained(self) -> list[str]:
        """Names of the parameters that train."""
        return [name for name, parameter in self.objective.named_parameters() if parameter.requires_grad]

    def moved(self) -> int:
        """How many entries of the parameters that train are others than before; what lies under `PartlyFrozen` where it
        is fixed has no effect, and does not count."""
        count = 0
        for name in self.trained():
            moves = self.objective.get_parameter(name) != self.before[name]
            for mask in self.objective.get_submodule(name.rpartition(".")[0]).modules():
                if isinstance(mask, PartlyFrozen) and name.endswith(".original"):
                    moves = moves & ~mask.fixed
            count += int(moves.sum())
        return count

    def draws_in_training(self) -> bool:
        """Whether the objective draws from torch's global generator while it trains; dropout has draws of its own."""
        tried, drawn = copy.deepcopy(self.objective).train(), torch.tensor(0)
        with process.kept(), seeds.seeded(KEY, "look"), own_draws(drawn):
            before = torch.get_rng_state()
            tried(copied(self.problem.target))
            return not torch.equal(before, torch.get_rng_state())

    def moved_by_adapt(self) -> int:
        """How many entries of the network `adapt` itself made others, where they do not train after it.

        A parametrized weight has another name than the one handed over, and is left out.
        """
        trained, count = set(self.trained()), 0
        for name, before in self.handed.items():
            after = self.before.get(f"network.{name}")
            if after is not None and after.shape == before.shape and f"network.{name}" not in trained:
                count += int((after != before).sum())
        return count

    def finished(self) -> dict[str, Tensor]:
        """The finished network's state."""
        return state(self.objective.finish())


def rehearse(
    method: Method,
    problem: TinyProblem,
    *,
    key: str = KEY,
    order_seed: int = 7,
    engine: Engine | None = None,
    watched: bool = False,
    steps: int = STEPS,
) -> Rehearsal:
    """Prepare, adapt and train. Random draws depend on `key` alone, the batches on `order_seed`.

    engine: the plain one where none is given. watched: keep random states and what the method seeds.
    Raises: whatever the method raises.
    """
    engine = engine or Plain()
    moments: dict[str, tuple[Any, ...]] = {}
    watch = seedings(own_modules(type(method)) if watched else [])
    with process.kept(), seeds.seeded(key, "trial"), watch as found, optimizer_steps() as own_steps:
        network, prepare_steps, touched = _prepared(method, problem, key, engine, moments)
        start = state(network)
        if problem.new_head:
            with seeds.seeded("the same for every method", "head"):
                network.set_submodule(problem.head, problem.fresh_head())
        handed = {name: weight.detach().clone() for name, weight in network.named_parameters()}
        view = problem.view(problem.target, problem.new_head, steps)
        fit = Fit(engine, problem.recipe, order_seed, steps, method.learning_rate_factor)
        with seeds.seeded(key, "adapt"):
            objective = method.adapt(network, view, fit)
            if not isinstance(objective, Objective):
                raise TypeError(f"adapt returned {type(objective).__name__}; expected an Objective")
            before = {name: tensor.detach().clone() for name, tensor in _tensors(objective).items()}
            first = _loss(objective, problem.target)
            (fitted,) = fit([objective], view.train)
            moments["after adapt and training"] = random_states()
    touched = touched or _hash(view.train) != _hash(problem.target)
    losses = (first, _loss(objective, problem.target))
    steps_taken = prepare_steps + fit.steps_taken
    return Rehearsal(
        problem,
        start,
        handed,
        objective,
        before,
        losses,
        fitted,
        steps_taken,
        touched,
        moments,
        list(found),
        len(own_steps),
    )


def prepared(method: Method, problem: TinyProblem, key: str = KEY) -> dict[str, Tensor]:
    """The state of the network after `prepare` alone."""
    with process.kept(), seeds.seeded(key, "trial"):
        network, *_ = _prepared(method, problem, key, Plain(), {})
    return state(network)


def prepares(method: Method) -> bool:
    """Whether the method works on the source model before it sees the target."""
    return method.pretrained and type(method).prepare is not Method.prepare


def _prepared(
    method: Method, problem: TinyProblem, key: str, engine: Engine, moments: dict[str, tuple[Any, ...]]
) -> tuple[nn.Module, int, bool]:
    """The network that the trial starts from, the steps that took, and whether source examples were changed."""
    if not method.pretrained:
        with seeds.seeded(key, "initial weights"):
            return problem.untrained(), 0, False
    network = copy.deepcopy(problem.network).train()
    if not prepares(method):
        return network, 0, False
    examples: Examples = problem.source if method.needs_source_data else {}
    view = problem.view(examples, False, SOURCE_STEPS)
    fit = Fit(engine, problem.recipe, 7, SOURCE_STEPS)
    with seeds.seeded(key, "prepare"):
        network = method.prepare(network, view, fit)
        moments["after prepare"] = random_states()
    if not isinstance(network, nn.Module):
        raise TypeError(f"prepare returned {type(network).__name__}; expected a network")
    return network, fit.steps_taken, _hash(view.train) != _hash(examples)


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def _loss(objective: Objective, examples: Examples) -> float:
    """Over all examples, without dropout, on a copy: looking must not change what is looked at."""
    looked_at = copy.deepcopy(objective)
    looked_at.eval()
    with torch.no_grad(), seeds.seeded("loss", "look"):
        return float(looked_at(copied(examples)))


def _hash(examples: Examples) -> str:
    return content_hash({"": examples})


def state(network: nn.Module) -> dict[str, Tensor]:
    """A copy of the network's parameters and buffers."""
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """Bitwise equal under the same names."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def digest(tensors: dict[str, Tensor]) -> str:
    """A hash of tensors under their names."""
    return content_hash({"": tensors})
