"""The next character: from Python code to the English of its documentation.

An example: the 32 characters "Compare two sequences of lines; " as numbers 0 to 95; targets: the same, one further.
"""

from __future__ import annotations

import ast
import sysconfig
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from harness.errors import UserError
from harness.task import Datasets, Examples, Recipe, Task, setting

SEED = 1948
CONTEXT = 32
SYMBOLS = "\n" + "".join(map(chr, range(32, 127)))
SOURCE_TEST, TARGET_POOL, TARGET_TEST = 400, 1_000, 600
WIDTH, HEADS = 32, 4
CODE = """
_markupbase _threading_local _py_abc email/_encoded_words email/contentmanager email/quoprimime graphlib heapq
multiprocessing/heap multiprocessing/reduction multiprocessing/sharedctypes pyclbr string tomllib/_parser tracemalloc
unittest/suite urllib/robotparser weakref xml/dom/pulldom xml/dom/xmlbuilder xml/etree/ElementPath xml/sax/saxutils
"""
ENGLISH = """
asyncio/protocols concurrent/futures/_base difflib email/headerregistry json/__init__ optparse wsgiref/headers
xml/sax/handler
"""
"""Modules of the standard library whose text is the same, byte for byte, in Python 3.11.2, 3.11.7, 3.12.1, 3.13.0."""


@dataclass(frozen=True)
class CodeToEnglish(Task):
    """Language: what transfers is spelling, from names and comments in code to sentences.

    Data: the running Python's own standard library. Source: the code of 22 modules as it is (`comments`), or without
    comments and docstrings, which is farther from English. Target: the docstrings of 8 other modules. Both are cut
    into different windows of 33 characters that do not overlap, in random order: source some 8,000 to train on and 400
    to test on, target a pool of 1,000 and a test of 600. Modules were chosen that are the same, byte for byte, in
    Python 3.11.2 to 3.13.0, so the data are the same on all of these; where another Python has another text, the
    data's hash is another, its trials have other keys, and rows of both are never averaged. The metric is the cross
    entropy in nats per character.
    Shapes: inputs and targets (examples, 32), int64 below 96. The network is a transformer of two blocks with LayerNorm
    (Radford and others, 2019, in small; keys have no bias): 32,544 parameters.
    Anchors: 3.22 = scratch at n = 25, 2.66 = fine-tuning on the whole pool; means over ten seeds, 500 steps, engine
    lanes (standard errors 0.012 and 0.001).
    """

    name = "code_to_english"
    version = "1"
    metric = "cross_entropy"
    higher_is_better = False
    recipe = Recipe(learning_rate=5e-4, batch_size=4, schedule="cosine", source_steps=3000)
    source_fields = ("comments",)

    comments: bool = setting(True, options=(True, False))

    def datasets(self) -> Datasets:
        library = Path(sysconfig.get_path("stdlib"))
        code = [_text(library, name) if self.comments else _bare(_text(library, name)) for name in CODE.split()]
        source = _windows("\n".join(code), 0)
        target = _windows("\n\n".join(_docstrings(_text(library, name)) for name in ENGLISH.split()), 1)
        return Datasets(
            source_train=_examples(source[SOURCE_TEST:]),
            source_test=_examples(source[:SOURCE_TEST]),
            target_pool=_examples(target[:TARGET_POOL]),
            target_test=_examples(target[TARGET_POOL : TARGET_POOL + TARGET_TEST]),
        )

    def network(self) -> nn.Module:
        first, last = nn.Sequential(Embedding(), Block()), nn.Sequential(Block(), nn.LayerNorm(WIDTH))
        return nn.Sequential(OrderedDict(block1=first, block2=last, head=nn.Linear(WIDTH, len(SYMBOLS))))

    def anchors(self) -> tuple[float, float] | None:
        return (3.22, 2.66) if self == CodeToEnglish() else None

    @staticmethod
    def loss(network: nn.Module, batch: Examples) -> Tensor:
        return nn.functional.cross_entropy(network(batch["inputs"]).flatten(0, 1), batch["targets"].flatten())

    @staticmethod
    def score(predictions: Tensor, examples: Examples) -> float:
        return float(nn.functional.cross_entropy(predictions.double().flatten(0, 1), examples["targets"].flatten()))


class Embedding(nn.Module):
    """A vector of each character plus one of its place. Shapes: (batch, 32), int64, to (batch, 32, WIDTH)."""

    def __init__(self) -> None:
        super().__init__()
        self.character = nn.Embedding(len(SYMBOLS), WIDTH)
        self.place = nn.Parameter(0.1 * torch.randn(CONTEXT, WIDTH))

    def forward(self, inputs: Tensor) -> Tensor:
        output: Tensor = self.character(inputs) + self.place
        return output


class Block(nn.Module):
    """Attention to what came before, then two layers for each place, both added. Shapes: (batch, 32, WIDTH)."""

    def __init__(self) -> None:
        super().__init__()
        self.attend = nn.ModuleDict({"norm": nn.LayerNorm(WIDTH), "look": nn.Linear(WIDTH, 3 * WIDTH, bias=False)})
        self.mix = nn.Linear(WIDTH, WIDTH)
        self.think = nn.Sequential(
            nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 4 * WIDTH), nn.ReLU(), nn.Linear(4 * WIDTH, WIDTH)
        )

    def forward(self, x: Tensor) -> Tensor:
        asked = self.attend["look"](self.attend["norm"](x)).unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = asked.unbind()
        seen = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.mix(seen.transpose(1, 2).flatten(2))
        output: Tensor = x + self.think(x)
        return output


def _text(library: Path, module: str) -> str:
    try:
        return (library / f"{module}.py").read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"Python's standard library in {library} lacks the source of {module} ({error})") from error


def _bare(code: str) -> str:
    """The code without comments and docstrings."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body[0] = ast.Pass()
    return ast.unparse(tree)


def _docstrings(code: str) -> str:
    nodes = (n for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Module | ast.ClassDef | ast.FunctionDef))
    return "\n\n".join(filter(None, map(ast.get_docstring, nodes)))


def _windows(text: str, part: int) -> np.ndarray:
    """The text as numbers, cut into different windows of CONTEXT + 1 characters, in random order."""
    number = {symbol: place for place, symbol in enumerate(SYMBOLS)}
    stream = np.array([number[symbol] for symbol in text if symbol in number])
    windows = stream[: len(stream) // (CONTEXT + 1) * (CONTEXT + 1)].reshape(-1, CONTEXT + 1)
    different = np.unique(windows, axis=0)
    # RandomState, because its streams never change between versions of numpy.
    return different[np.random.RandomState([SEED, part]).permutation(len(different))]


def _examples(windows: np.ndarray) -> Examples:
    whole = torch.from_numpy(windows.astype(np.int64))
    return {"inputs": whole[:, :-1].clone(), "targets": whole[:, 1:].clone()}
