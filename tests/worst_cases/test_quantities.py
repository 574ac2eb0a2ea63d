"""Every quantity against a problem in closed form, derived here, and its routes against each other."""

from __future__ import annotations

import math
from collections.abc import Callable

import mpmath
import numpy as np
import pytest
import torch

from theory_check.catalogue import Catalogue, installed
from theory_check.oracles.exact import ExactOracle
from theory_check.oracles.optima.penalised_curvature import (
    penalised_curvature_from_values,
    penalised_hessian,
)
from theory_check.problems import Problem, tabular
from theory_check.worst_cases.base import ball_points, gradient_bias, gradient_bias_from_values
from theory_check.worst_cases.quantities import outer_ergodic, penalty_bias, penalty_smoothness
from theory_check.worst_cases.spaces import SPACES

CASES = pytest.mark.parametrize("name", sorted(installed().worst_cases))

BETA, TRUE_REWARD, REFERENCE = 0.2, 0.8, 0.3


def two_armed() -> Problem:
    """One context and two actions with rewards (phi, 0); the annotator's are (0.8, 0)."""
    return tabular(
        transitions=[[[1.0], [1.0]]],
        initial=[1.0],
        true_reward=[[TRUE_REWARD, 0.0]],
        features=[[[1.0], [0.0]]],
        reference_policy=[[REFERENCE, 1 - REFERENCE]],
        horizon=1,
        kl_weight=BETA,
    )


def penalised_slope(phi: mpmath.mpf, sigma: float) -> mpmath.mpf:
    """``∇Phi_sigma`` of the two-armed problem, with 40 digits, by the one unknown p = pi(first action).

    Two draws differ with probability 2 p (1-p), and the mean loss is then
    l = P* log(1 + exp(-phi)) + (1 - P*) log(1 + exp(phi)), log 2 otherwise:
    G = log 2 + 2 p (1-p) (l - log 2) and -J = -p phi + beta KL(p). The envelope theorem gives
    ∇Phi_sigma = 2 p (1-p) l'(phi) + (p* - p) / sigma with p* = pi*(first action).
    """
    with mpmath.workdps(40):
        preferred = 1 / (1 + mpmath.exp(-mpmath.mpf(TRUE_REWARD)))
        loss = preferred * mpmath.log(1 + mpmath.exp(-phi)) + (1 - preferred) * mpmath.log(
            1 + mpmath.exp(phi)
        )
        loss_slope = 1 / (1 + mpmath.exp(-phi)) - preferred
        reference = mpmath.log(mpmath.mpf(REFERENCE) / (1 - mpmath.mpf(REFERENCE)))
        free = reference + phi / BETA
        optimal = 1 / (1 + mpmath.exp(-free))

        def stationary(logit: mpmath.mpf) -> mpmath.mpf:
            """Derivative of sigma G - J in p, zero at the penalised optimum."""
            p = 1 / (1 + mpmath.exp(-logit))
            return sigma * 2 * (1 - 2 * p) * (loss - mpmath.log(2)) + BETA * (logit - free)

        logit = mpmath.findroot(stationary, free)
        p = 1 / (1 + mpmath.exp(-logit))
        return 2 * p * (1 - p) * loss_slope + (optimal - p) / sigma


def closed_form(number: int, sigma: float, of: Callable[[mpmath.mpf], mpmath.mpf]) -> float:
    points = ball_points(number, 1)[:, 0].tolist()
    return max(abs(float(of(mpmath.mpf(phi)))) for phi in points)


@pytest.mark.slow
def test_the_lipschitz_constant_is_that_of_the_closed_form() -> None:
    with mpmath.workdps(40):
        norms = [
            closed_form(
                penalty_smoothness.POINTS,
                sigma,
                lambda phi, sigma=sigma: mpmath.diff(
                    lambda at: penalised_slope(at, sigma), phi, h=mpmath.mpf(10) ** -10
                ),
            )
            for sigma in penalty_smoothness.SIGMAS
        ]
    found = installed().worst_cases["penalty-smoothness"].measure(two_armed())
    # Differences over 1e-3 err by 1e-6 / 6 times a third derivative, which is of the order of beta^-2.
    assert found.details["lipschitz_constant"] == pytest.approx(norms, rel=1e-4)
    expected = math.log(norms[1] / norms[0]) / math.log(300)
    assert found.value == pytest.approx(expected, abs=1e-4)


@pytest.mark.slow
def test_the_bias_constant_is_that_of_the_closed_form() -> None:
    constants = []
    for sigma in penalty_bias.SIGMAS:
        bias = closed_form(
            penalty_bias.POINTS,
            sigma,
            # At 1e-12 the bias itself is far below the digits that count.
            lambda phi, sigma=sigma: penalised_slope(phi, sigma) - penalised_slope(phi, 1e-12),
        )
        constants.append(bias / sigma)
    found = installed().worst_cases["penalty-bias"].measure(two_armed())
    # Certified gradients are right to about 1e-11, of a bias of 1e-2 sigma: to 1e-6 at sigma = 1e-3.
    assert found.details["bias_over_sigma"] == pytest.approx(constants, rel=1e-6)
    assert found.value == pytest.approx(max(constants), rel=1e-6)
    onset = installed().worst_cases["penalty-bias-onset"].measure(two_armed())
    assert onset.details["kl_weight"] == BETA


def test_a_lipschitz_constant_that_grows_is_refuted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: norms that grow like sigma^-1 without end, by both routes."""

    def growing(exact: ExactOracle, phi: torch.Tensor, sigma: float, **step: float) -> torch.Tensor:
        size = phi.shape[1]
        return torch.eye(size, dtype=phi.dtype).expand(len(phi), size, size) / sigma

    def from_values(
        exact: ExactOracle, phi: torch.Tensor, along: torch.Tensor, sigma: float, step: float
    ) -> torch.Tensor:
        return torch.full((len(phi),), 1 / sigma, dtype=phi.dtype)

    monkeypatch.setattr(penalty_smoothness, "penalised_hessian", growing)
    case = installed().worst_cases["penalty-smoothness"]
    first = case.measure(two_armed())
    assert first.value == pytest.approx(1.0)
    assert not first.kept
    # The second route does not share the mistake.
    second = case.confirm(two_armed())
    assert not case.agrees(first, second)
    monkeypatch.setattr(penalty_smoothness, "penalised_curvature_from_values", from_values)
    second = case.confirm(two_armed())
    assert case.agrees(first, second)
    assert not second.kept


@pytest.mark.slow
def test_curvatures_from_values_are_those_from_gradients() -> None:
    exact = ExactOracle(SPACES["garnet"](features=2).problem(np.linspace(0.1, 0.9, 30)))
    points = ball_points(3, 2)
    for sigma in (0.3, 0.01):
        values, vectors = torch.linalg.eigh(penalised_hessian(exact, points, sigma))
        found = penalised_curvature_from_values(exact, points, vectors[..., -1], sigma, 2e-3)
        torch.testing.assert_close(found, values[:, -1], rtol=1e-4, atol=1e-6)


def test_biases_from_values_are_those_from_gradients() -> None:
    exact = ExactOracle(SPACES["garnet"](features=2).problem(np.linspace(0.9, 0.1, 30)))
    sigmas = (0.3, 0.01, 0.001)
    found = gradient_bias_from_values(exact, ball_points(3, 2), sigmas)
    assert found == pytest.approx(gradient_bias(exact, ball_points(3, 2), sigmas), rel=1e-4)


CURVATURES = torch.tensor([4.0, 0.02], dtype=torch.float64)


def quadratic_gradient(phi: torch.Tensor) -> torch.Tensor:
    return CURVATURES * phi


def test_iterations_of_descent_on_a_quadratic_are_those_of_the_geometric_sum() -> None:
    """With step 1/4 the first coordinate is gone after one step, the second shrinks by q = 0.995."""
    start = torch.tensor([[1.0, 1.0], [0.3, 0.5]], dtype=torch.float64)
    found = outer_ergodic.descend(
        quadratic_gradient, lambda at: 4.0, start, 4.0, target=1e-5, longest=4000
    )
    assert found is not None
    assert found.smoothness == 4.0
    for index, (first, second) in enumerate(start.tolist()):
        ratio, expected = (1 - 0.02 / 4) ** 2, 0
        for iterations in range(1, 4001):
            half = iterations // 2
            total = (0.02 * second) ** 2 * (ratio**half - ratio**iterations) / (1 - ratio)
            total += (4 * first) ** 2 if half == 0 else 0.0
            if total / (iterations - half) <= 1e-5:
                expected = iterations
                break
        assert found.iterations[index].item() == expected > 1


def test_a_smoothness_that_the_path_exceeds_is_raised() -> None:
    """Planted: L of a quarter of the curvature, with which descent would diverge."""
    start = torch.tensor([[1.0, 1.0]], dtype=torch.float64)
    found = outer_ergodic.descend(
        quadratic_gradient, lambda at: 4.0, start, 1.0, target=1e-5, longest=4000
    )
    assert found is not None
    assert found.smoothness == pytest.approx(1.05 * 4.0)
    assert bool((found.squared_norms[1:] < found.squared_norms[:-1]).all())


def test_a_run_that_does_not_arrive_counts_as_the_longest() -> None:
    start = torch.tensor([[1.0, 1.0]], dtype=torch.float64)
    found = outer_ergodic.descend(
        quadratic_gradient, lambda at: 4.0, start, 4.0, target=1e-12, longest=50
    )
    assert found is not None
    assert found.iterations.tolist() == [50]


def test_curvature_without_end_has_no_value() -> None:
    start = torch.tensor([[1.0, 1.0]], dtype=torch.float64)
    curvature = iter(10.0**power for power in range(1000))
    found = outer_ergodic.descend(
        quadratic_gradient, lambda at: next(curvature), start, 0.1, target=1e-5, longest=50
    )
    assert found is None


@pytest.mark.slow
@CASES
def test_both_routes_agree_on_a_random_instance_and_depend_on_it_alone(name: str) -> None:
    case = installed().worst_cases[name]
    space = SPACES[case.families[0]]()
    problem = space.problem(np.random.default_rng(7).random(space.dimension))
    first, second = case.measure(problem), case.confirm(problem)
    assert math.isfinite(first.value)
    assert case.agrees(first, second)
    assert second.kept
    assert case.measure(problem) == first


@CASES
def test_every_quantity_is_about_a_claim_and_known_families(name: str) -> None:
    case = installed().worst_cases[name]
    assert case.id.startswith(Catalogue.shipped().claim(case.claim).id)
    assert set(case.families) <= SPACES.keys()
    assert 0 < case.tolerance <= 0.1
