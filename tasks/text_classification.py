"""Classes of texts with a checkpoint of transformers. Model and data are the user's own.

An example: "a gripping film", padded to 128 token numbers with a mask of what is text, label 1: the second one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from harness import pretrained, texts
from harness.errors import UserError
from harness.pretrained_task import PretrainedTask, check_label_count, drawn, known_to, ordered, setting, without
from harness.task import Datasets, Examples


@dataclass(frozen=True)
class TextClassification(PretrainedTask):
    """Text classification: what transfers is what the checkpoint knows of language; the head is new unless it is kept.

    Data: columns `text` (and `second_text` for pairs) and `label` of the splits `train_split` and `test_split` in
    `data`: a file or folder of Parquet, JSON lines, CSV, GLUE's TSV, or a data set that `datasets` saved to disk. Of
    data without a test split half is the pool and half the test. Rows are taken in an order drawn once; from the pool
    are left out texts that the test has too. `columns` names the columns of files without a header. `labels` lists the
    labels in their order; without it they are those of the pool, by number or name. `source` are texts with the
    checkpoint's own labels. The metric is the accuracy.
    Shapes: inputs and mask (examples, max_tokens), int64, padded on the right; of pairs also types; targets
    (examples,), int64. Longer texts are cut.
    Anchors: none; measure them on your data.
    """

    name = "text_classification"
    version = "1"
    metric = "accuracy"
    higher_is_better = True
    kind = "text"

    text: str = setting("text")
    second_text: str = setting("")
    label: str = setting("label")
    labels: tuple[str, ...] = setting(())
    columns: tuple[str, ...] = setting(())
    train_split: str = setting("train")
    test_split: str = setting("")
    max_tokens: int = setting(128, low=2, high=1_000_000)
    keep_head: bool = setting(False, options=(False, True))

    loss = staticmethod(pretrained.class_loss)
    predict = staticmethod(pretrained.class_predictions)
    score = staticmethod(pretrained.accuracy)

    def configuration(self) -> Any:
        """With the number of the token that pads, which models that read from left to right look for."""
        config = super().configuration()
        if config.get_text_config().pad_token_id is None:
            config.get_text_config().pad_token_id = pretrained.tokenizer(self.folder, config).pad_token_id
        return config

    def datasets(self) -> Datasets:
        config = self.configuration()
        pretrained.check_length(self.max_tokens, config)
        place = texts.data_place(self.data, "data")
        files, tests = texts.splits(place, self.train_split, self.test_split)
        labels = self._labels(files)
        check_label_count(labels, config, self.keep_head, str(place))
        pool = self._examples(files, labels, config)
        test = self._examples(tests, labels, config) if tests else pool
        order = drawn(len(pool["targets"]), 0)
        if tests:
            order, tested = order[: self.largest_pool], drawn(len(test["targets"]), 1)[: self.largest_test]
        else:
            half = len(order) // 2
            order, tested = order[:half][: self.largest_pool], order[half:][: self.largest_test]
        held_out = _rows(test, tested)
        source_train, source_test = self._source(config)
        return Datasets(
            source_train=source_train,
            source_test=source_test,
            target_pool=without(_rows(pool, order), held_out),
            target_test=held_out,
        )

    def tokens(self, examples: Examples) -> Tensor:
        return pretrained.shown_tokens(examples)

    def _wanted(self) -> list[str]:
        return [self.text, *([self.second_text] if self.second_text else []), self.label]

    def _labels(self, files: Sequence[Path]) -> tuple[str, ...]:
        """Those the suite lists, else all of the pool's."""
        if self.labels:
            return tuple(map(str, self.labels))
        found = texts.labels_of(texts.read(files, [self.label], self.columns), self.label)
        return ordered([label for label in found if label])

    def _examples(self, files: Sequence[Path], labels: Sequence[str], config: Any) -> Examples:
        columns = texts.read(files, self._wanted(), self.columns)
        number = texts.numbered(texts.labels_of(columns, self.label), labels, f"{files[0]}: column {self.label!r}")
        first = texts.texts_of(columns, self.text, files)
        second = texts.texts_of(columns, self.second_text, files) if self.second_text else None
        tokens = pretrained.tokenizer(self.folder, config)
        tokens.padding_side = "right"
        made = tokens(first, second, padding="max_length", truncation=True, max_length=self.max_tokens)
        examples = {"inputs": made["input_ids"], "mask": made["attention_mask"]}
        if second is not None and "token_type_ids" in made:
            examples["types"] = made["token_type_ids"]
        numbered = {name: torch.tensor(np.array(rows, np.int64)) for name, rows in examples.items()}
        return {**numbered, "targets": torch.from_numpy(number)}

    def _source(self, config: Any) -> tuple[Examples | None, Examples | None]:
        """Texts with the checkpoint's labels: four fifths to train on, a fifth to test on."""
        if not self.source:
            return None, None
        if pretrained.lacks_head("text", self.folder, config, self.allow_pickle):
            raise UserError(
                f"source = {self.source!r}: the checkpoint in {self.folder} has no head that could be scored"
            )
        files = texts.all_files(texts.data_place(self.source, "source"))
        found = texts.labels_of(texts.read(files, [self.label], self.columns), self.label)
        examples = self._examples(files, known_to(config, found), config)
        order = drawn(len(examples["targets"]), 2)[: self.largest_pool + self.largest_test]
        known = 4 * len(order) // 5
        return _rows(examples, order[:known]), _rows(examples, order[known:])

    def new_head(self) -> nn.Module | None:
        if self.keep_head:
            return None
        files, _ = texts.splits(texts.data_place(self.data, "data"), self.train_split, self.test_split)
        return pretrained.fresh_head("text", self.configuration(), len(self._labels(files)))


def _rows(examples: Examples, index: np.ndarray) -> Examples:
    return {name: tensor[torch.from_numpy(index)] for name, tensor in examples.items()}
