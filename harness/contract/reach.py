"""What references lead to: whether memory is shared, and whether something that must not be seen can be."""

from __future__ import annotations

import gc
import types
from collections.abc import Iterable, Iterator

import numpy as np
from torch import Tensor, nn


def reachable(roots: Iterable[object], into_globals: bool = False) -> list[object]:
    """Every object that references lead to, without entering modules, classes and the globals of functions.

    into_globals: the globals that a function's code names are entered too, and classes among them that are not of a
    library, so that whatever a function may read is found.
    """
    found: dict[int, object] = {}
    todo = list(roots)
    while todo:
        item = todo.pop()
        if id(item) in found or isinstance(item, types.ModuleType | types.FrameType):
            continue
        if isinstance(item, type) and not (into_globals and _is_own(item)):
            continue
        found[id(item)] = item
        if isinstance(item, types.FunctionType):
            todo += [item.__closure__, item.__defaults__, item.__kwdefaults__, item.__dict__]
            todo += list(_named_globals(item)) if into_globals else []
        elif isinstance(item, type):  # what it holds; its functions are read where they are called
            kinds = (types.FunctionType, staticmethod, classmethod, property)
            todo += [value for value in vars(item).values() if not isinstance(value, kinds)]
        else:
            todo += gc.get_referents(item)
        if isinstance(item, Tensor) and item._base is not None:
            todo.append(item._base)
    return list(found.values())


def _is_own(cls: type) -> bool:
    return cls.__module__.partition(".")[0] not in ("builtins", "torch", "numpy", "harness", "typing", "collections")


def _named_globals(function: types.FunctionType) -> Iterator[object]:
    """The globals whose names a function's code, or a function inside it, mentions."""
    codes = [function.__code__]
    while codes:
        code = codes.pop()
        codes += [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
        for name in code.co_names:
            value = function.__globals__.get(name)
            top = getattr(value, "__module__", None) or ""
            if value is not None and top.partition(".")[0] not in ("torch", "numpy", "harness", "builtins"):
                yield value


def alias(objective: nn.Module) -> tuple[str, str] | None:
    """Something frozen that shares memory with a trained weight, in words, and that weight's name; None if nothing."""
    trained = {_place(p): name for name, p in objective.named_parameters() if p.requires_grad and p.numel()}
    weights = {id(p) for p in objective.parameters() if p.requires_grad}
    named = (*objective.named_parameters(remove_duplicate=False), *objective.named_buffers(remove_duplicate=False))
    for name, tensor in named:
        if id(tensor) not in weights and tensor.numel() and _place(tensor) in trained:
            return repr(name), trained[_place(tensor)]
    ranges = [(p.data_ptr(), p.data_ptr() + p.nbytes, name) for name, p in objective.named_parameters()]
    for item in reachable([objective]):
        if isinstance(item, Tensor) and id(item) not in weights and item.numel() and _place(item) in trained:
            return f"a tensor of shape {tuple(item.shape)} that it holds beside its modules", trained[_place(item)]
        if isinstance(item, np.ndarray):
            start = item.__array_interface__["data"][0]
            for low, high, name in ranges:
                if low <= start < high:
                    return f"an array of shape {item.shape} that it holds", name
    return None


def held_elsewhere(objective: nn.Module) -> str | None:
    """The name of a trained weight that is held in a list, dict or closure beside the modules; None if none is."""
    weights = {id(p): name for name, p in objective.named_parameters() if p.requires_grad}
    modules = {id(module._parameters) for module in objective.modules()}
    for item in reachable([objective]):
        if isinstance(item, list | tuple | dict | types.CellType) and id(item) not in modules:
            for value in gc.get_referents(item):
                if id(value) in weights:
                    return weights[id(value)]
    return None


def _place(tensor: Tensor) -> int:
    try:
        return tensor.untyped_storage().data_ptr()
    except (NotImplementedError, RuntimeError):  # a kind of tensor without memory of its own
        return id(tensor)


def rows(tensor: Tensor) -> list[bytes]:
    """Each example's part of a tensor, as bytes. Shapes: (examples, ...)."""
    flat = tensor.detach().cpu().contiguous().reshape(len(tensor), -1).numpy()
    return [row.tobytes() for row in flat]
