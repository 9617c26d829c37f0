"""Watches code under test for generators that it seeds by itself.

A method may draw from the global generators of torch, numpy and random only, which the trial has seeded, or from
generators that it seeds with what it drew there. One that it seeds with a constant gives every seed the same draws, one
without a seed gives a repeated trial others.
"""

from __future__ import annotations

import hashlib
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType, ModuleType
from typing import Any

import numpy as np
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

BIT_GENERATORS = (np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox, np.random.SFC64)


@dataclass(frozen=True)
class Seeding:
    """A generator that was seeded. what: the function called; seed: as text, empty for none; place: file and line."""

    what: str
    seed: str
    place: str


def own_modules(cls: type) -> list[ModuleType]:
    """The modules that a class's own code may lie in: all of the top-level packages of it and its bases but ours."""
    tops = {one.__module__.partition(".")[0] for one in cls.__mro__} - {"builtins", "harness", "abc", "typing"}
    return [
        module
        for name, module in list(sys.modules.items())
        if isinstance(module, ModuleType) and name.partition(".")[0] in tops
    ]


@contextmanager
def seedings(modules: list[ModuleType]) -> Iterator[list[Seeding]]:
    """What the code of these modules seeds inside the block."""
    found: list[Seeding] = []
    own = {module.__name__ for module in modules}

    def note(what: str, seed: object) -> None:
        frame = _caller(own, through_libraries=seed is not None and what.startswith("numpy.random."))
        if frame is not None:
            place = f"{frame.f_code.co_filename.rpartition('/')[2]}:{frame.f_lineno}"
            found.append(Seeding(what, _text(seed), place))

    replaced = _stand_ins(note)
    put_back: list[tuple[ModuleType, str, Any]] = []
    try:
        for holder in (torch, torch.random, torch.cuda, np.random, random, *modules):
            for name, value in list(vars(holder).items()):
                stand_in = replaced.get(id(value))
                if stand_in is not None:
                    put_back.append((holder, name, value))
                    setattr(holder, name, stand_in)
        yield found
    finally:
        for holder, name, value in put_back:
            setattr(holder, name, value)


def _caller(own: set[str], through_libraries: bool) -> FrameType | None:
    """The frame of these modules that calls this one, at once or by way of a library, but never of the harness."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_globals.get("__name__") == __name__:
        frame = frame.f_back
    while frame is not None and (name := frame.f_globals.get("__name__") or "") not in own:
        if not through_libraries or name.partition(".")[0] == "harness":
            return None
        frame = frame.f_back
    return frame


def _text(seed: object) -> str:
    """A seed or a state as text, the same for equal ones."""
    if isinstance(seed, torch.Tensor):
        return f"the state {hashlib.sha256(seed.cpu().numpy().tobytes()).hexdigest()[:12]}"
    return "" if seed is None else repr(seed)[:80]


def _stand_ins(note: Callable[[str, object], None]) -> dict[int, Any]:
    """What to call instead of each seeding function and generator class, by the identity of the original."""
    functions: dict[str, Callable[..., Any]] = {
        "torch.manual_seed": torch.manual_seed,
        "torch.seed": torch.seed,
        "torch.cuda.manual_seed": torch.cuda.manual_seed,
        "torch.cuda.manual_seed_all": torch.cuda.manual_seed_all,
        "numpy.random.seed": np.random.seed,
        "numpy.random.default_rng": np.random.default_rng,
        "random.seed": random.seed,
        "torch.set_rng_state": torch.set_rng_state,
    }
    stand_ins: dict[int, Any] = {id(function): _noted(what, function, note) for what, function in functions.items()}

    class State(np.random.RandomState):
        def __init__(self, seed: Any = None) -> None:
            note("numpy.random.RandomState", seed)
            super().__init__(seed)

    class Random(random.Random):
        def __new__(cls, *arguments: Any, **named: Any) -> Random:
            """A class that others derive from it while it stands in takes what it likes, and is not noted."""
            if cls is Random:
                note("random.Random", arguments[0] if arguments else None)
            return super().__new__(cls)

    class Generator(torch.Generator):
        """torch's; one that is never seeded starts from the same constant everywhere."""

        def __new__(cls, *arguments: Any, **named: Any) -> Generator:
            note("torch.Generator", "as torch makes it")
            made: Generator = super().__new__(cls, *arguments, **named)
            return made

        def manual_seed(self, seed: int) -> Generator:
            note("torch.Generator.manual_seed", seed)
            super().manual_seed(seed)
            return self

        def seed(self) -> int:
            note("torch.Generator.seed", None)
            return super().seed()

    classes: list[tuple[type, type]] = [
        (np.random.RandomState, State),
        (random.Random, Random),
        (torch.Generator, Generator),
        *((bits, _noted_bits(bits, note)) for bits in BIT_GENERATORS),
    ]
    return stand_ins | {id(original): stand_in for original, stand_in in classes}


def _noted_bits(bits: type, note: Callable[[str, object], None]) -> type:
    """A bit generator of numpy's that is noted when it is made."""

    def start(self: Any, seed: Any = None) -> None:
        note(f"numpy.random.{bits.__name__}", seed)
        bits.__init__(self, seed)  # type: ignore[misc]

    return type(bits.__name__, (bits,), {"__init__": start})


def _noted(what: str, function: Callable[..., Any], note: Callable[[str, object], None]) -> Callable[..., Any]:
    def call(*arguments: Any, **named: Any) -> Any:
        note(what, next(iter((*arguments, *named.values())), None))
        return function(*arguments, **named)

    return call


@contextmanager
def optimizer_steps() -> Iterator[list[None]]:
    """One entry for each step that an optimizer of torch takes inside the block. The plain engine uses none of them."""
    taken: list[None] = []
    handle = register_optimizer_step_pre_hook(lambda *_: taken.append(None))
    try:
        yield taken
    finally:
        handle.remove()


def random_states() -> tuple[Any, ...]:
    """The states of the three global generators, comparable."""
    numpy_state = np.random.get_state()
    return (
        bytes(torch.get_rng_state().numpy().tobytes()),
        (numpy_state[1].tobytes(), numpy_state[2]),  # type: ignore[index]
        random.getstate(),
    )


GENERATORS = ("torch", "numpy.random", "random")
"""Whose states `random_states` gives, in order."""


def reset(one: tuple[Any, ...], other: tuple[Any, ...]) -> str | None:
    """The global generator that stands at the same place after two runs of different seeds; None if none does."""
    return next((name for name, a, b in zip(GENERATORS, one, other, strict=True) if a == b), None)


def foreign(one: list[Seeding], other: list[Seeding]) -> Seeding | None:
    """A generator that two runs of different seeds seed alike, or without a seed; None if there is none.

    torch's generator counts by its `manual_seed` where that is called.
    """

    def seeded(found: list[Seeding]) -> list[Seeding]:
        return [s for i, s in enumerate(found) if s.what != "torch.Generator" or not _seeded_next(found, i)]

    alike = set(seeded(other))
    return next((s for s in seeded(one) if not s.seed or s in alike), None)


def _seeded_next(found: list[Seeding], place: int) -> bool:
    return found[place + 1 : place + 2] != [] and found[place + 1].what.startswith("torch.Generator.")
