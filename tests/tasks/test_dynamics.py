"""The tasks of dynamics: their equations, their segments, their ground truth, their scores."""

from itertools import combinations

import numpy as np
import pytest
import torch
from torchdiffeq import odeint

from harness import seeds
from harness.data import content_hash, take
from harness.engines.lanes import Lanes
from harness.fit import Fit
from harness.objective import Objective
from tasks import lotka_volterra, pendulum, van_der_pol
from tasks.lotka_volterra import LotkaVolterra
from tasks.numerics import rk4, trajectories
from tasks.pendulum import DampedPendulum
from tasks.van_der_pol import VanDerPol

TASKS = {DampedPendulum: pendulum, LotkaVolterra: lotka_volterra, VanDerPol: van_der_pol}
TRUE_FIELDS = {
    DampedPendulum: lambda x, v: (v, -6.0 * np.sin(x) - 0.5 * v),
    LotkaVolterra: lambda x, v: (1.5 - np.exp(v), 1.5 * np.exp(x) - 1.0),
    VanDerPol: lambda x, v: (v, (1 - x**2) * v - x),
}
"""The targets' equations at shift 1, by hand."""


class Field(torch.nn.Module):
    """The true vector field of the target, in the units in which a network works."""

    def __init__(self, kind):
        super().__init__()
        self.kind, self.scale = kind, torch.tensor(TASKS[kind].SCALE, dtype=torch.double)

    def forward(self, state):
        change = TRUE_FIELDS[self.kind](*(state * self.scale).numpy().T)
        return torch.from_numpy(np.stack(change, 1)) / self.scale


def double(examples):
    return {name: tensor.double() for name, tensor in examples.items()}


@pytest.fixture(params=TASKS, ids=lambda kind: kind.name)
def kind(request):
    return request.param


def test_no_trajectory_is_in_two_splits(kind):
    data = kind().datasets()
    splits = ("source_train", "source_test", "target_pool", "target_test")
    starts = {name: {row.tobytes() for row in getattr(data, name)["inputs"].numpy()} for name in splits}
    assert [len(starts[name]) for name in splits] == [1_000, 200, 500, 200]
    assert not any(starts[one] & starts[other] for one, other in combinations(splits, 2))


def test_with_the_true_field_the_rollout_is_the_test_trajectory(kind):
    """To the error that the docstring states for one step of Runge-Kutta per step of the data."""
    test = double(kind().datasets().target_test)
    score = kind.score(kind.predict(Field(kind), test), test)
    assert 1e-6 < score < 4e-4


def test_with_the_true_field_what_is_left_of_a_segment_is_its_noise(kind):
    """The states' own noise, and that of the first state carried along: the loss is between one and three variances."""
    pool = double(kind().datasets().target_pool)
    loss = float(kind.loss(Field(kind), pool))
    assert TASKS[kind].NOISE ** 2 < loss < 3 * TASKS[kind].NOISE ** 2


def test_ground_truth_is_good_to_1e_8(kind):
    regime = TASKS[kind].Regime(*{DampedPendulum: (4.0, 0.2), LotkaVolterra: (1.0,) * 4, VanDerPol: (1.5,)}[kind])
    starts, times = np.array([[1.0, 0.5], [-0.8, 1.0]]), np.linspace(0, 6, 41)
    solved = trajectories(regime.field, starts, times)
    assert abs(solved - trajectories(regime.field, starts, times, tolerance=1e-13)).max() < 1e-8


def test_what_an_equation_conserves_is_conserved():
    """The energy of a pendulum without friction, and Volterra's integral, along trajectories."""
    starts, times = np.array([[1.0, 0.5], [-0.8, 1.0]]), np.linspace(0, 6, 41)
    angle, velocity = trajectories(pendulum.Regime(4.0, 0.0).field, starts, times).transpose(2, 0, 1)
    energy = velocity**2 / 2 - 4 * np.cos(angle)
    np.testing.assert_allclose(energy, energy[:, :1].repeat(41, 1), atol=1e-8)
    prey, hunters = trajectories(lotka_volterra.Regime(1.5, 1.0, 1.0, 1.2).field, starts, times).transpose(2, 0, 1)
    integral = 1.2 * np.exp(prey) - prey + np.exp(hunters) - 1.5 * hunters
    np.testing.assert_allclose(integral, integral[:, :1].repeat(41, 1), atol=1e-8)


def test_more_shift_is_farther_from_the_source_which_stays(kind):
    hashes, errors = set(), []
    for shift in (0.0, 1.0, 2.0):
        data = kind(shift=shift).datasets()
        hashes.add(content_hash({"train": data.source_train, "test": data.source_test}))
        test, regime = double(data.target_test), TASKS[kind].Regime(*SOURCES[kind])
        scale = torch.tensor(TASKS[kind].SCALE)
        rolled = rk4(lambda s: torch.from_numpy(regime.field(s.numpy())), test["inputs"], TASKS[kind].STEP, 20)  # noqa: B023
        errors.append(float(((rolled - test["targets"][:, :20]) / scale).square().mean()))
    assert len(hashes) == 1
    assert errors[0] < 1e-8 < errors[1] < errors[2]


SOURCES = {DampedPendulum: (4.0, 0.2), LotkaVolterra: (1.0, 1.0, 1.0, 1.0), VanDerPol: (0.5,)}


def test_a_perfect_rollout_scores_zero_and_one_off_by_its_scale_scores_one(kind):
    test = kind().datasets().target_test
    assert kind.score(test["targets"], test) == 0.0
    off = test["targets"] + torch.tensor(TASKS[kind].SCALE)
    assert kind.score(off, test) == pytest.approx(1.0, rel=1e-5)


def test_the_scale_is_that_of_the_sources_states(kind):
    deviation = kind().datasets().source_test["targets"].flatten(0, 1).std(0)
    torch.testing.assert_close(deviation, torch.tensor(TASKS[kind].SCALE), rtol=0.1, atol=0)


def adaptive(network, batch):
    """The loss with torchdiffeq's adaptive solver instead of fixed steps."""
    times = pendulum.STEP * torch.arange(batch["targets"].shape[1] + 1)
    scale = batch["inputs"].new_tensor(pendulum.SCALE)
    rolled = odeint(lambda _, state: network(state), batch["inputs"] / scale, times, rtol=1e-6, atol=1e-7)[1:]
    return torch.nn.functional.mse_loss(rolled.transpose(0, 1), batch["targets"] / scale)


def test_an_adaptive_solver_trains_alone_and_says_why_and_fixed_steps_are_lanes():
    """Both reach the same loss: of these segments the fixed step is fine enough."""
    train = take(DampedPendulum().datasets().target_pool, torch.arange(20))
    losses = []
    for loss, engine in ((DampedPendulum.loss, "lanes"), (adaptive, "plain")):
        with seeds.seeded("a key", "network"):
            objective = Objective(DampedPendulum().network(), loss)
        (result,) = Fit(Lanes(), DampedPendulum.recipe, 0, 10)([objective], train)
        assert (result.engine, result.note.startswith("no lane: ")) == (engine, engine == "plain")
        losses.append(result.last_loss)
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
