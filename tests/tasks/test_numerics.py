"""Runge-Kutta steps, derivatives and reference solvers against closed forms and against other libraries."""

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch.func import jacfwd, vmap
from torchdiffeq import odeint

from harness import seeds
from tasks.numerics import chebyshev, derivatives, diffusion, mlp, rk4, trajectories


def network(outputs=2):
    with seeds.seeded("a key", "network"):
        return mlp(2, (16, 16), outputs).double()


def test_runge_kutta_is_torchdiffeqs_adaptive_solution_to_fourth_order():
    """Of a network as the field, states and gradients; each halving of the step divides the error by about 16."""
    field, start = network(), torch.linspace(-2, 2, 10, dtype=torch.double).view(5, 2)
    reference = odeint(lambda _, y: field(y), start, torch.arange(9.0).double() / 2, rtol=1e-11, atol=1e-12)[1:]
    errors = [
        (rk4(field, start, 0.5 / k, 8 * k)[:, k - 1 :: k].transpose(0, 1) - reference).abs().max() for k in (1, 2)
    ]
    assert errors[1] < 1e-6
    assert 10 < errors[0] / errors[1] < 24
    wanted = torch.autograd.grad(reference.square().sum(), list(field.parameters()))
    found = torch.autograd.grad(rk4(field, start, 0.0625, 64)[:, 7::8].square().sum(), list(field.parameters()))
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-8)


def test_runge_kutta_of_a_straight_line_and_of_decay():
    state = torch.tensor([[1.0, 2.0]], dtype=torch.double)
    states = rk4(lambda y: torch.ones_like(y), state, 0.25, 4)
    torch.testing.assert_close(states[0, :, 0], torch.tensor([1.25, 1.5, 1.75, 2.0], dtype=torch.double))
    assert float(rk4(lambda y: -y, state, 0.1, 10)[0, -1, 0]) == pytest.approx(np.exp(-1), abs=1e-6)


def test_derivatives_of_a_known_function_alone_and_under_vmap():
    points = torch.linspace(-1, 1, 12, dtype=torch.double).view(6, 2)
    x, y = points.unbind(1)

    def function(at):
        return torch.sin(3 * at[:, 0]) * at[:, 1] ** 3

    value, gradient, by_xx, by_yy = derivatives(function, points, 0, 1)
    torch.testing.assert_close(value, torch.sin(3 * x) * y**3)
    torch.testing.assert_close(gradient[:, 0], 3 * torch.cos(3 * x) * y**3)
    torch.testing.assert_close(gradient[:, 1], 3 * torch.sin(3 * x) * y**2)
    torch.testing.assert_close(by_xx, -9 * torch.sin(3 * x) * y**3)
    torch.testing.assert_close(by_yy, 6 * torch.sin(3 * x) * y)
    stacked = vmap(lambda at: derivatives(function, at, 1)[2])(torch.stack([points, 2 * points]))
    torch.testing.assert_close(stacked[0], by_yy)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
def test_second_derivatives_of_a_network_are_those_of_forward_mode():
    net, points = network(1), torch.linspace(-1, 1, 12, dtype=torch.double).view(6, 2)
    curvature = vmap(jacfwd(jacfwd(lambda point: net(point)[0])))(points)
    _, _, by_xx, by_yy = derivatives(lambda at: net(at)[:, 0], points, 0, 1)
    torch.testing.assert_close(by_xx, curvature[:, 0, 0])
    torch.testing.assert_close(by_yy, curvature[:, 1, 1])


def test_trajectories_are_those_of_a_damped_oscillator():
    """x'' = -x - 0.2 x': closed form, to 1e-8."""
    times, damping = np.linspace(0, 8, 33), 0.1
    states = trajectories(lambda s: np.stack([s[:, 1], -s[:, 0] - 2 * damping * s[:, 1]], 1), np.eye(2), times)
    omega = np.sqrt(1 - damping**2)
    wave = np.exp(-damping * times) / omega
    position = wave * (omega * np.cos(omega * times) + damping * np.sin(omega * times))
    np.testing.assert_allclose(states[0, :, 0], position, atol=1e-8)
    np.testing.assert_allclose(states[1, :, 0], wave * np.sin(omega * times), atol=1e-8)


def test_chebyshev_differentiates_and_interpolates_what_is_smooth():
    points, first, coefficients = chebyshev(24)
    np.testing.assert_allclose(first @ np.exp(points), np.exp(points), atol=1e-11)
    at = np.linspace(-1, 1, 7)
    np.testing.assert_allclose(
        np.polynomial.chebyshev.chebval(at, coefficients @ np.exp(points)), np.exp(at), atol=1e-13
    )


def test_diffusion_alone_is_the_heat_equations_closed_form():
    points = np.random.RandomState(0).random_sample((200, 2)) * (2, 1) - (1, 0)
    found = diffusion(np.zeros_like, 0.1, lambda x: 1 + np.sin(np.pi * x), points, 32)
    exact = 1 + np.sin(np.pi * points[:, 0]) * np.exp(-0.1 * np.pi**2 * points[:, 1])
    np.testing.assert_allclose(found, exact, atol=1e-7)


def test_reaction_and_diffusion_is_the_closed_form_of_a_travelling_front():
    """u_t = d u_xx + r (u - u^3) has u = (1 - tanh((x - ct) sqrt(r / 8d))) / 2 with c = 3 sqrt(rd / 2)."""
    d, r = 0.005, 5.0
    points = np.random.RandomState(0).random_sample((200, 2)) * (2, 1) - (1, 0)

    def front(x, t):
        return (1 - np.tanh((x + 0.2 - 3 * np.sqrt(r * d / 2) * t) * np.sqrt(r / 8 / d))) / 2

    found = diffusion(lambda u: r * (u - u**3), d, lambda x: front(x, 0), points, 96)
    np.testing.assert_allclose(found, front(*points.T), atol=5e-6)


def test_a_stiff_solver_agrees_with_the_explicit_one():
    def field(state):
        return np.stack([state[:, 1], 2 * (1 - state[:, 0] ** 2) * state[:, 1] - state[:, 0]], 1)

    starts, times = np.array([[1.0, 0.5]]), np.linspace(0, 4, 9)
    other = solve_ivp(
        lambda _, y: field(y[None])[0], (0, 4), starts[0], method="Radau", t_eval=times, rtol=1e-11, atol=1e-12
    )
    np.testing.assert_allclose(trajectories(field, starts, times)[0], other.y.T, atol=1e-7)
