"""Small networks and trainings that the tests of lanes have in common."""

import torch
from torch import nn

from harness import seeds
from harness.data import batch_order, size
from harness.engines.lanes import Lanes, complete
from harness.fit import Job
from harness.objective import Objective

EXAMPLES = {"inputs": torch.linspace(-1, 1, 320).view(40, 8), "targets": torch.linspace(0, 1, 40).sin()}


def squared_error(network, batch):
    output = network(batch["inputs"])
    return nn.functional.mse_loss(output.flatten(1).mean(1), batch["targets"])


class Tokens(nn.Module):
    """Embedding and one transformer layer; the inputs' signs are the tokens."""

    def __init__(self, dropout=0.0):
        super().__init__()
        self.embedding = nn.Embedding(2, 8)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=dropout, activation="gelu", batch_first=True)
        self.head = nn.Linear(8, 1)

    def forward(self, inputs):
        return self.head(self.layer(self.embedding((inputs > 0).long())).mean(1))


class Image(nn.Module):
    def forward(self, inputs):
        return inputs.view(-1, 1, 2, 4)


NETWORKS = {
    "linear": lambda: nn.Sequential(nn.Linear(8, 7), nn.ReLU(), nn.Linear(7, 1)),
    "gelu": lambda: nn.Sequential(nn.Linear(8, 5), nn.GELU(), nn.Linear(5, 3), nn.Softplus(), nn.Linear(3, 1)),
    "sigmoid": lambda: nn.Sequential(nn.Linear(8, 5), nn.SiLU(), nn.Linear(5, 1), nn.Sigmoid()),
    "layer norm": lambda: nn.Sequential(nn.Linear(8, 6), nn.LayerNorm(6), nn.ELU(), nn.Linear(6, 1)),
    "convolution": lambda: nn.Sequential(Image(), nn.Conv2d(1, 6, 3, padding=1), nn.GroupNorm(2, 6), nn.Mish()),
    "wide": lambda: nn.Sequential(nn.Linear(8, 130), nn.GELU(), nn.Linear(130, 67), nn.Sigmoid(), nn.Linear(67, 3)),
    "attention": Tokens,
    "dropout": lambda: nn.Sequential(nn.Linear(8, 16), nn.Dropout(0.5), nn.Tanh(), nn.Linear(16, 1)),
    "dropout in attention": lambda: Tokens(dropout=0.2),
    "batch norm": lambda: nn.Sequential(nn.Linear(8, 6, bias=False), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 1)),
}


def made(kind, seed):
    with seeds.seeded(str(seed), "initial weights"):
        return NETWORKS[kind]()


def state(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def job(seed, recipe, steps, kind="linear", objective=None, examples=EXAMPLES, rate=1.0, deadline=None, draws=None):
    objective = objective or Objective(made(kind, seed), squared_error)
    order = batch_order(size(examples), recipe.batch_size, steps, seed)
    return Job([objective], examples, order, recipe, recipe.learning_rate * rate, deadline, [draws or seed + 100])


def trained(engine, jobs):
    """The states after training the jobs together, and the results."""
    answers = engine.train_together(jobs) if isinstance(engine, Lanes) else [engine.train(job) for job in jobs]
    results = [complete(job, answer)[0] for job, answer in zip(jobs, answers, strict=True)]
    return [state(job.objectives[0]) for job in jobs], results
