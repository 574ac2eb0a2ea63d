"""Pairs whose first segment is credited to a step, against sums over all categories."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.rows import rows_of
from helpers.significance import assert_mean, assert_second_moments

from theory_check.kernels.bradley_terry import label_law
from theory_check.kernels.random_bits import seeded_states
from theory_check.kernels.reached_pairs import (
    DRAWS_PER_PAIR,
    DRAWS_PER_SECOND,
    reached_pair_losses,
)

REPLICATES = 3000
GENERATOR = np.random.default_rng(4)
# Three states; segments 0-1 start in the first, 2-4 in the second, none in the third.
FIRST_STATE = np.array([0, 0, 1, 1, 1])
SEGMENTS, CREDITED = 5, 3
CREDITS, MOVES = GENERATOR.dirichlet(np.ones(CREDITED)), GENERATOR.dirichlet(np.ones(3), CREDITED)
STOPS = np.zeros((3, 3))
STOPS[:, :2] = GENERATOR.dirichlet(np.ones(2), 3)
# Pairs with fewer successors than others, one of which is the first state.
MOVES[1] = [0.0, 0.4, 0.6]
MOVES[2] = [1.0, 0.0, 0.0]
ROWS = rows_of(MOVES)
REACHING = CREDITS * (MOVES @ STOPS).T
CONTINUATION = np.concatenate([GENERATOR.dirichlet(np.ones(n)) for n in (2, 3)])
LAW = GENERATOR.dirichlet(np.ones(SEGMENTS))
RETURNS, TRUE_RETURNS = GENERATOR.standard_normal((2, SEGMENTS))
# Indices; counts of which few share credit and first segment, so that second segments are drawn one by
# one; counts throughout.
MODES = {"indices": 20, "mixed": 30, "counts": 2000}


def draw(
    seeds: range, draws: int, *, excess: bool = False, returns: np.ndarray = RETURNS, **laws: object
) -> np.ndarray:
    def tiled(name: str, default: np.ndarray) -> np.ndarray:
        return np.tile(laws.get(name, default), (len(seeds), *[1] * default.ndim))

    return reached_pair_losses(
        seeded_states(seeds),
        tiled("first_stops", CREDITS),
        tiled("stops_from", STOPS),
        ROWS,
        tiled("continuation", CONTINUATION),
        tiled("law", LAW),
        FIRST_STATE,
        np.tile(returns, (len(seeds), 1)),
        label_law(TRUE_RETURNS),
        draws,
        excess,
    )


def moments(excess: bool) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of one pair by loops over credit, both segments and the label."""
    mean, second = np.zeros(CREDITED), np.zeros((CREDITED, CREDITED))
    for credited in range(CREDITED):
        for one in range(SEGMENTS):
            for other in range(SEGMENTS):
                for sign in (1, -1):
                    wins = 1 / (1 + np.exp(-sign * (TRUE_RETURNS[one] - TRUE_RETURNS[other])))
                    chance = REACHING[FIRST_STATE[one], credited] * CONTINUATION[one]
                    loss = np.log1p(np.exp(-sign * (RETURNS[one] - RETURNS[other])))
                    if excess:
                        loss += np.log(wins)
                    vector = loss * np.eye(CREDITED)[credited]
                    mean += chance * LAW[other] * wins * vector
                    second += chance * LAW[other] * wins * np.outer(vector, vector)
    return mean, second - np.outer(mean, mean)


def test_modes_are_what_they_are_called() -> None:
    assert MODES["indices"] <= DRAWS_PER_PAIR * SEGMENTS**2 < MODES["mixed"]
    largest = (REACHING[FIRST_STATE] * CONTINUATION[:, None]).max()
    assert MODES["mixed"] * largest < 2 * DRAWS_PER_SECOND * SEGMENTS
    assert MODES["counts"] * largest > 10 * DRAWS_PER_SECOND * SEGMENTS


@pytest.mark.parametrize("excess", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_first_and_second_moments(mode: str, excess: bool) -> None:
    """Two tests with false-alarm probability 1e-6 each."""
    found = draw(range(REPLICATES), MODES[mode], excess=excess)
    mean, covariance = moments(excess)
    assert_mean(found, mean)
    assert_second_moments(found, mean, covariance / MODES[mode])


@pytest.mark.parametrize("mode", MODES)
def test_excess_losses_vanish_at_the_true_reward(mode: str) -> None:
    found = draw(range(3), MODES[mode], excess=True, returns=TRUE_RETURNS)
    assert np.abs(found).max() < 1e-15  # for every pair and label, section 1.3


@pytest.mark.parametrize("mode", MODES)
def test_what_is_impossible_gets_nothing_and_certainties_get_all(mode: str) -> None:
    certain = {"first_stops": np.eye(3)[2], "stops_from": np.tile(np.eye(3)[1], (3, 1))}
    second, one = np.eye(SEGMENTS)[0], np.array([0.5, 0.5, 0.0, 1.0, 0.0])
    found = draw(range(3), MODES[mode], law=second, continuation=one, **certain)
    assert (found[:, :2] == 0).all()
    # Always segment 3 against segment 0: the loss is one of two numbers.
    costs = np.log1p(np.exp(np.array([-1, 1]) * (RETURNS[3] - RETURNS[0])))
    share = (found[:, 2] - costs[0]) / (costs[1] - costs[0]) * MODES[mode]
    np.testing.assert_allclose(share, share.round(), atol=1e-9)


@pytest.mark.parametrize("mode", MODES)
def test_seeds_decide_and_replicates_do_not_disturb_each_other(mode: str) -> None:
    together, again = draw(range(5), MODES[mode]), draw(range(5), MODES[mode])
    assert (together == again).all()
    assert (together[3] == draw(range(3, 4), MODES[mode])[0]).all()
    assert (together[3] != together[2]).any()


@pytest.mark.parametrize("spoilt", ["first_stops", "stops_from", "continuation", "law"])
def test_a_law_that_is_not_finite_gives_nan_and_draws_nothing(spoilt: str) -> None:
    laws = {
        "first_stops": CREDITS,
        "stops_from": STOPS,
        "continuation": CONTINUATION,
        "law": LAW,
    }
    values = laws[spoilt].copy()
    values.flat[0] = np.nan
    states = seeded_states([1])
    before = states.copy()
    first, second, *others = ({**laws, spoilt: values}[name][None] for name in laws)
    found = reached_pair_losses(
        states,
        first,
        second,
        ROWS,
        *others,
        FIRST_STATE,
        RETURNS[None],
        label_law(TRUE_RETURNS),
        50,
        False,
    )
    assert np.isnan(found).all()
    assert (states == before).all()
