"""The training loop: equal to torch's own by hand, its order of batches, its ends, what it counts."""

import copy
import math
import time

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from harness import seeds
from harness.data import batch_order
from harness.engines.plain import CHECK_EVERY, Plain
from harness.errors import TrialTimeout
from harness.fit import Fit
from harness.flops import training_flops
from harness.objective import Objective
from harness.recipe import Recipe

EXAMPLES = {"inputs": torch.linspace(-1, 1, 60).view(20, 3), "targets": torch.linspace(0, 1, 20).sin()}


def squared_error(network, batch):
    return nn.functional.mse_loss(network(batch["inputs"])[:, 0], batch["targets"])


def network():
    with seeds.seeded("a network", "initial weights"):
        return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1))


def by_hand(recipe, steps, order_seed, factor=1.0):
    """The same training, written out with torch's plain optimizers and schedulers."""
    model = network()
    rate = recipe.learning_rate * factor
    optimizer = {
        "adam": lambda: torch.optim.Adam(model.parameters(), rate, weight_decay=recipe.weight_decay),
        "adamw": lambda: torch.optim.AdamW(model.parameters(), rate, weight_decay=recipe.weight_decay),
        "sgd": lambda: torch.optim.SGD(
            model.parameters(), rate, momentum=recipe.momentum, weight_decay=recipe.weight_decay
        ),
    }[recipe.optimizer]()
    warmup = recipe.warmup_steps

    def schedule(step):
        if step < warmup:
            return (step + 1) / warmup
        if recipe.schedule == "cosine":
            return (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2
        return 1.0

    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule)
    for rows in batch_order(20, recipe.batch_size, steps, order_seed):
        optimizer.zero_grad()
        loss = squared_error(model, {name: tensor[rows] for name, tensor in EXAMPLES.items()})
        loss.backward()
        if recipe.clip_norm is not None:
            nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_norm)
        optimizer.step()
        scheduler.step()
    return model, float(loss.detach())


@pytest.mark.parametrize(
    "changes",
    [
        {"schedule": "constant"},
        {"schedule": "cosine"},
        {"schedule": "constant", "warmup_steps": 7},
        {"schedule": "cosine", "warmup_steps": 7},
        {"clip_norm": 0.05},
        {"weight_decay": 0.1},
    ],
    ids=str,
)
@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_the_plain_engine_equals_a_loop_written_by_hand(optimizer, changes):
    recipe = Recipe(optimizer=optimizer, learning_rate=0.02, batch_size=6, **changes)
    expected, last_loss = by_hand(recipe, 40, order_seed=5)
    trained = network()
    (result,) = Fit(Plain(), recipe, 5, 40)([Objective(trained, squared_error)], EXAMPLES)
    torch.testing.assert_close(trained.state_dict(), expected.state_dict(), atol=1e-6, rtol=1e-5)
    assert result.steps == 40
    assert not result.diverged
    assert result.last_loss == pytest.approx(last_loss, rel=1e-4)


def test_every_part_of_the_recipe_changes_the_result():
    """The test above would prove nothing if some setting had no effect in either loop."""
    default = Recipe(learning_rate=0.02, batch_size=6)
    variants = [
        default,
        Recipe(learning_rate=0.02, batch_size=6, optimizer="sgd"),
        Recipe(learning_rate=0.02, batch_size=6, optimizer="sgd", momentum=0.5),
        Recipe(learning_rate=0.02, batch_size=6, schedule="cosine"),
        Recipe(learning_rate=0.02, batch_size=6, warmup_steps=7),
        Recipe(learning_rate=0.02, batch_size=6, weight_decay=0.1),
        Recipe(learning_rate=0.02, batch_size=6, weight_decay=0.1, optimizer="adamw"),
        Recipe(learning_rate=0.02, batch_size=6, optimizer="sgd", clip_norm=0.05),
        Recipe(learning_rate=0.02, batch_size=5),
        Recipe(learning_rate=0.03, batch_size=6),
    ]
    weights = [by_hand(recipe, 40, 5)[0][0].weight.detach() for recipe in variants]
    for index, one in enumerate(weights):
        assert not any(torch.equal(one, other) for other in weights[index + 1 :])


def test_the_learning_rate_factor_multiplies():
    recipe = Recipe(learning_rate=0.01, batch_size=6)
    expected, _ = by_hand(recipe, 20, 5, factor=3.0)
    trained = network()
    Fit(Plain(), recipe, 5, 20, learning_rate_factor=3.0)([Objective(trained, squared_error)], EXAMPLES)
    torch.testing.assert_close(trained.state_dict(), expected.state_dict())


def test_objectives_of_one_fit_train_as_they_would_alone():
    recipe = Recipe(learning_rate=0.02, batch_size=6)
    together = [network(), network()]
    with torch.no_grad():
        together[1][0].weight += 0.1
    alone = copy.deepcopy(together[1])
    Fit(Plain(), recipe, 5, 20)([Objective(model, squared_error) for model in together], EXAMPLES)
    Fit(Plain(), recipe, 5, 20)([Objective(alone, squared_error)], EXAMPLES)
    assert all(torch.equal(a, b) for a, b in zip(together[1].parameters(), alone.parameters(), strict=True))


def test_every_call_starts_with_a_fresh_optimizer():
    """Two calls of ten steps are not one of twenty: the second has no memory of the first's gradients."""
    recipe = Recipe(learning_rate=0.02, batch_size=20)
    twice, fresh = network(), network()
    fit = Fit(Plain(), recipe, 5, 10)
    fit([Objective(twice, squared_error)], EXAMPLES)
    fresh.load_state_dict(twice.state_dict())
    fit([Objective(twice, squared_error)], EXAMPLES)
    Fit(Plain(), recipe, 5, 10)([Objective(fresh, squared_error)], EXAMPLES)
    assert torch.equal(twice[0].weight, fresh[0].weight)


# The order of batches


@given(examples=st.integers(1, 50), batch=st.integers(1, 70), steps=st.integers(0, 40), seed=st.integers(0, 2**63 - 1))
@settings(max_examples=80, deadline=None)
def test_batches_run_through_permutations(examples, batch, steps, seed):
    """Equal widths, and every stretch of `examples` indices between multiples of it holds each example once."""
    order = batch_order(examples, batch, steps, seed)
    assert order.shape == (steps, min(batch, examples))
    stream = order.flatten().tolist()
    for start in range(0, len(stream), examples):
        epoch = stream[start : start + examples]
        assert len(set(epoch)) == len(epoch)
        assert set(epoch) <= set(range(examples))
        if len(epoch) == examples:
            assert set(epoch) == set(range(examples))


@given(examples=st.integers(1, 50), batch=st.integers(1, 70), steps=st.integers(0, 20), more=st.integers(0, 20))
@settings(max_examples=50, deadline=None)
def test_the_first_batches_do_not_depend_on_how_many_follow(examples, batch, steps, more):
    assert torch.equal(batch_order(examples, batch, steps + more, 9)[:steps], batch_order(examples, batch, steps, 9))


def test_the_order_is_a_function_of_the_seed_alone():
    torch.manual_seed(1)
    first = batch_order(30, 8, 10, 4)
    torch.manual_seed(2)
    assert torch.equal(batch_order(30, 8, 10, 4), first)
    assert not torch.equal(batch_order(30, 8, 10, 5), first)


# Ends


def not_a_number(network, batch):
    return squared_error(network, batch) * torch.where(batch["targets"] > -1, torch.nan, 1.0).mean()


def growing(network, batch):
    """A loss with a gradient so steep that a step of SGD overflows."""
    return network(batch["inputs"]).pow(3).sum() * 1e30


@pytest.mark.parametrize("loss", [not_a_number, growing])
def test_a_loss_that_is_not_finite_marks_its_objective_and_spares_the_others(loss):
    bad, good = Objective(network(), loss), Objective(network(), squared_error)
    results = Fit(Plain(), Recipe(optimizer="sgd", learning_rate=0.1), 5, 120)([bad, good], EXAMPLES)
    assert [result.diverged for result in results] == [True, False]
    assert results[0].steps <= CHECK_EVERY
    assert results[1].steps == 120


def test_weights_that_the_last_step_made_infinite_count_as_diverged():
    """The only loss is finite; its step is not."""
    (result,) = Fit(Plain(), Recipe(optimizer="sgd", learning_rate=1e38), 5, 1)(
        [Objective(network(), lambda net, batch: squared_error(net, batch) * 1e5)], EXAMPLES
    )
    assert result.diverged


def test_the_deadline_raises():
    fit = Fit(Plain(), Recipe(), 5, 10_000, deadline=time.monotonic() - 1)
    with pytest.raises(TrialTimeout):
        fit([Objective(network(), squared_error)], EXAMPLES)
    assert not issubclass(TrialTimeout, Exception)


def test_a_deadline_in_the_future_lets_it_end():
    fit = Fit(Plain(), Recipe(), 5, 60, deadline=time.monotonic() + 600)
    assert fit([Objective(network(), squared_error)], EXAMPLES)[0].steps == 60


def test_no_steps_and_nothing_to_train_change_nothing():
    frozen = network().requires_grad_(False)
    before = copy.deepcopy(frozen.state_dict())
    Fit(Plain(), Recipe(), 5, 10)([Objective(frozen, squared_error)], EXAMPLES)
    model = network()
    assert Fit(Plain(), Recipe(), 5, 0)([Objective(model, squared_error)], EXAMPLES)[0].steps == 0
    for trained in (frozen, model):
        assert all(torch.equal(trained.state_dict()[name], before[name]) for name in before)


# Counting


def test_the_counters_add_up_over_objectives_and_calls():
    fit = Fit(Plain(), Recipe(batch_size=8), 5, 12)
    fit([Objective(network(), squared_error) for _ in range(3)], EXAMPLES)
    fit([Objective(network(), squared_error)], EXAMPLES, steps=4)
    assert fit.steps_taken == 3 * 12 + 4
    assert fit.examples_seen == 8 * fit.steps_taken
    one = training_flops(Objective(network(), squared_error), {name: t[:8] for name, t in EXAMPLES.items()})
    assert fit.flops == one * fit.steps_taken
    assert fit.train_seconds > 0


def test_the_flops_of_a_linear_layer_by_hand():
    """Forward 2*b*i*o; backward 2*b*i*o for the weight, and none for inputs that need no gradient."""
    layer = nn.Linear(7, 3)
    batch = {"inputs": torch.ones(5, 7), "targets": torch.ones(5)}
    assert training_flops(Objective(layer, squared_error), batch) == 2 * (2 * 5 * 7 * 3)


def test_the_flops_of_two_layers_with_one_frozen_by_hand():
    """The frozen first layer costs its forward pass only."""
    model = nn.Sequential(nn.Linear(7, 4), nn.Linear(4, 1))
    model[0].requires_grad_(False)
    batch = {"inputs": torch.ones(5, 7), "targets": torch.ones(5)}
    assert training_flops(Objective(model, squared_error), batch) == 2 * 5 * 7 * 4 + 2 * (2 * 5 * 4 * 1)


def test_counting_leaves_neither_gradients_nor_random_state_behind():
    model = nn.Sequential(nn.Linear(3, 5), nn.Dropout(0.5), nn.Linear(5, 1))
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    training_flops(Objective(model, squared_error), EXAMPLES)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(parameter.grad is None for parameter in model.parameters())


# Training mode


def test_batch_norm_keeps_its_statistics_except_in_the_source_training():
    def moved(frozen):
        model = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Linear(5, 1))
        objective = Objective(model, squared_error)
        objective.frozen_statistics = frozen
        Fit(Plain(), Recipe(batch_size=8), 5, 5)([objective], EXAMPLES)
        return bool((model[1].running_mean != 0).any())

    assert not moved(frozen=True)
    assert moved(frozen=False)


class Masked(nn.Module):
    """Half of a weight's entries, drawn anew at each step while it trains; all of them otherwise."""

    def forward(self, weight):
        return weight * torch.bernoulli(torch.full_like(weight, 0.5)) if self.training else weight


def test_a_finished_network_is_folded_as_it_is_in_evaluation():
    model = network()
    expected = model[0].weight.detach().clone()
    nn.utils.parametrize.register_parametrization(model[0], "weight", Masked())
    finished = Objective(model.train(), squared_error).finish()
    assert torch.equal(finished[0].weight, expected)
    assert model[0].training
