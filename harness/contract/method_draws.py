"""Checks of what a method's result depends on: its seed and its hyper-parameters, and nothing else."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any

import numpy as np

from harness import seeds
from harness.contract import fresh
from harness.contract.check import Fault, values_of
from harness.contract.method_under_test import MethodUnderTest
from harness.contract.problem import TinyProblem
from harness.contract.rehearsal import Rehearsal, digest, prepared, prepares, rehearse, same
from harness.contract.watch import foreign, reset
from harness.method import Method

DRAW = "draw from torch's, numpy's or random's global generators, which the trial has seeded, and seed none yourself"


def determinism(under_test: MethodUnderTest) -> str | None:
    """One seed gives one result, whatever ran before and whatever the global random state; another gives another."""
    draws = False
    for run in under_test.each():
        where, method = run.problem.name, under_test.method
        if run.fitted.curve != () and run.trained():
            rehearse(method, run.problem.other(), key="somebody else's")
            run_another(under_test, run.problem)
        with seeds.seeded(where, "another global random state"):
            again = rehearse(method, run.problem)
        if not same(run.finished(), again.finished()) or run.losses != again.losses:
            raise Fault(f"{where}: the same seed gives another result when it runs again", DRAW)
        other = rehearse(method, run.problem, key="another key", watched=True)
        draws = draws or not same(run.finished(), other.finished())
        for moment, states in run.random.items():
            if generator := reset(states, other.random[moment]):
                seen = f"{where}: {moment} the global generator of {generator} is the same under two seeds"
                raise Fault(f"{seen}: the method seeds it", DRAW)
        if foreign_seed := foreign(run.seeded, other.seeded):
            given = f"with {foreign_seed.seed}" if foreign_seed.seed else "without a seed"
            seen = f"{where}: {foreign_seed.what} {given} at {foreign_seed.place}, whatever the trial's seed"
            raise Fault(seen, DRAW)
        batches = rehearse(method, run.problem, order_seed=8)
        if run.trained() and same(run.finished(), batches.finished()):
            mend = "train by the `fit` that the method is handed, or leave training to the harness"
            raise Fault(f"{where}: other batches give the same result", mend)
    return "it draws" if draws else "it draws nothing of its own"


def fresh_process(under_test: MethodUnderTest) -> str | None:
    """A process that has run nothing but another configuration gives the same result."""
    runs_here = {run.problem.name: run for run in under_test.each()}
    under_test.check_problems_are_known()
    try:
        (there,) = fresh.results([under_test.method], "method")
    except fresh.NotThere as error:
        mend = "define the class at the top of an importable module; workers import it by that name"
        raise Fault(str(error), mend) from error
    for name, run in runs_here.items():
        mine = [digest(run.finished()), list(run.losses)]
        if not _equal(mine, there.get(name)):
            mend = "keep nothing in module globals or class attributes between trials, and iterate over no set"
            raise Fault(f"{name}: {_text(mine)} here, {_text(there.get(name))} in a process of its own", mend)
    return None


def run_another(under_test: MethodUnderTest, problem: TinyProblem) -> None:
    """Another configuration under the same key: a trial that is this one's neighbour in a suite."""
    if (other := under_test.neighbour()) is not None:
        with contextlib.suppress(Exception, SystemExit):  # it may decline, and an extreme value may fail
            rehearse(other, problem)


def _equal(mine: list[Any], there: Any) -> bool:
    """Whether the losses agree: bitwise equality is promised within a process, and what is kept from an earlier trial
    changes more than the rounding."""
    return there is not None and bool(np.allclose(mine[1], there[1], rtol=1e-3, atol=1e-6))


def _text(result: Any) -> str:
    return "nothing" if result is None else f"loss {result[1][1]:.6g} (weights {result[0][:8]})"


def prepare_reads(under_test: MethodUnderTest) -> str | None:
    """prepare() reads no hyper-parameter but those in prepare_fields, whose results others share."""
    method = under_test.method
    names = {field.name for field in dataclasses.fields(method)}
    if unknown := sorted(set(method.prepare_fields or ()) - names):
        raise Fault(f"prepare_fields names {values_of(unknown)}, which is no field", "name fields of the dataclass")
    if not prepares(method):
        return "nothing is prepared"
    if method.prepare_fields is None:
        return "prepare_fields is None: nothing prepared is shared between configurations; name what prepare reads"
    others = names - set(method.prepare_fields)
    for run in under_test.each():
        expected = prepared(method, run.problem)
        for name, variants in under_test.variants(sorted(others)):
            for variant in variants[:2]:
                if not same(expected, prepared(variant, run.problem)):
                    seen = f"{run.problem.name}: prepare gives another network with {name} = {getattr(variant, name)!r}"
                    raise Fault(seen, f"add {name!r} to prepare_fields, or do not read it there")
    return None


def hyper_parameters(under_test: MethodUnderTest) -> None:
    """Every hyper-parameter that is tuned changes the result."""
    ran = list(under_test.each())
    for name, variants in under_test.variants(list(under_test.method.space)):
        if not variants or any(_differs(variant, run) for run in ran for variant in variants):
            continue
        if not any(_matters(name, configuration, ran) for configuration in under_test.configurations()):
            tried = values_of(repr(getattr(variant, name)) for variant in variants)
            blocks = max(len(run.problem.blocks) for run in ran)
            mend = (
                "use it, or take it out of the space: tuning spends its configurations on it; where it needs a network "
                "of more blocks, give MethodUnderTest problems of your own"
            )
            seen = f"tried {tried}, beside the default and drawn configurations, on networks of {blocks} blocks"
            raise Fault(f"{name} changes nothing ({seen})", mend)


def _matters(name: str, configuration: Method, ran: list[Rehearsal]) -> bool:
    """Whether a hyper-parameter changes something beside these values of the others, on one of two problems."""
    for run in {run.problem.name: run for run in (ran[0], ran[-1])}.values():
        try:
            expected = rehearse(configuration, run.problem)
        except (Exception, SystemExit):  # noqa: BLE001 - declined or failing: it tells nothing
            continue
        for _, variants in MethodUnderTest(configuration, [run.problem]).variants([name]):
            if variants and _differs(variants[-1], expected):
                return True
    return False


def _differs(variant: Method, run: Rehearsal) -> bool:
    try:
        return not same(run.finished(), rehearse(variant, run.problem).finished())
    except (Exception, SystemExit):  # noqa: BLE001 - declined or failing is different, too
        return True
