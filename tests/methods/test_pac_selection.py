"""The selection of essential weights gives the masks of a stable sort, bit for bit, whatever the weights."""

import math
import weakref

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from methods import pac_selection
from methods.pac_selection import Importances, essential

SPECIAL = [
    0.0,
    -0.0,
    math.inf,
    -math.inf,
    math.nan,
    -math.nan,
    1.0,
    -1.0,
    1e-45,
    -1e-45,
    1.1754944e-38,
    3.4e38,
    -3.4e38,
]
NUMBERS = st.one_of(st.sampled_from(SPECIAL), st.floats(width=16), st.floats(width=32))
TENSORS = st.lists(st.lists(NUMBERS, max_size=40), min_size=1, max_size=4)
RATIOS = st.one_of(st.sampled_from([0.0, 0.5, 1.0]), st.floats(0, 1))


def by_sorting(importance, ratio, threshold):
    """The rule itself: the first round(ratio * N) of a stable sort are pruned."""

    def largest(values):
        mask = torch.ones_like(values, dtype=torch.bool)
        mask[values.argsort(stable=True)[: round(ratio * values.numel())]] = False
        return mask

    if threshold == "layer":
        return {name: largest(values.flatten()).view_as(values) for name, values in importance.items()}
    masks = largest(torch.cat([values.flatten() for values in importance.values()]))
    parts = torch.split(masks, [values.numel() for values in importance.values()])
    return {name: part.view_as(values) for (name, values), part in zip(importance.items(), parts, strict=True)}


def assert_like_sorting(importance, ratio):
    for threshold in ("global", "layer"):
        found, wanted = essential(importance, ratio, threshold), by_sorting(importance, ratio, threshold)
        assert found.keys() == wanted.keys()
        for name, mask in found.items():
            assert mask.dtype == torch.bool
            assert mask.shape == wanted[name].shape
            assert torch.equal(mask, wanted[name]), (name, threshold)


@settings(max_examples=300, deadline=None)
@given(TENSORS, RATIOS, st.sampled_from([torch.float32, torch.float64, torch.float16, torch.bfloat16]))
def test_any_numbers(tensors, ratio, kind):
    assert_like_sorting({str(i): torch.tensor(values, dtype=kind) for i, values in enumerate(tensors)}, ratio)


@settings(max_examples=100, deadline=None)
@given(st.data(), RATIOS)
def test_weights_of_several_types_are_compared_as_the_numbers_they_are(data, ratio):
    kinds = st.sampled_from([torch.float32, torch.float64, torch.bfloat16])
    tensors = data.draw(st.lists(st.tuples(st.lists(NUMBERS, max_size=20), kinds), min_size=1, max_size=4))
    importance = {str(i): torch.tensor(values, dtype=kind) for i, (values, kind) in enumerate(tensors)}
    assert_like_sorting(importance, ratio)


@pytest.mark.parametrize("ratio", [0.0, 1e-4, 0.37, 0.8, 0.99999, 1.0])
@pytest.mark.parametrize("steps", [None, 3, 50_000])
def test_weights_larger_than_what_is_held_at_once(monkeypatch, ratio, steps):
    """steps: so many different values only, so that ties lie on both sides of every boundary."""
    monkeypatch.setattr(pac_selection, "CHUNK", 1000)
    generator = torch.Generator().manual_seed(3)
    shapes = {"kernel": (64, 3, 5, 5), "matrix": (130, 100), "number": (), "nothing": (0, 4), "vector": (1001,)}
    importance = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    if steps is not None:
        importance = {name: (values * steps).round() / steps for name, values in importance.items()}
    assert_like_sorting(importance, ratio)
    assert_like_sorting({name: values.abs() for name, values in importance.items()}, ratio)
    some = {name: values.abs().masked_fill(values < 0.3, -math.inf) for name, values in importance.items()}
    assert_like_sorting(some, ratio)


def test_a_transposed_weight_counts_its_entries_in_the_order_they_have():
    importance = {"one": torch.arange(12.0).view(3, 4).T % 3, "other": torch.ones(2, 6)[:, ::2]}
    for ratio in (0.2, 0.5, 0.7):
        assert_like_sorting(importance, ratio)


def test_importances_that_draw_draw_once_for_the_generator_and_the_same_at_every_look_up():
    def draws(names):
        torch.manual_seed(5)
        return Importances(names, lambda name: torch.rand(30))

    lazy = draws("abc")
    masks = essential(lazy, 0.4, "global")
    after = torch.get_rng_state()
    held = dict(draws("abc"))
    assert torch.equal(after, torch.get_rng_state())
    wanted = by_sorting(held, 0.4, "global")
    assert all(torch.equal(masks[name], wanted[name]) for name in wanted)
    assert all(torch.equal(lazy[name], held[name]) for name in "cab")


def test_two_weights_at_most_are_in_memory_at_a_time():
    alive, most = [], 0

    def make(name):
        nonlocal most
        made = torch.randn(100)
        alive.append(name)
        weakref.finalize(made, alive.remove, name)
        most = max(most, len(alive))
        return made

    masks = essential(Importances(map(str, range(20)), make), 0.5, "global")
    assert sum(int(mask.sum()) for mask in masks.values()) == 1000
    assert (most, alive) == (2, [])
