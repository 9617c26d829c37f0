"""Task: a source problem and a target problem that share an input space."""

from __future__ import annotations

import dataclasses
import inspect
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from harness.data import Datasets, Examples
from harness.errors import UserError
from harness.recipe import Recipe
from harness.settings import place, setting

__all__ = ["Datasets", "Examples", "Recipe", "Task", "place", "setting"]


@dataclass(frozen=True)
class Task:
    """A frozen dataclass whose fields are its parameters (a shift's strength, a network's width).

    Class facts: `name`; `version`, raised with every change that can move a score; `metric` and `higher_is_better`;
    `recipe`; `head`, the name of the network's output module; `source_fields`, the parameters that shape the source
    problem (variants that share them share their source models; None: all of them); `negative_control`, true where
    nothing can transfer. `loss`, `predict` and `score` are static: they get the network and a batch, and hold no
    handle on the task or its data.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    metric: ClassVar[str]
    higher_is_better: ClassVar[bool]
    recipe: ClassVar[Recipe] = Recipe()
    head: ClassVar[str] = "head"
    source_fields: ClassVar[tuple[str, ...] | None] = None
    negative_control: ClassVar[bool] = False

    def datasets(self) -> Datasets:
        """The data, the same at every call. All randomness comes from constants of the task's version."""
        raise NotImplementedError

    def network(self) -> nn.Module:
        """The untrained source network. Draws its weights from torch's global generator, which the caller seeds."""
        raise NotImplementedError

    def new_head(self) -> nn.Module | None:
        """A fresh output module where the target has another label space; None where the source's head serves."""
        return None

    def retarget(self, network: nn.Module, head: nn.Module) -> None:
        """Put the target's new head where the source's was."""
        network.set_submodule(self.head, head)

    def checkpoint(self) -> str | None:
        """The hash of the checkpoint that `source_model` reads; None where the source model is trained on source data.

        Raises: UserError if the checkpoint is not there or not whole.
        """
        return None

    def source_model(self) -> nn.Module:
        """The network with a checkpoint's weights, of the same structure as `network`'s.

        Draws what the checkpoint lacks, a head, from torch's global generator, which the caller seeds.
        """
        raise NotImplementedError

    @staticmethod
    def loss(network: nn.Module, batch: Examples) -> Tensor:
        """The scalar to minimise. Takes the network, so that a loss may differentiate or integrate it."""
        raise NotImplementedError

    @staticmethod
    def predict(network: nn.Module, batch: Examples) -> Tensor:
        """Predictions, first dimension the batch's."""
        output: Tensor = network(batch["inputs"])
        return output

    @staticmethod
    def score(predictions: Tensor, examples: Examples) -> float:
        """The metric in native units, over a whole split."""
        raise NotImplementedError

    def blocks(self, network: nn.Module) -> tuple[str, ...]:
        """The backbone's blocks, input side first: by default the children that have parameters, without the head."""
        with_weights = (name for name, child in network.named_children() if any(True for _ in child.parameters()))
        return tuple(name for name in with_weights if name != self.head)

    def tokens(self, examples: Examples) -> Tensor | None:
        """How many tokens each example holds, without padding; None where examples are no windows of tokens.

        Shapes: (examples,).
        """
        return None

    def anchors(self) -> tuple[float, float] | None:
        """Scores that count as 0 and 1 across tasks, pinned in the version: scratch, and a stated reference."""
        return None

    @property
    def id(self) -> str:
        """The name, and in parentheses the parameters that differ from their defaults: `friedman1(shift=2.0)`."""
        default = {field.name: field.default for field in dataclasses.fields(self)}
        changed = {name: value for name, value in self.parameters().items() if value != default[name]}
        inside = ", ".join(f"{name}={value}" for name, value in changed.items())
        return f"{self.name}({inside})" if inside else self.name

    def parameters(self) -> dict[str, object]:
        """All parameters but the places where data lie, which change no number."""
        places = {field.name for field in dataclasses.fields(self) if field.metadata.get("place")}
        return {name: value for name, value in dataclasses.asdict(self).items() if name not in places}

    def source_parameters(self) -> dict[str, object]:
        """The parameters that shape the source problem."""
        everything = self.parameters()
        return everything if self.source_fields is None else {name: everything[name] for name in self.source_fields}


def target_network(task: Task) -> nn.Module:
    """The untrained network with the target's output module. Draws from torch's global generator, as these do."""
    network = task.network()
    head = task.new_head()
    if head is not None:
        network.set_submodule(task.head, head)
    return network


def weightless(task: Task) -> nn.Module:
    """The network of `target_network` on torch's meta device, where weights have shapes and take no memory."""
    with torch.device("meta"):
        return target_network(task).to("meta")  # a head may be made elsewhere, whatever the device


def check_task_class(cls: type[Task], where: str) -> None:
    """Raises: UserError if a class fact is missing, or a function that a method gets to see holds on to the task."""
    for fact in ("name", "version", "metric", "higher_is_better"):
        if not hasattr(cls, fact):
            raise UserError(f"{where}: task class {cls.__name__} lacks {fact!r}")
    for function in ("loss", "predict", "score"):
        if not isinstance(inspect.getattr_static(cls, function), staticmethod):
            raise UserError(
                f"{where}: {cls.__name__}.{function} must be a @staticmethod; methods see it, the task they must not"
            )
