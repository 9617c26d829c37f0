"""The next token with a checkpoint of transformers. Model and texts are the user's own.

An example: 128 token numbers cut from a text; targets: the same, one further.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harness import pretrained, texts
from harness.errors import UserError
from harness.pretrained_task import PretrainedTask, drawn, setting, without
from harness.task import Datasets, Examples


@dataclass(frozen=True)
class LanguageModelling(PretrainedTask):
    """Language modelling: what transfers is all the checkpoint knows of language, its head included.

    Data: the column `text` of the splits `train_split` and `test_split` in `data` (of a .txt file its paragraphs): the
    formats of `text_classification`. Of data without a test split half of the rows are the pool and half the test. Rows
    are put one after the other in an order drawn once, the tokenizer's end of text between them, and cut into windows
    of max_tokens + 1; those that the test has too are left out of the pool. n counts windows. `source` are texts on
    which forgetting is measured. The metric is the cross entropy in nats per token; its exponential is the perplexity.
    Shapes: inputs and targets (examples, max_tokens), int64. Output vectors are weights of their own, also where the
    checkpoint ties them to the input's, and start as these: the head can train alone, at the price of its memory.
    Anchors: none; measure them on your data.
    """

    name = "language_modelling"
    version = "1"
    metric = "cross_entropy"
    higher_is_better = False
    kind = "language"

    text: str = setting("text")
    columns: tuple[str, ...] = setting(())
    train_split: str = setting("train")
    test_split: str = setting("")
    max_tokens: int = setting(128, low=2, high=1_000_000)

    loss = staticmethod(pretrained.next_token_loss)
    predict = staticmethod(pretrained.next_token_predictions)
    score = staticmethod(pretrained.cross_entropy_per_token)

    def datasets(self) -> Datasets:
        config = self.configuration()
        pretrained.check_length(self.max_tokens, config)
        place = texts.data_place(self.data, "data")
        files, tests = texts.splits(place, self.train_split, self.test_split)
        rows = self._texts(files)
        held_out = self._texts(tests) if tests else rows[len(rows) // 2 :]
        pool = rows if tests else rows[: len(rows) // 2]
        test = self._windows(held_out, self.largest_test, config, files)
        source_train, source_test = self._source(config)
        return Datasets(
            source_train=source_train,
            source_test=source_test,
            target_pool=without(self._windows(pool, self.largest_pool, config, files), test),
            target_test=test,
        )

    def tokens(self, examples: Examples) -> Tensor:
        return pretrained.predicted_tokens(examples)

    def _texts(self, files: Sequence[Path]) -> list[str]:
        """All texts in an order drawn once."""
        rows = texts.texts_of(texts.read(files, [self.text], self.columns), self.text, files)
        return [rows[place] for place in drawn(len(rows), 0)]

    def _windows(self, rows: Sequence[str], most: int, config: Any, files: Sequence[Path]) -> Examples:
        """The first windows of the texts put together. Raises: UserError if they do not fill one."""
        tokens = pretrained.tokenizer(self.folder, config)
        end = [] if tokens.eos_token_id is None else [tokens.eos_token_id]
        stream: list[int] = []
        width = self.max_tokens + 1
        for row in rows:
            if len(stream) >= most * width:
                break
            stream += [*tokens(row, add_special_tokens=False)["input_ids"], *end]
        count = min(most, len(stream) // width)
        if not count:
            raise UserError(f"{files[0]}: {len(stream)} tokens in all; expected at least {width} for one window")
        whole = torch.tensor(np.array(stream[: count * width], np.int64).reshape(count, width))
        return {"inputs": whole[:, :-1].clone(), "targets": whole[:, 1:].clone()}

    def _source(self, config: Any) -> tuple[Examples | None, Examples | None]:
        """Four fifths of the source's texts to train on, a fifth to test on."""
        if not self.source:
            return None, None
        files = texts.all_files(texts.data_place(self.source, "source"))
        rows = self._texts(files)
        known = 4 * len(rows) // 5
        return (
            self._windows(rows[:known], self.largest_pool, config, files),
            self._windows(rows[known:], self.largest_test, config, files),
        )
