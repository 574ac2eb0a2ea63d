"""The penalty method with a central difference: bias, noise, inner loops and what it counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.generators import random_discounted_problem, random_point, random_problem
from helpers.significance import assert_mean

from theory_check.bilevel import Coupling, combined, penalties
from theory_check.oracles.exact import ExactOracle
from theory_check.oracles.exact_information import ExactInformation
from theory_check.oracles.instruments import Instruments, instruments_for
from theory_check.problems import Problem, bandit, plateau, quadratic
from theory_check.problems.quadratic import QuadraticProblem
from theory_check.recording.run import run
from theory_check.solvers.penalty_bilevel import PenaltyBilevel
from theory_check.solvers.states import PenaltyState

SEEDS = [2, 7, 1]


def central(sigma: float, **changes: object) -> PenaltyBilevel:
    """Return a solver with batches of 40 and 30."""
    found = PenaltyBilevel(sigma, 2, 0.2, 0.1, trajectories=40, pairs=30, difference="central")
    return replace(found, **changes)  # type: ignore[arg-type]


def at_solutions(problem: QuadraticProblem, upper: torch.Tensor, sigma: float) -> PenaltyState:
    """Return the state with both inner loops finished."""
    below, above = (problem.penalised_minimiser(upper, side) for side in (-sigma, sigma))
    return replace(PenaltyState.start(upper, below), lower_penalised=above)


def test_combinations_lose_the_orders_that_they_are_made_to_lose() -> None:
    """Of ``1 + 2s + 3s² + 5s³ + 7s⁴``: all, the even orders, and ``1 + (4/3 - 16/3) 7s⁴``."""

    def at(s: float) -> torch.Tensor:
        return torch.tensor([1 + 2 * s + 3 * s**2 + 5 * s**3 + 7 * s**4], dtype=torch.float64)

    assert penalties(0.5, "central") == (0.5, -0.5)
    assert penalties(0.5, "fourth") == (0.5, -0.5, 1.0, -1.0)
    assert combined(at, 0.5, "forward").item() == at(0.5).item()
    assert combined(at, 0.5, "central").item() == 1 + 3 / 4 + 7 / 16
    assert combined(at, 0.5, "fourth").item() == pytest.approx(1 - 4 * 7 / 16, rel=1e-14)


def test_the_bias_on_the_quadratic_is_the_closed_form() -> None:
    """``∇Phi_sigma - ∇Phi = -M^T diag(s/(a+s)) (u-t)``; its mean over both signs has ``s²/(a²-s²)``."""
    problem = quadratic()
    upper = instruments_for(problem, SEEDS).initial_upper(SEEDS, 1.0)
    miss = upper @ problem.response.T - problem.target
    for sigma in (0.2, 0.05):
        solver = central(sigma)
        state = at_solutions(problem, upper, sigma)
        tools = instruments_for(problem, SEEDS)
        estimate = solver.hypergradient_estimate(tools.information, state)
        square = sigma**2 / (problem.curvatures**2 - sigma**2)
        expected = (square * miss) @ problem.response
        found = estimate - problem.hypergradient(upper)
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
        declared = solver.surrogate_gradient(tools.truth, state)
        torch.testing.assert_close(estimate, declared, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "problem",
    [
        bandit(contexts=3, actions=3, features=3),
        random_problem(4, (2, 2, 3), discount=0.8, features=3, objective="excess_risk"),
        random_discounted_problem(3, (2, 2), features=3),
    ],
    ids=["bandit", "episodic", "discounted"],
)
def test_its_bias_is_of_second_order_and_that_of_one_sign_of_first(problem: Problem) -> None:
    """Half of sigma leaves a quarter; a term that were dropped or had the wrong sign leaves a half."""
    exact, phi = ExactOracle(problem), random_point(1, problem, 3)
    information, gradient = ExactInformation(problem), exact.hypergradient(phi)
    biases = {"central": [], "forward": [], "one pull": []}
    for sigma in (0.02, 0.01):
        below, above = (exact.penalised_policy(phi, s).flatten(1) for s in (-sigma, sigma))
        state = replace(PenaltyState.start(phi, below), lower_penalised=above)
        estimate = central(sigma).hypergradient_estimate(information, state)
        biases["central"].append((estimate - gradient).norm(dim=-1))
        biases["forward"].append((exact.penalised_gradient(phi, sigma) - gradient).norm(dim=-1))
        # What is left when pairs are compared at one end only.
        pulls = [information.upper_gradients(phi, end, 1).in_upper for end in (above, below)]
        biases["one pull"].append((estimate + (pulls[0] - pulls[1]) / 2 - gradient).norm(dim=-1))
    ratios = {name: (one / two).numpy() for name, (one, two) in biases.items()}
    np.testing.assert_allclose(ratios["central"], 4.0, rtol=0.02)
    np.testing.assert_allclose(ratios["forward"], 2.0, rtol=0.1)
    np.testing.assert_allclose(ratios["one pull"], 2.0, rtol=0.1)


def test_exact_inner_loops_end_at_both_penalised_levels() -> None:
    problem, sigma = quadratic(), 0.2
    tools: Instruments = instruments_for(problem, SEEDS)
    upper = tools.initial_upper(SEEDS, 1.0)
    solver = central(sigma, inner_steps=400, inner_step_size=0.3, step_size=1e-12)
    state = solver.step(tools.information, solver.init(upper, tools.initial_lower(SEEDS)))
    for lower, side in ((state.lower, -sigma), (state.lower_penalised, sigma)):
        slope = problem.lower_gradients(upper, lower)[1]
        slope = slope + side * problem.upper_gradients(upper, lower)[1]
        assert slope.abs().max() < 1e-9
        assert problem.lower_gradients(upper, lower)[1].abs().max() > 1e-3


@pytest.mark.parametrize("coupling", ["independent", "shared"])
def test_its_noise_on_the_plateau(coupling: Coupling) -> None:
    """Independent, of d components: ``noise² d (1/(2B) + 1/(2 sigma² n))``, a quarter of forward.

    Errors of a shared batch cancel where they do not depend on y, as on the plateau. A mean of squares
    over 4000 replicates; false alarm 1e-6.
    """
    problem, sigma, replicates, noise = plateau(noise=0.7), 0.02, 4000, 0.7
    seeds = list(range(replicates))
    tools = instruments_for(problem, seeds)
    upper = torch.zeros(replicates, 2, dtype=torch.float64)
    solver = central(sigma, coupling=coupling)
    below, above = (problem.penalised_minimiser(upper, s) for s in solver.inner_penalties)
    state = replace(PenaltyState.start(upper, below), lower_penalised=above)
    expected = solver.hypergradient_estimate(tools.information, state)
    errors = (solver.hypergradient_estimate(tools.sampled, state) - expected).square().sum(-1)
    variance = 1 / (2 * 30) + (0 if coupling == "shared" else 1 / (2 * sigma**2 * 40))
    assert_mean(errors[:, None].numpy() - 2 * noise**2 * variance, 0.0)


@pytest.mark.parametrize(("coupling", "legs"), [("independent", 2), ("shared", 1)])
def test_an_iteration_draws_pairs_at_both_ends(coupling: Coupling, legs: int) -> None:
    """K = 2 inner steps and the estimate: 3 batches of 40 rollouts a leg, 3 of 30 pairs at each end."""
    problem = bandit(contexts=3, actions=3, features=3)
    table = run(problem, central(0.3, coupling=coupling), 1, [0]).table
    assert table["trajectories"].iloc[-1] == 3 * (legs * 40 + 2 * 2 * 30)
    assert table["labels"].iloc[-1] == 3 * 2 * 30


def test_runs_at_their_solutions_where_a_problem_has_a_start() -> None:
    problem, sigma = plateau(epsilon=0.1), 0.05
    tools = instruments_for(problem, SEEDS)
    state = tools.initial_state(central(sigma), SEEDS, 1.0)
    upper = tools.initial_upper(SEEDS, 1.0)
    for lower, side in ((state.lower, -sigma), (state.lower_penalised, sigma)):
        torch.testing.assert_close(lower, problem.penalised_minimiser(upper, side))
    forward = tools.initial_state(central(sigma, difference="forward"), SEEDS, 1.0)
    torch.testing.assert_close(forward.lower, problem.lower_minimiser(upper))
    torch.testing.assert_close(forward.lower_penalised, problem.penalised_minimiser(upper, sigma))
    # Beyond 1/(a k) = 1/4 there is no minimiser on the negative side: that loop starts at y*.
    beyond = tools.initial_state(central(0.5), SEEDS, 1.0)
    torch.testing.assert_close(beyond.lower, problem.lower_minimiser(upper))


def test_the_columns_of_a_run_are_those_of_the_mean_of_both_signs() -> None:
    problem, sigma = bandit(contexts=3, actions=3, features=3), 0.1
    table = run(problem, central(sigma, trajectories=10**6, pairs=10**6), 3, SEEDS).table
    first = table[table["iteration"] == 1].set_index("seed").loc[SEEDS]
    exact = ExactOracle(problem)
    phi = instruments_for(problem, SEEDS).initial_upper(SEEDS, 1.0)
    mean = (exact.penalised_gradient(phi, sigma) + exact.penalised_gradient(phi, -sigma)) / 2
    expected = (mean - exact.hypergradient(phi)).square().sum(-1)
    np.testing.assert_allclose(first["penalty_bias"], expected, rtol=1e-8)
    assert table["lower_gap_penalised"].isna().all()  # of no single sigma
