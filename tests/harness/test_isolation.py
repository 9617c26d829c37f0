"""A method's code can reach no test split: nothing that it is handed leads to one."""

from __future__ import annotations

import gc
import types
from dataclasses import dataclass, fields, replace

import pytest
import torch
from torch import nn

from harness import data
from harness.data import Datasets
from harness.method import Method, Objective
from harness.plan import Trial, facts
from harness.source import Store, datasets
from harness.task import Task
from harness.trial import run
from tasks import TASKS

SEEN: list[object] = []


@dataclass(frozen=True)
class Spy(Method):
    """Keeps whatever it is handed."""

    name = "spy"
    version = "1"
    paper = "none"
    needs_source_data = True

    def prepare(self, network, source, fit):
        SEEN.append((network, source, fit))
        return network

    def adapt(self, network, target, fit):
        SEEN.append((network, target, fit))
        return Objective(network, target.loss)


def reachable(roots):
    """Every object that references lead to, without entering modules, classes and the globals of functions."""
    found, todo = {}, list(roots)
    while todo:
        item = todo.pop()
        if id(item) in found or isinstance(item, types.ModuleType | type | types.FrameType):
            continue
        found[id(item)] = item
        if isinstance(item, types.FunctionType):
            todo += [item.__closure__, item.__defaults__, item.__kwdefaults__, item.__dict__]
        else:
            todo += gc.get_referents(item)
        if isinstance(item, torch.Tensor) and item._base is not None:
            todo.append(item._base)
    return list(found.values())


def make_trial(task, method, stage="final", n=20, seed=0, steps=3):
    return Trial(
        suite="s",
        stage=stage,
        task=task,
        facts=facts(task),
        method=method,
        label=method.name,
        target_size=n,
        seed=seed,
        steps=steps,
        trial_seconds=60,
        tuning_configs=1,
        tuning_seeds=1,
    )


def rows_of(tensor):
    """Each example's part of a tensor, as bytes."""
    return {row.numpy().tobytes() for row in tensor.reshape(len(tensor), -1)}


BUILT_IN = sorted(name for name, task in TASKS.items() if not any(f.metadata.get("place") for f in fields(task)))


@pytest.mark.parametrize("name", BUILT_IN)
def test_nothing_handed_to_a_method_leads_to_a_test_split(name, tmp_path, monkeypatch):
    """From network, problem and fit, in prepare and in adapt, no task, data sets or test example is reachable."""
    SEEN.clear()
    monkeypatch.setattr(TASKS[name], "recipe", replace(TASKS[name].recipe, source_steps=5))
    task = TASKS[name]()
    row = run(make_trial(task, Spy()), Store(tmp_path, torch.device("cpu")))
    assert row["status"] == "done", row["reason"]
    assert len(SEEN) == 2
    sets = datasets(task)
    forbidden = rows_of(sets.target_test["inputs"]) | rows_of(sets.source_test["inputs"])
    for tensor in (*sets.target_pool.values(), *sets.source_train.values()):
        forbidden -= rows_of(tensor)  # what real data may hold twice
    assert forbidden
    for item in reachable(SEEN):
        assert not isinstance(item, Task | Datasets), item
        if isinstance(item, torch.Tensor) and not isinstance(item, nn.Parameter) and item.dim():
            assert item.untyped_storage().nbytes() == item.numel() * item.element_size(), "a view of something larger"
            assert not (rows_of(item.detach()) if len(item) else set()) & forbidden


def test_the_spy_would_see_a_leak():
    """The walk does find a test split behind a bound method, a view and a closure."""
    task = TASKS["friedman1"]()
    test = task.datasets().target_test
    view = test["inputs"][:3]
    assert any(item is task for item in reachable([task.datasets]))
    assert any(item is test for item in reachable([lambda: test]))
    assert any(isinstance(item, torch.Tensor) and len(item) == len(test["inputs"]) for item in reachable([view]))


def test_tuning_rows_hold_no_test_score(tmp_path):
    """The tuning stage never reads the target test split."""

    @dataclass(frozen=True)
    class Guarded(TASKS["friedman1"]):  # type: ignore[misc]
        name = "guarded"

        def datasets(self):
            whole = super().datasets()
            return Datasets(whole.target_pool, Untouchable(), whole.source_train, whole.source_test)

    class Untouchable(dict):
        """Examples that nobody may look at; hashing them for the plan sees an empty set."""

        def __getitem__(self, name):
            raise AssertionError("the test split was read")

    row = run(make_trial(Guarded(), Spy(), stage="tune", seed=10_000), Store(tmp_path, torch.device("cpu")))
    assert row["status"] == "done", row["reason"]
    assert row.get("score_test") is None
    assert "inference_seconds" not in row
    final = run(make_trial(Guarded(), Spy()), Store(tmp_path, torch.device("cpu")))
    assert final["status"] == "failed"


def test_splits_of_a_trial_are_disjoint_and_nested():
    """Train, validation and test share no position; a smaller n is part of a larger one, in both parts."""
    pool = {"inputs": torch.arange(200.0).reshape(200, 1)}
    small = data.split(pool, 25, "key")
    large = data.split(pool, 100, "key")
    for part, (few, many) in enumerate(zip(small, large, strict=True)):
        assert data.size(few) == (20, 5)[part]
        assert data.size(many) == (80, 20)[part]
        assert rows_of(few["inputs"]) <= rows_of(many["inputs"])
    assert not rows_of(large[0]["inputs"]) & rows_of(large[1]["inputs"])
