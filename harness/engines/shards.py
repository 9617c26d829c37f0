"""What each rank does on its own part of the weights, where all of them are sharded (ZeRO stage 3).

A weight that is partly frozen is held as one tensor instead of three, and a penalty that sums over weights sums over
parts: neither needs a weight that is whole beyond what the network itself needs. Otherwise a method with anchors would
gather every weight several times a step, and hold gradients of whole weights until the network's own arrive.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from harness.objective import Objective, PartlyFrozen, SquaredDistance, SquaredNorm

PENALTIES = (SquaredNorm, SquaredDistance)


@dataclass
class _Part:
    """One trained weight that is treated on its parts. fixed: whole, until it is sharded.

    Of this rank's part: frozen (where it must not move), held (what is there), terms (what penalties add).
    """

    weight: nn.Parameter
    fixed: Tensor | None = None
    start: int = 0
    length: int = 0
    frozen: Tensor | None = None
    held: Tensor | None = None
    in_place: bool = True
    bound: bool = False
    terms: list[_Term] = field(default_factory=list)

    def own(self, whole: Tensor) -> Tensor:
        """This rank's part of a tensor of the weight's shape, in memory of its own."""
        return whole.flatten()[self.start : self.start + self.length].clone()


class _Term(nn.Module):
    """A penalty's sum over the part of a weight that this rank has, times the number of ranks: they are averaged.

    Autograd only tells by what the penalty multiplies it (the gradient of `probe`); its own gradient is written down.
    """

    def __init__(self, part: _Part, anchor: Tensor | None, ranks: int) -> None:
        super().__init__()
        self.part = (part,)  # in a tuple: its weight is not this module's
        self.anchor = None if anchor is None else (anchor,)
        self.ranks = ranks
        self.probe: Tensor | None = None

    def forward(self) -> Tensor:
        (part,) = self.part
        if not part.bound:
            return torch.zeros(())
        if self.probe is None:
            self.probe = torch.zeros((), device=part.weight.device, requires_grad=True)
        with torch.no_grad():
            values = _master(part.weight)[: part.length]
            values = values if self.anchor is None else values - self.anchor[0]
            values = values if part.frozen is None else values * ~part.frozen
            total = self.ranks * values.square().sum()
        return total + self.probe

    def add_gradient(self, own: Tensor) -> None:
        """Add it to the gradient of this rank's part, and begin anew. Shapes: own (elements,)."""
        (part,) = self.part
        if self.probe is not None and self.probe.grad is not None:
            factor = 2 * self.probe.grad
            own.addcmul_(_master(part.weight)[: part.length], factor)
            if self.anchor is not None:
                own.addcmul_(self.anchor[0], factor, value=-1)
        self.probe = None


class Shards:
    """The partly frozen weights and penalties of an objective, which is changed in place to be sharded."""

    def __init__(self, objective: Objective, ranks: int) -> None:
        self.parts: dict[int, _Part] = {}
        self.renamed: dict[str, _Part] = {}
        summed = {id(module.weight) for module in objective.modules() if isinstance(module, PENALTIES)}
        for name, module in list(objective.named_modules()):
            if parametrize.is_parametrized(module):
                self._hold_as_one(name, module, summed)
        for name, module in list(objective.named_modules()):
            if type(module) in PENALTIES and _trains(module.weight):
                weight: Any = module.weight
                part = self.parts.setdefault(id(weight), _Part(weight))
                anchor = module.anchor.detach() if isinstance(module, SquaredDistance) else None
                part.terms.append(_Term(part, anchor, ranks))
                objective.set_submodule(name, part.terms[-1])

    def _hold_as_one(self, name: str, module: nn.Module, summed: set[int]) -> None:
        """Put one parameter in the place of each weight of a module, if all that is made is made by PartlyFrozen.

        summed: identities of the weights that penalties sum over.
        """
        made: dict[str, Any] = dict(module.parametrizations.items())  # type: ignore[operator,union-attr]
        if not all(len(by) == 1 and isinstance(by[0], PartlyFrozen) and _trains(by.original) for by in made.values()):
            return
        if any(id(by.original) in summed and bool(by.original[by[0].fixed].any()) for by in made.values()):
            return  # a penalty sums over entries that the weight does not show
        weights = {leaf: nn.Parameter(getattr(module, leaf).detach().clone()) for leaf in made}
        module.__class__ = parametrize.type_before_parametrizations(module)
        del module.parametrizations
        for leaf, weight in weights.items():
            module.register_parameter(leaf, weight)
            part = _Part(weight, made[leaf][0].fixed.detach())
            self.parts[id(made[leaf].original)] = part
            self.renamed[f"{name}.parametrizations.{leaf}.original"] = part

    def bind(self, rank: int, optimizer: torch.optim.Optimizer, device: torch.device) -> None:
        """Take this rank's part of everything, now that the weights are sharded."""
        for part in self.parts.values():
            local = _master(part.weight)
            size = part.weight.ds_numel  # type: ignore[attr-defined]
            part.start = min(rank * len(local), size)
            part.length = min(len(local), size - part.start)
            part.bound = True
            part.in_place = local.data_ptr() == _master(part.weight).data_ptr()
            if part.fixed is not None:
                part.frozen, part.fixed = part.own(part.fixed).to(device), None
                part.held = local[: part.length][part.frozen]
            for term in part.terms:
                if term.anchor is not None:
                    term.anchor = (part.own(term.anchor[0]).to(local),)
        optimizer.register_step_post_hook(lambda *_: self._put_back())

    @torch.no_grad()
    def _put_back(self) -> None:
        """Decay and momentum move what has no gradient: fixed entries are written again, before anybody reads them."""
        from deepspeed.utils import safe_set_local_fp32_param

        for part in self.parts.values():
            if part.frozen is None or part.held is None:
                continue
            local = _master(part.weight)
            local[: part.length].masked_scatter_(part.frozen, part.held)
            if not part.in_place:
                safe_set_local_fp32_param(part.weight, local)

    @torch.no_grad()
    def finish_gradients(self) -> None:
        """Between backward and step: nothing for fixed entries, and the penalties' gradients."""
        from deepspeed.utils import safe_get_local_grad, safe_set_local_grad

        for part in self.parts.values():
            gradient = safe_get_local_grad(part.weight)
            own = gradient.flatten()[: part.length]
            for term in part.terms:
                term.add_gradient(own)
            if part.frozen is not None:
                own.masked_fill_(part.frozen, 0.0)
            safe_set_local_grad(part.weight, gradient)

    def whole(self, objective: Objective, name: str, value: Tensor, exact: bool) -> Tensor:
        """What the original objective's parametrized weight holds in itself, given the one that stood in its place.

        Raises: RuntimeError if a fixed entry has moved; to be seen where all is float32, `exact`.
        """
        by: Any = objective.get_submodule(name.removesuffix(".original"))
        fixed = by[0].fixed.to(value.device)
        expected = value.new_zeros(()) if by[0].value is None else by[0].value.to(value.device)
        if exact and not torch.equal(value.masked_fill(~fixed, 0.0), torch.where(fixed, expected, 0.0)):
            raise RuntimeError(f"entries of {name} that are fixed have moved")
        return torch.where(fixed, by.original.detach().to(value.device), value)


class _Read(dict[str, Any]):
    """A module's parameters, which writes down those that are read while no forward of the module itself runs."""

    def __init__(self, module: nn.Module, running: list[nn.Module], found: list[Tensor]) -> None:
        super().__init__(module._parameters)
        self.module, self.running, self.found = module, running, found

    def _seen(self, value: Any) -> Any:
        if isinstance(value, Tensor) and not (self.running and self.running[-1] is self.module):
            self.found.append(value)
        return value

    def __getitem__(self, name: str) -> Any:
        return self._seen(super().__getitem__(name))

    def items(self) -> Any:
        return [(name, self._seen(value)) for name, value in super().items()]

    def values(self) -> Any:
        return [self._seen(value) for value in super().values()]


@torch.no_grad()
def read_outside(objective: Objective) -> list[Tensor]:
    """The weights that the penalty of an objective, not sharded yet, reads otherwise than by running their modules.

    Sharded, nobody would gather them for the backward pass.
    """
    if type(objective).penalty is Objective.penalty:
        return []
    running: list[nn.Module] = []
    found: list[Tensor] = []

    def leave(*_: Any) -> None:
        running.pop()

    modules = list(objective.modules())
    held = [module._parameters for module in modules]
    hooks = [
        nn.modules.module.register_module_forward_pre_hook(lambda module, _: running.append(module)),
        nn.modules.module.register_module_forward_hook(leave),
    ]
    try:
        for module in modules:
            module._parameters = _Read(module, running, found)
        objective.penalty()
    finally:
        for module, parameters in zip(modules, held, strict=True):
            module._parameters = parameters
        for hook in hooks:
            hook.remove()
    return found


def forget_gradients(optimizer: Any) -> None:
    """Set what DeepSpeed holds of the last step's gradients to 0: of a weight that gets none now it would stay."""
    buffers = [getattr(optimizer, "grad_partitions_flat_buffer", None)]
    buffers += [flat.grad for flat in optimizer.fp32_partitioned_groups_flat]
    for buffer in buffers:
        if buffer is not None:
            buffer.zero_()


def _trains(weight: Any) -> bool:
    return isinstance(weight, nn.Parameter) and weight.requires_grad


def _master(weight: nn.Parameter) -> Tensor:
    """This rank's part of a weight as the optimizer holds it, in float32. Shapes: (elements,), with padding."""
    from deepspeed.utils import safe_get_local_fp32_param

    local: Tensor = safe_get_local_fp32_param(weight)
    return local
