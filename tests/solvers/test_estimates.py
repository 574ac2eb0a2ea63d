"""What every method estimates: gradients of certified oracles, and the same from samples on average."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch
from helpers import references
from helpers.generators import (
    contract_garnet,
    random_discounted_problem,
    random_log_policy,
    random_point,
    random_problem,
)
from helpers.methods import changed, chosen, configured, estimating, solved
from helpers.significance import assert_mean

from theory_check.catalogue import installed
from theory_check.oracles import ExactOracle
from theory_check.oracles.exact_information import ExactInformation
from theory_check.oracles.rlhf_truth import RLHFTruth
from theory_check.oracles.sampled import SampledOracle
from theory_check.oracles.solutions.curvature import hessian
from theory_check.problems import Problem
from theory_check.solvers.f2sa import F2SA
from theory_check.solvers.f3sa import F3SA
from theory_check.solvers.method import Method

REPLICATES = 2000

SIZES: dict[str, dict[str, Any]] = {
    "episodic": {"states": 2},
    "bandit": {"horizon": 1},
    "discounted": {"horizon": None, "discount": 0.6, "segment_length": 2},
}
GARNETS = pytest.mark.parametrize("size", SIZES)
OBJECTIVES = pytest.mark.parametrize("objective", ["cross_entropy", "excess_risk"])


def garnet(size: str, objective: str) -> Problem:
    return contract_garnet(objective, **SIZES[size])


def inner_solutions(
    solver: Any, problem: Problem, phi: torch.Tensor, sigma: float | None
) -> tuple[Any, Any]:
    """Return the solver with its inner iterations exhausted, and its state where they end."""
    exact, information = ExactOracle(problem), ExactInformation(problem)
    lower = exact.optimal_policy(phi).flatten(1)
    state = changed(solver.init(phi, lower), upper=phi, lower=lower)
    if sigma is not None:
        below, above = getattr(solver, "inner_penalties", (0.0, sigma))
        state = changed(state, lower_penalised=exact.penalised_policy(phi, above).flatten(1))
        if below:
            state = changed(state, lower=exact.penalised_policy(phi, below).flatten(1))
    if hasattr(state, "adjoint"):
        state = changed(state, adjoint=solved(information.adjoint_system(phi, lower)))
    if not hasattr(solver, "solve_steps"):
        return solver, state
    curvatures = torch.linalg.eigvalsh(
        hessian(lambda point, owner: information.lower_gradient(phi[owner], point, 1), lower, 1e-4)
    )
    # Null directions have curvature 0 to 1e-8; in them neither side has a component.
    largest, smallest = curvatures.max().item(), curvatures[curvatures > 1e-5].min().item()
    steps = math.ceil(math.log(1e-8) / math.log(1 - smallest / largest))
    return changed(solver, solve_steps=steps, solve_step_size=1 / largest), state


@pytest.mark.slow
@estimating("hypergradient")
@GARNETS
@OBJECTIVES
def test_exact_information_at_the_lower_optimum_gives_the_hypergradient(
    method: Method, size: str, objective: str
) -> None:
    problem = garnet(size, objective)
    phi = random_point(1, problem, 2)
    solver, state = inner_solutions(configured(method), problem, phi, None)
    found = solver.hypergradient_estimate(ExactInformation(problem), state)
    expected = ExactOracle(problem).hypergradient(phi)
    # Relative 1e-8 from PARL's difference quotients, times the condition of its solve.
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6 * expected.abs().max().item())
    assert torch.equal(solver.surrogate_gradient(truth_of(problem), state), expected)


def truth_of(problem: Problem) -> RLHFTruth:
    return RLHFTruth(ExactOracle(problem), ExactInformation(problem).policy_model)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [F2SA, F3SA])
def test_a_falling_penalty_is_that_of_the_iteration_that_formed_the_estimate(kind: Any) -> None:
    problem = garnet("bandit", "excess_risk")
    solver = configured(installed().methods[kind.name])
    information = ExactInformation(problem)
    state = solver.init(
        random_point(1, problem, 2),
        ExactOracle(problem).optimal_policy(random_point(1, problem, 2)).flatten(1),
    )
    for iteration in range(3):
        state = solver.step(information, state)
        found = solver.surrogate_gradient(truth_of(problem), state)
        sigma = solver.sigma_at(iteration)
        torch.testing.assert_close(found, truth_of(problem).surrogate_gradient(state.upper, sigma))
    assert solver.sigma_at(2) < solver.sigma_at(0)


@pytest.mark.slow
@estimating("penalised")
@GARNETS
@OBJECTIVES
def test_exact_information_at_both_optima_gives_the_penalised_gradient(
    method: Method, size: str, objective: str
) -> None:
    problem, solver = garnet(size, objective), configured(method)
    phi = random_point(1, problem, 2)
    # Where sigma changes with the iteration, that is the one of the first.
    _, state = inner_solutions(solver, problem, phi, solver.sigma)
    found = solver.hypergradient_estimate(ExactInformation(problem), state)
    exact = ExactOracle(problem)
    expected = exact.penalised_gradient(phi, solver.sigma)
    if getattr(solver, "difference", "forward") == "central":
        expected = (expected + exact.penalised_gradient(phi, -solver.sigma)) / 2
    assert (found - expected).norm(dim=-1).max() < 1e-6


PROBLEMS = {
    "episodic": random_problem(21, (2, 2, 2), discount=0.8, features=3),
    "discounted": random_discounted_problem(29, objective="excess_risk", features=3),
}


@pytest.mark.slow
@chosen(information="samples")
@pytest.mark.parametrize("label", PROBLEMS)
def test_sampled_estimates_have_the_mean_of_exact_information(method: Method, label: str) -> None:
    """A Bonferroni-corrected test over the reward parameters, false-alarm probability 1e-6."""
    problem = PROBLEMS[label]
    oracle = SampledOracle(problem, range(REPLICATES))
    exact = ExactInformation(problem, comparisons=oracle.comparisons)
    solver = configured(method, trajectories=24, pairs=40, solve_steps=3, solve_step_size=0.3)
    one, two = (random_log_policy(seed, problem).reshape(1, -1) for seed in (2, 3))

    def state(replicates: int) -> Any:
        phi = random_point(1, problem, 1).expand(replicates, -1)
        lower = one.expand(replicates, -1)
        # Weights of rollouts have the moments that the test needs where policies are near.
        penalised = (one + 0.1 * two).expand(replicates, -1)
        start = solver.init(phi, lower)
        return start if start.lower_penalised is None else changed(start, lower_penalised=penalised)

    sampled, wanted = state(REPLICATES), state(1)
    if hasattr(sampled, "data"):  # every replicate has a data set of its own
        sampled = changed(sampled, data=oracle.preference_data(sampled.lower, solver.pairs))
        wanted = changed(wanted, data=exact.preference_data(wanted.lower, solver.pairs))
    found = solver.hypergradient_estimate(oracle, sampled)
    expected = solver.hypergradient_estimate(exact, wanted)
    if found is None or expected is None:
        assert found is expected is None
        assert not method.learns_reward
    else:
        assert_mean(found.numpy(), expected[0].numpy())


@pytest.mark.slow
@pytest.mark.parametrize("label", PROBLEMS)
def test_offline_data_estimate_the_direct_gradient_at_the_reference_policy(label: str) -> None:
    problem = PROBLEMS[label]
    solver, exact = configured(installed().methods["offline"]), ExactInformation(problem)
    phi = random_point(1, problem, 1)
    start = solver.init(phi, problem.reference_policy.log().reshape(1, -1))
    # The policy has moved on when the estimate is formed; the data have not.
    state = solver.step(exact, start)
    assert (state.lower - start.lower).abs().max() > 1e-3
    tables = references.tables_of(problem)
    leaf = phi[0].clone().requires_grad_()
    (expected,) = torch.autograd.grad(tables.upper(leaf, start.lower[0]), leaf)
    torch.testing.assert_close(state.estimate[0], expected, rtol=1e-9, atol=1e-12)
    later = solver.step(exact, state)
    assert torch.equal(later.data, state.data)


@pytest.mark.slow
def test_momentum_without_noise_is_the_gradient_itself() -> None:
    """By induction: ``h_k = ∇(w_k) + keep (h_{k-1} - ∇(w_{k-1}))`` and ``h_0 = ∇(w_0)``."""
    problem, method = PROBLEMS["episodic"], installed().methods["f3sa"]
    exact = ExactInformation(problem)
    phi = random_point(1, problem, 2)
    lower = random_log_policy(2, problem).reshape(1, -1).repeat(2, 1)
    ends = []
    for momentum in (0.3, 1.0):
        solver = configured(method, momentum=momentum)
        state = solver.init(phi, lower)
        for _ in range(6):
            state = solver.step(exact, state)
        ends.append(state)
    for name in ("next_upper", "lower", "lower_penalised", "estimate", "difference"):
        one, other = (getattr(state, name) for state in ends)
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


@pytest.mark.slow
def test_momentum_lowers_the_noise_of_the_difference() -> None:
    """Where nothing moves, ``h_k`` averages batches: variance ``(1-keep)/(1+keep)`` of one in the limit.

    With momentum 0.3 that is 0.18; 40 iterations leave ``0.7^80``. The bound 0.5 is 14 standard errors
    of a variance over 400 replicates (relative ``sqrt(2/400)`` = 0.07 each, ratio 0.18 * 0.1) away.
    """
    problem, method = PROBLEMS["episodic"], installed().methods["f3sa"]
    phi = random_point(1, problem, 1).expand(400, -1)
    lower = random_log_policy(2, problem).reshape(1, -1).expand(400, -1)
    spreads = []
    for momentum in (0.3, 1.0):
        solver = configured(
            method,
            momentum=momentum,
            trajectories=20,
            pairs=20,
            step_size=1e-12,
            inner_step_size=1e-12,
        )
        oracle = SampledOracle(problem, range(400))
        state = solver.init(phi, lower)
        for _ in range(40):
            # Steps fall by 1.3 over 40 iterations; momentum with them, to 0.23.
            state = solver.step(oracle, state)
        spreads.append(state.difference.var(0).sum().item())
    assert spreads[0] < 0.5 * spreads[1]


@pytest.mark.slow
def test_a_penalised_variable_is_moved_from_where_the_estimate_was() -> None:
    """PBRL moves both variables at once: the pull on ``y'`` is that at the point of the estimate."""
    problem, exact = PROBLEMS["episodic"], ExactInformation(PROBLEMS["episodic"])
    solver = configured(installed().methods["pbrl-value"], inner_steps=1)
    phi = random_point(1, problem, 1)
    lower = random_log_policy(2, problem).reshape(1, -1)
    state = solver.step(exact, solver.init(phi, lower))
    assert torch.equal(state.lower_penalised, lower)
    slope = solver.sigma * exact.upper_gradients(phi, lower, 1).in_lower
    slope = slope + exact.lower_gradient(phi, lower, 1)
    moved = lower - solver.penalised_step_size * slope
    torch.testing.assert_close(state.next_penalised, moved, rtol=1e-12, atol=1e-14)
    following = solver.step(exact, state)
    assert torch.equal(following.lower_penalised, state.next_penalised)
    assert dataclasses.is_dataclass(following)
