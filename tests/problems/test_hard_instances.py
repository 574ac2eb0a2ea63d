"""Plateau and valley: closed forms by minimisation and differences, two-sided bias, noise, the start."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import integrate, optimize, stats

from theory_check.errors import InvalidArgumentError
from theory_check.oracles.closed_form import SampledClosedFormOracle
from theory_check.oracles.instruments import instruments_for
from theory_check.problems import instance_for, plateau, quadratic, valley
from theory_check.problems.hard_instance import HardInstance
from theory_check.solvers import PenaltyBilevel
from theory_check.tuning.predicted_cost import bias

PROBLEMS = {
    "plateau": plateau(epsilon=0.02),
    "plateau, curved": plateau(epsilon=0.1, curvature=0.7, stiffness=0.6, slope=3.0, bend=0.3),
    "valley": valley(),
    "valley, steep": valley(depth=2.0, decay=0.5, slope=3.0, bend=1.0),
}
EACH = pytest.mark.parametrize("problem", PROBLEMS.values(), ids=list(PROBLEMS))
SIGMAS = pytest.mark.parametrize("sigma", [0.3, 0.01, -0.05])


def height(problem: HardInstance, z: float) -> float:
    return float(problem.height(torch.tensor([z], dtype=torch.float64))[0])


def slack(problem: HardInstance, u: float, x2: float) -> float:
    """Return ``a q(u) + m x2²/2``, ``q(u) = u + log(cosh(2 k u))/(4 k)``, so that q' is as stated."""
    bent = math.log(math.cosh(2 * problem.bend * u)) / (4 * problem.bend)
    return problem.slope * (u + bent) + problem.stiffness * x2**2 / 2


def level(problem: HardInstance, x: np.ndarray, sigma: float) -> tuple[float, np.ndarray]:
    """Return value and place of the stationary point of ``sigma f + g``, one variable at a time.

    Each by minimisation of a function that is convex there, values only.
    """
    found = optimize.minimize_scalar(
        lambda y: sigma * height(problem, y) + (y - x[0]) ** 2 / 2,
        bracket=(x[0] - 1, x[0] + 1),
        tol=1e-12,
    )

    def second(u: float) -> float:
        stiff = 1 + math.tanh(x[1]) / 2
        return sigma * slack(problem, u, x[1]) + stiff * u**2 / 2

    other = optimize.minimize_scalar(second, bracket=(-1.0, 1.0), tol=1e-12)
    return float(found.fun + other.fun), np.array([found.x, x[1] + other.x])


@pytest.mark.every_case
@EACH
@SIGMAS
def test_the_penalised_level_by_minimisation(problem: HardInstance, sigma: float) -> None:
    for x in np.array([[0.3, 0.2], [2.0, -0.7], [-0.4, 0.0], [9.0, 1.5]]):
        at = torch.from_numpy(x)[None]
        value, place = level(problem, x, sigma)
        lower = problem.penalised_minimiser(at, sigma)
        # The minimum is flat: its place is known to the root of the precision of its value.
        np.testing.assert_allclose(lower[0].numpy(), place, atol=3e-7)
        f = problem.hyperobjective(lower) - problem.stiffness * lower[:, 1] ** 2 / 2
        f = f + slack(problem, (lower[0, 1] - at[0, 1]).item(), x[1])
        own = sigma * f + problem.lower_gap(at, lower)
        assert own.item() == pytest.approx(value, abs=1e-10)


@EACH
@SIGMAS
def test_the_surrogate_gradient_by_differences(problem: HardInstance, sigma: float) -> None:
    """Step 1e-4: truncation 1e-8 times third derivatives below 20, rounding 1e-12/(1e-4 sigma)."""
    for x in np.array([[0.35, 0.2], [2.0, -0.7], [-0.45, 0.0]]):
        found = problem.surrogate_gradient(torch.from_numpy(x)[None], sigma)[0]
        for index in range(2):
            step = np.zeros(2)
            step[index] = 1e-4
            ends = [level(problem, x + sign * step, sigma)[0] / sigma for sign in (1, -1)]
            assert found[index].item() == pytest.approx((ends[0] - ends[1]) / 2e-4, abs=1e-6)


@EACH
def test_the_bias_is_of_order_sigma_from_both_sides(problem: HardInstance) -> None:
    """At x2 = 0 it is ``sigma a²/4 (1 - 2 sigma a k)`` and less; central differences leave order sigma².

    Of u in powers of sigma: ``-sigma a + sigma² a² k + O(sigma³)``, as ``q' = 1 + k u + O(u³)``.
    """
    for sigma in (1e-2, 1e-4):
        leading = sigma * problem.slope**2 / 4
        first = sigma * problem.slope * problem.bend
        assert bias(problem, sigma) == pytest.approx(leading * (1 - 2 * first), rel=6 * first**2)
        at = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
        both = [problem.surrogate_gradient(at, sign * sigma)[0, 1] for sign in (1, -1)]
        central = -(sigma**2) * problem.slope**3 * problem.bend / 2
        assert (sum(both) / 2).item() == pytest.approx(central, rel=0.1)


@EACH
def test_no_penalty_parameter_escapes_the_bias(problem: HardInstance) -> None:
    """It grows with sigma without end: ``q' >= 1/2`` makes it at least a quarter of ``sigma a²/4``.

    With a quadratic q it falls like 1/sigma again, and independent batches reach the target with
    epsilon^-2 samples at a sigma of order epsilon^(-1/2).
    """
    sigmas = np.geomspace(1e-4, 1e4, 60)
    found = np.array([bias(problem, sigma) for sigma in sigmas])
    assert (np.diff(found) > 0).all()
    leading = sigmas * problem.slope**2 / 4
    assert (found >= leading / 4 * (1 - 1e-12)).all()
    assert (found <= leading).all()


@pytest.mark.slow
def test_large_penalty_parameters_do_not_reach_the_target() -> None:
    """Nor does the method: sigma = 30, ten times the iterations that the slope takes, almost no noise."""
    epsilon = 0.01
    problem = plateau(epsilon=epsilon)
    solver = PenaltyBilevel(
        sigma=30.0,
        inner_steps=3,
        inner_step_size=0.008,
        step_size=0.1,
        trajectories=10**9,
        pairs=10**9,
    )
    tools = instruments_for(problem, [3, 8])
    state = tools.initial_state(solver, [3, 8], 1.0)
    squared = []
    for _ in range(4000):
        state = solver.step(tools.sampled, state)
        squared.append(problem.hypergradient(state.upper).square().sum(-1).mean().item())
    # With the quadratic q: 0.3.
    assert np.mean(squared[2000:]) > 30 * epsilon


@pytest.mark.every_case
@EACH
def test_the_flow_loses_height_at_the_rate_of_its_squared_gradient(problem: HardInstance) -> None:
    """Against an integrator of relative tolerance 1e-10 and absolute 1e-12."""
    start = problem.start
    assert start is not None
    times = np.array([0.0, 0.3, 2.0, 15.0, 70.0])

    def flow(_: float, z: np.ndarray) -> np.ndarray:
        return -problem.height_slope(torch.from_numpy(z)).numpy()

    path = integrate.solve_ivp(
        flow, (0, 70), [start[0].item()], t_eval=times, rtol=1e-10, atol=1e-12, max_step=0.5
    )
    expected = [height(problem, z) for z in path.y[0]]
    np.testing.assert_allclose(problem.flow_height(times), expected, rtol=1e-5, atol=1e-9)


def test_the_plateau_starts_delta_above_its_minimum_on_its_slope() -> None:
    problem = plateau(epsilon=0.003, drop=1.7, curvature=2.0)
    start = problem.start[None]
    assert problem.hyperobjective(start).item() == pytest.approx(1.7, rel=1e-12)
    assert problem.hypergradient(start).square().sum().item() == pytest.approx(0.006, rel=1e-12)


def test_a_class_has_an_instance_for_every_target() -> None:
    problem = plateau(epsilon=0.1, slope=3.0)
    other = instance_for(problem, 0.02)
    assert (other.epsilon, other.slope) == (0.02, 3.0)
    with pytest.raises(InvalidArgumentError, match=r"^drop"):
        instance_for(problem, 2.0)
    single = quadratic()
    assert instance_for(single, 0.02) is single


@EACH
def test_runs_start_where_the_problem_says_with_solved_inner_loops(problem: HardInstance) -> None:
    solver = PenaltyBilevel(
        sigma=0.1, inner_steps=1, inner_step_size=0.5, step_size=0.1, trajectories=1, pairs=1
    )
    tools = instruments_for(problem, [3, 8])
    state = tools.initial_state(solver, [3, 8], 1.0)
    assert torch.equal(state.upper, problem.start.repeat(2, 1))
    assert problem.lower_gap(state.upper, state.lower).max() == 0
    assert tools.truth.penalised_distance(state.upper, state.lower_penalised, 0.1).max() == 0
    # Elsewhere starts are random, and both loops begin at the origin.
    tools = instruments_for(quadratic(), [3, 8])
    state = tools.initial_state(solver, [3, 8], 1.0)
    assert (state.upper[0] != state.upper[1]).all()
    assert state.lower_penalised.abs().max() == 0


@pytest.mark.slow
def test_errors_are_the_same_everywhere_and_cancel_in_shared_batches() -> None:
    """Variance ``1/n`` of 4 components over 4000 draws, false alarm 1e-6 (normal, chi-squared limit)."""
    problem = valley(noise=3.0)
    oracle = SampledClosedFormOracle(problem, range(4000))
    x = torch.tensor([[0.4, -0.3]], dtype=torch.float64).expand(4000, 2)
    y, far = x + 0.2, x - 5.0
    exact = problem.lower_gradients(x, y)
    limit = stats.norm.isf(1e-6 / 12)
    for found, expected in zip(oracle._lower(x, y, oracle._batch(36)), exact, strict=True):
        error = found - expected
        assert (error.mean(0).abs() < limit * 0.5 / math.sqrt(4000)).all()
        assert ((error.var(0) / 0.25 - 1).abs() < limit * math.sqrt(2 / 4000)).all()
    shared = oracle.penalty_difference(x, y, far, 36, "shared")
    assert shared.std(0).max() < 1e-12
    independent = oracle.penalty_difference(x, y, far, 36, "independent")
    assert ((independent.var(0) / 0.5 - 1).abs() < limit * math.sqrt(2 / 4000)).all()


@pytest.mark.parametrize(
    ("build", "arguments", "argument"),
    [
        (plateau, {"epsilon": -1.0}, "epsilon"),
        (plateau, {"epsilon": 2.0}, "drop"),
        (plateau, {"noise": -1.0}, "noise"),
        (plateau, {"curvature": 0.0}, "curvature"),
        (valley, {"decay": 0.0}, "decay"),
        (valley, {"depth": float("nan")}, "depth"),
        (valley, {"bend": -0.5}, "bend"),
    ],
)
def test_refusals(build: object, arguments: dict[str, float], argument: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"^{argument}: received"):
        build(**arguments)  # type: ignore[operator]


def test_a_negative_sigma_without_a_minimiser_is_not_certified() -> None:
    """In y2 the curvature is ``c(x2) - 4 |sigma|`` at its least: 1 at ``x2 = 0``, 3/2 far above."""
    at = torch.tensor([[0.0, 0.0], [0.0, 20.0]], dtype=torch.float64)
    beyond = valley().penalised(at, -0.25)
    assert beyond.certified.tolist() == [False, True]
    assert torch.isfinite(beyond.lower).all(-1).tolist() == [False, True]
    assert valley().penalised(at, -0.2).certified.all()
    # In y1 it is ``1 - |sigma| h''(0)`` at its least, and h''(0) = 1.1.
    assert not valley(depth=10.0, decay=0.1, bend=0.01).penalised(at, -0.91).certified.any()
    assert valley(depth=10.0, decay=0.1, bend=0.01).penalised(at, -0.9).certified.all()


def test_a_quadratic_beyond_its_least_curvature_has_a_saddle_and_no_minimiser() -> None:
    """``sigma (z - t)²/2 + a (z - u)²/2`` in each direction, with the least a = 1/2."""
    problem = quadratic()
    at = torch.zeros(2, problem.upper_parameters, dtype=torch.float64)
    assert not problem.penalised(at, -0.5).certified.any()
    assert problem.penalised(at, -0.49).certified.all()
