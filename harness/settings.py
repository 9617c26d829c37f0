"""Hyper-parameters: their legal range, and the distributions a method's search space is made of."""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Any, TypeVar

import numpy as np

from harness.errors import UserError, nearest


@dataclass(frozen=True)
class LogUniform:
    """Log-uniform on [low, high]. Raises: ValueError unless 0 < low <= high."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0 < self.low <= self.high < math.inf:
            raise ValueError(f"{self}: expected 0 < low <= high")

    def sample(self, rng: np.random.Generator) -> float:
        return float(math.exp(rng.uniform(math.log(self.low), math.log(self.high))))


@dataclass(frozen=True)
class Uniform:
    """Uniform on [low, high]. Raises: ValueError unless low <= high."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not -math.inf < self.low <= self.high < math.inf:
            raise ValueError(f"{self}: expected low <= high")

    def sample(self, rng: np.random.Generator) -> float:
        return float(rng.uniform(self.low, self.high))


@dataclass(frozen=True)
class Choice:
    """One of `options`, all equally likely."""

    options: tuple[Any, ...]

    def __init__(self, *options: Any) -> None:
        object.__setattr__(self, "options", options)

    def sample(self, rng: np.random.Generator) -> Any:
        return self.options[int(rng.integers(len(self.options)))]


Distribution = LogUniform | Uniform | Choice
T = TypeVar("T")


def setting(default: Any, *, low: float | None = None, high: float | None = None, options: Sequence[Any] = ()) -> Any:
    """A dataclass field with a legal range (inclusive) or a closed list of options."""
    return dataclasses.field(default=default, metadata={"low": low, "high": high, "options": tuple(options)})


def place() -> Any:
    """A task's field that says where its data lie. It is part of no name and no key: the data's hash is."""
    return dataclasses.field(default="", metadata={"place": True})


def build(cls: type[T], given: Mapping[str, Any], where: str) -> T:
    """An instance of the frozen dataclass `cls` from a user's settings, each checked for name, type and range.

    Raises: UserError naming `where`, the setting, what was given and what was expected.
    """
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}  # type: ignore[arg-type]
    hints = typing.get_type_hints(cls)
    checked = {}
    for name, value in given.items():
        if name not in fields:
            raise UserError(f"{where}: unknown setting {name!r}; {nearest(name, fields)}")
        checked[name] = _check(value, hints[name], fields[name].metadata, f"{where}: {name}")
    try:
        return cls(**checked)
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}: {error}") from error


def _kinds(hint: Any) -> tuple[type, ...]:
    """The classes that a type hint accepts: `int | None` gives (int, NoneType), `tuple[str, ...]` gives (tuple,)."""
    if isinstance(hint, UnionType):
        return tuple(kind for part in typing.get_args(hint) for kind in _kinds(part))
    return (typing.get_origin(hint) or hint,)


def _check(value: Any, hint: Any, limits: Mapping[str, Any], where: str) -> Any:
    """`value` as `hint` wants it, or a UserError that says what was expected."""
    kinds = _kinds(hint)
    if float in kinds and type(value) is int:
        value = float(value)
    if tuple in kinds and isinstance(value, list):
        value = tuple(value)
    if type(value) not in kinds and Any not in kinds:
        raise UserError(f"{where} = {value!r} is not of type {' or '.join(kind.__name__ for kind in kinds)}")
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{where} = {value!r} is not a finite number")
    options, low, high = (limits.get(name) for name in ("options", "low", "high"))
    if options and value not in options:
        raise UserError(f"{where} = {value!r} is not one of {', '.join(map(repr, options))}")
    if value is not None and ((low is not None and value < low) or (high is not None and value > high)):
        bounds = [f"at least {low}"] * (low is not None) + [f"at most {high}"] * (high is not None)
        raise UserError(f"{where} = {value!r} is out of range; expected {' and '.join(bounds)}")
    return value
