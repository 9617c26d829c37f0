"""A task from a CSV file: a tool's wear on machine 0, then on machine 1. `python examples/own_task.py [FOLDER]`"""

import sys
from dataclasses import dataclass

import numpy as np
import torch

import pacbench
from harness.task import Datasets, Recipe, Task, place
from tasks.numerics import mlp, rmse


@dataclass(frozen=True)
class Wear(Task):
    """Wear from temperature, load and speed; what transfers is the shape of the law."""

    name, version, metric, higher_is_better = "wear", "1", "rmse", False
    recipe = Recipe(learning_rate=3e-3, batch_size=32, source_steps=500)
    score = staticmethod(rmse)
    file: str = place()

    def datasets(self):
        rows = torch.tensor(np.loadtxt(self.file, delimiter=",", skiprows=1), dtype=torch.float32)
        parts = [{"inputs": part[:, 1:4], "targets": part[:, 4:]} for part in rows.split([200, 100, 200, 100])]
        return Datasets(source_train=parts[0], source_test=parts[1], target_pool=parts[2], target_test=parts[3])

    def network(self):
        return mlp(inputs=3, widths=(32,), outputs=1)

    @staticmethod
    def loss(network, batch):
        return (network(batch["inputs"]) - batch["targets"]).square().mean()


if __name__ == "__main__":
    task = {"name": __file__, "file": __file__.replace("own_task.py", "wear.csv")}
    suite = {"name": "own_task", "tasks": [task], "methods": ["fine_tuning", "scratch"], "target_sizes": [20]}
    print(pacbench.leaderboard(pacbench.run(suite, *sys.argv[1:] or ["runs/own_task"], {"tuning.configs": 1})))
