"""Trials side by side: whenever all wait for a training, those of one structure train together."""

import time

import torch
from torch import nn

from harness import seeds
from harness.cost import time_limit
from harness.errors import TrialTimeout
from harness.fit import Fit
from harness.objective import Objective
from harness.recipe import Recipe
from harness.together import Together
from tests.harness.lane_problems import EXAMPLES, made, squared_error


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
