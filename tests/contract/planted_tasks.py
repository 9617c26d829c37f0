"""Tasks with one fault each, as their authors might write them, and the check that must find it."""

from __future__ import annotations

TASK = '''
"""A task with a fault."""

import functools
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from harness.task import Datasets, Recipe, Task, setting


def examples(seed, count, phase):
    draw = np.random.RandomState(seed)
    x = draw.uniform(-1, 1, (count, 3))
    y = np.sin(3 * x[:, 0] + phase) + 0.1 * draw.standard_normal(count)
    return {"inputs": torch.from_numpy(x).float(), "targets": torch.from_numpy(y).float()}


@dataclass(frozen=True)
class Faulty(Task):
    """A wave that has moved.

    Shapes: inputs (examples, 3), targets (examples,). Source: none.
    """

    name = "faulty_task"
    version = "1"
    metric = "rmse"
    higher_is_better = False
    recipe = Recipe(learning_rate=3e-3, batch_size=32, source_steps=50)
    source_fields = ()

    shift: float = setting(1.0, low=0.0)

    def datasets(self):
        return Datasets(
            source_train=examples(1, 200, 0.0),
            source_test=examples(2, 100, 0.0),
            target_pool=examples(3, 450, self.shift),
            target_test=examples(4, 120, self.shift),
        )

    def network(self):
        return nn.Sequential(OrderedDict(block=nn.Sequential(nn.Linear(3, 16), nn.Tanh()), head=nn.Linear(16, 1)))

    @staticmethod
    def loss(network, batch):
        return nn.functional.mse_loss(network(batch["inputs"])[:, 0], batch["targets"])

    @staticmethod
    def predict(network, batch):
        return network(batch["inputs"])[:, 0]

    @staticmethod
    def score(predictions, examples):
        return float((predictions - examples["targets"]).square().mean().sqrt())
'''

LOSS = '        return nn.functional.mse_loss(network(batch["inputs"])[:, 0], batch["targets"])\n'
ALSO = LOSS.rstrip() + ' + nn.functional.mse_loss(network(test["inputs"])[:, 0], test["targets"])\n'
TEST = "            target_test=examples(4, 120, self.shift),\n"
SEEDED = "    def network(self):\n        torch.manual_seed(0)\n"

KEPT = """        kept = globals().setdefault("_kept", {})
        if self not in kept:
            kept[self] = self._made()
        return kept[self]

    def _made(self):
        return Datasets("""

TASKS = {
    "a loss that reads the test split by a global": (
        TASK.replace(LOSS, "        test = TEST\n" + ALSO).replace(
            "@dataclass", "TEST = examples(4, 120, 1.0)\n\n\n@dataclass"
        ),
        "test split",
        "test rows",
    ),
    "a loss that reads the test split by a cached function": (
        TASK.replace(LOSS, "        test = kept()\n" + ALSO).replace(
            "@dataclass", "@functools.cache\ndef kept():\n    return examples(4, 120, 1.0)\n\n\n@dataclass"
        ),
        "test split",
        "test",
    ),
    "a loss that reads the test split by a list": (
        TASK.replace(LOSS, "        test = sum(KEPT) / 100\n" + LOSS.rstrip() + " + 0 * test\n")
        .replace("@dataclass", "KEPT = []\n\n\n@dataclass")
        .replace(
            "        return Datasets(",
            "        KEPT[:] = examples(4, 120, self.shift)['targets'].tolist()\n        return Datasets(",
        ),
        "test split",
        "a list of 120 numbers",
    ),
    "a loss that reads the test split by bytes": (
        TASK.replace(
            LOSS, "        test = float(np.frombuffer(KEPT[0], np.float32).mean())\n" + LOSS.rstrip() + " + 0 * test\n"
        )
        .replace("@dataclass", "KEPT = [b'']\n\n\n@dataclass")
        .replace(
            "        return Datasets(",
            "        KEPT[0] = examples(4, 120, self.shift)['inputs'].numpy().tobytes()\n        return Datasets(",
        ),
        "test split",
        "bytes",
    ),
    "a loss that asks the task for its test split": (
        TASK.replace(LOSS, "        test = Faulty().datasets().target_test\n" + ALSO),
        "test split",
        "reads",
    ),
    "a loss that makes the test split again": (
        TASK.replace(LOSS, "        test = examples(4, 120, 1.0)\n" + ALSO),
        "test split",
        "rows of the test split",
    ),
    "a loss that knows how often the test split has a label": (
        TASK.replace("        return Datasets(", KEPT)
        .replace("torch.from_numpy(y).float()}", 'torch.from_numpy(y).float(), "labels": torch.from_numpy(y > 0)}')
        .replace(
            LOSS,
            "        known = Faulty().datasets().target_test['labels'].numpy().mean()\n"
            + LOSS.rstrip()
            + " + known**2\n",
        ),
        "test split",
        "another loss or score",
    ),
    "a pool that overlaps the test": (
        TASK.replace(TEST, "            target_test={n: t[:120] for n, t in examples(3, 450, self.shift).items()},\n"),
        "disjoint",
        "120 of 120",
    ),
    "a few examples in both splits": (
        TASK.replace(
            TEST,
            "            target_test={n: torch.cat([t, examples(3, 450, self.shift)[n][:5]]) "
            "for n, t in examples(4, 120, self.shift).items()},\n",
        ),
        "disjoint",
        "5 of 125",
    ),
    "global seeding in datasets": (
        TASK.replace("    def datasets(self):\n", "    def datasets(self):\n        np.random.seed(0)\n"),
        "data",
        "numpy",
    ),
    "data from the global generator": (TASK.replace("np.random.RandomState(seed)", "np.random"), "data", "numpy"),
    "data that differ at every call": (
        TASK.replace("np.random.RandomState(seed)", "np.random.default_rng()"),
        "data",
        "another call gives other data",
    ),
    "data by the order of a set": (
        TASK.replace(
            "x = draw.uniform(-1, 1, (count, 3))",
            "x = draw.uniform(-1, 1, (count, 3)) * [*map(float, {f'1.{n}' for n in range(10, 40)})][:3]",
        ),
        "fresh process",
        "data hash",
    ),
    "global seeding in network": (TASK.replace("    def network(self):\n", SEEDED), "network", "two seeds"),
    "data shared between calls": (
        TASK.replace("def examples(", "@functools.cache\ndef examples("),
        "data",
        "share memory",
    ),
    "not picklable": (
        TASK.replace(
            "    def datasets(self):",
            "    def __post_init__(self):\n"
            '        object.__setattr__(self, "_work", (x for x in ()))\n\n    def datasets(self):',
        ),
        "pickling",
        "generator",
    ),
    "a head that is not there": (
        TASK.replace("    source_fields", '    head = "output"\n    source_fields'),
        "head and blocks",
        "output",
    ),
    "a loss per example": (
        TASK.replace(
            'batch["targets"])\n\n    @staticmethod\n    def predict',
            'batch["targets"], reduction="none")\n\n    @staticmethod\n    def predict',
        ),
        "loss",
        "the loss is (8,)",
    ),
    "predictions that depend on the others": (
        TASK.replace(
            '        return network(batch["inputs"])[:, 0]\n',
            '        out = network(batch["inputs"])[:, 0]\n        return out - out.mean()\n',
        ),
        "predicting",
        "other examples",
    ),
    "a score that one example has not": (
        TASK.replace("return float((predictions - ", "return float((predictions - predictions.std() - "),
        "scoring",
        "1 example",
    ),
    "a score that ignores predictions": (
        TASK.replace("return float((predictions - ", "return float((0.0 - "),
        "scoring",
        "the score is",
    ),
    "a score that ignores many predictions": (
        TASK.replace("return float((predictions - ", "return 0.0 if len(predictions) > 100 else float((predictions - "),
        "scoring",
        "the score is 0",
    ),
    "a score of the wrong direction": (
        TASK.replace("higher_is_better = False", "higher_is_better = True"),
        "training",
        "is worse",
    ),
    "anchors the wrong way round": (
        TASK.replace(
            "    @staticmethod\n    def loss",
            "    def anchors(self):\n        return 0.1, 0.9\n\n    @staticmethod\n    def loss",
        ),
        "anchors",
        "(0.1, 0.9)",
    ),
    "a source that a variant changes": (
        TASK.replace("examples(1, 200, 0.0)", "examples(1, 200, self.shift)"),
        "source part",
        "another source problem",
    ),
    "a sorted split": (
        TASK.replace("x = draw.uniform(-1, 1, (count, 3))", "x = draw.uniform(-1, 1, (count, 3)) * 0.2 + (seed == 4)"),
        "distribution",
        "mean target",
    ),
    "a network that holds the test split": (
        TASK.replace(
            "    @staticmethod\n    def loss",
            """    def blocks(self, network):
        network.register_buffer("hint", self.datasets().target_test["inputs"], persistent=False)
        return ("block",)

    @staticmethod
    def loss""",
        ),
        "handles",
        "rows of the test split",
    ),
}
