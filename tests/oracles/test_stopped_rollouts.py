"""Discounted estimates: their laws and expectations against sums over steps, and explicit rollouts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers import naive, stationary
from helpers.generators import random_discounted_problem, random_log_policy, random_point
from helpers.significance import assert_frequencies, assert_mean

from theory_check.errors import InvalidArgumentError, SampleBudgetExhausted
from theory_check.oracles.control import control_of
from theory_check.oracles.estimates.counts import SampleCounts
from theory_check.oracles.estimates.discounted_estimates import StoppedRollouts
from theory_check.oracles.estimates.sampled_estimates import SHARED_STEP_BUDGET
from theory_check.oracles.exact_information import ExactInformation
from theory_check.oracles.sampled import SampledOracle
from theory_check.problems import Problem, tabular

PROBLEMS = [
    random_discounted_problem(1, (3, 2), discount=0.9),
    random_discounted_problem(2, (3, 2), discount=0.5, segment_length=2, objective="excess_risk"),
    random_discounted_problem(3, (2, 3), discount=0.7, segment_length=2, features=3),
    random_discounted_problem(4, (1, 3), discount=0.8),
]


def absorbing() -> Problem:
    """Two rooms that lead to an absorbing state, and a fourth that nothing leads to."""
    stay = [0.0, 0.0, 1.0, 0.0]
    return tabular(
        transitions=[
            [[0.5, 0.5, 0.0, 0.0], [0.0, 0.6, 0.4, 0.0]],
            [[0.2, 0.0, 0.8, 0.0], [0.0, 1.0, 0.0, 0.0]],
            [stay, stay],
            [[0.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, 0.0]],
        ],
        initial=[0.7, 0.3, 0.0, 0.0],
        true_reward=[[0.1, -0.4], [1.0, 0.2], [0.0, 0.0], [3.0, 3.0]],
        horizon=None,
        discount=0.8,
        segment_length=2,
    )


def close(found: torch.Tensor, expected: torch.Tensor) -> bool:
    return bool((found - expected).abs().max() <= 1e-12 * (1 + expected.abs().max()))


@pytest.mark.parametrize("problem", [*PROBLEMS, absorbing()])
def test_laws_of_stops_against_sums_over_steps(problem: Problem) -> None:
    log_policy = random_log_policy(1, problem)
    rollouts = StoppedRollouts(control_of(problem), log_policy.exp())
    expected = stationary.two_stops(problem, log_policy[0])
    assert close(rollouts.two_stops[0], expected)
    assert close(rollouts.first_stops[0].flatten(), expected.sum(1))
    # Arrivals are the second leg of those that go on: gamma P(. | s, a) d, then the policy.
    going_on = expected.clone()
    going_on.diagonal().sub_((1 - problem.discount) * expected.sum(1))
    joint = rollouts.first_stops[0].flatten()[:, None] * rollouts.arrivals[0].flatten(0, 1)
    by_state = going_on.reshape(len(expected), problem.states, problem.actions).sum(-1)
    assert close(problem.discount * joint, by_state)
    values = torch.arange(problem.states).double()[None]
    assert close(rollouts.mean_of_arrivals(values)[0], rollouts.arrivals[0] @ values[0])


@pytest.mark.slow
@pytest.mark.parametrize("problem", [*PROBLEMS, absorbing()])
def test_exact_information_against_automatic_differentiation(problem: Problem) -> None:
    """All estimates; that of G in the policy includes the derivative of the occupancy."""
    information = ExactInformation(problem)
    phi = random_point(2, problem)
    one, two = (random_log_policy(seed, problem)[0] for seed in (3, 4))

    def table(logits: torch.Tensor) -> torch.Tensor:
        return logits.reshape(one.shape).log_softmax(-1)

    def lower(phi: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        return stationary.lower_objective(problem, naive.reward_table(problem, phi), table(logits))

    def upper(phi: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        return stationary.upper_objective(problem, naive.reward_table(problem, phi), table(logits))

    x, y, z = phi[None], one.reshape(1, -1), two.reshape(1, -1)
    for coupling in ("independent", "shared"):
        found = information.lower_gradients(x, y, z, 1, coupling)
        assert close(-found.at_lower[0], naive.gradient(lambda q: lower(phi, q), y[0]))
        assert close(-found.at_penalised[0], naive.gradient(lambda q: lower(phi, q), z[0]))
        difference = information.penalty_difference(x, y, z, 1, coupling)
        expected = naive.gradient(lambda p: lower(p, y[0]) - lower(p, z[0]), phi)
        assert close(difference[0], expected)
    assert close(
        -information.lower_gradient(x, y, 1)[0], naive.gradient(lambda q: lower(phi, q), y[0])
    )
    pairs = information.upper_gradients(x, y, 1)
    assert close(pairs.in_upper[0], naive.gradient(lambda p: upper(p, y[0]), phi))
    assert close(pairs.in_lower[0], naive.gradient(lambda q: upper(phi, q), y[0]))


@pytest.mark.slow
def test_explicit_rollouts_and_counts_have_the_law_of_both_stops() -> None:
    """Pearson's chi-square over 16 pairs of stops; false alarm 1e-6 for each of three."""
    problem = random_discounted_problem(5)
    log_policy = random_log_policy(6, problem)[None]
    law = stationary.two_stops(problem, log_policy[0, 0]).numpy()
    number, pairs = 30_000, 4
    near = (log_policy + 0.1 * random_log_policy(7, problem)).log_softmax(-1)
    explicit, counted = np.zeros((pairs, pairs)), np.zeros((pairs, pairs))
    for last in range(pairs):
        # The same seed draws the same rollouts, so that each pass sees those that end at ``last``.
        values = torch.zeros(2, 2, 2).double()
        values.view(2, pairs)[:, last] = 1.0
        estimates = SampledOracle(problem, [0]).estimates
        both = torch.cat([log_policy, near])
        explicit[:, last] = estimates._shared_two_legs(both, values, number)[0].flatten()
        counted[:, last] = estimates._two_legs(log_policy, values[:1], number)[0].flatten()
    generator = np.random.default_rng(8)
    policy = log_policy[0, 0].exp().numpy()
    plain = np.zeros((pairs, pairs))
    for _ in range(4000):
        first = stationary.rollout(generator, problem, policy)[-1]
        last = first
        if generator.random() < problem.discount:
            successor = int(generator.choice(2, p=problem.transitions[first].numpy()))
            last = stationary.rollout(generator, problem, policy, successor)[-1]
        plain[2 * first[0] + first[1], 2 * last[0] + last[1]] += 1
    for counts in (explicit * number, counted * number, plain):
        np.testing.assert_allclose(counts, counts.round(), atol=1e-6)
        assert_frequencies(counts.round().flatten(), law.flatten())


def weighted_moments(problem: Problem, one: torch.Tensor, two: torch.Tensor) -> np.ndarray:
    """Return ``E[(omega - 1)^2 1[stops at (s, a)]]`` of rollouts of one leg (section 4.10).

    Sums over steps of the law of the path weighted by the k-th power of the policy ratio.
    """
    gamma = problem.discount

    def power(k: int) -> torch.Tensor:
        weighted = (one + k * (two - one)).exp()
        law, total = problem.initial, torch.zeros_like(weighted)
        for t in range(400):
            total = total + (1 - gamma) * gamma**t * law[:, None] * weighted
            law = torch.einsum("s,sa,sat->t", law, weighted, problem.transitions)
        return total

    return (power(2) - 2 * power(1) + power(0)).flatten().numpy()


def test_variance_of_shared_batches_is_that_of_section_4_10() -> None:
    """Second moments of single-batch differences; false alarm 1e-6 over four components."""
    problem = random_discounted_problem(9)
    replicates, number = 3000, 20
    one, two = (random_log_policy(seed, problem)[None] for seed in (10, 11))
    near = (one + 0.1 * two).log_softmax(-1)
    estimates = SampledOracle(problem, range(replicates)).estimates
    policies = torch.cat([one.expand(replicates, -1, -1, -1), near.expand(replicates, -1, -1, -1)])
    found = estimates.visit_difference(policies, number, "shared").flatten(1).numpy()
    exact = ExactInformation(problem).estimates
    mean = exact.visit_difference(torch.cat([one, near]), number, "shared").flatten().numpy()
    scale = 1 / (1 - problem.discount)
    moments = scale**2 * weighted_moments(problem, one[0, 0], near[0, 0])
    assert_mean((found - mean) ** 2, (moments - mean**2) / number)


def test_shared_batches_beyond_the_step_budget_are_refused_before_drawing() -> None:
    problem = random_discounted_problem(12, discount=0.9)
    oracle = SampledOracle(problem, [0])
    phi, one = random_point(0, problem, 1), random_log_policy(0, problem).reshape(1, -1)
    too_many = SHARED_STEP_BUDGET  # of at least 10 steps each
    for call in (oracle.lower_gradients, oracle.penalty_difference):
        with pytest.raises(InvalidArgumentError, match=r"trajectories.*at most.*independent"):
            call(phi, one, one, too_many, "shared")
        assert oracle.counts == SampleCounts()
        call(phi, one, one, too_many, "independent")
        oracle = SampledOracle(problem, [0])


def test_a_budget_that_ends_before_a_long_batch_is_what_stops_it() -> None:
    problem = random_discounted_problem(12, discount=0.9)
    phi, one = random_point(0, problem, 1), random_log_policy(0, problem).reshape(1, -1)
    for name in ("lower_gradients", "penalty_difference"):
        oracle = SampledOracle(problem, [0], sample_budget=1000)
        with pytest.raises(SampleBudgetExhausted, match=r"sample_budget: 1000"):
            getattr(oracle, name)(phi, one, one, SHARED_STEP_BUDGET, "shared")


@pytest.mark.parametrize("coupling", ["independent", "shared"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_replicate_that_is_not_finite_is_nan_draws_nothing_and_leaves_the_others(
    coupling: str, bad: float
) -> None:
    problem = random_discounted_problem(13, segment_length=2)
    phi = random_point(0, problem, 3)
    one = random_log_policy(0, problem).reshape(1, -1).repeat(3, 1)
    spoilt = one.clone()
    spoilt[1, 0] = bad

    def draw(oracle: SampledOracle, lower: torch.Tensor) -> list[torch.Tensor]:
        both = oracle.lower_gradients(phi, lower, lower, 30, coupling)  # type: ignore[arg-type]
        pairs = oracle.upper_gradients(phi, lower, 30)
        difference = oracle.penalty_difference(phi, lower, one, 30, coupling)  # type: ignore[arg-type]
        return [both.at_lower, pairs.in_lower, pairs.in_upper, difference]

    oracle, healthy = SampledOracle(problem, [1, 2, 3]), SampledOracle(problem, [1, 2, 3])
    for found, expected in zip(draw(oracle, spoilt), draw(healthy, one), strict=True):
        assert torch.isnan(found[1]).all()
        torch.testing.assert_close(found[[0, 2]], expected[[0, 2]], rtol=1e-9, atol=0)
    # Nothing was drawn from the streams of lambda and of pairs.
    fresh = SampledOracle(problem, [1, 2, 3])
    torch.testing.assert_close(
        oracle.lower_gradient(phi, one, 30)[1], fresh.lower_gradient(phi, one, 30)[1]
    )
    torch.testing.assert_close(
        oracle.upper_gradients(phi, one, 30).in_lower[1],
        fresh.upper_gradients(phi, one, 30).in_lower[1],
    )
