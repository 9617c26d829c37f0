"""Small models of transformers, built from configuration and trained here: language, texts, pictures.

They show that what works on large checkpoints works, in seconds and on every machine. An example: 32 characters of code
as numbers below 96, or a digit on a canvas of 10 x 10 pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from harness import pretrained
from harness.task import Datasets, Examples, Recipe, Task, setting
from tasks.code_to_english import CONTEXT, SYMBOLS, CodeToEnglish
from tasks.digits_new_classes import CLASSES, DigitsNewClasses
from tasks.vision import CANVAS

SEED = 2017
WIDTH, LAYERS, HEADS, SPREAD = 32, 2, 2, 0.1
SOURCE_TRAIN, POOL, TEST = 2_000, 500, 200
OTHER_CASE = np.array([SYMBOLS.index(symbol.swapcase()) for symbol in SYMBOLS])
RECIPE = Recipe(
    optimizer="adamw",
    learning_rate=2e-3,
    weight_decay=0.01,
    batch_size=16,
    schedule="cosine",
    clip_norm=1.0,
    source_steps=200,
)


@dataclass(frozen=True)
class TinyLanguageModel(Task):
    """A tiny GPT-2 or LLaMA: what transfers is spelling, from code to English.

    Data: the windows of `code_to_english`, fewer of them. The metric is the cross entropy in nats per character.
    Shapes: inputs and targets (examples, 32), int64. The network is GPT2LMHeadModel or LlamaForCausalLM (with grouped
    queries), two layers of width 32, output vectors of its own.
    Anchors: none; the task is there to try engines and methods, not to rank them.
    """

    name = "tiny_language_model"
    version = "1"
    metric = "cross_entropy"
    higher_is_better = False
    recipe = RECIPE
    head = "lm_head"

    architecture: str = setting("gpt2", options=("gpt2", "llama"))

    loss = staticmethod(pretrained.next_token_loss)
    predict = staticmethod(pretrained.next_token_predictions)
    score = staticmethod(pretrained.cross_entropy_per_token)

    def datasets(self) -> Datasets:
        return _fewer(CodeToEnglish().datasets())

    def network(self) -> nn.Module:
        return pretrained.untrained("language", _config(self.architecture))

    def blocks(self, network: nn.Module) -> tuple[str, ...]:
        return pretrained.layers(network)

    def tokens(self, examples: Examples) -> Tensor:
        return pretrained.predicted_tokens(examples)


@dataclass(frozen=True)
class TinyTextClassifier(Task):
    """A tiny BERT: what transfers is how letters of both cases are used; the labels are new, and so is the head.

    Data: windows of `code_to_english`. Source: is a window of code as it was, has it upper for lower case and the other
    way round, or is it written backwards? Target: is one of English as it was or in the other case? Every second window
    lacks its last eight characters, so that there is padding. The metric is the accuracy.
    Shapes: inputs and mask (examples, 32), int64; targets (examples,), int64. The network is
    BertForSequenceClassification, two layers of width 32.
    Anchors: none; the task is there to try engines and methods, not to rank them.
    """

    name = "tiny_text_classifier"
    version = "1"
    metric = "accuracy"
    higher_is_better = True
    recipe = RECIPE
    head = "classifier"

    loss = staticmethod(pretrained.class_loss)
    predict = staticmethod(pretrained.class_predictions)
    score = staticmethod(pretrained.accuracy)

    def datasets(self) -> Datasets:
        whole = _fewer(CodeToEnglish().datasets())
        return Datasets(
            source_train=_orders(whole.source_train or {}, 3, 0),
            source_test=_orders(whole.source_test or {}, 3, 1),
            target_pool=_orders(whole.target_pool, 2, 2),
            target_test=_orders(whole.target_test, 2, 3),
        )

    def network(self) -> nn.Module:
        return pretrained.untrained("text", _config("bert", labels=3))

    def new_head(self) -> nn.Module:
        return pretrained.fresh_head("text", _config("bert"), 2)

    def retarget(self, network: nn.Module, head: nn.Module) -> None:
        pretrained.put_head(network, self.head, head)

    def blocks(self, network: nn.Module) -> tuple[str, ...]:
        return pretrained.layers(network)

    def tokens(self, examples: Examples) -> Tensor:
        return pretrained.shown_tokens(examples)


@dataclass(frozen=True)
class TinyImageClassifier(Task):
    """A tiny ViT: what transfers is strokes; the labels are new, and so is the head.

    Data: those of `digits_new_classes`. The metric is the accuracy.
    Shapes: inputs (examples, 1, 10, 10), float32 in [0, 1]; targets (examples,), int64. The network is
    ViTForImageClassification with patches of 2 x 2 pixels, two layers of width 32.
    Anchors: none; the task is there to try engines and methods, not to rank them.
    """

    name = "tiny_image_classifier"
    version = "1"
    metric = "accuracy"
    higher_is_better = True
    recipe = RECIPE
    head = "classifier"

    loss = staticmethod(pretrained.class_loss)
    predict = staticmethod(pretrained.class_predictions)
    score = staticmethod(pretrained.accuracy)

    def datasets(self) -> Datasets:
        return DigitsNewClasses().datasets()

    def network(self) -> nn.Module:
        return pretrained.untrained("image", _config("vit", labels=CLASSES))

    def new_head(self) -> nn.Module:
        return pretrained.fresh_head("image", _config("vit"), CLASSES)

    def retarget(self, network: nn.Module, head: nn.Module) -> None:
        pretrained.put_head(network, self.head, head)

    def blocks(self, network: nn.Module) -> tuple[str, ...]:
        return pretrained.layers(network)


def _config(architecture: str, labels: int = 2) -> Any:
    """The configuration of a tiny model."""
    library = pretrained.library()
    text = {"vocab_size": len(SYMBOLS), "bos_token_id": None, "eos_token_id": None}
    common = {
        "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "intermediate_size": 64,
        "initializer_range": SPREAD,
    }
    if architecture == "gpt2":
        return library.GPT2Config(
            n_embd=WIDTH,
            n_layer=LAYERS,
            n_head=HEADS,
            n_inner=64,
            n_positions=CONTEXT,
            initializer_range=SPREAD,
            **text,
        )
    if architecture == "llama":
        return library.LlamaConfig(num_key_value_heads=1, max_position_embeddings=CONTEXT, **common, **text)
    if architecture == "bert":
        return library.BertConfig(vocab_size=len(SYMBOLS), max_position_embeddings=CONTEXT, num_labels=labels, **common)
    return library.ViTConfig(image_size=CANVAS, patch_size=2, num_channels=1, num_labels=labels, **common)


def _fewer(whole: Datasets) -> Datasets:
    """The first windows of each split."""

    def first(examples: Examples | None, number: int) -> Examples:
        return {name: tensor[:number].clone() for name, tensor in (examples or {}).items()}

    return Datasets(
        source_train=first(whole.source_train, SOURCE_TRAIN),
        source_test=first(whole.source_test, TEST),
        target_pool=first(whole.target_pool, POOL),
        target_test=first(whole.target_test, TEST),
    )


def _orders(windows: Examples, kinds: int, part: int) -> Examples:
    """Windows as they are (0), in the other case (1) or backwards (2); every second one is shorter and padded."""
    # RandomState, because its streams never change between versions of numpy.
    draw = np.random.RandomState([SEED, part])
    rows = windows["inputs"].numpy().copy()
    targets = draw.randint(kinds, size=len(rows))
    mask = np.ones_like(rows)
    for number, row in enumerate(rows):
        length = CONTEXT - 8 * (number % 2)
        shown = row[:length].copy()
        row[:length] = [shown, OTHER_CASE[shown], shown[::-1]][targets[number]]
        row[length:], mask[number, length:] = 0, 0
    inputs = {"inputs": torch.from_numpy(rows), "mask": torch.from_numpy(mask)}
    return {**inputs, "targets": torch.from_numpy(targets.astype(np.int64))}
