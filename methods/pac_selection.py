"""Which weights are the largest, exactly and at any size: no sort, and one weight's importance in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import torch
from torch import Tensor

DIGIT = 16
"""Bits that one pass over all entries decides."""

CHUNK = 2**18
"""Entries whose integers are held at once: what an entry passes through stays in the processor's cache."""


class Importances(Mapping[str, Tensor]):
    """The importance of each weight, made anew whenever it is looked up.

    make: may draw from torch's generator of the CPU. A name's first look-up draws, later ones draw the same again.
    """

    def __init__(self, names: Iterable[str], make: Callable[[str], Tensor]) -> None:
        self._names, self._make = list(names), make
        self._state: dict[str, Tensor] = {}

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._state:
            self._state[name] = torch.get_rng_state()
            return self._make(name)
        with torch.random.fork_rng(devices=()):
            torch.set_rng_state(self._state[name])
            return self._make(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def essential(importance: Mapping[str, Tensor], ratio: float, threshold: str) -> dict[str, Tensor]:
    """True for the essential weights: all but the round(ratio * N) least important, N over all weights or over each.

    Equal ones are told apart by their position, the first being pruned first, so the number pruned is exact: the same
    as the first round(ratio * N) of a stable sort. 0 and -0 are equal; NaN is above all. Each weight is looked up a few
    times. Shapes: as the importance.
    """
    if threshold == "layer":
        return {name: _largest({name: values}, ratio)[name] for name, values in importance.items()}
    return _largest(importance, ratio)


def _largest(importance: Mapping[str, Tensor], ratio: float) -> dict[str, Tensor]:
    """Radix selection: the key of the last entry to be pruned is found DIGIT bits at a time, from above."""
    bits = 64 if any(values.dtype == torch.float64 for values in importance.values()) else 32
    last, left = 0, 0
    for shift in range(bits - DIGIT, -1, -DIGIT):
        top = shift == bits - DIGIT
        counts = _counts(importance.values(), bits, shift, None if top else last)
        if top:
            left = round(ratio * int(counts.sum()))
            if left == 0:
                return {name: torch.ones_like(values, dtype=torch.bool) for name, values in importance.items()}
        upto = counts.cumsum(0)
        digit = int(torch.searchsorted(upto, left))
        left -= int(upto[digit]) - int(counts[digit])
        last = digit - 2 ** (DIGIT - 1) if top else (last << DIGIT) + digit
    masks = {}
    for name, values in importance.items():
        mask = torch.empty(values.shape, dtype=torch.bool, device=values.device)
        for part, keys in zip(torch.split(mask.view(-1), CHUNK), _keys(values, bits), strict=True):
            left = _mark(part, keys, last, left)
        masks[name] = mask
    return masks


def _mark(mask: Tensor, keys: Tensor, last: int, left: int) -> int:
    """Fill in the mask: true above the key `last`, and at this key but for the first `left`; how many are left then."""
    torch.gt(keys, last, out=mask)
    equal = keys == last
    number = int(equal.sum())
    if number > left:
        mask[equal.nonzero()[left:, 0]] = True
    return max(0, left - number)


def _counts(importance: Iterable[Tensor], bits: int, shift: int, above: int | None) -> Tensor:
    """How often each number of DIGIT bits occurs at `shift` among keys that are `above` over it. Shapes: (2**DIGIT)."""
    counts = torch.zeros(2**DIGIT, dtype=torch.int64)
    for values in importance:
        for keys in _keys(values, bits):
            if above is None:
                digits = (keys >> shift) + 2 ** (DIGIT - 1)
            else:
                digits = (keys[keys >> (shift + DIGIT) == above] >> shift) & (2**DIGIT - 1)
            counts += torch.bincount(digits, minlength=2**DIGIT).to(counts.device)
    return counts


def _keys(values: Tensor, bits: int) -> Iterator[Tensor]:
    """Integers in the order of the values, CHUNK at a time: a float's bits are ordered but for the sign.

    Equal values have equal keys. Shapes: (CHUNK or what is left).
    """
    kind, whole = (torch.float64, torch.int64) if bits == 64 else (torch.float32, torch.int32)
    limits = torch.iinfo(whole)
    for chunk in torch.split(values.reshape(-1), CHUNK):
        exact = chunk.to(kind)
        held = exact.view(whole)
        keys = torch.where(held < 0, limits.min - held, held)
        yield keys.masked_fill_(exact.isnan(), limits.max)
