"""Rollouts of two legs drawn leg by leg, against the tabulated law of both stops."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from helpers import stationary
from helpers.generators import random_discounted_problem, random_log_policy
from helpers.significance import assert_mean, assert_second_moments
from numpy.typing import NDArray

from theory_check.kernels.draws import DRAWS_PER_OUTCOME, trajectory_frequencies
from theory_check.kernels.random_bits import seeded_states
from theory_check.kernels.stopped_legs import two_stop_means
from theory_check.oracles.control import control_of
from theory_check.oracles.estimates.discounted_estimates import StoppedRollouts
from theory_check.problems import Problem

REPLICATES = 3000
PROBLEM = random_discounted_problem(61, (3, 2), discount=0.75, sparse=True)
LOG_POLICY = random_log_policy(1, PROBLEM)
LAW = stationary.two_stops(PROBLEM, LOG_POLICY[0]).numpy()
PAIRS = len(LAW)
VALUES = np.random.default_rng(0).standard_normal(PAIRS)

Floats = NDArray[np.float64]


def laws(problem: Problem, log_policy: torch.Tensor, replicates: int) -> list[Floats]:
    """Return policy, first stops and stops from every state, for replicates that share them."""
    rollouts = StoppedRollouts(control_of(problem), log_policy.exp())
    tables = (log_policy.exp().flatten(1), rollouts.first_stops.flatten(1), rollouts.stops_from)
    # By rows also where nothing is repeated: of another layout, the kernel is compiled again.
    return [
        np.ascontiguousarray(np.tile(t.numpy(), (replicates, *[1] * (t.ndim - 1)))) for t in tables
    ]


def draw(rollouts: int, states: NDArray[np.uint64], given: list[Floats] | None = None) -> Floats:
    replicates = len(states)
    return two_stop_means(
        states,
        *(laws(PROBLEM, LOG_POLICY, replicates) if given is None else given),
        PROBLEM.dynamics.rows,
        PROBLEM.discount,
        rollouts,
        np.tile(VALUES, (replicates, 1)),
    )


def moments() -> tuple[Floats, Floats]:
    """Mean and covariance of what one rollout adds, by sums over both stops."""
    second = np.diag(LAW @ VALUES**2)
    mean = LAW @ VALUES
    return mean, second - np.outer(mean, mean)


@pytest.mark.parametrize("rollouts", [1, 7, 72, 400])
def test_moments_are_those_of_the_tabulated_law(rollouts: int) -> None:
    """Two tests with false-alarm probability 1e-6 each."""
    found = draw(rollouts, seeded_states(range(REPLICATES)))
    mean, covariance = moments()
    assert_mean(found, mean)
    assert_second_moments(found, mean, covariance / rollouts)


def test_the_tabulated_way_has_the_same_moments() -> None:
    """What is compared with above, drawn as for more rollouts; false-alarm probabilities as there."""
    number = DRAWS_PER_OUTCOME * PAIRS**2 + 1
    law = np.tile(LAW.reshape(1, -1), (REPLICATES, 1))
    drawn = trajectory_frequencies(seeded_states(range(REPLICATES)), law, number)
    found = drawn.reshape(REPLICATES, PAIRS, PAIRS) @ VALUES
    mean, covariance = moments()
    assert_mean(found, mean)
    assert_second_moments(found, mean, covariance / number)


def always_on(given: list[Floats]) -> list[Floats]:
    """Let the first stop have the law of the second leg's start."""
    return [given[0], np.full_like(given[1], 1 / PAIRS), given[2]]


def uniform_actions(given: list[Floats]) -> list[Floats]:
    """Let the second leg end with any action."""
    return [np.full_like(given[0], 1 / PROBLEM.actions), *given[1:]]


def no_second_leg(given: list[Floats]) -> list[Floats]:
    """Let the second leg end where it starts."""
    return [*given[:2], np.tile(np.eye(PROBLEM.states), (len(given[2]), 1, 1))]


@pytest.mark.parametrize("spoil", [always_on, uniform_actions, no_second_leg])
def test_a_wrong_law_is_seen(spoil: Callable[[list[Floats]], list[Floats]]) -> None:
    spoilt = spoil(laws(PROBLEM, LOG_POLICY, REPLICATES))
    found = draw(72, seeded_states(range(REPLICATES)), spoilt)
    with pytest.raises(AssertionError, match="standard errors"):
        assert_mean(found, moments()[0])


def test_stops_that_are_averaged_instead_of_drawn_are_seen() -> None:
    """The mean is right, the variance is not."""
    stopped = laws(PROBLEM, LOG_POLICY, REPLICATES)[1]
    drawn = trajectory_frequencies(seeded_states(range(REPLICATES)), stopped, 72)
    mean, covariance = moments()
    averaged = drawn * (mean / LAW.sum(1))
    assert_mean(averaged, mean)
    with pytest.raises(AssertionError, match="standard errors"):
        assert_second_moments(averaged, mean, covariance / 72)


def test_a_replicate_draws_from_its_own_stream_and_is_lost_alone() -> None:
    sound = draw(30, seeded_states([5, 6, 7]))
    assert (sound[1] == draw(30, seeded_states([6]))[0]).all()
    assert (sound[0] != sound[1]).any()
    for spoilt in range(3):
        given = laws(PROBLEM, LOG_POLICY, 3)
        given[spoilt][1].flat[0] = np.nan
        states = seeded_states([5, 6, 7])
        before = states.copy()
        found = draw(30, states, given)
        assert np.isnan(found[1]).all()
        assert (found[[0, 2]] == sound[[0, 2]]).all()
        assert (states[1] == before[1]).all()
        assert (states[[0, 2]] != before[[0, 2]]).any(axis=1).all()
