"""Penalty bias and gradient noise within neural classes, against computations of their own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers import naive
from scipy import stats
from torch import Tensor

from theory_check.measurements.gradient_noise import GradientNoise
from theory_check.measurements.penalty import PenaltyBias
from theory_check.models import MLPPolicy, MLPReward
from theory_check.oracles import ExactOracle
from theory_check.oracles.optima import lower_solutions as parametrised
from theory_check.oracles.optima.lower_solutions import ParametrisedLowerLevel
from theory_check.oracles.starts import initial_reward
from theory_check.problems import Problem, bandit

REWARD = MLPReward(width=3)
COMPLETE = bandit(contexts=2, actions=2).with_classes(reward=REWARD, policy=MLPPolicy(width=4))
INCOMPLETE = bandit(contexts=4, actions=3).with_classes(reward=REWARD, policy=MLPPolicy(width=1))


def silent(done: int, total: int) -> None:
    """Nobody watches."""


@pytest.mark.every_case
@pytest.mark.slow
@pytest.mark.parametrize("problem", [COMPLETE, INCOMPLETE], ids=["complete", "incomplete"])
def test_bias_is_that_of_the_class(problem: Problem) -> None:
    seeds, sigmas = [4, 9], (0.1, 0.01)
    table = PenaltyBias(sigmas=sigmas, point_scale=0.7).measure(problem, seeds, silent)
    assert set(table.status) == {"ok"}
    exact = ExactOracle(problem)
    phi = initial_reward(seeds, exact.reward_model, 0.7)
    level = ParametrisedLowerLevel(exact, seeds, phi)
    tabular = exact.hypergradient(phi)
    for sigma in sigmas:
        rows = table[table.sigma == sigma].set_index("seed").loc[seeds]
        # Section 3.1 again, from J and G as sums over trajectories.
        values = [
            naive_penalised(problem, phi[index], level, index, sigma) for index in range(len(seeds))
        ]
        np.testing.assert_allclose(rows.value_bias, values, rtol=1e-6)
        against_tabular = level.penalised(sigma).gradient - tabular
        same = np.allclose(rows.gradient_bias, against_tabular.norm(dim=-1), rtol=1e-3)
        assert same == (problem is COMPLETE)
    # Half of sigma per halving of sigma, to first order: 3.3 within the class.
    large, small = (table[table.sigma == sigma].gradient_bias.to_numpy() for sigma in sigmas)
    np.testing.assert_allclose(large / small, 10, rtol=0.1)


def naive_penalised(
    problem: Problem, phi: Tensor, level: ParametrisedLowerLevel, index: int, sigma: float
) -> float:
    """Return ``|Phi_sigma - Phi|`` at the solutions found, by sums over paths."""
    tables, model = naive.Tables(problem), problem.policy_model
    reward = problem.reward_model.table(phi[None]).reshape(-1)
    optimum = model.table(level.lower)[index]
    penalised = model.table(level.penalised(sigma).lower)[index]
    lost = tables.lower(reward, optimum) - tables.lower(reward, penalised)
    bias = tables.upper(reward, penalised) + lost / sigma - tables.upper(reward, optimum)
    return abs(bias.item())


@pytest.mark.every_case
@pytest.mark.slow
def test_what_is_not_certified_says_so_in_both_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parametrised, "SMALLEST_TOLERANCE", 0.0)  # which rounding never meets
    bias = PenaltyBias(sigmas=(0.1,)).measure(COMPLETE, [0], silent)
    noise = GradientNoise((0.1,), (10,), 0.1, 10, 1).measure(COMPLETE, [0], silent)
    assert bias.status.tolist() == ["not certified"]
    assert bias.gradient_bias.isna().all()
    assert noise.status.tolist() == ["not certified"] * 2


@pytest.mark.slow
@pytest.mark.parametrize("coupling", ["independent", "shared"])
def test_noise_has_the_variance_of_the_theory_with_the_gradients_of_the_network(
    coupling: str,
) -> None:
    """Mean ratio to the closed form over 32 seeds; false alarm 1e-6 over the two settings.

    A squared norm of a nearly Gaussian vector has a relative variance of at most 2, so the mean ratio
    over 32 * draws estimates deviates by sqrt(2 / (32 * draws)) at most.
    """
    seeds, draws = range(32), 40
    table = GradientNoise(
        sigmas=(0.3,),
        trajectories=(400,),
        fixed_sigma=0.1,
        fixed_trajectories=500,
        draws=draws,
        coupling=coupling,  # type: ignore[arg-type]
    ).measure(INCOMPLETE, seeds, silent)
    assert set(table.status) == {"ok"}
    exact = ExactOracle(INCOMPLETE)
    phi = initial_reward(seeds, exact.reward_model, 1.0)
    level = ParametrisedLowerLevel(exact, seeds, phi)
    means = []
    for (sigma, number), rows in table.groupby(["sigma", "trajectories"]):
        penalised = level.penalised(sigma).lower
        expected = [
            expected_noise(phi[index], level.lower[index], penalised[index], sigma, coupling)
            for index in seeds
        ]
        means.append((rows.sampling_error.to_numpy() * number / expected).mean())
    threshold = stats.norm.ppf(1 - 1e-6 / (2 * 2)) * (2 / (32 * draws)) ** 0.5
    assert threshold < 0.2
    assert np.abs(np.array(means) - 1).max() < threshold, means


def expected_noise(
    phi: Tensor, lower: Tensor, penalised: Tensor, sigma: float, coupling: str
) -> float:
    """Sections 4.3 and 4.4, times n, with returns differentiated through the network."""
    tables = naive.Tables(INCOMPLETE)
    model, reward = INCOMPLETE.policy_model, INCOMPLETE.reward_model
    law, other = (tables.law(model.table(point[None])[0]) for point in (lower, penalised))

    def returns(point: Tensor) -> Tensor:
        return tables.returns(reward.table(point[None])[0])

    slopes = torch.autograd.functional.jacobian(returns, phi)

    def total_variance(probability: Tensor, vectors: Tensor) -> Tensor:
        mean = probability @ vectors
        return probability @ vectors.square().sum(-1) - mean.square().sum()

    if coupling == "independent":
        difference = total_variance(law, slopes) + total_variance(other, slopes)
    else:
        difference = total_variance(law, (1 - other / law)[:, None] * slopes)
    gaps = tables.true_returns[:, None] - tables.true_returns[None, :]
    # Entry (i, j): i is preferred to j, whichever was presented first (section 4.6).
    preferred = 2 * other[:, None] * other[None, :] * torch.sigmoid(gaps)
    values = returns(phi)
    residual = -torch.sigmoid(values[None, :] - values[:, None])
    vectors = residual[..., None] * (slopes[:, None, :] - slopes[None, :, :])
    upper = total_variance(preferred.reshape(-1), vectors.flatten(0, 1))
    return (difference / sigma**2 + upper).item()
