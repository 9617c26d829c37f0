"""What of a process a method's code can change for everybody who runs there after it, kept and put back.

Random state is not here: every trial draws from states of its own (see `harness.seeds`).
"""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FunctionType
from typing import Any

import numpy as np
import torch
from torch import nn

_CPU = torch.device("cpu")


def _working_folder() -> str | None:
    """None if it is gone."""
    with suppress(OSError):
        return os.getcwd()
    return None


def _change_folder(folder: str | None) -> None:
    with suppress(OSError):
        os.chdir(folder or "/")


def _handlers() -> list[Any]:
    return [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]


def _set_handlers(handlers: list[Any]) -> None:
    if threading.current_thread() is threading.main_thread():
        for number, handler in zip((signal.SIGINT, signal.SIGTERM), handlers, strict=True):
            if handler is not None:  # not set from Python, so Python cannot put it back
                signal.signal(number, handler)


def _filters() -> tuple[Any, list[Any]]:
    return warnings.filters, list(warnings.filters)


def _set_filters(held: tuple[Any, list[Any]]) -> None:
    warnings.filters = held[0]
    warnings.resetwarnings()  # tells the interpreter that its memory of what was shown is no longer valid
    held[0][:] = held[1]


def _below(kind: type) -> Iterator[type]:
    subclasses: list[type] = kind.__subclasses__()
    for below in subclasses:
        yield below
        yield from _below(below)


_PLACES: tuple[Any, ...] = (
    nn.functional,
    nn.Module,
    *dict.fromkeys(kind for kind in _below(nn.Module) if kind.__module__.startswith("torch.nn.modules")),
)
"""torch's functions, and its own kinds of modules, whose methods belong to everybody's networks."""


def _written(place: Any) -> dict[str, Any]:
    """All names of a module; of a class its methods, beside which Python keeps names of its own."""
    held = vars(place)
    return {name: value for name, value in held.items() if place is nn.functional or isinstance(value, FunctionType)}


def _functions() -> list[dict[str, Any]]:
    return [_written(place) for place in _PLACES]


def _set_functions(held: list[dict[str, Any]]) -> None:
    for place, before in zip(_PLACES, held, strict=True):
        for name in _written(place).keys() - before.keys():
            delattr(place, name)
        for name, value in before.items():
            if vars(place).get(name) is not value:
                setattr(place, name, value)


def _modes() -> list[Any]:
    """What overrides torch's functions (torch.overrides.TorchFunctionMode), outermost first."""
    return [torch._C._get_function_stack_at(place) for place in range(torch._C._len_torch_function_stack())]


def _set_modes(held: list[Any]) -> None:
    while torch._C._len_torch_function_stack():
        torch._C._pop_torch_function_stack()
    for mode in held:
        torch._C._push_on_torch_function_stack(mode)


def _set_streams(held: tuple[Any, Any]) -> None:
    sys.stdout, sys.stderr = held


_LIMITS = (resource.RLIMIT_DATA, resource.RLIMIT_AS, resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE)


def _set_limits(held: list[tuple[int, int]]) -> None:
    for kind, limits in zip(_LIMITS, held, strict=True):
        with suppress(OSError, ValueError):  # who lowered a hard limit may not raise it again, unless they are root
            resource.setrlimit(kind, limits)


_Settings = tuple[tuple[Callable[[], Any], Callable[[Any], object]], ...]

_COMPUTING: _Settings = (
    (torch.is_grad_enabled, torch.set_grad_enabled),
    (torch.get_default_dtype, torch.set_default_dtype),
    # None, not the CPU: a default device that is set slows every call.
    (torch.get_default_device, lambda device: torch.set_default_device(None if device == _CPU else device)),
    (_modes, _set_modes),
    (_functions, _set_functions),
    (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    (
        lambda: (torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()),
        lambda held: torch.use_deterministic_algorithms(held[0], warn_only=held[1]),
    ),
    (lambda: torch.backends.cudnn.benchmark, lambda on: setattr(torch.backends.cudnn, "benchmark", on)),
    (lambda: torch.backends.cudnn.deterministic, lambda on: setattr(torch.backends.cudnn, "deterministic", on)),
    (lambda: torch.backends.mkldnn.enabled, torch.backends.mkldnn.set_flags),
    (lambda: sys.float_info.min / 2 == 0.0, torch.set_flush_denormal),
    (
        lambda: [torch.is_autocast_enabled(kind) for kind in ("cpu", "cuda")],
        lambda held: [torch.set_autocast_enabled(kind, on) for kind, on in zip(("cpu", "cuda"), held, strict=True)],
    ),
)
"""What can change the numbers of a training: how it is read and written."""

_SETTINGS: _Settings = (
    *_COMPUTING,
    (torch.get_num_threads, torch.set_num_threads),
    (
        lambda: (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()),
        lambda held: torch.set_anomaly_enabled(*held),
    ),
    (np.geterr, lambda held: np.seterr(**held)),
    (_filters, _set_filters),
    (lambda: (sys.stdout, sys.stderr), _set_streams),
    (asyncio._get_running_loop, asyncio._set_running_loop),
    (lambda: [resource.getrlimit(kind) for kind in _LIMITS], _set_limits),
    (gc.isenabled, lambda on: gc.enable() if on else gc.disable()),
    (sys.getrecursionlimit, sys.setrecursionlimit),
    (_working_folder, _change_folder),
    (_handlers, _set_handlers),
)
"""How each setting is read and written."""


def settings() -> list[Any]:
    """The settings as they are now."""
    return [read() for read, _ in _SETTINGS]


def computes_otherwise(held: list[Any]) -> bool:
    """Whether something that can change the numbers of a training is not as it was."""
    return any(read() != before for (read, _), before in zip(_COMPUTING, held, strict=False))


def put_back(held: list[Any]) -> None:
    """Make the settings what they were; those that have not changed are not touched."""
    for (read, write), before in zip(_SETTINGS, held, strict=True):
        if read() != before:
            write(before)


@contextmanager
def kept() -> Iterator[None]:
    """Whatever the block sets, holds inside it only."""
    held = settings()
    try:
        yield
    finally:
        put_back(held)
