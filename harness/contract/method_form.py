"""Checks of a method's class: its facts, docstring, search space and settings, and whether it can be sent."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from harness import seeds, settings
from harness.contract import fresh
from harness.contract.check import Fault, said, values_of
from harness.contract.method_under_test import MethodUnderTest, with_value
from harness.errors import UserError
from harness.settings import Choice, Distribution

SECTIONS = ("Equation:", "Source:", "Deviations and open points:")


def class_facts(under_test: MethodUnderTest) -> None:
    """A method is a frozen dataclass with a name, a version and a paper, and equal settings make equal methods."""
    method = under_test.method
    cls = type(method)
    for fact in ("name", "version", "paper"):
        if not isinstance(getattr(cls, fact, None), str) or not getattr(cls, fact):
            raise Fault(f"class {cls.__name__} lacks the text {fact!r}", f'write {fact} = "..." in the class')
    if not cls.name.isidentifier():
        raise Fault(f"the name {cls.name!r} is no identifier", "use small letters, digits and underscores")
    try:
        again = dataclasses.replace(method)
        equal = hash(method) == hash(again) and method == again
        seeds.canonical(dataclasses.asdict(method))
    except (TypeError, ValueError) as error:
        raise Fault(f"hyper-parameters that are no values ({error})", "use numbers, texts or tuples of them") from error
    if not equal:
        raise Fault("a copy of it is not equal to it", "leave __eq__ and __hash__ to the dataclass")


def docstring(under_test: MethodUnderTest) -> None:
    """The docstring says what the method is, its equation, its source, and where it departs from that."""
    text = type(under_test.method).__doc__ or ""
    missing = [section for section in SECTIONS if section not in text]
    if missing or not text.strip():
        raise Fault(f"the docstring lacks {values_of(missing)}", "write these sections; `methods/l2_sp.py` has them")


def space(under_test: MethodUnderTest) -> str | None:
    """Whatever the search space can draw is legal, and it holds the default configuration."""
    method = under_test.method
    cls, names = type(method), {field.name for field in dataclasses.fields(method)}
    if not all(isinstance(distribution, Distribution) for distribution in cls.space.values()):
        raise Fault(f"space = {cls.space!r}", "give each field a LogUniform, a Uniform or a Choice")
    if unknown := sorted(set(cls.space) - names):
        raise Fault(f"the space names {values_of(unknown)}, which is no field", "name fields of the dataclass")
    rng = np.random.default_rng(0)
    for name, distribution in cls.space.items():
        ends = distribution.options if isinstance(distribution, Choice) else (distribution.low, distribution.high)
        for value in (*ends, *(distribution.sample(rng) for _ in range(20))):
            try:
                settings.build(cls, {name: value}, "drawn from the space")
            except UserError as error:
                if isinstance(distribution, Choice) and isinstance(value, list | tuple):
                    inside = ", ".join(map(repr, value))
                    mend = f"give Choice its options one by one: Choice({inside})"
                    raise Fault(f"{name}: Choice({value!r}) has one option, which is {value!r}", mend) from error
                raise Fault(str(error), "narrow the space, or widen the field's low, high or options") from error
        default = next(field.default for field in dataclasses.fields(cls) if field.name == name)
        if not _holds(distribution, default):
            mend = "put the default inside: it is the first configuration that tuning tries"
            raise Fault(f"the default {name} = {default!r} lies outside its space {distribution}", mend)
    return None if cls.space else "nothing to tune: the suite's configurations all are the default"


def _holds(distribution: Distribution, value: Any) -> bool:
    if isinstance(distribution, Choice):
        return value in distribution.options
    return isinstance(value, int | float) and distribution.low <= value <= distribution.high


def ranges(under_test: MethodUnderTest) -> str | None:
    """Hyper-parameters have a legal range, and what a suite gives outside it is refused."""
    method, open_ends = under_test.method, []
    for field in dataclasses.fields(method):
        if field.metadata.get("place"):
            continue
        low, high, options = (field.metadata.get(name) for name in ("low", "high", "options"))
        if low is None and high is None and not options and not isinstance(field.default, bool | str):
            open_ends.append(field.name)
        given = {field.name: getattr(method, field.name)}
        try:
            settings.build(type(method), given, "the default")
        except UserError as error:
            raise Fault(str(error), "put the default inside its own range") from error
        wrong = [low - 1] if low is not None else [high + 1] if high is not None else ["no such option"] * bool(options)
        if wrong and with_value(method, field.name, wrong[0]) is not None:
            raise Fault(f"{field.name} = {wrong[0]!r} is accepted", "declare the field by `setting(...)`")
    return f"no range: {values_of(open_ends)}; `setting(default, low=..., high=...)` gives one" if open_ends else None


def pickling(under_test: MethodUnderTest) -> None:
    """A method can be sent to another process and is the same there."""
    method = under_test.method
    try:
        sent = fresh.sent(method)
    except (Exception, SystemExit) as error:
        mend = "keep what cannot be pickled (functions, generators, open files, locks) out of the instance"
        raise Fault(f"it cannot be pickled ({said(error)})", mend) from error
    if sent != method or dataclasses.asdict(sent) != dataclasses.asdict(method):
        raise Fault("after pickling it is not equal to what it was", "keep all of its state in the dataclass's fields")
