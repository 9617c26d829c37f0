"""Whether examples of a task's test split are where they must not be: in other splits, or in what a loss reads."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from harness.contract.reach import reachable, rows
from harness.data import Datasets, Examples
from harness.task import Task

SHUFFLES = 30
"""Random splits that an overlap is compared with."""

FEWEST = 8
"""Single numbers that must be the test's before it is no accident."""

MOST_NUMBERS = 1_000_000
"""Of a list or of bytes that are looked through."""


def wide(examples: Examples) -> list[str]:
    """The fields with two or more numbers an example: rows of them are told apart."""
    return [name for name, tensor in examples.items() if tensor[:1].numel() >= 2]


def overlap(one: Examples, other: Examples) -> str | None:
    """How many examples of `other` are in `one`, in words, if more than a random split of all would share.

    Real data may hold equal examples, coarse answers of a survey for instance; then a random split shares some, too.
    Of numbers that hardly ever repeat, one shared example is one too many.
    """
    fields = [[name] for name in wide(other) if name in one] or [sorted(set(one) & set(other))]
    for names in fields:
        numbers: dict[bytes, int] = {}
        both = [_joint(one, names), _joint(other, names)]
        ids = np.array([numbers.setdefault(row, len(numbers)) for part in both for row in part])
        shared = _shared(ids, len(both[0]))
        shuffle = np.random.default_rng(0)
        by_chance = np.array([_shared(shuffle.permutation(ids), len(both[0])) for _ in range(SHUFFLES)])
        most = 0 if all(_repeats_never(other[name]) for name in names) else by_chance.max() + 3 * by_chance.std()
        if shared > most:
            usual = f"{by_chance.min()} to {by_chance.max()}"
            return f"{shared} of {len(both[1])} by {', '.join(names)}; a random split of all of them shares {usual}"
    return None


def _repeats_never(tensor: Tensor) -> bool:
    """Whether most of a tensor's numbers occur once in it."""
    return tensor.is_floating_point() and 2 * len(torch.unique(tensor)) > tensor.numel()


def _joint(examples: Examples, names: list[str]) -> list[bytes]:
    return [b"".join(parts) for parts in zip(*(rows(examples[name]) for name in names), strict=True)]


def _shared(ids: np.ndarray, first: int) -> int:
    return int(np.isin(ids[first:], ids[:first]).sum())


class TestRows:
    """The rows that only the target's test split holds.

    Rows of one and the same number throughout, a blank picture for instance, do not count: any tensor may hold them.
    """

    __test__ = False

    def __init__(self, sets: Datasets) -> None:
        self._kinds: dict[tuple[tuple[int, ...], torch.dtype], set[bytes]] = {}
        for tensor in sets.target_test.values():
            if tensor[:1].numel() >= 2 or tensor.is_floating_point():
                kept = {row for row, many in zip(rows(tensor), _varied(tensor), strict=True) if many}
                self._kinds.setdefault((tuple(tensor.shape[1:]), tensor.dtype), set()).update(kept)
        others = [part for part in (sets.target_pool, sets.source_train, sets.source_test) if part]
        for tensor in (tensor for part in others for tensor in part.values()):
            if held := self._kinds.get((tuple(tensor.shape[1:]), tensor.dtype)):
                held.difference_update(rows(tensor))

    def __len__(self) -> int:
        return sum(map(len, self._kinds.values()))

    def within(self, tensor: Tensor) -> int:
        """How many rows of a tensor are the test's; of single numbers only where they are most of it."""
        held = self._kinds.get((tuple(tensor.shape[1:]), tensor.dtype)) if tensor.dim() else None
        if not held or not len(tensor):
            return 0
        found = sum(row in held for row in rows(tensor))
        single = tensor[:1].numel() == 1
        return found if not single or (found >= FEWEST and 2 * found > len(tensor)) else 0

    def within_numbers(self, item: list[Any] | tuple[Any, ...] | bytes | bytearray) -> int:
        """How many rows of a list of numbers, or of numbers as bytes, are the test's; 0 if hardly any.

        A list of lists counts as their numbers in one row after the other.
        """
        most = 0
        for (shape, dtype), held in self._kinds.items():
            width = math.prod(shape)
            flat = _numbers(item, dtype)
            if flat is None or len(flat) < max(FEWEST, width) or len(flat) % width:
                continue
            found = sum(row in held for row in rows(flat.reshape(-1, width)))
            most = max(most, found if width >= FEWEST or 2 * found * width > len(flat) else 0)
        return most


def _numbers(item: Any, dtype: torch.dtype) -> Tensor | None:
    """The numbers of a list or of bytes, as a tensor of one dimension; None where they are none of that type."""
    if isinstance(item, bytes | bytearray):
        whole = len(item) // dtype.itemsize * dtype.itemsize
        return torch.frombuffer(bytearray(item[:whole]), dtype=dtype) if 0 < whole <= 8 * MOST_NUMBERS else None
    if item and all(isinstance(part, list | tuple) for part in item[:MOST_NUMBERS]):
        item = list(itertools.islice(itertools.chain.from_iterable(item), MOST_NUMBERS + 1))
    kind = float if dtype.is_floating_point else int
    if not FEWEST <= len(item) <= MOST_NUMBERS or not all(type(part) is kind for part in item):
        return None
    try:
        return torch.tensor(item, dtype=dtype)
    except (OverflowError, RuntimeError, TypeError):  # larger than the type's numbers
        return None


def _varied(tensor: Tensor) -> list[bool]:
    flat = tensor.reshape(len(tensor), -1)
    return [True] * len(flat) if flat.shape[1] == 1 else (flat != flat[:, :1]).any(1).tolist()


class _Seen(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Looks for test rows in everything that torch's operations read and make inside the block."""

    def __init__(self, test: TestRows) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.test, self.found = test, 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Spares the import of torch's compiler."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for value in tree_leaves((args, kwargs, result)):
            if isinstance(value, Tensor) and not self.found:
                self.found = self.test.within(value)
        return result


def seen_by(function: Any, *arguments: Any, test: TestRows) -> int:
    """How many test rows come by in a call's operations; 0 if none."""
    with _Seen(test) as seen:
        function(*arguments)
    watched: _Seen = seen
    return watched.found


def within_reach(functions: list[Any], test: TestRows) -> str | None:
    """A tensor or array with test rows that functions can read by their globals or closures, in words."""
    for item in reachable(functions, into_globals=True):
        if isinstance(item, list | tuple | bytes | bytearray) and (count := test.within_numbers(item)):
            what = f"{len(item)} bytes" if isinstance(item, bytes | bytearray) else f"a list of {len(item)} numbers"
            return f"{what} with {count} test rows"
        tensor = item
        if isinstance(item, np.ndarray) and item.ndim and item.dtype.kind in "fiu":
            tensor = torch.from_numpy(np.ascontiguousarray(item, np.float32 if item.dtype.kind == "f" else np.int64))
        if isinstance(tensor, Tensor) and (count := test.within(tensor.detach())):
            return (
                f"{'a tensor' if tensor is item else 'an array'} of shape {tuple(tensor.shape)} with {count} test rows"
            )
    return None


@contextmanager
def other_test_split(task: Task) -> Iterator[None]:
    """Inside the block every instance of the task's class has another test split."""
    cls, original = type(task), type(task).datasets
    own = "datasets" in vars(cls)

    def datasets(self: Task) -> Datasets:
        sets = original(self)
        moved = {name: _moved(tensor) for name, tensor in sets.target_test.items()}
        return Datasets(sets.target_pool, moved, sets.source_train, sets.source_test)

    cls.datasets = datasets  # type: ignore[method-assign]
    try:
        yield
    finally:
        if own:
            cls.datasets = original  # type: ignore[method-assign]
        else:
            del cls.datasets


def _moved(tensor: Tensor) -> Tensor:
    """The first half of the examples, each twice, and numbers that are not whole a little changed."""
    doubled = tensor[torch.arange(len(tensor)) // 2]
    return doubled * 1.5 + 0.25 if tensor.is_floating_point() else doubled
