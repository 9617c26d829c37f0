"""What `pacbench new` writes: a package with one method or one task, complete and small, to be changed."""

from __future__ import annotations

from string import Template

PYPROJECT = """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "$package"
version = "0.1.0"
description = "The $kind `$name` for pacbench."
requires-python = ">=3.11"
dependencies = ["pacbench"]

[project.optional-dependencies]
test = ["pytest>=8"]

[project.entry-points."pacbench.${kind}s"]
$name = "$module:$cls"

[tool.setuptools]
py-modules = ["$module"]
"""

README = """\
# $package

The $kind `$name` for pacbench, in `$module.py`.

```
pip install -e .
pacbench check $kind $name
pytest
pacbench list ${kind}s
```

After that any suite can name it: `${kind}s = ["$name", ...]`. Raise its `version` with every change that can move a
score: rows of different versions are never taken for one another.
"""

METHOD = '''\
"""$title: fine-tuning that keeps the output layer small. An example, to be replaced by a method of your own."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from harness.method import Fit, LogUniform, Method, Objective, Problem, setting
from harness.objective import Loss
from torch import Tensor, nn


class ${cls}Objective(Objective):
    """Loss plus strength/2 times the squared size of the output layer.

    A number that the objective remembers is a buffer, a copy of weights a frozen parameter: so it trains in any engine.
    """

    strength: Tensor

    def __init__(self, network: nn.Module, loss: Loss, head: str, strength: float) -> None:
        super().__init__(network, loss)
        self.head = head
        self.register_buffer("strength", torch.tensor(strength))

    def penalty(self) -> Tensor:
        """strength/2 * ||w_head||^2, over weights and biases."""
        sizes = (weight.square().sum() for weight in self.network.get_submodule(self.head).parameters())
        return self.strength / 2 * sum(sizes, torch.zeros_like(self.strength))


@dataclass(frozen=True)
class $cls(Method):
    """$title: fine-tuning that keeps the output layer small.

    Equation: L_target(w) + strength/2 * ||w_head||^2.
    Source: none, an example; put authors, year and arXiv number here.
    Deviations and open points: none. Put here what the paper leaves open, and what was decided.
    """

    name = "$name"
    version = "1"
    paper = "none"
    space = {"learning_rate_factor": LogUniform(0.1, 10.0), "strength": LogUniform(0.001, 1.0)}

    strength: float = setting(0.1, low=0.0)

    def adapt(self, network: nn.Module, target: Problem, fit: Fit) -> Objective:
        return ${cls}Objective(network, target.loss, target.head, self.strength)
'''

METHOD_TEST = '''\
"""`$name` keeps the contract of methods, and trains what its equation says."""

import pytest
import torch
from harness.contract import METHOD_CHECKS, MethodUnderTest, rehearse, tiny_problem
from $module import $cls

UNDER_TEST = MethodUnderTest($cls())


@pytest.mark.parametrize("check", METHOD_CHECKS, ids=str)
def test_it_keeps_the_contract(check):
    check(UNDER_TEST)


def test_the_objective_is_the_equation():
    """Turns red when the penalty is deleted: no contract can know what defines a paper."""
    problem = tiny_problem("mlp", new_head=False)
    objective = rehearse($cls(strength=3.0), problem).objective
    head = objective.network.head
    size = head.weight.square().sum() + head.bias.square().sum()
    expected = problem.loss(objective.network, problem.target) + 3.0 / 2 * size
    torch.testing.assert_close(objective(problem.target), expected)
'''

TASK = '''\
"""$title: a wave that has moved. An example, to be replaced by a task of your own.

An example: inputs (0.31, -0.80), target 0.42.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import torch
from harness.task import Datasets, Examples, Recipe, Task, setting
from torch import Tensor, nn

SEED = 2022
WIDTH = 32


@dataclass(frozen=True)
class $cls(Task):
    """$title: what transfers is the shape of a wave that has moved.

    Equation: y = sin(4 * x1 + phase) + x2 / 2 + N(0, 0.01), inputs uniform on [-1, 1]. Source: phase 0. Target: phase
    `shift`, in radians.
    Splits: source 2,000 to train on (noisy) and 2,000 to test on (noise-free); target pool 500 (noisy), test 2,000
    (noise-free). The metric is the RMSE in the units of y, so a perfect model scores 0.
    Shapes: inputs (examples, 2), targets (examples,), float32. The network is an MLP of two hidden layers.
    Anchors: none yet. Measure them: `scratch` at n = 25, and fine-tuning on the whole pool, over some seeds.
    Source: none, an example.
    """

    name = "$name"
    version = "1"
    metric = "rmse"
    higher_is_better = False
    recipe = Recipe(learning_rate=3e-3, batch_size=64, schedule="cosine", source_steps=1000)
    source_fields = ()

    shift: float = setting(1.0, low=0.0)

    def datasets(self) -> Datasets:
        # RandomState, because its streams never change between versions of numpy.
        draw = np.random.RandomState(SEED)
        return Datasets(
            source_train=_examples(draw, 2_000, phase=0.0, noise=0.1),
            source_test=_examples(draw, 2_000, phase=0.0, noise=0.0),
            target_pool=_examples(draw, 500, phase=self.shift, noise=0.1),
            target_test=_examples(draw, 2_000, phase=self.shift, noise=0.0),
        )

    def network(self) -> nn.Module:
        return nn.Sequential(
            OrderedDict(
                block1=nn.Sequential(nn.Linear(2, WIDTH), nn.Tanh()),
                block2=nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Tanh()),
                head=nn.Linear(WIDTH, 1),
            )
        )

    @staticmethod
    def loss(network: nn.Module, batch: Examples) -> Tensor:
        return nn.functional.mse_loss(network(batch["inputs"])[:, 0], batch["targets"])

    @staticmethod
    def predict(network: nn.Module, batch: Examples) -> Tensor:
        output: Tensor = network(batch["inputs"])[:, 0]
        return output

    @staticmethod
    def score(predictions: Tensor, examples: Examples) -> float:
        return float((predictions.double() - examples["targets"].double()).square().mean().sqrt())


def _examples(draw: np.random.RandomState, count: int, phase: float, noise: float) -> Examples:
    """Shapes: inputs (count, 2), targets (count,), float32. noise: its standard deviation."""
    x = draw.uniform(-1, 1, (count, 2))
    y = np.sin(4 * x[:, 0] + phase) + x[:, 1] / 2 + noise * draw.standard_normal(count)
    return {"inputs": torch.from_numpy(x).float(), "targets": torch.from_numpy(y).float()}
'''

TASK_TEST = '''\
"""`$name` keeps the contract of tasks, and its data are what its equation says."""

import pytest
import torch
from harness.contract import TASK_CHECKS, TaskUnderTest
from $module import $cls

UNDER_TEST = TaskUnderTest($cls())


@pytest.mark.parametrize("check", TASK_CHECKS, ids=str)
def test_it_keeps_the_contract(check):
    check(UNDER_TEST)


def test_the_data_are_the_equation():
    """Turns red when the equation is changed: no contract can know what defines a task."""
    test = $cls(shift=0.5).datasets().target_test
    x = test["inputs"]
    torch.testing.assert_close(test["targets"], torch.sin(4 * x[:, 0] + 0.5) + x[:, 1] / 2)
'''


def class_name(name: str) -> str:
    """`small_head` becomes `SmallHead`."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_") if part)


def package(kind: str, name: str) -> dict[str, str]:
    """The files of a package with the method or task `name`, by file name. kind: "method" or "task"."""
    module = f"pacbench_{name}"  # whatever the name is, the module shadows no other
    title = name.replace("_", " ").strip().capitalize()
    words = {
        "kind": kind,
        "name": name,
        "module": module,
        "package": module.replace("_", "-"),
        "cls": class_name(name),
        "title": title,
    }
    code, test = (METHOD, METHOD_TEST) if kind == "method" else (TASK, TASK_TEST)
    templates = {
        "pyproject.toml": PYPROJECT,
        "README.md": README,
        f"{module}.py": code,
        f"test_{name}.py": test,
    }
    return {file: Template(template).substitute(words) for file, template in templates.items()}
