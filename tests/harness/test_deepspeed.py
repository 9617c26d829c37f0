"""The engine deepspeed against the plain one: the same losses, the same weights, whatever the stage and the ranks."""

from __future__ import annotations

import copy
import dataclasses
import functools
import os
import signal

import pytest
import torch
from torch import nn

from benchmarks.large import optimizer_bytes
from harness import seeds
from harness.checkpoints import Checkpoints
from harness.data import Datasets
from harness.engines import deepspeed as deepspeed_engine
from harness.engines import plain
from harness.engines.plain import Plain
from harness.errors import Declined
from harness.fit import Job
from harness.objective import Objective, SquaredDistance, SquaredNorm
from harness.recipe import Recipe
from harness.sharding import Sharding, processors_have_float16
from methods import METHODS
from tasks import TASKS
from tests.harness.rank_process import on_ranks, transferred

needs_float16 = pytest.mark.skipif(not processors_have_float16(), reason="these processors do not compute in float16")

pytest.importorskip("deepspeed")
pytestmark = pytest.mark.filterwarnings("ignore")

STEPS = 6
METHODS_TRIED = {
    "fine_tuning": {},
    "l2_sp": {"alpha": 0.5},
    "lora": {},
    "subtuning": {"folds": 1, "search_fraction": 0.5},
    "pac": {},
    "linear_probe": {},
}
MODELS = {
    "gpt2": ("tiny_language_model", {}),
    "llama": ("tiny_language_model", {"architecture": "llama"}),
    "bert": ("tiny_text_classifier", {}),
    "vit": ("tiny_image_classifier", {}),
}
CASES = [(method, model) for method in METHODS_TRIED for model in MODELS]


@functools.cache
def model(name):
    """A tiny model's task, and as much of its data as is needed here."""
    task = TASKS[MODELS[name][0]](**MODELS[name][1])
    whole = task.datasets()
    source = {key: tensor[:64] for key, tensor in whole.source_train.items()}
    return task, Datasets(whole.target_pool, {}, source, {})


def trained(engine, method, name, given):
    """Losses of every step, weights that trained, and whether what is frozen is as it was."""
    task, sets = given[name]
    made = METHODS[method](**METHODS_TRIED[method])
    objective, result, before, fit = transferred(engine, made, task, sets, STEPS)
    now = dict(objective.named_parameters())
    frozen = all(torch.equal(now[key], tensor) for key, tensor in before.items())
    finished = objective.finish()
    for key, tensor in before.items():  # the anchors and masks of an objective are none of the network it leaves
        assert key not in dict(finished.named_parameters()) or torch.equal(finished.get_parameter(key), tensor)
    weights = {key: weight.detach().clone() for key, weight in now.items() if weight.requires_grad}
    return [loss for _, loss in result.curve], weights, frozen, fit.flops, objective.report()


@pytest.fixture(scope="module")
def alone():
    """What the plain engine does."""
    given = {name: model(name) for name in MODELS}
    held, plain.CHECK_EVERY = plain.CHECK_EVERY, 1
    try:
        return given, {case: trained(Plain(), *case, given) for case in CASES}
    finally:
        plain.CHECK_EVERY = held


def on_every_step(engine, cases, given):
    deepspeed_engine.CHECK_EVERY = engine.saved_every = 1
    return {case: trained(engine, *case, given) for case in cases}


def assert_same(case, expected, got, loss=1e-5, weight=1e-3):
    """Left out is the bias of attention's keys, which has no effect: its gradient is 0 but for rounding, of which Adam
    makes whole steps. It does so of any weight whose gradient is near 0, so weights agree less well than losses; how
    well depends on the processor."""
    losses, weights, frozen, flops, report = expected
    assert len(got[0]) == STEPS
    assert got[0] == pytest.approx(losses, rel=loss), case
    assert got[2]
    assert frozen
    assert got[3] >= flops > 0  # without memory attention is counted too
    assert got[4] == report
    assert got[1].keys() == weights.keys()
    for name, value in weights.items():
        if not name.endswith(("c_attn.bias", "key.bias", "k_proj.bias")):
            assert (got[1][name] - value).norm() <= weight * value.norm() + 1e-7, (case, name)


def cases_of(ranks, stage):
    """Everything if asked to; else all methods on one of the models, and at stage 3 on two ranks on all but SubTuning,
    which trains many times."""
    whole, most = "PACBENCH_WHOLE_MATRIX" in os.environ, (ranks, stage) == (2, 3)
    one = list(MODELS)[(stage + 2 * ranks) % len(MODELS)]
    return [case for case in CASES if whole or case[1] == one or (most and case[0] != "subtuning")]


@pytest.mark.parametrize("stage", [3, 0, 1, 2])
@pytest.mark.parametrize("ranks", [2, 1])
def test_every_method_is_the_same_as_alone(alone, ranks, stage):
    given, expected = alone
    cases = cases_of(ranks, stage)
    work = functools.partial(on_every_step, cases=cases, given=given)
    for got in on_ranks(Sharding(ranks=ranks, zero_stage=stage), work):
        for case in cases:
            assert_same(case, expected[case], got[case])


SAVING = [("fine_tuning", "gpt2"), ("pac", "gpt2"), ("lora", "bert")]


@pytest.mark.parametrize(
    "given", [{"accumulation": 2, "checkpoint_activations": True}, {"offload": True, "accumulation": 4}]
)
def test_what_saves_memory_changes_no_more_than_its_rounding(alone, given):
    sets, expected = alone
    work = functools.partial(on_every_step, cases=SAVING, given=sets)
    for got in on_ranks(Sharding(**{"ranks": 2, "zero_stage": 3} | given), work):
        for case in SAVING:
            assert_same(case, expected[case], got[case])


def by_sgd(task):
    """The task trained by SGD: Adam makes whole steps of gradients that are rounding, in low precision of many."""
    other = copy.copy(task)
    object.__setattr__(other, "recipe", dataclasses.replace(task.recipe, optimizer="sgd", learning_rate=0.05))
    return other


@pytest.mark.parametrize(
    ("given", "loss", "weight"),
    [
        ({"precision": "bfloat16"}, 1e-2, 5e-2),
        pytest.param({"precision": "float16", "ranks": 1}, 2e-3, 1e-2, marks=needs_float16),
    ],
)
def test_lower_precision_changes_no_more_than_its_rounding(alone, monkeypatch, given, loss, weight):
    monkeypatch.setattr(plain, "CHECK_EVERY", 1)
    sets = {name: (by_sgd(task), some) for name, (task, some) in alone[0].items()}
    expected = {case: trained(Plain(), *case, sets) for case in SAVING}
    work = functools.partial(on_every_step, cases=SAVING, given=sets)
    for got in on_ranks(Sharding(**{"ranks": 2, "zero_stage": 3} | given), work):
        for case in SAVING:
            assert_same(case, expected[case], got[case], loss, weight)


class Counted(nn.Module):
    """Layers that count how often they run."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.5), nn.Tanh()) for _ in range(4))
        self.head = nn.Linear(8, 1)
        self.runs = 0

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.head(x)


def test_activations_are_computed_twice_where_they_are_not_kept():
    def work(engine, steps=3):
        torch.manual_seed(0)
        network = Counted()
        runs = []
        for layer in network.layers:
            layer[0].register_forward_hook(lambda *given: runs.append(1))
        examples = {"inputs": torch.randn(8, 8, generator=torch.Generator().manual_seed(1))}
        job = Job(
            [Objective(network, lambda net, batch: net(batch["inputs"]).square().mean())],
            examples, torch.arange(8).repeat(steps, 1), Recipe(), 1e-3, None, [5],
        )  # fmt: skip
        (result,) = engine.train(job)
        return len(runs), result.last_loss

    kept = on_ranks(Sharding(ranks=1, zero_stage=3), work)[0]
    twice = on_ranks(Sharding(ranks=1, zero_stage=3, checkpoint_activations=True), work)[0]
    assert (kept[0], twice[0]) == (4 * 3, 2 * 4 * 3)
    assert twice[1] == kept[1]


def test_an_odd_batch_and_a_loss_over_unequal_numbers_of_tokens_are_cut_exactly(alone):
    """What a method's own search trains on need not divide; a mean over tokens is no mean of the parts' means."""
    task, sets = alone[0]["gpt2"]
    pool = {name: tensor[:40].clone() for name, tensor in sets.target_pool.items()}
    lengths = torch.arange(40) % 29 + 1
    pool["targets"][torch.arange(32)[None, :] >= lengths[:, None]] = -100
    order = torch.arange(39).view(3, 13)

    def work(engine):
        with seeds.seeded("tests", "network"):
            network = task.network()
        objective = Objective(network, task.loss)
        (result,) = engine.train(Job([objective], pool, order, task.recipe, 1e-3, None, [5]))
        return result.last_loss

    expected = work(Plain())
    for sharding in (Sharding(ranks=2, zero_stage=0), Sharding(ranks=2, zero_stage=3, accumulation=2)):
        assert on_ranks(sharding, work) == pytest.approx([expected] * 2, rel=1e-6)


def test_a_weight_without_a_gradient_is_treated_as_alone():
    """It still decays; and a loss that is not finite ends the training on every rank, without an exception."""

    def work(engine, factor=1.0):
        torch.manual_seed(0)
        network = Counted()
        objective = Objective(network, lambda net, batch: factor * net.head(batch["inputs"]).square().mean())
        recipe = Recipe(optimizer="adamw", weight_decay=0.1, clip_norm=0.5)
        examples = {"inputs": torch.ones(8, 8)}
        (result,) = engine.train(Job([objective], examples, torch.arange(8).repeat(5, 1), recipe, 1e-2, None, [5]))
        return result.diverged, network.layers[0][0].weight.detach().clone(), network.head.weight.detach().clone()

    expected = work(Plain())
    for stage in (0, 2, 3):
        for diverged, unused, head in on_ranks(Sharding(ranks=2, zero_stage=stage), work):
            assert not diverged
            assert torch.allclose(head, expected[2], rtol=1e-5)
            assert torch.allclose(unused, expected[1], rtol=1e-5)
    assert all(d for d, *_ in on_ranks(Sharding(ranks=2, zero_stage=3), functools.partial(work, factor=float("nan"))))


@pytest.mark.parametrize("stage", [0, 1, 3])
def test_a_killed_rank_costs_nothing_but_time(alone, tmp_path, stage):
    """What is trained after a resumption equals, bitwise, what is trained without a kill."""
    task, sets = alone[0]["gpt2"]

    def work(engine, kill_at):
        if engine.rank == 1 and kill_at:
            taken = deepspeed_engine._Spread.step

            def step(self, number):
                if number == kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)
                return taken(self, number)

            deepspeed_engine._Spread.step = step
        objective, result, _, _ = transferred(engine, METHODS["pac"](), task, sets, 12, allocate=16)
        weights = {name: weight.detach().clone() for name, weight in objective.named_parameters()}
        return weights, result.curve, engine.resumed

    def run(folder, kill_at=0):
        return on_ranks(
            Sharding(ranks=2, zero_stage=stage), functools.partial(work, kill_at=kill_at), Checkpoints(folder, 5)
        )

    (expected, curve, _), _ = run(tmp_path / "undisturbed")
    for kill_at in (6, 11):  # in the midst of both trainings, and again of the second
        with pytest.raises(EOFError):
            run(tmp_path / "killed", kill_at)
    for got, its_curve, resumed in run(tmp_path / "killed"):
        assert resumed == {"prepare-1-0": 8, "adapt-1-0": 10}
        assert its_curve == curve
        assert all(torch.equal(got[name], weight) for name, weight in expected.items())
    newest = [path.name for path in (tmp_path / "killed" / "adapt-1-0").iterdir()]
    assert newest == ["12"]
    parts = [path.name for path in (tmp_path / "killed" / "adapt-1-0" / "12" / "state").iterdir()]
    assert len([name for name in parts if "optim_states" in name]) == (2 if stage else 0)
    Checkpoints(tmp_path / "killed", 5).forget("prepare", "adapt")
    assert not list((tmp_path / "killed").iterdir())


def test_predictions_of_ranks_are_those_of_one(alone):
    """Also where the examples do not divide."""
    task, sets = alone[0]["vit"]
    examples = {name: tensor[:37] for name, tensor in sets.target_pool.items()}

    def work(engine):
        with seeds.seeded("tests", "network"):
            network = task.network()
        return engine.predict(task.predict, network, examples)[0]

    expected = work(Plain())
    for stage in (0, 3):
        for got in on_ranks(Sharding(ranks=2, zero_stage=stage), work):
            assert got.shape == expected.shape
            assert torch.allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_optimizer_memory_is_that_of_what_trains(alone):
    """Of two moments in float32 per trained weight, shared out from stage 1 on."""
    task, sets = alone[0]["gpt2"]

    def work(engine):
        found = {}
        ended = deepspeed_engine._Spread.end

        def end(self):
            found["bytes"] = optimizer_bytes(self.engine)
            ended(self)

        deepspeed_engine._Spread.end = end
        sizes = {}
        for method in ("fine_tuning", "lora", "linear_probe"):
            objective, *_ = transferred(engine, METHODS[method](), task, sets, 2)
            number = sum(weight.numel() for weight in objective.parameters() if weight.requires_grad)
            sizes[method] = found["bytes"] / number
        return sizes

    for stage, share in ((0, 1), (1, 2), (3, 2)):
        for sizes in on_ranks(Sharding(ranks=2, zero_stage=stage), work):
            for method, each in sizes.items():
                assert each == pytest.approx(8 / share, rel=0.2), (stage, method)


class ShrunkHead(Objective):
    """A penalty that reads its weights by name, as the README's example does, and all of them by going through them."""

    def penalty(self):
        named = sum(weight.square().sum() for weight in self.network.parameters() if weight.dim() == 2)
        return 0.1 * self.weight("head.weight").square().sum() + 0.01 * named


class Distant(Objective):
    """A distance to the start of a weight that the loss does not use."""

    def __init__(self, network, loss):
        super().__init__(network, loss)
        self.far = SquaredDistance(network.layers[0][0].weight)
        self.near = SquaredNorm(network.layers[0][0].weight)

    def penalty(self):
        return self.far() + 0.5 * self.near()


@pytest.mark.parametrize("kind", [ShrunkHead, Distant])
@pytest.mark.parametrize("sharding", [Sharding(ranks=2, zero_stage=3), Sharding(2, 3, accumulation=2), Sharding(2, 1)])
def test_penalties_of_others_are_what_they_are_alone(kind, sharding):
    """Also where a batch has fewer examples than parts."""

    def work(engine):
        torch.manual_seed(0)
        network = Counted()
        examples = {"inputs": torch.randn(8, 8, generator=torch.Generator().manual_seed(1))}
        uses = (lambda net, batch: net(batch["inputs"]).square().mean()) if kind is ShrunkHead else (
            lambda net, batch: net.head(batch["inputs"]).square().mean()
        )  # fmt: skip
        objective = kind(network, uses)
        with torch.no_grad():
            network.layers[0][0].weight += 0.5
        job = Job([objective], examples, torch.arange(9).view(3, 3) % 8, Recipe(weight_decay=0.1), 1e-2, None, [5])
        (result,) = engine.train(job)
        return result.last_loss, [weight.detach().clone() for weight in network.parameters()]

    loss, weights = work(Plain())
    for got, its in on_ranks(sharding, work):
        assert got == pytest.approx(loss, rel=1e-5)
        for mine, expected in zip(its, weights, strict=True):
            assert (mine - expected).norm() <= 1e-4 * expected.norm() + 1e-6


@pytest.mark.parametrize("stage", [1, 3])
@pytest.mark.parametrize("precision", ["bfloat16", pytest.param("float16", marks=needs_float16)])
def test_lower_precision_is_what_it_says_and_takes_every_step(stage, precision):
    """Weights that the forward reads have that type; a step that overflows is taken again."""

    def work(engine):
        torch.manual_seed(0)
        network = Counted()
        examples = {"inputs": torch.randn(8, 8, generator=torch.Generator().manual_seed(1))}
        seen = set()

        def loss(net, batch):
            seen.add((batch["inputs"].dtype, net(batch["inputs"]).dtype))
            return (net(batch["inputs"]).float() * 30).square().mean()

        steps, taken = 10, []
        stepped = torch.optim.Adam.step

        def step(self, *given):
            taken.append(1)
            return stepped(self, *given)

        torch.optim.Adam.step = step
        job = Job([Objective(network, loss)], examples, torch.arange(8).repeat(steps, 1), Recipe(), 1e-2, None, [5])
        (result,) = engine.train(job)
        return seen, result.diverged, len(taken)

    kind = getattr(torch, precision)
    for seen, diverged, taken in on_ranks(Sharding(2, stage, precision), work):
        assert seen == {(kind, kind)}
        assert not diverged
        assert taken == 10


def test_batch_statistics_over_part_of_a_batch_are_refused():
    def work(engine):
        network = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
        objective = Objective(network, lambda net, batch: net(batch["inputs"]).square().mean())
        objective.frozen_statistics = False
        job = Job([objective], {"inputs": torch.ones(8, 4)}, torch.arange(8).repeat(2, 1), Recipe(), 1e-3, None, [5])
        try:
            engine.train(job)
        except Declined as declined:
            return str(declined)

    assert (
        on_ranks(Sharding(2, 0), work)
        == ["batch normalisation in training mode, over a batch that is cut into parts"] * 2
    )
