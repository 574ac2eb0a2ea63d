"""Continued rollouts: their mean by a forward recursion, edge cases, and streams of their own."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from helpers.generators import random_discounted_problem, random_log_policy, random_problem
from helpers.rows import rows_of
from helpers.significance import assert_mean
from numpy.typing import NDArray

from theory_check.kernels.continuations import continued_visits
from theory_check.kernels.random_bits import seeded_states
from theory_check.kernels.stopped_visits import NO_ELIMINATION, Elimination, elimination_of
from theory_check.oracles.sampled import SampledOracle
from theory_check.problems import Problem

REPLICATES = 3000
PROBLEMS = {
    "episodic": random_problem(51, (3, 2, 3)),
    "episodic, discount": random_problem(52, (2, 3, 3), discount=0.6),
    "sparse": random_problem(53, (4, 3, 2), sparse=True),
    "one step": random_problem(54, (3, 2, 1)),
    "stationary": random_discounted_problem(55, (3, 2), discount=0.7),
    "stationary, sparse": random_discounted_problem(56, (4, 2), discount=0.8, sparse=True),
}
LABELS = pytest.mark.parametrize("label", PROBLEMS)

Floats = NDArray[np.float64]


def setting(label: str) -> tuple[Problem, Floats, Floats]:
    """Return a problem, weights of both signs, and action probabilities."""
    problem = PROBLEMS[label]
    policy = random_log_policy(1, problem).exp().numpy()
    return problem, np.random.default_rng(2).standard_normal(policy.shape), policy


def draw(
    problem: Problem, weights: Floats, policy: Floats, rollouts: int, states: NDArray[np.uint64]
) -> Floats:
    """Draw for replicates that share weights, or have weights of their own."""
    replicates = len(states)
    shape = (replicates, *policy.shape[-3:])
    return continued_visits(
        states,
        # Copies: what cannot be written is another type, for which the kernel is compiled again.
        np.broadcast_to(weights, shape).copy(),
        np.broadcast_to(policy, shape).copy(),
        problem.dynamics.rows,
        problem.dynamics.elimination if problem.horizon is None else NO_ELIMINATION,
        problem.discount,
        problem.horizon is None,
        rollouts,
    )


def recursion(problem: Problem, weights: Floats, policy: Floats) -> Floats:
    """Follow the weight of every step on its own, one step after the other."""
    gamma, kernel = problem.discount, problem.transitions.numpy()
    visits = np.zeros(kernel.shape[:2])
    for first in range(len(weights)):
        carried = weights[first]
        if problem.horizon is None:
            # What is left out is gamma^t of numbers of order one.
            later = [policy[0]] * math.ceil(math.log(1e-16) / math.log(gamma))
        else:
            later = list(policy[first + 1 :])
        for table in later:
            arriving = np.einsum("sa,sat->t", carried, kernel)
            carried = gamma * arriving[:, None] * table
            visits += carried
    return visits


@pytest.mark.slow
@LABELS
@pytest.mark.parametrize("rollouts", [1, 7, 400])
def test_the_mean_is_that_of_a_forward_recursion(label: str, rollouts: int) -> None:
    """False-alarm probability 1e-6 over the table of each case."""
    problem, weights, policy = setting(label)
    found = draw(problem, weights, policy, rollouts, seeded_states(range(REPLICATES)))
    expected = recursion(problem, weights, policy)
    assert_mean(found.reshape(REPLICATES, -1), expected.ravel())


@LABELS
def test_no_rollouts_follow_a_weight_of_zero_or_a_last_step(label: str) -> None:
    problem, weights, policy = setting(label)
    states = seeded_states([3])
    before = states.copy()
    assert (draw(problem, 0 * weights, policy, 50, states) == 0).all()
    assert (states == before).all()
    if problem.horizon is not None:
        weights[:-1] = 0
        assert (draw(problem, weights, policy, 50, states) == 0).all()


def test_a_single_weight_starts_all_rollouts_and_its_sign_is_theirs() -> None:
    """Two steps: each of 40 rollouts visits one state and action after the weighted one."""
    problem = random_problem(57, (3, 2, 2), discount=0.5)
    policy = random_log_policy(1, problem).exp().numpy()
    for sign in (1.0, -1.0):
        weights = np.zeros((2, 3, 2))
        weights[0, 1, 0] = 3.0 * sign
        visits = draw(problem, weights, policy, 40, seeded_states([3]))[0]
        # Each visit counts discount * 3 / 40.
        counts = visits * sign * 40 / 1.5
        np.testing.assert_allclose(counts, counts.round(), atol=1e-12)
        assert counts.sum() == pytest.approx(40)
        assert (counts >= 0).all()


def test_probabilities_of_zero_and_one_are_followed_exactly() -> None:
    # State 0 leads to 1, 1 to 2, 2 to itself; action 1 always.
    kernel = np.zeros((3, 2, 3))
    kernel[0, :, 1] = kernel[1, :, 2] = kernel[2, :, 2] = 1.0
    policy = np.zeros((1, 3, 3, 2))
    policy[..., 1] = 1.0
    weights = np.zeros((1, 3, 3, 2))
    weights[0, 0, 0, 0], weights[0, 1, 0, 1] = 2.0, -2.0
    given = weights, policy, rows_of(kernel), NO_ELIMINATION, 0.5, False, 64
    found = continued_visits(seeded_states([0]), *given)[0]
    # From step 0: 1/2 at (1, 1), 1/4 at (2, 1) per unit; from step 1: 1/2 at (1, 1).
    taken = np.array([[0.0, 0.0], [0.0, 0.5], [0.0, 0.25]])
    plus = found[2, 1] / 0.25  # weight of the rollouts that started at step 0
    assert 0 < plus < 4
    minus = plus - 4  # |weights| sum to 4, all of which is started from
    expected = plus * taken + np.array([[0.0, 0.0], [0.0, 0.5], [0.0, 0.0]]) * minus
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("place", ["weights", "policy"])
@pytest.mark.parametrize("label", ["episodic", "stationary"])
def test_a_replicate_that_is_not_finite_is_lost_alone(label: str, place: str, bad: float) -> None:
    problem, weights, policy = setting(label)
    both = {"weights": np.stack([weights] * 3), "policy": np.stack([policy] * 3)}
    sound = draw(problem, both["weights"], both["policy"], 30, seeded_states([1, 2, 3]))
    both[place][1, 0, 0, 0] = bad
    states = seeded_states([1, 2, 3])
    before = states.copy()
    found = draw(problem, both["weights"], both["policy"], 30, states)
    assert np.isnan(found[1]).all()
    assert (found[[0, 2]] == sound[[0, 2]]).all()
    assert (states[1] == before[1]).all()
    assert (states[[0, 2]] != before[[0, 2]]).any(axis=1).all()


@LABELS
def test_a_replicate_draws_from_its_own_stream(label: str) -> None:
    problem, weights, policy = setting(label)
    together = draw(problem, weights, policy, 30, seeded_states([5, 6, 7]))
    alone = draw(problem, weights, policy, 30, seeded_states([6]))
    assert (together[1] == alone[0]).all()
    if label != "one step":
        assert (together[0] != together[1]).any()
        states = seeded_states([6])
        first, second = (draw(problem, weights, policy, 30, states) for _ in range(2))
        assert (first == alone).all()
        assert (first != second).any()


@pytest.mark.parametrize("label", sorted(PROBLEMS))
def test_conditional_chances_multiply_back_to_the_chances(label: str) -> None:
    """One after the other: what is left after those before, times the chance given that."""
    rows = PROBLEMS[label].dynamics.rows
    for low, high in itertools.pairwise(rows.bounds):
        given = rows.conditional[low:high]
        assert given[-1] == 1.0
        before = np.concatenate([[1.0], np.cumprod(1.0 - given)[:-1]])
        np.testing.assert_allclose(before * given, rows.chances[low:high], rtol=1e-12)


def test_an_order_of_elimination_is_found_once_for_each_problem(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    problem = random_discounted_problem(3)
    orders = 0

    def counted(*given: object) -> Elimination:
        nonlocal orders
        orders += 1
        return elimination_of(*given)

    monkeypatch.setattr("theory_check.problems.dynamics.elimination_of", counted)
    weights = torch.ones_like(random_log_policy(0, problem))[None]
    for seed in range(3):
        sampled = SampledOracle(problem, [seed]).estimates
        sampled.continued_visits(random_log_policy(seed, problem)[None], weights, 10)
    assert orders == 1
