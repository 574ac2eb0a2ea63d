"""Each kind of measurement against a computation of its own."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import naive
from helpers.generators import random_problem
from scipy import stats

from theory_check.catalogue import installed
from theory_check.measurements.gradient_noise import GradientNoise
from theory_check.measurements.inner_loops import InnerLinear
from theory_check.measurements.penalty import PenaltyBias
from theory_check.measurements.solver_run import SolverRun
from theory_check.oracles import ExactOracle
from theory_check.oracles.starts import initial_reward, initial_upper
from theory_check.problems import Problem
from theory_check.recording.recorder import recording_grid
from theory_check.recording.run import run
from theory_check.solvers.penalty_bilevel import PenaltyBilevel

CALLS: list[tuple[int, int]] = []


def progress(done: int, total: int) -> None:
    CALLS.append((done, total))


@pytest.fixture(autouse=True)
def fresh_progress() -> None:
    CALLS.clear()


def solver(**changes: object) -> PenaltyBilevel:
    arguments = {
        "sigma": 0.1,
        "inner_steps": 2,
        "inner_step_size": 0.5,
        "step_size": 0.2,
        "trajectories": 20,
        "pairs": 30,
    }
    return PenaltyBilevel(**{**arguments, **changes})


def test_every_kind_is_found_by_its_name() -> None:
    expected = {
        "gradient-noise": GradientNoise,
        "inner-linear": InnerLinear,
        "penalty-bias": PenaltyBias,
        "solver-run": SolverRun,
    }
    assert expected.items() <= installed().measurements.items()


def test_the_bias_of_a_central_difference_is_of_second_order() -> None:
    """Derived from the oracle's own two penalised gradients; halving sigma divides it by 4, not by 2."""
    problem = random_problem(41, (2, 2, 2), discount=0.9)
    seeds, sigmas = [4, 9], (0.04, 0.02, 0.01)
    table = PenaltyBias(sigmas=sigmas, difference="central").measure(problem, seeds, progress)
    exact = ExactOracle(problem)
    phi = initial_reward(seeds, exact.reward_model, 1.0)
    sides = [exact.penalised_gradient(phi, sigma) for sigma in (0.02, -0.02)]
    expected = ((sides[0] + sides[1]) / 2 - exact.hypergradient(phi)).norm(dim=-1)
    found = table[table.sigma == 0.02].gradient_bias.to_numpy()
    assert found == pytest.approx(expected.numpy(), rel=1e-9)
    assert (table.status == "ok").all()
    for column in ("gradient_bias", "value_bias"):
        sizes = np.stack([table[table.sigma == sigma][column] for sigma in sigmas])
        assert sizes[0] / sizes[1] == pytest.approx(4, rel=0.05)
        assert sizes[1] / sizes[2] == pytest.approx(4, rel=0.02)
    forward = PenaltyBias(sigmas=sigmas).measure(problem, seeds, progress)
    sizes = np.stack([forward[forward.sigma == sigma].gradient_bias for sigma in sigmas])
    assert sizes[1] / sizes[2] == pytest.approx(2, rel=0.05)


def test_penalty_bias() -> None:
    problem = random_problem(41, (2, 2, 2), discount=0.9)
    seeds, sigmas = [4, 9], (0.2, 0.01)
    table = PenaltyBias(sigmas=sigmas, point_scale=0.7).measure(problem, seeds, progress)
    assert list(table.columns) == ["seed", "sigma", "gradient_bias", "value_bias", "status"]
    assert len(table) == 4
    assert set(table.status) == {"ok"}
    assert CALLS[-1] == (2, 2)
    oracle = ExactOracle(problem)
    for row in table.itertuples():
        phi = initial_upper([row.seed], problem.parameters, 0.7)[0]
        step = 1e-5 * torch.eye(problem.parameters, dtype=torch.float64)
        points = torch.cat([phi + step, phi - step])

        def bias(at: torch.Tensor, sigma: float = row.sigma) -> torch.Tensor:
            return oracle.penalised_objective(at, sigma) - oracle.hyperobjective(at)

        assert row.value_bias == pytest.approx(abs(bias(phi).item()), rel=1e-9)
        differences = bias(points).reshape(2, -1)
        gradient = (differences[0] - differences[1]) / 2e-5
        assert row.gradient_bias == pytest.approx(gradient.norm().item(), rel=1e-4, abs=1e-8)


def expected_noise(
    problem: Problem,
    phi: torch.Tensor,
    sigma: float,
    number: int,
    coupling: str,
    difference: str,
) -> list[float]:
    """Sections 4.3 and 4.4 at the exact inner solutions, by sums over trajectories and pairs.

    One number for each row of ``phi``.
    """
    oracle, tables = ExactOracle(problem), naive.Tables(problem)
    central = difference == "central"
    below = oracle.penalised_policy(phi, -sigma) if central else oracle.optimal_policy(phi)
    policies = zip(below, oracle.penalised_policy(phi, sigma), strict=True)
    width = 2 * sigma if central else sigma
    visits = torch.autograd.functional.jacobian(
        lambda z: tables.returns(naive.reward_table(problem, z)), phi[0]
    )
    first = torch.sigmoid(tables.true_returns[:, None] - tables.true_returns[None, :])

    def total_variance(probability: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
        mean = probability @ vectors
        return probability @ vectors.square().sum(-1) - mean.square().sum()

    found = []
    for point, (optimal, penalised) in zip(phi, policies, strict=True):
        law, other = tables.law(optimal), tables.law(penalised)
        if coupling == "independent":
            spread = total_variance(law, visits) + total_variance(other, visits)
        else:
            spread = total_variance(law, (1 - other / law)[:, None] * visits)
        returns = visits @ point
        residual = -torch.sigmoid(returns[None, :] - returns[:, None])
        vectors = residual[..., None] * (visits[:, None, :] - visits[None, :, :])
        # Entry (i, j) of this law: i is preferred to j, whichever was presented first.
        upper = [
            total_variance(
                (2 * one[:, None] * one[None, :] * first).reshape(-1), vectors.flatten(0, 1)
            )
            for one in ((law, other) if central else (other,))
        ]
        pairs = sum(upper) / len(upper) ** 2
        found.append(((spread / width**2 + pairs) / number).item())
    return found


@pytest.mark.slow
@pytest.mark.parametrize("difference", ["forward", "central"])
@pytest.mark.parametrize("coupling", ["independent", "shared"])
def test_gradient_noise_has_the_variance_of_the_theory(coupling: str, difference: str) -> None:
    """Mean ratio to the closed form over 64 seeds; false alarm 1e-6 over the settings.

    A squared norm of a nearly Gaussian vector has a relative variance of at most 2, so the mean
    ratio over 64 * draws estimates deviates by at most sqrt(2 / (64 * draws)); batches of 400
    keep the excess kurtosis of the sums near one per cent of that.
    """
    problem = random_problem(42, (1, 3, 2), discount=0.9)
    seeds, draws = range(64), 100
    table = GradientNoise(
        sigmas=(0.4, 0.05),
        trajectories=(400,),
        fixed_sigma=0.2,
        fixed_trajectories=500,
        draws=draws,
        coupling=coupling,  # type: ignore[arg-type]
        difference=difference,  # type: ignore[arg-type]
        point_scale=0.5,
    ).measure(problem, seeds, progress)
    assert table.groupby(["sweep", "sigma", "trajectories"]).size().to_dict() == {
        ("sigma", 0.05, 500): 64,
        ("sigma", 0.4, 500): 64,
        ("trajectories", 0.2, 400): 64,
    }
    phi = initial_upper(seeds, problem.parameters, 0.5)
    means = []
    for (sigma, number), rows in table.groupby(["sigma", "trajectories"]):
        assert rows.seed.tolist() == list(seeds)
        expected = expected_noise(problem, phi, sigma, number, coupling, difference)
        means.append((rows.sampling_error.to_numpy() / expected).mean())
        if difference == "central":
            forward = expected_noise(problem, phi, sigma, number, coupling, "forward")
            means.append((rows.forward_error.to_numpy() / forward).mean())
    threshold = stats.norm.ppf(1 - 1e-6 / (2 * 6)) * (2 / (64 * draws)) ** 0.5
    assert threshold < 0.1
    assert np.abs(np.array(means) - 1).max() < threshold, means


def test_inner_linear() -> None:
    problem = random_problem(43, (2, 2, 2))
    seeds = [1, 6]
    table = InnerLinear(
        inner_steps=40, inner_step_size=0.3, points_per_decade=2, point_scale=0.6
    ).measure(problem, seeds, progress)
    assert list(table.columns) == ["seed", "inner_iteration", "lower_gap"]
    tables, recorded = naive.Tables(problem), {0, *recording_grid(40, 2)}
    for seed, rows in table.groupby("seed"):
        assert rows.inner_iteration.tolist() == sorted(recorded)
        phi = initial_upper([seed], problem.parameters, 0.6)[0]
        best = naive.optimal_log_policy(problem, naive.reward_table(problem, phi)).reshape(-1)
        logits, gaps = problem.reference_policy.log().reshape(-1), []
        for step in range(41):
            if step in recorded:
                gaps.append((tables.lower(phi, best) - tables.lower(phi, logits)).item())
            logits = logits + 0.3 * naive.gradient(lambda z, p=phi: tables.lower(p, z), logits)
        np.testing.assert_allclose(rows.lower_gap, gaps, rtol=1e-8, atol=1e-14)
        assert (np.diff(rows.lower_gap) < 0).all()


@pytest.mark.slow
def test_solver_run_is_the_trace_of_that_run() -> None:
    problem = random_problem(44, (2, 2, 2), objective="excess_risk", features=2)
    measurement = SolverRun(
        solver=solver(), iterations=12, initial_scale=0.4, points_per_decade=3, sample_budget=3000
    )
    table = measurement.measure(problem, [2, 5], progress)
    expected = run(
        problem, solver(), 12, [2, 5], initial_scale=0.4, points_per_decade=3, sample_budget=3000
    ).table
    pd.testing.assert_frame_equal(table, expected)
    # 2 * (40 + 90) + 90 + 40 samples an iteration: the eighth would exceed the budget.
    assert table.status.tolist()[-1] == "budget exhausted"
    assert table.iteration.max() == 8
    assert [(done, 12) for done in range(1, 8)] == CALLS
    # The first row is about the initial point, drawn from the seed's own stream.
    first = table[(table.seed == 5) & (table.iteration == 1)].iloc[0]
    start = initial_upper([5], 2, 0.4)
    assert first.hyperobjective == pytest.approx(ExactOracle(problem).hyperobjective(start).item())


def test_initial_points_are_standard_normal_and_of_their_own_stream() -> None:
    """Kolmogorov-Smirnov, false alarm 1e-6."""
    points = initial_upper(range(3000), 2, 1.0)
    assert stats.kstest(points.numpy().ravel(), "norm").pvalue > 1e-6
    assert torch.equal(initial_upper([17], 2, 1.0)[0], points[17])
    assert torch.equal(initial_upper([17], 2, 3.0)[0], 3 * points[17])
