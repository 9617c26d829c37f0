"""SubTuning's greedy search: what it chooses, when it stops, what it costs, what it may look at."""

from collections import OrderedDict

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from harness.engines.plain import Plain
from harness.errors import Declined
from harness.fit import Fit, Fitted
from harness.method import Problem
from harness.objective import copy_to_train
from harness.recipe import Recipe
from methods.subtuning import SubTuning, folds


class Shift(nn.Module):
    """Adds a learned number to one column."""

    def __init__(self, column):
        super().__init__()
        self.column = column
        self.by = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        return torch.cat([x[:, : self.column], x[:, self.column :][:, :1] + self.by, x[:, self.column + 1 :]], 1)


class Magnitude(nn.Module):
    def forward(self, x):
        return x.abs()


def shifts():
    blocks = OrderedDict((f"block{number}", Shift(number - 1)) for number in (1, 2, 3))
    return nn.Sequential(OrderedDict(**blocks, magnitude=Magnitude(), head=nn.Linear(3, 1)))


def squared_error(network, batch):
    return nn.functional.mse_loss(network(batch["inputs"])[:, 0], batch["targets"])


def problem(examples, score):
    return Problem(examples, squared_error, score, "head", False, ("block1", "block2", "block3"), steps=0)


class Recorder:
    """In place of a fit: adds 1 to whatever would train, and writes down what it was asked."""

    steps = 100

    def __init__(self, diverges=()):
        self.calls, self.trained = [], []
        self.diverges = diverges

    def __call__(self, objectives, examples, steps):
        self.calls.append((list(objectives), examples, steps))
        for objective in objectives:  # now: what candidates share with the network may train later
            named = objective.network.named_parameters()
            self.trained.append({name.split(".")[0] for name, parameter in named if parameter.requires_grad})
        with torch.no_grad():
            for objective in objectives:
                for parameter in objective.parameters():
                    parameter += float(parameter.requires_grad)
        return [Fitted(steps, 0.0, bool(set(self.diverges) & set(objective.chosen))) for objective in objectives]


def search(gains, method, diverges=(), offset=0.0):
    """The search where training block k is worth gains[k]; the recorder, and the rows held out at each score."""
    held = []

    def score(network, held_out):
        held.append(held_out["targets"].tolist())
        moved = [network.get_submodule(block).by.item() for block in gains]
        assert set(moved) <= {0.0, 1.0}, "a candidate did not start from the source weights"
        return offset + sum(gain * by for gain, by in zip(gains.values(), moved, strict=True))

    network, recorder = shifts(), Recorder(diverges)
    train = {"inputs": torch.zeros(20, 3), "targets": torch.arange(20.0)}
    objective = method.adapt(network, problem(train, score), recorder)
    return objective, recorder, held


def test_the_one_block_that_matters_is_found_and_trained():
    """The target is the source's function with its second input moved by 2: only the second block can undo that."""
    torch.manual_seed(0)
    network = shifts()
    x = torch.randn(60, 3)
    with torch.no_grad():
        targets = network(x + torch.tensor([0.0, 2.0, 0.0]))[:, 0] + 0.05 * torch.randn(60)

    def score(net, held_out):
        with torch.no_grad():
            return -float(squared_error(net, held_out))

    fit = Fit(Plain(), Recipe(learning_rate=0.1, batch_size=16), 1, 100)
    objective = SubTuning(epsilon=0.2).adapt(network, problem({"inputs": x, "targets": targets}, score), fit)
    assert objective.report() == {"chosen_blocks": "block2"}
    assert {n for n, p in objective.network.named_parameters() if p.requires_grad} == {
        "block2.by",
        "head.weight",
        "head.bias",
    }
    fit([objective], {"inputs": x, "targets": targets})
    assert objective.network.block2.by.item() == pytest.approx(2.0, abs=0.5)


def test_blocks_are_taken_in_the_order_of_their_worth():
    objective, _, _ = search({"block1": 1.0, "block2": 4.0, "block3": 2.0}, SubTuning())
    assert objective.chosen == ("head", "block2", "block3", "block1")


@pytest.mark.parametrize(("epsilon", "chosen"), [(0.49, "block2,block3"), (0.5, "block2")])
def test_the_search_stops_at_a_gain_of_at_most_epsilon(epsilon, chosen):
    objective, _, _ = search({"block1": 0.0, "block2": 4.0, "block3": 2.0}, SubTuning(epsilon=epsilon))
    assert objective.report() == {"chosen_blocks": chosen}


@pytest.mark.parametrize(("epsilon", "chosen"), [(0.24, "block2,block3"), (0.25, "block2")])
def test_epsilon_is_relative_to_the_size_of_a_loss(epsilon, chosen):
    """Scores of -12, -8, -6: from -8 to -6 is a gain of a quarter."""
    objective, _, _ = search({"block1": 0.0, "block2": 4.0, "block3": 2.0}, SubTuning(epsilon=epsilon), offset=-12.0)
    assert objective.report() == {"chosen_blocks": chosen}


@pytest.mark.parametrize("number", [1, 2, 5])
def test_the_cost_is_folds_times_the_candidates_of_every_round(number):
    method = SubTuning(folds=number, search_fraction=0.25, epsilon=0.0)
    _, recorder, _ = search({"block1": 1.0, "block2": 4.0, "block3": 2.0}, method)
    assert [len(objectives) for objectives, _, _ in recorder.calls] == [3] * number + [2] * number + [1] * number
    assert {steps for _, _, steps in recorder.calls} == {25}
    steps = sum(len(objectives) * steps for objectives, _, steps in recorder.calls)
    assert method.planned_steps(100, 0, 3) == 100 + steps


def test_a_search_that_stops_pays_for_the_round_that_did_not_help():
    _, recorder, _ = search({"block1": 0.0, "block2": 4.0, "block3": 0.0}, SubTuning(folds=1))
    assert [len(objectives) for objectives, _, _ in recorder.calls] == [3, 2]


def test_candidates_train_the_head_and_their_blocks_only():
    _, recorder, _ = search({"block1": 1.0, "block2": 4.0, "block3": 2.0}, SubTuning(folds=1))
    assert recorder.trained[:5] == [{"head", f"block{k}"} for k in (1, 2, 3)] + [
        {"head", "block2", f"block{k}"} for k in (1, 3)
    ]


def test_the_search_leaves_the_network_at_the_source_weights():
    objective, _, _ = search({"block1": 1.0, "block2": 4.0, "block3": 2.0}, SubTuning())
    assert all(objective.network.get_submodule(f"block{k}").by.item() == 0.0 for k in (1, 2, 3))


def test_scores_are_taken_on_examples_that_the_candidate_did_not_train_on():
    _, recorder, held = search({"block1": 1.0, "block2": 4.0, "block3": 2.0}, SubTuning())
    trained_on = [examples["targets"].tolist() for objectives, examples, _ in recorder.calls for _ in objectives]
    assert len(held) == len(trained_on)
    for out, used in zip(held, trained_on, strict=True):
        assert not set(out) & set(used)
        assert sorted(out + used) == list(range(20))


def test_a_candidate_that_diverges_is_not_chosen():
    objective, _, _ = search({"block1": 1.0, "block2": 4.0, "block3": 2.0}, SubTuning(), diverges=["block2"])
    assert objective.chosen == ("head", "block3", "block1")


def test_if_every_candidate_diverges_the_head_alone_trains():
    everything = ["block1", "block2", "block3"]
    objective, _, _ = search(dict.fromkeys(everything, 1.0), SubTuning(), diverges=everything)
    assert objective.chosen == ("head",)


def test_blocks_that_do_not_train_run_in_eval_mode():
    objective, _, _ = search({"block1": 0.0, "block2": 4.0, "block3": 0.0}, SubTuning())
    objective.train()
    modes = {name: module.training for name, module in objective.network.named_children()}
    assert modes == {"block1": False, "block2": True, "block3": False, "magnitude": False, "head": True}


def test_a_network_of_a_head_alone_is_declined():
    target = Problem({}, squared_error, None, "head", False, (), 0)
    with pytest.raises(Declined, match="no blocks"):
        SubTuning().adapt(shifts(), target, Recorder())


@given(examples=st.integers(2, 60), count=st.integers(2, 20))
@settings(max_examples=60, deadline=None)
def test_folds_hold_every_example_out_exactly_once(examples, count):
    rows = {"row": torch.arange(examples)}
    parts = folds(rows, count)
    assert len(parts) == min(count, examples)
    held = []
    for train, out in parts:
        assert len(out["row"])
        assert len(train["row"])
        assert sorted(train["row"].tolist() + out["row"].tolist()) == list(range(examples))
        held += out["row"].tolist()
    assert sorted(held) == list(range(examples))


def test_one_fold_holds_out_a_fifth():
    ((train, out),) = folds({"row": torch.arange(20)}, 1)
    assert len(out["row"]) == 4
    assert not set(train["row"].tolist()) & set(out["row"].tolist())


def test_candidates_share_what_they_do_not_train():
    """A copy to train one block holds that block and nothing else of its own; it trains no weight of the network."""
    network = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 1))
    copied = copy_to_train(network, "1", "2")
    own = dict(network.named_parameters())
    for name, parameter in copied.named_parameters():
        assert (parameter is own[name]) == name.startswith("0")
        assert torch.equal(parameter, own[name])
