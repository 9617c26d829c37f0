"""Checks of what a method trains: the objective, what stays frozen, and what is left at the end."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch

from harness.contract.check import Fault, NotChecked, said, values_of
from harness.contract.method_under_test import MethodUnderTest
from harness.contract.problem import SOURCE_STEPS, STEPS, with_recipe
from harness.contract.reach import alias, held_elsewhere
from harness.contract.rehearsal import prepares, rehearse, same, state
from harness.errors import Declined
from harness.method import Method
from harness.objective import Objective


def runs(under_test: MethodUnderTest) -> str | None:
    """It prepares, adapts and trains on every tiny problem, or declines with a reason."""
    declined = []
    for problem in under_test.problems:
        found = under_test.outcome(problem)
        if isinstance(found, Declined):
            if not str(found).strip():
                raise Fault(f"{problem.name}: declined without a reason", 'raise Declined("why")')
            declined.append(f"{problem.name} ({found})")
        elif isinstance(found, BaseException):
            mend = "run it there: MethodUnderTest(method).outcome(problem) holds the error with its traceback"
            raise Fault(f"{problem.name}: {said(found)}", mend)
        elif found.fitted.diverged or not np.isfinite(found.losses).all():
            raise Fault(f"{problem.name}: the loss is not finite", "look at the penalty and the learning-rate factor")
    if len(declined) == len(under_test.problems):
        raise NotChecked(f"declined everywhere: {'; '.join(declined)}. Give MethodUnderTest problems that it takes")
    return f"declined: {'; '.join(declined)}" if declined else None


def training(under_test: MethodUnderTest) -> str | None:
    """Training on the target lowers the objective."""
    idle = []
    for run in under_test.each():
        if not run.trained():
            idle.append(run.problem.name)
        elif not run.losses[1] < run.losses[0]:
            seen = f"{run.problem.name}: {run.losses[0]:.4g} before {STEPS} steps, {run.losses[1]:.4g} after"
            raise Fault(seen, "see that what should train has requires_grad and that the penalty does not outweigh it")
    return f"nothing trains on {'; '.join(idle)}" if idle else None


def frozen(under_test: MethodUnderTest) -> None:
    """What is not declared to train stays bitwise what it was; what is declared moves; under every optimizer."""
    ways: tuple[dict[str, Any], ...] = (
        {},
        {"optimizer": "adamw", "weight_decay": 0.1},
        {"optimizer": "sgd", "learning_rate": 1e-2},
    )
    for way in ways:
        for run in under_test.each():
            if way:
                run = rehearse(under_test.method, with_recipe(run.problem, **way))
            where = f"{run.problem.name}, {way.get('optimizer', 'adam')}"
            after = {**dict(run.objective.named_parameters()), **dict(run.objective.named_buffers())}
            trained = run.trained()
            for name, before in run.before.items():
                moved = name not in after or not torch.equal(after[name], before)
                if name not in trained and moved:
                    mend = "change no frozen weight and no buffer in place; let it train, or compute it anew"
                    raise Fault(f"{where}: {name!r} moves although it does not train", mend)
                if name in trained and not way and not moved:
                    mend = f"freeze it ({name}.requires_grad_(False)), or let the loss depend on it"
                    raise Fault(f"{where}: {name!r} is declared to train and never moves", mend)
            if run.moved() > run.objective.trained_entries():
                seen = f"{run.moved()} entries move, trained_entries() says {run.objective.trained_entries()}"
                raise Fault(f"{where}: {seen}", "hold frozen entries in a tensor of their own; weight decay moves all")


def counts(under_test: MethodUnderTest) -> str | None:
    """It says at most what it declares: trained entries, steps, remarks, and finite tensors to store."""
    from harness.trial import RESERVED  # it imports much that a method's test does not need

    method, short = under_test.method, {}
    for run in under_test.each():
        objective, where = run.objective, run.problem.name
        if run.own_steps:
            seen = f"{where}: {run.own_steps} steps by an optimizer of its own, which no row counts"
            raise Fault(seen, "train by the `fit` that prepare and adapt are handed")
        declared = sum(p.numel() for p in objective.parameters() if p.requires_grad)
        by_adapt, said = run.moved_by_adapt(), objective.trained_entries()
        if by_adapt and said < by_adapt + run.moved():
            seen = f"{where}: adapt moves {by_adapt} entries that do not train after it, training {run.moved()} more"
            mend = "count what adapt trains: override trained_entries()"
            raise Fault(f"{seen}; trained_entries() says {said}", mend)
        if not 0 <= said <= declared + by_adapt or bool(declared + by_adapt) != bool(said):
            seen = f"{where}: trained_entries() is {said}, {declared} are declared to train"
            raise Fault(seen, "count the entries that can move")
        planned = method.planned_steps(STEPS, SOURCE_STEPS, len(run.problem.blocks))
        if run.steps > planned:
            seen = f"{where}: {run.steps} steps taken, planned_steps() says at most {planned}"
            raise Fault(seen, "count every `fit` in planned_steps; `pacbench plan` estimates with it")
        remarks = objective.report()
        if not all(isinstance(text, str) for item in remarks.items() for text in item) or RESERVED & set(remarks):
            mend = f"report texts only, under names other than {values_of(sorted(RESERVED))}"
            raise Fault(f"{where}: report() gives {remarks!r}", mend)
        artifact = objective.artifact()
        if not all(t.isfinite().all() for t in artifact.values()) or (declared and not artifact):
            raise Fault(f"{where}: artifact() is empty or not finite", "give what rebuilds the finished network")
        if (stored := sum(tensor.numel() for tensor in artifact.values())) < said:
            short[where] = f"artifact() holds {stored} numbers, trained_entries() says {said}"
    first = next(iter(short.items()), None)
    return f"{first[0]}: {first[1]}; is that all that rebuilds the network?" if first else None


def given_things(under_test: MethodUnderTest) -> None:
    """Training examples and the networks of other trials stay as they were."""
    before = {problem.name: state(problem.network) for problem in under_test.problems}
    for run in under_test.each():
        if run.touched:
            raise Fault(f"{run.problem.name}: examples are changed in place", "copy what you change (tensor.clone())")
    for problem in under_test.problems:
        if not same(before[problem.name], state(problem.network)):
            raise Fault(f"{problem.name}: the source network of others is changed", "change only what is handed over")


def finish(under_test: MethodUnderTest) -> None:
    """finish() gives a plain network of the source's structure that computes what was trained, in memory of its own."""
    for run in under_test.each():
        where, objective, reference = run.problem.name, run.objective, run.problem.network
        before = _objective_state(objective)
        finished = objective.finish()
        if _shapes(finished) != _shapes(reference) or _kinds(finished) != _kinds(reference):
            mend = "fold adapters and masks into the weights; `Objective.finish` folds parametrizations"
            raise Fault(f"{where}: the finished network has another structure than the one handed over", mend)
        if finished.training:
            raise Fault(f"{where}: the finished network is in training mode", "call .eval() on it")
        objective.eval()
        mine, trained = (run.problem.computed(network) for network in (finished, objective.network))
        if not all(torch.allclose(one, other, atol=1e-4, rtol=1e-4) for one, other in zip(mine, trained, strict=True)):
            raise Fault(f"{where}: it computes something else than what was trained", "fold every part of a weight")
        with torch.no_grad():
            for parameter in finished.parameters():
                parameter.add_(1.0)
        if not same(before, _objective_state(objective)):
            raise Fault(f"{where}: it shares memory with the objective", "finish a copy (copy.deepcopy)")
        recovered = objective.recover()
        if recovered is not None and _shapes(recovered) != _shapes(reference):
            raise Fault(f"{where}: recover() gives another structure", "give back the source network, or None")


def _objective_state(objective: Objective) -> dict[str, torch.Tensor]:
    named = (*objective.named_parameters(), *objective.named_buffers())
    return {name: tensor.detach().clone() for name, tensor in named}


def _shapes(network: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def _kinds(network: torch.nn.Module) -> list[type]:
    return [type(module) for module in network.modules()]


def anchors(under_test: MethodUnderTest) -> None:
    """What is remembered of a weight is a copy: nothing frozen shares memory with a weight that trains."""
    mend = "copy it: weight.detach().clone(), as a frozen nn.Parameter or a buffer"
    for run in under_test.each():
        if found := alias(run.objective):
            raise Fault(f"{run.problem.name}: {found[0]} shares memory with {found[1]!r}, which trains", mend)
        held = held_elsewhere(run.objective) if run.trained() else None
        if held is not None and (penalty := run.objective.penalty()) is not None and not penalty.detach().any():
            seen = (
                f"{run.problem.name}: {held!r} itself is held beside the modules, and the penalty is 0 after training"
            )
            raise Fault(seen, mend)


def equation_test(under_test: MethodUnderTest) -> str:
    """A test of the identity that defines the paper: the checks above cannot know it."""
    mend = "write a test of the docstring's equation that turns red when the line that makes it true is deleted"
    for run in under_test.each():
        plain = rehearse(_PlainFineTuning(under_test.method.learning_rate_factor), run.problem)
        if under_test.method.pretrained and not prepares(under_test.method) and same(run.finished(), plain.finished()):
            return f"{run.problem.name}: it ends exactly where fine-tuning does; is its own part there? Then {mend}"
    return mend


@dataclasses.dataclass(frozen=True)
class _PlainFineTuning(Method):
    """The loss over all weights, to compare with."""

    name = "_plain_fine_tuning"
    version = "1"
    paper = "none"

    def adapt(self, network: torch.nn.Module, target: Any, fit: Any) -> Objective:
        return Objective(network, target.loss)
