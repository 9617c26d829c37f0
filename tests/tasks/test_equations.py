"""The tasks of partial differential equations: residuals, references, values that are built in."""

from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from tasks import allen_cahn, burgers, helmholtz
from tasks.allen_cahn import AllenCahn
from tasks.burgers import Burgers
from tasks.helmholtz import Helmholtz
from tasks.numerics import chebyshev

MODULES = {Burgers: burgers, AllenCahn: allen_cahn, Helmholtz: helmholtz}
POINTS = np.random.RandomState(0).random_sample((300, 2)) * (1.8, 0.9) - (0.9, -0.05)


class Solves(torch.nn.Module):
    """A network that makes the task's output the function given: what is built in, undone. Shapes: as a network's."""

    def __init__(self, module, function):
        super().__init__()
        self.module, self.function = module, function

    def forward(self, points):
        nothing = self.module.solution(lambda at: torch.zeros_like(at[:, :1]), points)
        once = self.module.solution(lambda at: torch.ones_like(at[:, :1]), points) - nothing
        return ((self.function(*points.unbind(1)) - nothing) / once)[:, None]


def residual(kind, function, **others):
    points = torch.from_numpy(POINTS)
    batch = {"inputs": points, **{name: torch.as_tensor(v).expand(len(points)) for name, v in others.items()}}
    return float(kind.loss(Solves(MODULES[kind], function), batch))


@pytest.mark.parametrize("viscosity", [0.05, 0.2])
def test_the_closed_form_solves_burgers_equation_of_its_own_viscosity_alone(viscosity):
    nodes, weights = (torch.from_numpy(part) for part in np.polynomial.hermite.hermgauss(80))

    def closed(x, t):
        at = torch.pi * (x[:, None] - torch.sqrt(4 * viscosity * t[:, None]) * nodes)
        heat = weights * torch.exp(-torch.cos(at) / (2 * torch.pi * viscosity))
        return -(heat * torch.sin(at)).sum(1) / heat.sum(1)

    np.testing.assert_allclose(
        closed(*torch.from_numpy(POINTS).unbind(1)).numpy(), burgers.exact(POINTS, viscosity), atol=1e-12
    )
    assert residual(Burgers, closed, viscosity=viscosity) < 1e-8
    assert residual(Burgers, closed, viscosity=1.1 * viscosity) > 1e-4


def test_the_closed_form_of_burgers_equation_is_what_a_solver_finds():
    """Method of lines, Chebyshev in x, scipy's Radau in t; and the quadrature has converged."""
    nodes, first, coefficients = chebyshev(96)
    second = first @ first
    inside = np.ones(97)
    inside[[0, -1]] = 0
    for viscosity in (0.2, 0.1, 0.05):
        solved = solve_ivp(
            lambda _, u, v=viscosity: inside * (v * second @ u - u * (first @ u)),
            (0, 1),
            -np.sin(np.pi * nodes),
            method="Radau",
            t_eval=[0.3, 1.0],
            rtol=1e-9,
            atol=1e-9,
        )
        at = np.linspace(-0.95, 0.95, 9)
        for time, values in zip((0.3, 1.0), solved.y.T, strict=True):
            exact = burgers.exact(np.stack([at, np.full(9, time)], 1), viscosity)
            np.testing.assert_allclose(np.polynomial.chebyshev.chebval(at, coefficients @ values), exact, atol=1e-6)
    fine = burgers.exact(POINTS, 0.2, nodes=200)
    np.testing.assert_allclose(burgers.exact(POINTS, 0.2), fine, atol=1e-7)


def test_a_travelling_front_solves_allen_and_cahns_equation_of_its_own_rate_alone():
    def front(x, t, rate=3.0, diffusivity=allen_cahn.DIFFUSIVITY):
        return (1 - torch.tanh((x - 3 * (rate * diffusivity / 2) ** 0.5 * t) * (rate / 8 / diffusivity) ** 0.5)) / 2

    assert residual(AllenCahn, front, rate=3.0) < 1e-12
    assert residual(AllenCahn, front, rate=3.3) > 1e-4


@pytest.mark.parametrize(("shift", "error"), [(0.0, 1e-6), (1.0, 1e-6), (2.0, 1e-5)])
def test_the_reference_of_allen_and_cahn_has_converged(shift, error):
    """A third more nodes and a tenth of the tolerance change it by less than stated."""
    rate = 1 + 2 * shift
    fine = allen_cahn.reference(POINTS, rate, degree=64, tolerance=1e-10)
    assert abs(allen_cahn.reference(POINTS, rate) - fine).max() < error


def test_a_manufactured_solution_solves_helmholtzs_equation_and_is_what_the_solver_finds():
    square = 4.0

    def made(x, y):
        return torch.sin(torch.pi * x) * torch.sin(2 * torch.pi * y)

    def load(x, y):
        return (5 * np.pi**2 - square) * np.sin(np.pi * x) * np.sin(2 * np.pi * y)

    force = torch.from_numpy(load(*POINTS.T))
    assert residual(Helmholtz, made, square=square, force=force) < 1e-16
    assert residual(Helmholtz, made, square=1.1 * square, force=force) > 1e-2
    found = helmholtz.reference(POINTS, square, load)
    np.testing.assert_allclose(found, made(*torch.from_numpy(POINTS).unbind(1)).numpy(), atol=1e-12)


def test_the_reference_of_helmholtz_has_converged():
    for square in (1.0, 2.5, 4.0):
        fine = helmholtz.reference(POINTS, square, degree=48)
        assert abs(helmholtz.reference(POINTS, square) - fine).max() < 1e-7


@pytest.fixture(params=MODULES, ids=lambda kind: kind.name)
def kind(request):
    return request.param


def test_no_point_is_in_two_splits_and_the_source_is_the_same_for_every_shift(kind):
    data, other = kind().datasets(), kind(shift=2.0).datasets()
    splits = ("source_train", "source_test", "target_pool", "target_test")
    points = {name: {row.tobytes() for row in getattr(data, name)["inputs"].numpy()} for name in splits}
    assert [len(points[name]) for name in splits] == [2_000, 2_000, 500, 2_000]
    assert not any(points[one] & points[two] for one, two in combinations(splits, 2))
    for name in splits:
        same = torch.equal(getattr(data, name)["targets"], getattr(other, name)["targets"])
        assert same is name.startswith("source")


def test_the_solution_is_never_trained_on(kind):
    """Other targets, the same loss: n counts points of the equation, and no measurement."""
    batch = kind().datasets().target_pool
    network = kind().network()
    before = kind.loss(network, batch)
    assert torch.equal(kind.loss(network, batch | {"targets": batch["targets"] + 1}), before)


def test_boundary_values_are_built_in(kind):
    network = kind().network()
    edge = torch.tensor([[-1.0, 0.3], [1.0, 0.8]])
    with torch.no_grad():
        at_edge = kind.predict(network, {"inputs": edge})
        at_start = kind.predict(network, {"inputs": torch.tensor([[0.4, 0.0], [-0.6, 0.0]])})
        at_top = kind.predict(network, {"inputs": edge.flip(1)})
    wanted = -1.0 if kind is AllenCahn else 0.0
    torch.testing.assert_close(at_edge, torch.full((2,), wanted), atol=1e-6, rtol=0)
    x = torch.tensor([0.4, -0.6])
    starts = {Burgers: -torch.sin(torch.pi * x), AllenCahn: x.square() * torch.cos(torch.pi * x)}
    if kind is Helmholtz:
        torch.testing.assert_close(at_top, torch.zeros(2), atol=1e-6, rtol=0)
    else:
        torch.testing.assert_close(at_start, starts[kind], atol=1e-6, rtol=0)


def test_the_reference_scores_zero_and_an_error_of_the_scale_scores_one(kind):
    test = kind().datasets().source_test
    assert kind.score(test["targets"], test) == 0.0
    assert kind.score(test["targets"] + MODULES[kind].SCALE, test) == pytest.approx(1.0, rel=1e-5)
    root_mean_square = float(test["targets"].square().mean().sqrt())
    assert root_mean_square == pytest.approx(MODULES[kind].SCALE, rel=0.05)
