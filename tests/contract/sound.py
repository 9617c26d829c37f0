"""Methods and tasks that are right though a check might think otherwise; what the check may remark."""

from __future__ import annotations

from tests.contract.planted_methods import ADAPT, METHOD
from tests.contract.planted_tasks import TASK

AVERAGED = METHOD.replace(
    "class Faulty",
    '''class Averaged(Objective):
    """The mean of what several trainings gave; nothing of it trains any more."""

    def trained_entries(self):
        return sum(weight.numel() for weight in self.network.parameters())


@dataclass(frozen=True)
class Faulty''',
).replace("@dataclass(frozen=True)\nclass Averaged", "class Averaged")
AVERAGED = AVERAGED.replace(
    ADAPT,
    """        kept = [weight.detach().clone() for weight in network.parameters()]
        for _ in range(2):
            fit([Pulled(network, target.loss, self.strength)], target.train, fit.steps // 2)
            with torch.no_grad():
                for mean, weight in zip(kept, network.parameters()):
                    mean.lerp_(weight, 0.5)
        with torch.no_grad():
            for mean, weight in zip(kept, network.parameters()):
                weight.copy_(mean)
        return Averaged(network.requires_grad_(False), target.loss)

    def planned_steps(self, steps, source_steps, blocks):
        return 2 * steps
""",
)

HITS = '(predictions == examples["targets"]).float().mean()'

CONDITIONAL = (
    METHOD.replace('{"learning_rate_factor"', '{"regulariser": Choice("none", "l2"), "learning_rate_factor"')
    .replace(
        "    strength: float", '    regulariser: str = setting("none", options=("none", "l2"))\n    strength: float'
    )
    .replace("target.loss, self.strength)", 'target.loss, self.strength if self.regulariser == "l2" else 0.0)')
)

NOISY = METHOD.replace(
    "    def penalty(self):\n",
    """    def forward(self, batch):
        inputs = batch["inputs"]
        noise = 0.1 * torch.randn_like(inputs) if self.training else 0.0
        return super().forward({**batch, "inputs": inputs + noise})

    def penalty(self):
""",
)

OF_FUNC = METHOD.replace(
    "    def penalty(self):\n",
    """    def forward(self, batch):
        weights = {name: weight.detach() for name, weight in self.network.named_parameters()}

        def of(weights):
            return torch.func.functional_call(Whole(self.network, self.loss), weights, (batch,))

        sharpest = torch.func.grad(of)({f"network.{name}": weight for name, weight in weights.items()})
        return super().forward(batch) + 0.0 * sum(gradient.sum() for gradient in sharpest.values())

    def penalty(self):
""",
).replace(
    "@dataclass(",
    """class Whole(nn.Module):
    def __init__(self, network, loss):
        super().__init__()
        self.network, self.loss = network, loss

    def forward(self, batch):
        return self.loss(self.network, batch)


@dataclass(""",
)

HALF_FIXED = (
    METHOD.replace(
        "class Faulty",
        '''class Half(Objective):
    """Half of the head's weights are fixed."""

    def trained_entries(self):
        masks = (module.fixed for module in self.modules() if isinstance(module, PartlyFrozen))
        return sum(int((~fixed).sum()) for fixed in masks) + self.network.head.bias.numel()


@dataclass(frozen=True)
class Faulty''',
    )
    .replace("@dataclass(frozen=True)\nclass Half", "class Half")
    .replace("import train_only\n", "import PartlyFrozen, train_only\n")
    .replace(
        ADAPT,
        """        head = train_only(network, target.head).get_submodule(target.head)
        fixed = torch.arange(head.weight.numel()).view_as(head.weight) % 2 == 0
        nn.utils.parametrize.register_parametrization(head, "weight", PartlyFrozen(fixed, head.weight.detach()))
        return Half(network, target.loss)
""",
    )
)

METHODS = {
    "entries that are fixed below a weight that decays": (HALF_FIXED, "frozen", None),
    "noise that is drawn while it trains": (NOISY, "deepspeed", "numbers are not compared"),
    "an engine that cannot train it": (OF_FUNC, "deepspeed", "cannot train there: "),
    "a hyper-parameter that only another one's value needs": (CONDITIONAL, "hyper parameters", None),
    "generators that are seeded with what the trial drew": (
        METHOD.replace(
            ADAPT,
            "        seed = int(torch.randint(2**31, ()))\n        state = torch.get_rng_state()\n"
            "        torch.randn(3)\n        torch.set_rng_state(state)\n"
            "        np.random.Generator(np.random.PCG64(seed)).normal()\n"
            "        check_random_state(seed).normal()\n" + ADAPT,
        ).replace("import torch\n", "import torch\nfrom sklearn.utils import check_random_state\n", 1),
        "determinism",
        "it draws nothing of its own",
    ),
    "an average that adapt makes": (AVERAGED, "counts", "artifact() holds 0 numbers, trained_entries() says"),
    "an average that says what is stored": (
        AVERAGED.replace(
            "        return sum(weight.numel() for weight in self.network.parameters())\n",
            "        return sum(weight.numel() for weight in self.network.parameters())\n\n"
            "    def artifact(self):\n        return dict(self.network.state_dict())\n",
        ),
        "counts",
        None,
    ),
}
"""Text, check and the words of its remark; None for no remark."""

BALANCED = (
    TASK.replace(
        "torch.from_numpy(y).float()}", "torch.from_numpy((np.argsort(np.argsort(y)) < count // 2).astype(np.int64))}"
    )
    .replace("nn.Linear(16, 1)", "nn.Linear(16, 2)")
    .replace('mse_loss(network(batch["inputs"])[:, 0], ', 'cross_entropy(network(batch["inputs"]), ')
    .replace('return network(batch["inputs"])[:, 0]', 'return network(batch["inputs"]).argmax(1)')
    .replace('(predictions - examples["targets"]).square().mean().sqrt()', HITS)
    .replace("higher_is_better = False", "higher_is_better = True")
)
"""Two classes, equally many of each, and predictions that are no numbers but classes."""

TASKS = {
    "accuracy of balanced classes": (BALANCED, "scoring", None),
    "accuracy that training raises": (BALANCED, "training", "engine"),
}
