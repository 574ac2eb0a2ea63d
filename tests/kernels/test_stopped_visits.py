"""Visits of rollouts that stop, drawn as counts of steps, against rollouts that are followed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from helpers.generators import random_discounted_problem, random_log_policy
from helpers.significance import assert_mean, assert_same_moments, assert_second_moments
from numpy.typing import NDArray

from theory_check.kernels import continuations, stopped_visits
from theory_check.kernels.random_bits import seeded_states
from theory_check.problems import Problem, gridworld

REPLICATES = 3000
PROBLEMS = {
    "dense": random_discounted_problem(71, (3, 2), discount=0.7),
    "sparse": random_discounted_problem(72, (5, 2), discount=0.8, sparse=True),
    "one action": random_discounted_problem(73, (3, 1), discount=0.6),
    "one state": random_discounted_problem(74, (1, 2), discount=0.8),
}
LABELS = pytest.mark.parametrize("label", PROBLEMS)

Floats = NDArray[np.float64]


def setting(label: str) -> tuple[Problem, Floats, Floats]:
    """Return a problem, weights of both signs, and action probabilities, shape (s, a)."""
    problem = PROBLEMS[label]
    policy = random_log_policy(1, problem)[0].exp().numpy()
    return problem, np.random.default_rng(2).standard_normal(policy.shape), policy


def draw(
    problem: Problem, weights: Floats, policy: Floats, rollouts: int, *, counted: bool
) -> Floats:
    """Draw for replicates of their own streams, shape (replicate, s a)."""
    rows, gamma = problem.dynamics.rows, problem.discount
    elimination = stopped_visits.elimination_of(rows, problem.states)
    visits = np.zeros((REPLICATES, *weights.shape))
    for seed in range(REPLICATES):
        bits = tuple(seeded_states([seed])[0])
        given = (weights, policy, rows, gamma, rollouts, visits[seed])
        if counted:
            stopped_visits.add_stopped_visits(bits, elimination, *given)
        else:
            stopped_visits.add_followed_visits(bits, *given)
    return visits.reshape(REPLICATES, -1)


def moments(problem: Problem, weights: Floats, policy: Floats) -> tuple[Floats, Floats]:
    """Mean and covariance of what one rollout adds, by sums over its steps and pairs of them.

    With a start of law ``|w| / ‖w‖`` and ``K`` the moves between pairs, steps t >= 1 are at u and later
    ones at v with ``sum_t start (gamma K)^t`` and ``sum_k (gamma K)^k`` from there.
    """
    gamma, pairs = problem.discount, weights.size
    moves = (problem.transitions.numpy()[..., None] * policy).reshape(pairs, pairs)
    ahead = np.linalg.inv(np.eye(pairs) - gamma * moves)
    later = ahead - np.eye(pairs)
    size = np.abs(weights).sum()
    mean = weights.ravel() @ later
    at = np.abs(weights).ravel() / size @ later
    second = at[:, None] * later
    second = size**2 * (second + second.T + np.diag(at))
    return mean, second - np.outer(mean, mean)


@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize("rollouts", [1, 60])
@LABELS
def test_first_and_second_moments(label: str, rollouts: int, counted: bool) -> None:
    """Two tests with false-alarm probability 1e-6 each."""
    found = draw(*setting(label), rollouts, counted=counted)
    mean, covariance = moments(*setting(label))
    assert_mean(found, mean)
    assert_second_moments(found, mean, covariance / rollouts)


@LABELS
def test_all_ways_have_the_same_moments(label: str) -> None:
    """Means and variances in pairs, that of counts step by step too; false alarm 1e-6 for each."""
    problem, weights, policy = setting(label)
    counted, followed = (
        draw(problem, weights, policy, 40, counted=counted) for counted in (True, False)
    )
    by_steps = np.zeros((REPLICATES, *weights.shape))
    for seed in range(REPLICATES):
        bits = tuple(seeded_states([REPLICATES + seed])[0])
        sums, rows, gamma = by_steps[seed], problem.dynamics.rows, problem.discount
        continuations._add_by_steps(bits, weights[None], policy[None], rows, gamma, True, 40, sums)
    # Streams of the first two begin alike, so that only the third is independent of either.
    for other in (counted, followed):
        assert_same_moments(by_steps.reshape(REPLICATES, -1), other)


def test_visits_drawn_independently_of_each_other_are_seen() -> None:
    """Means and variances are right, covariances are not."""
    setting_ = setting("dense")
    found = draw(*setting_, 60, counted=True)
    generator = np.random.default_rng(0)
    shuffled = np.stack([generator.permutation(column) for column in found.T], axis=1)
    mean, covariance = moments(*setting_)
    assert_mean(shuffled, mean)
    with pytest.raises(AssertionError, match="standard errors"):
        assert_second_moments(shuffled, mean, covariance / 60)


@pytest.mark.parametrize("defect", ["no further stays", "another discount", "another start"])
def test_a_wrong_chain_is_seen(defect: str) -> None:
    problem, weights, policy = setting("dense")
    rows, gamma = problem.dynamics.rows, problem.discount
    elimination = stopped_visits.elimination_of(rows, problem.states)
    order = elimination.order
    starts, _ = stopped_visits._starts(order, weights, rows, gamma)
    if defect == "another start":
        starts = starts[::-1].copy()
    if defect == "another discount":
        gamma = 0.9 * gamma
    chain = stopped_visits._chain(elimination, starts, policy, rows, gamma)
    if defect == "no further stays":
        chain = chain._replace(staying=0 * chain.staying)
    found = np.zeros((REPLICATES, *weights.shape))
    number = 50
    for seed in range(REPLICATES):
        counts = np.zeros((4, 4), dtype=np.int64)
        counts[3, 3] = number
        bits = tuple(seeded_states([seed])[0])
        bits = stopped_visits._put_back(bits, elimination.filled, chain, 0, counts)
        bits = tuple(map(np.uint64, bits))
        scale = 1.0 / number
        stopped_visits._add_actions(bits, order, counts, policy, rows, scale, found[seed])
    positive = np.maximum(weights, 0.0)
    expected, _ = moments(problem, positive / positive.sum(), policy)
    with pytest.raises(AssertionError, match="standard errors"):
        assert_mean(found.reshape(REPLICATES, -1), expected)


@pytest.mark.parametrize("label", [*PROBLEMS, "four rooms"])
def test_an_elimination_keeps_every_connection_and_counts_its_shares(label: str) -> None:
    four_rooms = label == "four rooms"
    problem = gridworld(map="four-rooms", discount=0.9) if four_rooms else PROBLEMS[label]
    kernel = problem.transitions.numpy()
    order, filled, shares = stopped_visits.elimination_of(problem.dynamics.rows, problem.states)
    assert sorted(order) == list(range(problem.states))
    linked = (kernel > 0).any(1)[np.ix_(order, order)]
    expected = 0
    for place in reversed(range(problem.states)):
        into, out = linked[:place, place], linked[place, :place]
        expected += (into.sum() + 2) * (out.sum() + 1)
        linked[:place, :place] |= into[:, None] & out
    assert (filled == linked).all()
    assert shares == expected
    if four_rooms:  # as they come, they would take several times as many
        assert shares < 0.2 * problem.states**3 / 3


def test_every_rollout_is_counted_once_and_steps_join() -> None:
    """As many steps end in a state as leave it, and one stop for every rollout."""
    problem = PROBLEMS["sparse"]
    _, weights, policy = setting("sparse")
    rows, gamma, states = problem.dynamics.rows, problem.discount, problem.states
    kernel = problem.transitions.numpy()
    elimination = stopped_visits.elimination_of(rows, states)
    starts, _ = stopped_visits._starts(elimination.order, weights, rows, gamma)
    chain = stopped_visits._chain(elimination, starts, policy, rows, gamma)
    possible = (kernel > 0).any(1)[np.ix_(elimination.order, elimination.order)]
    for seed in range(50):
        counts = np.zeros((states + 1, states + 1), dtype=np.int64)
        counts[states, states] = 10**seed if seed < 13 else seed
        number = counts[states, states]
        bits = tuple(seeded_states([seed])[0])
        stopped_visits._put_back(bits, elimination.filled, chain, seed % 2, counts)
        assert (counts >= 0).all()
        assert (counts.sum(0) == counts.sum(1)).all()
        assert counts[:, states].sum() == number
        assert not counts[:states, :states][~possible].any()


def test_which_way_is_taken_depends_on_what_it_costs() -> None:
    """The numbers and the stream are those of one way below the threshold, of the other above."""
    problem, weights, policy = setting("dense")
    rows, gamma = problem.dynamics.rows, problem.discount
    elimination = stopped_visits.elimination_of(rows, problem.states)
    threshold = stopped_visits.STEPS_PER_SHARE * elimination.shares
    last = math.ceil(threshold * (1 - gamma) / gamma) - 1
    for rollouts, counted in ((last, False), (last + 2, True)):
        states = seeded_states([4])
        found = continuations.continued_visits(
            states,
            weights[None, None],
            policy[None, None],
            rows,
            elimination,
            gamma,
            True,
            rollouts,
        )
        expected = np.zeros_like(weights)
        bits = tuple(seeded_states([4])[0])
        given = (weights, policy, rows, gamma, rollouts, expected)
        if counted:
            bits = stopped_visits.add_stopped_visits(bits, elimination, *given)
        else:
            bits = stopped_visits.add_followed_visits(bits, *given)
        assert (found[0] == expected).all()
        assert tuple(states[0]) == bits
