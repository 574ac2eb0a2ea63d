"""The constants of the pilot against closed forms, on scripted instruments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from theory_check.advice import constants
from theory_check.advice.constants import NOISE_SEEDS, START_SEEDS
from theory_check.advice.model import PLANNED_QUANTILE, PREDICTED_QUANTILE
from theory_check.bilevel import LowerGradients, UpperGradients
from theory_check.errors import CertificationError
from theory_check.oracles.estimates.counts import SampleCounts

MATRIX = torch.tensor([[2.0, 1.0], [1.0, 2.0]], dtype=torch.float64)  # eigenvalues 1 and 3


@dataclass
class Quadratic:
    """``f(x, y) = x' H x / 2`` and ``g(x, y) = s(x) ‖y‖²/2`` with s = 1 + |x_1|.

    The levels are separate, so that ``Phi = f`` and the penalty difference is zero. A batch of B
    adds noise of variance ``variance / B`` to each entry of ``∂_x f``.
    """

    matrix: Tensor
    variance: float = 0.0
    counts: SampleCounts = SampleCounts(env_steps=3, trajectories=2, labels=1)  # noqa: RUF009

    def __post_init__(self) -> None:
        self.generator = torch.Generator().manual_seed(0)

    def lower_gradient(self, upper: Tensor, lower: Tensor, samples: int) -> Tensor:
        return (1 + upper[:, :1].abs()) * lower

    def lower_gradients(self, upper: Tensor, lower: Tensor, penalised: Tensor, *_: Any) -> Any:
        return LowerGradients(
            self.lower_gradient(upper, lower, 1), self.lower_gradient(upper, penalised, 1)
        )

    def upper_gradients(self, upper: Tensor, lower: Tensor, samples: int) -> UpperGradients:
        noise = torch.randn(upper.shape, dtype=torch.float64, generator=self.generator)
        drawn = (self.variance / samples) ** 0.5 * noise
        return UpperGradients(self.hypergradient(upper) + drawn, torch.zeros_like(lower))

    def penalty_difference(self, upper: Tensor, *_: Any) -> Tensor:
        return torch.zeros_like(upper)

    def hypergradient(self, upper: Tensor) -> Tensor:
        return upper @ self.matrix


def tools_for(exact: Quadratic, noisy: Quadratic | None = None, **truth: Any) -> Any:
    def initial_lower(seeds: Sequence[int]) -> Tensor:
        return torch.ones(len(seeds), 3, dtype=torch.float64)

    return SimpleNamespace(
        truth=SimpleNamespace(hypergradient=exact.hypergradient, **truth),
        information=exact,
        sampled=noisy,
        upper_parameters=exact.matrix.shape[0],
        initial_lower=initial_lower,
    )


def starts(parameters: int, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(len(START_SEEDS), parameters, dtype=torch.float64, generator=generator)


@pytest.mark.slow
def test_descent_takes_steps_of_one_over_the_curvature() -> None:
    """x_k = (1 - H/3)^k x_0, kept at 0, the powers of two and the last step."""
    tools, start = tools_for(Quadratic(MATRIX)), starts(2)
    path = constants.descend(tools, start)
    kept = [0, 1, 2, 4, 8, 16, 32, 64, 128, constants.DESCENT_STEPS]
    assert len(path) == len(kept)
    contraction = torch.eye(2, dtype=torch.float64) - MATRIX / 3
    for point, steps in zip(path, kept, strict=True):
        expected = start @ torch.linalg.matrix_power(contraction, steps)
        # The curvature is known to 1e-12 from differences, and 200 steps add up.
        torch.testing.assert_close(point, expected, rtol=1e-9, atol=1e-9)
    assert constants.largest_curvature(tools, path) == pytest.approx(3, rel=1e-9)


def test_curvature_of_the_lower_level_is_the_largest_over_points_and_replicates() -> None:
    """It is 1 + |x_1| at each; the largest sits in the middle of the list, in one replicate."""
    points = [0.1 * starts(2, seed) for seed in range(3)]
    points[1][17, 0] = -6.5
    tools = tools_for(Quadratic(MATRIX))
    assert constants.largest_lower_curvature(tools, points) == pytest.approx(7.5, rel=1e-9)


@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_curvature_that_is_not_finite_is_refused_wherever_it_occurs(position: int) -> None:
    points = [starts(2, seed) for seed in range(3)]
    points[position][5, 1] = torch.nan
    tools = tools_for(Quadratic(MATRIX))
    with pytest.raises(CertificationError, match=r"curvature of Phi .* smaller initial_scale"):
        constants.largest_curvature(tools, points)
    points[position][5, 0] = torch.nan
    with pytest.raises(CertificationError, match="curvature of g"):
        constants.largest_lower_curvature(tools, points)


def test_bias_is_the_mean_over_certified_points() -> None:
    """``∇Phi_sigma - ∇Phi = sigma (i, 0)`` at point i: the mean of i² over 0 .. 63 but 10."""
    exact = Quadratic(MATRIX)

    def surrogate_gradient(points: Tensor, sigma: float) -> Tensor:
        shift = torch.zeros_like(points)
        shift[:, 0] = sigma * torch.arange(len(points), dtype=torch.float64)
        shift[10] = torch.nan
        return exact.hypergradient(points) + shift

    tools = tools_for(exact, surrogate_gradient=surrogate_gradient)
    expected = (sum(i * i for i in range(64)) - 100) / 63
    assert constants.bias_constant(tools, starts(2)) == pytest.approx(expected, rel=1e-9)
    nowhere = tools_for(exact, surrogate_gradient=lambda points, sigma: torch.nan * points)
    with pytest.raises(CertificationError, match="certified nowhere"):
        constants.bias_constant(nowhere, starts(2))


def pilot_of(tools: Any, start: Tensor, step_size: float) -> Any:
    return constants._Pilot(None, start, tools, step_size, 0.1)  # type: ignore[arg-type]


def test_transient_is_the_geometric_sum_of_exact_descent() -> None:
    """With h = 2 and eta = 1/4, x halves: the sum of h² x² is h² x_0²/(1 - 1/4)."""
    tools, start = tools_for(Quadratic(2 * torch.eye(1, dtype=torch.float64))), starts(1)
    found = constants._transient(pilot_of(tools, start, 0.25), 2, 0.01)
    assert found is not None
    sums = 16 / 3 * start[:, 0].square().numpy()
    assert found[0].planned == pytest.approx(np.quantile(sums, PLANNED_QUANTILE), rel=1e-9)
    assert found[0].predicted == pytest.approx(np.quantile(sums, PREDICTED_QUANTILE), rel=1e-9)


def test_a_transient_that_takes_too_long_has_no_constant(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps of 1e-9 leave the gradient where it is: its mean stays at that of the start."""
    monkeypatch.setattr(constants, "LONGEST_RUN", 2 * constants.CHUNK)
    tools = tools_for(Quadratic(MATRIX))
    assert constants._transient(pilot_of(tools, starts(2), 1e-9), 1, 0.01) is None


@pytest.mark.parametrize("step_size", [0.25, 0.5])
def test_noise_is_that_of_the_stationary_law(
    step_size: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of d = 4 directions with curvature h: n E‖∇Phi‖² = d eta h v/(2 - eta h), section 8.1.

    The mean of 16 * 4 chains of 150 squares with correlation rho² = (1 - eta h)² has a relative
    deviation of at most sqrt(2 (1 + rho²)/(1 - rho²)/(16 * 4 * 150)) = 0.019, so that 0.1 is
    exceeded by chance once in 10 million. A forgotten n is a factor of 100 or more.
    """
    h, variance = 2.0, 3.0
    matrix = h * torch.eye(4, dtype=torch.float64)
    tools = tools_for(Quadratic(matrix), Quadratic(matrix, variance))
    monkeypatch.setattr(constants, "instruments_for", lambda problem, seeds: tools)
    pilot = pilot_of(tools, starts(4), step_size)
    solver = pilot.solver(1, 0.1)
    state = solver.init(torch.zeros(64, 4, dtype=torch.float64), tools.initial_lower(range(64)))
    constant, counts = constants._noise(pilot, solver, state)
    expected = 4 * step_size * h * variance / (2 - step_size * h)
    assert constant == pytest.approx(expected, rel=0.1)
    # Counters are those of one replicate.
    assert counts == SampleCounts(env_steps=3, trajectories=2, labels=1).times(len(NOISE_SEEDS))


def test_noise_of_independent_batches_is_per_squared_sigma(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The scripted noise does not grow as sigma shrinks, so that c is sigma² times the above."""
    matrix = 2 * torch.eye(4, dtype=torch.float64)
    tools = tools_for(Quadratic(matrix), Quadratic(matrix, 3.0))
    monkeypatch.setattr(constants, "instruments_for", lambda problem, seeds: tools)
    pilot = pilot_of(tools, starts(4), 0.25)
    solver = pilot.solver(1, 0.5, "independent")
    state = solver.init(torch.zeros(64, 4, dtype=torch.float64), tools.initial_lower(range(64)))
    constant, _ = constants._noise(pilot, solver, state)
    assert constant == pytest.approx(0.25 * 4 * 0.25 * 2 * 3 / 1.5, rel=0.1)
