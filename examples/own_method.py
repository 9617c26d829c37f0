"""A method of your own; this file is the method and runs it. `python examples/own_method.py [FOLDER]`"""

import sys
from dataclasses import dataclass

import pacbench
from harness.method import LogUniform, Method, Objective, setting


class Shrunk(Objective):
    """The loss plus strength/2 * the squared size of the head."""

    def __init__(self, network, loss, head, strength):
        super().__init__(network, loss)
        self.head, self.strength = head, strength

    def penalty(self):
        head = self.network.get_submodule(self.head)
        return self.strength / 2 * sum(p.square().sum() for p in head.parameters())


@dataclass(frozen=True)
class ShrunkHead(Method):
    """Fine-tuning that keeps the head small."""

    name, version, paper = "shrunk_head", "1", "none"
    space = {"learning_rate_factor": LogUniform(0.1, 10.0), "strength": LogUniform(0.001, 1.0)}
    strength: float = setting(0.1, low=0.0)

    def adapt(self, network, target, fit):
        return Shrunk(network, target.loss, target.head, self.strength)


if __name__ == "__main__":
    suite = {"name": "own_method", "tasks": ["friedman1"], "methods": [__file__, "fine_tuning"], "target_sizes": [25]}
    suite |= {"tuning": {"configs": 2, "seeds": 1}, "final": {"seeds": 3}, "budget": {"steps": 100}}
    campaign = pacbench.run(suite, *sys.argv[1:] or ["runs/own_method"])
    print(pacbench.compare(campaign, "shrunk_head", "fine_tuning"))
