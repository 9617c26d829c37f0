"""Methods with one fault each, as their authors might write them, and the check that must find it."""

from __future__ import annotations

METHOD = '''
"""A method with a fault."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from harness.method import Choice, LogUniform, Method, Objective, setting
from harness.objective import train_only


class Pulled(Objective):
    """Loss plus strength/2 * ||w - w0||^2."""

    def __init__(self, network, loss, strength):
        super().__init__(network, loss)
        self.names = [name for name, _ in network.named_parameters()]
        self.anchors = nn.ParameterList(
            nn.Parameter(weight.detach().clone(), requires_grad=False) for weight in network.parameters()
        )
        self.register_buffer("strength", torch.tensor(strength))

    def penalty(self):
        pairs = zip(self.names, self.anchors)
        return self.strength / 2 * sum((self.weight(name) - anchor).square().sum() for name, anchor in pairs)


@dataclass(frozen=True)
class Faulty(Method):
    """Pulled: fine-tuning that is pulled back to its start.

    Equation: L(w) + strength/2 * ||w - w0||^2.
    Source: none.
    Deviations and open points: none.
    """

    name = "faulty"
    version = "1"
    paper = "none"
    space = {"learning_rate_factor": LogUniform(0.1, 10.0), "strength": LogUniform(0.01, 1.0)}

    strength: float = setting(0.1, low=0.0)

    def adapt(self, network, target, fit):
        return Pulled(network, target.loss, self.strength)
'''

PREPARING = METHOD.replace(
    "    def adapt(",
    """    def prepare(self, network, source, fit):
        with torch.no_grad():
            for weight in network.parameters():
                weight.mul_(1 - self.strength)
        return network

    def adapt(""",
)

ADAPT = "        return Pulled(network, target.loss, self.strength)\n"
SPACE = "LogUniform(0.01, 1.0)}"
PLANNED = "    def planned_steps(self, steps, source_steps, blocks):\n        return steps + 5\n\n"
NOISE = "        with torch.no_grad():\n            network.get_submodule(target.head).weight.add_({})\n" + ADAPT

METHODS = {
    "global seeding": (METHOD.replace(ADAPT, "        torch.manual_seed(0)\n" + ADAPT), "determinism", "seed"),
    "global seeding of numpy": (METHOD.replace(ADAPT, "        np.random.seed(1)\n" + ADAPT), "determinism", "numpy"),
    "a frozen parameter that moves": (
        METHOD.replace(
            "    def penalty(self):\n",
            "    def penalty(self):\n        with torch.no_grad():\n            self.anchors[0].mul_(0.99)\n",
        ),
        "frozen",
        "'anchors.0' moves although it does not train",
    ),
    "a penalty that keeps references to its weights": (
        METHOD.replace(
            "        self.names = [name for name, _ in network.named_parameters()]\n",
            "        weights = [*network.parameters()]\n"
            "        self.pull = lambda anchors: sum((w - a).square().sum() for w, a in zip(weights, anchors))\n",
        )
        .replace("        pairs = zip(self.names, self.anchors)\n", "")
        .replace(
            "sum((self.weight(name) - anchor).square().sum() for name, anchor in pairs)", "self.pull(self.anchors)"
        ),
        "deepspeed",
        "the loss ends at",
    ),
    "a buffer that moves": (
        METHOD.replace("    def penalty(self):\n", "    def penalty(self):\n        self.strength.mul_(0.9)\n"),
        "frozen",
        "'strength' moves",
    ),
    "a mask that weight decay ignores": (
        METHOD.replace(
            "class Faulty",
            '''class Masked(Objective):
    """A gradient mask: half of the head's weights are said to be frozen."""

    def __init__(self, network, loss, head):
        super().__init__(train_only(network, head), loss)
        self.hook = network.get_submodule(head).weight.register_hook(half)

    def trained_entries(self):
        return super().trained_entries() - self.network.head.weight.shape[1] // 2 * len(self.network.head.weight)


def half(gradient):
    gradient = gradient.clone()
    gradient[:, : gradient.shape[1] // 2] = 0
    return gradient


@dataclass(frozen=True)
class Faulty''',
        )
        .replace("@dataclass(frozen=True)\nclass Masked", "class Masked")
        .replace(ADAPT, "        return Masked(network, target.loss, target.head)\n"),
        "frozen",
        "entries move, trained_entries() says",
    ),
    "not picklable": (
        METHOD.replace(
            "    def adapt(",
            "    def __post_init__(self):\n"
            '        object.__setattr__(self, "_work", (x for x in ()))\n\n    def adapt(',
        ),
        "pickling",
        "generator",
    ),
    "lanes that leak by a class attribute": (
        METHOD.replace(
            "        super().__init__(network, loss)\n",
            "        super().__init__(network, loss)\n"
            "        Pulled.start = [weight.detach().clone() for weight in network.parameters()]\n",
        ).replace("zip(self.names, self.anchors)", "zip(self.names, Pulled.start)"),
        "lane isolation",
        "beside others",
    ),
    "lanes that leak by bookkeeping": (
        METHOD.replace("    def __init__", '    bookkeeping = ("strength",)\n\n    def __init__').replace(
            'self.register_buffer("strength", torch.tensor(strength))', "self.strength = strength"
        ),
        "lane isolation",
        "beside others",
    ),
    "a cache that the first trial fills": (
        METHOD.replace("class Faulty", "class Faulty")
        .replace(
            "        super().__init__(network, loss)\n",
            "        super().__init__(network, loss)\n"
            "        key = tuple(weight.shape for weight in network.parameters())\n"
            "        if key not in CACHE:\n"
            "            CACHE[key] = [w.detach().clone() for w in network.parameters()]\n"
            "        self.kept = CACHE[key]\n",
        )
        .replace("zip(self.names, self.anchors)", "zip(self.names, self.kept)")
        .replace("class Pulled", "CACHE = {}\n\n\nclass Pulled"),
        "fresh process",
        "in a process of its own",
    ),
    "what the first configuration of a seed leaves behind": (
        METHOD.replace(
            ADAPT,
            "        first = FIRST.setdefault((torch.initial_seed(), network.head.weight.shape), self.strength)\n"
            "        if first != self.strength:\n"
            "            with torch.no_grad():\n"
            "                network.head.weight.add_(0.1)\n" + ADAPT,
        ).replace("class Pulled", "FIRST = {}\n\n\nclass Pulled"),
        "fresh process",
        "in a process of its own",
    ),
    "what the last configuration of a seed leaves behind": (
        METHOD.replace(
            ADAPT,
            "        last, LAST[torch.initial_seed()] = LAST.get(torch.initial_seed()), self.strength\n"
            "        if last not in (None, self.strength):\n"
            "            with torch.no_grad():\n"
            "                network.head.weight.add_(0.1)\n" + ADAPT,
        ).replace("class Pulled", "LAST = {}\n\n\nclass Pulled"),
        "determinism",
        "the same seed gives another result",
    ),
    "a configuration that the space can draw is illegal": (
        METHOD.replace("setting(0.1, low=0.0)", "setting(0.1, low=0.0, high=0.5)"),
        "space",
        "strength = 1.0 is out of range",
    ),
    "a choice of one tuple": (
        METHOD.replace(SPACE, "Choice((0.1, 0.5))}"),
        "space",
        "Choice((0.1, 0.5)) has one option",
    ),
    "a default outside its space": (METHOD.replace(SPACE, "LogUniform(0.5, 1.0)}"), "space", "lies outside its space"),
    "a space that names no field": (METHOD.replace('"strength": Log', '"strenght": Log'), "space", "strenght"),
    "a hyper-parameter that does nothing": (
        METHOD.replace("torch.tensor(strength)", "torch.tensor(0.1)"),
        "hyper parameters",
        "strength changes nothing",
    ),
    "an anchor that is aliased": (
        METHOD.replace("weight.detach().clone(), requires", "weight.detach(), requires"),
        "anchors",
        "shares memory with",
    ),
    "an anchor that is aliased in a dict": (
        METHOD.replace(
            '        self.register_buffer("strength"',
            '        self.start = network.state_dict()\n        self.register_buffer("strength"',
        ).replace("zip(self.names, self.anchors)", "self.start.items()"),
        "anchors",
        "shares memory with",
    ),
    "an anchor that is the weight": (
        METHOD.replace(
            '        self.register_buffer("strength"',
            '        self.start = list(network.parameters())\n        self.register_buffer("strength"',
        ).replace("zip(self.names, self.anchors)", "zip(self.names, self.start)"),
        "anchors",
        "itself is held",
    ),
    "randomness without a seed": (
        METHOD.replace(ADAPT, NOISE.format("torch.as_tensor(np.random.default_rng().normal())")),
        "determinism",
        "the same seed gives another result",
    ),
    "randomness of a generator with a constant seed": (
        METHOD.replace(ADAPT, NOISE.format("torch.randn((), generator=torch.Generator().manual_seed(3))")),
        "determinism",
        "torch.Generator.manual_seed with 3",
    ),
    "randomness of a function imported by name": (
        METHOD.replace("import torch\n", "import torch\nfrom numpy.random import RandomState\n", 1).replace(
            ADAPT, NOISE.format("float(RandomState(5).normal())")
        ),
        "determinism",
        "RandomState with 5",
    ),
    "randomness of a bit generator with a constant seed": (
        METHOD.replace(ADAPT, NOISE.format("float(np.random.Generator(np.random.PCG64(5)).normal())")),
        "determinism",
        "numpy.random.PCG64 with 5",
    ),
    "randomness of a library with a constant seed": (
        METHOD.replace(ADAPT, NOISE.format("float(check_random_state(0).normal())")).replace(
            "import torch\n", "import torch\nfrom sklearn.utils import check_random_state\n", 1
        ),
        "determinism",
        "numpy.random.RandomState with 0",
    ),
    "a generator set to a state that is kept": (
        METHOD.replace(
            ADAPT,
            "        state = torch.get_rng_state()\n        torch.set_rng_state(STATE)\n"
            + NOISE.format("torch.randn(())").replace(ADAPT, "        torch.set_rng_state(state)\n" + ADAPT),
        ).replace("class Pulled", "STATE = torch.Generator().get_state()\n\n\nclass Pulled"),
        "determinism",
        "torch.set_rng_state with the state",
    ),
    "a docstring without its sections": (
        METHOD.replace("Deviations and open points", "Notes"),
        "docstring",
        "Deviations",
    ),
    "examples changed in place": (
        METHOD.replace(ADAPT, '        target.train["inputs"].add_(0.1)\n' + ADAPT),
        "given things",
        "in place",
    ),
    "a finished network of another structure": (
        METHOD.replace(
            "    def penalty",
            "    def finish(self):\n        return nn.Sequential(super().finish())\n\n    def penalty",
        ),
        "finish",
        "another structure",
    ),
    "a hyper-parameter that prepare reads in secret": (
        PREPARING.replace('    paper = "none"\n', '    paper = "none"\n    prepare_fields = ()\n'),
        "prepare reads",
        "strength",
    ),
    "adapt that fails": (METHOD.replace(ADAPT, "        raise RuntimeError('no idea')\n"), "runs", "no idea"),
    "adapt that returns a network": (
        METHOD.replace(ADAPT, "        return network\n"),
        "runs",
        "expected an Objective",
    ),
    "an optimizer of its own": (
        METHOD.replace(
            ADAPT,
            "        own = torch.optim.SGD(network.parameters(), 1e-2)\n"
            "        for _ in range(7):\n"
            "            own.zero_grad()\n"
            "            target.loss(network, target.train).backward()\n"
            "            own.step()\n" + ADAPT,
        ),
        "counts",
        "7 steps by an optimizer of its own",
    ),
    "what adapt trains and does not count": (
        METHOD.replace(
            ADAPT,
            "        fit([Objective(network, target.loss)], target.train, 5)\n"
            "        train_only(network, target.head)\n" + ADAPT,
        ).replace("    def adapt(", PLANNED + "    def adapt("),
        "counts",
        "trained_entries() says",
    ),
    "a search whose steps are not planned": (
        METHOD.replace(ADAPT, "        fit([Objective(network, target.loss)], target.train)\n" + ADAPT),
        "counts",
        "planned_steps",
    ),
}
