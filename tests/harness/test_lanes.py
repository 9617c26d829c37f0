"""Lanes: equal to the plain engine, bitwise the same whoever trains beside them, and isolated from one another."""

import copy
import math
import time
from dataclasses import fields
from itertools import product

import pytest
import torch
from torch import nn

from harness import data, seeds
from harness.cost import time_limit
from harness.data import batch_order, size
from harness.draws import own_draws
from harness.engines.lanes import Lanes, complete
from harness.engines.plain import CHECK_EVERY, Plain
from harness.engines.structure import NotLaned, structure
from harness.errors import TrialTimeout
from harness.fit import Fit, Job
from harness.method import Problem
from harness.objective import Objective
from harness.recipe import Recipe
from harness.together import Together
from methods import METHODS
from tasks import TASKS

EXAMPLES = {"inputs": torch.linspace(-1, 1, 320).view(40, 8), "targets": torch.linspace(0, 1, 40).sin()}
BUILT_IN = sorted(
    name
    for name, task in TASKS.items()
    if not any(f.metadata.get("place") for f in fields(task)) and task.__module__ != "tasks.tiny_transformers"
)
"""Without models of transformers, which look at their data and so train alone."""
CHAOTIC = 20
"""Steps that the built-in tasks are compared over: beyond, the rounding of one step grows with every other."""


def squared_error(network, batch):
    output = network(batch["inputs"])
    return nn.functional.mse_loss(output.flatten(1).mean(1), batch["targets"])


class Tokens(nn.Module):
    """Embedding and one transformer layer; the inputs' signs are the tokens."""

    def __init__(self, dropout=0.0):
        super().__init__()
        self.embedding = nn.Embedding(2, 8)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=dropout, activation="gelu", batch_first=True)
        self.head = nn.Linear(8, 1)

    def forward(self, inputs):
        return self.head(self.layer(self.embedding((inputs > 0).long())).mean(1))


class Image(nn.Module):
    def forward(self, inputs):
        return inputs.view(-1, 1, 2, 4)


NETWORKS = {
    "linear": lambda: nn.Sequential(nn.Linear(8, 7), nn.ReLU(), nn.Linear(7, 1)),
    "gelu": lambda: nn.Sequential(nn.Linear(8, 5), nn.GELU(), nn.Linear(5, 3), nn.Softplus(), nn.Linear(3, 1)),
    "sigmoid": lambda: nn.Sequential(nn.Linear(8, 5), nn.SiLU(), nn.Linear(5, 1), nn.Sigmoid()),
    "layer norm": lambda: nn.Sequential(nn.Linear(8, 6), nn.LayerNorm(6), nn.ELU(), nn.Linear(6, 1)),
    "convolution": lambda: nn.Sequential(Image(), nn.Conv2d(1, 6, 3, padding=1), nn.GroupNorm(2, 6), nn.Mish()),
    "wide": lambda: nn.Sequential(nn.Linear(8, 130), nn.GELU(), nn.Linear(130, 67), nn.Sigmoid(), nn.Linear(67, 3)),
    "attention": Tokens,
    "dropout": lambda: nn.Sequential(nn.Linear(8, 16), nn.Dropout(0.5), nn.Tanh(), nn.Linear(16, 1)),
    "dropout in attention": lambda: Tokens(dropout=0.2),
    "batch norm": lambda: nn.Sequential(nn.Linear(8, 6, bias=False), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 1)),
}


def made(kind, seed):
    with seeds.seeded(str(seed), "initial weights"):
        return NETWORKS[kind]()


def state(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def job(seed, recipe, steps, kind="linear", objective=None, examples=EXAMPLES, rate=1.0, deadline=None, draws=None):
    objective = objective or Objective(made(kind, seed), squared_error)
    order = batch_order(size(examples), recipe.batch_size, steps, seed)
    return Job([objective], examples, order, recipe, recipe.learning_rate * rate, deadline, [draws or seed + 100])


def trained(engine, jobs):
    """The states after training the jobs together, and the results."""
    answers = engine.train_together(jobs) if isinstance(engine, Lanes) else [engine.train(job) for job in jobs]
    results = [complete(job, answer)[0] for job, answer in zip(jobs, answers, strict=True)]
    return [state(job.objectives[0]) for job in jobs], results


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


class Branching(nn.Module):
    """Looks at its numbers in Python, which a stack of them does not allow."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 1)

    def forward(self, inputs):
        output = self.layer(inputs)
        return output if output.mean() > 0 else -output


def test_a_structure_that_cannot_be_laned_falls_back_and_says_why():
    recipe = Recipe(learning_rate=0.01, batch_size=16)
    networks = [Branching() for _ in range(2)]
    jobs = [job(seed, recipe, 10, objective=Objective(net, squared_error)) for seed, net in enumerate(networks)]
    alone = [
        job(seed, recipe, 10, objective=Objective(copy.deepcopy(net), squared_error))
        for seed, net in enumerate(networks)
    ]
    states, results = trained(Lanes(), jobs)
    expected, _ = trained(Plain(), alone)
    assert [r.engine for r in results] == ["plain", "plain"]
    assert all("no lane" in r.note for r in results)
    assert all(same(one, other) for one, other in zip(states, expected, strict=True))


def test_a_network_with_hooks_is_no_lane():
    network = made("linear", 0)
    network.register_forward_hook(lambda *_: None)
    with pytest.raises(NotLaned, match="hooks"):
        structure(network)


class Reporting(Objective):
    """Minimises the plain loss, and says more about it."""

    bookkeeping = ("said",)

    def __init__(self, network, loss, said):
        super().__init__(network, loss)
        self.said = said

    def report(self):
        return {"said": self.said}


def test_objectives_that_add_no_penalty_are_lanes_of_one_computation():
    """Whatever class of method they belong to, and whatever they train: it is all the loss of the same network."""
    recipe = Recipe(learning_rate=0.01, batch_size=16)

    def jobs():
        probe = Reporting(made("linear", 1), squared_error, "b")
        for parameter in [*probe.network.parameters()][:-2]:
            parameter.requires_grad_(False)
        kinds = (Objective(made("linear", 0), squared_error), probe, Scaled(made("linear", 2), squared_error, 0.1))
        return [job(seed, recipe, 20, objective=kind) for seed, kind in enumerate(kinds)]

    states, results = trained(Lanes(), jobs())
    plain, _ = trained(Plain(), jobs())
    assert [r.lanes for r in results] == [2, 2, 1]
    for one, other in zip(states, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


class Listed(Objective):
    """Keeps pairs of weight and anchor in a list, where nothing can put a lane's own weights."""

    def __init__(self, network, loss):
        super().__init__(network, loss)
        self.pairs = [(weight, weight.detach().clone()) for weight in network.parameters()]

    def penalty(self):
        return sum((weight - anchor).square().sum() for weight, anchor in self.pairs)


class Stale(Objective):
    """Reads a weight, detached, from a list: no gradient tells."""

    def __init__(self, network, loss):
        super().__init__(network, loss)
        self.held = list(network.parameters())

    def penalty(self):
        own = sum(weight.square().sum() for weight in self.network.parameters())
        return 0.01 * own / sum(weight.detach().square().sum() for weight in self.held)


class Asking(Objective):
    """Asks which weights train; inside a lane none says so. At the start its penalty is 0."""

    def __init__(self, network, loss):
        super().__init__(network, loss)
        for place, weight in enumerate(network.parameters()):
            self.register_buffer(f"anchor{place}", weight.detach().clone())

    def penalty(self):
        weights = enumerate(self.network.parameters())
        return sum((w - getattr(self, f"anchor{i}")).square().sum() for i, w in weights if w.requires_grad)


@pytest.mark.parametrize("kind", [Listed, Stale, Asking])
def test_a_penalty_that_a_lane_would_lose_trains_alone(kind):
    """Even where it is 0 at the start, so that the first loss is the same with and without it."""
    recipe = Recipe(learning_rate=0.01, batch_size=16)

    def jobs():
        return [job(seed, recipe, 20, objective=kind(made("linear", seed), squared_error)) for seed in range(2)]

    states, results = trained(Lanes(), jobs())
    plain, _ = trained(Plain(), jobs())
    assert all(r.engine == "plain" and r.note.startswith("no lane: ") for r in results)
    for one, other in zip(states, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)


class OwnLoss(Objective):
    """Computes another loss than the one it is given, by a property."""

    @property
    def loss(self):
        return lambda network, batch: 2 * squared_error(network, batch)

    @loss.setter
    def loss(self, value):
        self.given = value


def test_a_class_that_decides_its_loss_shares_no_computation_with_others():
    assert structure(OwnLoss(made("linear", 0), squared_error)) != structure(
        Objective(made("linear", 0), squared_error)
    )


class Scaled(Objective):
    """Keeps its strength as a plain number."""

    def __init__(self, network, loss, strength):
        super().__init__(network, loss)
        self.strength = strength

    def penalty(self):
        return self.strength * sum(p.square().sum() for p in self.network.parameters())


class Noted(Scaled):
    bookkeeping = ("remark",)


def test_only_tensors_may_tell_lanes_apart():
    """A number kept outside of buffers is part of the structure: two strengths are two computations, and both right."""
    recipe = Recipe(learning_rate=0.01, batch_size=16)

    def jobs():
        return [job(0, recipe, 20, objective=Scaled(made("linear", 0), squared_error, s)) for s in (0.1, 5.0, 0.1)]

    states, results = trained(Lanes(), jobs())
    plain, _ = trained(Plain(), jobs())
    assert [r.lanes for r in results] == [2, 1, 2]
    for one, other in zip(states, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    one, other = (Noted(made("linear", 0), squared_error, 0.1) for _ in range(2))
    one.remark, other.remark = "a", "b"
    assert structure(one) == structure(other)
    assert structure(Scaled(made("linear", 0), squared_error, True)) != structure(
        Scaled(made("linear", 0), squared_error, 1)
    )


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


class OnlyTrained(Objective):
    """Asks of its parameters what a lane's stand-ins do not know."""

    def penalty(self):
        return 5 * sum(p.square().sum() for p in self.network.parameters() if p.requires_grad)


class Counting(Objective):
    """Replaces a buffer at each step."""

    def __init__(self, network, loss):
        super().__init__(network, loss)
        self.register_buffer("seen", torch.tensor(0.0))

    def penalty(self):
        self.seen = self.seen + 1
        return 0.01 * self.seen * self.network[0].weight.square().sum()


def masked_by_a_hook():
    network = made("linear", 0)
    network[0].weight.register_hook(lambda gradient: gradient * 0)
    return Objective(network, squared_error)


def sharing_memory():
    network = made("linear", 0)
    network[2].weight = nn.Parameter(network[0].bias.detach().view(1, 7))
    return Objective(network, squared_error)


@pytest.mark.parametrize(
    ("build", "why"),
    [
        (lambda: OnlyTrained(made("linear", 0), squared_error), "the loss in a lane is"),
        (lambda: Counting(made("linear", 0), squared_error), "changes what the objective holds"),
        (masked_by_a_hook, "has hooks"),
        (sharing_memory, "shares memory"),
    ],
)
def test_a_forward_that_means_something_else_in_a_lane_trains_alone(build, why):
    recipe = Recipe(optimizer="sgd", learning_rate=0.01, batch_size=16)
    lanes, results = trained(Lanes(), [job(s, recipe, 10, objective=build()) for s in range(2)])
    plain, _ = trained(Plain(), [job(s, recipe, 10, objective=build()) for s in range(2)])
    assert all(result.engine == "plain" and why in result.note for result in results), results
    assert all(same(one, other) for one, other in zip(lanes, plain, strict=True))


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


def side_by_side(*objectives, seconds=60.0, steps=50):
    """Each objective's training as a trial of its own would ask for it; the results, or what was raised."""
    together = Together()

    def trial(objective):
        deadline = time.monotonic() + seconds
        try:
            with time_limit(seconds):
                return Fit(together, Recipe(batch_size=16), 3, steps, deadline=deadline)([objective], EXAMPLES)[0]
        except (Exception, TrialTimeout) as error:  # noqa: BLE001 - what a trial makes a row of
            return error

    return together.run([lambda one=one: trial(one) for one in objectives])


class Slow(nn.Module):
    """Cannot be a lane, and takes a fiftieth of a second a step."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 1)
        self.register_forward_hook(lambda *_: time.sleep(0.02))

    def forward(self, inputs):
        return self.layer(inputs)


class Hanging(nn.Linear):
    def forward(self, inputs):
        time.sleep(100)


def test_waiting_for_others_does_not_count_against_a_trials_limit():
    """Six trainings of a second, one after the other, under a limit of four."""
    results = side_by_side(*(Objective(Slow(), squared_error) for _ in range(6)), seconds=4.0)
    assert [getattr(result, "steps", result) for result in results] == [50] * 6


def test_a_trial_that_hangs_is_the_only_one_out_of_time():
    healthy = [Objective(made("linear", seed), squared_error) for seed in range(2)]
    results = side_by_side(healthy[0], Objective(Hanging(8, 1), squared_error), healthy[1], seconds=3.0)
    assert isinstance(results[1], TrialTimeout)
    assert [results[0].steps, results[2].steps] == [50, 50]


def test_a_trial_that_raises_harms_no_other():
    def broken(network, batch):
        raise ValueError("the task's own mistake")

    good, bad, late = side_by_side(
        Objective(made("linear", 0), squared_error),
        Objective(made("linear", 1), broken),
        Objective(made("linear", 2), squared_error),
    )
    assert isinstance(bad, ValueError)
    assert (good.steps, good.lanes, late.steps) == (50, 2, 50)


def test_a_network_that_cannot_be_predicted_in_lanes_is_predicted_alone():
    network = made("linear", 0)
    network.register_forward_hook(lambda *_: None)
    together = Together()

    def predict(net, batch):
        return net(batch["inputs"])

    (answer,) = together.run([lambda: together.predict(predict, network, EXAMPLES)])
    assert answer[0].shape == (40, 1)


def test_each_trial_keeps_its_random_state_while_others_run():
    """What a trial draws after a training does not depend on who trained beside it."""
    together = Together()

    def trial(seed):
        with seeds.seeded(str(seed), "trial"):
            first = torch.rand(3)
            Fit(together, Recipe(batch_size=16), 3, 5)([Objective(made("linear", seed), squared_error)], EXAMPLES)
            return torch.cat([first, torch.rand(3)])

    many = together.run([lambda seed=seed: trial(seed) for seed in range(4)])
    for seed in range(4):
        (alone,) = together.run([lambda seed=seed: trial(seed)])
        assert torch.equal(alone, many[seed])
