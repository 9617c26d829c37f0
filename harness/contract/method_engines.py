"""Checks of a method in engines other than the plain one: lanes, and where it is installed `deepspeed`."""

from __future__ import annotations

import dataclasses
import importlib.util
import os

import numpy as np

from harness.contract import fresh
from harness.contract.check import Fault, NotChecked, values_of
from harness.contract.method_under_test import MethodUnderTest, side_by_side, with_value
from harness.contract.problem import TinyProblem, sharded_problems
from harness.contract.rehearsal import Rehearsal, rehearse, same
from harness.errors import Declined
from harness.method import Method


def lanes(under_test: MethodUnderTest) -> str | None:
    """The engine `lanes` trains it like the plain one, or says why it must train alone."""
    notes = {}
    for run in under_test.each():
        laned = under_test.laned(run.problem)
        if not np.allclose(laned.losses, run.losses, rtol=2e-2, atol=1e-4):
            seen = f"{run.problem.name}: the loss ends at {laned.losses[1]:.6g} in lanes, {run.losses[1]:.6g} alone"
            raise Fault(seen, "keep the forward pure: it may read the objective's tensors and the batch, nothing else")
        if laned.fitted.note:
            notes[run.problem.name] = laned.fitted.note
    reasons = sorted(set(notes.values()))
    return f"trains alone: {'; '.join(reasons)} ({values_of(notes)}); this costs time, no number" if notes else None


def lane_isolation(under_test: MethodUnderTest) -> None:
    """Trials that run side by side do not touch each other: each ends in company as it does alone."""
    for run in _first_and_last(under_test):
        problem, method = run.problem, under_test.method
        works = [(method, problem), (method, problem.other()), *((other, problem) for other in _elsewhere(run, method))]
        alone = [under_test.laned(problem), *(side_by_side([work])[0] for work in works[1:])]
        for (tried, _), one, other in zip(works, alone, side_by_side(works), strict=True):
            if not _alike(one, other):
                where = f"{problem.name}, {plan_text(tried)}"
                mend = (
                    "keep what a trial knows in its own objective, as buffers or frozen parameters, not in globals or "
                    "class attributes; name in `bookkeeping` only what the forward does not read"
                )
                raise Fault(f"{where}: ends at {other.losses[1]:.6g} beside others, {one.losses[1]:.6g} alone", mend)


def _first_and_last(under_test: MethodUnderTest) -> list[Rehearsal]:
    ran = [*under_test.each()]
    return ran if len(ran) < 2 else [ran[0], ran[-1]]


def _elsewhere(run: Rehearsal, method: Method) -> list[Method]:
    """The method with every hyper-parameter changed, or where that does not run with the tuned ones changed."""
    for names in (None, list(method.space)):
        changed = method
        for name, variants in MethodUnderTest(method).variants(names):
            for variant in variants[-1:] if name in method.space else variants[:1]:
                changed = with_value(changed, name, getattr(variant, name)) or changed
        if changed != method and _runs(changed, run.problem):
            return [changed]
    return []


def plan_text(method: Method) -> str:
    """A method's hyper-parameters in words."""
    return ", ".join(f"{field.name} {getattr(method, field.name)!r}" for field in dataclasses.fields(method))


def _runs(method: Method, problem: TinyProblem) -> bool:
    try:
        return bool(np.isfinite(rehearse(method, problem).losses).all())
    except (Exception, SystemExit):  # noqa: BLE001 - an extreme value may fail; `runs` speaks of the default
        return False


def _alike(one: Rehearsal, other: Rehearsal) -> bool:
    if "MKL_CBWR" in os.environ:
        return same(one.finished(), other.finished())
    return bool(np.allclose(one.losses, other.losses, rtol=1e-3, atol=1e-6))


def deepspeed(under_test: MethodUnderTest) -> str | None:
    """The engine `deepspeed` trains it like the plain one, its weights spread over two processes."""
    next(under_test.each())  # where it runs nowhere, this says so
    if importlib.util.find_spec("deepspeed") is None:
        raise NotChecked("deepspeed is not installed: pip install 'pacbench[deepspeed]'")
    under_test.check_problems_are_known()
    failed = ""
    try:
        there = fresh.sharded(under_test.method)
    except fresh.CannotTrain as why:
        there, failed = why.found, f"cannot train there: {why}; of large models it can train none"
    except Declined as declined:
        return f"declines: {declined}; this costs nothing but large models"
    except fresh.NotThere as error:
        raise Fault(str(error), "`fresh_process` speaks of other processes in general; mend that first") from error
    notes = {}
    for problem in sharded_problems():
        if problem.name not in there:
            continue
        _, losses, notes[problem.name] = there[problem.name]
        run = rehearse(under_test.method, problem)
        alone = run.losses
        if run.draws_in_training():
            if not losses[1] < losses[0]:
                seen = f"{problem.name}: the loss goes from {losses[0]:.6g} to {losses[1]:.6g} there"
                raise Fault(seen, "let the training there lower the loss, as it does alone")
            notes[problem.name] = "numbers are not compared: it draws while it trains, each process for itself"
        elif not np.allclose(losses, alone, rtol=5e-4, atol=1e-6):
            seen = f"{problem.name}: the loss ends at {losses[1]:.6g} there, {alone[1]:.6g} alone"
            mend = (
                "let a penalty reach its weights by `self.weight(name)` or `self.network`, never by references kept "
                "elsewhere, and hold what is remembered in frozen parameters and buffers"
            )
            raise Fault(seen, mend)
    said = {name: note for name, note in notes.items() if note}
    remarks = [f"{'; '.join(sorted(set(said.values())))} ({values_of(said)})"] if said else []
    return "; ".join([*remarks, failed] if failed else remarks) or None
