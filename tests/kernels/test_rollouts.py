"""Explicit rollouts: tables of moves, where rollouts stop, and what importance weights do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers import stationary
from helpers.generators import random_discounted_problem, random_log_policy
from helpers.rows import rows_of
from helpers.significance import assert_mean

from theory_check.kernels.random_bits import seeded_states
from theory_check.kernels.rollouts import first_stop_changes, moves_of, two_leg_sums

PROBLEM = random_discounted_problem(41, (3, 2), discount=0.75)
FOLLOWED = random_log_policy(1, PROBLEM)[0]
# Weights of rollouts of any length have fourth moments only where the policies are near.
WANTED = (FOLLOWED + 0.1 * random_log_policy(2, PROBLEM)[0]).log_softmax(-1)
KERNEL, START = PROBLEM.transitions.numpy(), PROBLEM.initial.numpy()
REPLICATES = 3000


def walks(replicates: int) -> tuple:
    tiled = [np.tile(t.numpy(), (replicates, 1, 1)) for t in (FOLLOWED.exp(), WANTED - FOLLOWED)]
    return (seeded_states(range(replicates)), *tiled, rows_of(KERNEL), START, PROBLEM.discount)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("successors", [1, 2, 6])
def test_tables_of_moves_hold_the_exact_law(seed: int, successors: int) -> None:
    generator = np.random.default_rng(seed)
    states, actions = 6, 3
    kernel = np.zeros((states, actions, states))
    for row in kernel.reshape(-1, states):
        chosen = generator.choice(states, generator.integers(1, successors + 1), replace=False)
        row[chosen] = generator.dirichlet(np.ones(len(chosen)))
    policy = generator.dirichlet(0.3 * np.ones(actions), size=states)
    policy[0] = [0.0, 1.0, 0.0]
    ratio = generator.standard_normal((states, actions))
    moves = moves_of(policy, ratio, rows_of(kernel))
    law = np.zeros((states, actions, states))
    for state in range(states):
        for cell in range(state * moves.width, (state + 1) * moves.width):
            kept = moves.threshold[cell]
            assert 0 <= kept <= 1
            for place, chance in ((cell, kept), (int(moves.alias[cell]), 1 - kept)):
                own, action = divmod(int(moves.pair[place]), actions)
                if chance > 0:
                    assert own == state
                    assert moves.log_ratio[place] == ratio[state, action]
                target = int(moves.successor[place]) // moves.width
                law[own, action, target] += chance / moves.width
    expected = policy[:, :, None] * kernel
    np.testing.assert_allclose(law, expected, atol=1e-15)
    assert (law[expected == 0] == 0).all()


def test_reweighted_frequencies_have_the_mean_of_the_wanted_policy() -> None:
    """Three tests over six stops, each with false-alarm probability 1e-6."""
    stops = [
        (stationary.occupancy(PROBLEM, table)[:, None] * table.exp()).flatten().numpy()
        for table in (FOLLOWED, WANTED)
    ]
    changes = first_stop_changes(*walks(REPLICATES), 50).reshape(REPLICATES, -1)
    assert_mean(changes, stops[1] - stops[0])
    values = np.random.default_rng(0).standard_normal((2, 3, 2))
    followed, wanted = two_leg_sums(
        *walks(REPLICATES), 50, *(np.tile(v, (REPLICATES, 1, 1)) for v in values)
    )
    for found, table, value in ((followed, FOLLOWED, values[0]), (wanted, WANTED, values[1])):
        law = stationary.two_stops(PROBLEM, table).numpy()
        assert_mean(found.reshape(REPLICATES, -1), law @ value.flatten())


def test_equal_policies_have_weights_of_exactly_one() -> None:
    states, policy, ratio, *rest = walks(4)
    assert (first_stop_changes(states, policy, 0 * ratio, *rest, 30) == 0).all()
    values = np.random.default_rng(0).standard_normal((4, 3, 2))
    followed, wanted = two_leg_sums(states, policy, 0 * ratio, *rest, 30, values, values)
    assert (followed == wanted).all()


def test_weights_of_one_and_two_legs_are_those_of_their_own_path() -> None:
    # One action and one successor everywhere: the path is a circle, its length is all that is random.
    states = 50
    kernel = np.roll(np.eye(states), 1, axis=1)[:, None, :]
    policy, start = np.ones((1, states, 1)), np.eye(states)[0]
    ratio = np.log(np.arange(2.0, states + 2))[None, :, None]
    arguments = (policy, ratio, rows_of(kernel), start, 0.5)
    products = np.cumprod(np.arange(2.0, states + 2))
    for seed in range(20):
        change = first_stop_changes(seeded_states([seed]), *arguments, 1)[0, :, 0]
        (stop,) = np.flatnonzero(change)
        assert change[stop] == pytest.approx(products[stop] - 1)
        final = np.arange(1.0, states + 1)[None, :, None]
        followed, wanted = two_leg_sums(seeded_states([seed]), *arguments, 1, final, final)
        assert np.flatnonzero(followed[0, :, 0]).tolist() == [stop]
        last = int(followed[0, stop, 0]) - 1
        assert last >= stop
        assert wanted[0, stop, 0] == pytest.approx(products[last] * (last + 1))


@pytest.mark.parametrize("spoilt", [1, 2])
def test_a_policy_that_is_not_finite_gives_nan_and_draws_nothing(spoilt: int) -> None:
    arguments = list(walks(2))
    arguments[spoilt] = arguments[spoilt].copy()
    arguments[spoilt][0, 0, 0] = np.nan
    before = arguments[0].copy()
    changes = first_stop_changes(*arguments, 20)
    assert np.isnan(changes[0]).all()
    assert np.isfinite(changes[1]).all()
    values = torch.ones(2, 3, 2).double().numpy()
    for found in two_leg_sums(*arguments, 20, values, values):
        assert np.isnan(found[0]).all()
        assert np.isfinite(found[1]).all()
    assert (arguments[0][0] == before[0]).all()
    assert (arguments[0][1] != before[1]).any()
