"""What tasks share whose source model is a checkpoint on disk instead of something trained here."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from harness import pretrained
from harness.checkpoint import content_hash, model_folder
from harness.data import Examples
from harness.errors import UserError
from harness.pretrained import Kind
from harness.recipe import Recipe
from harness.task import Task, place, setting

SEED = 2023

__all__ = ["PretrainedTask", "Recipe", "drawn", "place", "setting", "without"]


@dataclass(frozen=True)
class PretrainedTask(Task):
    """A task whose source model is read from the folder `model`.

    The hash of the folder's content is part of the source model's key; `model_name` and `dataset` name both in tables.
    `source` are examples of what the checkpoint was trained on, or of something near it: methods that train on the
    source use four fifths of them for `proxy_steps` at most, the source score is read on the others. Without them such
    methods do without, and the source score is null.
    """

    kind: ClassVar[Kind]

    model: str = place()
    data: str = place()
    source: str = place()
    model_name: str = setting("model")
    dataset: str = setting("data")
    learning_rate: float = setting(2e-5, low=1e-9, high=1.0)
    batch_size: int = setting(16, low=1, high=65_536)
    weight_decay: float = setting(0.01, low=0.0, high=1.0)
    proxy_steps: int = setting(500, low=0, high=10**9)
    largest_pool: int = setting(10_000, low=5, high=10**9)
    largest_test: int = setting(2_000, low=1, high=10**9)
    allow_pickle: bool = setting(False, options=(False, True))

    @property
    def recipe(self) -> Recipe:  # type: ignore[override]
        """AdamW with half a cosine, its gradient clipped at norm 1."""
        return Recipe(
            optimizer="adamw",
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            batch_size=self.batch_size,
            schedule="cosine",
            clip_norm=1.0,
            source_steps=self.proxy_steps,
        )

    @property
    def head(self) -> str:  # type: ignore[override]
        """The module that makes logits, by the name the model's own code gives it."""
        return _head(self.kind, self.folder)

    @property
    def folder(self) -> Path:
        """Where the checkpoint lies. Raises: UserError."""
        return model_folder(self.model)

    def checkpoint(self) -> str:
        """Raises: UserError if the folder is missing or not whole, or its model not whole or not of this kind."""
        found = content_hash(self.folder, self.allow_pickle)
        _check(self.kind, self.folder, self.allow_pickle)
        return found

    def configuration(self) -> Any:
        """The model's configuration, to be changed by its caller."""
        return pretrained.configuration(self.folder)

    def network(self) -> nn.Module:
        return pretrained.untrained(self.kind, self.configuration())

    def source_model(self) -> nn.Module:
        return pretrained.loaded(self.kind, self.folder, self.configuration(), self.allow_pickle)

    def retarget(self, network: nn.Module, head: nn.Module) -> None:
        pretrained.put_head(network, self.head, head)

    def blocks(self, network: nn.Module) -> tuple[str, ...]:
        """The transformer's layers. Embeddings and the last normalisation belong to none."""
        return pretrained.layers(network)


@functools.lru_cache(maxsize=16)
def _head(kind: Kind, folder: Path) -> str:
    return pretrained.head_name(kind, pretrained.shape_of(kind, pretrained.configuration(folder)))


@functools.lru_cache(maxsize=16)
def _check(kind: Kind, folder: Path, allow_pickle: bool) -> None:
    _head(kind, folder)
    pretrained.check_weights(kind, folder, pretrained.configuration(folder), allow_pickle)


def drawn(rows: int, part: int) -> np.ndarray:
    """The order of so many rows, drawn once."""
    # RandomState, because its streams never change between versions of numpy.
    return np.random.RandomState([SEED, part]).permutation(rows)


def without(pool: Examples, test: Examples) -> Examples:
    """The pool's examples whose inputs are not in the test as well."""
    tested = {row.tobytes() for row in test["inputs"].numpy()}
    kept = [number for number, row in enumerate(pool["inputs"].numpy()) if row.tobytes() not in tested]
    index = torch.tensor(kept, dtype=torch.long)
    return {name: tensor.index_select(0, index) for name, tensor in pool.items()}


def ordered(labels: Sequence[str]) -> tuple[str, ...]:
    """Different labels in the order of their numbers, or of their names where they are no numbers."""
    different = set(labels)
    numeric = all(label.lstrip("-").isdigit() for label in different)
    return tuple(sorted(different, key=(lambda label: (int(label), label)) if numeric else str))


def known_to(config: Any, labels: Sequence[str]) -> tuple[str, ...]:
    """The checkpoint's own labels, in its order; their numbers where the data hold numbers."""
    names = tuple(str(config.id2label[number]) for number in range(config.num_labels))
    numbers = tuple(map(str, range(config.num_labels)))
    return numbers if set(labels) <= set(numbers) and not set(labels) <= set(names) else names


def check_label_count(labels: Sequence[str], config: Any, kept: bool, where: str) -> None:
    """Raises: UserError for fewer than two labels, or for others than a kept head has outputs for."""
    if len(labels) < 2:
        raise UserError(f"{where}: {len(labels)} different labels; expected at least 2")
    if kept and len(labels) != config.num_labels:
        raise UserError(
            f"{where}: {len(labels)} different labels, and the checkpoint's head has {config.num_labels} outputs; "
            "expected as many, or keep_head = false for a new head"
        )
