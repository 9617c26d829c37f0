"""Lanes: equal to the plain engine, bitwise the same whoever trains beside them, and isolated from one another."""

import math
import time
from dataclasses import fields
from itertools import product

import pytest
import torch
from torch import nn

from harness import data, seeds
from harness.draws import own_draws
from harness.engines.lanes import Lanes
from harness.engines.plain import CHECK_EVERY, Plain
from harness.errors import TrialTimeout
from harness.fit import Fit
from harness.method import Problem
from harness.objective import Objective
from harness.recipe import Recipe
from methods import METHODS
from tasks import TASKS
from tests.harness.lane_problems import EXAMPLES, NETWORKS, job, made, same, squared_error, state, trained

BUILT_IN = sorted(
    name
    for name, task in TASKS.items()
    if not any(f.metadata.get("place") for f in fields(task)) and task.__module__ != "tasks.tiny_transformers"
)
"""Without models of transformers, which look at their data and so train alone."""
CHAOTIC = 20
"""Steps that the built-in tasks are compared over: beyond, the rounding of one step grows with every other."""


RECIPES = [
    {"optimizer": optimizer, **changes}
    for optimizer, changes in product(
        ("adam", "adamw", "sgd"),
        (
            {},
            {"schedule": "cosine", "warmup_steps": 7},
            {"clip_norm": 0.05},
            {"weight_decay": 0.1},
        ),
    )
]


@pytest.mark.parametrize("changes", RECIPES, ids=str)
def test_every_optimizer_and_schedule_equals_the_plain_engine(changes):
    """Which equals torch's own classes (test_fit). Each lane has its own weights, order and learning rate."""
    recipe = Recipe(learning_rate=0.01, batch_size=16, **changes)

    def jobs():
        return [job(seed, recipe, 15, rate=1 + seed) for seed in range(4)]

    lanes, results = trained(Lanes(), jobs())
    plain, expected = trained(Plain(), jobs())
    for one, other in zip(lanes, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    assert [r.engine for r in results] == ["lanes"] * 4
    assert {r.lanes for r in results} == {4}
    for one, other in zip(results, expected, strict=True):
        assert one.last_loss == pytest.approx(other.last_loss, rel=1e-4)


@pytest.mark.parametrize("kind", NETWORKS)
def test_every_layer_equals_the_plain_engine(kind):
    """Dropout too: its masks come from the trial's own seed. BatchNorm keeps its statistics, as on the plain engine.

    By SGD: where a gradient is zero but for rounding (a key's bias), Adam would make whole steps of that rounding.
    """
    recipe = Recipe(optimizer="sgd", learning_rate=3e-2, batch_size=16)

    def jobs():
        return [job(seed, recipe, 25, kind) for seed in range(3)]

    lanes, results = trained(Lanes(), jobs())
    plain, _ = trained(Plain(), jobs())
    assert [(r.engine, r.note) for r in results] == [("lanes", "")] * 3
    for one, other in zip(lanes, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=2e-5)


def test_the_learning_curve_is_the_loss_at_each_look_and_at_the_end():
    """On both engines, of a lane too that ends early; and a lane trained again in halves begins its curve anew."""
    steps, calls = 2 * CHECK_EVERY + 7, []
    recipe = Recipe(learning_rate=0.01, batch_size=8)

    def short_of_memory(network, batch):
        calls.append(None)
        if len(calls) == CHECK_EVERY + 20:
            raise MemoryError
        return squared_error(network, batch)

    def curves(engine, loss=squared_error):
        jobs = [job(seed, recipe, steps, objective=Objective(made("linear", seed), loss)) for seed in range(3)]
        return trained(engine, jobs)[1]

    plain, in_lanes, halved = curves(Plain()), curves(Lanes()), curves(Lanes(), short_of_memory)
    for one, other, again in zip(plain, in_lanes, halved, strict=True):
        assert [step for step, _ in one.curve] == [CHECK_EVERY, 2 * CHECK_EVERY, steps]
        assert one.curve[-1][1] == one.last_loss
        torch.testing.assert_close(torch.tensor(one.curve), torch.tensor(other.curve), rtol=1e-4, atol=1e-6)
        assert again.curve == other.curve
    _, (diverged,) = trained(Lanes(), [job(0, recipe, steps, rate=1e30)])
    assert diverged.diverged
    assert all(math.isfinite(loss) for _, loss in diverged.curve)


def test_batch_norm_learns_its_statistics_lane_by_lane_in_source_training():
    """Where statistics are not frozen each lane normalises its own batch and keeps its own running statistics."""
    recipe = Recipe(optimizer="sgd", learning_rate=3e-2, batch_size=16)

    def jobs():
        made_jobs = [job(seed, recipe, 15, "batch norm") for seed in range(3)]
        for one in made_jobs:
            one.objectives[0].frozen_statistics = False
        return made_jobs

    lanes, results = trained(Lanes(), jobs())
    plain, _ = trained(Plain(), jobs())
    assert [r.engine for r in results] == ["lanes"] * 3
    for one, other in zip(lanes, plain, strict=True):
        assert one["network.1.num_batches_tracked"] == 15
        torch.testing.assert_close(one, other, rtol=1e-4, atol=2e-5)
    assert not torch.equal(lanes[0]["network.1.running_mean"], lanes[1]["network.1.running_mean"])


@pytest.mark.parametrize("batch", [16, 7])
@pytest.mark.parametrize("kind", NETWORKS)
def test_no_bit_depends_on_how_many_lanes_there_are_or_in_which_order(kind, batch):
    """Alone, in pairs, in packs of five and eleven, backwards, beside other seeds: bitwise the same."""
    recipe = Recipe(learning_rate=3e-3, batch_size=batch, clip_norm=1.0)

    def run(order, most=128):
        states, _ = trained(Lanes(most=most), [job(seed, recipe, 12, kind) for seed in order])
        return dict(zip(order, states, strict=True))

    whole = run(range(11))
    for order, most in ((range(11), 1), (range(11), 2), (range(11), 5), ([*range(10, -1, -1)], 128), ([7, 3], 128)):
        other = run(order, most)
        assert all(same(other[seed], whole[seed]) for seed in other), (kind, list(order), most)


def test_dropout_draws_from_the_lanes_own_seed():
    """Equal seeds give equal masks, other seeds others, whatever torch's generator holds."""
    recipe = Recipe(learning_rate=3e-3, batch_size=16)
    torch.manual_seed(1)
    one, two, other = trained(Lanes(), [job(0, recipe, 5, "dropout", draws=d) for d in (5, 5, 6)])[0]
    torch.manual_seed(2)
    (again,) = trained(Lanes(), [job(0, recipe, 5, "dropout", draws=5)])[0]
    assert same(one, two)
    assert same(one, again)
    assert not same(one, other)


def test_dropout_keeps_the_stated_fraction():
    ones = torch.ones(200, 500)
    with own_draws(torch.tensor(3)):
        first, second = nn.functional.dropout(ones, 0.3), nn.functional.dropout(ones, 0.3)
    assert (first > 0).float().mean().item() == pytest.approx(0.7, abs=0.01)
    assert first.mean().item() == pytest.approx(1.0, abs=0.02)
    assert not torch.equal(first, second)


# Isolation


def poisoned(network, batch):
    """NaN once the trained sum of the first weights has moved: a loss that is finite at first."""
    return squared_error(network, batch) * torch.where(network[0].weight.sum() > 1e6, torch.nan, 1.0)


@pytest.mark.parametrize("bad", [{0}, {2}, {1, 3}, {0, 1, 2, 3}])
def test_a_lane_that_becomes_nan_changes_no_other_number(bad):
    """It is `diverged` at the first look, costs nothing after, and the others are bitwise what they are without it."""
    recipe = Recipe(learning_rate=0.01, batch_size=16)

    def jobs(poison):
        made_jobs = [job(seed, recipe, 3 * CHECK_EVERY) for seed in range(4)]
        for seed in poison:
            with torch.no_grad():
                made_jobs[seed].objectives[0].network[0].weight[0, 0] = torch.inf
        return made_jobs

    clean, _ = trained(Lanes(), jobs(set()))
    states, results = trained(Lanes(), jobs(bad))
    assert [r.diverged for r in results] == [seed in bad for seed in range(4)]
    for seed in range(4):
        assert results[seed].steps == (CHECK_EVERY if seed in bad else 3 * CHECK_EVERY)
        if seed not in bad:
            assert same(states[seed], clean[seed])


def test_a_lane_out_of_time_ends_and_the_others_go_on():
    recipe = Recipe(batch_size=16)
    jobs = [job(seed, recipe, 300, deadline=time.monotonic() + (600 if seed else -1)) for seed in range(3)]
    answers = Lanes().train_together(jobs)
    assert isinstance(answers[0][0], TrialTimeout)
    assert [answer[0].steps for answer in answers[1:]] == [300, 300]


def test_a_lanes_time_is_its_share():
    jobs = [job(seed, Recipe(batch_size=16), 100) for seed in range(8)]
    started = time.perf_counter()
    answers = Lanes().train_together(jobs)
    assert sum(answer[0].seconds for answer in answers) <= time.perf_counter() - started


def test_what_a_lane_does_not_train_stays_as_it_is():
    """Lanes of one structure may train different parameters: SubTuning's candidates do."""
    recipe = Recipe(learning_rate=0.01, batch_size=16, weight_decay=0.1, optimizer="adamw", clip_norm=0.1)

    def jobs():
        made_jobs = [job(seed, recipe, 30) for seed in range(3)]
        made_jobs[0].objectives[0].network[0].requires_grad_(False)
        made_jobs[1].objectives[0].network[2].requires_grad_(False)
        return made_jobs

    before = [state(one.objectives[0]) for one in jobs()]
    lanes, _ = trained(Lanes(), jobs())
    plain, _ = trained(Plain(), jobs())
    for name in ("network.0.weight", "network.0.bias"):
        assert torch.equal(lanes[0][name], before[0][name])
    for one, other in zip(lanes, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


# What cannot be a lane


def test_memory_bounds_the_lanes_of_one_computation():
    recipe = Recipe(batch_size=16)
    results = trained(Lanes(bound=1), [job(seed, recipe, 5) for seed in range(3)])[1]
    assert [r.lanes for r in results] == [1, 1, 1]


# Every method on every task


def problem_of(task, network, train, new_head, steps):
    def score(net, held_out):
        with torch.no_grad():
            return -float(task.loss(net, held_out))

    return Problem(train, task.loss, score, task.head, new_head, task.blocks(network), steps)


def adapted(engine, method, task, seed, steps):
    """The method's prepare and adapt and training on the target; the finished network's weights."""
    sets = task.datasets()
    with seeds.seeded(str(seed), "network"):
        network, head = task.network(), task.new_head()
    source = {name: tensor[:200] for name, tensor in sets.source_train.items()}
    train, _ = data.split(sets.target_pool, 25, "a key")
    with seeds.seeded("a key", "method"):
        fit = Fit(engine, task.recipe, 3, steps)
        network = method.prepare(network, problem_of(task, network, source, False, 10), fit)
        if head is not None:
            network.set_submodule(task.head, head)
        fit = Fit(engine, task.recipe, 4, steps, method.learning_rate_factor)
        objective = method.adapt(network, problem_of(task, network, train, head is not None, steps), fit)
        (result,) = fit([objective], train)
    return objective.finish().state_dict(), result


@pytest.mark.parametrize("task", BUILT_IN)
@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_method_on_every_task_gives_the_plain_engines_scores(name, task):
    """Predictions on the target agree to 1e-5 of their size over a fit that is not chaotic."""
    task, settings = TASKS[task](), {"folds": 1, "search_fraction": 0.5} if name == "subtuning" else {}
    method = METHODS[name](**settings)
    predictions = []
    for engine in (Lanes(), Plain()):
        weights, result = adapted(engine, method, task, 0, CHAOTIC)
        assert (result.engine, result.note) == (engine.name, "")
        network = task.network()
        network.load_state_dict(weights)
        with torch.no_grad():
            predictions.append(
                task.predict(network.eval(), {n: t[:300] for n, t in task.datasets().target_pool.items()})
            )
    scale = predictions[1].abs().max()
    assert ((predictions[0] - predictions[1]).abs().max() / scale).item() <= 1e-5


@pytest.mark.parametrize("kind", ["linear", "gelu", "convolution", "attention", "batch norm"])
def test_predictions_in_lanes(kind):
    """Close to one by one, and bitwise the same for any number of networks."""

    def predict(network, batch):
        return network(batch["inputs"])

    asked = [(predict, made(kind, seed).eval(), EXAMPLES) for seed in range(5)]
    together = Lanes().predict_together(asked)
    for most in (1, 2, 3):
        again = Lanes(most=most).predict_together(asked)
        assert all(torch.equal(one[0], other[0]) for one, other in zip(together, again, strict=True))
    for (values, seconds), one in zip(together, asked, strict=True):
        torch.testing.assert_close(values, Plain().predict(*one)[0])
        assert seconds > 0


# What a lane would compute wrongly trains alone


def test_a_gradient_that_is_not_finite_spares_lanes_that_do_not_train_that_weight():
    """A lane beside one that trains the root of 0 is what it is alone."""

    class Rooted(nn.Module):
        def __init__(self, trains):
            super().__init__()
            self.layer = made("linear", 0)
            self.rooted = nn.Parameter(torch.zeros(3), requires_grad=trains)

        def forward(self, inputs):
            return self.layer(inputs) + self.rooted.sqrt().sum() * 0.1

    recipe = Recipe(learning_rate=0.01, batch_size=16, clip_norm=1.0)
    jobs = [job(0, recipe, 10, objective=Objective(Rooted(trains), squared_error)) for trains in (True, False)]
    _, results = trained(Lanes(), jobs)
    assert [result.diverged for result in results] == [True, False]


# Trials side by side
