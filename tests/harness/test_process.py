"""What a method's code does to its process concerns its own trial alone, on both engines."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import random
import threading
import warnings
from dataclasses import dataclass
from unittest import mock

import numpy as np
import pytest
import torch
from greenlet import GreenletExit
from torch import nn
from torch.overrides import TorchFunctionMode

from harness import process
from harness.curves import CURVE
from harness.method import Method, Objective
from harness.predictions import PREDICTIONS
from harness.source import Store
from harness.trial import run_pack
from methods import METHODS
from results import schema, table
from tasks import TASKS
from tests.harness.test_isolation import make_trial

INNOCENT = [METHODS[name]() for name in ("fine_tuning", "l2_sp", "scratch")]
WHERE = ("prepare", "adapt", "forward", "penalty", "finish", "report")


def set_everything():
    """As a careless script does at its top."""
    torch.set_default_dtype(torch.float64)
    torch.set_grad_enabled(False)
    torch.set_num_threads(7)
    torch.use_deterministic_algorithms(True)
    torch.set_default_device("meta")
    torch.set_flush_denormal(True)
    np.seterr(all="raise")
    os.chdir("/")
    warnings.simplefilter("error")
    torch.manual_seed(0)
    np.random.seed(0)
    random.seed(0)


ERRORS = {
    "interrupt": KeyboardInterrupt,
    "generator": GeneratorExit,
    "exit": SystemExit,
    "cancelled": asyncio.CancelledError,
    "greenlet": GreenletExit,
    "own": type("Own", (BaseException,), {}),
}


class Careless(Objective):
    def __init__(self, network, loss, method):
        super().__init__(network, loss)
        self.method = method

    def forward(self, batch):
        self.method.act("forward")
        return super().forward(batch)

    def penalty(self):
        self.method.act("penalty")
        return super().penalty()

    def finish(self):
        self.method.act("finish")
        return super().finish()

    def report(self):
        self.method.act("report")
        return super().report()


@dataclass(frozen=True)
class Hostile(Method):
    """Does something to its process at one of its steps."""

    name = "hostile"
    version = "1"
    paper = "none"
    kind: str = "settings"
    where: str = "adapt"

    def act(self, where):
        if where == self.where:
            if self.kind == "settings":
                set_everything()
            else:
                raise ERRORS[self.kind]

    def prepare(self, network, source, fit):
        self.act("prepare")
        return network

    def adapt(self, network, target, fit):
        self.act("adapt")
        return Careless(network, target.loss, self)


def rows(methods, engine, folder, task="friedman1"):
    made = [make_trial(TASKS[task](), method, steps=5) for method in methods]
    trials = [dataclasses.replace(trial, engine=engine, source_engine=engine) for trial in made]
    return run_pack(trials, Store(folder, torch.device("cpu")))


def scores(found):
    names = [name for name in table.SCHEMA.names if name.startswith("score_")]
    return [(row["label"], *(repr(row.get(name)) for name in names)) for row in found if row["label"] != "hostile"]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The scores of the innocent among themselves, by engine; and a cache with their source model."""
    cache = tmp_path_factory.mktemp("cache")
    found = {}
    for engine in ("plain", "lanes"):
        found[engine] = rows(INNOCENT, engine, cache / engine)
        assert {row["status"] for row in found[engine]} == {"done"}
    return {engine: scores(one) for engine, one in found.items()}, cache


@pytest.mark.parametrize("engine", ["plain", "lanes"])
@pytest.mark.parametrize("where", WHERE)
def test_settings_that_a_method_leaves_change_no_bit_of_the_others(where, engine, alone):
    """Whichever of its steps sets them: the others' scores are the same, and afterwards the process is as it was."""
    wanted, cache = alone
    before = process.settings()
    found = rows([Hostile(where=where), *INNOCENT, Hostile(where=where)], engine, cache / engine)
    assert process.settings() == before
    assert {row["status"] for row in found if row["label"] != "hostile"} == {"done"}
    assert scores(found) == wanted[engine]


@pytest.mark.parametrize("engine", ["plain", "lanes"])
@pytest.mark.parametrize("kind", ERRORS)
def test_whatever_a_method_raises_becomes_its_row(kind, engine, alone):
    """Also what is no Exception, raised at any step: `failed` with the name and the place, and the others are done."""
    wanted, cache = alone
    guilty = [Hostile(kind=kind, where=where) for where in WHERE]
    found = rows([*guilty[:3], *INNOCENT, *guilty[3:]], engine, cache / engine)
    for row in found:
        if row["label"] == "hostile":
            assert row["status"] == "failed"
            assert row["reason"].startswith(f"raised {ERRORS[kind].__name__} (test_process.py:")
        else:
            assert row["status"] == "done", row
    assert scores(found) == wanted[engine]


class Louder(TorchFunctionMode):
    """Every linear layer gives a little more."""

    def __torch_function__(self, function, types, arguments=(), named=None):
        result = function(*arguments, **(named or {}))
        return result * 1.001 if function is nn.functional.linear else result


def patched():
    real = nn.functional.mse_loss
    return mock.patch.object(nn.functional, "mse_loss", lambda *given, **named: 2 * real(*given, **named))


def repainted():
    """A method of torch's own class."""
    real = nn.Linear.forward
    return mock.patch.object(nn.Linear, "forward", lambda self, inputs: 1.1 * real(self, inputs))


@dataclass(frozen=True)
class Around(Method):
    """Trains once more, with something open around it."""

    name = "hostile"
    version = "1"
    paper = "none"
    kind: str = "patch"
    stays: bool = False

    def adapt(self, network, target, fit):
        around = {"patch": patched, "class": repainted, "mode": Louder}[self.kind]()
        with contextlib.ExitStack() as stack:
            stack.enter_context(around)
            fit([Objective(network, target.loss)], target.train, 5)
            if self.stays:
                stack.pop_all()
        return Objective(network, target.loss)


@pytest.mark.parametrize("stays", [False, True])
@pytest.mark.parametrize("kind", ["patch", "class", "mode"])
def test_what_is_open_around_fit_is_the_trials_own(kind, stays, alone):
    """A function patched, or torch's functions overridden, while a method trains: it trains alone, and its scores
    do not depend on the others, nor theirs on it, also where it is never undone."""
    wanted, cache = alone
    before = process.settings()
    found = rows([Around(kind=kind, stays=stays), *INNOCENT, Around(kind=kind, stays=stays)], "lanes", cache / "lanes")
    assert process.settings() == before
    assert scores(found) == wanted["lanes"]
    assert {row["status"] for row in found} == {"done"}, [row.get("reason") for row in found]
    (by_itself,) = rows([Around(kind=kind, stays=stays)], "lanes", cache / "lanes")
    for row in (found[0], found[-1]):
        assert row["score_test"] == by_itself["score_test"]
        assert ("changed" in row["engine_reason"]) == stays, row["engine_reason"]


@dataclass(frozen=True)
class Redirecting(Method):
    """Sends what is printed into a file while it trains, and closes it."""

    name = "hostile"
    version = "1"
    paper = "none"

    def adapt(self, network, target, fit):
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            fit([Objective(network, target.loss)], target.train, 5)
        return Objective(network, target.loss)


@dataclass(frozen=True)
class Looping(Method):
    """Trains inside an event loop."""

    name = "hostile"
    version = "1"
    paper = "none"

    def adapt(self, network, target, fit):
        async def train():
            return fit([Objective(network, target.loss)], target.train, 5)

        print("begins")
        asyncio.run(train())
        return Objective(network, target.loss)


def test_streams_and_event_loops_are_the_trials_own(alone):
    wanted, cache = alone
    found = rows([Redirecting(), Looping(), *INNOCENT, Looping(), Redirecting()], "lanes", cache / "lanes")
    assert {row["status"] for row in found} == {"done"}, [row.get("reason") for row in found]
    assert scores(found) == wanted["lanes"]


class MuteError(Exception):
    def __str__(self):
        raise SystemExit("no words")


class Reporting(Objective):
    def __init__(self, network, loss, said):
        super().__init__(network, loss)
        self.said = said

    def report(self):
        if isinstance(self.said, Exception):
            raise self.said
        return self.said


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"layers": 3}, "what it reports cannot be written: ArrowTypeError"),
        ({"layers": "\udcff"}, "what it reports cannot be written: UnicodeEncodeError"),
        ([1], "TypeError"),
        ({"role": "negative_control"}, "ValueError: report() uses a name that is not the method's: role"),
        (MuteError(), "MuteError: (its message cannot be read)"),
        (ValueError("\udcff"), "ValueError: ?"),
    ],
)
def test_what_cannot_be_written_fails_the_trial_that_reports_it(said, reason, alone):
    """Not the pack, whose rows are committed together."""

    @dataclass(frozen=True)
    class Odd(Method):
        name = "hostile"
        version = "1"
        paper = "none"

        def adapt(self, network, target, fit):
            return Reporting(network, target.loss, said)

    wanted, cache = alone
    found = rows([Odd(), *INNOCENT], "lanes", cache / "lanes")
    assert found[0]["status"] == "failed"
    assert found[0]["reason"].startswith(reason)
    assert scores(found) == wanted["lanes"]
    schema.table([{name: value for name, value in row.items() if name not in (CURVE, PREDICTIONS)} for row in found])


def test_draws_outside_adapt_do_not_depend_on_what_ran_before(alone):
    """A method that draws at its finish gets the same numbers whatever state the process is in."""

    @dataclass(frozen=True)
    class Drawing(Method):
        name = "drawing"
        version = "1"
        paper = "none"

        def adapt(self, network, target, fit):
            return Late(network, target.loss)

    class Late(Objective):
        def report(self):
            return {"drawn": repr((torch.rand(1).item(), np.random.rand(), random.random()))}

    drawn = set()
    for engine, before in (("plain", 1), ("plain", 2), ("lanes", 3), ("lanes", 4)):
        torch.manual_seed(before)
        np.random.seed(before)
        random.seed(before)
        (row,) = rows([Drawing()], engine, alone[1] / engine)
        drawn.add(row["extra"]["drawn"])
    assert len(drawn) == 1


@dataclass(frozen=True)
class Threaded(Method):
    """Trains in a thread that it starts."""

    name = "threaded"
    version = "1"
    paper = "none"

    def adapt(self, network, target, fit):
        objective, errors = Objective(network, target.loss), []

        def train():
            try:
                fit([objective], target.train)
            except BaseException as error:  # noqa: BLE001 - raised again outside
                errors.append(error)

        thread = threading.Thread(target=train)
        thread.start()
        thread.join()
        if errors:
            raise errors[0]
        return objective


@pytest.mark.parametrize("engine", ["plain", "lanes"])
def test_a_method_may_train_in_a_thread_of_its_own(engine, alone):
    """It works, alone on the plain engine; what the trial's own thread trains is a lane as ever."""
    wanted, cache = alone
    found = rows([Threaded(), *INNOCENT], engine, cache / engine)
    assert found[0]["status"] == "done", found[0]["reason"]
    assert found[0]["target_steps"] == found[0]["search_steps"] == 5
    assert scores(found)[1:] == wanted[engine]


@pytest.mark.parametrize("mode", [torch.inference_mode, lambda: torch.autocast("cpu"), torch.no_grad])
def test_a_mode_that_a_method_trains_in_is_its_own(mode, alone):
    """While it waits for the others they are not in it."""

    @dataclass(frozen=True)
    class InMode(Method):
        name = "hostile"
        version = "1"
        paper = "none"

        def adapt(self, network, target, fit):
            with mode():
                fit([Objective(network, target.loss)], target.train)
            return Objective(network, target.loss)

    wanted, cache = alone
    found = rows([InMode(), *INNOCENT], "lanes", cache / "lanes")
    assert scores(found) == wanted["lanes"]


@dataclass(frozen=True)
class Solving(Method):
    """Sets the last weight and trains nothing."""

    name = "hostile"
    version = "1"
    paper = "none"

    def adapt(self, network, target, fit):
        with torch.no_grad():
            [*network.parameters()][-1].fill_(0.5)
        return Objective(network.requires_grad_(False), target.loss)


@pytest.mark.parametrize("engine", ["plain", "lanes"])
def test_a_method_that_trains_nothing_is_a_method(engine, alone):
    wanted, cache = alone
    found = rows([Solving(), *INNOCENT], engine, cache / engine)
    assert {row["status"] for row in found} == {"done"}, [row.get("reason") for row in found]
    assert found[0]["examples_per_second"] is None
    assert scores(found) == wanted[engine]
